//! Boot by phase, from the trace records that the kernel and init left; and memory, from init's books.
use super::report::Report;
use super::trace::boot_records;
use crate::text;
use axiom_bench_metrics::{Unit, elapsed, ticks_to_nanos};
use axiom_proto::supervisor::{self, Area, Reply, Request};
use axiom_runtime::sel4::ext::{TraceRecord, event};
use axiom_runtime::{Buffer, Endpoint, Runtime, arch, call, time};

/// Events of boot, and their rows.
pub const PHASES: &[(u16, &str)] = &[
    (event::BOOT_MMU, "boot.entry_to_mmu"),
    (event::BOOT_DTB, arch::MACHINE_READ),
    (event::BOOT_MEMORY, "boot.entry_to_memory_map"),
    (event::BOOT_IRQ, "boot.entry_to_interrupt_controller"),
    (event::BOOT_ROOT_OBJECTS, "boot.entry_to_root_objects"),
    (event::BOOT_ROOT_START, "boot.entry_to_root_start"),
    (event::BOOT_INIT, "boot.entry_to_init"),
    (event::BOOT_ALL_READY, "boot.entry_to_all_ready"),
];

/// Adds the boot phases.
pub fn measure(rt: &Runtime, report: &mut Report) {
    let Some(records) = boot_records(rt) else {
        return report.missing("boot", "this server has no trace ring");
    };
    let at = |event: u16| records.iter().find(|r| r.event == event).map(|r| r.counter);
    let Some(entry) = at(event::BOOT_ENTRY) else {
        return report.missing("boot", "no record of the kernel's entry");
    };
    counter_at_init(records, report);
    for (event, name) in PHASES {
        match at(*event).and_then(|t| ticks_to_nanos(elapsed(entry, t), time::frequency())) {
            Some(ns) => report.once(name, Unit::Nanos, ns),
            None => report.missing(name, "no such record"),
        }
    }
}

/// Adds the counter's value at init's first statement: nanoseconds since reset, where the counter starts at reset.
fn counter_at_init(records: &[TraceRecord], report: &mut Report) {
    const NAME: &str = "boot.reset_to_init";
    let init = records.iter().find(|r| r.event == event::BOOT_INIT);
    match init.and_then(|r| ticks_to_nanos(r.counter, time::frequency())) {
        Some(ns) => report.once(NAME, Unit::Nanos, ns),
        None => report.missing(NAME, "no such record"),
    }
}

/// Adds memory: the kernel's parts, what boot and init allocated, and each server's.
pub fn memory(rt: &Runtime, report: &mut Report) {
    let Some(init) = rt.channel("init") else { return report.missing("memory", "init cannot be called") };
    let mut buffer = Buffer::new();
    match call(init, supervisor::INTERFACE, &Request::System, &mut buffer) {
        Ok(Reply::System(s)) => {
            let bytes = [
                ("memory.kernel.text", s.kernel_text),
                ("memory.kernel.rodata", s.kernel_rodata),
                ("memory.kernel.data", s.kernel_data),
                ("memory.kernel.bss", s.kernel_bss),
                ("memory.kernel.image", s.kernel_text + s.kernel_rodata + s.kernel_data + s.kernel_bss),
                ("memory.boot_allocated", s.boot_allocated),
                ("memory.root_image_and_bundle", s.bundle_bytes),
                ("memory.init_allocated", s.init_allocated),
                (
                    "memory.in_use",
                    s.kernel_text
                        + s.kernel_rodata
                        + s.kernel_data
                        + s.kernel_bss
                        + s.boot_allocated
                        + s.bundle_bytes
                        + s.init_allocated,
                ),
            ];
            for (name, value) in bytes {
                report.once(name, Unit::Bytes, value as f64);
            }
        }
        _ => report.missing("memory", "init did not answer"),
    }
    for index in 0.. {
        let mut buffer = Buffer::new();
        match call(init, supervisor::INTERFACE, &Request::Server { index }, &mut buffer) {
            Ok(Reply::Server(s)) => {
                report.once(&text!("memory.server.{}.own", s.name), Unit::Bytes, s.own_bytes as f64);
                report.once(&text!("memory.server.{}.shared", s.name), Unit::Bytes, s.shared_bytes as f64);
            }
            _ => break,
        }
    }
}

/// Adds the high-water marks of stacks and heaps: to be asked for last.
pub fn high_water(rt: &Runtime, report: &mut Report) {
    let Some(init) = rt.channel("init") else {
        return report.missing("high-water marks", "init cannot be called");
    };
    for index in 0.. {
        match call(init, supervisor::INTERFACE, &Request::Server { index }, &mut Buffer::new()) {
            Ok(Reply::Server(_)) => {}
            _ => return,
        }
        for (area, name) in [(Area::Stack, "stack_touched"), (Area::Heap, "heap_touched")] {
            touched(init, index, area, name, report);
        }
    }
}

/// Adds how many pages of a server's stack or heap were ever written.
fn touched(init: Endpoint, index: u32, area: Area, name: &str, report: &mut Report) {
    let mut buffer = Buffer::new();
    let server = match call(init, supervisor::INTERFACE, &Request::Server { index }, &mut buffer) {
        Ok(Reply::Server(s)) => text!("memory.server.{}.{name}", s.name),
        _ => return report.missing(name, "init does not know the server any more"),
    };
    let mut pages = 0;
    for page in 0.. {
        match call(init, supervisor::INTERFACE, &Request::Touched { index, area, page }, &mut Buffer::new()) {
            Ok(Reply::Touched(touched)) => pages += u32::from(touched),
            Ok(_) if page == 0 => return,
            Ok(_) => break,
            Err(error) => return report.missing(&server, &text!("init does not look: {error}")),
        }
    }
    report.once(&server, Unit::Bytes, f64::from(pages) * 4096.0);
}
