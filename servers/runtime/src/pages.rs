//! Free slots and free addresses of a server that maps frames itself.

use alloc::vec;
use alloc::vec::Vec;
use axiom_layout::Runs;
use axiom_proto::env::{Env, Range};
use sel4_sys::CPtr;

/// Bytes of a page.
pub const PAGE: u64 = 4096;

/// Free slots of this server's CNode: rows that are given back merge, so that rows of any length are found again.
pub struct Slots(Runs);

impl Slots {
    /// Those that the environment names.
    pub fn new(env: &Env) -> Slots {
        Slots(Runs::new(env.free_slots.0, env.free_slots.1))
    }
    /// One slot.
    pub fn take(&mut self) -> Option<CPtr> {
        self.take_row(1)
    }
    /// Slots in a row.
    pub fn take_row(&mut self, count: u64) -> Option<CPtr> {
        self.0.take(count).map(CPtr)
    }
    /// Gives a slot back; it must be empty.
    pub fn give(&mut self, slot: CPtr) {
        self.give_row(slot, 1);
    }
    /// Gives slots in a row back; they must be empty.
    pub fn give_row(&mut self, first: CPtr, count: u64) {
        self.0.give(first.0, count);
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
