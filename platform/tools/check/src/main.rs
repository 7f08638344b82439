//! `axiom-check`: the direction of dependencies between the workspace's crates.
//!
//! ```text
//! axiom-check                 # runs cargo metadata in this workspace
//! axiom-check METADATA.json   # checks a file (`-` is standard input)
//! ```
//! Kernel and runtime meet only in sel4-sys, proto knows neither, chip libraries know neither: the table is in `rules`.
//! A dependency that breaks it is named with its Cargo.toml and the rule, and the exit status is 1.
use std::io::Read;
use std::process::{Command, ExitCode};

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

fn run() -> Result<(usize, Vec<String>), String> {
    let source = std::env::args().nth(1);
    let text = metadata(source.as_deref())?;
    rules::check(&serde_json::from_str(&text).map_err(|e| format!("cargo metadata: not JSON: {e}"))?)
}

fn main() -> ExitCode {
    match run() {
        Ok((seen, wrong)) if wrong.is_empty() => {
            println!("dependencies: {seen} edges, all in the right direction");
            ExitCode::SUCCESS
        }
        Ok((_, wrong)) => {
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
