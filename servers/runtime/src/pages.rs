//! Free slots and free addresses of a server that maps frames itself.

use alloc::vec;
use alloc::vec::Vec;
use axiom_proto::env::{Env, Range};
use sel4_sys::CPtr;

/// Bytes of a page.
pub const PAGE: u64 = 4096;

/// Free slots of this server's CNode.
pub struct Slots {
    next: u64,
    end: u64,
    free: Vec<u64>,
}

impl Slots {
    /// Those that the environment names.
    pub fn new(env: &Env) -> Slots {
        Slots { next: env.free_slots.0, end: env.free_slots.1, free: Vec::new() }
    }
    /// One slot.
    pub fn take(&mut self) -> Option<CPtr> {
        if let Some(slot) = self.free.pop() {
            return Some(CPtr(slot));
        }
        self.take_row(1)
    }
    /// Slots in a row. They are given back one by one.
    pub fn take_row(&mut self, count: u64) -> Option<CPtr> {
        if self.end - self.next < count {
            return None;
        }
        let first = self.next;
        self.next += count;
        Some(CPtr(first))
    }
    /// Gives a slot back; it must be empty.
    pub fn give(&mut self, slot: CPtr) {
        self.free.push(slot.0);
    }
}

/// Pages of an address range whose page tables exist.
pub struct Pages {
    start: u64,
    taken: Vec<bool>,
}

impl Pages {
    /// All of a range.
    pub fn new(range: Range) -> Pages {
        Pages { start: range.start, taken: vec![false; (range.len / PAGE) as usize] }
    }
    /// Addresses for pages in a row.
    pub fn take(&mut self, count: usize) -> Option<u64> {
        let mut run = 0;
        for i in 0..self.taken.len() {
            run = if self.taken[i] { 0 } else { run + 1 };
            if run == count {
                let first = i + 1 - count;
                self.taken[first..=i].fill(true);
                return Some(self.start + first as u64 * PAGE);
            }
        }
        None
    }
    /// Gives them back.
    pub fn give(&mut self, address: u64, count: usize) {
        let first = ((address - self.start) / PAGE) as usize;
        self.taken[first..first + count].fill(false);
    }
}
