//! The memory of a run: one file in memory, mapped at the same address here and in the process that runs compiled code.
//!
//! ```text
//! 0          mailbox: what to run, and a helper's call and result
//! 0x1000     helper table
//! 0x2000     the code that enters the program and that stands for the helpers
//! 0x10000    the program's code
//! 0x200000   stack
//! 0x300000   context
//! 0x1000000  maps
//! ```
//! Pointers therefore mean the same to a program, to the helpers and to the maps' code.

use crate::Failure;
use std::sync::atomic::{AtomicBool, Ordering};

/// Where it is mapped.
pub const BASE: usize = 0x40_0000_0000;
/// Bytes of all of it.
pub const SIZE: usize = 64 << 20;
#[allow(missing_docs)]
pub mod at {
    pub const TABLE: usize = 0x1000;
    pub const STUBS: usize = 0x2000;
    pub const CODE: usize = 0x1_0000;
    pub const STACK: usize = 0x20_0000;
    pub const CONTEXT: usize = 0x30_0000;
    pub const MAPS: usize = 0x100_0000;
}

/// The mapped memory. There is one at a time, because its address is fixed.
pub struct Space {
    file: i32,
}

static TAKEN: AtomicBool = AtomicBool::new(false);

fn failed(what: &str) -> Failure {
    Failure::Refused(format!("{what}: {}", std::io::Error::last_os_error()))
}

impl Space {
    /// Makes and maps it, all zeros.
    pub fn new() -> Result<Space, Failure> {
        if TAKEN.swap(true, Ordering::Relaxed) {
            return Err(Failure::Refused("two runs at once".into()));
        }
        // SAFETY: makes a file of zeros; the name is a C string. It stays open in the process that runs compiled code.
        let file = unsafe { libc::memfd_create(c"axiom-bpf".as_ptr(), 0) };
        if file < 0 {
            return Err(failed("memory for the run cannot be made"));
        }
        let space = Space { file };
        // SAFETY: our own file.
        if unsafe { libc::ftruncate(file, SIZE as i64) } != 0 {
            return Err(failed("memory for the run cannot be had"));
        }
        let (protection, flags) =
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_FIXED_NOREPLACE);
        // SAFETY: a new mapping of our file; nothing that is mapped already is replaced.
        let p = unsafe { libc::mmap(BASE as *mut _, SIZE, protection, flags, file, 0) };
        if p as usize != BASE {
            return Err(failed("memory for the run cannot be mapped at its address"));
        }
        Ok(space)
    }

    /// The file, for another process to map.
    pub fn file(&self) -> i32 {
        self.file
    }

    /// A pointer to a place in it.
    pub fn pointer(&self, offset: usize) -> *mut u8 {
        assert!(offset <= SIZE);
        (BASE + offset) as *mut u8
    }

    /// Copies bytes in.
    pub fn write(&self, offset: usize, bytes: &[u8]) {
        assert!(offset.checked_add(bytes.len()).is_some_and(|end| end <= SIZE));
        // SAFETY: inside the mapping, as just checked; nobody runs there now.
        unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), self.pointer(offset), bytes.len()) };
    }

    /// Copies bytes out.
    pub fn read(&self, offset: usize, length: usize) -> Vec<u8> {
        assert!(offset.checked_add(length).is_some_and(|end| end <= SIZE));
        let mut bytes = vec![0; length];
        // SAFETY: inside the mapping, as just checked.
        unsafe { core::ptr::copy_nonoverlapping(self.pointer(offset), bytes.as_mut_ptr(), length) };
        bytes
    }

    /// A word of the mailbox.
    pub fn word(&self, index: usize) -> u64 {
        assert!(index < 512);
        // SAFETY: in the first page, aligned. The other process writes it only before it sends a byte.
        unsafe { self.pointer(index * 8).cast::<u64>().read_volatile() }
    }

    /// Sets a word of the mailbox.
    pub fn set_word(&self, index: usize, value: u64) {
        assert!(index < 512);
        // SAFETY: as for `word`.
        unsafe { self.pointer(index * 8).cast::<u64>().write_volatile(value) };
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        // SAFETY: our own mapping, if it was made, and our own file; nobody has pointers into it any more: the world and
        // its maps go before their space does.
        unsafe {
            libc::munmap(BASE as *mut _, SIZE);
            libc::close(self.file);
        }
        TAKEN.store(false, Ordering::Relaxed);
    }
}
