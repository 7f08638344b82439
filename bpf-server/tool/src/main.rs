//! `axiom-bpf`: a program's verdict in milliseconds, without booting anything.
//!
//! ```text
//! axiom-bpf verify OBJ.o [--prog NAME] [--json]
//! axiom-bpf prove OBJ.o [--prog NAME] [-o OUT.o]
//! axiom-bpf run OBJ.o|--raw INSNS.bin [--prog NAME] [--ctx FILE] [--engine interp|jit] [--repeat N] [--no-verify]
//! axiom-bpf disasm OBJ.o|--raw INSNS.bin [--prog NAME]
//! axiom-bpf maps OBJ.o
//! axiom-bpf plugin [--engine interp|jit] [MEMORY]
//! ```
//! The crates are the device's, and so are the words. A terminal gets lines of at most 100 columns, a pipe whole ones. Exit status: 0 accepted or done, 1 refused or failed, 2 asked wrongly.
//!
//! `--raw` takes plain instructions: r1 is the memory of `--ctx`, r2 its length, helper 1 a lookup in one array of 64 numbers of 64
//! bits (map 0). `plugin` is what the runner of the public conformance suite (bpf_conformance) starts: memory in base 16 as an
//! argument, the program in base 16 on standard input, r0 in base 16 on standard output.
use std::io::{IsTerminal, Write};
use std::process::ExitCode;

mod args;
mod child;
mod elf;
mod judge;
mod load;
mod plugin;
mod run;
mod show;
mod space;
mod world;

/// What a command did not do.
#[derive(Debug)]
pub enum Failure {
    /// The program was refused, or ended badly.
    Refused(String),
    /// The command line makes no sense, or a file cannot be read.
    Usage(String),
}

/// What goes to standard output, written at the end: whoever reads it may stop in the middle.
#[derive(Default)]
pub struct Out(String);

impl Out {
    /// Adds a line.
    pub fn line(&mut self, text: std::fmt::Arguments<'_>) {
        use std::fmt::Write;
        // A string takes everything.
        let _ = writeln!(self.0, "{text}");
    }
}

/// Lines of a terminal's width, broken below what follows their label (`Reason:     `). Pipes and files get them whole.
fn for_people(text: &str) -> String {
    const LABEL: &str = "            ";
    let hang = |line: &str| {
        let labelled = line.get(..LABEL.len()).is_some_and(|label| label.trim_end().ends_with(':'));
        if labelled || line.starts_with(LABEL) { LABEL } else { "    " }
    };
    let lines =
        text.lines().flat_map(|line| axiom_terminal::below(line, axiom_terminal::COLUMNS, hang(line)));
    lines.map(|line| line + "\n").collect()
}

fn main() -> ExitCode {
    let words: Vec<_> = std::env::args_os().skip(1).collect();
    let out = &mut Out::default();
    let done = args::parse(&words).and_then(|command| match command {
        args::Command::Help => {
            out.line(format_args!("{}", args::HELP.trim_end()));
            Ok(())
        }
        args::Command::Verify { object, program, json } => judge::verify(out, &object, &program, json),
        args::Command::Prove { object, program, to } => judge::prove(out, &object, &program, &to),
        args::Command::Run(run) => run::run(out, &run),
        args::Command::Disasm { program } => show::disasm(out, &program),
        args::Command::Maps { object } => show::maps(out, &object),
        args::Command::Plugin { engine, memory } => plugin::plugin(out, engine, &memory),
    });
    let text = if std::io::stdout().is_terminal() { for_people(&out.0) } else { out.0.clone() };
    if let Err(error) = std::io::stdout().write_all(text.as_bytes())
        && error.kind() != std::io::ErrorKind::BrokenPipe
    {
        eprintln!("axiom-bpf: standard output cannot be written: {error}");
        return ExitCode::from(2);
    }
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Refused(text)) => {
            let text = if std::io::stderr().is_terminal() { for_people(&text) } else { text + "\n" };
            eprint!("{text}");
            ExitCode::from(1)
        }
        Err(Failure::Usage(text)) => {
            eprintln!("axiom-bpf: {text}");
            ExitCode::from(2)
        }
    }
}
