//! The charts: what of a report is drawn, and beside what.
//!
//! A system has a colour, the same in every chart and nobody else's: Axiom blue, Linux orange, a small Linux ochre, seL4 purple and green.
//! Lines of other systems are dashed, and the legend shows them so.
use crate::bars::{Bar, Panel, Row, svg};
use crate::beside;
use crate::draw::{
    Area, COLOURS, Chart, INK, Line, chart, failed, font, human, legend, legend_height, lines, time,
};
use crate::log::{MetricLine, Report};
use plotters::prelude::*;

/// All charts that the report has figures for.
pub fn all(report: &Report, others: &[Report]) -> Result<Vec<Chart>, String> {
    let others: Vec<Report> =
        others.iter().filter(|other| beside::comparable(report, other)).cloned().collect();
    let charts = [
        boot(report, &others),
        latencies(report, &others),
        operations(report, &others),
        load(report, &others)?,
        messages(report, &others)?,
        memory(report, &others),
    ];
    Ok(charts.into_iter().flatten().collect())
}

fn figure(report: &Report, name: &str) -> Option<f64> {
    report.get(name).map(MetricLine::figure)
}

const AXIOM: usize = 0;

/// A system's colour.
fn colour(report: &Report) -> usize {
    match report.system().as_str() {
        name if name.starts_with("seL4") && name.contains("no FPU") => 2,
        name if name.starts_with("seL4") => 3,
        name if name.starts_with("Linux") && report.circumstance("variant").is_some() => 6,
        name if name.starts_with("Linux") => 1,
        _ => AXIOM,
    }
}

/// The systems' names with their colours.
fn systems(others: &[&Report]) -> Vec<(String, usize)> {
    let mut out = vec![("Axiom".to_owned(), AXIOM)];
    for other in others {
        let entry = (other.system_short(), colour(other));
        if !out.contains(&entry) {
            out.push(entry);
        }
    }
    out
}

/// Other systems' figures for a metric as bars, with how ours compares.
fn others_bars(report: &Report, others: &[Report], ours: &MetricLine, spread: bool) -> Vec<Bar> {
    let found = beside::of(report, others, ours).into_iter();
    found
        .map(|b| {
            let theirs = Some(b.metric).filter(|t| spread && t.n > 1);
            let label = format!("{}; Axiom {}", human(b.figure, &ours.unit), times(b.ratio));
            // What has another name there says so.
            let other = b.system.strip_prefix(&b.report.system_short()).unwrap_or_default();
            let label = format!("{label}{other}");
            match theirs {
                Some(theirs) => Bar { label, ..range(theirs, colour(b.report)) },
                None => Bar { to: b.figure, colour: colour(b.report), label, ..Bar::default() },
            }
        })
        .collect()
}

/// A ratio as it is said.
pub fn times(ratio: f64) -> String {
    match ratio {
        r if r >= 99.5 => format!("x {r:.0}"),
        r if r >= 9.95 => format!("x {r:.1}"),
        r if r >= 0.0095 => format!("x {r:.2}"),
        r => format!("x {r:.4}"),
    }
}

/// From the smallest sample to the 99th of a hundred, on to the largest, with the middle one marked.
fn range(m: &MetricLine, colour: usize) -> Bar {
    Bar {
        from: m.min,
        to: m.p99,
        most: m.max,
        middle: Some(m.median),
        colour,
        label: human(m.median, &m.unit),
    }
}

fn picture(name: &'static str, title: &'static str, caption: String, panels: &[Panel]) -> Option<Chart> {
    let drawn = panels.iter().any(|p| !p.rows.is_empty());
    drawn.then(|| Chart { name, title, caption, svg: svg(title, panels) })
}

/// Up to init: what comes after it takes so long that these would be no wider than a hair beside it.
const PHASES: [(&str, &str); 8] = [
    ("boot.entry_to_mmu", "address translation"),
    ("boot.entry_to_device_tree_read", "device tree"),
    ("boot.entry_to_firmware_tables_read", "firmware's tables"),
    ("boot.entry_to_memory_map", "memory map"),
    ("boot.entry_to_interrupt_controller", "interrupt controller"),
    ("boot.entry_to_root_objects", "root objects"),
    ("boot.entry_to_root_start", "into the root task"),
    ("boot.entry_to_init", "init's first line"),
];

