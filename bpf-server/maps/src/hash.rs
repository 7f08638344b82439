//! Hash maps: chains of entries by index; with a list by last use for the kind that drops the least recently used entry when
//! it is full (LRU). A map per CPU is a plain one, because this system has one CPU.
//!
//! ```text
//! 0   u64 sequence   odd while the writer changes the structure; readers in other servers retry
//! 8   u32 used       entries ever taken from the end
//! 12  u32 free       first freed entry + 1, or 0
//! 16  u32 count      live entries
//! 20  u32 newest     LRU: the entry used last + 1, or 0
//! 24  u32 oldest     LRU: the entry to drop + 1, or 0
//! 64  u32 buckets[]  entry + 1, or 0; a power of two of them
//! ..  entries[]      { u32 next + 1, u32 hash, LRU: u32 newer + 1, u32 older + 1, key rounded to 8, value rounded to 8 }
//! ```
//! Every operation takes one walk of a chain, and for the LRU kind a few stores more: lookups and updates of programs count
//! as use, reads of other servers do not, as on Linux.
//!
//! All zeros is an empty map. A value's address stays valid after its deletion (the entry may then hold another key's
//! value), which is all that a program running at that moment needs.

use crate::{EXIST, Map, NOEXIST, errno};
use axiom_bpf_isa::{MapDef, MapType};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

const SEQUENCE: usize = 0;
const USED: usize = 8;
const FREE: usize = 12;
const COUNT: usize = 16;
const NEWEST: usize = 20;
const OLDEST: usize = 24;
const HEADER: usize = 64;
/// In an entry: the links of the LRU list.
const NEWER: usize = 8;
const OLDER: usize = 12;

/// Numbers about a hash map.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HashStats {
    /// Live entries.
    pub count: u32,
}

fn buckets(def: &MapDef) -> u64 {
    (def.max_entries as u64).next_power_of_two()
}

fn entries_at(def: &MapDef) -> u64 {
    (HEADER as u64 + buckets(def) * 4).next_multiple_of(8)
}

/// Bytes of an entry before its key.
const fn head_bytes(def: &MapDef) -> usize {
    if matches!(def.map_type, MapType::LruHash) { 16 } else { 8 }
}

pub(crate) fn entry_bytes(def: &MapDef) -> usize {
    head_bytes(def)
        + (def.key_size as usize).next_multiple_of(8)
        + (def.value_size as usize).next_multiple_of(8)
}

pub(crate) fn bytes_needed(def: &MapDef) -> u64 {
    (entry_bytes(def) as u64).saturating_mul(def.max_entries as u64).saturating_add(entries_at(def))
}

impl Map {
    /// A 32-bit word of the map's memory. `offset` is a multiple of 4 inside it: all callers compute it from checked
    /// indices.
    fn word(&self, offset: usize) -> &AtomicU32 {
        // SAFETY: `new`'s caller promised the memory, aligned; `offset` lies inside and is aligned (above). Atomics make
        // concurrent readers and hostile writers in other servers harmless.
        unsafe { AtomicU32::from_ptr(self.base.add(offset).cast()) }
    }

    fn sequence(&self) -> &AtomicU64 {
        // SAFETY: as in `word`; the header starts with the aligned sequence.
        unsafe { AtomicU64::from_ptr(self.base.add(SEQUENCE).cast()) }
    }

    fn entry(&self, index: u32) -> usize {
        debug_assert!(index < self.def.max_entries);
        entries_at(&self.def) as usize + index as usize * self.stride as usize
    }

    fn value_of(&self, index: u32) -> *mut u8 {
        self.base.wrapping_add(self.key_at(index) + (self.def.key_size as usize).next_multiple_of(8))
    }

    /// Offset of an entry's key.
    fn key_at(&self, index: u32) -> usize {
        self.entry(index) + head_bytes(&self.def)
    }

    fn is_lru(&self) -> bool {
        self.def.map_type == MapType::LruHash
    }

    /// An index + 1 from the map's memory, if it is one.
    fn link(&self, offset: usize) -> Option<u32> {
        self.word(offset).load(Ordering::Relaxed).checked_sub(1).filter(|&i| i < self.def.max_entries)
    }

    /// Takes an entry out of the list by last use.
    fn forget_use(&self, index: u32) {
        let at = self.entry(index);
        let (newer, older) = (self.link(at + NEWER), self.link(at + OLDER));
        let to = |link: Option<u32>| link.map_or(0, |i| i + 1);
        self.word(newer.map_or(NEWEST, |i| self.entry(i) + OLDER)).store(to(older), Ordering::Relaxed);
        self.word(older.map_or(OLDEST, |i| self.entry(i) + NEWER)).store(to(newer), Ordering::Relaxed);
    }

    /// Puts an entry that is in no list at the front of it.
    fn note_use(&self, index: u32) {
        let at = self.entry(index);
        let newest = self.link(NEWEST);
        self.word(at + NEWER).store(0, Ordering::Relaxed);
        self.word(at + OLDER).store(newest.map_or(0, |i| i + 1), Ordering::Relaxed);
        self.word(newest.map_or(OLDEST, |i| self.entry(i) + NEWER)).store(index + 1, Ordering::Relaxed);
        self.word(NEWEST).store(index + 1, Ordering::Relaxed);
    }

