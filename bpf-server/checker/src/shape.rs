//! Structure: every slot is an instruction of RFC 9669 or the second half of a wide load, jumps stay in their function and
//! lead to instructions, calls lead to functions, and no function runs into the next.
//!
//! This holds for code that no run can reach, too: compilers look at it.

use crate::fault::{Fault, Why};
use alloc::vec::Vec;
use axiom_bpf_isa::{Insn, opcode::*, pseudo};

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
pub fn is_jump(op: u8) -> bool {
    matches!(op & 7, CLASS_JMP | CLASS_JMP32) && !matches!(op & 0xf0, 0x80 | 0x90)
}

/// A jump that may fall through.
#[inline]
pub fn is_conditional(op: u8) -> bool {
    is_jump(op) && op & 0xf0 != 0
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
    /// Bits of `imm` that are zero: all or none.
    imm: u32,
    /// The same of `off`.
    off: u16,
    /// What its registers must not be, of [`BEYOND`], and [`RULE`] if there is one.
    not: u16,
    rule: Rule,
}

/// Of each pair of registers, by the second byte of an instruction: the destination's number is beyond 0, 9, 10, and the source's
/// beyond 0, 1, 2, 9, 10, a bit for each; and [`RULE`].
static BEYOND: [u16; 256] = {
    const MOST: [usize; 8] = [0, 9, 10, 0, 1, 2, 9, 10];
    let mut t = [RULE; 256];
    let mut regs = 0;
    while regs < 256 {
        let (dst, src) = (regs & 15, regs >> 4);
        let mut k = 0;
        while k < 8 {
            if (if k < 3 { dst } else { src }) > MOST[k] {
                t[regs] |= 1 << k;
            }
            k += 1;
        }
        regs += 1;
    }
    t
};
/// There is a rule, so that one look tells whether there is more to be looked at.
const RULE: u16 = 1 << 8;

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

/// The form of each opcode.
static FORMS: [Form; 256] = {
    let mut t = [form(0); 256];
    let mut op = 0;
    while op < 256 {
        t[op] = form(op as u8);
        op += 1;
    }
    t
};

const fn form(op: u8) -> Form {
    use Rule::*;
    /// With something in `off` and `imm`, where these are true; the greatest numbers in `dst` and `src`.
    const fn new(off: bool, imm: bool, dst: usize, src: u8, rule: Rule) -> Form {
        let dst = if dst == 0 { 1 } else { 1 << (dst - 8) };
        let src = 8 << if src < 3 { src } else { src - 6 };
        let more = if matches!(rule, Plain) { 0 } else { RULE };
        Form {
            imm: if imm { 0 } else { u32::MAX },
            off: if off { 0 } else { u16::MAX },
            not: dst | src | more,
            rule,
        }
    }
    let unknown = new(false, false, 0, 0, Unknown);
    // The second operand: a register, or the immediate.
    let register = op & 8 != 0;
    let (src, imm) = if register { (10, false) } else { (0, true) };
    match op & 7 {
        CLASS_ALU | CLASS_ALU64 => match op & 0xf0 {
            0x30 | 0x90 => new(true, imm, 9, src, Signed),
            0x80 if !register => new(false, false, 9, 0, Plain),
            0xb0 if register => new(true, false, 9, 10, Extend),
            0xd0 if op != 0xdf => new(false, true, 9, 0, Swap),
            0x80 | 0xd0 | 0xe0 | 0xf0 => unknown,
            _ => new(false, imm, 9, src, Plain),
        },
        CLASS_JMP | CLASS_JMP32 => match op {
            JA => new(true, false, 0, 0, Jump),
            JA32 => new(false, true, 0, 0, Jump),
            CALL => new(false, true, 0, pseudo::LOCAL_CALL, Call),
            CALLX => new(false, false, 9, 0, Plain),
            EXIT => new(false, false, 0, 0, Plain),
            _ => match op & 0xf0 {
                0x00 | 0x80 | 0x90 | 0xe0 | 0xf0 => unknown,
                _ => new(true, imm, 10, src, Jump),
            },
        },
        CLASS_LD if op == LDDW => new(false, true, 9, pseudo::MAP_VALUE, Wide),
        CLASS_LDX if op & 0xe0 == 0x60 || matches!(op, 0x81 | 0x89 | 0x91) => new(true, false, 9, 10, Plain),
        CLASS_ST if op & 0xe0 == 0x60 => new(true, true, 10, 0, Plain),
        CLASS_STX if op & 0xe0 == 0x60 => new(true, false, 10, 10, Plain),
        CLASS_STX if matches!(op, 0xc3 | 0xdb) => new(true, true, 10, 9, Atomic),
        _ => unknown,
    }
}

