//! Ring buffers in Linux's layout: what reads one with libbpf's rules reads these.
//!
//! ```text
//! page 0        u64 consumer position (written by the consumer only)
//! page 1        u64 producer position (written by the producer only)
//! pages 2..     data: records { u32 length | BUSY | DISCARD, u32 page offset, bytes, padding to 8 }
//! ```
//! Linux maps the data twice in a row so that a record may wrap. Here a record never wraps: when it does not fit before
//! the end, the rest becomes a discarded record, which every consumer skips anyway. The price is up to one record of
//! lost space per round; the gain is that frames are mapped once.
//!
//! The producer keeps its position in its descriptor, so a consumer that writes nonsense can only make the ring look full.

use crate::{Map, PAGE, errno};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

const BUSY: u32 = 1 << 31;
const DISCARD: u32 = 1 << 30;
const HEADER: u64 = 8;
const DATA: usize = 2 * PAGE;

const AVAIL_DATA: u64 = 0;
const RING_SIZE: u64 = 1;
const CONS_POS: u64 = 2;
const PROD_POS: u64 = 3;

impl Map {
    fn ring_size(&self) -> u64 {
        self.def.max_entries as u64
    }

    fn position(&self, page: usize) -> &AtomicU64 {
        // SAFETY: the first word of page 0 or 1 of a ring buffer's memory, aligned and live by `new`'s contract.
        unsafe { AtomicU64::from_ptr(self.base.add(page * PAGE).cast()) }
    }

    /// The header of the record at a position (a multiple of 8).
    fn header(&self, position: u64) -> &AtomicU32 {
        let offset = DATA + (position & (self.ring_size() - 1)) as usize;
        // SAFETY: inside the data pages by the mask, aligned because positions are multiples of 8.
        unsafe { AtomicU32::from_ptr(self.base.add(offset).cast()) }
    }

    /// Where a producer that takes over goes on.
    pub(crate) fn ring_resume(&self) -> u64 {
        self.position(1).load(Ordering::Relaxed) & !7
    }

    /// Reserves `size` bytes; null when the ring is full. The record stays invisible until it is submitted.
    pub fn ring_reserve(&mut self, size: u64) -> *mut u8 {
        let ring = self.ring_size();
        if size == 0 || size > ring - HEADER || size >= DISCARD as u64 {
            return core::ptr::null_mut();
        }
        let need = (size + HEADER).next_multiple_of(8);
        let consumed = self.position(0).load(Ordering::Acquire);
        let mut at = self.produced;
        let to_end = ring - (at & (ring - 1));
        let skip = if need > to_end { to_end } else { 0 };
        let used = at.wrapping_sub(consumed);
        if used > ring || used + skip + need > ring {
            return core::ptr::null_mut();
        }
        if skip != 0 {
            self.header(at).store((skip - HEADER) as u32 | DISCARD, Ordering::Relaxed);
            at += skip;
        }
        let header = self.header(at);
        header.store(size as u32 | BUSY, Ordering::Relaxed);
        let offset = DATA + (at & (ring - 1)) as usize;
        // Linux's page offset of the record, for those who look.
        // SAFETY: the second word of a record header, which lies inside the data (need <= to_end).
        unsafe { self.base.add(offset + 4).cast::<u32>().write((offset / PAGE) as u32) };
        self.produced = at + need;
        self.position(1).store(self.produced, Ordering::Release);
        self.base.wrapping_add(offset + HEADER as usize)
    }

    /// Publishes (or with `discard` drops) a reserved record. `self` is not needed to find it: the header is before it.
    ///
    /// # Safety
    /// `data` came from [`Map::ring_reserve`] and was not submitted or discarded yet.
    pub unsafe fn ring_commit(data: *mut u8, discard: bool) {
        // SAFETY: the record's header lies 8 bytes before its data.
        let header = unsafe { AtomicU32::from_ptr(data.sub(HEADER as usize).cast()) };
        let mut value = header.load(Ordering::Relaxed) & !BUSY;
        if discard {
            value |= DISCARD;
        }
        header.store(value, Ordering::Release);
    }

