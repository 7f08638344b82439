//! A report as a document: Markdown beside its charts, and one HTML page that needs no other file and no network.
use crate::compare::Section;
use crate::draw::{Chart, escape};
use crate::log::{MetricLine, Report};
use crate::render::{circumstances, group_of, grouped, markdown as tables};
use crate::{anchors, targets};
use axiom_bench_metrics::definitions;
use std::fmt::Write;

/// The report as Markdown with its charts as files beside it.
pub fn markdown(report: &Report, beside: &[Report], charts: &[Chart]) -> String {
    let mut out = String::from("# Benchmark report\n\n");
    out += &tables(report, beside);
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
    for other in beside {
        let _ = write!(out, "\n## {}\n\n{}", other.system(), tables(other, &[]));
    }
    out
}

const STYLE: &str = "
:root{color-scheme:light dark;--paper:#ffffff;--ink:#1f2328;--quiet:#59636e;--line:#d1d9e0;--band:#f6f8fa}
@media(prefers-color-scheme:dark){:root{--paper:#0d1117;--ink:#e6edf3;--quiet:#9198a1;--line:#3d444d;--band:#151b23}}
body{margin:0 auto;max-width:1100px;padding:1.5rem;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
h1{margin-top:0}h2{border-bottom:1px solid var(--line);padding-bottom:.3rem;margin-top:2.2rem}
figure{margin:1.2rem 0}figure svg{width:100%;height:auto;color:var(--ink)}figcaption,.quiet{color:var(--quiet);font-size:.9em}
.wide{overflow-x:auto}table{border-collapse:collapse;font-size:.86em;font-variant-numeric:tabular-nums}
th,td{padding:.25rem .6rem;border-bottom:1px solid var(--line);text-align:left;white-space:nowrap}
td.n,th.n{text-align:right}.compared td{white-space:normal}.compared td:first-child{overflow-wrap:anywhere;min-width:11rem}.compared td:nth-child(2){min-width:7rem}.compared td:last-child{min-width:15rem}tbody tr:nth-child(even){background:var(--band)}code{font-size:.95em}
nav a{margin-right:1rem}a{color:inherit}td.pass{color:#2f8f4e}td.fail{color:#d1495b;font-weight:600}
";

/// The whole page.
pub fn html(report: &Report, beside: &[Report], compared: &[Section], charts: &[Chart]) -> String {
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>Axiom: benchmark report</title><link rel=\"icon\" href=\"data:,\"><style>{STYLE}</style></head>\n<body>\n\
         <h1>Axiom: benchmark report</h1>\n<p class=\"quiet\">{}</p>\n",
        escape(&report.caption())
    );
    let _ = write!(out, "<nav><a href=\"#targets\">Targets</a>");
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
    let _ = write!(out, "</ul>\n<h2 id=\"targets\">Targets</h2>\n{}", table_of(&targets::markdown(report)));
    if !compared.is_empty() {
        out += "<h2 id=\"compared\">Axiom beside Linux</h2>\n<div class=\"compared\">\n";
    }
    for section in compared {
        let _ = write!(
            out,
            "<h3>{}</h3>\n{}",
            escape(&section.title.replace('`', "")),
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
    out += &figures(report, beside);
    for other in beside {
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

fn figures(report: &Report, beside: &[Report]) -> String {
    let mut out = String::new();
    let mut group = "";
    for m in &report.metrics {
        if group_of(m) != group {
            if !group.is_empty() {
                out += "</tbody></table></div>\n";
            }
            group = group_of(m);
            let _ = write!(out, "<h3>{}</h3><div class=\"wide\"><table><thead><tr>", escape(group));
            for (name, class) in [("metric", ""), ("unit", "")]
                .into_iter()
                .chain(["n", "min", "median", "mean", "p99", "max", "sd"].map(|n| (n, " class=\"n\"")))
                .chain([("beside", "")])
            {
                let _ = write!(out, "<th{class}>{name}</th>");
            }
            out += "</tr></thead><tbody>\n";
        }
        out += &row(report, beside, m);
    }
    if group.is_empty() { out } else { out + "</tbody></table></div>\n" }
}

fn row(report: &Report, beside: &[Report], m: &MetricLine) -> String {
    let number = |v: f64| grouped(v, m.unit == "bytes" || m.unit == "count");
    let spread = |v: f64| if m.n == 1 { String::new() } else { number(v) };
    let meaning = definitions::of(&m.metric).map_or(String::new(), |d| match d.to {
        "" => d.from.to_owned(),
        to => format!("from: {}; to: {to}", d.from),
    });
    let mut out = format!(
        "<tr><td title=\"{}\"><code>{}</code></td><td>{}</td><td class=\"n\">{}</td>",
        escape(&meaning),
        escape(&m.metric),
        escape(&m.unit),
        m.n
    );
    let all =
        [spread(m.min), number(m.median), spread(m.mean), spread(m.p99), spread(m.max), spread(m.stddev)];
    for cell in all {
        let _ = write!(out, "<td class=\"n\">{cell}</td>");
    }
    let others = beside.iter().filter_map(|o| {
        let theirs = o.get(&m.metric).filter(|t| t.unit == m.unit)?;
        Some(format!("{}: {}", o.system(), number(theirs.figure())))
    });
    let mut others: Vec<String> = others.collect();
    if others.is_empty() {
        others.extend(
            anchors::for_metric(report, &m.metric).map(|a| format!("{}: {}", a.system, number(a.figure))),
        );
    }
    let _ = writeln!(out, "<td>{}</td></tr>", escape(&others.join("; ")));
    out
}
