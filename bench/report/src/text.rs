//! The report on a terminal: the same tables that the benchmark prints, then what stands beside, in at most 100 columns.
use crate::beside;
use crate::charts::times;
use crate::log::Report;
use axiom_bench_metrics::human::Human;
use axiom_bench_metrics::{Summary, Unit, table};
use std::fmt::Write;

/// Columns of a terminal.
const COLUMNS: usize = 100;

/// The whole.
pub fn text(report: &Report, others: &[Report]) -> String {
    let mut out = String::from("Axiom benchmark report\n");
    out += &wrapped("", &report.caption());
    let rows: Vec<table::Row<'_>> = report
        .metrics
        .iter()
        .map(|m| table::Row {
            name: &m.metric,
            unit: Unit::of(&m.unit).unwrap_or(Unit::Count),
            summary: Summary {
                n: m.n as usize,
                min: m.min,
                median: m.median,
                mean: m.mean,
                p99: m.p99,
                max: m.max,
                stddev: m.stddev,
            },
        })
        .collect();
    let mut tables = String::new();
    table::print(&rows, &mut |line| {
        // Writing to a String cannot fail.
        let _ = writeln!(tables, "{line}");
    });
    for line in table::words(&rows) {
        out += &wrapped("", line);
    }
    out + &tables + &beside(report, others)
}

/// What stands beside: the other systems' figures, and how they came about.
pub fn beside(report: &Report, others: &[Report]) -> String {
    let mut out = String::new();
    for m in &report.metrics {
        let unit = Unit::of(&m.unit).unwrap_or(Unit::Count);
        for b in beside::of(report, others, m) {
            let (ours, theirs) = (Human(m.figure(), unit), Human(b.figure, unit));
            // Writing to a String cannot fail.
            let _ =
                writeln!(out, "  {:<39}{ours:>11}{theirs:>11}  {:<8} {}", m.metric, times(b.ratio), b.system);
        }
    }
    if out.is_empty() {
        return out;
    }
    let heads =
        format!("  {:<39}{:>11}{:>11}  {:<8} {}\n", "", "Axiom", "other", "Axiom is", "the other system");
    out =
        format!("\nBeside other systems: medians, and Axiom's as a multiple of the other's\n{heads}{out}\n");
    for other in others.iter().filter(|o| beside::comparable(report, o)) {
        out += &wrapped("- ", &other.caption());
    }
    if let Some(caution) = beside::caution(report, others) {
        out += &wrapped("", caution);
    }
    out
}

/// A paragraph of lines, the first after `before`.
fn wrapped(before: &str, text: &str) -> String {
    let (mut out, mut line) = (String::new(), before.to_owned());
    for word in text.split(' ') {
        if line.len() + word.len() >= COLUMNS {
            out += line.trim_end();
            out.push('\n');
            line = "  ".into();
        }
        line += word;
        line.push(' ');
    }
    out + line.trim_end() + "\n"
}
