//! Trace points: a ring of 16-byte records in frames that user space maps read-only.
use crate::ptr::Ptr;
use core::cell::Cell;
use sel4_sys::ext::{
    TRACE_BOOT_RECORDS, TRACE_MAGIC, TRACE_RING_RECORDS, TraceHeader, TraceRecord, event, stretch,
};
pub use sel4_sys::ext::{TRACE_PAGES as PAGES, class};

/// The ring as the kernel writes it.
#[repr(C, align(4096))]
pub struct Ring {
    header: TraceHeader<Cell<u32>, Cell<u64>, Cell<TraceRecord>>,
    records: [Cell<TraceRecord>; TRACE_RING_RECORDS],
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
        ring.header.magic.set(TRACE_MAGIC);
        ring.header.version.set(1);
        ring.header.capacity.set(TRACE_RING_RECORDS as u64);
        ring.header.counter_frequency.set(frequency);
        self.ring.set(Some(ring));
        self.set_mask(0);
    }

    /// The counter's frequency, Hz, where it was not known at the start.
    pub fn set_frequency(&self, frequency: u64) {
        if let Some(ring) = self.ring.get() {
            ring.header.counter_frequency.set(frequency);
        }
    }

    /// The second clock of [`event::BOOT_REFERENCE`]: femtoseconds of its steps, and the counter when they began.
    pub fn set_reference(&self, period: u64, start: u64) {
        if let Some(ring) = self.ring.get() {
            ring.header.reference_period.set(period);
            ring.header.reference_start.set(start);
        }
    }

    /// Chooses the recorded classes; boot stays on.
    pub fn set_mask(&self, mask: u64) {
        let mask = mask | 1 << class::BOOT;
        self.mask.set(mask);
        if let Some(ring) = self.ring.get() {
            ring.header.mask.set(mask);
        }
    }

    /// Whether events of a class are recorded.
    #[inline(always)]
    pub fn is_on(&self, class: u32) -> bool {
        self.mask.get() >> class & 1 != 0
    }

    /// Whether events of one of two classes are recorded.
    #[inline(always)]
    pub fn is_either_on(&self, one: u32, other: u32) -> bool {
        self.mask.get() & (1 << one | 1 << other) != 0
    }

    /// Records an event at a time that was read before.
    #[cold]
    pub fn record_at(&self, counter: u64, event: u16, arg0: u16, arg1: u32) {
        let Some(ring) = self.ring.get() else { return };
        let record = TraceRecord { counter, event, arg0, arg1 };
        let written = ring.header.written.get();
        ring.records[written as usize % TRACE_RING_RECORDS].set(record);
        ring.header.written.set(written + 1);
        let kept = ring.header.boot_count.get();
        if class::of(event) == class::BOOT && (kept as usize) < TRACE_BOOT_RECORDS {
            ring.header.boot[kept as usize].set(record);
            ring.header.boot_count.set(kept + 1);
        }
    }

    /// Notes the instructions of a stretch with interrupts off, by what it was for ([`stretch`]): a checked kernel does.
    pub fn note_stretch(&self, cause: usize, instructions: u64) {
        let Some(ring) = self.ring.get() else { return };
        ring.header.stretches[stretch::MEASURED].set(1);
        if let Some(longest) = ring.header.stretches.get(cause) {
            longest.set(longest.get().max(instructions));
        }
    }

    /// Bytes of the ring, records written, mask.
    pub fn info(&self) -> [u64; 3] {
        let written = self.ring.get().map_or(0, |r| r.header.written.get());
        [(PAGES * 4096) as u64, written, self.mask.get()]
    }
}

/// Whether an event is a phase of boot: one of the kernel's, init's first statement, or the last server's readiness. There are few of them.
pub fn is_phase(event: u16) -> bool {
    matches!(event, event::BOOT_ENTRY..=event::BOOT_INIT | event::BOOT_ALL_READY)
}
