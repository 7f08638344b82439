//! RAM: what the device tree describes, minus what is in use, and a boot allocator over the rest.
use super::found::Fatal;
use axiom_boot::{Ranges, Refusal, memory};
use axiom_fdt::Fdt;
use axiom_objects::PhysAddr;

/// The kernel's window is one table of the second level, so RAM lies below 2^39; half-deleted objects are linked by addresses of
/// `ADDRESS_BITS` bits, which must be enough for that.
const _: () = assert!(axiom_objects::zombie::ADDRESS_BITS >= 39);

/// The machine's RAM.
pub struct Memory {
    ram: Ranges,
    /// RAM that may be mapped: without what the device tree marks `no-map`.
    mapped: Ranges,
    free: Ranges,
    allocated: u64,
}

impl Memory {
    /// RAM as the device tree's memory nodes describe it.
    pub fn of(fdt: &Fdt<'_>) -> Result<Memory, Fatal> {
        let ram = memory::ram(fdt)?;
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

    /// Keeps out what the device tree reserves: its reservation block and `/reserved-memory`.
    pub fn reserve_listed(&mut self, fdt: &Fdt<'_>) -> Result<(), Fatal> {
        memory::reserved(fdt, |start, end, no_map| {
            if no_map {
                self.mapped.remove(start, end)?;
            }
            self.free.remove(start, end)
        })
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
        Err(Refusal::Rule("there is too little RAM for the root task"))
    }
}
