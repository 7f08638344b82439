//! `axiom-compose MANIFEST -o BUNDLE [--images DIR]... [--blobs DIR]... [--init NAME] [--report BASE]`
//!
//! Checks the manifest, writes the bundle, and BASE.md and BASE.json: who may reach what. With `--check` it writes nothing.
use axiom_compose::{Options, compose, report};
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

const USAGE: &str = "usage: axiom-compose MANIFEST -o BUNDLE [--images DIR]... [--blobs DIR]... [--init NAME]
                     [--report BASE] [--check]";

/// What a terminal shows of a message: long lines broken at words, below where their text begins.
fn broken(message: &str) -> String {
    let hang = |line: &str| if line.starts_with("  ") { "        " } else { "  " };
    let pieces =
        message.lines().flat_map(|line| axiom_terminal::below(line, axiom_terminal::COLUMNS, hang(line)));
    pieces.collect::<Vec<_>>().join("\n")
}

fn run() -> Result<(), String> {
    let mut options = Options { init: "axiom-init".into(), ..Options::default() };
    let (mut output, mut base, mut check) = (None, None, false);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value\n{USAGE}"));
        match arg.as_str() {
            "-o" | "--output" => output = Some(PathBuf::from(value()?)),
            "--images" => options.images.push(value()?.into()),
            "--blobs" => options.blobs.push(value()?.into()),
            "--init" => options.init = value()?,
            "--report" => base = Some(value()?),
            "--check" => check = true,
            "-h" | "--help" => {
                println!("{USAGE}");
                return Ok(());
            }
            flag if flag.starts_with('-') => return Err(format!("unknown option '{flag}'\n{USAGE}")),
            path if options.manifest.as_os_str().is_empty() => options.manifest = path.into(),
            extra => return Err(format!("'{extra}' is one argument too many\n{USAGE}")),
        }
    }
    if options.manifest.as_os_str().is_empty() || (output.is_none() && !check) {
        return Err(USAGE.into());
    }
    let composed = compose(&options).map_err(|errors| {
        let list: Vec<String> = errors.iter().map(|e| format!("error: {e}")).collect();
        let plural = if list.len() == 1 { "mistake" } else { "mistakes" };
        format!(
            "{}\n{}: {} {plural}; nothing was written",
            list.join("\n"),
            options.manifest.display(),
            list.len()
        )
    })?;
    let write = |path: PathBuf, bytes: &[u8]| {
        std::fs::write(&path, bytes).map_err(|e| format!("{}: cannot be written: {e}", path.display()))
    };
    let summary = format!(
        "system '{}' for {}: {} servers, {} KiB",
        composed.system.name,
        composed.system.board,
        composed.system.servers.len(),
        composed.elf.len() / 1024
    );
    if check {
        println!("{summary}; nothing wrong");
        return Ok(());
    }
    if let Some(base) = base {
        write(format!("{base}.md").into(), report::markdown(&composed).as_bytes())?;
        write(format!("{base}.json").into(), report::json(&composed).as_bytes())?;
    }
    let output = output.unwrap_or_default();
    let done = format!("{summary} -> {}", output.display());
    write(output, &composed.elf)?;
    println!("{done}");
    Ok(())
}

fn main() -> ExitCode {
    axiom_terminal::end_with_the_pipe();
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            let whole = !std::io::stderr().is_terminal();
            eprintln!("{}", if whole { message } else { broken(&message) });
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_of_a_hundred_columns_shows_every_message() {
        let keys = "a_key, ".repeat(40);
        let message =
            format!("error: a.toml:3: unknown key 'arg'\n  rule: the keys here are {keys}\n  try:  'args'");
        let shown = broken(&message);
        assert!(
            shown.lines().chain(USAGE.lines()).all(|l| l.chars().count() <= axiom_terminal::COLUMNS),
            "{shown}"
        );
        assert!(shown.contains("\n        a_key"), "{shown}");
        let words = |text: &str| text.split_whitespace().map(String::from).collect::<Vec<_>>();
        assert_eq!(words(&shown), words(&message));
    }
}
