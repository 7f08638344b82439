//! From an object to a verdict: which of its programs, what its data holds at first, and what the verifier says of it, in the
//! words of the program's author. bpf-server and the host tool both ask here, so they say the same.
//!
//! Nothing is placed or run here. What is wrong is a [`Refused`]: what kind of thing for programs, a sentence for people. Memory
//! that cannot be had is a refusal whose sentence needs none.
#![no_std]
#![forbid(unsafe_code)]
extern crate alloc;

mod arch;
mod contents;
pub mod cost;
mod words;

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use axiom_bpf_isa::{CtxLayout, LineInfo, Lines};
use axiom_bpf_object::{Entry, Object, Program};
use axiom_bpf_verifier::{Accepted, Env, Limits, MEMORY, Verifier, Words, check, place, proof};

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

impl From<axiom_bpf_object::ObjectError> for Refused {
    fn from(error: axiom_bpf_object::ObjectError) -> Refused {
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

/// A program of an object, for its verdict.
#[derive(Clone, Copy)]
pub struct Subject<'a, 'o> {
    /// The object.
    pub object: &'a Object<'o>,
    /// The program.
    pub program: &'a Program,
    /// What its maps hold.
    pub contents: &'a Contents<'o>,
    /// The context that it gets.
    pub ctx: CtxLayout,
    /// Whether so many more bytes of memory can be had; `None` if there is always enough.
    pub room: Option<fn(usize) -> bool>,
}

impl Subject<'_, '_> {
    /// Does something with everything that verifier and checker want to know.
    fn with<R>(
        &self,
        f: impl FnOnce(&axiom_bpf_verifier::Program<'_>, &Env<'_>) -> Result<R, Refused>,
    ) -> Result<R, Refused> {
        let known = self.contents.constants()?;
        let lines = Source { object: self.object, program: self.program };
        let input = axiom_bpf_verifier::Program { insns: &self.program.insns, lines: Some(&lines) };
        let limits =
            Limits { instructions: self.ctx.kind.max_instructions(), room: self.room, ..Limits::default() };
        let helpers = Some(self.ctx.kind.helpers());
        let env = Env { maps: &self.contents.defs, contents: &known, ctx: self.ctx, helpers, limits };
        f(&input, &env)
    }

    fn refused(&self, refusal: &axiom_bpf_verifier::Refusal) -> Refused {
        let text = explain(refusal, &self.program.insns, |m| map_name(self.object, m));
        Refused::new(Wrong::Verifier, text)
    }

    /// The proof that the object holds of this program.
    pub fn proof(&self) -> Option<&[u8]> {
        let section = self.object.section_bytes(proof::SECTION)?;
        proof::find(section, &self.program.insns)
    }

    /// Finds a proof, and has it checked.
    pub fn prove(&self, verifier: &mut Verifier) -> Result<(Vec<u8>, Accepted), Refused> {
        self.with(|input, env| verifier.prove(input, env).map_err(|refusal| self.refused(&refusal)))
    }

    fn check(&self, proof: &[u8], env: &Env<'_>) -> Result<Accepted, Refused> {
        if self.room.is_some_and(|room| !room(MEMORY)) {
            return Err(Refused::memory());
        }
        check(&self.program.insns, proof, env).map_err(|fault| {
            let lines = Source { object: self.object, program: self.program };
            let input = axiom_bpf_verifier::Program { insns: &self.program.insns, lines: Some(&lines) };
            let text = format!(
                "Reason:     the object's proof does not hold: {}\nAt:         {}\n\
                 Suggestion: write it again with axiom-bpf prove, or remove the section {}, so that the program is analysed here",
                Words(fault.why),
                place(&input, fault.at),
                proof::SECTION
            );
            Refused::new(Wrong::Verifier, text)
        })
    }

    /// The verdict: by the proof in the object, if there is one, else by the analysis. A proof that does not hold is a refusal,
    /// unless settings may have made it one.
    pub fn verdict(&self, verifier: &mut Verifier) -> Result<Accepted, Refused> {
        if let Some(proof) = self.proof() {
            let checked = self.with(|_, env| self.check(proof, env));
            if checked.is_ok() || !self.contents.is_set() {
                return checked;
            }
        }
        self.with(|input, env| verifier.verify(input, env).map_err(|refusal| self.refused(&refusal)))
    }
}

/// The name of a map, for sentences.
pub fn map_name<'a>(object: &Object<'a>, index: u32) -> Option<&'a str> {
    object.maps().get(index as usize).map(|m| m.name)
}

#[cfg(test)]
mod tests;
