//! A report as a document: Markdown beside its charts, and one HTML page that needs no other file and no network.
use crate::charts::times;
use crate::compare::Section;
use crate::draw::{Chart, escape, human};
use crate::log::{MetricLine, Report};
use crate::render::{circumstances, group_of, markdown as tables};
use crate::{beside, targets};
use axiom_bench_metrics::definitions;
use std::fmt::Write;

/// The report as Markdown with its charts as files beside it.
pub fn markdown(report: &Report, others: &[Report], charts: &[Chart]) -> String {
    let mut out = String::from("# Benchmark report\n\n");
    out += &tables(report, others);
    out += "\n## Targets\n\n";
    out += &targets::markdown(report);
    for chart in charts {
        // Writing to a String cannot fail.
        let _ = write!(
            out,
            "\n## {}\n\n![{}]({}.svg)\n\n{}\n",
            chart.title, chart.title, chart.name, chart.caption
        );
    }
    out += "\n## What stands beside\n\n";
    for other in others {
        let _ = writeln!(out, "- {}", other.caption());
    }
    for other in others {
        let _ = write!(out, "\n## {}\n\n{}", other.system(), tables(other, &[]));
    }
    out
}

const STYLE: &str = "
:root{color-scheme:light dark;--paper:#ffffff;--ink:#1f2328;--quiet:#59636e;--line:#d1d9e0;--band:#f6f8fa}
@media(prefers-color-scheme:dark){:root{--paper:#0d1117;--ink:#e6edf3;--quiet:#9198a1;--line:#3d444d;--band:#151b23}}
body{margin:0 auto;max-width:1000px;padding:1rem;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,sans-serif;overflow-wrap:anywhere}
h1{margin-top:0}h2{border-bottom:1px solid var(--line);padding-bottom:.3rem;margin-top:2.2rem}
figure{margin:1.2rem 0}figure svg{width:100%;max-width:720px;height:auto;color:var(--ink)}figcaption,.quiet{color:var(--quiet);font-size:.9em}
.wide{overflow-x:auto}table{border-collapse:collapse;font-size:.86em;font-variant-numeric:tabular-nums}
th,td{padding:.25rem .5rem;border-bottom:1px solid var(--line);text-align:left;vertical-align:top;overflow-wrap:normal}
td.n,th.n{text-align:right;white-space:nowrap}td.beside{min-width:11rem}td code{white-space:nowrap}.compared td:first-child{overflow-wrap:anywhere;min-width:9rem}.compared td:nth-child(2){min-width:7rem}.compared td:last-child{min-width:15rem}tbody tr:nth-child(even){background:var(--band)}code{font-size:.95em}
nav a{margin-right:1rem}a{color:inherit}td.pass{color:#2f8f4e}td.fail{color:#d1495b;font-weight:600}
@media(max-width:760px){body{padding:.5rem}.more{display:none}td code{white-space:normal;overflow-wrap:anywhere}td.beside{min-width:8rem}}
";

/// The whole page.
pub fn html(report: &Report, others: &[Report], compared: &[Section], charts: &[Chart]) -> String {
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>Axiom: benchmark report</title><link rel=\"icon\" href=\"data:,\"><style>{STYLE}</style></head>\n<body>\n\
         <h1>Axiom: benchmark report</h1>\n<p class=\"quiet\">{}</p>\n",
        escape(&report.caption())
    );
    out += "<nav>";
    if targets::any(report) {
        out += "<a href=\"#targets\">Targets</a>";
    }
    if !compared.is_empty() {
        out += "<a href=\"#compared\">Axiom beside Linux</a>";
    }
    for chart in charts {
        let _ = write!(out, "<a href=\"#{}\">{}</a>", chart.name, escape(chart.title));
    }
    out += "<a href=\"#figures\">All figures</a></nav>\n<h2>Circumstances</h2>\n<ul>\n";
    for line in circumstances(report).lines() {
        let _ = writeln!(out, "<li>{}</li>", escape(line.trim_start_matches("- ")));
    }
    out += "</ul>\n";
    if !others.is_empty() {
        out += "<h2>What stands beside, when and where it was measured</h2>\n<ul>\n";
    }
    for other in others {
        let _ = writeln!(out, "<li>{}</li>", escape(&other.caption()));
    }
    if !others.is_empty() {
        out += "</ul>\n";
    }
    if let Some(caution) = beside::caution(report, others) {
        let _ = writeln!(out, "<p>{}</p>", escape(caution));
    }
    if targets::any(report) {
        let _ = write!(out, "<h2 id=\"targets\">Targets</h2>\n{}", table_of(&targets::markdown(report)));
    }
    if !compared.is_empty() {
        out += "<h2 id=\"compared\">Axiom beside Linux</h2>\n<div class=\"compared\">\n";
    }
    for section in compared {
        let _ = write!(
            out,
            "<h3>{}</h3>\n<p>{}</p>\n{}",
            escape(&section.title.replace('`', "")),
            escape(&section.measured),
            table_of(&section.table.replace('`', ""))
        );
    }
    if !compared.is_empty() {
        out += "</div>\n";
    }
    for chart in charts {
        let _ = write!(
            out,
            "<h2 id=\"{}\">{}</h2>\n<figure>\n{}\n<figcaption>{}</figcaption></figure>\n",
            chart.name,
            escape(chart.title),
            chart.svg,
            escape(&chart.caption)
        );
    }
    out += "<h2 id=\"figures\">All figures</h2>\n";
    out += &figures(report, others);
    for other in others {
        let _ = write!(
            out,
            "<h2>{}</h2>\n<p class=\"quiet\">{}</p>\n",
            escape(&other.system()),
            escape(&other.caption())
        );
        out += &figures(other, &[]);
    }
    out + "</body></html>\n"
}

/// A small Markdown table as HTML; verdicts get a colour.
fn table_of(markdown: &str) -> String {
    let mut out = String::from("<div class=\"wide\"><table>");
    for (index, line) in markdown.lines().enumerate().filter(|l| l.0 != 1) {
        let tag = if index == 0 { "th" } else { "td" };
        out += if index == 0 { "<thead><tr>" } else { "<tr>" };
        for cell in line.trim_matches('|').split('|').map(str::trim) {
            let class = match cell {
                "pass" => " class=\"pass\"",
                "FAIL" => " class=\"fail\"",
                _ => "",
            };
            let _ = write!(out, "<{tag}{class}>{}</{tag}>", escape(cell));
        }
        out += if index == 0 { "</tr></thead><tbody>" } else { "</tr>\n" };
    }
    out + "</tbody></table></div>\n"
}

/// Tables by group: what was read once with its figure alone, what was sampled with its spread.
fn figures(report: &Report, others: &[Report]) -> String {
    let mut groups: Vec<&str> = Vec::new();
    for metric in &report.metrics {
        if !groups.contains(&group_of(metric)) {
            groups.push(group_of(metric));
        }
    }
    let mut out = String::new();
    for group in groups {
        let _ = writeln!(out, "<h3>{}</h3>", escape(group));
        for once in [true, false] {
            let rows = report.metrics.iter().filter(|m| group_of(m) == group && (m.n == 1) == once);
            let rows: Vec<&MetricLine> = rows.collect();
            if rows.is_empty() {
                continue;
            }
            let stands = rows.iter().any(|m| !beside::of(report, others, m).is_empty());
            let rows: String = rows.iter().map(|m| row(report, others, m, stands)).collect();
            out += "<div class=\"wide\"><table><thead><tr><th>metric</th>";
            for (name, class) in columns(once) {
                let _ = write!(out, "<th class=\"n {class}\">{name}</th>");
            }
            out += if stands {
                "<th>beside (Axiom, as a multiple)</th></tr></thead><tbody>\n"
            } else {
                "</tr></thead><tbody>\n"
            };
            out += &rows;
            out += "</tbody></table></div>\n";
        }
    }
    out
}

/// Columns between the metric's name and what stands beside; `more` are left out where there is little room.
fn columns(once: bool) -> &'static [(&'static str, &'static str)] {
    if once {
        &[("figure", "")]
    } else {
        &[("median", ""), ("min", "more"), ("p99", ""), ("max", ""), ("sd", "more"), ("n", "more")]
    }
}

/// `stands`: something stands beside a row of this table.
fn row(report: &Report, others: &[Report], m: &MetricLine, stands: bool) -> String {
    let meaning = definitions::of(&m.metric).map_or(String::new(), |d| match d.to {
        "" => d.from.to_owned(),
        to => format!("from: {}; to: {to}", d.from),
    });
    let mut out = format!("<tr><td title=\"{}\"><code>{}</code></td>", escape(&meaning), escape(&m.metric));
    for (name, class) in columns(m.n == 1) {
        let text = match *name {
            "figure" | "median" => human(m.median, &m.unit),
            "min" => human(m.min, &m.unit),
            "p99" => human(m.p99, &m.unit),
            "max" => human(m.max, &m.unit),
            "sd" => human(m.stddev, &m.unit),
            _ => m.n.to_string(),
        };
        let _ = write!(out, "<td class=\"n {class}\">{}</td>", escape(&text));
    }
    let found = beside::of(report, others, m).into_iter();
    let found: Vec<String> =
        found.map(|b| format!("{}: {} ({})", b.system, human(b.figure, &m.unit), times(b.ratio))).collect();
    if stands {
        let _ = write!(out, "<td class=\"beside\">{}</td>", escape(&found.join("; ")));
    }
    out += "</tr>\n";
    out
}
