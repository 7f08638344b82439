//! From an object to a verdict: which of its programs, what its data holds at first, and what the verifier says of it, in the
//! words of the program's author. bpf-server and the host tool both ask here, so they say the same.
//!
//! Nothing is placed or run here. What is wrong is a [`Refused`]: what kind of thing for programs, a sentence for people. Memory
//! that cannot be had is a refusal whose sentence needs none.
#![no_std]
#![forbid(unsafe_code)]
extern crate alloc;

mod contents;
mod words;

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::{String, ToString};
use axiom_bpf_isa::{CtxLayout, LineInfo, Lines, MapDef};
use axiom_bpf_object::{Entry, Object, Program};
use axiom_bpf_verifier::{Accepted, Env, Limits, Verifier, check, proof};

pub use contents::{Contents, MAX_SETTINGS, Patch, Setting};
pub use words::explain;

/// Longest name that a sentence shows.
const LONGEST: usize = 64;
/// Programs that a sentence lists.
const LISTED: usize = 8;

/// What kind of thing is wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wrong {
    /// The object cannot be read.
    Object,
    /// The verifier refuses the program.
    Verifier,
    /// There is no program or variable of that name.
    NotFound,
    /// It is not said which program is meant.
    Ambiguous,
    /// There is not enough memory.
    Memory,
}

/// Why there is no program to load.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refused {
    /// For programs.
    pub wrong: Wrong,
    /// For people.
    pub text: Cow<'static, str>,
}

impl Refused {
    #[cold]
    fn new(wrong: Wrong, text: String) -> Refused {
        Refused { wrong, text: Cow::Owned(text) }
    }

    /// There is no memory: takes none itself.
    #[cold]
    pub const fn memory() -> Refused {
        Refused {
            wrong: Wrong::Memory,
            text: Cow::Borrowed(
                "there is not enough memory left to load it: unload programs, or give bpf-server a larger heap_kib in the manifest",
            ),
        }
    }
}

impl From<axiom_bpf_object::Error> for Refused {
    fn from(error: axiom_bpf_object::Error) -> Refused {
        if error.out_of_memory { Refused::memory() } else { Refused::new(Wrong::Object, error.to_string()) }
    }
}

/// A name for a sentence.
pub(crate) fn short(name: &str) -> &str {
    let mut end = name.len().min(LONGEST);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    &name[..end]
}

/// The program of this name; the only one, if no name is given.
pub fn choose<'o, 'a>(object: &'o Object<'a>, name: &str) -> Result<&'o Entry<'a>, Refused> {
    let all = object.programs();
    if name.is_empty() {
        return match all {
            [one] => Ok(one),
            _ => {
                let text = format!("the object has {} programs: say which: {}", all.len(), list(all));
                Err(Refused::new(Wrong::Ambiguous, text))
            }
        };
    }
    all.iter().find(|p| p.name == name).ok_or_else(|| {
        let text = format!("the object has no program '{}'; it has: {}", short(name), list(all));
        Refused::new(Wrong::NotFound, text)
    })
}

fn list(entries: &[Entry<'_>]) -> String {
    let mut text = String::new();
    for (i, e) in entries.iter().take(LISTED).enumerate() {
        let comma = if i == 0 { "" } else { ", " };
        text += &format!("{comma}{} ({})", short(e.name), short(e.section));
    }
    if entries.len() > LISTED {
        text += &format!(" and {} more", entries.len() - LISTED);
    }
    text
}

/// A program's source lines, cut to what a report shows.
pub struct Source<'a, 'o> {
    /// The object.
    pub object: &'a Object<'o>,
    /// The program.
    pub program: &'a Program,
}

impl Lines for Source<'_, '_> {
    fn line(&self, insn: usize) -> Option<LineInfo<'_>> {
        let l = self.object.line(self.program, insn)?;
        let cut = |text| words::cut(text, 160);
        Some(LineInfo { file: cut(l.file), line: l.line, text: cut(l.text) })
    }
}

/// Verifies a program of an object. `room` says whether so many more bytes of memory can be had; `None` if there is always
/// enough.
pub fn verify(
    verifier: &mut Verifier,
    object: &Object<'_>,
    program: &Program,
    maps: &[MapDef],
    contents: &[Option<&[u8]>],
    ctx: CtxLayout,
    room: Option<fn(usize) -> bool>,
) -> Result<Accepted, Refused> {
    let lines = Source { object, program };
    let input = axiom_bpf_verifier::Program { insns: &program.insns, lines: Some(&lines) };
    let limits = Limits { instructions: ctx.kind.max_instructions(), room, ..Limits::default() };
    let env = Env { maps, contents, ctx, helpers: Some(ctx.kind.helpers()), limits };
    // An object may bring its proof: then it is only checked.
    if let Some(proof) = object.section_bytes(proof::SECTION).and_then(|s| proof::find(s, &program.insns)) {
        return check(&program.insns, proof, &env)
            .map_err(|fault| Refused::new(Wrong::Verifier, verifier_words(&input, fault)));
    }
    verifier.verify(&input, &env).map_err(|refusal| {
        Refused::new(Wrong::Verifier, explain(&refusal, &program.insns, |m| map_name(object, m)))
    })
}

/// Finds a proof of a program of an object, and has it checked.
pub fn prove(
    verifier: &mut Verifier,
    object: &Object<'_>,
    program: &Program,
    maps: &[MapDef],
    contents: &[Option<&[u8]>],
    ctx: CtxLayout,
) -> Result<alloc::vec::Vec<u8>, Refused> {
    let lines = Source { object, program };
    let input = axiom_bpf_verifier::Program { insns: &program.insns, lines: Some(&lines) };
    // There is more time and memory here than on the device, which only has to check.
    let limits = Limits { instructions: ctx.kind.max_instructions(), work: 200_000_000, ..Limits::default() };
    let env = Env { maps, contents, ctx, helpers: Some(ctx.kind.helpers()), limits };
    let proof = verifier.prove(&input, &env).map_err(|refusal| {
        Refused::new(Wrong::Verifier, explain(&refusal, &program.insns, |m| map_name(object, m)))
    })?;
    let device = Env { limits: Limits { work: Limits::default().work, ..limits }, ..env };
    match check(&program.insns, &proof, &device) {
        Ok(_) => Ok(proof),
        Err(fault) => Err(Refused::new(Wrong::Verifier, verifier_words(&input, fault))),
    }
}

/// A proof that does not hold.
fn verifier_words(program: &axiom_bpf_verifier::Program<'_>, fault: axiom_bpf_verifier::Fault) -> String {
    let place = axiom_bpf_verifier::place(program, fault.at);
    format!(
        "Reason:     the object's proof does not hold: {}\nAt:         {place}\nSuggestion: write it again with axiom-bpf prove, for this program; or remove the section {}, so that the program is analysed here",
        fault.why,
        proof::SECTION
    )
}

/// The name of a map, for sentences.
pub fn map_name<'a>(object: &Object<'a>, index: u32) -> Option<&'a str> {
    object.maps().get(index as usize).map(|m| m.name)
}

#[cfg(test)]
mod tests;
