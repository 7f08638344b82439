//! Memory as a program sees it: checked regions, or, after verification, the server's own.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// The size of an access.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Size {
    B1,
    B2,
    B4,
    B8,
}

impl Size {
    /// In bytes.
    pub const fn bytes(self) -> usize {
        match self {
            Size::B1 => 1,
            Size::B2 => 2,
            Size::B4 => 4,
            Size::B8 => 8,
        }
    }

    /// Keeps the low bytes.
    pub const fn truncate(self, v: u64) -> u64 {
        match self {
            Size::B1 => v as u8 as u64,
            Size::B2 => v as u16 as u64,
            Size::B4 => v as u32 as u64,
            Size::B8 => v,
        }
    }

    /// Extends the sign of the low bytes.
    pub const fn sign_extend(self, v: u64) -> u64 {
        match self {
            Size::B1 => v as i8 as i64 as u64,
            Size::B2 => v as i16 as i64 as u64,
            Size::B4 => v as i32 as i64 as u64,
            Size::B8 => v,
        }
    }

    pub(crate) fn get(self, bytes: &[u8]) -> u64 {
        let mut v = [0; 8];
        v[..self.bytes()].copy_from_slice(&bytes[..self.bytes()]);
        u64::from_le_bytes(v)
    }

    pub(crate) fn put(self, bytes: &mut [u8], value: u64) {
        bytes[..self.bytes()].copy_from_slice(&value.to_le_bytes()[..self.bytes()]);
    }
}

/// Loads, stores and updates that may refuse.
pub trait Memory {
    /// Reads, zero-extended.
    fn load(&mut self, address: u64, size: Size) -> Option<u64>;
    /// Writes the low bytes.
    fn store(&mut self, address: u64, size: Size, value: u64) -> Option<()>;
    /// Replaces a value by a function of it and returns the old one. Memory that others reach too must do this
    /// atomically.
    fn update(&mut self, address: u64, size: Size, f: &mut dyn FnMut(u64) -> u64) -> Option<u64> {
        let old = self.load(address, size)?;
        self.store(address, size, f(old))?;
        Some(old)
    }
}

#[cfg(feature = "alloc")]
/// A piece of memory at an address of the caller's choice.
pub struct Region<'a> {
    /// Where the program sees it.
    pub base: u64,
    /// Its contents.
    pub bytes: &'a mut [u8],
    /// Whether stores are allowed.
    pub writable: bool,
}

#[cfg(feature = "alloc")]
/// A few regions; everything else is refused.
pub struct Regions<'a>(pub alloc::vec::Vec<Region<'a>>);

#[cfg(feature = "alloc")]
impl Regions<'_> {
    fn find(&mut self, address: u64, size: Size, write: bool) -> Option<&mut [u8]> {
        for r in &mut self.0 {
            let offset = address.wrapping_sub(r.base);
            let end = offset.checked_add(size.bytes() as u64);
            if offset < r.bytes.len() as u64 && end.is_some_and(|e| e <= r.bytes.len() as u64) {
                if write && !r.writable {
                    return None;
                }
                return Some(&mut r.bytes[offset as usize..]);
            }
        }
        None
    }
}

#[cfg(feature = "alloc")]
impl Memory for Regions<'_> {
    fn load(&mut self, address: u64, size: Size) -> Option<u64> {
        self.find(address, size, false).map(|b| size.get(b))
    }
    fn store(&mut self, address: u64, size: Size, value: u64) -> Option<()> {
        self.find(address, size, true).map(|b| size.put(b, value))
    }
}

/// The whole address space, unchecked: for programs that the verifier has accepted.
pub struct Trusted(());

impl Trusted {
    /// # Safety
    /// Every program run over it must have been accepted by the verifier, for the context and maps that it is run with.
    pub unsafe fn new() -> Trusted {
        Trusted(())
    }
}

impl Memory for Trusted {
    fn load(&mut self, address: u64, size: Size) -> Option<u64> {
        let p = address as *const u8;
        // SAFETY: the constructor's caller promised verified programs, whose loads lie in live memory of the server.
        // Alignment is not assumed.
        unsafe {
            Some(match size {
                Size::B1 => p.read_volatile() as u64,
                Size::B2 => p.cast::<u16>().read_unaligned() as u64,
                Size::B4 => p.cast::<u32>().read_unaligned() as u64,
                Size::B8 => p.cast::<u64>().read_unaligned(),
            })
        }
    }

    fn store(&mut self, address: u64, size: Size, value: u64) -> Option<()> {
        let p = address as *mut u8;
        // SAFETY: as for loads; the verifier allows stores only to writable memory.
        unsafe {
            match size {
                Size::B1 => p.write_volatile(value as u8),
                Size::B2 => p.cast::<u16>().write_unaligned(value as u16),
                Size::B4 => p.cast::<u32>().write_unaligned(value as u32),
                Size::B8 => p.cast::<u64>().write_unaligned(value),
            }
        }
        Some(())
    }

    fn update(&mut self, address: u64, size: Size, f: &mut dyn FnMut(u64) -> u64) -> Option<u64> {
        if !address.is_multiple_of(size.bytes() as u64) {
            return None;
        }
        match size {
            Size::B4 => {
                // SAFETY: verified, aligned as just checked, and live for the call.
                let a = unsafe { AtomicU32::from_ptr(address as *mut u32) };
                let step = |old: u32| Some(f(old as u64) as u32);
                a.fetch_update(Ordering::SeqCst, Ordering::SeqCst, step).ok().map(u64::from)
            }
            Size::B8 => {
                // SAFETY: verified, aligned as just checked, and live for the call.
                let a = unsafe { AtomicU64::from_ptr(address as *mut u64) };
                a.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |old| Some(f(old))).ok()
            }
            _ => None,
        }
    }
}
