//! Reading a captured log: every line between the markers is one JSON object, or the log is refused with
//! the line's number. A report that lost a line on the serial port must not look like a report.
use axiom_bench_metrics::histogram::{LAST, bucket};
use axiom_bench_metrics::{BEGIN, END, FORMAT_VERSION, said};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One metric as the benchmark server printed it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricLine {
    /// Dotted name.
    pub metric: String,
    /// `ns`, `insns`, `cycles`, `bytes` or `count`.
    pub unit: String,
    /// Number of samples.
    pub n: u64,
    /// Smallest sample.
    pub min: f64,
    /// Middle sample.
    pub median: f64,
    /// Arithmetic mean.
    pub mean: f64,
    /// 99th percentile, nearest rank.
    pub p99: f64,
    /// Largest sample.
    pub max: f64,
    /// Population standard deviation.
    pub stddev: f64,
    /// Measuring overhead, already subtracted.
    pub overhead: f64,
    /// Histogram as the metrics crate writes it: first bucket, count, then distance to the next bucket and count, and so on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hist: Vec<u64>,
}

impl MetricLine {
    /// The histogram's buckets, rising, with their counts.
    pub fn buckets(&self) -> Vec<(u32, u64)> {
        let mut bucket = 0u32;
        let pairs = self.hist.as_chunks::<2>().0.iter();
        pairs
            .map(|[distance, count]| {
                bucket = bucket.saturating_add(u32::try_from(*distance).unwrap_or(u32::MAX));
                (bucket, *count)
            })
            .collect()
    }

    /// The figure by which the metric is compared: the middle sample, which one late interrupt does not move.
    pub fn figure(&self) -> f64 {
        self.median
    }
}

/// A whole report.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// The circumstances line: board, counter, whether instruction-exact, commit, compiler.
    pub circumstances: BTreeMap<String, serde_json::Value>,
    /// The metrics in the order printed.
    pub metrics: Vec<MetricLine>,
}

impl Report {
    /// The metric of that name.
    pub fn get(&self, name: &str) -> Option<&MetricLine> {
        self.metrics.iter().find(|m| m.metric == name)
    }

    /// A circumstance as text.
    pub fn circumstance(&self, name: &str) -> Option<String> {
        self.circumstances.get(name).map(|v| match v {
            serde_json::Value::String(s) => s.clone(),
            other => other.to_string(),
        })
    }

    /// The results file: the same lines between the same markers, so that it can be read back.
    pub fn to_jsonl(&self) -> String {
        let mut out = format!("{BEGIN}\n{}\n", serde_json::json!({ "circumstances": self.circumstances }));
        for metric in &self.metrics {
            out += &serde_json::to_string(metric).expect("a metric has only strings and finite numbers");
            out.push('\n');
        }
        out + END + "\n"
    }
}

impl Report {
    /// The whole as one JSON document.
    pub fn to_json(&self) -> String {
        let value = serde_json::json!({ "circumstances": self.circumstances, "metrics": self.metrics });
        format!("{value:#}\n")
    }

    /// Whether instructions were counted: then a nanosecond is an instruction.
    pub fn exact(&self) -> bool {
        self.circumstances.get("instruction_exact") == Some(&serde_json::Value::Bool(true))
    }

    /// What measured: `Axiom`, or the system that the circumstances name.
    pub fn system(&self) -> String {
        match self.circumstance("system") {
            Some(name) if name.starts_with("Linux") || name.starts_with("seL4") => name,
            _ => "Axiom".into(),
        }
    }

    /// The same in short, for a chart: `Linux 6.1.0`.
    pub fn system_short(&self) -> String {
        let name = self.system();
        let short = name.split_once('-').map_or(name.as_str(), |(short, _)| short);
        match self.circumstance("variant") {
            Some(variant) => format!("{short} {variant}"),
            None => short.to_owned(),
        }
    }

    /// One line that says how the figures came about.
    pub fn caption(&self) -> String {
        let part = |name: &str| self.circumstance(name).unwrap_or_else(|| "unknown".into());
        let machine = match self.circumstances.get("emulated") {
            Some(serde_json::Value::Bool(false)) => "",
            Some(serde_json::Value::Bool(true)) => ", emulated (QEMU TCG)",
            _ => ", emulated or not: not known",
        };
        let counting = if self.exact() { ", instructions counted: 1 instruction = 1 ns" } else { "" };
        let mut out = format!("{}: {}{machine}{counting}", self.system(), part("board"));
        // What is not known is not said.
        for (name, before) in
            [("emulator", ""), ("date", "measured "), ("commit", "commit "), ("threads", "")]
        {
            if let Some(text) = self.circumstance(name) {
                out += &format!("; {before}{text}");
            }
        }
        out
    }
}

