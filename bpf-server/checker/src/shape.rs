//! Structure: every slot is an instruction of RFC 9669 or the second half of a wide load, jumps stay in their function and
//! lead to instructions, calls lead to functions, and no function runs into the next.
//!
//! This holds for code that no run can reach, too: compilers look at it.

use crate::fault::{Fault, Why};
use alloc::vec::Vec;
use axiom_bpf_isa::{Insn, alu::*, atomic, jump::*, opcode::*, pseudo};

/// Functions of a program.
pub const MAX_FUNCTIONS: usize = 1024;
/// Slots of a program.
pub const MAX_SLOTS: usize = 1 << 20;

/// Where a jump goes.
pub fn target(at: usize, i: Insn) -> i64 {
    at as i64 + 1 + if i.op == JA32 { i.imm as i64 } else { i.off as i64 }
}

/// A jump, conditional or not, but no call and no exit.
#[inline]
pub const fn is_jump(op: u8) -> bool {
    matches!(op & CLASS, CLASS_JMP | CLASS_JMP32) && !matches!(op & OPERATION, CALLS | EXITS)
}

/// A jump that may fall through.
#[inline]
pub const fn is_conditional(op: u8) -> bool {
    is_jump(op) && op & OPERATION != ALWAYS
}

/// Slots of an instruction.
#[inline]
pub fn width(i: Insn) -> usize {
    if i.op == LDDW { 2 } else { 1 }
}

/// A call of a function of the program.
#[inline]
pub fn is_local_call(i: Insn) -> bool {
    i.op == CALL && i.src() == pseudo::LOCAL_CALL
}

/// What an instruction must look like.
#[derive(Clone, Copy)]
struct Form {
    /// What it must not name; and [`MORE`], if there is a rule.
    names: u64,
    /// Bits of `imm` that are zero: all or none.
    imm: u32,
    /// The same of `off`.
    off: u16,
}

/// The bits of a set of [`NAMES`] that stand for sources.
pub const SOURCES: u64 = 0xffff_0000;
/// A bit of every set, so that one look at it tells whether there is more to be looked at.
pub const MORE: u64 = 1 << 32;

/// The registers that an instruction names, by the byte that holds them: a bit for the destination, one of [`SOURCES`], and [`MORE`].
pub static NAMES: [u64; 256] = {
    let mut sets = [MORE; 256];
    let mut n = 0;
    while n < 256 {
        sets[n] |= 1 << (n & 15) | 1 << (16 + (n >> 4));
        n += 1;
    }
    sets
};

#[derive(Clone, Copy)]
enum Rule {
    /// Nothing else.
    Plain,
    /// There is no such instruction.
    Unknown,
    /// It leads to an instruction of its function.
    Jump,
    /// A helper, or a function.
    Call,
    /// Two slots.
    Wide,
    /// 1 in `off` makes it signed.
    Signed,
    /// `off` is how many bits are extended.
    Extend,
    /// `imm` is how many bits are swapped.
    Swap,
    /// `imm` is the operation.
    Atomic,
}

/// The form of each opcode, and its rule.
static FORMS: ([Form; 256], [Rule; 256]) = {
    let (mut forms, mut rules) = ([form(0).0; 256], [Rule::Unknown; 256]);
    let mut op = 0;
    while op < 256 {
        (forms[op], rules[op]) = form(op as u8);
        op += 1;
    }
    (forms, rules)
};

/// Numbers of registers, of 4 bits, above one.
const fn above(greatest: u8) -> u64 {
    0xffff << (greatest + 1) & 0xffff
}

