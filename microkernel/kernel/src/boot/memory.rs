//! RAM: what the device tree describes, minus what is in use, and a boot allocator over the rest.
use super::{Fatal, Path, each_node};
use crate::print::println;
use axiom_fdt::Fdt;
use axiom_objects::PhysAddr;

const MAX_RANGES: usize = 32;

/// A set of page-aligned ranges, ascending and apart.
#[derive(Clone, Copy)]
pub struct Ranges {
    list: [(u64, u64); MAX_RANGES],
    count: usize,
}

impl Ranges {
    const fn new() -> Ranges {
        Ranges { list: [(0, 0); MAX_RANGES], count: 0 }
    }

    /// One range from 0.
    pub fn all(end: u64) -> Ranges {
        let mut all = Ranges::new();
        all.list[0] = (0, end);
        all.count = 1;
        all
    }

    /// The ranges.
    pub fn as_slice(&self) -> &[(u64, u64)] {
        &self.list[..self.count]
    }

    fn push(&mut self, at: usize, range: (u64, u64)) -> Result<(), Fatal> {
        if self.count == MAX_RANGES {
            return Err(Fatal("memory is in more than 32 pieces"));
        }
        self.list.copy_within(at..self.count, at + 1);
        self.list[at] = range;
        self.count += 1;
        Ok(())
    }

    fn remove_at(&mut self, at: usize) {
        self.list.copy_within(at + 1..self.count, at);
        self.count -= 1;
    }

    /// Adds whole pages of a range; overlapping or touching ranges join.
    pub fn add(&mut self, start: u64, end: u64) -> Result<(), Fatal> {
        let (mut start, mut end) = (start.next_multiple_of(4096), end & !4095);
        if start >= end {
            return Ok(());
        }
        let mut i = 0;
        while i < self.count {
            let (s, e) = self.list[i];
            if start <= e && s <= end {
                start = start.min(s);
                end = end.max(e);
                self.remove_at(i);
            } else {
                i += 1;
            }
        }
        let at = self.as_slice().iter().position(|r| r.0 > start).unwrap_or(self.count);
        self.push(at, (start, end))
    }

    /// Takes all pages that a range touches out.
    pub fn remove(&mut self, start: u64, end: u64) -> Result<(), Fatal> {
        let (start, end) = (start & !4095, end.next_multiple_of(4096));
        let mut i = 0;
        while i < self.count {
            let (s, e) = self.list[i];
            if e <= start || s >= end {
                i += 1;
                continue;
            }
            self.remove_at(i);
            if end < e {
                self.push(i, (end, e))?;
            }
            if s < start {
                self.push(i, (s, start))?;
                i += 1;
            }
            if end < e {
                i += 1;
            }
        }
        Ok(())
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
        if ram.count == 0 {
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
    pub fn mapped(&self) -> &[(u64, u64)] {
        self.mapped.as_slice()
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
        self.free.remove(start, end)
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
                        reserved = reserved.and(self.mapped.remove(start, end));
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
        for i in (0..self.free.count).rev() {
            let (start, end) = self.free.list[i];
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
