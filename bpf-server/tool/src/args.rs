//! The command line.

use crate::Failure;
use std::ffi::OsString;
use std::path::PathBuf;

/// What `axiom-bpf --help` prints.
pub const HELP: &str = "\
axiom-bpf verify OBJ.o [--prog NAME] [--json]
    verdict, worst case, cost, stack, helpers, maps; or the whole reason
axiom-bpf prove OBJ.o [--prog NAME] [-o OUT.o]
    the same, and writes the proofs (into OBJ.o)
axiom-bpf run OBJ.o|--raw INSNS.bin [--prog NAME] [--ctx FILE] [--engine ENGINE] [--repeat N]
              [--no-verify]
    r0, time per run, memory after
axiom-bpf disasm OBJ.o|--raw INSNS.bin [--prog NAME]
axiom-bpf maps OBJ.o
axiom-bpf plugin [--engine ENGINE] [MEMORY]
    for bpf_conformance: memory and program in base 16, r0 in base 16

--raw        plain instructions: r1 = the memory of --ctx, r2 = its length, helper 1 = lookup in
             map 0, an array of 64 x u64 (the verifier takes r1 for a context: read-only, and r2
             for nothing; --no-verify runs what needs more)
--engine     interp (default): the reference interpreter; jit: the compiler's code for this machine;
             jit-aarch64, jit-x86_64: for that one (elsewhere under qemu-aarch64 or qemu-x86_64).
             The time of compiled code has the start of its process in it, and a pipe's way there
             and back for each call of a helper
--no-verify  run what is refused all the same: the interpreter checks each access, compiled code
             runs in a process of its own
Exit status: 0 accepted or done, 1 refused or failed, 2 asked wrongly.
";

/// What runs a program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Engine {
    /// The interpreter.
    Interp,
    /// A compiler: of this machine, or of the one that is named.
    Jit(Option<&'static str>),
}

/// Where a program comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    /// An object, and the program's name or nothing.
    Object(PathBuf, String),
    /// Plain instructions.
    Raw(PathBuf),
}

/// A run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Run {
    /// What.
    pub program: Origin,
    /// The context's bytes.
    pub context: Option<PathBuf>,
    /// By whom.
    pub engine: Engine,
    /// How often.
    pub repeat: u64,
    /// Only what is accepted.
    pub verify: bool,
}

/// What to do.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Command {
    Help,
    Verify { object: PathBuf, program: String, json: bool },
    Prove { object: PathBuf, program: String, to: PathBuf },
    Run(Run),
    Disasm { program: Origin },
    Maps { object: PathBuf },
    Plugin { engine: Engine, memory: String },
}

fn wrong(text: String) -> Failure {
    Failure::Usage(format!("{text}\n\n{HELP}"))
}

/// Options and names, each once.
#[derive(Default)]
struct Found {
    plain: Vec<OsString>,
    values: Vec<(&'static str, OsString)>,
    flags: Vec<&'static str>,
}

const WITH_VALUE: [&str; 6] = ["--prog", "--raw", "--ctx", "--engine", "--repeat", "-o"];
const FLAGS: [&str; 3] = ["--json", "--no-verify", "--help"];

impl Found {
    fn new(words: &[OsString]) -> Result<Found, Failure> {
        let mut found = Found::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let text = word.to_string_lossy();
            if let Some(option) = WITH_VALUE.into_iter().find(|o| *o == text) {
                let value = words.next().ok_or_else(|| wrong(format!("{option} needs a value after it")))?;
                if found.values.iter().any(|v| v.0 == option) {
                    return Err(wrong(format!("{option} is given twice")));
                }
                found.values.push((option, value.clone()));
            } else if let Some(flag) = FLAGS.into_iter().find(|f| *f == text) {
                found.flags.push(flag);
            } else if text.starts_with("--") {
                return Err(wrong(format!("there is no option {text}")));
            } else {
                found.plain.push(word.clone());
            }
        }
        Ok(found)
    }

    fn value(&mut self, option: &str) -> Option<OsString> {
        let at = self.values.iter().position(|v| v.0 == option)?;
        Some(self.values.remove(at).1)
    }

    fn text(&mut self, option: &str) -> Result<String, Failure> {
        match self.value(option).map(OsString::into_string) {
            None => Ok(String::new()),
            Some(Ok(text)) => Ok(text),
            Some(Err(_)) => Err(wrong(format!("the value of {option} is not UTF-8 text"))),
        }
    }

