//! Axiom beside Linux: the same definitions, the same emulated machine, several runs of each.
//!
//! A folder holds results files `SYSTEM-MODE-RUN.jsonl`: system `axiom`, `linux` or `host` (the machine that the emulator runs on),
//! mode `icount` or `tcg`. A row is the median of the runs' medians, with the smallest and largest of them beside it.
use crate::draw::human;
use crate::log::{self, Report};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// What is compared: Axiom's metric, Linux's, and what is said of the two.
pub struct Row {
    /// Axiom's metric.
    pub axiom: &'static str,
    /// Linux's.
    pub linux: &'static str,
    /// What is measured, and what differs.
    pub what: &'static str,
}

const fn same(metric: &'static str, what: &'static str) -> Row {
    Row { axiom: metric, linux: metric, what }
}

const STRAIGHT: &str = "as above; the time that Linux's verifier takes depends on how branches follow one another: for another program of this \
    size it was measured at 210 us (100 instructions) and 1771 us (1000)";
const LOAD: &str = "Axiom: upload, parse, verify, compile, attach; Linux: make maps, verify, compile";

/// The rows, in the order of the page.
pub const ROWS: &[Row] = &[
    same("boot.reset_to_init", "the machine's counter, 0 at reset, at init's first statement"),
    same(
        "boot.entry_to_init",
        "the kernel's own stamp: Axiom's from its first instruction, Linux's since its clock started",
    ),
    same(
        "memory.in_use",
        "RAM minus free RAM after boot; Axiom with all its servers, Linux with one process",
    ),
    same("memory.kernel.text", "code of the kernel"),
    same("bpf.load.2.total", LOAD),
    same("bpf.load.100.total", STRAIGHT),
    same("bpf.load.1000.total", STRAIGHT),
    same(
        "bpf.load.iio_filter.total",
        "as above; for Linux 6.1 it is compiled without its newest instructions, and copies the sample to its stack, because a helper there takes no context as memory",
    ),
    same(
        "bpf.load.moving_average.total",
        "as above; Linux 6.1 knows no signed division, so that its form divides in two branches",
    ),
    same("bpf.load.hysteresis.total", LOAD),
    same("timer.10ms.interval", "wake-up to wake-up of a periodic thread of high priority"),
    same("timer.10ms.lateness", "deadline to first statement after the wait"),
    same("timer.1ms.lateness", "deadline to first statement after the wait"),
    same(
        "timer.deadline_to_first_bpf_instruction",
        "Axiom: in an isolated server, which the kernel wakes; Linux: in the kernel (bpf_timer), from just before it is armed; processor busy on both",
    ),
    Row {
        axiom: "ipc.postcard.round_trip",
        linux: "ipc.pipe.round_trip",
        what: "request and reply between two address spaces; Axiom encodes and decodes a message, Linux moves one byte",
    },
    Row {
        axiom: "ipc.postcard.round_trip",
        linux: "ipc.futex.round_trip",
        what: "as above; Linux wakes through shared memory",
    },
    Row {
        axiom: "ipc.postcard.round_trip",
        linux: "ipc.eventfd.round_trip",
        what: "as above; Linux moves a counter",
    },
    Row {
        axiom: "notification.poll",
        linux: "syscall.null",
        what: "the cheapest system call: Axiom polls a notification (instructions, 1 ns each where they are counted), Linux getppid",
    },
];

/// The runs of one system in one mode.
type Runs = Vec<Report>;

/// Reads the results files of a folder, by system and mode.
pub fn read(folder: &str) -> Result<BTreeMap<(String, String), Runs>, String> {
    let mut all: BTreeMap<(String, String), Runs> = BTreeMap::new();
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .map_err(|e| format!("{folder}: cannot be read: {e}"))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    files.sort();
    for path in files {
        let Some(stem) = path.file_name().and_then(|n| n.to_str()).and_then(|n| n.strip_suffix(".jsonl"))
        else {
            continue;
        };
        let mut parts = stem.splitn(3, '-');
        let (Some(system), Some(mode), Some(_)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(format!("{}: the name must read SYSTEM-MODE-RUN.jsonl", path.display()));
        };
        let report = log::read(&path.display().to_string())?;
        all.entry((system.into(), mode.into())).or_default().push(report);
    }
    if all.is_empty() {
        return Err(format!("{folder}: no results; `just compare-linux` makes them"));
    }
    Ok(all)
}

