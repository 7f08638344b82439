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
    imm: i32,
    /// The same of `off`.
    off: i16,
    /// The greatest number in `dst`.
    dst: u8,
    /// The greatest number in `src`.
    src: u8,
    /// What else is to be looked at.
    rule: Rule,
}

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
    /// With something in `off` and `imm`, where these are true.
    const fn new(off: bool, imm: bool, dst: u8, src: u8, rule: Rule) -> Form {
        Form { imm: if imm { 0 } else { -1 }, off: if off { 0 } else { -1 }, dst, src, rule }
    }
    use Rule::*;
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
    let wrong = |at| Fault { at, why: Why::Shape };
    if insns.is_empty() || insns.len() > MAX_SLOTS {
        return Err(wrong(0));
    }
    // A jump or call leads to an instruction: no second half of a wide load has an opcode.
    let leads = |to: i64| usize::try_from(to).ok().and_then(|t| insns.get(t)).is_some_and(|i| i.op != 0);
    let mut starts = Vec::from([0u32]);
    let (mut at, mut last) = (0, 0);
    while let Some(&i) = insns.get(at) {
        let form = &FORMS[i.op as usize];
        let zero = (i.off & form.off) as i32 | i.imm & form.imm;
        let fits = match form.rule {
            Rule::Plain => true,
            Rule::Unknown => false,
            Rule::Jump => leads(target(at, i)),
            Rule::Call if i.src() != pseudo::LOCAL_CALL => true,
            Rule::Call => {
                let to = at as i64 + 1 + i.imm as i64;
                if let Err(place) = starts.binary_search(&(to as u32)) {
                    starts.insert(place, to as u32);
                }
                leads(to) && starts.len() <= MAX_FUNCTIONS
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
        };
        if !fits || zero != 0 || i.dst() > form.dst || i.src() > form.src {
            return Err(wrong(at));
        }
        last = at;
        at += width(i);
    }
    if starts.len() == 1 {
        return ends(insns, last).map(|()| starts);
    }
    for (f, &start) in starts.iter().enumerate() {
        let end = starts.get(f + 1).map_or(insns.len(), |s| *s as usize);
        let (mut at, mut last) = (start as usize, start as usize);
        while at < end {
            let i = insns[at];
            if is_jump(i.op) && !(start as i64..end as i64).contains(&target(at, i)) {
                return Err(wrong(at));
            }
            last = at;
            at += width(i);
        }
        ends(insns, last)?;
    }
    Ok(starts)
}

/// The last instruction of a function lets nothing run on behind it.
fn ends(insns: &[Insn], last: usize) -> Result<(), Fault> {
    let stays = matches!(insns[last].op, EXIT | JA | JA32);
    if stays { Ok(()) } else { Err(Fault { at: last, why: Why::FallsOff }) }
}
