//! The charts: what of a report is drawn, and beside what.
use crate::anchors;
use crate::draw::{
    Area, Bar, COLOURS, Chart, INK, Line, Rows, chart, failed, font, legend, legend_height, lines, time,
};
use crate::log::{MetricLine, Report};
use axiom_bench_metrics::histogram;
use plotters::prelude::*;

/// All charts that the report has figures for.
pub fn all(report: &Report, beside: &[Report]) -> Result<Vec<Chart>, String> {
    let charts = [
        boot(report, beside)?,
        distributions(report, beside)?,
        operations(report)?,
        load(report, beside)?,
        messages(report)?,
        memory(report)?,
    ];
    Ok(charts.into_iter().flatten().collect())
}

fn figure(report: &Report, name: &str) -> Option<f64> {
    report.get(name).map(MetricLine::figure)
}

const PHASES: [(&str, &str); 8] = [
    ("boot.entry_to_mmu", "address translation"),
    ("boot.entry_to_device_tree_read", "device tree"),
    ("boot.entry_to_memory_map", "memory map"),
    ("boot.entry_to_interrupt_controller", "interrupt controller"),
    ("boot.entry_to_root_objects", "root objects"),
    ("boot.entry_to_root_start", "root task"),
    ("boot.entry_to_init", "init's first line"),
    ("boot.entry_to_all_ready", "all servers ready"),
];

fn boot(report: &Report, beside: &[Report]) -> Result<Option<Chart>, String> {
    let mut at = 1e4;
    let (mut bars, mut legend) = (Vec::new(), Vec::new());
    for (index, (metric, label)) in PHASES.iter().enumerate() {
        let Some(end) = figure(report, metric) else { continue };
        bars.push(Bar { from: at, to: end, colour: index });
        legend.push((format!("{label}: until {}", time(end)), index));
        at = end;
    }
    if bars.is_empty() {
        return Ok(None);
    }
    let mut rows = Rows {
        names: vec!["Axiom, every server".into()],
        bars: vec![bars],
        legend,
        axis: "time since the kernel's first instruction, logarithmic",
        logarithmic: Some(1e4),
        format: time,
    };
    for other in beside {
        for (metric, what) in [("boot.entry_to_init", "to init"), ("boot.reset_to_init", "reset to init")] {
            if let Some(end) = figure(other, metric) {
                rows.names.push(format!("{}, {what}", other.system_short()));
                rows.bars.push(vec![Bar { from: 1e4, to: end, colour: 8 }]);
            }
        }
    }
    if beside.is_empty()
        && let Some(anchor) = anchors::for_metric(report, "boot.entry_to_init")
    {
        rows.names.push("Linux 6.1, reset to init".into());
        rows.bars.push(vec![Bar { from: 1e4, to: anchor.figure, colour: 8 }]);
    }
    let caption = format!(
        "Boot by phase on a logarithmic axis: a segment ends when its phase is done. {}.",
        report.caption()
    );
    chart("boot", "Boot", caption, rows.height(), |area| rows.draw(area)).map(Some)
}

/// The share of samples up to each value, as steps.
fn cdf(metric: &MetricLine, label: String, colour: usize, dashed: bool) -> Option<Line> {
    let buckets = metric.buckets();
    let first = buckets.first()?;
    let mut points = vec![(histogram::lower(first.0).max(metric.min).max(1.0), 0.0)];
    let mut seen = 0;
    for (bucket, count) in &buckets {
        let before = seen as f64 / metric.n as f64;
        seen += count;
        let at = histogram::upper(*bucket).min(metric.max).max(1.0);
        points.push((at, before));
        points.push((at, seen as f64 / metric.n as f64));
    }
    Some(Line { label, points, colour, dashed, marks: false })
}

fn ends(lines: &[Line]) -> (f64, f64) {
    let xs = || lines.iter().flat_map(|l| &l.points).map(|p| p.0);
    let (low, high) = (xs().fold(f64::INFINITY, f64::min), xs().fold(1.0, f64::max));
    (low / 1.5, high * 1.5)
}