/// The median of the runs' medians, the smallest and the largest of them, and how many runs there were.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Figure {
    median: f64,
    least: f64,
    most: f64,
    runs: usize,
}

fn figure(runs: &[Report], metric: &str) -> Option<Figure> {
    let mut medians: Vec<f64> = runs.iter().filter_map(|r| r.get(metric)).map(|m| m.median).collect();
    medians.sort_by(f64::total_cmp);
    let (least, most) = (*medians.first()?, *medians.last()?);
    let middle = medians.len() / 2;
    let median =
        if medians.len() % 2 == 1 { medians[middle] } else { (medians[middle - 1] + medians[middle]) / 2.0 };
    Some(Figure { median, least, most, runs: medians.len() })
}

fn cell(figure: Option<Figure>, unit: &str) -> String {
    let number = |v| human(v, unit);
    match figure {
        Some(f) if f.least == f.most => format!("{} (n={})", number(f.median), f.runs),
        Some(f) => format!("{} ({} to {}, n={})", number(f.median), number(f.least), number(f.most), f.runs),
        None => "not measured".into(),
    }
}

fn unit<'a>(runs: &'a [Report], metric: &str) -> &'a str {
    runs.iter().find_map(|r| r.get(metric)).map_or("", |m| m.unit.as_str())
}

/// Where the figures come from.
fn source(all: &BTreeMap<(String, String), Runs>) -> String {
    let said = |name: &str| {
        let all: BTreeSet<String> = all.values().flatten().filter_map(|r| r.circumstance(name)).collect();
        if all.is_empty() { "unknown".into() } else { all.into_iter().collect::<Vec<_>>().join(", ") }
    };
    format!("- command: {}\n- commit: {}\n\n", said("command"), said("commit"))
}

/// When a column was measured, and of which commit of this tree.
fn measured(column: &str, runs: &[Report]) -> String {
    let said = |name: &str| {
        let all: BTreeSet<String> = runs.iter().filter_map(|run| run.circumstance(name)).collect();
        all.into_iter().collect::<Vec<_>>().join(" and ")
    };
    let (date, commit) = (said("date"), said("commit"));
    let day = if date.is_empty() { "on a day that was not noted".into() } else { format!("on {date}") };
    let at = if commit.is_empty() { String::new() } else { format!(" (commit {commit})") };
    format!("{column} {day}{at}")
}

/// The systems beside Axiom, as the names of results files begin, and what their column is called besides their own name.
const OTHERS: &[(&str, &str)] = &[("linux", ""), ("small", " (small)")];

/// A table with its title.
pub struct Section {
    /// What the table shows.
    pub title: String,
    /// When its columns were measured, and of which commits.
    pub measured: String,
    /// The table, in Markdown.
    pub table: String,
}

/// The tables, one for each mode, and where their figures come from, in Markdown.
pub fn table(all: &BTreeMap<(String, String), Runs>) -> String {
    sections(all).into_iter().fold(source(all), |mut out, s| {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "### {}\n\n{}\n\n{}", s.title, s.measured, s.table);
        out
    })
}

/// The tables, one for each mode.
pub fn sections(all: &BTreeMap<(String, String), Runs>) -> Vec<Section> {
    let none = Vec::new();
    let runs = |system: &str, mode: &str| all.get(&(system.to_owned(), mode.to_owned())).unwrap_or(&none);
    let mut out = Vec::new();
    for (mode, title) in [
        ("icount", "Instructions counted (`-icount shift=0`: one instruction is one nanosecond)"),
        ("tcg", "Plain emulation (figures depend on the host's load)"),
    ] {
        let axiom = runs("axiom", mode);
        let others: Vec<(String, &Runs)> = OTHERS
            .iter()
            .map(|(name, kind)| (runs(name, mode), kind))
            .filter(|(runs, _)| !runs.is_empty())
            .map(|(runs, kind)| (system(runs) + kind, runs))
            .collect();
        if !axiom.is_empty() || !others.is_empty() {
            let mut columns = vec![measured("Axiom", axiom)];
            columns.extend(others.iter().map(|(name, runs)| measured(name, runs)));
            let measured = format!("Measured: {}.", columns.join("; "));
            out.push(Section { title: title.into(), measured, table: mode_table(axiom, &others) });
        }
    }
    let host = runs("host", "native");
    if !host.is_empty() {
        let mut table = String::from("| metric | figure |\n|---|---|\n");
        for row in ROWS.iter().filter(|r| r.linux.starts_with("bpf.")) {
            if let Some(f) = figure(host, row.linux) {
                let _ = writeln!(table, "| `{}` | {} |", row.linux, cell(Some(f), "ns"));
            }
        }
        let title = format!("The machine that the emulator runs on: {}, not emulated", system(host));
        let measured = format!("Measured: {}.", measured("this", host));
        out.push(Section { title, measured, table });
    }
    out
}

