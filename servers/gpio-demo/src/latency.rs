//! How long it takes from the interrupt's entry in the kernel to the change of a pin. The entry's time is in the kernel's trace, the time
//! of the change in the program's map.

use axiom_runtime::sel4::ext::{TRACE_MAGIC, TraceHeader, TraceRecord, event};
use axiom_runtime::{Runtime, time};

/// When the last interrupt before a moment entered the kernel, in nanoseconds since boot.
pub fn interrupt_before(rt: Runtime, ns: u64) -> Option<u64> {
    let ring = rt.env().trace_ring;
    let records =
        (ring.len as usize).checked_sub(size_of::<TraceHeader>().max(4096))? / size_of::<TraceRecord>();
    let header = ring.start as *const TraceHeader;
    // SAFETY: init mapped the kernel's trace ring read-only at this address; the header page is its first. The kernel
    // writes it meanwhile, so it is read as volatile.
    let (magic, capacity, written) = unsafe {
        (
            (&raw const (*header).magic).read_volatile(),
            (&raw const (*header).capacity).read_volatile(),
            (&raw const (*header).written).read_volatile(),
        )
    };
    if magic != TRACE_MAGIC || capacity == 0 || capacity as usize > records {
        return None;
    }
    let first = (ring.start + 4096) as *const TraceRecord;
    let oldest = written.saturating_sub(capacity - 1);
    let newest_first = (oldest..written).rev();
    newest_first
        .map(|i| {
            // SAFETY: inside the ring, whose capacity was compared with what is mapped.
            unsafe { first.add((i % capacity) as usize).read_volatile() }
        })
        .filter(|r| r.event == event::IRQ_ENTRY)
        .map(|r| time::nanoseconds(r.counter))
        .find(|entry| *entry <= ns)
}
