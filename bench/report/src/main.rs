//! `axiom-bench-report`: what the recipes do with captured console logs and results files. `axiom-bench-report --help` lists it.
use std::process::ExitCode;

mod bars;
mod beside;
mod charts;
mod chrome;
mod compare;
mod cut;
mod date;
mod docs;
mod draw;
mod guard;
mod linux;
mod log;
mod page;
mod render;
mod targets;
mod text;
mod trace;

const HELP: &str = "\
axiom-bench-report results LOG OUT.jsonl [NAME=VALUE]...     check a log, keep its lines; NAME=VALUE are more circumstances
axiom-bench-report text LOG [--beside RESULTS]...           tables for people on standard output
axiom-bench-report beside LOG [--beside RESULTS]...         only what stands beside other systems
axiom-bench-report report LOG DIR [--beside RESULTS]...     report.md, report.json and charts (SVG) into DIR
axiom-bench-report html LOG OUT.html [--beside RESULTS]... [--compare FOLDER]
                                                            one page that needs nothing else; with the tables of a comparison
axiom-bench-report trace LOG OUT.json                       boot and samples for ui.perfetto.dev
axiom-bench-report compare FOLDER                           Axiom beside Linux, from the runs of `just compare-linux`
axiom-bench-report linux-programs OUT.h NAME=OBJECT...      the programs, for the comparison's Linux init
axiom-bench-report figure LOG METRIC                        one metric's median with its unit
axiom-bench-report guard BASELINE LOG                       exit 1 if an exact figure is 2 % worse, or missing
axiom-bench-report docs TEMPLATE DOCS-DIR LABEL=RESULTS...  docs/benchmarks.md, the book's page and its charts";

fn main() -> ExitCode {
    axiom_terminal::end_with_the_pipe();
    let args: Vec<String> = std::env::args().skip(1).collect();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("axiom-bench-report: {message}");
            ExitCode::FAILURE
        }
    }
}

/// Writes a file, with the folders that it needs.
pub(crate) fn write(path: impl AsRef<std::path::Path>, text: &str) -> Result<(), String> {
    let path = path.as_ref();
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|e| format!("{}: cannot be made: {e}", folder.display()))?;
    }
    std::fs::write(path, text).map_err(|e| format!("{}: cannot be written: {e}", path.display()))
}

/// The reports that are to stand beside, where they can: taken in the same way, on the same kind of machine.
fn others(rest: &[&str], report: &log::Report) -> Result<Vec<log::Report>, String> {
    let (pairs, left) = rest.as_chunks::<2>();
    let mut reports = Vec::new();
    for [option, path] in pairs {
        if *option != "--beside" {
            return Err(format!("'{option}' is not understood; try --beside RESULTS"));
        }
        let other = log::read(path)?;
        if beside::comparable(report, &other) {
            reports.push(other);
        }
    }
    match left {
        [] => Ok(reports),
        more => Err(format!("'{}' needs a value: --beside RESULTS", more.join(" "))),
    }
}