    /// An entry was used.
    #[inline]
    fn used(&self, index: u32) {
        if self.is_lru() && self.link(NEWEST) != Some(index) {
            self.forget_use(index);
            self.note_use(index);
        }
    }

    /// # Safety
    /// `key` points to `key_size` readable bytes.
    unsafe fn hash_of(&self, key: *const u8) -> u32 {
        let mut h = 0x9e37_79b9_7f4a_7c15u64;
        let mut rest = self.def.key_size as usize;
        let mut at = key;
        while rest >= 8 {
            // SAFETY: at least 8 bytes of the key are left.
            h = (h ^ unsafe { at.cast::<u64>().read_unaligned() }).wrapping_mul(0xff51_afd7_ed55_8ccd);
            h ^= h >> 32;
            at = at.wrapping_add(8);
            rest -= 8;
        }
        let mut last = 0u64;
        for i in 0..rest {
            // SAFETY: byte i < rest of the key's tail.
            last |= (unsafe { at.add(i).read() } as u64) << (8 * i);
        }
        h = (h ^ last).wrapping_mul(0xff51_afd7_ed55_8ccd);
        (h ^ h >> 32) as u32
    }

    /// # Safety
    /// `key` points to `key_size` readable bytes.
    unsafe fn same_key(&self, index: u32, key: *const u8) -> bool {
        let n = self.def.key_size as usize;
        // SAFETY: both are key_size bytes: the caller's, and an entry's key inside the map. Nothing in this server writes
        // either while we compare.
        unsafe {
            let stored = core::slice::from_raw_parts(self.base.add(self.key_at(index)), n);
            stored == core::slice::from_raw_parts(key, n)
        }
    }

    /// Walks a chain: the word that links to the entry (offset), and the entry.
    ///
    /// # Safety
    /// `key` points to `key_size` readable bytes.
    unsafe fn find(&self, hash: u32, key: *const u8) -> Result<(usize, u32), usize> {
        let bucket = self.bucket(hash);
        let mut link = bucket;
        // No chain is longer than the map; memory that says otherwise was spoiled by a peer.
        for _ in 0..self.def.max_entries {
            let next = self.word(link).load(Ordering::Acquire);
            let Some(index) = next.checked_sub(1).filter(|&i| i < self.def.max_entries) else { break };
            let at = self.entry(index);
            // SAFETY: the caller's promise.
            if self.word(at + 4).load(Ordering::Relaxed) == hash && unsafe { self.same_key(index, key) } {
                return Ok((link, index));
            }
            link = at;
        }
        Err(bucket)
    }

    pub(crate) unsafe fn hash_lookup(&self, key: *const u8) -> *mut u8 {
        // SAFETY: the caller's promise.
        let hash = unsafe { self.hash_of(key) };
        // SAFETY: as above.
        match unsafe { self.find(hash, key) } {
            Ok((_, index)) => {
                self.used(index);
                self.value_of(index)
            }
            Err(_) => core::ptr::null_mut(),
        }
    }

    pub(crate) unsafe fn hash_update(&mut self, key: *const u8, value: *const u8, flags: u64) -> i64 {
        // SAFETY: the caller's promise.
        let hash = unsafe { self.hash_of(key) };
        // SAFETY: as above.
        let found = unsafe { self.find(hash, key) };
        let value_size = self.def.value_size as usize;
        match found {
            Ok(_) if flags == NOEXIST => errno::EEXIST,
            Err(_) if flags == EXIST => errno::ENOENT,
            Ok((_, index)) => {
                // SAFETY: value_size bytes each; the value may be the entry's own.
                unsafe { core::ptr::copy(value, self.value_of(index), value_size) };
                self.used(index);
                0
            }
            Err(bucket) => {
                let Some(index) = self.take_entry() else { return errno::E2BIG };
                self.write_begin();
                let at = self.entry(index);
                // SAFETY: the entry is free and inside the map; key and value are the caller's promise.
                unsafe {
                    core::ptr::copy(key, self.base.add(self.key_at(index)), self.def.key_size as usize);
                    core::ptr::copy(value, self.value_of(index), value_size);
                }
                self.word(at + 4).store(hash, Ordering::Relaxed);
                self.word(at).store(self.word(bucket).load(Ordering::Relaxed), Ordering::Relaxed);
                self.word(bucket).store(index + 1, Ordering::Release);
                let count = self.word(COUNT).load(Ordering::Relaxed);
                self.word(COUNT).store(count.wrapping_add(1), Ordering::Relaxed);
                self.write_end();
                if self.is_lru() {
                    self.note_use(index);
                }
                0
            }
        }
    }

    pub(crate) unsafe fn hash_delete(&mut self, key: *const u8) -> i64 {
        // SAFETY: the caller's promise.
        let hash = unsafe { self.hash_of(key) };
        // SAFETY: as above.
        let Ok((link, index)) = (unsafe { self.find(hash, key) }) else { return errno::ENOENT };
        self.remove(link, index);
        0
    }

