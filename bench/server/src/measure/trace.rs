//! The kernel's trace ring, copied while something of interest happens and printed after the report, when the manifest asks for it
//! (`args = { trace = "sample" }`): boot's records, the last records of the ring, who the threads are, and the samples' ways.
use super::memory::{NoMemory, Series, list};
use super::report::Report;
use super::sample::TRACED;
use crate::text;
use alloc::vec::Vec;
use axiom_bench_metrics::trace::{BEGIN, END, FORMAT_VERSION, USER_THREAD};
use axiom_proto::supervisor::{self, Reply, Request};
use axiom_runtime::cap::{Tcb, Trace, invoke};
use axiom_runtime::sel4::ext::{self, TRACE_MAGIC, TraceHeader, TraceRecord, class};
use axiom_runtime::{Buffer, Runtime, call, plain};

/// Messages, signals, interrupts, switches, faults, timers, and events of servers.
const CLASSES: u64 = 1 << class::IPC
    | 1 << class::SIGNAL
    | 1 << class::IRQ
    | 1 << class::SWITCH
    | 1 << class::FAULT
    | 1 << class::TIMER
    | 1 << class::USER;

/// A copy of the trace.
pub struct Copy {
    boot: Vec<TraceRecord>,
    ring: Vec<TraceRecord>,
    lost: u64,
    frequency: u64,
    /// Moments of samples: trigger, program, consumer; nanoseconds of the counter.
    pub ways: Series<[u64; 3], TRACED>,
}

/// The ring's header, if this server has it.
pub fn header(rt: &Runtime) -> Option<&'static TraceHeader> {
    let ring = rt.env().trace_ring;
    if (ring.len as usize) < size_of::<TraceHeader>() {
        return None;
    }
    // SAFETY: init mapped the kernel's trace ring read-only at this address; the header page is its first. Fields that the
    // kernel changes are read through `volatile` below.
    let header = unsafe { &*(ring.start as *const TraceHeader) };
    (header.magic == TRACE_MAGIC).then_some(header)
}

/// Boot's records: nobody writes them any more once boot is over.
pub fn boot_records(rt: &Runtime) -> Option<&'static [TraceRecord]> {
    header(rt).map(|h| &h.boot[..(h.boot_count as usize).min(h.boot.len())])
}

/// Whether the manifest asks for a trace.
pub fn wanted(rt: &Runtime) -> bool {
    rt.arg("trace") == Some("sample")
}

/// Records while `run` runs, then copies; `other` is a thread of this server that shall have a name.
pub fn during<T>(
    rt: &Runtime,
    other: Option<Tcb>,
    report: &mut Report,
    run: impl FnOnce() -> T,
) -> (T, Option<Copy>) {
    let Some((trace, header)) = rt.trace().zip(header(rt)) else {
        report.missing("trace", "this server has no trace ring");
        return (run(), None);
    };
    if set_mask(trace, CLASSES).is_err() {
        report.missing("trace", "the kernel refused the mask");
    }
    if let Some(other) = other {
        let words = [u64::from(USER_THREAD), 0, 0];
        if invoke(trace.0, ext::TRACE_EMIT, &words, &[other.0]).is_err() {
            report.missing("trace", "the kernel refused a record");
        }
    }
    let result = run();
    if set_mask(trace, 0).is_err() {
        report.missing("trace", "the kernel refused the mask");
    }
    match copy(rt, header) {
        Ok(copy) => (result, Some(copy)),
        Err(why) => {
            report.missing("trace", &text!("{why}"));
            (result, None)
        }
    }
}

fn set_mask(trace: Trace, mask: u64) -> Result<(), axiom_runtime::sel4::Error> {
    invoke(trace.0, ext::TRACE_SET_MASK, &[mask], &[]).map(drop)
}

fn copy(rt: &Runtime, header: &'static TraceHeader) -> Result<Copy, NoMemory> {
    // SAFETY: a field of the mapped header; the kernel writes it, so it is read as volatile.
    let written = unsafe { (&raw const header.written).read_volatile() };
    let held =
        written.min(header.capacity).min((rt.env().trace_ring.len - 4096) / size_of::<TraceRecord>() as u64);
    let first = (rt.env().trace_ring.start + 4096) as *const TraceRecord;
    let at = |number: u64| {
        // SAFETY: the ring's pages follow the header page, and the place is below both capacity and the mapped length.
        unsafe { first.add((number % header.capacity) as usize).read_volatile() }
    };
    Ok(Copy {
        boot: list(boot_records(rt).unwrap_or_default().iter().copied())?,
        ring: list((written - held..written).map(at))?,
        lost: written - held,
        frequency: header.counter_frequency,
        ways: Series::new(),
    })
}

impl Copy {
    /// Prints it.
    pub fn print(&self, rt: &Runtime) {
        plain!("{BEGIN}");
        plain!("{{\"trace\":{FORMAT_VERSION},\"counter_hz\":{},\"lost\":{}}}", self.frequency, self.lost);
        servers(rt);
        for way in self.ways.iter() {
            plain!("{{\"way\":[{},{},{}]}}", way[0], way[1], way[2]);
        }
        // The ring's own copies of boot records are left out: they stand in front already.
        let later = self.ring.iter().filter(|r| class::of(r.event) != class::BOOT);
        let mut count = 0;
        for r in self.boot.iter().chain(later) {
            plain!("[{},{},{},{}]", r.counter, r.event, r.arg0, r.arg1);
            count += 1;
        }
        plain!("{{\"records\":{count}}}");
        plain!("{END}");
    }
}

/// Prints which server has which number.
fn servers(rt: &Runtime) {
    let Some(init) = rt.channel("init") else { return };
    for index in 0.. {
        let mut buffer = Buffer::new();
        match call(init, supervisor::INTERFACE, &Request::Server { index }, &mut buffer) {
            Ok(Reply::Server(server)) => plain!("{{\"server\":{index},\"name\":\"{}\"}}", server.name),
            _ => return,
        }
    }
}
