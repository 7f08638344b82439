//! The report for people: groups with a heading each, at most [`WIDTH`] columns, no empty ones.
//!
//! The benchmark server prints it on the console, and the host tools print it of a log, so that both show the same. What was read
//! once stands two to a line; what was sampled has its smallest, middle, 99th and largest sample in one unit; the stages of loading
//! a program and the servers' memory are tables of their own.
use crate::human::{Digits, Human, scale};
use crate::{Summary, Unit};
use core::fmt::Arguments;

/// Columns of a line: a terminal's 100 without the server's name before it.
pub const WIDTH: usize = 93;

/// A row of the report.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// The metric.
    pub name: &'a str,
    /// Its unit.
    pub unit: Unit,
    /// Its samples.
    pub summary: Summary,
}

/// What belongs together, in the order of the report: how names begin, and the heading.
const GROUPS: &[(&[&str], &str)] = &[
    (&["boot."], "Boot, from the kernel's first instruction; reset: from the machine's start"),
    (&["memory."], "Memory"),
    (&["bpf."], "Loading a program, medians of 10 from call to reply; + proof: its object brings the proof"),
    (&["timer."], "Timers"),
    (&["sample."], "A sample on its way"),
    (&["ipc."], "Messages, there and back"),
    (&["syscall."], "System calls"),
    (&["notification.", "yield.", "context_switch.", "page.", "kernel."], "The kernel's operations"),
    (&[""], "Others"),
];

/// What the columns and units of these rows mean, line by line.
pub fn words(rows: &[Row<'_>]) -> impl Iterator<Item = &'static str> {
    let cycles = rows.iter().any(|row| row.unit == Unit::Cycles);
    let staged = rows.iter().any(|row| load(row.name).is_some_and(|(_, stage)| stage != "total"));
    const TOTAL: &str =
        "total: the client's whole call; the columns after it: bpf-server's parts, no messages";
    const SAMPLES: &str =
        "n: samples; p99: 99 of a hundred took no longer; each row's meaning: docs/benchmarks.md";
    const CYCLES: &str = "cycles: of the processor's counter; under emulation they follow the host's clock";
    [Some(SAMPLES), cycles.then_some(CYCLES), staged.then_some(TOTAL)].into_iter().flatten()
}

/// The group of a metric.
fn group(name: &str) -> usize {
    let found = GROUPS.iter().position(|(starts, _)| starts.iter().any(|s| name.starts_with(s)));
    // The last group takes every name.
    found.unwrap_or(GROUPS.len() - 1)
}

/// `bpf.load.PROGRAM.STAGE`.
fn load(name: &str) -> Option<(&str, &str)> {
    name.strip_prefix("bpf.load.")?.rsplit_once('.')
}

/// `memory.server.SERVER.KIND`.
fn server(name: &str) -> Option<(&str, &str)> {
    name.strip_prefix("memory.server.")?.rsplit_once('.')
}

const STAGES: [&str; 7] = ["total", "receive", "parse", "verify", "compile", "map", "attach"];

/// Prints the rows, a line at a time.
pub fn print(rows: &[Row<'_>], line: &mut dyn FnMut(Arguments<'_>)) {
    for (number, (_, title)) in GROUPS.iter().enumerate() {
        let mut own = rows.iter().filter(|r| group(r.name) == number).peekable();
        if own.peek().is_none() {
            continue;
        }
        line(format_args!(""));
        line(format_args!("{title}"));
        once(
            own.clone().filter(|r| r.summary.n == 1 && load(r.name).is_none() && server(r.name).is_none()),
            line,
        );
        let mut headed = false;
        for row in
            own.clone().filter(|r| r.summary.n > 1 && load(r.name).is_none() && server(r.name).is_none())
        {
            if !headed {
                headed = true;
                line(format_args!(
                    "  {:<45} {:>4}{:>8}{:>8}{:>9}{:>9}",
                    "", "n", "min", "median", "p99", "max"
                ));
            }
            sampled(row, line);
        }
        servers(rows, own.clone(), line);
        loads(rows, own, line);
    }
}

/// Two to a line, where their names leave the room.
fn once<'r>(rows: impl Iterator<Item = &'r Row<'r>>, line: &mut dyn FnMut(Arguments<'_>)) {
    const NAME: usize = 34;
    let figure = |row: &Row<'_>| Human(row.summary.median, row.unit);
    let mut rows = rows.peekable();
    while let Some(first) = rows.next() {
        let left = figure(first);
        let room = first.name.len() <= NAME;
        match rows.next_if(|second| room && second.name.len() <= NAME) {
            Some(second) => {
                let right = figure(second);
                line(format_args!("  {:<NAME$}{left:>10}  {:<NAME$}{right:>11}", first.name, second.name));
            }
            None => line(format_args!("  {:<NAME$}{left:>10}", first.name)),
        }
    }
}

