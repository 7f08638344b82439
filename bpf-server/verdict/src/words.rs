//! A refusal in the words of the program's author: maps by their names, helpers by theirs and what to do in place of them, and
//! what the compiler was probably told.

use crate::short;
use alloc::format;
use alloc::string::{String, ToString};
use axiom_bpf_isa::{Insn, linux, opcode, proto};
use axiom_bpf_verifier::{Memory, Reason, Refusal};

/// Jumps to where a register says, which clang makes of large switches for Linux; RFC 9669 has no such instruction.
const GOTOX: u8 = opcode::CLASS_JMP | opcode::REGISTER;

/// The beginning of a text.
pub(crate) fn cut(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// The whole refusal: Reason, At, Path, Suggestion.
pub fn explain<'n>(refusal: &Refusal, insns: &[Insn], map: impl Fn(u32) -> Option<&'n str>) -> String {
    let whole = refusal.to_string();
    let mut lines: alloc::vec::Vec<&str> = whole.lines().collect();
    let (reason, suggestion) = words(refusal, insns);
    let reason = match reason {
        Some(reason) => format!("Reason:     {reason}"),
        None => named(lines.first().copied().unwrap_or(""), &refusal.reason, map),
    };
    let slow = unoptimised(insns);
    let suggestion = match refusal.reason {
        Reason::Loop { .. } if slow => Some(format!("compile with -O2; then: {}", refusal.suggestion())),
        _ => suggestion,
    };
    let suggestion = suggestion.map(|s| format!("Suggestion: {s}"));
    if let Some(first) = lines.first_mut() {
        *first = &reason;
    }
    if let (Some(last), Some(suggestion)) = (lines.last_mut(), &suggestion) {
        *last = suggestion;
    }
    let mut text = lines.join("\n");
    if slow {
        text += "\nHint:       this looks like code that was compiled without optimisation (-O0): compile with -O2";
    }
    text
}

/// The first line with the map's name in place of its number.
fn named<'n>(line: &str, reason: &Reason, map: impl Fn(u32) -> Option<&'n str>) -> String {
    let index = match *reason {
        Reason::OutOfBounds { memory: Memory::Value { map }, .. }
        | Reason::ReadOnly { memory: Memory::Value { map } }
        | Reason::MaybeNull { map: Some(map), .. }
        | Reason::NoSuchByte { map, .. }
        | Reason::WrongMap { map, .. } => map,
        _ => return line.to_string(),
    };
    match map(index) {
        Some(name) => line.replacen(&format!("map {index}"), &format!("map '{}'", short(name)), 1),
        None => line.to_string(),
    }
}

/// Another sentence and suggestion than the verifier's, where more is known.
fn words(refusal: &Refusal, insns: &[Insn]) -> (Option<String>, Option<String>) {
    let at = insns.get(refusal.at.insn);
    // A helper that was called with less than it takes, or with a variable that has no value yet.
    if let Reason::Unwritten { register } | Reason::LostByCall { register } = refusal.reason
        && let Some(p) =
            at.filter(|i| i.op == opcode::CALL && i.src() == 0).and_then(|i| proto::find(i.imm as u32))
    {
        return (
            Some(format!("bpf_{}: argument {register} (r{register}) has no value", p.name)),
            Some("pass every argument, as axiom_bpf.h declares them, and give the variable a value on every path before".to_string()),
        );
    }
    match refusal.reason {
        Reason::UnknownHelper { id } if proto::find(id).is_none() => match linux::linux_name(id) {
            Some(name) => (
                Some(format!("bpf_{name} (helper {id} of Linux) does not exist here")),
                Some(linux::instead(id).to_string()),
            ),
            None => (None, Some("call helpers by the names in axiom_bpf.h".to_string())),
        },
        Reason::UnknownHelper { .. } => {
            (None, Some("see the list of helpers by kind of program in docs/src/program-reference.md".to_string()))
        }
        Reason::ReservedField { op: opcode::CALLX } => (
            Some("calls through a register, written as clang 16 and older write it (callx)".to_string()),
            Some(
                "compile with -O2, so that helpers are called by their numbers, or with clang 17 or newer; call own functions directly"
                    .to_string(),
            ),
        ),
        Reason::UnknownCallTarget { .. } => (
            None,
            Some(
                "compile with -O2, and declare helpers as axiom_bpf.h does (static ... (*const name)(...)), so that they are called by \
                 their numbers; call own functions directly"
                    .to_string(),
            ),
        ),
        Reason::UnknownOpcode { op: GOTOX } => (
            Some("jumps through a register (gotox): the compiler made a jump table of a switch".to_string()),
            Some("compile with -fno-jump-tables".to_string()),
        ),
        Reason::UnknownCall { kind: 2 } => (
            Some(format!(
                "calls function {} of a kernel's BTF; kernel functions do not exist here",
                at.map_or(0, |i| i.imm)
            )),
            None,
        ),
        _ => (None, None),
    }
}

/// Whether a program looks like clang's output without optimisation: it keeps its context in the stack at once, and every fourth
/// instruction at least moves something to or from there.
fn unoptimised(insns: &[Insn]) -> bool {
    const FRAME: u8 = 10;
    let writes_r1 = |i: &&Insn| !matches!(i.class(), opcode::CLASS_ST | opcode::CLASS_STX) && i.dst() == 1;
    let untouched = insns.iter().take(3).take_while(|i| !writes_r1(i));
    let keeps = { untouched }.any(|i| i.op == opcode::STXDW && i.dst() == FRAME && i.src() == 1 && i.off < 0);
    let moves = insns.iter().filter(|i| match i.class() {
        opcode::CLASS_LDX => i.src() == FRAME,
        opcode::CLASS_ST | opcode::CLASS_STX => i.dst() == FRAME,
        _ => false,
    });
    keeps && moves.count() * 4 >= insns.len()
}
