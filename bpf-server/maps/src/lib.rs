//! Maps over memory that the caller provides, so that their frames can be shared between servers.
//!
//! The memory holds only data: a map's shape lives in its [`Map`] descriptor, which is private to each server that maps the
//! frames. Whoever shares the frames may write nonsense into them, so indices found in memory are checked against the
//! descriptor and walks are bounded: a hostile peer can spoil a map's contents, not the server's memory.
//!
//! | kind | memory |
//! |---|---|
//! | array (and per-CPU array: this system has one CPU) | the values, each rounded up to 8 bytes |
//! | hash, per-CPU hash, LRU hash | header, buckets, entries: see `hash` |
//! | queue, stack | header, values: see `queue` |
//! | ring buffer | consumer page, producer page, data: see `ring` |
//!
//! Return values are Linux's: 0 or a negative errno.
#![no_std]
#[cfg(test)]
extern crate std;

mod hash;
mod queue;
mod ring;

use axiom_bpf_isa::{MapDef, MapType};
use core::fmt;

/// The examples of README.md are tests, too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use hash::HashStats;
pub use ring::{Consumer, Record};

/// Frames are this large.
pub const PAGE: usize = 4096;
/// Most bytes that a map may take.
pub const MAX_BYTES: usize = 16 << 20;

#[allow(missing_docs)]
pub mod errno {
    pub const EPERM: i64 = -1;
    pub const ENOENT: i64 = -2;
    pub const E2BIG: i64 = -7;
    pub const EAGAIN: i64 = -11;
    pub const EBUSY: i64 = -16;
    pub const EEXIST: i64 = -17;
    pub const ENODEV: i64 = -19;
    pub const EINVAL: i64 = -22;
    pub const EOPNOTSUPP: i64 = -95;
}

/// Update only what is missing.
pub const NOEXIST: u64 = 1;
/// Update only what exists.
pub const EXIST: u64 = 2;

/// Why a map cannot be made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MapError {
    /// A key of this many bytes does not fit the kind.
    KeySize(u32),
    /// A value of this many bytes does not fit the kind.
    ValueSize(u32),
    /// This many entries do not fit the kind.
    Entries(u32),
    /// Needs this many bytes, more than [`MAX_BYTES`].
    TooLarge(u64),
    /// Flags that are not implemented.
    Flags(u32),
}

impl fmt::Display for MapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            MapError::KeySize(n) => {
                write!(
                    f,
                    "a key of {n} bytes: arrays have 4, hashes 1 to 512, queues, stacks and ring buffers none"
                )
            }
            MapError::ValueSize(n) => {
                write!(f, "a value of {n} bytes: ring buffers have none, other maps 1 byte to 1 MiB")
            }
            MapError::Entries(n) => write!(
                f,
                "max_entries is {n}: it must not be 0, and for a ring buffer it is its size in bytes, a power of two of at least 4096"
            ),
            MapError::TooLarge(n) => {
                write!(f, "the map needs {} KiB, and the most is {} KiB", n.div_ceil(1024), MAX_BYTES >> 10)
            }
            MapError::Flags(n) => {
                write!(f, "map_flags {n:#x}: only BPF_F_NO_PREALLOC (1) of a hash that is not LRU is there")
            }
        }
    }
}

impl core::error::Error for MapError {}

/// Bytes of memory that a map needs (not rounded to pages).
pub fn bytes_needed(def: &MapDef) -> Result<usize, MapError> {
    // BPF_F_NO_PREALLOC asks for nothing that matters here.
    let allowed = matches!(def.map_type, MapType::Hash | MapType::PercpuHash) as u32;
    if def.flags & !allowed != 0 {
        return Err(MapError::Flags(def.flags));
    }
    if def.max_entries == 0 {
        return Err(MapError::Entries(0));
    }
    let value_ok = (1..=1 << 20).contains(&def.value_size);
    let bytes = match def.map_type {
        MapType::Array | MapType::PercpuArray => {
            if def.key_size != 4 {
                return Err(MapError::KeySize(def.key_size));
            }
            if !value_ok {
                return Err(MapError::ValueSize(def.value_size));
            }
            (stride(def.value_size) as u64).saturating_mul(def.max_entries as u64)
        }
        MapType::Hash | MapType::PercpuHash | MapType::LruHash => {
            if !(1..=512).contains(&def.key_size) {
                return Err(MapError::KeySize(def.key_size));
            }
            if !value_ok {
                return Err(MapError::ValueSize(def.value_size));
            }
            hash::bytes_needed(def)
        }
        MapType::RingBuf => {
            if def.key_size != 0 {
                return Err(MapError::KeySize(def.key_size));
            }
            if def.value_size != 0 {
                return Err(MapError::ValueSize(def.value_size));
            }
            if !def.max_entries.is_power_of_two() || (def.max_entries as usize) < PAGE {
                return Err(MapError::Entries(def.max_entries));
            }
            2 * PAGE as u64 + def.max_entries as u64
        }
        MapType::Queue | MapType::Stack => {
            if def.key_size != 0 {
                return Err(MapError::KeySize(def.key_size));
            }
            if !value_ok {
                return Err(MapError::ValueSize(def.value_size));
            }
            queue::bytes_needed(def)
        }
    };
    if bytes > MAX_BYTES as u64 { Err(MapError::TooLarge(bytes)) } else { Ok(bytes as usize) }
}