/// Checks the structure; returns where functions start, in order.
pub fn functions(insns: &[Insn]) -> Result<Vec<u32>, Fault> {
    let wrong = |at| Err(Fault { at, why: Why::Shape });
    if insns.is_empty() || insns.len() > MAX_SLOTS {
        return wrong(0);
    }
    let mut starts = Vec::from([0u32]);
    let mut at = 0;
    while let Some(i) = insns.get(at) {
        let form = &FORMS[i.op as usize];
        let zero = (i.off as u16 & form.off) as u32 | i.imm as u32 & form.imm;
        let not = form.not & BEYOND[i.regs as usize];
        if zero != 0 || not > 0 && !(not == RULE && follows(form.rule, insns, at, *i, &mut starts)) {
            return wrong(at);
        }
        at += if not > 0 { width(*i) } else { 1 };
    }
    for (f, &start) in starts.iter().enumerate() {
        let end = starts.get(f + 1).map_or(insns.len(), |s| *s as usize);
        let leaves = |at: &usize| {
            is_jump(insns[*at].op) && !(start as i64..end as i64).contains(&target(*at, insns[*at]))
        };
        // Where there is one function, all that jumps lead to is in it.
        if starts.len() > 1
            && let Some(at) = (start as usize..end).find(leaves)
        {
            return wrong(at);
        }
        // The last instruction lets nothing run on behind it. The second half of a wide load is none.
        let op = insns[end - 1].op;
        if !matches!(op, EXIT | JA | JA32) {
            return Err(Fault { at: end - 1 - usize::from(op == 0), why: Why::FallsOff });
        }
    }
    Ok(starts)
}

/// An instruction is there: no second half of a wide load has an opcode.
#[inline]
fn leads(insns: &[Insn], to: i64) -> bool {
    insns.get(to as usize).is_some_and(|i| i.op != 0)
}

/// Whether an instruction follows a rule; puts functions that are called into `starts`.
#[inline]
fn follows(rule: Rule, insns: &[Insn], at: usize, i: Insn, starts: &mut Vec<u32>) -> bool {
    match rule {
        Rule::Jump => leads(insns, target(at, i)),
        rule => rarer(rule, insns, at, starts),
    }
}

#[inline(never)]
fn rarer(rule: Rule, insns: &[Insn], at: usize, starts: &mut Vec<u32>) -> bool {
    let i = insns[at];
    match rule {
        Rule::Plain => true,
        Rule::Unknown | Rule::Jump => false,
        Rule::Call if i.src() != pseudo::LOCAL_CALL => true,
        Rule::Call => {
            let to = at as i64 + 1 + i.imm as i64;
            if let Err(place) = starts.binary_search(&(to as u32)) {
                starts.insert(place, to as u32);
            }
            leads(insns, to) && starts.len() <= MAX_FUNCTIONS
        }
        Rule::Wide => insns.get(at + 1).is_some_and(|n| {
            n.op == 0 && n.regs == 0 && n.off == 0 && (i.src() != pseudo::MAP || n.imm == 0)
        }),
        Rule::Signed => matches!(i.off, 0 | 1),
        Rule::Extend => matches!(i.off, 0 | 8 | 16) || i.off == 32 && i.op & 7 == CLASS_ALU64,
        Rule::Swap => matches!(i.imm, 16 | 32 | 64),
        Rule::Atomic => {
            matches!(i.imm, 0x00 | 0x01 | 0x40 | 0x41 | 0x50 | 0x51 | 0xa0 | 0xa1 | 0xe1 | 0xf1)
        }
    }
}