const fn form(op: u8) -> (Form, Rule) {
    use Rule::*;
    // The second operand: a register, or the immediate.
    let register = op & REGISTER != 0;
    let (second, constant) = if register { (10, false) } else { (0, true) };
    let (off, imm, dst, src, rule) = match (op & CLASS, op & OPERATION) {
        (CLASS_ALU | CLASS_ALU64, DIV | MOD) => (true, constant, 9, second, Signed),
        (CLASS_ALU | CLASS_ALU64, NEG) if !register => (false, false, 9, 0, Plain),
        (CLASS_ALU | CLASS_ALU64, MOV) if register => (true, false, 9, 10, Extend),
        (CLASS_ALU | CLASS_ALU64, END) if op != CLASS_ALU64 | REGISTER | END => (false, true, 9, 0, Swap),
        (CLASS_ALU | CLASS_ALU64, ADD..=RSH | XOR..=ARSH) => (false, constant, 9, second, Plain),
        (CLASS_JMP | CLASS_JMP32, _) => match op {
            JA => (true, false, 0, 0, Jump),
            JA32 => (false, true, 0, 0, Jump),
            CALL => (false, true, 0, pseudo::LOCAL_CALL, Call),
            CALLX => (false, false, 9, 0, Plain),
            EXIT => (false, false, 0, 0, Plain),
            _ if matches!(op & OPERATION, JEQ..=JSGE | JLT..=JSLE) => (true, constant, 10, second, Jump),
            _ => (false, false, 0, 0, Unknown),
        },
        _ => match op {
            LDDW => (false, true, 9, pseudo::MAP_VALUE, Wide),
            LDXB | LDXH | LDXW | LDXDW | LDXSB | LDXSH | LDXSW => (true, false, 9, 10, Plain),
            STB | STH | STW | STDW => (true, true, 10, 0, Plain),
            STXB | STXH | STXW | STXDW => (true, false, 10, 10, Plain),
            ATOMICW | ATOMICDW => (true, true, 10, 9, Atomic),
            _ => (false, false, 0, 0, Unknown),
        },
    };
    let more = if matches!(rule, Plain) { 0 } else { MORE };
    let names = above(dst) | above(src) << 16 | more;
    (Form { names, imm: if imm { 0 } else { u32::MAX }, off: if off { 0 } else { u16::MAX } }, rule)
}

/// Checks the structure; returns where functions start, in order, but for the first, which starts where the program does.
pub fn functions(insns: &[Insn]) -> Result<Vec<u32>, Fault> {
    let wrong = |at| Err(Fault { at, why: Why::Shape });
    if insns.is_empty() || insns.len() > MAX_SLOTS {
        return wrong(0);
    }
    let mut starts = Vec::new();
    let (forms, rules) = &FORMS;
    let mut at = 0;
    while let Some(i) = insns.get(at) {
        let f = &forms[i.op as usize];
        let zero = (i.off as u16 & f.off) as u32 | i.imm as u32 & f.imm;
        let names = NAMES[i.regs as usize] & f.names;
        if zero as u64 | names != 0 {
            if zero != 0 || names != MORE || !follows(rules[i.op as usize], insns, at, *i, &mut starts) {
                return wrong(at);
            }
            at += width(*i) - 1;
        }
        at += 1;
    }
    let mut start = 0;
    for end in starts.iter().map(|s| *s as usize).chain([insns.len()]) {
        let leaves = |at: &usize| {
            is_jump(insns[*at].op) && !(start as i64..end as i64).contains(&target(*at, insns[*at]))
        };
        // Where there is one function, all that jumps lead to is in it.
        if !starts.is_empty()
            && let Some(at) = (start..end).find(leaves)
        {
            return wrong(at);
        }
        // The last instruction lets nothing run on after it. The second half of a wide load is none.
        let op = insns[end - 1].op;
        if !matches!(op, EXIT | JA | JA32) {
            return Err(Fault { at: end - 1 - usize::from(op == 0), why: Why::FallsOff });
        }
        start = end;
    }
    Ok(starts)
}

/// An instruction is there: no second half of a wide load has an opcode.
#[inline]
fn leads(insns: &[Insn], to: i64) -> bool {
    insns.get(to as usize).is_some_and(|i| i.op != 0)
}

/// Whether an instruction follows a rule; puts functions that are called into `starts`.
fn follows(rule: Rule, insns: &[Insn], at: usize, i: Insn, starts: &mut Vec<u32>) -> bool {
    match rule {
        Rule::Plain => true,
        Rule::Unknown => false,
        Rule::Jump => leads(insns, target(at, i)),
        Rule::Call if i.src() != pseudo::LOCAL_CALL => true,
        Rule::Call => {
            let to = at as i64 + 1 + i.imm as i64;
            if to != 0
                && let Err(place) = starts.binary_search(&(to as u32))
            {
                starts.insert(place, to as u32);
            }
            leads(insns, to) && starts.len() < MAX_FUNCTIONS
        }
        Rule::Wide => insns.get(at + 1).is_some_and(|n| {
            n.op == 0 && n.regs == 0 && n.off == 0 && (i.src() != pseudo::MAP || n.imm == 0)
        }),
        Rule::Signed => matches!(i.off, 0 | 1),
        Rule::Extend => matches!(i.off, 0 | 8 | 16) || i.off == 32 && i.op & 7 == CLASS_ALU64,
        Rule::Swap => matches!(i.imm, 16 | 32 | 64),
        Rule::Atomic => atomic::ALL.contains(&i.imm),
    }
}
