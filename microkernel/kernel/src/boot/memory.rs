//! RAM: what the firmware describes, minus what is in use, and a boot allocator over the rest.
use super::found::Fatal;
use crate::arch::firmware::Firmware;
use axiom_boot::Ranges;
use axiom_objects::PhysAddr;

/// The kernel's window is one table of the second level, so RAM lies below 2^39; half-deleted objects are linked by addresses of
/// `ADDRESS_BITS` bits, which must be enough for that.
const _: () = assert!(axiom_objects::zombie::ADDRESS_BITS >= 39);

/// The machine's RAM.
pub struct Memory {
    ram: Ranges,
    /// RAM that may be mapped: without what the firmware keeps even from that.
    mapped: Ranges,
    free: Ranges,
    allocated: u64,
}

impl Memory {
    /// RAM as the firmware describes it.
    pub fn of(firmware: &Firmware) -> Result<Memory, Fatal> {
        let ram = firmware.ram()?;
        Ok(Memory { ram, mapped: ram, free: ram, allocated: 0 })
    }

    /// All RAM.
    pub fn ram(&self) -> &[(u64, u64)] {
        self.ram.as_slice()
    }

    /// RAM that may be mapped: firmware that stays resident forbids even speculative reads of its part.
    pub fn mapped(&self) -> &Ranges {
        &self.mapped
    }

    /// RAM that nobody uses.
    pub fn free_ranges(&self) -> Ranges {
        self.free
    }

    /// Bytes that boot allocated.
    pub fn allocated(&self) -> u64 {
        self.allocated
    }

    /// Keeps a range out of what is handed out.
    pub fn reserve(&mut self, start: u64, end: u64) -> Result<(), Fatal> {
        Ok(self.free.remove(start, end)?)
    }

    /// Keeps out what the firmware reserves.
    pub fn reserve_listed(&mut self, firmware: &Firmware) -> Result<(), Fatal> {
        firmware.reserved(|start, end, no_map| {
            if no_map {
                self.mapped.remove(start, end)?;
            }
            self.free.remove(start, end)
        })
    }

    /// A table for the kernel's window, in memory that it can reach before it has the window: below 4 GiB.
    pub fn allocate_table(&mut self) -> Option<PhysAddr> {
        const REACH: u64 = 1 << 32;
        for i in (0..self.free.as_slice().len()).rev() {
            let (start, end) = self.free.as_slice()[i];
            let end = end.min(REACH);
            if start < end && end - start >= 4096 {
                self.free.remove(end - 4096, end).ok()?;
                self.allocated += 4096;
                crate::arch::cpu::zero(PhysAddr(end - 4096), 4096);
                return Some(PhysAddr(end - 4096));
            }
        }
        None
    }

    /// Allocates 2^`bits` bytes, aligned to their size and zeroed, from the end of the highest range that has room.
    pub fn allocate(&mut self, bits: u32) -> Result<PhysAddr, Fatal> {
        let at = self.allocate_dirty(bits)?;
        crate::arch::cpu::zero(at, 1 << bits);
        Ok(at)
    }

    /// The same, without zeroing: the caller writes all of it.
    pub fn allocate_dirty(&mut self, bits: u32) -> Result<PhysAddr, Fatal> {
        let size = 1u64 << bits;
        for i in (0..self.free.as_slice().len()).rev() {
            let (start, end) = self.free.as_slice()[i];
            let at = end.saturating_sub(size) & !(size - 1);
            if at >= start && end >= size {
                self.free.remove(at, at + size)?;
                self.allocated += size.max(4096);
                return Ok(PhysAddr(at));
            }
        }
        Err(Fatal::rule("there is too little RAM for the root task"))
    }
}