/// Reads a log or a results file.
pub fn read(path: &str) -> Result<Report, String> {
    let bytes = std::fs::read(path).map_err(|e| format!("{path}: cannot be read: {e}"))?;
    let mut report = parse(&String::from_utf8_lossy(&bytes)).map_err(|e| format!("{path}:{e}"))?;
    // Results of the small Linux that are older than this circumstance are known by their files' names.
    let name = std::path::Path::new(path).file_name().and_then(|name| name.to_str());
    if name.is_some_and(|name| name.starts_with("small-")) && report.system().starts_with("Linux") {
        report.circumstances.entry("variant".into()).or_insert_with(|| "(small)".into());
    }
    Ok(report)
}

/// Parses the one report in a console log.
pub fn parse(text: &str) -> Result<Report, String> {
    let mut report = Report::default();
    let mut state = State::Before;
    let mut stated = None;
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        // A measurement that makes the serial port interrupt sends zeros for it.
        let line = said(line.trim_matches(|c: char| c.is_whitespace() || c == '\0'));
        match state {
            State::Before if line == BEGIN => state = State::Inside,
            State::Before => {}
            State::Inside if line == END => state = State::After,
            State::Inside => {
                let value: serde_json::Value = serde_json::from_str(line).map_err(|e| {
                    format!("{number}: '{line}' is not a JSON object ({e}); a report has only such lines between its markers; was the serial log cut?")
                })?;
                if let Some(circumstances) = value.get("circumstances") {
                    if !report.circumstances.is_empty() {
                        return Err(format!("{number}: a second circumstances line; a report has one"));
                    }
                    report.circumstances = serde_json::from_value(circumstances.clone())
                        .map_err(|e| format!("{number}: the circumstances are not an object: {e}"))?;
                    check_version(number, &report)?;
                } else if let Some(count) = value.get("metrics") {
                    stated = count.as_u64();
                } else {
                    let metric: MetricLine =
                        serde_json::from_value(value).map_err(|e| format!("{number}: not a metric: {e}"))?;
                    check_metric(number, &metric, &report)?;
                    report.metrics.push(metric);
                }
            }
            State::After if line == BEGIN => {
                return Err(format!("{number}: a second report begins; give a log of one run"));
            }
            State::After => {}
        }
    }
    match state {
        State::Before => Err(format!("1: no line '{BEGIN}': the benchmark server did not get to its report")),
        State::Inside => Err(format!("{}: the log ends before '{END}'", text.lines().count())),
        State::After if report.circumstances.is_empty() => {
            Err("1: the report has no circumstances line, and a figure without them cannot be compared"
                .into())
        }
        State::After => match stated {
            Some(count) if count != report.metrics.len() as u64 => Err(format!(
                "1: the report says it has {count} metrics and {} arrived; lines were lost",
                report.metrics.len()
            )),
            _ => Ok(report),
        },
    }
}

enum State {
    Before,
    Inside,
    After,
}

fn check_version(number: usize, report: &Report) -> Result<(), String> {
    match report.circumstances.get("format").and_then(serde_json::Value::as_u64) {
        Some(v) if v == u64::from(FORMAT_VERSION) => Ok(()),
        other => Err(format!("{number}: report format {other:?}; this tool reads format {FORMAT_VERSION}")),
    }
}

fn check_metric(number: usize, m: &MetricLine, report: &Report) -> Result<(), String> {
    if report.get(&m.metric).is_some() {
        return Err(format!("{number}: metric '{}' is there twice", m.metric));
    }
    if !["ns", "insns", "cycles", "bytes", "count"].contains(&m.unit.as_str()) {
        return Err(format!("{number}: metric '{}' has the unknown unit '{}'", m.metric, m.unit));
    }
    if m.n == 0 {
        return Err(format!("{number}: metric '{}' has no samples", m.metric));
    }
    if !(m.min <= m.median && m.median <= m.max && m.p99 <= m.max) {
        return Err(format!("{number}: metric '{}' is not ordered: min <= median <= p99 <= max", m.metric));
    }
    check_histogram(number, m)
}

