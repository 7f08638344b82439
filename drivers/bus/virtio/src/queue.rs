//! Split queues, in memory that the device sees.

use crate::{Parts, Transport, Unusable};
use core::sync::atomic::{Ordering, fence};

/// A descriptor that another follows.
pub const DESC_NEXT: u16 = 1;
/// A descriptor whose memory the device writes.
pub const DESC_WRITE: u16 = 2;

/// Memory that the device reads and writes.
#[derive(Clone, Copy)]
pub struct Dma {
    virt: *mut u8,
    phys: u64,
    bytes: usize,
}

impl Dma {
    /// # Safety
    /// `virt` points to `bytes` bytes, page-aligned, which the device sees at `phys` in a row, and nobody else uses, for as long as this
    /// and its copies live.
    pub unsafe fn new(virt: *mut u8, phys: u64, bytes: usize) -> Dma {
        Dma { virt, phys, bytes }
    }

    /// Where the device sees an offset.
    pub fn phys(&self, offset: usize) -> u64 {
        self.phys + offset as u64
    }

    /// Writes a value at an offset, aligned to it.
    pub fn put<T: Copy>(&self, offset: usize, value: T) {
        assert!(offset + size_of::<T>() <= self.bytes && offset.is_multiple_of(align_of::<T>()));
        // SAFETY: inside the memory and aligned to T, as just checked.
        unsafe { self.virt.add(offset).cast::<T>().write_volatile(value) }
    }

    /// Reads a number at an offset, aligned to it.
    pub fn get<T: Copy + From<u8>>(&self, offset: usize) -> T {
        assert!(offset + size_of::<T>() <= self.bytes && offset.is_multiple_of(align_of::<T>()));
        // SAFETY: as for `put`; any bytes are a number.
        unsafe { self.virt.add(offset).cast::<T>().read_volatile() }
    }
}

/// Where a queue's parts are in the memory, and how many entries it has at most.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Layout {
    /// The descriptors, at a multiple of 16.
    pub descriptors: usize,
    /// What the driver offers.
    pub available: usize,
    /// What the device is done with, at a multiple of 4.
    pub used: usize,
    /// Most entries, a power of two.
    pub most: u16,
}

/// A queue of a device.
pub struct Queue {
    number: u16,
    dma: Dma,
    layout: Layout,
    entries: u16,
    available: u16,
    used: u16,
}

impl Queue {
    /// A queue of that number, which the device does not know yet.
    pub fn new(number: u16, dma: Dma, layout: Layout) -> Queue {
        Queue { number, dma, layout, entries: 0, available: 0, used: 0 }
    }

    /// Empties it, and gives it to a device that was reset: with as many entries as both can do, but at least `least`.
    pub fn set_up(&mut self, transport: &mut impl Transport, least: u16) -> Result<(), Unusable> {
        // A device's number need not be a power of two on PCI; ours is.
        let most = transport.most(self.number).min(self.layout.most);
        let entries = if most == 0 { 0 } else { 1 << most.ilog2() };
        if entries < least {
            return Err(Unusable);
        }
        let size = usize::from(entries);
        let clear = |from: usize, bytes: usize| {
            (from..from + bytes).step_by(2).for_each(|at| self.dma.put(at, 0u16));
        };
        clear(self.layout.descriptors, 16 * size);
        clear(self.layout.available, 6 + 2 * size);
        clear(self.layout.used, 6 + 8 * size);
        (self.entries, self.available, self.used) = (entries, 0, 0);
        let parts = Parts {
            descriptors: self.dma.phys(self.layout.descriptors),
            available: self.dma.phys(self.layout.available),
            used: self.dma.phys(self.layout.used),
        };
        transport.set_queue(self.number, entries, parts).then_some(()).ok_or(Unusable)
    }

    /// The device need not interrupt for what it is done with.
    pub fn keep_quiet(&self) {
        const NO_INTERRUPT: u16 = 1;
        self.dma.put(self.layout.available, NO_INTERRUPT);
    }

    /// How many entries it has.
    pub fn entries(&self) -> u16 {
        self.entries
    }

    /// Writes a descriptor; with [`DESC_NEXT`] the one of the next number follows it.
    pub fn describe(&self, index: u16, offset: usize, bytes: usize, flags: u16) {
        let at = self.layout.descriptors + usize::from(index % self.entries.max(1)) * 16;
        self.dma.put(at, self.dma.phys(offset));
        self.dma.put(at + 8, bytes as u32);
        self.dma.put(at + 12, flags);
        self.dma.put(at + 14, index + 1);
    }

    /// Offers the chain that begins with this descriptor; the device sees it with [`Queue::publish`].
    pub fn offer(&mut self, head: u16) {
        let slot = usize::from(self.available % self.entries.max(1));
        self.dma.put(self.layout.available + 4 + slot * 2, head);
        self.available = self.available.wrapping_add(1);
    }

    /// Shows the device what was offered. It is still to be notified.
    pub fn publish(&self) {
        fence(Ordering::SeqCst);
        self.dma.put(self.layout.available + 2, self.available);
        fence(Ordering::SeqCst);
    }

    /// Whether the device is done with everything that was offered; then its memory may be read.
    pub fn is_done(&self) -> bool {
        let done = self.dma.get::<u16>(self.layout.used + 2) == self.available;
        fence(Ordering::SeqCst);
        done
    }

    /// The head of a chain that the device is done with and that was not taken back yet. A head that nobody offered is the device's fault;
    /// it is told as it stands.
    pub fn take(&mut self) -> Option<u32> {
        if self.dma.get::<u16>(self.layout.used + 2) == self.used {
            return None;
        }
        fence(Ordering::SeqCst);
        let slot = usize::from(self.used % self.entries.max(1));
        self.used = self.used.wrapping_add(1);
        Some(self.dma.get(self.layout.used + 4 + slot * 8))
    }
}
