//! The second time base, where the manifest says that there is one (a PC's HPET): boot's phases by both clocks and how far they agree, and
//! programs at timers of both, their lateness beside each other.
use super::boot::PHASES;
use super::bpf::{Deadline, deadlines};
use super::memory::Text;
use super::report::Report;
use super::threads::Resources;
use super::trace::{boot_records, header};
use crate::text;
use axiom_bench_metrics::{Unit, elapsed, ticks_to_nanos};
use axiom_runtime::sel4::ext::{TraceHeader, TraceRecord, event};
use axiom_runtime::{Runtime, time};

/// The clock's name, if there is one to be measured.
fn name(rt: &Runtime) -> Option<&'static str> {
    rt.arg("second_clock")
}

/// Adds each phase of boot by the second clock, and by how much the two clocks differ at the last one.
pub fn boot(rt: &Runtime, report: &mut Report) {
    let Some(clock) = name(rt) else { return };
    match phases(rt, clock, report) {
        Ok(()) => {}
        Err(why) => report.missing(&text!("boot by the {clock}"), &why),
    }
}

fn phases(rt: &Runtime, clock: &str, report: &mut Report) -> Result<(), Text> {
    let (header, records) = header(rt).zip(boot_records(rt)).ok_or("this server has no trace ring")?;
    if header.reference_period == 0 {
        return Err(text!("this machine has no {clock}"));
    }
    let entry =
        records.iter().find(|r| r.event == event::BOOT_ENTRY).ok_or("no record of the kernel's entry")?;
    let mut last = None;
    for (phase, row) in PHASES {
        let look = records.iter().find(|r| r.event == event::BOOT_REFERENCE && r.arg0 == *phase);
        // The kernel starts that clock when it has read the tables: a phase before has the counter's time alone.
        let Some(look) = look else { continue };
        let Some(ns) = by_reference(header, entry.counter, look) else { continue };
        report.once(&text!("{row}.{clock}"), Unit::Nanos, ns);
        last = Some(look);
    }
    let look = last.ok_or("no phase was looked at")?;
    // Both from the same start to the same moment: what the counter says, and what the second clock says.
    let counter = ticks_to_nanos(elapsed(header.reference_start, look.counter), time::frequency());
    let counter = counter.ok_or("the counter went back")?;
    let reference = steps_to_nanos(header, look);
    report.once(&text!("boot.difference.{clock}"), Unit::Nanos, (counter - reference).abs());
    Ok(())
}

fn steps_to_nanos(header: &TraceHeader, look: &TraceRecord) -> f64 {
    look.arg1 as f64 * header.reference_period as f64 / 1e6
}

/// From the kernel's entry to the moment of `look`: by the counter until the second clock was started, then by that.
fn by_reference(header: &TraceHeader, entry: u64, look: &TraceRecord) -> Option<f64> {
    let before = ticks_to_nanos(elapsed(entry, header.reference_start), time::frequency())?;
    Some(before + steps_to_nanos(header, look))
}

/// Adds programs at timers of 10 ms and of 1 ms, by the kernel's timers and by the second clock's.
pub fn timers(rt: &Runtime, resources: &mut Resources, report: &mut Report) {
    let Some(clock) = name(rt) else { return };
    for (period, file, ms) in [("10ms", "timer_latency", 1050), ("1ms", "timer_latency_1khz", 110)] {
        for (suffix, base) in [(Text::default(), Text::default()), (text!("_{clock}"), text!(".{clock}"))] {
            let row = text!("timer.{period}.program");
            match deadlines(rt, resources, report, &text!("{file}{suffix}.o"), ms) {
                Ok(events) if events.len() > 1 => {
                    report.nanos(&text!("{row}.lateness{base}"), events.iter().map(Deadline::late));
                    let intervals = events.windows(2).map(|e| e[1].after(&e[0]));
                    report.nanos(&text!("{row}.interval{base}"), intervals);
                }
                Ok(_) => report.missing(&text!("{row}{base}"), "no deadline came"),
                Err(why) => report.missing(&text!("{row}{base}"), &why),
            }
        }
    }
}
