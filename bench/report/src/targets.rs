//! What the project set out to reach, and whether a report reaches it.
use crate::draw::human;
use crate::log::{MetricLine, Report};
use std::fmt::Write;

/// A target: at most `first`, better `second`.
struct Target {
    what: &'static str,
    metrics: &'static [&'static str],
    first: f64,
    second: f64,
    /// Nanoseconds, else bytes.
    time: bool,
    note: &'static str,
}

const TARGETS: &[Target] = &[
    Target {
        what: "boot, kernel entry to every server ready",
        metrics: &["boot.entry_to_all_ready"],
        first: 1e9,
        second: 0.5e9,
        time: true,
        note: "",
    },
    Target {
        what: "memory of the kernel: image, bss, what boot allocated",
        metrics: &["memory.kernel.image", "memory.boot_allocated"],
        first: 10e6,
        second: 5e6,
        time: false,
        note: "",
    },
    Target {
        what: "loading a program of 2 instructions",
        metrics: &["bpf.load.2.total"],
        first: 10e6,
        second: 1e6,
        time: true,
        note: "verified, compiled, attached",
    },
    Target {
        what: "loading a program of 1000 instructions",
        metrics: &["bpf.load.1000.total"],
        first: 10e6,
        second: 1e6,
        time: true,
        note: "verified, compiled, attached",
    },
    Target {
        what: "interrupt to driver",
        metrics: &["timer.10ms.irq_to_driver"],
        first: 10e3,
        second: 1e3,
        time: true,
        note: "to the first instruction of an isolated server",
    },
    Target {
        what: "deadline to a program's first instruction",
        metrics: &["timer.deadline_to_first_bpf_instruction"],
        first: 10e3,
        second: 1e3,
        time: true,
        note: "in an isolated server",
    },
];

/// Whether the report has a figure that a target is for.
pub fn any(report: &Report) -> bool {
    TARGETS.iter().flat_map(|t| t.metrics).any(|m| report.get(m).is_some())
}

/// The table: the targets, the figures, pass or fail. A target whose metric is missing is said to be not measured.
pub fn markdown(report: &Report) -> String {
    let mut out = String::from(
        "| target | at most | better | figure (median) | at most | better | |\n|---|--:|--:|--:|---|---|---|\n",
    );
    for t in TARGETS {
        let show = |v: f64| human(v, if t.time { "ns" } else { "bytes" });
        let figures: Option<Vec<f64>> =
            t.metrics.iter().map(|m| report.get(m).map(MetricLine::figure)).collect();
        let verdict = |limit: f64, figure: f64| if figure < limit { "pass" } else { "FAIL" };
        let (figure, first, second) = figures.map_or(("not measured".into(), "", ""), |all| {
            let sum: f64 = all.iter().sum();
            (show(sum), verdict(t.first, sum), verdict(t.second, sum))
        });
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "| {} | {} | {} | {figure} | {first} | {second} | {} |",
            t.what,
            show(t.first),
            show(t.second),
            t.note
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::parse;

    #[test]
    fn targets_pass_fail_or_are_not_measured() {
        let line = |name: &str, v: f64| {
            format!(
                "{{\"metric\":\"{name}\",\"unit\":\"ns\",\"n\":1,\"min\":{v},\"median\":{v},\"mean\":{v},\"p99\":{v},\"max\":{v},\"stddev\":0,\"overhead\":0}}\n"
            )
        };
        let text = format!(
            "-----BEGIN AXIOM REPORT-----\n{{\"circumstances\":{{\"format\":1}}}}\n{}{}-----END AXIOM REPORT-----\n",
            line("bpf.load.2.total", 2e6),
            line("timer.10ms.irq_to_driver", 20e3)
        );
        let table = markdown(&parse(&text).unwrap());
        assert!(table.contains("| 2.00 ms | pass | FAIL |"), "{table}");
        assert!(table.contains("| 20.0 µs | FAIL | FAIL |"), "{table}");
        assert!(table.contains("| not measured |  |  |"), "{table}");
    }
}
