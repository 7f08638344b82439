//! Instructions as `llvm-objdump` prints them.

use crate::insn::{Insn, opcode, pseudo};
use crate::proto;
use core::fmt;

/// One instruction for `Display`; `next` is the slot behind it, which a wide load needs.
#[derive(Clone, Copy, Debug)]
pub struct Disasm {
    /// The instruction.
    pub insn: Insn,
    /// The slot behind it.
    pub next: Option<Insn>,
}

impl Disasm {
    /// The instruction at slot `at` of a program; `None` outside it.
    pub fn at(program: &[Insn], at: usize) -> Option<Disasm> {
        Some(Disasm { insn: *program.get(at)?, next: program.get(at + 1).copied() })
    }
}

/// A register: `r3`, or `w3` in 32-bit instructions.
struct R(u8, bool);

impl fmt::Display for R {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.1 { 'r' } else { 'w' }, self.0)
    }
}

/// `rN + 0x10` or `rN - 0x10`.
struct Address(u8, i16);

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.1 < 0 { '-' } else { '+' };
        write!(f, "r{} {sign} {:#x}", self.0, self.1.unsigned_abs())
    }
}

struct Hex(i64);

impl fmt::Display for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        write!(f, "{sign}{:#x}", self.0.unsigned_abs())
    }
}

struct Goto(i64);

impl fmt::Display for Goto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:#x}", if self.0 < 0 { '-' } else { '+' }, self.0.unsigned_abs())
    }
}

const SIZES: [&str; 4] = ["u32", "u16", "u8", "u64"];
const SIGNED: [&str; 4] = ["s32", "s16", "s8", "s64"];

impl fmt::Display for Disasm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let i = self.insn;
        let size = (i.op >> 3 & 3) as usize;
        match i.class() {
            opcode::CLASS_ALU => alu(f, i, false),
            opcode::CLASS_ALU64 => alu(f, i, true),
            opcode::CLASS_JMP => jump(f, i, true),
            opcode::CLASS_JMP32 => jump(f, i, false),
            opcode::CLASS_LD if i.op == opcode::LDDW => {
                let high = self.next.map_or(0, |n| n.imm);
                match i.src() {
                    pseudo::IMM64 => {
                        let v = i.imm as u32 as u64 | (high as u32 as u64) << 32;
                        write!(f, "r{} = {v:#x} ll", i.dst())
                    }
                    pseudo::MAP => write!(f, "r{} = map[{}] ll", i.dst(), i.imm),
                    pseudo::MAP_VALUE => {
                        write!(f, "r{} = map[{}].value + {} ll", i.dst(), i.imm, Hex(high as i64))
                    }
                    s => write!(f, "r{} = pseudo {s} {} ll", i.dst(), i.imm),
                }
            }
            opcode::CLASS_LDX if i.op >> 5 == 3 => {
                let to = R(i.dst(), size == 3);
                write!(f, "{to} = *({} *)({})", SIZES[size], Address(i.src(), i.off))
            }
            opcode::CLASS_LDX if i.op >> 5 == 4 => {
                write!(f, "r{} = *({} *)({})", i.dst(), SIGNED[size], Address(i.src(), i.off))
            }
            opcode::CLASS_ST if i.op >> 5 == 3 => {
                write!(f, "*({} *)({}) = {}", SIZES[size], Address(i.dst(), i.off), Hex(i.imm as i64))
            }
            opcode::CLASS_STX if i.op >> 5 == 3 => {
                let from = R(i.src(), size == 3);
                write!(f, "*({} *)({}) = {from}", SIZES[size], Address(i.dst(), i.off))
            }
            opcode::CLASS_STX if i.op >> 5 == 6 => atomic(f, i, size == 3),
            _ => write!(f, "<unknown {:#04x}>", i.op),
        }
    }
}

fn alu(f: &mut fmt::Formatter<'_>, i: Insn, wide: bool) -> fmt::Result {
    let (d, s) = (R(i.dst(), wide), R(i.src(), wide));
    let register = i.op & 8 != 0;
    let sign = if i.off == 1 { "s" } else { "" };
    let operation = match i.op >> 4 {
        0x0 => "+=",
        0x1 => "-=",
        0x2 => "*=",
        0x3 => "/=",
        0x4 => "|=",
        0x5 => "&=",
        0x6 => "<<=",
        0x7 => ">>=",
        0x8 => return write!(f, "{d} = -{d}"),
        0x9 => "%=",
        0xa => "^=",
        0xb if register && i.off != 0 => return write!(f, "{d} = (s{}){s}", i.off),
        0xb => "=",
        0xc => "s>>=",
        0xd => {
            let name = match (wide, register) {
                (true, _) => "bswap",
                (false, false) => "le",
                (false, true) => "be",
            };
            return write!(f, "r{} = {name}{} r{}", i.dst(), i.imm, i.dst());
        }
        _ => return write!(f, "<unknown {:#04x}>", i.op),
    };
    let sign = if matches!(i.op >> 4, 3 | 9) { sign } else { "" };
    if register {
        write!(f, "{d} {sign}{operation} {s}")
    } else {
        write!(f, "{d} {sign}{operation} {}", Hex(i.imm as i64))
    }
}