fn check_histogram(number: usize, m: &MetricLine) -> Result<(), String> {
    if m.hist.is_empty() {
        return Ok(());
    }
    let name = &m.metric;
    let buckets = m.buckets();
    if !m.hist.len().is_multiple_of(2) || buckets.iter().any(|b| b.0 > LAST || b.1 == 0) {
        return Err(format!(
            "{number}: metric '{name}' has a malformed histogram: pairs of distance and count"
        ));
    }
    if buckets.windows(2).any(|w| w[0].0 >= w[1].0) {
        return Err(format!("{number}: metric '{name}' has a histogram whose buckets do not rise"));
    }
    let total: u64 = buckets.iter().fold(0, |sum, b| sum.saturating_add(b.1));
    if total != m.n {
        return Err(format!(
            "{number}: metric '{name}' says n = {} and its histogram holds {total} samples",
            m.n
        ));
    }
    let ends = (buckets[0].0, buckets[buckets.len() - 1].0);
    // The figures are printed to a tenth: one just below a bucket's end may read as the next one's start.
    let fits = |found: u32, figure: f64| found == bucket(figure) || found == bucket(figure - 0.05);
    if !(fits(ends.0, m.min) && fits(ends.1, m.max)) {
        return Err(format!("{number}: metric '{name}' has a histogram that does not reach from min to max"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axiom_bench_metrics::{Metric, Summary, Unit};

    const METRIC: &str = r#"{"metric":"a.b","unit":"ns","n":3,"min":1.0,"median":2.5,"mean":2.4,"p99":3.0,"max":3.0,"stddev":0.5,"overhead":0.2}"#;

    fn log(lines: &[&str]) -> String {
        format!(
            "boot\n{BEGIN}\n{{\"circumstances\":{{\"format\":1,\"board\":\"x\"}}}}\n{}\n{END}\ndone\n",
            lines.join("\n")
        )
    }

    #[test]
    fn a_report_round_trips_through_its_results_file() {
        let report = parse(&log(&[METRIC])).unwrap();
        assert_eq!(report.metrics.len(), 1);
        let again = parse(&report.to_jsonl()).unwrap();
        assert_eq!(again, report);
    }

    #[test]
    fn what_the_server_prints_is_what_this_reads() {
        let mut samples = [120.0, 130.0, 9_000.5];
        let summary = Summary::of(&mut samples).unwrap();
        let line = Metric { name: "a.b", unit: Unit::Nanos, summary, overhead: 1.0, samples: &samples };
        let report = parse(&log(&[&line.to_string()])).unwrap();
        let metric = report.get("a.b").unwrap();
        assert_eq!((metric.n, metric.min, metric.max), (3, 120.0, 9_000.5));
        assert_eq!(metric.buckets(), samples.map(|s| (bucket(s), 1)));
    }

    #[test]
    fn only_the_benchmark_server_reports() {
        let plain = log(&[METRIC]);
        let named = |name: &str| plain.lines().map(|l| format!("{name}: {l}\n")).collect::<String>();
        let (report, same) = (parse(&plain).unwrap(), parse(&named("bench")).unwrap());
        assert_eq!((report.metrics.len(), same.metrics.len()), (1, 1));
        assert!(parse(&named("other")).unwrap_err().contains("no line"));
        // In front of the real one, it is not looked at.
        assert_eq!(parse(&(named("other") + &named("bench"))).unwrap().metrics.len(), 1);
    }

    #[test]
    fn histograms_must_fit_their_metric() {
        let with = |hist: &str| METRIC.replace("}", &format!(",\"hist\":{hist}}}"));
        assert!(parse(&log(&[&with("[1,1,1,1,1,1]")])).is_ok());
        for (hist, expected) in [
            ("[1,1,2,1]", "4: metric 'a.b' says n = 3 and its histogram holds 2 samples"),
            ("[1,1,2]", "4: metric 'a.b' has a malformed histogram"),
            ("[1,1,0,2]", "buckets do not rise"),
            ("[1,3]", "does not reach from min to max"),
        ] {
            let error = parse(&log(&[&with(hist)])).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn refusals_name_the_line() {
        for (lines, expected) in [
            (vec![METRIC, METRIC], "5: metric 'a.b' is there twice"),
            (vec!["{\"metric\":"], "4: '{\"metric\":' is not a JSON object"),
            (vec![r#"{"metrics":2}"#, METRIC], "the report says it has 2 metrics and 1 arrived"),
        ] {
            let error = parse(&log(&lines)).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        let unordered = METRIC.replace("\"max\":3.0", "\"max\":2.0");
        assert!(parse(&log(&[&unordered])).unwrap_err().contains("is not ordered"));
        let unit = METRIC.replace("\"ns\"", "\"hpet\"");
        assert!(parse(&log(&[&unit])).unwrap_err().contains("unknown unit 'hpet'"));
        assert!(parse("nothing").unwrap_err().contains("did not get to its report"));
        assert!(parse(&format!("{BEGIN}\n{METRIC}\n")).unwrap_err().contains("ends before"));
        assert!(parse(&format!("{BEGIN}\n{METRIC}\n{END}\n")).unwrap_err().contains("no circumstances"));
    }
}
