//! `axiom-bench-report`: turns captured console logs into results files and Markdown.
//!
//! ```text
//! axiom-bench-report results LOG OUT.jsonl --command "just bench"   # validate, keep the JSON lines
//! axiom-bench-report markdown LOG|RESULTS                            # tables on standard output
//! axiom-bench-report linux-programs OUT.h NAME=OBJECT...             # the programs, for the comparison's Linux init
//! axiom-bench-report compare FOLDER                                  # Axiom beside Linux, from the runs of `just compare-linux`
//! axiom-bench-report docs TEMPLATE OUT.md LABEL=RESULTS...           # docs/benchmarks.md from results files
//! ```
use std::process::ExitCode;

mod anchors;
mod compare;
mod linux;
mod log;
mod render;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("axiom-bench-report: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[String]) -> Result<(), String> {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["results", log_path, out, rest @ ..] => {
            let report = log::read(log_path)?;
            let command = match rest {
                [] => None,
                ["--command", command] => Some(*command),
                other => {
                    return Err(format!(
                        "'{}' is not understood after OUT; try --command TEXT",
                        other.join(" ")
                    ));
                }
            };
            std::fs::write(out, report.to_jsonl(command))
                .map_err(|e| format!("{out}: cannot be written: {e}"))?;
            eprintln!("{}: {} metrics -> {out}", log_path, report.metrics.len());
            Ok(())
        }
        ["linux-programs", out, objects @ ..] if !objects.is_empty() => {
            let header = linux::header(objects)?;
            std::fs::write(out, header).map_err(|e| format!("{out}: cannot be written: {e}"))
        }
        ["compare", folder] => {
            print!("{}", compare::table(&compare::read(folder)?));
            Ok(())
        }
        ["markdown", path] => {
            print!("{}", render::markdown(&log::read(path)?));
            Ok(())
        }
        ["docs", template, out, sources @ ..] if !sources.is_empty() => {
            let mut reports = Vec::new();
            for source in sources {
                let (label, path) = source
                    .split_once('=')
                    .ok_or_else(|| format!("'{source}' names no section; the form is LABEL=RESULTS"))?;
                reports.push((label.to_owned(), log::read(path)?));
            }
            let text =
                std::fs::read_to_string(template).map_err(|e| format!("{template}: cannot be read: {e}"))?;
            let page = render::docs(&text, &reports)?;
            std::fs::write(out, page).map_err(|e| format!("{out}: cannot be written: {e}"))
        }
        _ => {
            Err("usage: results LOG OUT [--command TEXT] | markdown LOG | docs TEMPLATE OUT LABEL=RESULTS..."
                .into())
        }
    }
}
