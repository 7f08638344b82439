//! RAM: what the device tree describes, minus what is in use, and a boot allocator over the rest.
use super::found::{Fatal, Path, each_node};
use crate::print::println;
use axiom_fdt::Fdt;
use axiom_objects::ranges::{MAX_RANGES, TooManyPieces};
use axiom_objects::{PhysAddr, Ranges};

impl From<TooManyPieces> for Fatal {
    fn from(_: TooManyPieces) -> Fatal {
        Fatal("memory is in more than 32 pieces")
    }
}

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
        let mut ram = Ranges::new();
        let mut result = Ok(());
        each_node(fdt, |n| {
            if n.text("device_type") != Some("memory") || !n.is_enabled() {
                return;
            }
            for (start, size) in (0..).map_while(|i| n.reg(i)) {
                if let Some(end) = start.checked_add(size) {
                    let added = ram.add(start, end);
                    if result.is_ok() {
                        result = added;
                    }
                } else {
                    println!("axiom: {} describes a range that wraps; it is ignored", Path(n));
                }
            }
        });
        result?;
        if ram.as_slice().is_empty() {
            return Err(Fatal(
                "no memory: the device tree has no node with device_type \"memory\" and a reg property",
            ));
        }
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
        for (start, size) in fdt.reservations().take(MAX_RANGES) {
            self.reserve(start, start.saturating_add(size))?;
        }
        let mut result = Ok(());
        each_node(fdt, |n| {
            if n.depth == 2 && n.ancestor(1) == "reserved-memory" && n.is_enabled() {
                for (start, size) in (0..).map_while(|i| n.reg(i)) {
                    let end = start.saturating_add(size);
                    let mut reserved = self.reserve(start, end);
                    if n.prop("no-map").is_some() {
                        reserved = reserved.and(self.mapped.remove(start, end).map_err(Fatal::from));
                    }
                    if result.is_ok() {
                        result = reserved;
                    }
                }
            }
        });
        result
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
        Err(Fatal("there is too little RAM for the root task"))
    }
}
