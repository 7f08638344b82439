//! The regression guard: instruction-exact figures against the committed ones.
use crate::log::{MetricLine, Report};
use axiom_bench_metrics::definitions::{self, Guard};

/// A figure that is worse by this factor or more fails.
pub const LIMIT: f64 = 1.02;

/// A page, bytes.
const PAGE: f64 = 4096.0;

/// What the guard found.
#[derive(Debug, Default, PartialEq)]
pub struct Finding {
    /// How many metrics were compared.
    pub compared: usize,
    /// A sentence for each that is worse or missing.
    pub worse: Vec<String>,
    /// A sentence for each that is better by as much: worth a new baseline.
    pub better: Vec<String>,
}

/// The two compilers, where they are known and differ: their code differs too, and counts of its instructions cannot be compared.
pub fn other_compiler(baseline: &Report, now: &Report) -> Option<(String, String)> {
    let compilers = baseline.circumstance("compiler").zip(now.circumstance("compiler"));
    compilers.filter(|(old, new)| old != new)
}

/// Compares a report with the committed one. Only metrics whose definition says that they repeat exactly are compared; each of the
/// baseline's must be there.
pub fn compare(baseline: &Report, now: &Report) -> Result<Finding, String> {
    for (report, which) in [(baseline, "baseline"), (now, "new report")] {
        if report.circumstances.get("instruction_exact") != Some(&serde_json::Value::Bool(true)) {
            return Err(format!(
                "the {which} was not taken with instructions counted (--icount): its figures do not repeat and cannot be compared"
            ));
        }
    }
    let mut found = Finding::default();
    for old in baseline.metrics.iter().filter(|m| exact(m)) {
        found.compared += 1;
        match now.get(&old.metric) {
            None => found.worse.push(format!(
                "{}: missing; the baseline has {} {}",
                old.metric,
                old.figure(),
                old.unit
            )),
            Some(new) if new.unit != old.unit => {
                found
                    .worse
                    .push(format!("{}: the unit changed from {} to {}", old.metric, old.unit, new.unit));
            }
            Some(new) => {
                let sentence = || {
                    let (old_figure, new_figure) = (old.figure(), new.figure());
                    format!(
                        "{}: old {old_figure} {unit}, new {new_figure} {unit}, ratio {:.3}",
                        old.metric,
                        new_figure / old_figure,
                        unit = old.unit
                    )
                };
                // Memory comes in pages: one more may be chance, where sections end.
                let slack = if old.unit == "bytes" { PAGE } else { 0.0 };
                let more = new.figure() - old.figure();
                if new.figure() > 0.0 && new.figure() >= old.figure() * LIMIT && more > slack {
                    found.worse.push(sentence());
                } else if new.figure() * LIMIT <= old.figure() && old.figure() > 0.0 {
                    found.better.push(sentence());
                }
            }
        }
    }
    Ok(found)
}

fn exact(metric: &MetricLine) -> bool {
    definitions::of(&metric.metric).is_some_and(|d| d.guard == Guard::Exact)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::parse;
    use axiom_bench_metrics::{BEGIN, END, Metric, Summary, Unit};

    fn report(exact: bool, metrics: &[(&str, f64)]) -> Report {
        let mut text =
            format!("{BEGIN}\n{{\"circumstances\":{{\"format\":1,\"instruction_exact\":{exact}}}}}\n");
        for (name, value) in metrics {
            let summary = Summary::once(*value);
            text += &format!(
                "{}\n",
                Metric { name, unit: Unit::Instructions, summary, overhead: 0.0, samples: &[] }
            );
        }
        parse(&(text + END)).unwrap()
    }

    #[test]
    fn two_percent_worse_fails_with_names_and_numbers() {
        let old = report(true, &[("page.map", 500.0), ("page.unmap", 400.0), ("sample.to_consumer", 10.0)]);
        let new = report(true, &[("page.map", 510.0), ("page.unmap", 407.0), ("sample.to_consumer", 99.0)]);
        let found = compare(&old, &new).unwrap();
        assert_eq!(found.compared, 2);
        assert_eq!(found.worse, ["page.map: old 500 insns, new 510 insns, ratio 1.020"]);
        assert!(found.better.is_empty());
        assert_eq!(compare(&new, &new).unwrap().worse, [""; 0]);
    }

    #[test]
    fn figures_of_another_compiler_are_not_compared() {
        let by = |compiler: &str| {
            let mut report = report(true, &[]);
            report.circumstances.insert("compiler".into(), compiler.into());
            report
        };
        assert_eq!(other_compiler(&by("rustc 1"), &by("rustc 1")), None);
        assert_eq!(
            other_compiler(&by("rustc 1"), &by("rustc 2")),
            Some(("rustc 1".into(), "rustc 2".into()))
        );
        assert_eq!(other_compiler(&report(true, &[]), &by("rustc 2")), None, "not known: compared");
    }

    #[test]
    fn a_missing_metric_fails_and_a_better_one_is_named() {
        let old = report(true, &[("page.map", 500.0), ("page.unmap", 400.0)]);
        let found = compare(&old, &report(true, &[("page.map", 450.0)])).unwrap();
        assert_eq!(found.worse, ["page.unmap: missing; the baseline has 400 insns"]);
        assert_eq!(found.better, ["page.map: old 500 insns, new 450 insns, ratio 0.900"]);
    }

    #[test]
    fn sizes_may_grow_by_a_page() {
        let sizes = |bytes: f64| {
            let mut report = report(true, &[("memory.server.console.shared", bytes)]);
            report.metrics[0].unit = "bytes".into();
            report
        };
        assert!(compare(&sizes(36_864.0), &sizes(40_960.0)).unwrap().worse.is_empty());
        assert_eq!(compare(&sizes(36_864.0), &sizes(45_056.0)).unwrap().worse.len(), 1);
    }

    #[test]
    fn what_was_zero_must_stay_zero() {
        let found =
            compare(&report(true, &[("timer.1ms.drift", 0.0)]), &report(true, &[("timer.1ms.drift", 16.0)]));
        assert_eq!(found.unwrap().worse.len(), 1);
    }

    #[test]
    fn figures_that_do_not_repeat_are_not_compared() {
        let plain = report(false, &[("page.map", 1.0)]);
        assert!(compare(&report(true, &[]), &plain).unwrap_err().contains("new report was not taken"));
        assert!(compare(&plain, &report(true, &[])).unwrap_err().contains("baseline was not taken"));
    }
}