/// All figures in the unit that suits the middle one.
fn sampled(row: &Row<'_>, line: &mut dyn FnMut(Arguments<'_>)) {
    let s = &row.summary;
    let (size, unit) = scale(s.median, row.unit);
    let digits = |value: f64| Digits { value: value / size, whole: size == 1.0 };
    line(format_args!(
        "  {:<45} {:>4}{:>8}{:>8}{:>9}{:>9} {unit}",
        row.name,
        s.n,
        digits(s.min),
        digits(s.median),
        digits(s.p99),
        digits(s.max)
    ));
}

/// The servers' memory: a line for each.
fn servers<'r>(
    all: &[Row<'_>],
    rows: impl Iterator<Item = &'r Row<'r>>,
    line: &mut dyn FnMut(Arguments<'_>),
) {
    let mut headed = false;
    for (row, (name, kind)) in rows.filter_map(|r| Some((r, server(r.name)?))) {
        if kind != "own" {
            continue;
        }
        if !headed {
            headed = true;
            line(format_args!("  {:<34}{:>10}  {}", "server", "own", "shared with the bundle"));
        }
        let shared = all.iter().find(|o| server(o.name) == Some((name, "shared")));
        let own = Human(row.summary.median, row.unit);
        match shared {
            Some(shared) => {
                let shared = Human(shared.summary.median, shared.unit);
                line(format_args!("  {name:<34}{own:>10}  {shared:>10}"));
            }
            None => line(format_args!("  {name:<34}{own:>10}")),
        }
    }
}

/// Loading: a line for each program, a column for each stage.
fn loads<'r>(all: &[Row<'_>], rows: impl Iterator<Item = &'r Row<'r>>, line: &mut dyn FnMut(Arguments<'_>)) {
    let mut headed = false;
    for (program, _) in rows.filter_map(|r| load(r.name)).filter(|l| l.1 == "total") {
        let at = |stage: &str| {
            let row = all.iter().find(|r| load(r.name) == Some((program, stage)));
            row.map(|r| Human(r.summary.median, r.unit))
        };
        // Linux's call is one stage.
        let staged = STAGES[1..].iter().any(|stage| at(stage).is_some());
        if !headed {
            headed = true;
            let [total, receive, parse, verify, compile, map, attach] = STAGES;
            if staged {
                line(format_args!(
                    "  {:<18}{total:>10}{receive:>10}{parse:>10}{verify:>10}{compile:>10}{map:>10}{attach:>10}",
                    "program"
                ));
            }
        }
        let cell = |stage| Cell(at(stage));
        let [total, receive, parse, verify, compile, map, attach] = STAGES.map(cell);
        if staged {
            line(format_args!(
                "  {:<18}{total:>10}{receive:>10}{parse:>10}{verify:>10}{compile:>10}{map:>10}{attach:>10}",
                Program(program)
            ));
        } else {
            line(format_args!("  {:<18}{total:>10}", Program(program)));
        }
    }
}

/// A program's name; one that is made for the measurement is called by its number of instructions, with `_proved` where it has its proof.
struct Program<'a>(&'a str);

impl core::fmt::Display for Program<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let (name, proof) = match self.0.strip_suffix("_proved") {
            Some(name) => (name, " + proof"),
            None => (self.0, ""),
        };
        let unit = if name.bytes().all(|b| b.is_ascii_digit()) { " insns" } else { "" };
        let used = name.len() + unit.len() + proof.len();
        write!(f, "{name}{unit}{proof}{:1$}", "", f.width().unwrap_or(0).saturating_sub(used))
    }
}

/// A figure, or nothing where it was not measured.
struct Cell(Option<Human>);

impl core::fmt::Display for Cell {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.0 {
            Some(figure) => figure.fmt(f),
            None => f.pad_integral(true, "", "-"),
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use std::string::{String, ToString};
    use std::vec::Vec;