fn percent(share: &f64) -> String {
    format!("{:.0} %", share * 100.0)
}

fn cdf_chart(
    name: &'static str,
    title: &'static str,
    caption: String,
    axis: &str,
    format: fn(f64) -> String,
    lines: &[Line],
) -> Result<Option<Chart>, String> {
    if lines.is_empty() {
        return Ok(None);
    }
    let (low, high) = ends(lines);
    let draw = |area: &Area<'_>| {
        lines!(
            area,
            lines,
            (low..high).log_scale(),
            0.0..1.02,
            axis,
            "samples up to there",
            |v| format(*v),
            percent,
            10
        )
    };
    chart(name, title, caption, 360 + legend_height(lines), draw).map(Some)
}

const DISTRIBUTIONS: [&str; 8] = [
    "timer.10ms.lateness",
    "timer.1ms.lateness",
    "timer.10ms.irq_to_driver",
    "timer.deadline_to_first_bpf_instruction",
    "sample.trigger_to_program",
    "sample.program_to_consumer",
    "sample.to_consumer",
    "ipc.postcard.round_trip",
];

fn distributions(report: &Report, beside: &[Report]) -> Result<Option<Chart>, String> {
    let mut lines = Vec::new();
    for (colour, name) in DISTRIBUTIONS.into_iter().enumerate() {
        lines.extend(report.get(name).and_then(|m| cdf(m, name.into(), colour, false)));
    }
    for other in beside {
        // The same metric has the same colour; what only the other has stands beside messages.
        let names = DISTRIBUTIONS.into_iter().chain(["ipc.pipe.round_trip", "ipc.futex.round_trip"]);
        for (colour, name) in names.enumerate() {
            let label = format!("{}: {name}", other.system_short());
            lines.extend(other.get(name).and_then(|m| cdf(m, label, colour, true)));
        }
    }
    let caption =
        format!("How long things took: the share of samples that took no longer. {}.", report.caption());
    cdf_chart("latency", "Latencies", caption, "time, logarithmic", time, &lines)
}

fn operations(report: &Report) -> Result<Option<Chart>, String> {
    const NAMES: [&str; 9] = [
        "notification.signal",
        "notification.signal_to_higher_priority_waiter",
        "context_switch.by_yield",
        "yield.nobody_else_ready",
        "page.map",
        "page.unmap",
        "ipc.round_trip.passive.0w.same_space",
        "ipc.round_trip.active.0w.same_space",
        "ipc.round_trip.active.0w.other_space",
    ];
    let mut lines = Vec::new();
    for name in NAMES {
        lines.extend(report.get(name).and_then(|m| cdf(m, name.into(), lines.len(), false)));
    }
    let unit = report.get(NAMES[0]).map_or("insns", |m| m.unit.as_str());
    let axis = if unit == "insns" { "instructions, logarithmic" } else { "cycles, logarithmic" };
    let caption =
        format!("The kernel's operations: the share of samples that took no more. {}.", report.caption());
    cdf_chart("operations", "Kernel operations", caption, axis, |v| format!("{v:.0}"), &lines)
}

