//! Periodic timers: interval, lateness, and the time from the interrupt to the driver that waited for it.
use super::memory::Series;
use super::report::Report;
use crate::text;
use axiom_runtime::cap::Expirations;
use axiom_runtime::{Notification, Runtime, time};

const SAMPLES: usize = 100;

/// Measures both periods.
pub fn measure(rt: &Runtime, report: &mut Report) {
    for (name, us) in [("10ms", 10_000), ("1ms", 1_000)] {
        series(rt, report, name, us);
    }
}

fn series(rt: &Runtime, report: &mut Report, name: &str, period_us: u64) {
    let Some((timer, bit)) = rt.timer("tick") else {
        return report.missing("timer", "the manifest gives this server no timer");
    };
    let own = Notification::OWN;
    let period = time::from_nanoseconds(period_us * 1000);
    let first = time::ticks() + 2 * period;
    if timer.arm(first, period).is_err() {
        return report.missing("timer", "the kernel refused to arm the timer");
    }
    let mut woken = Series::<u64, { SAMPLES + 1 }>::new();
    let mut reads = Series::<Expirations, { SAMPLES + 1 }>::new();
    while woken.len() <= SAMPLES {
        let signals = own.wait();
        let now = time::ticks();
        if signals.has(bit) {
            woken.push(now);
            reads.push(timer.read());
        }
    }
    if timer.cancel().is_err() {
        report.missing("timer", "the kernel refused to cancel the timer");
    }
    let overruns: u64 = reads.iter().map(|r| r.overruns).sum();
    let intervals = woken.windows(2).map(|w| w[1] - w[0]);
    // The first one begins the series.
    let both = || woken.iter().zip(reads.iter()).skip(1);
    let lateness = both().map(|(w, r)| w.saturating_sub(r.deadline));
    let from_irq = both().map(|(w, r)| w.saturating_sub(r.entry));
    report.ticks(&text!("timer.{name}.interval"), intervals, false);
    report.ticks(&text!("timer.{name}.lateness"), lateness, false);
    report.ticks(&text!("timer.{name}.irq_to_driver"), from_irq, false);
    // Drift: how far the last deadline is from the grid of whole periods that the first one began.
    let beside = reads.last().map_or(0, |r| r.deadline.saturating_sub(first)) % period;
    let drift = beside.min(period - beside);
    report.ticks(&text!("timer.{name}.drift"), core::iter::once(drift), false);
    report.once(&text!("timer.{name}.overruns"), axiom_bench_metrics::Unit::Count, overruns as f64);
}
