//! Collecting metrics and printing them: JSON lines between markers, then a table for people.
use super::clock::{self, Cycles};
use super::memory::{Text, list, owned, push};
use crate::text;
use alloc::string::String;
use alloc::vec::Vec;
use axiom_bench_metrics::{BEGIN, END, FORMAT_VERSION, Metric, Summary, Unit, table, ticks_to_nanos};
use axiom_runtime::{Runtime, plain, time};

struct Row {
    name: String,
    unit: Unit,
    summary: Summary,
    overhead: f64,
    samples: Vec<f64>,
}

/// The report in the making.
pub struct Report {
    rows: Vec<Row>,
    missing: Vec<String>,
    /// What there was no memory to name.
    unnamed: u32,
    cycles: Cycles,
    cycle_overhead: u64,
    tick_overhead: u64,
}

impl Report {
    /// An empty one, with the clocks calibrated.
    pub fn new() -> Report {
        Report {
            rows: Vec::new(),
            missing: Vec::new(),
            unnamed: 0,
            cycles: clock::kind(),
            cycle_overhead: clock::cycle_overhead(),
            tick_overhead: clock::tick_overhead(),
        }
    }

    /// Adds a quantity that was read once.
    pub fn once(&mut self, name: &str, unit: Unit, value: f64) {
        self.row(name, unit, Summary::once(value), 0.0, Vec::new());
    }

    /// Adds samples of the cycle counter's differences; the overhead is subtracted here.
    pub fn cycles(&mut self, name: &str, samples: impl Iterator<Item = u64>) {
        let overhead = self.cycle_overhead;
        let unit = if self.cycles == Cycles::Instructions { Unit::Instructions } else { Unit::Cycles };
        let values = samples.map(|s| s.saturating_sub(overhead) as f64);
        self.add(name, unit, values, overhead as f64);
    }

    /// The same where the counter counts instructions; elsewhere there is no such row.
    pub fn instructions(&mut self, name: &str, samples: impl Iterator<Item = u64>) {
        if self.cycles == Cycles::Instructions {
            self.cycles(name, samples);
        }
    }

    /// Adds samples of the tick counter's differences, as nanoseconds; `timed` says that two readings bound each.
    pub fn ticks(&mut self, name: &str, samples: impl Iterator<Item = u64>, timed: bool) {
        let frequency = time::frequency();
        let overhead = if timed { self.tick_overhead } else { 0 };
        let values = samples.filter_map(|s| ticks_to_nanos(s.saturating_sub(overhead), frequency));
        self.add(name, Unit::Nanos, values, ticks_to_nanos(overhead, frequency).unwrap_or(0.0));
    }

    /// Adds samples that are nanoseconds already.
    pub fn nanos(&mut self, name: &str, samples: impl Iterator<Item = u64>) {
        self.add(name, Unit::Nanos, samples.map(|s| s as f64), 0.0);
    }

    fn add(&mut self, name: &str, unit: Unit, values: impl Iterator<Item = f64>, overhead: f64) {
        let mut values = match list(values) {
            Ok(values) => values,
            Err(why) => return self.missing(name, &text!("{why}")),
        };
        match Summary::of(&mut values) {
            Some(summary) => self.row(name, unit, summary, overhead, values),
            None => self.missing(name, "no samples"),
        }
    }

    fn row(&mut self, name: &str, unit: Unit, summary: Summary, overhead: f64, samples: Vec<f64>) {
        let row = owned(name).map(|name| Row { name, unit, summary, overhead, samples });
        if let Err(why) = row.and_then(|row| push(&mut self.rows, row)) {
            self.missing(name, &text!("{why}"));
        }
    }

    /// Notes what could not be measured, and why.
    pub fn missing(&mut self, name: &str, why: &str) {
        let said = Text::<256>::of(format_args!("{name}: {why}"));
        if owned(&said).and_then(|said| push(&mut self.missing, said)).is_err() {
            self.unnamed += 1;
        }
    }

    /// Prints everything; the number of metrics.
    pub fn print(&self, rt: &Runtime) -> u32 {
        let exact = self.cycles == Cycles::Instructions;
        plain!("{BEGIN}");
        plain!(
            "{{\"circumstances\":{{\"format\":{FORMAT_VERSION},\"board\":\"{}\",\"system\":\"{}\",\"counter_hz\":{},\"instruction_exact\":{exact},\"emulated\":{},\"commit\":\"{}\",\"compiler\":\"{}\"}}}}",
            rt.arg("board").unwrap_or("unknown"),
            rt.arg("system").unwrap_or("unknown"),
            time::frequency(),
            // A board's image runs on its model as well: only who started it knows.
            match rt.arg("emulated") {
                Some("no") => "false",
                Some("unknown") => "null",
                _ => "true",
            },
            env!("AXIOM_COMMIT"),
            env!("AXIOM_COMPILER"),
        );
        for row in &self.rows {
            let metric = Metric {
                name: &row.name,
                unit: row.unit,
                summary: row.summary,
                overhead: row.overhead,
                samples: &row.samples,
            };
            plain!("{metric}");
        }
        plain!("{{\"metrics\":{}}}", self.rows.len());
        plain!("{END}");
        self.table(exact);
        self.rows.len() as u32
    }

    fn table(&self, exact: bool) {
        plain!("");
        plain!("Axiom benchmark report, commit {}", env!("AXIOM_COMMIT"));
        plain!(
            "{}",
            if exact {
                "instructions counted: one is 1 ns of virtual time; to compare programs, not boards"
            } else {
                "instructions not counted; under emulation, times are the emulator's, not a board's"
            }
        );
        let rows = self.rows.iter();
        match list(rows.map(|r| table::Row { name: &r.name, unit: r.unit, summary: r.summary })) {
            Ok(rows) => {
                table::words(&rows).for_each(|line| plain!("{line}"));
                table::print(&rows, &mut |line| plain!("{line}"));
            }
            Err(why) => plain!("no table: {why}; the lines before are all that there is"),
        }
        for why in &self.missing {
            plain!("not measured: {why}");
        }
        if self.unnamed > 0 {
            plain!("not measured: {} more, and no memory to say which", self.unnamed);
        }
        plain!("");
    }
}
