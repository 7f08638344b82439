//! Trace points: a ring of 16-byte records in frames that user space maps read-only.
use crate::ptr::Ptr;
use core::cell::Cell;
use sel4_sys::ext::{
    TRACE_BOOT_RECORDS, TRACE_MAGIC, TRACE_RING_RECORDS, TRACE_STRETCHES, TraceRecord, event, stretch,
};

/// Classes; the bit of a class in the mask is its number.
pub mod class {
    /// Boot, always on.
    pub const BOOT: u32 = 1;
    /// Messages.
    pub const IPC: u32 = 2;
    /// Notifications.
    pub const SIGNAL: u32 = 3;
    /// Interrupts.
    pub const IRQ: u32 = 4;
    /// Context switches.
    pub const SWITCH: u32 = 5;
    /// Faults.
    pub const FAULT: u32 = 6;
    /// Timers.
    pub const TIMER: u32 = 7;
    /// Retype.
    pub const RETYPE: u32 = 8;
}

/// Pages of the ring with its header.
pub const PAGES: usize = 1 + TRACE_RING_RECORDS * 16 / 4096;

/// The ring as the kernel writes it; the layout is `sel4_sys::ext::TraceHeader` and the records behind it.
#[repr(C, align(4096))]
pub struct Ring {
    magic: Cell<u32>,
    version: Cell<u32>,
    capacity: Cell<u64>,
    written: Cell<u64>,
    frequency: Cell<u64>,
    mask: Cell<u64>,
    reserved: Cell<u64>,
    reference_period: Cell<u64>,
    reference_start: Cell<u64>,
    boot_count: Cell<u64>,
    reserved2: [Cell<u64>; 23],
    boot: [Cell<TraceRecord>; TRACE_BOOT_RECORDS],
    stretches: [Cell<u64>; TRACE_STRETCHES],
    ring: [Cell<TraceRecord>; TRACE_RING_RECORDS],
}

const _: () = assert!(size_of::<Ring>() == PAGES * 4096);

/// Where a core's events go, and which are recorded.
#[derive(Default)]
pub struct Trace {
    mask: Cell<u64>,
    ring: Cell<Option<Ptr<Ring>>>,
}

impl Trace {
    /// Nothing is recorded.
    pub const fn new() -> Trace {
        Trace { mask: Cell::new(0), ring: Cell::new(None) }
    }

    /// Starts tracing into `ring`, which is zeroed memory of its own; `frequency` is the counter's, Hz.
    pub fn start(&self, ring: Ptr<Ring>, frequency: u64) {
        ring.magic.set(TRACE_MAGIC);
        ring.version.set(1);
        ring.capacity.set(TRACE_RING_RECORDS as u64);
        ring.frequency.set(frequency);
        self.ring.set(Some(ring));
        self.set_mask(0);
    }

    /// The counter's frequency, Hz, where it was not known at the start.
    pub fn set_frequency(&self, frequency: u64) {
        if let Some(ring) = self.ring.get() {
            ring.frequency.set(frequency);
        }
    }

    /// The second clock of [`event::BOOT_REFERENCE`]: femtoseconds of its steps, and the counter when they began.
    pub fn set_reference(&self, period: u64, start: u64) {
        if let Some(ring) = self.ring.get() {
            ring.reference_period.set(period);
            ring.reference_start.set(start);
        }
    }

    /// Chooses the recorded classes; boot stays on.
    pub fn set_mask(&self, mask: u64) {
        let mask = mask | 1 << class::BOOT;
        self.mask.set(mask);
        if let Some(ring) = self.ring.get() {
            ring.mask.set(mask);
        }
    }

    /// Whether events of a class are recorded.
    #[inline(always)]
    pub fn is_on(&self, class: u32) -> bool {
        self.mask.get() >> class & 1 != 0
    }

    /// Records an event at a time that was read before.
    #[cold]
    pub fn record_at(&self, counter: u64, event: u16, arg0: u16, arg1: u32) {
        let Some(ring) = self.ring.get() else { return };
        let record = TraceRecord { counter, event, arg0, arg1 };
        let written = ring.written.get();
        ring.ring[written as usize % TRACE_RING_RECORDS].set(record);
        ring.written.set(written + 1);
        let kept = ring.boot_count.get();
        if class_of(event) == class::BOOT && (kept as usize) < TRACE_BOOT_RECORDS {
            ring.boot[kept as usize].set(record);
            ring.boot_count.set(kept + 1);
        }
    }

    /// Notes the instructions of a stretch with interrupts off, by what it was for ([`stretch`]): a checked kernel does.
    pub fn note_stretch(&self, cause: usize, instructions: u64) {
        let Some(ring) = self.ring.get() else { return };
        ring.stretches[stretch::MEASURED].set(1);
        if let Some(longest) = ring.stretches.get(cause) {
            longest.set(longest.get().max(instructions));
        }
    }

    /// Bytes of the ring, records written, mask.
    pub fn info(&self) -> [u64; 3] {
        let written = self.ring.get().map_or(0, |r| r.written.get());
        [(PAGES * 4096) as u64, written, self.mask.get()]
    }
}

/// Whether an event is a phase of boot: one of the kernel's, init's first statement, or the last server's readiness. There are few of them.
pub fn is_phase(event: u16) -> bool {
    matches!(event, event::BOOT_ENTRY..=event::BOOT_INIT | event::BOOT_ALL_READY)
}

/// The class of an event: the high byte of its number.
pub fn class_of(event: u16) -> u32 {
    u32::from(event >> 8)
}