fn load(report: &Report, beside: &[Report]) -> Result<Option<Chart>, String> {
    const SIZES: [f64; 3] = [2.0, 100.0, 1000.0];
    let line = |report: &Report, stage: &str, label: String, colour: usize, dashed: bool| {
        let at =
            |size: &f64| figure(report, &format!("bpf.load.{size}.{stage}")).map(|v| (*size, v.max(1.0)));
        let points: Vec<_> = SIZES.iter().filter_map(at).collect();
        (!points.is_empty()).then_some(Line { label, points, colour, dashed, marks: true })
    };
    let mut lines = Vec::new();
    for (colour, stage) in
        ["total", "receive", "parse", "verify", "compile", "map", "attach"].iter().enumerate()
    {
        lines.extend(line(report, stage, (*stage).into(), colour, false));
    }
    if lines.is_empty() {
        return Ok(None);
    }
    for other in beside {
        lines.extend(line(other, "total", format!("{}: bpf()", other.system_short()), 7, true));
    }
    if beside.is_empty() {
        let at = |size: &f64| {
            anchors::for_metric(report, &format!("bpf.load.{size}.total")).map(|a| (*size, a.figure))
        };
        let points: Vec<_> = SIZES.iter().filter_map(at).collect();
        if !points.is_empty() {
            lines.push(Line {
                label: "Linux 6.1: bpf()".into(),
                points,
                colour: 7,
                dashed: true,
                marks: true,
            });
        }
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
fn messages(report: &Report) -> Result<Option<Chart>, String> {
    const WORDS: [u32; 5] = [0, 4, 5, 10, 120];
    const SYSTEM: &[(&str, &str)] = &[
        ("ipc.round_trip.passive.{}w.same_space", "passive server"),
        ("ipc.round_trip.active.{}w.same_space", "server with its own time"),
        ("ipc.round_trip.active.{}w.other_space", "the same in another address space"),
    ];
    const KERNEL: &[(&str, &str)] = &[
        ("kernel.round_trip.passive.{}w", "round trip"),
        ("kernel.call.passive.{}w", "call, one way"),
        ("kernel.reply_recv.passive.{}w", "reply and receive, one way"),
    ];
    let kernel = report.get("kernel.call.passive.0w");
    let kinds = if kernel.is_some() { KERNEL } else { SYSTEM };
    let of = |kind: &str, words: u32| kind.replace("{}", &words.to_string());
    let measured = |words: &u32| kinds.iter().any(|k| report.get(&of(k.0, *words)).is_some());
    let words: Vec<u32> = WORDS.into_iter().filter(measured).collect();
    let mut lines = Vec::new();
    for (kind, label) in kinds {
        let line = |value: &dyn Fn(&str) -> Option<f64>| -> Vec<(f64, f64)> {
            (0..)
                .zip(&words)
                .filter_map(|(place, w)| Some((f64::from(place), value(&of(kind, *w))?)))
                .collect()
        };
        let ours = line(&|name| figure(report, name));
        let sel4 = line(&|name| anchors::for_metric(report, name).map(|a| a.figure));
        let colour = lines.len();
        if !ours.is_empty() {
            lines.push(Line { label: (*label).into(), points: ours, colour, dashed: false, marks: true });
        }
        if !sel4.is_empty() {
            let label = format!("seL4 16.0 MCS: {label}");
            lines.push(Line { label, points: sel4, colour, dashed: true, marks: true });
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

fn memory(report: &Report) -> Result<Option<Chart>, String> {
    let kib = |v: f64| format!("{v:.0} KiB");
    let mut rows = Rows {
        names: vec![],
        bars: vec![],
        legend: vec![
            ("its own: objects, stack, heap".into(), 0),
            ("shared with the bundle".into(), 2),
            ("kernel and boot".into(), 1),
        ],
        axis: "memory",
        logarithmic: None,
        format: kib,
    };
    for (metric, name) in [
        ("memory.kernel.image", "kernel image, with bss"),
        ("memory.boot_allocated", "allocated at boot"),
        ("memory.root_image_and_bundle", "init and the bundle"),
    ] {
        if let Some(bytes) = figure(report, metric) {
            rows.names.push(name.into());
            rows.bars.push(vec![Bar { from: 0.0, to: bytes / 1024.0, colour: 1 }]);
        }
    }
    for metric in &report.metrics {
        let Some(server) = metric.metric.strip_prefix("memory.server.").and_then(|m| m.strip_suffix(".own"))
        else {
            continue;
        };
        let own = metric.figure() / 1024.0;
        let shared = figure(report, &format!("memory.server.{server}.shared")).unwrap_or(0.0) / 1024.0;
        rows.names.push(server.into());
        rows.bars.push(vec![
            Bar { from: 0.0, to: own, colour: 0 },
            Bar { from: own, to: own + shared, colour: 2 },
        ]);
    }
    if rows.names.is_empty() {
        return Ok(None);
    }
    let caption = format!("Memory of the kernel and of each server. {}.", report.caption());
    chart("memory", "Memory", caption, rows.height(), |area| rows.draw(area)).map(Some)
}
