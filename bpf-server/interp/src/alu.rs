//! Arithmetic and comparisons, as pure functions of the operands.

use axiom_bpf_isa::{Insn, alu::*, jump::*};

/// The result of an ALU instruction; 32-bit results are zero-extended. `None` if there is no such instruction.
pub(crate) fn eval(insn: Insn, wide: bool, dst: u64, src: u64) -> Option<u64> {
    let operation = insn.operation();
    let register = insn.op & 8 != 0;
    if operation == END {
        return swap(insn, wide, register, dst);
    }
    let operand = if register { src } else { insn.imm as i64 as u64 };
    if wide {
        eval64(operation, insn.off, register, dst, operand)
    } else {
        eval32(operation, insn.off, register, dst as u32, operand as u32).map(u64::from)
    }
}

fn eval64(operation: u8, off: i16, register: bool, d: u64, s: u64) -> Option<u64> {
    Some(match (operation, off) {
        (ADD, _) => d.wrapping_add(s),
        (SUB, _) => d.wrapping_sub(s),
        (MUL, _) => d.wrapping_mul(s),
        (DIV, 0) => d.checked_div(s).unwrap_or(0),
        (DIV, 1) if s == 0 => 0,
        (DIV, 1) => (d as i64).wrapping_div(s as i64) as u64,
        (OR, _) => d | s,
        (AND, _) => d & s,
        (LSH, _) => d.wrapping_shl(s as u32),
        (RSH, _) => d.wrapping_shr(s as u32),
        (NEG, _) => d.wrapping_neg(),
        (MOD, 0) => d.checked_rem(s).unwrap_or(d),
        (MOD, 1) if s == 0 => d,
        (MOD, 1) => (d as i64).wrapping_rem(s as i64) as u64,
        (XOR, _) => d ^ s,
        (MOV, 0) => s,
        (MOV, 8) if register => s as i8 as i64 as u64,
        (MOV, 16) if register => s as i16 as i64 as u64,
        (MOV, 32) if register => s as i32 as i64 as u64,
        (ARSH, _) => (d as i64).wrapping_shr(s as u32) as u64,
        _ => return None,
    })
}

fn eval32(operation: u8, off: i16, register: bool, d: u32, s: u32) -> Option<u32> {
    Some(match (operation, off) {
        (ADD, _) => d.wrapping_add(s),
        (SUB, _) => d.wrapping_sub(s),
        (MUL, _) => d.wrapping_mul(s),
        (DIV, 0) => d.checked_div(s).unwrap_or(0),
        (DIV, 1) if s == 0 => 0,
        (DIV, 1) => (d as i32).wrapping_div(s as i32) as u32,
        (OR, _) => d | s,
        (AND, _) => d & s,
        (LSH, _) => d.wrapping_shl(s),
        (RSH, _) => d.wrapping_shr(s),
        (NEG, _) => d.wrapping_neg(),
        (MOD, 0) => d.checked_rem(s).unwrap_or(d),
        (MOD, 1) if s == 0 => d,
        (MOD, 1) => (d as i32).wrapping_rem(s as i32) as u32,
        (XOR, _) => d ^ s,
        (MOV, 0) => s,
        (MOV, 8) if register => s as i8 as i32 as u32,
        (MOV, 16) if register => s as i16 as i32 as u32,
        (ARSH, _) => (d as i32).wrapping_shr(s) as u32,
        _ => return None,
    })
}

fn swap(insn: Insn, wide: bool, big: bool, d: u64) -> Option<u64> {
    // In the 32-bit class: to little or to big endian of a little-endian machine; in the 64-bit class: swap.
    let reverse = match (wide, big) {
        (false, big) => big,
        (true, false) => true,
        (true, true) => return None,
    };
    Some(match (insn.imm, reverse) {
        (16, false) => d as u16 as u64,
        (32, false) => d as u32 as u64,
        (64, false) => d,
        (16, true) => (d as u16).swap_bytes() as u64,
        (32, true) => (d as u32).swap_bytes() as u64,
        (64, true) => d.swap_bytes(),
        _ => return None,
    })
}

/// Whether a conditional jump is taken.
pub(crate) fn compare(insn: Insn, wide: bool, dst: u64, src: u64) -> Option<bool> {
    let operand = if insn.op & 8 != 0 { src } else { insn.imm as i64 as u64 };
    let (d, s, ds, ss) = if wide {
        (dst, operand, dst as i64, operand as i64)
    } else {
        (dst as u32 as u64, operand as u32 as u64, dst as i32 as i64, operand as i32 as i64)
    };
    Some(match insn.operation() {
        JEQ => d == s,
        JGT => d > s,
        JGE => d >= s,
        JSET => d & s != 0,
        JNE => d != s,
        JSGT => ds > ss,
        JSGE => ds >= ss,
        JLT => d < s,
        JLE => d <= s,
        JSLT => ds < ss,
        JSLE => ds <= ss,
        _ => return None,
    })
}