    /// Reserves, copies and publishes.
    ///
    /// # Safety
    /// `data` points to `size` readable bytes.
    pub unsafe fn ring_output(&mut self, data: *const u8, size: u64) -> i64 {
        if size > self.ring_size() - HEADER {
            return errno::E2BIG;
        }
        let to = self.ring_reserve(size);
        if to.is_null() {
            return if size == 0 { errno::EINVAL } else { errno::EAGAIN };
        }
        // SAFETY: `to` has `size` bytes in the ring; `data` is the caller's promise and no fresh record.
        unsafe {
            core::ptr::copy(data, to, size as usize);
            Map::ring_commit(to, false);
        }
        0
    }

    /// Linux's `bpf_ringbuf_query`.
    pub fn ring_query(&self, what: u64) -> u64 {
        let consumed = self.position(0).load(Ordering::Acquire);
        match what {
            AVAIL_DATA => self.produced.wrapping_sub(consumed).min(self.ring_size()),
            RING_SIZE => self.ring_size(),
            CONS_POS => consumed,
            PROD_POS => self.produced,
            _ => 0,
        }
    }
}

/// The reading side, in whichever server maps the ring's frames.
#[derive(Debug)]
pub struct Consumer {
    base: *mut u8,
    size: u64,
    position: u64,
    /// Records whose header made no sense; the consumer then jumps to the producer's position.
    pub damaged: u64,
}

/// A record, still in the ring.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Its bytes.
    pub bytes: &'a [u8],
}

impl Consumer {
    /// Takes a ring of `size` data bytes whose pages are mapped in a row, the first one writable.
    ///
    /// # Safety
    /// `base` is page-aligned and points to `size + 2` pages worth of a ring's memory, mapped for as long as the consumer is
    /// used; nobody else consumes.
    pub unsafe fn new(base: *mut u8, size: u32) -> Option<Consumer> {
        if !size.is_power_of_two() || (size as usize) < PAGE {
            return None;
        }
        let mut consumer = Consumer { base, size: size as u64, position: 0, damaged: 0 };
        consumer.position = consumer.word(0).load(Ordering::Relaxed);
        Some(consumer)
    }

    fn word(&self, page: usize) -> &AtomicU64 {
        // SAFETY: the first word of one of the two position pages.
        unsafe { AtomicU64::from_ptr(self.base.add(page * PAGE).cast()) }
    }

    /// Bytes that the producer has published and this consumer has not read (records in progress included).
    pub fn available(&self) -> u64 {
        self.word(1).load(Ordering::Acquire).wrapping_sub(self.position)
    }

    /// Hands the next record to `f`; then its space is free. Returns `None` when there is none (or the next one is still
    /// being written).
    pub fn next<R>(&mut self, f: impl FnOnce(Record<'_>) -> R) -> Option<R> {
        loop {
            let produced = self.word(1).load(Ordering::Acquire);
            let ahead = produced.wrapping_sub(self.position);
            if ahead == 0 {
                return None;
            }
            if ahead > self.size || !self.position.is_multiple_of(8) {
                self.damaged += 1;
                self.release(produced);
                return None;
            }
            let within = self.position & (self.size - 1);
            // SAFETY: inside the data by the mask, aligned by the check above.
            let header = unsafe { AtomicU32::from_ptr(self.base.add(DATA + within as usize).cast()) };
            let value = header.load(Ordering::Acquire);
            if value & BUSY != 0 {
                return None;
            }
            let length = (value & !DISCARD) as u64;
            let whole = (length + HEADER).next_multiple_of(8);
            if whole > ahead || within + whole > self.size {
                self.damaged += 1;
                self.release(produced);
                return None;
            }
            let next = self.position + whole;
            if value & DISCARD != 0 {
                self.release(next);
                continue;
            }
            // SAFETY: the record lies inside the data (just checked); the producer does not touch it before `release`.
            let bytes = unsafe {
                core::slice::from_raw_parts(self.base.add(DATA + (within + HEADER) as usize), length as usize)
            };
            let result = f(Record { bytes });
            self.release(next);
            return Some(result);
        }
    }

    fn release(&mut self, position: u64) {
        self.position = position;
        self.word(0).store(position, Ordering::Release);
    }
}