fn boot(report: &Report, others: &[Report]) -> Option<Chart> {
    let mut phases = Vec::new();
    let mut at = 0.0;
    for (metric, label) in PHASES {
        let Some(end) = figure(report, metric) else { continue };
        let label = (label, format!("{}, done at {}", time(end - at), time(end)));
        phases.push(Row {
            name: label.0.into(),
            bars: vec![Bar { from: at, to: end, colour: AXIOM, label: label.1, ..Bar::default() }],
        });
        at = end;
    }
    let mut whole = Vec::new();
    for (metric, name) in [
        ("boot.reset_to_init", "from reset to init's first statement"),
        ("boot.entry_to_init", "by the kernel's own clock, to init's first statement"),
        ("boot.entry_to_all_ready", "until every server has said that it is ready"),
    ] {
        let Some(ours) = report.get(metric) else { continue };
        let to = ours.figure();
        let mut bars = vec![Bar { to, colour: AXIOM, label: time(to), ..Bar::default() }];
        bars.extend(others_bars(report, others, ours, false));
        whole.push(Row { name: name.into(), bars });
    }
    let low = whole.iter().flat_map(|r| &r.bars).fold(f64::INFINITY, |l, b| l.min(b.to)) / 3.0;
    let panels = [
        Panel {
            title: "Whole, logarithmic".into(),
            legend: systems(
                &others.iter().filter(|o| o.get("boot.entry_to_init").is_some()).collect::<Vec<_>>(),
            ),
            rows: whole,
            axis: "time".into(),
            logarithmic: Some(low),
            format: time,
        },
        Panel {
            title: "Axiom by phase up to init, linear".into(),
            legend: Vec::new(),
            rows: phases,
            axis: "time since the kernel's first instruction".into(),
            logarithmic: None,
            format: time,
        },
    ];
    let caption = format!("How long the start takes, and where the time goes. {}.", report.caption());
    picture("boot", "Boot", caption, &panels)
}

const LATENCIES: [(&str, &str); 8] = [
    ("timer.10ms.lateness", "10 ms timer: deadline to the woken thread"),
    ("timer.1ms.lateness", "1 ms timer: deadline to the woken thread"),
    ("timer.10ms.irq_to_driver", "timer interrupt to its driver"),
    ("timer.deadline_to_first_bpf_instruction", "deadline to a program's first instruction"),
    ("sample.trigger_to_program", "sample: trigger to its program"),
    ("sample.program_to_consumer", "sample: program to the consumer"),
    ("sample.to_consumer", "sample: trigger to the consumer"),
    ("ipc.postcard.round_trip", "request and reply between two address spaces"),
];

fn latencies(report: &Report, others: &[Report]) -> Option<Chart> {
    let mut rows = Vec::new();
    for (metric, name) in LATENCIES {
        let Some(ours) = report.get(metric) else { continue };
        let mut bars = vec![range(ours, AXIOM)];
        bars.extend(others_bars(report, others, ours, true));
        rows.push(Row { name: name.into(), bars });
    }
    let low = rows.iter().flat_map(|r| &r.bars).map(|b| if b.from > 0.0 { b.from } else { b.to });
    let low = low.fold(f64::INFINITY, f64::min).max(1.0) / 1.5;
    let named: Vec<&Report> = others.iter().filter(|o| !o.system().starts_with("seL4")).collect();
    let panel = Panel {
        title: String::new(),
        legend: systems(&named),
        rows,
        axis: "time, logarithmic".into(),
        logarithmic: Some(low),
        format: time,
    };
    let caption = format!(
        "From the smallest sample to the 99th of a hundred, the thin line to the largest, the mark and the figure at the middle one. {}.",
        report.caption()
    );
    picture("latency", "Latencies", caption, &[panel])
}

/// Whether a metric is one of the kernel's operations.
fn is_operation(m: &MetricLine) -> bool {
    let starts = ["notification.", "yield.", "context_switch.", "page.", "kernel.", "ipc.round_trip."];
    (m.unit == "insns" || m.unit == "cycles") && starts.iter().any(|s| m.metric.starts_with(s))
}

fn operations(report: &Report, others: &[Report]) -> Option<Chart> {
    let compared = |m: &&MetricLine| !beside::of(report, others, m).is_empty();
    let all: Vec<&MetricLine> = report.metrics.iter().filter(|m| is_operation(m)).collect();
    // Where another system stands beside some, those are what there is to see.
    let chosen: Vec<&MetricLine> =
        if all.iter().any(compared) { all.into_iter().filter(compared).collect() } else { all };
    let unit = chosen.first().map_or("insns", |m| m.unit.as_str()).to_owned();
    let mut named: Vec<&Report> = Vec::new();
    let mut rows = Vec::new();
    for m in chosen {
        let found = beside::of(report, others, m);
        named.extend(found.iter().map(|b| b.report));
        let mut bars =
            vec![Bar { to: m.figure(), colour: AXIOM, label: human(m.figure(), &m.unit), ..Bar::default() }];
        bars.extend(others_bars(report, others, m, false));
        rows.push(Row { name: m.metric.clone(), bars });
    }
    let panel = Panel {
        title: String::new(),
        legend: systems(&named),
        rows,
        axis: format!("{}, median", if unit == "insns" { "instructions" } else { "cycles" }),
        logarithmic: None,
        format: |v| format!("{v:.0}"),
    };
    let caption = format!(
        "What the kernel's operations cost; shorter is better, \"Axiom x 0.6\" is six tenths of the other's. {}.",
        report.caption()
    );
    picture("operations", "Kernel operations", caption, &[panel])
}

