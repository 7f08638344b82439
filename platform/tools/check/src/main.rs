//! `axiom-check`: the direction of dependencies between the workspace's crates, and between the kernel's files.
//!
//! ```text
//! axiom-check                 # runs cargo metadata in this workspace
//! axiom-check METADATA.json   # checks a file (`-` is standard input)
//! ```
//! Kernel and runtime meet only in sel4-sys, proto knows neither, chip libraries know neither: the table is in `rules`.
//! A dependency that breaks it is named with its Cargo.toml and the rule, and the exit status is 1. The files of the kernel and of its
//! rules stand in layers: a circle of uses among them is named, too (`circles`; only in this workspace), and so is what only one
//! architecture has (`architectures`).
use std::io::Read;
use std::path::Path;
use std::process::{Command, ExitCode};

mod architectures;
mod circles;
mod rules;
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
    }
    Ok((seen, files, wrong))
}

fn main() -> ExitCode {
    match run() {
        Ok((seen, files, wrong)) if wrong.is_empty() => {
            println!(
                "dependencies: {seen} edges, all in the right direction; {files} files of the kernel, no circle"
            );
            ExitCode::SUCCESS
        }
        Ok((_, _, wrong)) => {
            wrong.iter().for_each(|line| eprintln!("error: {line}"));
            eprintln!("axiom-check: {} dependencies point the wrong way", wrong.len());
            ExitCode::FAILURE
        }
        Err(message) => {
            eprintln!("axiom-check: {message}");
            ExitCode::from(2)
        }
    }
}
