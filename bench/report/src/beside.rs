//! What stands beside a figure: the same thing on another system, from results files alone.
//!
//! Every table, page, chart and list of this tool asks here, so that no two of them can differ. There are no figures of other systems in
//! the source: what another system needs is in `bench/results/`, with when and how it was measured.
use crate::compare::ROWS;
use crate::log::{MetricLine, Report};

/// Another system's figure for one of our metrics.
#[derive(Clone, Debug, PartialEq)]
pub struct Beside<'a> {
    /// The other report.
    pub report: &'a Report,
    /// The system, and what it measured where that has another name there: `Linux 6.1.0 (pipe)`.
    pub system: String,
    /// What was measured there.
    pub metric: &'a MetricLine,
    /// The figure.
    pub figure: f64,
    /// Ours, as a multiple of it.
    pub ratio: f64,
}

/// Whether another report's figures may stand beside Axiom's: taken in the same way, instructions counted or not, on the same kind of
/// machine, by another system.
pub fn comparable(report: &Report, other: &Report) -> bool {
    report.system() == "Axiom"
        && other.system() != "Axiom"
        && other.exact() == report.exact()
        && other.circumstance("board") == report.circumstance("board")
}

/// What must be known of figures that stand beside each other and depend on the host's load: that they are of different days, if they are.
pub fn caution(report: &Report, others: &[Report]) -> Option<&'static str> {
    let day = report.circumstance("date");
    let mut beside = others.iter().filter(|other| comparable(report, other));
    let apart = !report.exact() && beside.any(|other| day.is_none() || other.circumstance("date") != day);
    apart.then_some(
        "These depend on the host and its load, and were not taken on one day: nothing but their order of magnitude can be compared \
         (`just compare-linux` takes both in turn; where instructions are counted, the day does not matter).",
    )
}

/// Whether two units are one: where instructions are counted, each takes a nanosecond.
fn same_unit(report: &Report, ours: &str, theirs: &str) -> bool {
    let counted = |unit: &str| unit == "ns" || unit == "insns";
    ours == theirs || report.exact() && counted(ours) && counted(theirs)
}

/// What the others need for what our metric measures; in the others' order.
pub fn of<'a>(report: &Report, others: &'a [Report], ours: &MetricLine) -> Vec<Beside<'a>> {
    let mut out = Vec::new();
    for other in others.iter().filter(|o| comparable(report, o)) {
        let mut add = |name: &str, what: &str| {
            let fits = |t: &&MetricLine| t.figure() > 0.0 && same_unit(report, &ours.unit, &t.unit);
            if let Some(theirs) = other.get(name).filter(fits) {
                let system = other.system_short() + what;
                let ratio = ours.figure() / theirs.figure();
                out.push(Beside { report: other, system, metric: theirs, figure: theirs.figure(), ratio });
            }
        };
        add(&ours.metric, "");
        for row in ROWS.iter().filter(|r| r.axiom == ours.metric && r.linux != r.axiom) {
            let what = if row.linux.starts_with("syscall.") {
                "system call"
            } else {
                row.linux.split('.').nth(1).unwrap_or(row.linux)
            };
            add(row.linux, &format!(" ({what})"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::parse;

    fn report(system: &str, exact: bool, metrics: &[(&str, &str, f64)]) -> Report {
        let lines: String = metrics
            .iter()
            .map(|(name, unit, v)| {
                format!("{{\"metric\":\"{name}\",\"unit\":\"{unit}\",\"n\":1,\"min\":{v},\"median\":{v},\"mean\":{v},\"p99\":{v},\"max\":{v},\"stddev\":0,\"overhead\":0}}\n")
            })
            .collect();
        parse(&format!(
            "-----BEGIN AXIOM REPORT-----\n{{\"circumstances\":{{\"format\":1,\"board\":\"b\",\"system\":\"{system}\",\"instruction_exact\":{exact}}}}}\n{lines}-----END AXIOM REPORT-----\n"
        ))
        .unwrap()
    }

    fn found(ours: &Report, others: &[Report], metric: &str) -> Vec<(String, f64)> {
        of(ours, others, ours.get(metric).unwrap()).into_iter().map(|b| (b.system, b.figure)).collect()
    }

    #[test]
    fn the_same_metric_and_what_has_another_name_there() {
        let ours = report(
            "main",
            true,
            &[
                ("ipc.postcard.round_trip", "ns", 10.0),
                ("notification.poll", "insns", 5.0),
                ("memory.in_use", "bytes", 7.0),
            ],
        );
        let linux = report(
            "Linux 6.1.0-56-cloud",
            true,
            &[
                ("ipc.pipe.round_trip", "ns", 20.0),
                ("ipc.futex.round_trip", "ns", 30.0),
                ("syscall.null", "ns", 50.0),
                ("memory.in_use", "ns", 1.0),
            ],
        );
        let sel4 = report("seL4 16.0 (FPU)", true, &[("notification.poll", "insns", 8.0)]);
        let others = [linux, sel4];
        let messages = [("Linux 6.1.0 (pipe)".to_owned(), 20.0), ("Linux 6.1.0 (futex)".into(), 30.0)];
        assert_eq!(found(&ours, &others, "ipc.postcard.round_trip"), messages);
        let calls = [("Linux 6.1.0 (system call)".to_owned(), 50.0), ("seL4 16.0 (FPU)".into(), 8.0)];
        assert_eq!(found(&ours, &others, "notification.poll"), calls);
        assert_eq!(found(&ours, &others, "memory.in_use"), [], "bytes are no nanoseconds");
    }

    #[test]
    fn figures_of_different_days_are_said_to_be_so_unless_they_are_counted() {
        let on = |system: &str, exact: bool, day: Option<&str>| {
            let mut report = report(system, exact, &[("page.map", "ns", 1.0)]);
            report.circumstances.extend(day.map(|day| ("date".into(), day.into())));
            report
        };
        for (exact, ours, theirs, said) in [
            (false, Some("2026-11-23"), Some("2026-11-24"), true),
            (false, None, Some("2026-11-24"), true),
            (false, Some("2026-11-24"), Some("2026-11-24"), false),
            (true, Some("2026-11-23"), Some("2026-11-24"), false),
        ] {
            let others = [on("Linux 6.1", exact, theirs)];
            assert_eq!(caution(&on("main", exact, ours), &others).is_some(), said, "{ours:?} {theirs:?}");
        }
        assert_eq!(caution(&on("main", false, None), &[on("Linux 6.1", true, None)]), None, "nobody beside");
    }

    #[test]
    fn only_another_system_measured_in_the_same_way() {
        let ours = report("main", true, &[("page.map", "insns", 10.0)]);
        let others = [
            report("Linux 6.1", false, &[("page.map", "insns", 1.0)]),
            report("kernel bench", true, &[("page.map", "insns", 2.0)]),
        ];
        assert_eq!(found(&ours, &others, "page.map"), []);
    }
}