/// Our figure at the last point of another system's line, as a multiple of theirs: what its name in the legend goes on with.
fn beside_last(ours: &[(f64, f64)], theirs: &[(f64, f64)], at: impl Fn(f64) -> String) -> String {
    let Some(last) = theirs.last() else { return String::new() };
    let own = ours.iter().find(|point| point.0 == last.0);
    own.map_or(String::new(), |own| format!("; Axiom {} at {}", times(own.1 / last.1), at(last.0)))
}

fn load(report: &Report, others: &[Report]) -> Result<Option<Chart>, String> {
    const SIZES: [f64; 3] = [2.0, 100.0, 1000.0];
    let line = |report: &Report, stage: &str, label: String, colour: usize, dashed: bool| {
        let at =
            |size: &f64| figure(report, &format!("bpf.load.{size}.{stage}")).map(|v| (*size, v.max(1.0)));
        let points: Vec<_> = SIZES.iter().filter_map(at).collect();
        (!points.is_empty()).then_some(Line { label, points, colour, dashed, marks: true })
    };
    let mut lines = Vec::new();
    let Some(whole) = line(report, "total", "Axiom: the whole".into(), AXIOM, false) else { return Ok(None) };
    lines.push(whole);
    for other in others {
        let label = format!("{}: bpf()", other.system_short());
        if let Some(mut theirs) = line(other, "total", label, colour(other), true) {
            theirs.label +=
                &beside_last(&lines[0].points, &theirs.points, |size| format!("{size} instructions"));
            lines.push(theirs);
        }
    }
    // Colours that no system has.
    for (colour, stage) in
        [(5, "receive"), (7, "parse"), (4, "verify"), (8, "compile"), (9, "map"), (10, "attach")]
    {
        lines.extend(line(report, stage, format!("Axiom: {stage}"), colour, false));
    }
    let ys = || lines.iter().flat_map(|l| &l.points).map(|p| p.1);
    let (low, high) = (ys().fold(f64::INFINITY, f64::min) / 1.5, ys().fold(1.0, f64::max) * 1.5);
    let caption = format!(
        "Loading a program of 2, 100 and 1000 instructions: medians of the whole and of each stage, both axes logarithmic. {}.",
        report.caption()
    );
    let draw = |area: &Area<'_>| {
        lines!(
            area,
            &lines,
            (1.5..1500.0).log_scale(),
            (low..high).log_scale(),
            "instructions of the program",
            "time",
            |v: &f64| format!("{v:.0}"),
            |v: &f64| time(*v),
            8
        )
    };
    chart("bpf-load", "Loading a program", caption, 380 + legend_height(&lines), draw).map(Some)
}

