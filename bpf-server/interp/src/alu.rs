//! Arithmetic and comparisons, as pure functions of the operands.

use axiom_bpf_isa::Insn;

/// The result of an ALU instruction; 32-bit results are zero-extended. `None` if there is no such instruction.
pub(crate) fn eval(insn: Insn, wide: bool, dst: u64, src: u64) -> Option<u64> {
    let operation = insn.op & 0xf0;
    let register = insn.op & 8 != 0;
    if operation == 0xd0 {
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
        (0x00, _) => d.wrapping_add(s),
        (0x10, _) => d.wrapping_sub(s),
        (0x20, _) => d.wrapping_mul(s),
        (0x30, 0) => d.checked_div(s).unwrap_or(0),
        (0x30, 1) if s == 0 => 0,
        (0x30, 1) => (d as i64).wrapping_div(s as i64) as u64,
        (0x40, _) => d | s,
        (0x50, _) => d & s,
        (0x60, _) => d.wrapping_shl(s as u32),
        (0x70, _) => d.wrapping_shr(s as u32),
        (0x80, _) => d.wrapping_neg(),
        (0x90, 0) => d.checked_rem(s).unwrap_or(d),
        (0x90, 1) if s == 0 => d,
        (0x90, 1) => (d as i64).wrapping_rem(s as i64) as u64,
        (0xa0, _) => d ^ s,
        (0xb0, 0) => s,
        (0xb0, 8) if register => s as i8 as i64 as u64,
        (0xb0, 16) if register => s as i16 as i64 as u64,
        (0xb0, 32) if register => s as i32 as i64 as u64,
        (0xc0, _) => (d as i64).wrapping_shr(s as u32) as u64,
        _ => return None,
    })
}

fn eval32(operation: u8, off: i16, register: bool, d: u32, s: u32) -> Option<u32> {
    Some(match (operation, off) {
        (0x00, _) => d.wrapping_add(s),
        (0x10, _) => d.wrapping_sub(s),
        (0x20, _) => d.wrapping_mul(s),
        (0x30, 0) => d.checked_div(s).unwrap_or(0),
        (0x30, 1) if s == 0 => 0,
        (0x30, 1) => (d as i32).wrapping_div(s as i32) as u32,
        (0x40, _) => d | s,
        (0x50, _) => d & s,
        (0x60, _) => d.wrapping_shl(s),
        (0x70, _) => d.wrapping_shr(s),
        (0x80, _) => d.wrapping_neg(),
        (0x90, 0) => d.checked_rem(s).unwrap_or(d),
        (0x90, 1) if s == 0 => d,
        (0x90, 1) => (d as i32).wrapping_rem(s as i32) as u32,
        (0xa0, _) => d ^ s,
        (0xb0, 0) => s,
        (0xb0, 8) if register => s as i8 as i32 as u32,
        (0xb0, 16) if register => s as i16 as i32 as u32,
        (0xc0, _) => (d as i32).wrapping_shr(s) as u32,
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
    Some(match insn.op & 0xf0 {
        0x10 => d == s,
        0x20 => d > s,
        0x30 => d >= s,
        0x40 => d & s != 0,
        0x50 => d != s,
        0x60 => ds > ss,
        0x70 => ds >= ss,
        0xa0 => d < s,
        0xb0 => d <= s,
        0xc0 => ds < ss,
        0xd0 => ds <= ss,
        _ => return None,
    })
}