    fn flag(&mut self, flag: &str) -> bool {
        let before = self.flags.len();
        self.flags.retain(|f| *f != flag);
        self.flags.len() != before
    }

    fn engine(&mut self) -> Result<Engine, Failure> {
        match self.text("--engine")?.as_str() {
            "" | "interp" => Ok(Engine::Interp),
            "jit" => Ok(Engine::Jit(None)),
            "jit-aarch64" => Ok(Engine::Jit(Some("aarch64"))),
            "jit-x86_64" => Ok(Engine::Jit(Some("x86_64"))),
            other => {
                Err(wrong(format!("there is no engine '{other}': interp, jit, jit-aarch64 or jit-x86_64")))
            }
        }
    }

    /// The one file that a command is about.
    fn file(&mut self, what: &str) -> Result<PathBuf, Failure> {
        match self.plain.len() {
            1 => Ok(PathBuf::from(self.plain.remove(0))),
            0 => Err(wrong(format!("{what} is missing"))),
            n => Err(wrong(format!("{n} names where one is wanted: {what}"))),
        }
    }

    fn origin(&mut self) -> Result<Origin, Failure> {
        match self.value("--raw") {
            Some(file) => Ok(Origin::Raw(file.into())),
            None => {
                let name = self.text("--prog")?;
                Ok(Origin::Object(self.file("the object, or --raw and a file of instructions")?, name))
            }
        }
    }

    /// Everything was used.
    fn end(self, command: &str) -> Result<(), Failure> {
        let left = self.values.first().map(|v| v.0).or(self.flags.first().copied());
        match (left, self.plain.first()) {
            (Some(option), _) => Err(wrong(format!("{command} has no option {option}"))),
            (None, Some(word)) => {
                Err(wrong(format!("'{}' is one word too many for {command}", word.to_string_lossy())))
            }
            (None, None) => Ok(()),
        }
    }
}

/// Reads the words after the tool's name.
pub fn parse(words: &[OsString]) -> Result<Command, Failure> {
    // The suite's runner puts the memory first and what it was told to pass on after it.
    let base_16 = |w: &OsString| w.to_str().is_some_and(|w| w.bytes().all(|b| b.is_ascii_hexdigit()));
    let swapped: Vec<OsString>;
    let words = match words {
        [memory, second, rest @ ..] if base_16(memory) && second == "plugin" => {
            swapped = [second, memory].into_iter().chain(rest).cloned().collect();
            &swapped
        }
        _ => words,
    };
    let Some((first, rest)) = words.split_first() else {
        return Err(wrong("say what to do".into()));
    };
    let mut found = Found::new(rest)?;
    let name = first.to_string_lossy().into_owned();
    if found.flag("--help") || ["--help", "-h", "help"].contains(&name.as_str()) {
        return Ok(Command::Help);
    }
    let command = match name.as_str() {
        "verify" => Command::Verify {
            program: found.text("--prog")?,
            json: found.flag("--json"),
            object: found.file("the object")?,
        },
        "prove" => {
            let (program, to) = (found.text("--prog")?, found.value("-o").map(PathBuf::from));
            let object = found.file("the object")?;
            Command::Prove { program, to: to.unwrap_or_else(|| object.clone()), object }
        }
        "run" => {
            let repeat = found.text("--repeat")?;
            Command::Run(Run {
                program: found.origin()?,
                context: found.value("--ctx").map(PathBuf::from),
                engine: found.engine()?,
                repeat: match repeat.parse() {
                    _ if repeat.is_empty() => 1,
                    Ok(n) if n > 0 => n,
                    _ => return Err(wrong(format!("--repeat {repeat}: a number from 1 is wanted"))),
                },
                verify: !found.flag("--no-verify"),
            })
        }
        "disasm" => Command::Disasm { program: found.origin()? },
        "maps" => Command::Maps { object: found.file("the object")? },
        "plugin" => {
            let memory: Vec<_> = found.plain.drain(..).map(|w| w.to_string_lossy().into_owned()).collect();
            Command::Plugin { engine: found.engine()?, memory: memory.concat() }
        }
        other => return Err(wrong(format!("there is no command '{other}'"))),
    };
    found.end(&name)?;
    Ok(command)
}
