//! Free slots and free addresses of a server that maps frames itself.

use crate::{Frame, VSpace};
use axiom_layout::{ServerPages, ServerSlots};
use axiom_mmio::Mmio;
use axiom_proto::env::{Env, Range};
use core::ptr::NonNull;
use sel4_sys::object::vm_attributes;
use sel4_sys::{CPtr, CapRights};

/// Why registers could not be mapped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unmapped {
    /// No addresses are left.
    NoRoom,
    /// The kernel refused.
    Kernel(sel4_sys::Error),
}

/// Bytes of a page.
pub const PAGE: u64 = 4096;

/// Free slots of this server's CNode, a bit each.
pub struct Slots(ServerSlots);

impl Slots {
    /// Those that the environment names.
    pub fn new(env: &Env<'_>) -> Slots {
        Slots(ServerSlots::new(env.free_slots.0, env.free_slots.1))
    }
    /// One slot.
    #[inline]
    pub fn take(&mut self) -> Option<CPtr> {
        self.0.take_one().map(CPtr)
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

/// Pages of an address range whose page tables exist; at most [`MAX_SCRATCH_KIB`](axiom_layout::MAX_SCRATCH_KIB).
pub struct Pages {
    start: u64,
    free: ServerPages,
}

impl Pages {
    /// All of a range.
    pub fn new(range: Range) -> Pages {
        Pages { start: range.start, free: ServerPages::new(0, range.len / PAGE) }
    }
    /// Addresses for pages in a row.
    pub fn take(&mut self, count: usize) -> Option<u64> {
        self.free.take(count as u64).map(|first| self.start + first * PAGE)
    }
    /// Maps frames of a device's registers in a row, for this server's life.
    pub fn registers(&mut self, frames: &[Frame]) -> Result<Mmio, Unmapped> {
        let at = self.take(frames.len()).ok_or(Unmapped::NoRoom)?;
        for (page, frame) in (0..).zip(frames) {
            let there = at + page * PAGE;
            frame
                .map(VSpace::OWN, there, CapRights::READ_WRITE, vm_attributes::EXECUTE_NEVER)
                .map_err(Unmapped::Kernel)?;
        }
        let start = NonNull::new(at as *mut u32).ok_or(Unmapped::NoRoom)?;
        // SAFETY: the pages were just mapped as device memory, at addresses that nobody else was given and that are not given back.
        Ok(unsafe { Mmio::new(start) })
    }
    /// Gives them back.
    pub fn give(&mut self, address: u64, count: usize) {
        self.free.give((address - self.start) / PAGE, count as u64);
    }
}