fn jump(f: &mut fmt::Formatter<'_>, i: Insn, wide: bool) -> fmt::Result {
    let comparison = match i.op >> 4 {
        0x0 if wide => return write!(f, "goto {}", Goto(i.off as i64)),
        0x0 => return write!(f, "gotol {}", Goto(i.imm as i64)),
        0x1 => "==",
        0x2 => ">",
        0x3 => ">=",
        0x4 => "&",
        0x5 => "!=",
        0x6 => "s>",
        0x7 => "s>=",
        0x8 if i.op == opcode::CALLX => return write!(f, "callx r{}", i.dst()),
        0x8 if i.src() == pseudo::LOCAL_CALL => return write!(f, "call {}", Goto(i.imm as i64)),
        0x8 => {
            return match proto::find(i.imm as u32) {
                Some(p) => write!(f, "call {:#x} <bpf_{}>", i.imm, p.name),
                None => write!(f, "call {:#x}", i.imm),
            };
        }
        0x9 => return write!(f, "exit"),
        0xa => "<",
        0xb => "<=",
        0xc => "s<",
        0xd => "s<=",
        _ => return write!(f, "<unknown {:#04x}>", i.op),
    };
    let (d, s) = (R(i.dst(), wide), R(i.src(), wide));
    if i.op & 8 != 0 {
        write!(f, "if {d} {comparison} {s} goto {}", Goto(i.off as i64))
    } else {
        write!(f, "if {d} {comparison} {} goto {}", Hex(i.imm as i64), Goto(i.off as i64))
    }
}

fn atomic(f: &mut fmt::Formatter<'_>, i: Insn, wide: bool) -> fmt::Result {
    let (size, a, s) = (if wide { "u64" } else { "u32" }, Address(i.dst(), i.off), R(i.src(), wide));
    let (name, sign) = match i.imm & !1 {
        0x00 => ("add", "+="),
        0x40 => ("or", "|="),
        0x50 => ("and", "&="),
        0xa0 => ("xor", "^="),
        0xe0 => return write!(f, "{s} = xchg_64({a}, {s})"),
        0xf0 => return write!(f, "r0 = cmpxchg_64({a}, r0, {s})"),
        _ => return write!(f, "<unknown atomic {:#x}>", i.imm),
    };
    if i.imm & 1 != 0 {
        write!(f, "{s} = atomic_fetch_{name}(({size} *)({a}), {s})")
    } else {
        write!(f, "lock *({size} *)({a}) {sign} {s}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    fn text(op: u8, dst: u8, src: u8, off: i16, imm: i32) -> alloc::string::String {
        Disasm { insn: Insn::new(op, dst, src, off, imm), next: None }.to_string()
    }

    #[test]
    fn prints_as_llvm_does() {
        assert_eq!(text(0xb7, 0, 0, 0, 1), "r0 = 0x1");
        assert_eq!(text(0xbc, 1, 2, 0, 0), "w1 = w2");
        assert_eq!(text(0x61, 1, 1, 16, 0), "w1 = *(u32 *)(r1 + 0x10)");
        assert_eq!(text(0x7b, 10, 3, -8, 0), "*(u64 *)(r10 - 0x8) = r3");
        assert_eq!(text(0xa6, 2, 0, 3, 901), "if w2 < 0x385 goto +0x3");
        assert_eq!(text(0xc5, 2, 0, -3, -1), "if r2 s< -0x1 goto -0x3");
        assert_eq!(text(0x85, 0, 0, 0, 131), "call 0x83 <bpf_ringbuf_reserve>");
        assert_eq!(text(0x3f, 1, 2, 1, 0), "r1 s/= r2");
        assert_eq!(text(0xdb, 1, 2, 0, 1), "r2 = atomic_fetch_add((u64 *)(r1 + 0x0), r2)");
        assert_eq!(text(0x95, 0, 0, 0, 0), "exit");
    }
}
