//! `axiom-check`: the direction of dependencies between the workspace's crates, and between the kernel's files.
//!
//! ```text
//! axiom-check                 # runs cargo metadata in this workspace
//! axiom-check METADATA.json   # checks a file (`-` is standard input)
//! axiom-check book [--fix]       # links of the documents, and lines of the code that they name (`book`)
//! axiom-check follow PAGE HEADING FOLDER   # does what a page says under a heading, in a copy of the tree (`follow`)
//! ```
//! Kernel and runtime meet only in sel4-sys, proto knows neither, chip libraries know neither: the table is in `rules`.
//! A dependency that breaks it is named with its Cargo.toml and the rule, and the exit status is 1. The files of the kernel and of its
//! rules stand in layers: a circle of uses among them is named, too (`circles`; only in this workspace), and so is what only one
//! architecture has (`architectures`), and what does by itself what one crate does for all (`single`).
use std::io::Read;
use std::path::Path;
use std::process::{Command, ExitCode};

mod architectures;
mod book;
mod circles;
mod follow;
mod rules;
mod single;
#[cfg(test)]
mod tests;

fn metadata(source: Option<&str>) -> Result<String, String> {
    match source {
        Some("-") => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).map_err(|e| format!("standard input: {e}"))?;
            Ok(text)
        }
        Some(path) => std::fs::read_to_string(path).map_err(|e| format!("{path}: cannot be read: {e}")),
        None => {
            let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
            let output = Command::new(&cargo)
                .args(["metadata", "--format-version=1", "--no-deps"])
                .output()
                .map_err(|e| format!("{}: cannot be started: {e}", cargo.to_string_lossy()))?;
            if !output.status.success() {
                return Err(format!(
                    "cargo metadata failed: {}",
                    String::from_utf8_lossy(&output.stderr).trim()
                ));
            }
            String::from_utf8(output.stdout).map_err(|_| "cargo metadata did not print UTF-8".into())
        }
    }
}

/// Dependencies and files looked at, and what is wrong, a sentence each.
fn run() -> Result<(usize, usize, Vec<String>), String> {
    let source = std::env::args().nth(1);
    let text = metadata(source.as_deref())?;
    let metadata = serde_json::from_str(&text).map_err(|e| format!("cargo metadata: not JSON: {e}"))?;
    let (seen, mut wrong) = rules::check(&metadata)?;
    let mut files = 0;
    if let (None, Some(root)) = (source, metadata["workspace_root"].as_str()) {
        let (read, circles) = circles::check(Path::new(root))?;
        files = read;
        wrong.extend(circles);
        let (_, unequal) = architectures::check(Path::new(root))?;
        wrong.extend(unequal);
        let (_, repeated) = single::check(Path::new(root))?;
        wrong.extend(repeated);
    }
    Ok((seen, files, wrong))
}

/// The other things that it does, by their first word.
fn other(words: &[String]) -> Option<Result<String, String>> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["follow", page, heading, folder] => Some(
            follow::follow(page, heading, Path::new(folder))
                .map(|steps| format!("{page}, '{heading}': {steps} steps, and what it promises came")),
        ),
        ["book"] | ["book", "--fix"] => Some(documents(words.len() > 1)),
        ["follow", ..] => Some(Err("axiom-check follow PAGE HEADING FOLDER".into())),
        _ => None,
    }
}

/// The documents' links and places; a sentence for each that is wrong.
fn documents(fix: bool) -> Result<String, String> {
    let (seen, wrong) = book::check(Path::new("."), fix)?;
    wrong.iter().for_each(|line| eprintln!("error: {line}"));
    if wrong.is_empty() {
        Ok(format!("documents: {seen} links, all of them lead somewhere"))
    } else {
        Err(format!("{} links or pages are wrong", wrong.len()))
    }
}

fn main() -> ExitCode {
    axiom_terminal::end_with_the_pipe();
    let words: Vec<String> = std::env::args().skip(1).collect();
    match other(&words) {
        Some(Ok(said)) => {
            println!("{said}");
            return ExitCode::SUCCESS;
        }
        Some(Err(message)) => {
            eprintln!("axiom-check: {message}");
            return ExitCode::FAILURE;
        }
        None => {}
    }
    match run() {
        Ok((seen, files, wrong)) if wrong.is_empty() => {
            println!(
                "dependencies: {seen} edges, all in the right direction; {files} files of the kernel, no circle"
            );
            ExitCode::SUCCESS
        }
        Ok((_, _, wrong)) => {
            wrong.iter().for_each(|line| eprintln!("error: {line}"));
            eprintln!("axiom-check: {} lines or dependencies break a rule", wrong.len());
            ExitCode::FAILURE
        }
        Err(message) => {
            eprintln!("axiom-check: {message}");
            ExitCode::from(2)
        }
    }
}