fn run(args: &[String]) -> Result<(), String> {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["--help"] => {
            println!("{HELP}");
            Ok(())
        }
        ["results", log_path, out, rest @ ..] => {
            let mut report = log::read(log_path)?;
            // `--command TEXT` is the older form of `command=TEXT`.
            let rest = if let ["--command", command] = rest {
                vec![format!("command={command}")]
            } else {
                rest.iter().map(|r| (*r).to_owned()).collect()
            };
            for each in &rest {
                let (name, value) = each
                    .split_once('=')
                    .ok_or_else(|| format!("'{each}' is not understood after OUT; the form is NAME=VALUE"))?;
                let value = match value {
                    "true" | "false" => (value == "true").into(),
                    text => text.into(),
                };
                report.circumstances.insert(name.into(), value);
            }
            report.circumstances.entry("date".into()).or_insert_with(|| date::today().into());
            write(out, &report.to_jsonl())?;
            eprintln!("{}: {} metrics -> {out}", log_path, report.metrics.len());
            Ok(())
        }
        ["linux-programs", out, objects @ ..] if !objects.is_empty() => write(out, &linux::header(objects)?),
        ["compare", folder] => {
            print!("{}", compare::table(&compare::read(folder)?));
            Ok(())
        }
        ["text", path, rest @ ..] => {
            let report = log::read(path)?;
            print!("{}", text::text(&report, &others(rest, &report)?));
            Ok(())
        }
        ["beside", path, rest @ ..] => {
            let report = log::read(path)?;
            print!("{}", text::beside(&report, &others(rest, &report)?));
            Ok(())
        }
        ["report", path, folder, rest @ ..] => {
            let report = log::read(path)?;
            let others = others(rest, &report)?;
            let folder = std::path::Path::new(folder);
            let charts = charts::all(&report, &others)?;
            for chart in &charts {
                write(folder.join(format!("{}.svg", chart.name)), &chart.standalone())?;
            }
            write(folder.join("report.md"), &page::markdown(&report, &others, &charts))?;
            write(folder.join("report.json"), &report.to_json())?;
            eprintln!("{}: report.md, report.json, {} charts", folder.display(), charts.len());
            Ok(())
        }
        ["html", path, out, rest @ ..] => {
            let report = log::read(path)?;
            let (rest, compared) = match rest {
                [rest @ .., "--compare", folder] => (rest, compare::sections(&compare::read(folder)?)),
                rest => (rest, Vec::new()),
            };
            let others = others(rest, &report)?;
            let charts = charts::all(&report, &others)?;
            write(out, &page::html(&report, &others, &compared, &charts))?;
            eprintln!("{out}: opens from the file, without a network");
            Ok(())
        }
        ["trace", path, out] => {
            let text = std::fs::read(path).map_err(|e| format!("{path}: cannot be read: {e}"))?;
            let trace = trace::parse(&String::from_utf8_lossy(&text)).map_err(|e| format!("{path}:{e}"))?;
            let (events, cuts) = trace::events(&trace)?;
            let file = trace::chrome_json(&trace, &events, &cuts);
            let count = chrome::check(&file)
                .map_err(|e| format!("the trace made from {path} breaks its format: {e}"))?;
            write(out, &file.to_string())?;
            eprintln!(
                "{out}: {count} events from {} records ({} older ones were lost from the ring)\nopen it at https://ui.perfetto.dev or chrome://tracing",
                trace.records.len(),
                trace.lost
            );
            Ok(())
        }
        ["figure", path, metric] => {
            let report = log::read(path)?;
            let found = report.get(metric).ok_or_else(|| format!("{path}: no metric '{metric}'"))?;
            println!("{} {}", found.figure(), found.unit);
            Ok(())
        }
        ["guard", baseline, path] => {
            let (old, new) = (log::read(baseline)?, log::read(path)?);
            let found = guard::compare(&old, &new)?;
            if let Some((theirs, ours)) = guard::other_compiler(&old, &new) {
                println!(
                    "{path}: NOT COMPARED: {baseline} was built by {theirs}, this by {ours}, and the instructions of different compilers differ; \
                     `just bench-accept` makes a baseline of this one"
                );
                return Ok(());
            }
            found.better.iter().for_each(|line| println!("better: {line}"));
            found.worse.iter().for_each(|line| println!("WORSE: {line}"));
            println!(
                "{path}: {} figures compared with {baseline}, {} worse",
                found.compared,
                found.worse.len()
            );
            if found.worse.is_empty() {
                return Ok(());
            }
            Err(format!(
                "{} figures are {:.0} % worse than the baseline {baseline}, or missing. If that is what the change is worth, accept it: \
                 `just bench-accept`, and say why in the commit",
                found.worse.len(),
                (guard::LIMIT - 1.0) * 100.0
            ))
        }
        ["docs", template, folder, sources @ ..] if !sources.is_empty() => {
            let mut reports = Vec::new();
            for source in sources {
                let (label, path) = source
                    .split_once('=')
                    .ok_or_else(|| format!("'{source}' names no section; the form is LABEL=RESULTS"))?;
                reports.push(docs::Source {
                    label: label.to_owned(),
                    path: path.to_owned(),
                    report: log::read(path)?,
                });
            }
            let text =
                std::fs::read_to_string(template).map_err(|e| format!("{template}: cannot be read: {e}"))?;
            docs::write(&text, std::path::Path::new(folder), &reports)
        }
        _ => Err(format!("what is asked for is not understood\n{HELP}")),
    }
}