    fn printed(rows: &[Row<'_>]) -> Vec<String> {
        let mut out = Vec::new();
        print(rows, &mut |text| out.push(text.to_string()));
        out
    }

    fn row<'a>(name: &'a str, unit: Unit, samples: &[f64]) -> Row<'a> {
        // The name outlives the row; the samples are copied.
        let mut samples = samples.to_vec();
        Row { name, unit, summary: Summary::of(&mut samples).unwrap() }
    }

    #[test]
    fn every_kind_of_row_has_its_form_and_no_empty_column() {
        let rows = [
            row("boot.entry_to_init", Unit::Nanos, &[10_585_056.0]),
            row("memory.in_use", Unit::Bytes, &[9_710_000.0]),
            row("memory.kernel.image", Unit::Bytes, &[303_104.0]),
            row("memory.server.demo.own", Unit::Bytes, &[458_752.0]),
            row("memory.server.demo.shared", Unit::Bytes, &[86_016.0]),
            row("bpf.load.2.total", Unit::Nanos, &[211_024.0, 346_776.0, 400_000.0]),
            row("bpf.load.2.receive", Unit::Nanos, &[12_392.0]),
            row("bpf.load.1000_proved.total", Unit::Nanos, &[500_000.0]),
            row("bpf.load.hysteresis.total", Unit::Nanos, &[6_880_000.0]),
            row("notification.signal", Unit::Instructions, &[801.0, 801.0]),
            row("timer.10ms.lateness", Unit::Nanos, &[35_952.0, 76_888.0, 1_699_088.0]),
        ];
        let lines = printed(&rows);
        let expected = [
            "",
            "Boot, from the kernel's first instruction; reset: from the machine's start",
            "  boot.entry_to_init                   10.6 ms",
            "",
            "Memory",
            "  memory.in_use                        9.71 MB  memory.kernel.image                    303 kB",
            "  server                                   own  shared with the bundle",
            "  demo                                  459 kB     86.0 kB",
            "",
            "Loading a program, medians of 10 from call to reply; + proof: its object brings the proof",
            "  program                total   receive     parse    verify   compile       map    attach",
            "  2 insns               347 us   12.4 us         -         -         -         -         -",
            "  1000 insns + proof    500 us",
            "  hysteresis           6.88 ms",
            "",
            "Timers",
            "                                                   n     min  median      p99      max",
            "  timer.10ms.lateness                              3    36.0    76.9     1699     1699 us",
            "",
            "The kernel's operations",
            "                                                   n     min  median      p99      max",
            "  notification.signal                              2     801     801      801      801 insns",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn nothing_is_left_out_and_no_line_is_too_long() {
        let names: Vec<String> = crate::definitions::ALL
            .iter()
            .map(|d| {
                d.pattern.replacen('*', "moving_average", 1).replacen('*', "total", 1).replace('*', "0w")
            })
            .collect();
        for samples in [&[999_999_999.0][..], &[1.0, 999_999_999.0, 999_999_999.0]] {
            let rows: Vec<Row<'_>> = names.iter().map(|n| row(n, Unit::Nanos, samples)).collect();
            let lines = printed(&rows);
            for line in &lines {
                assert!(line.len() <= WIDTH, "{} columns: {line}", line.len());
            }
            let text = lines.join("\n");
            for name in &names {
                let shown = match (load(name), server(name)) {
                    (Some((program, "total")), _) => program,
                    (Some(_), _) => continue,
                    (_, Some((server, "own"))) => server,
                    (_, Some(_)) => continue,
                    _ => name.as_str(),
                };
                assert!(text.contains(shown), "{name} is not shown:\n{text}");
            }
        }
    }

    proptest! {
        #[test]
        fn lines_keep_their_width(samples in prop::collection::vec(0.0f64..1e7, 1..5), unit in 0..5usize) {
            let unit = [Unit::Nanos, Unit::Instructions, Unit::Cycles, Unit::Bytes, Unit::Count][unit];
            let name = "notification.signal_to_higher_priority_waiter";
            for line in printed(&[row(name, unit, &samples), row("memory.root_image_and_bundle", unit, &samples)]) {
                // Figures in the middle one's unit may be long where the largest is a million times that.
                prop_assert!(line.len() <= WIDTH + 8, "{line}");
            }
        }
    }
}