/// Messages by length: the system's figures, or the kernel's alone.
fn messages(report: &Report, others: &[Report]) -> Result<Option<Chart>, String> {
    const WORDS: [u32; 5] = [0, 4, 5, 10, 120];
    const SYSTEM: &[(&str, &str, [usize; 2])] = &[
        ("ipc.round_trip.passive.{}w.same_space", "passive server", [0, 3]),
        ("ipc.round_trip.active.{}w.same_space", "server with its own time", [5, 8]),
        ("ipc.round_trip.active.{}w.other_space", "the same, another address space", [9, 4]),
    ];
    const KERNEL: &[(&str, &str, [usize; 2])] = &[
        ("kernel.round_trip.passive.{}w", "round trip", [0, 3]),
        ("kernel.call.passive.{}w", "call, one way", [5, 8]),
        ("kernel.reply_recv.passive.{}w", "reply and receive, one way", [9, 4]),
    ];
    let kernel = report.get("kernel.call.passive.0w");
    let kinds = if kernel.is_some() { KERNEL } else { SYSTEM };
    let of = |kind: &str, words: u32| kind.replace("{}", &words.to_string());
    let measured = |words: &u32| kinds.iter().any(|k| report.get(&of(k.0, *words)).is_some());
    let words: Vec<u32> = WORDS.into_iter().filter(measured).collect();
    let mut lines = Vec::new();
    for (kind, label, [own, theirs]) in kinds {
        let line = |report: &Report| -> Vec<(f64, f64)> {
            let at = |w: &u32| figure(report, &of(kind, *w));
            (0..).zip(&words).filter_map(|(place, w)| Some((f64::from(place), at(w)?))).collect()
        };
        let points = line(report);
        for other in others.iter().filter(|o| o.system().starts_with("seL4")) {
            let beside = line(other);
            // A single point is no line.
            if beside.len() > 1 {
                let mut label = format!("{}: {label}", other.system_short());
                label += &beside_last(&points, &beside, |place| format!("{} words", words[place as usize]));
                lines.push(Line { label, points: beside, colour: *theirs, dashed: true, marks: true });
            }
        }
        if !points.is_empty() {
            let label = format!("Axiom: {label}");
            lines.push(Line { label, points, colour: *own, dashed: false, marks: true });
        }
    }
    if lines.is_empty() {
        return Ok(None);
    }
    let unit = kernel.or_else(|| report.get(&of(SYSTEM[0].0, 0))).map_or("insns", |m| m.unit.as_str());
    let high = lines.iter().flat_map(|l| &l.points).fold(0.0f64, |m, p| m.max(p.1)) * 1.1;
    let axis = if unit == "insns" { "instructions" } else { "cycles" };
    let caption = format!(
        "A call and its reply by message length: medians, user stubs included. {}.",
        report.caption()
    );
    let word = |v: &f64| {
        let place = Some(v.round()).filter(|p| (*p - v).abs() < 0.01 && *p >= 0.0);
        place.and_then(|p| words.get(p as usize)).map_or(String::new(), u32::to_string)
    };
    let last = words.len() as f64 - 1.0;
    let draw = |area: &Area<'_>| {
        lines!(
            area,
            &lines,
            -0.1..last + 0.1,
            0.0..high,
            "words of the message",
            axis,
            word,
            |v: &f64| format!("{v:.0}"),
            words.len()
        )
    };
    chart("messages", "Messages by length", caption, 360 + legend_height(&lines), draw).map(Some)
}

fn memory(report: &Report, others: &[Report]) -> Option<Chart> {
    let bytes = |v: f64| human(v, "bytes");
    let mut whole = Vec::new();
    for (metric, name) in
        [("memory.in_use", "in use after boot"), ("memory.kernel.text", "the kernel's code")]
    {
        let Some(ours) = report.get(metric) else { continue };
        let to = ours.figure();
        let mut bars = vec![Bar { to, colour: AXIOM, label: bytes(to), ..Bar::default() }];
        bars.extend(others_bars(report, others, ours, false));
        whole.push(Row { name: name.into(), bars });
    }
    let mut parts = Vec::new();
    for (metric, name) in [
        ("memory.kernel.image", "kernel image, with bss"),
        ("memory.boot_allocated", "allocated at boot"),
        ("memory.root_image_and_bundle", "init and the bundle"),
    ] {
        if let Some(to) = figure(report, metric) {
            let bar = Bar { to, colour: 7, label: bytes(to), ..Bar::default() };
            parts.push(Row { name: name.into(), bars: vec![bar] });
        }
    }
    for metric in &report.metrics {
        let Some(server) = metric.metric.strip_prefix("memory.server.").and_then(|m| m.strip_suffix(".own"))
        else {
            continue;
        };
        let own = metric.figure();
        let mut bars = vec![Bar { to: own, colour: AXIOM, label: bytes(own), ..Bar::default() }];
        if let Some(to) = figure(report, &format!("memory.server.{server}.shared")) {
            bars.push(Bar { to, colour: 5, label: bytes(to), ..Bar::default() });
        }
        parts.push(Row { name: server.into(), bars });
    }
    let named: Vec<&Report> = others.iter().filter(|o| o.get("memory.in_use").is_some()).collect();
    let panel = |title: &str, legend, rows| Panel {
        title: title.into(),
        legend,
        rows,
        axis: "bytes, linear".into(),
        logarithmic: None,
        format: |v| human(v, "bytes"),
    };
    let kinds =
        [("kernel and boot", 7), ("its own: objects, stack, heap", AXIOM), ("shared with the bundle", 5)];
    let kinds = kinds.map(|(name, colour)| (name.to_owned(), colour)).to_vec();
    let panels = [panel("Whole", systems(&named), whole), panel("Axiom by part", kinds, parts)];
    let caption = format!("Memory of the kernel and of each server. {}.", report.caption());
    picture("memory", "Memory", caption, &panels)
}