    /// Takes the entry behind a link out of its chain and frees it.
    fn remove(&mut self, link: usize, index: u32) {
        self.write_begin();
        let at = self.entry(index);
        self.word(link).store(self.word(at).load(Ordering::Relaxed), Ordering::Release);
        self.word(at).store(self.word(FREE).load(Ordering::Relaxed), Ordering::Relaxed);
        self.word(FREE).store(index + 1, Ordering::Relaxed);
        let count = self.word(COUNT).load(Ordering::Relaxed);
        self.word(COUNT).store(count.wrapping_sub(1), Ordering::Relaxed);
        self.write_end();
        if self.is_lru() {
            self.forget_use(index);
        }
    }

    /// Drops the entry that was used longest ago, if there is one.
    fn drop_oldest(&mut self) {
        let Some(index) = self.link(OLDEST) else { return };
        let hash = self.word(self.entry(index) + 4).load(Ordering::Relaxed);
        let mut link = self.bucket(hash);
        for _ in 0..self.def.max_entries {
            match self.link(link) {
                Some(i) if i == index => return self.remove(link, index),
                Some(i) => link = self.entry(i),
                None => return,
            }
        }
    }

    /// Offset of the word that a chain starts from.
    fn bucket(&self, hash: u32) -> usize {
        HEADER + (hash as u64 & (buckets(&self.def) - 1)) as usize * 4
    }

    fn take_entry(&mut self) -> Option<u32> {
        if self.is_lru()
            && self.link(FREE).is_none()
            && self.word(USED).load(Ordering::Relaxed) >= self.def.max_entries
        {
            self.drop_oldest();
        }
        let free = self.word(FREE).load(Ordering::Relaxed);
        if let Some(index) = free.checked_sub(1).filter(|&i| i < self.def.max_entries) {
            let next = self.word(self.entry(index)).load(Ordering::Relaxed);
            self.word(FREE).store(next, Ordering::Relaxed);
            return Some(index);
        }
        let used = self.word(USED).load(Ordering::Relaxed);
        if used >= self.def.max_entries {
            return None;
        }
        self.word(USED).store(used + 1, Ordering::Relaxed);
        Some(used)
    }

    fn write_begin(&self) {
        let s = self.sequence();
        s.store(s.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        fence(Ordering::Release);
    }

    fn write_end(&self) {
        let s = self.sequence();
        s.store(s.load(Ordering::Relaxed).wrapping_add(1), Ordering::Release);
    }

    /// Calls `f` with the address of each key and its value, in no order; nothing for other kinds.
    pub fn for_each(&self, mut f: impl FnMut(*const u8, *const u8)) {
        if !self.def.map_type.is_hash() {
            return;
        }
        let mut left = self.def.max_entries;
        for bucket in 0..buckets(&self.def) as usize {
            let mut link = HEADER + bucket * 4;
            while let Some(index) = self.link(link).filter(|_| left > 0) {
                left -= 1;
                f(self.base.wrapping_add(self.key_at(index)), self.value_of(index));
                link = self.entry(index);
            }
        }
    }

    /// Numbers about a hash map; `None` for other kinds.
    pub fn hash_stats(&self) -> Option<HashStats> {
        self.def.map_type.is_hash().then(|| HashStats { count: self.word(COUNT).load(Ordering::Relaxed) })
    }

    /// The value of a key, without counting it as used.
    ///
    /// # Safety
    /// `key` points to `key_size` readable bytes.
    unsafe fn peek_value(&self, key: *const u8, hashed: bool) -> *mut u8 {
        if !hashed {
            // SAFETY: the caller's promise.
            return unsafe { self.lookup(key) };
        }
        // SAFETY: the caller's promise.
        let found = unsafe { self.find(self.hash_of(key), key) };
        found.map_or(core::ptr::null_mut(), |(_, index)| self.value_of(index))
    }

    /// Reads a value from a server other than the writer's: the copy is of one moment of the map's structure, retried a
    /// few times while the writer is busy. (The value's own bytes may still change under a running program, as on Linux.)
    ///
    /// # Safety
    /// `key` points to `key_size` readable bytes, `out` to `value_size` writable ones.
    pub unsafe fn read_shared(&self, key: *const u8, out: *mut u8) -> i64 {
        let hashed = self.def.map_type.is_hash();
        for _ in 0..8 {
            let before = if hashed { self.sequence().load(Ordering::Acquire) } else { 0 };
            if before & 1 == 1 {
                continue;
            }
            // SAFETY: the caller's promise.
            let value = unsafe { self.peek_value(key, hashed) };
            if !value.is_null() {
                // SAFETY: value_size bytes inside the map, to the caller's buffer.
                unsafe { core::ptr::copy_nonoverlapping(value, out, self.def.value_size as usize) };
            }
            fence(Ordering::Acquire);
            if !hashed || self.sequence().load(Ordering::Relaxed) == before {
                return if value.is_null() { errno::ENOENT } else { 0 };
            }
        }
        errno::EAGAIN
    }
}
