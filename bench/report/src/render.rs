//! Markdown from reports: a table per group of metrics.
use crate::beside;
use crate::charts::times;
use crate::log::{MetricLine, Report};
use std::fmt::Write;

/// The report as Markdown: circumstances, then one table per first word of the metric names; other systems' figures stand beside.
pub fn markdown(report: &Report, others: &[Report]) -> String {
    let mut out = circumstances(report);
    if let Some(caution) = beside::caution(report, others) {
        let _ = writeln!(out, "\nBeside stand other systems: {}. {caution}", captions(report, others));
    }
    let mut groups: Vec<&str> = Vec::new();
    for metric in &report.metrics {
        let group = group_of(metric);
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    for group in groups {
        let _ = writeln!(out, "\n**{group}**\n");
        let _ = writeln!(out, "| metric | unit | n | min | median | mean | p99 | max | sd | beside |");
        let _ = writeln!(out, "|---|---|--:|--:|--:|--:|--:|--:|--:|---|");
        for metric in report.metrics.iter().filter(|m| group_of(m) == group) {
            let _ = writeln!(out, "{}", row(report, others, metric));
        }
    }
    out
}

/// The systems that stand beside, with when they were measured.
fn captions(report: &Report, others: &[Report]) -> String {
    let beside = others.iter().filter(|other| beside::comparable(report, other));
    beside.map(Report::caption).collect::<Vec<_>>().join("; ")
}

/// The first word of its name.
pub fn group_of(metric: &MetricLine) -> &str {
    metric.metric.split('.').next().unwrap_or_default()
}

/// The circumstances as a list.
pub fn circumstances(report: &Report) -> String {
    let mut out = String::new();
    for name in report.circumstances.keys().filter(|k| *k != "format") {
        let _ = writeln!(out, "- {name}: {}", report.circumstance(name).unwrap_or_default());
    }
    out
}

fn row(report: &Report, others: &[Report], m: &MetricLine) -> String {
    let number = |v: f64| grouped(v, m.unit == "bytes" || m.unit == "count");
    let spread = |v: f64| if m.n == 1 { String::new() } else { number(v) };
    format!(
        "| `{}` | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
        m.metric,
        m.unit,
        m.n,
        spread(m.min),
        number(m.median),
        spread(m.mean),
        spread(m.p99),
        spread(m.max),
        spread(m.stddev),
        beside(report, others, m)
    )
}

/// Other systems' figures and our ratio to them.
fn beside(report: &Report, others: &[Report], m: &MetricLine) -> String {
    let exact = m.unit == "bytes" || m.unit == "insns";
    let cells = beside::of(report, others, m).into_iter();
    let cells = cells.map(|b| format!("{}: {} ({})", b.system, grouped(b.figure, exact), times(b.ratio)));
    cells.collect::<Vec<_>>().join("; ")
}

/// A number with its thousands apart; one decimal unless it is whole by nature.
pub fn grouped(value: f64, whole: bool) -> String {
    let text = if whole { format!("{value:.0}") } else { format!("{value:.1}") };
    let (integer, fraction) = text.split_once('.').map_or((text.as_str(), ""), |(i, f)| (i, f));
    let (sign, digits) = integer.strip_prefix('-').map_or(("", integer), |d| ("-", d));
    let mut out = String::from(sign);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    if !fraction.is_empty() {
        out.push('.');
        out.push_str(fraction);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_apart() {
        assert_eq!(grouped(1_234_567.25, false), "1 234 567.2");
        assert_eq!(grouped(999.0, true), "999");
        assert_eq!(grouped(-1500.0, true), "-1 500");
    }
}
