//! Queues (first in, first out) and stacks (last in, first out) of values without keys.
//!
//! ```text
//! 0   u32 first      the oldest value's place
//! 4   u32 count      values that are there
//! 64  values[]       each rounded up to 8 bytes, used as a ring
//! ```
//! All zeros is an empty map. Places and counts are read from memory that others may have spoiled, so they are brought back
//! into range before use.

use crate::{EXIST, Map, errno, stride};
use axiom_bpf_isa::{MapDef, MapType};
use core::sync::atomic::{AtomicU32, Ordering};

const FIRST: usize = 0;
const COUNT: usize = 4;
const HEADER: usize = 64;

pub(crate) fn bytes_needed(def: &MapDef) -> u64 {
    (stride(def.value_size) as u64).saturating_mul(def.max_entries.into()).saturating_add(HEADER as u64)
}

impl Map {
    fn is_queue(&self) -> bool {
        matches!(self.def.map_type, MapType::Queue | MapType::Stack)
    }

    /// `FIRST` or `COUNT`; only for queues and stacks.
    fn queue_word(&self, offset: usize) -> &AtomicU32 {
        // SAFETY: the first words of a queue's memory, aligned and live by `new`'s contract. Atomics make concurrent readers
        // and hostile writers in other servers harmless.
        unsafe { AtomicU32::from_ptr(self.base.add(offset).cast()) }
    }

    /// The oldest value's place and how many there are.
    fn queue_state(&self) -> (u32, u32) {
        let most = self.def.max_entries;
        let first = self.queue_word(FIRST).load(Ordering::Relaxed) % most;
        (first, self.queue_word(COUNT).load(Ordering::Relaxed).min(most))
    }

    fn set_queue(&self, first: u32, count: u32) {
        self.queue_word(FIRST).store(first, Ordering::Relaxed);
        self.queue_word(COUNT).store(count, Ordering::Relaxed);
    }

    /// The value `n` places behind the oldest.
    fn queue_value(&self, first: u32, n: u32) -> *mut u8 {
        let place = (u64::from(first) + u64::from(n)) % u64::from(self.def.max_entries);
        self.base.wrapping_add(HEADER + place as usize * self.stride as usize)
    }

    /// Adds a value. Full: -E2BIG, or with [`EXIST`] the oldest value makes room.
    ///
    /// # Safety
    /// `value` points to `value_size` readable bytes.
    pub unsafe fn push(&mut self, value: *const u8, flags: u64) -> i64 {
        if !self.is_queue() {
            return errno::EOPNOTSUPP;
        }
        if flags != 0 && flags != EXIST {
            return errno::EINVAL;
        }
        let (mut first, mut count) = self.queue_state();
        if count == self.def.max_entries {
            if flags != EXIST {
                return errno::E2BIG;
            }
            first = (first + 1) % self.def.max_entries;
            count -= 1;
        }
        // SAFETY: value_size bytes each; the value may lie in the map, so `copy`.
        unsafe { core::ptr::copy(value, self.queue_value(first, count), self.def.value_size as usize) };
        self.set_queue(first, count + 1);
        0
    }

    /// Copies the next value out and, with `take`, removes it: the oldest of a queue, the newest of a stack. Empty: -ENOENT, and
    /// the value is zeros.
    unsafe fn next_value(&self, value: *mut u8, take: bool) -> i64 {
        if !self.is_queue() {
            return errno::EOPNOTSUPP;
        }
        let size = self.def.value_size as usize;
        let (first, count) = self.queue_state();
        let Some(rest) = count.checked_sub(1) else {
            // SAFETY: the caller's promise.
            unsafe { value.write_bytes(0, size) };
            return errno::ENOENT;
        };
        let queue = self.def.map_type == MapType::Queue;
        let from = self.queue_value(first, if queue { 0 } else { rest });
        // SAFETY: value_size bytes each; the target may lie in the map, so `copy`.
        unsafe { core::ptr::copy(from, value, size) };
        if take {
            self.set_queue(if queue { (first + 1) % self.def.max_entries } else { first }, rest);
        }
        0
    }

    /// Takes the next value.
    ///
    /// # Safety
    /// `value` points to `value_size` writable bytes.
    pub unsafe fn pop(&mut self, value: *mut u8) -> i64 {
        // SAFETY: the caller's promise.
        unsafe { self.next_value(value, true) }
    }

    /// Copies the next value and leaves it there.
    ///
    /// # Safety
    /// `value` points to `value_size` writable bytes.
    pub unsafe fn peek(&self, value: *mut u8) -> i64 {
        // SAFETY: the caller's promise.
        unsafe { self.next_value(value, false) }
    }
}