/// Bytes from one array element to the next.
pub const fn stride(value_size: u32) -> usize {
    (value_size as usize).next_multiple_of(8)
}

/// A map as one server sees it: its shape and where its memory is mapped.
#[derive(Clone, Debug)]
pub struct Map {
    def: MapDef,
    base: *mut u8,
    /// Array: stride. Hash: bytes of an entry.
    stride: u32,
    /// Ring buffer: the producer's position, kept where nobody else can write.
    produced: u64,
}

impl Map {
    /// Takes memory that already holds a map of this shape (or zeros, which is every kind's empty state).
    ///
    /// # Safety
    /// `base` is 8-byte aligned and points to [`bytes_needed`] bytes, mapped for as long as the descriptor is used; in this
    /// server only this descriptor and verified programs write there.
    pub unsafe fn new(def: MapDef, base: *mut u8) -> Result<Map, MapError> {
        bytes_needed(&def)?;
        let stride = match def.map_type {
            kind if kind.is_hash() => hash::entry_bytes(&def),
            _ => stride(def.value_size),
        } as u32;
        let mut map = Map { def, base, stride, produced: 0 };
        if def.map_type == MapType::RingBuf {
            map.produced = map.ring_resume();
        }
        Ok(map)
    }

    /// Its shape.
    pub fn def(&self) -> &MapDef {
        &self.def
    }

    /// Where its memory starts in this server.
    pub fn base(&self) -> *mut u8 {
        self.base
    }

    /// The value of a key; null if there is none.
    ///
    /// # Safety
    /// `key` points to `key_size` readable bytes.
    #[inline]
    pub unsafe fn lookup(&self, key: *const u8) -> *mut u8 {
        match self.def.map_type {
            MapType::Array | MapType::PercpuArray => {
                // SAFETY: an array's key has four bytes.
                let index = unsafe { key.cast::<u32>().read_unaligned() };
                self.element(index)
            }
            // SAFETY: the caller's promise.
            MapType::Hash | MapType::PercpuHash | MapType::LruHash => unsafe { self.hash_lookup(key) },
            MapType::Queue | MapType::Stack | MapType::RingBuf => core::ptr::null_mut(),
        }
    }

    /// An array's element; null beyond the end.
    #[inline]
    pub fn element(&self, index: u32) -> *mut u8 {
        if index < self.def.max_entries {
            self.base.wrapping_add(index as usize * self.stride as usize)
        } else {
            core::ptr::null_mut()
        }
    }

    /// Sets the value of a key; `flags` as Linux's BPF_ANY 0, NOEXIST 1, EXIST 2.
    ///
    /// # Safety
    /// `key` points to `key_size`, `value` to `value_size` readable bytes.
    pub unsafe fn update(&mut self, key: *const u8, value: *const u8, flags: u64) -> i64 {
        if flags > EXIST {
            return errno::EINVAL;
        }
        match self.def.map_type {
            MapType::Array | MapType::PercpuArray => {
                if flags == NOEXIST {
                    return errno::EEXIST;
                }
                // SAFETY: an array's key has four bytes.
                let index = unsafe { key.cast::<u32>().read_unaligned() };
                let to = self.element(index);
                if to.is_null() {
                    return errno::E2BIG;
                }
                // SAFETY: `to` is an element of value_size bytes; the value may be the element itself, so `copy`.
                unsafe { core::ptr::copy(value, to, self.def.value_size as usize) };
                0
            }
            // SAFETY: the caller's promise.
            MapType::Hash | MapType::PercpuHash | MapType::LruHash => unsafe {
                self.hash_update(key, value, flags)
            },
            MapType::Queue | MapType::Stack | MapType::RingBuf => errno::EOPNOTSUPP,
        }
    }

    /// Removes a key.
    ///
    /// # Safety
    /// `key` points to `key_size` readable bytes.
    pub unsafe fn delete(&mut self, key: *const u8) -> i64 {
        match self.def.map_type {
            MapType::Array | MapType::PercpuArray => errno::EINVAL,
            // SAFETY: the caller's promise.
            MapType::Hash | MapType::PercpuHash | MapType::LruHash => unsafe { self.hash_delete(key) },
            MapType::Queue | MapType::Stack | MapType::RingBuf => errno::EOPNOTSUPP,
        }
    }
}

#[cfg(test)]
mod tests;
