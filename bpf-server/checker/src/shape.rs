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

/// A call of a function of the program.
#[inline]
pub fn is_local_call(i: Insn) -> bool {
    i.op == CALL && i.src() == pseudo::LOCAL_CALL
}

/// A slot is an instruction; `next` follows it.
fn well_formed(i: Insn, next: Option<&Insn>) -> bool {
    let (d, s, register) = (i.dst(), i.src(), i.op & 8 != 0);
    let operand = if register { s <= 10 && i.imm == 0 } else { s == 0 };
    match i.op & 7 {
        CLASS_ALU | CLASS_ALU64 => {
            let wide = i.op & 7 == CLASS_ALU64;
            d < 10
                && match i.op & 0xf0 {
                    0x80 => !register && s == 0 && i.off == 0 && i.imm == 0,
                    0xd0 => !(wide && register) && s == 0 && i.off == 0 && matches!(i.imm, 16 | 32 | 64),
                    0xb0 if register => operand && (matches!(i.off, 0 | 8 | 16) || i.off == 32 && wide),
                    0x30 | 0x90 => operand && matches!(i.off, 0 | 1),
                    0xe0 | 0xf0 => false,
                    _ => operand && i.off == 0,
                }
        }
        CLASS_JMP | CLASS_JMP32 => match i.op {
            JA => d == 0 && s == 0 && i.imm == 0,
            JA32 => d == 0 && s == 0 && i.off == 0,
            CALL => d == 0 && i.off == 0 && matches!(s, 0 | pseudo::LOCAL_CALL),
            CALLX => d < 10 && s == 0 && i.off == 0 && i.imm == 0,
            EXIT => d == 0 && s == 0 && i.off == 0 && i.imm == 0,
            op => d <= 10 && operand && !matches!(op & 0xf0, 0x00 | 0x80 | 0x90 | 0xe0 | 0xf0),
        },
        CLASS_LD => {
            i.op == LDDW
                && d < 10
                && i.off == 0
                && next.is_some_and(|n| {
                    n.op == 0 && n.regs == 0 && n.off == 0 && (s != pseudo::MAP || n.imm == 0)
                })
                && matches!(s, pseudo::IMM64 | pseudo::MAP | pseudo::MAP_VALUE)
        }
        CLASS_LDX => {
            d < 10 && s <= 10 && i.imm == 0 && matches!(i.op, 0x61 | 0x69 | 0x71 | 0x79 | 0x81 | 0x89 | 0x91)
        }
        CLASS_ST => d <= 10 && s == 0 && matches!(i.op, 0x62 | 0x6a | 0x72 | 0x7a),
        _ => match i.op {
            0x63 | 0x6b | 0x73 | 0x7b => d <= 10 && s <= 10 && i.imm == 0,
            0xc3 | 0xdb => {
                let known =
                    matches!(i.imm, 0x00 | 0x01 | 0x40 | 0x41 | 0x50 | 0x51 | 0xa0 | 0xa1 | 0xe1 | 0xf1);
                d <= 10 && s < 10 && known
            }
            _ => false,
        },
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
    each(insns, |at, i| {
        if !well_formed(i, insns.get(at + 1)) {
            return Err(wrong(at));
        }
        if is_local_call(i) {
            let to = at as i64 + 1 + i.imm as i64;
            if !leads(to) || starts.len() >= MAX_FUNCTIONS {
                return Err(wrong(at));
            }
            if let Err(place) = starts.binary_search(&(to as u32)) {
                starts.insert(place, to as u32);
            }
        }
        Ok(())
    })?;
    let mut f = 0;
    each(insns, |at, i| {
        if starts.get(f + 1).is_some_and(|s| *s as usize == at) {
            f += 1;
        }
        let end = starts.get(f + 1).map_or(insns.len(), |s| *s as usize);
        let last = at + if i.op == LDDW { 2 } else { 1 } == end;
        if is_jump(i.op) {
            let to = target(at, i);
            if !leads(to) || to < starts[f] as i64 || to >= end as i64 {
                return Err(wrong(at));
            }
        }
        if last && !matches!(i.op, EXIT | JA | JA32) {
            return Err(Fault { at, why: Why::FallsOff });
        }
        Ok(())
    })?;
    Ok(starts)
}

/// Calls `f` for each instruction.
fn each(insns: &[Insn], mut f: impl FnMut(usize, Insn) -> Result<(), Fault>) -> Result<(), Fault> {
    let mut at = 0;
    while let Some(&i) = insns.get(at) {
        f(at, i)?;
        at += if i.op == LDDW { 2 } else { 1 };
    }
    Ok(())
}
