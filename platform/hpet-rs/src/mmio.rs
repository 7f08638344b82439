//! The registers of the machine.

use crate::regs::{BLOCK_BYTES, Registers};

/// A block that is mapped at an address. `WIDE`: with single accesses of 64 bits.
#[derive(Debug)]
pub struct Mmio<const WIDE: bool> {
    base: *mut u32,
}

/// With accesses of 32 bits: right everywhere.
pub type Mmio32 = Mmio<false>;
/// With accesses of 64 bits: only on a 64-bit machine whose bus does not split them. Half the reads of the counter.
pub type Mmio64 = Mmio<true>;

impl<const WIDE: bool> Mmio<WIDE> {
    /// # Safety
    /// `base` must be 8-aligned and the start of an HPET's 1 KiB, mapped as device memory (uncached) for as long as the value lives, and
    /// nobody else may write those registers meanwhile. With `WIDE` the machine must do an aligned 64-bit access as one.
    pub const unsafe fn new(base: *mut u32) -> Mmio<WIDE> {
        Mmio { base }
    }

    fn at(&self, offset: usize, width: usize) -> *mut u32 {
        assert!(
            offset.is_multiple_of(width) && offset + width <= BLOCK_BYTES,
            "an aligned register of the block"
        );
        self.base.wrapping_byte_add(offset)
    }
}

// SAFETY: the constructor's caller promised that nobody else writes the registers; the value is their only owner, on whichever core.
unsafe impl<const WIDE: bool> Send for Mmio<WIDE> {}

impl<const WIDE: bool> Registers for Mmio<WIDE> {
    const WIDE: bool = WIDE;

    fn read32(&self, offset: usize) -> u32 {
        // SAFETY: inside the block and aligned (`at`), which is mapped (`new`).
        unsafe { self.at(offset, 4).read_volatile() }
    }
    fn write32(&mut self, offset: usize, value: u32) {
        // SAFETY: as for reads; `&mut self` is the only writer.
        unsafe { self.at(offset, 4).write_volatile(value) }
    }
    fn read64(&self, offset: usize) -> u64 {
        if WIDE {
            // SAFETY: inside the block and aligned to 8 (`at`), which is mapped (`new`).
            return unsafe { self.at(offset, 8).cast::<u64>().read_volatile() };
        }
        let low = self.read32(offset);
        u64::from(low) | u64::from(self.read32(offset + 4)) << 32
    }
    fn write64(&mut self, offset: usize, value: u64) {
        if WIDE {
            // SAFETY: as for reads; `&mut self` is the only writer.
            return unsafe { self.at(offset, 8).cast::<u64>().write_volatile(value) };
        }
        self.write32(offset + 4, (value >> 32) as u32);
        self.write32(offset, value as u32);
    }
}