fn system(runs: &Runs) -> String {
    runs.first().and_then(|r| r.circumstance("system")).unwrap_or_else(|| "Linux".into())
}

fn mode_table(axiom: &Runs, others: &[(String, &Runs)]) -> String {
    let mut out = String::from("| metric | Axiom |");
    // Writing to a String cannot fail.
    for (name, _) in others {
        let _ = write!(out, " {name} | / Axiom |");
    }
    let _ = writeln!(out, " what |\n|---|---|{}---|", "---|---|".repeat(others.len()));
    for row in ROWS {
        let ours = figure(axiom, row.axiom);
        let name = if row.axiom == row.linux {
            row.axiom.to_owned()
        } else {
            format!("{} / {}", row.axiom, row.linux)
        };
        let _ = write!(out, "| `{name}` | {} |", cell(ours, unit(axiom, row.axiom)));
        for (_, runs) in others {
            let theirs = figure(runs, row.linux);
            let _ = write!(out, " {} | {} |", cell(theirs, unit(runs, row.linux)), ratio(ours, theirs));
        }
        let _ = writeln!(out, " {} |", row.what);
    }
    out
}

/// How many times Axiom's figure the other is.
fn ratio(ours: Option<Figure>, theirs: Option<Figure>) -> String {
    match (ours, theirs) {
        (Some(a), Some(l)) if a.median > 0.0 && l.median >= a.median => format!("{:.1}", l.median / a.median),
        (Some(a), Some(l)) if a.median > 0.0 => format!("{:.3}", l.median / a.median),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(metrics: &[(&str, f64)]) -> Report {
        let lines: String = metrics
            .iter()
            .map(|(name, v)| {
                format!("{{\"metric\":\"{name}\",\"unit\":\"ns\",\"n\":1,\"min\":{v},\"median\":{v},\"mean\":{v},\"p99\":{v},\"max\":{v},\"stddev\":0,\"overhead\":0}}\n")
            })
            .collect();
        log::parse(&format!(
            "-----BEGIN AXIOM REPORT-----\n{{\"circumstances\":{{\"format\":1,\"system\":\"Linux 9\"}}}}\n{lines}-----END AXIOM REPORT-----\n"
        ))
        .unwrap()
    }

    #[test]
    fn runs_become_a_median_with_its_spread_and_a_ratio() {
        let axiom = [100.0, 120.0, 110.0].map(|v| report(&[("bpf.load.2.total", v)])).to_vec();
        let linux = vec![report(&[("bpf.load.2.total", 440.0)])];
        let all = BTreeMap::from([
            (("axiom".into(), "icount".into()), axiom),
            (("linux".into(), "icount".into()), linux),
        ]);
        let page = table(&all);
        assert!(
            page.contains("| `bpf.load.2.total` | 110 ns (100 ns to 120 ns, n=3) | 440 ns (n=1) | 4.0 |"),
            "{page}"
        );
        assert!(
            page.contains("| metric | Axiom | Linux 9 | / Axiom | what |\n|---|---|---|---|---|\n"),
            "{page}"
        );
        assert!(page.contains("Measured: Axiom on a day that was not noted; Linux 9 on"), "{page}");
        assert!(page.contains("| `boot.entry_to_init` | not measured | not measured |  |"), "{page}");
        assert!(!page.contains("Plain emulation"), "a mode without runs has no table");
    }
}
