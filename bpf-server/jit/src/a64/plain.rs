//! The instructions that programs mostly consist of, by a table: a lookup, the registers' numbers, one word or two.
//!
//! Each becomes what the general emission makes of it, word by word; the test below holds the one against the other. Whatever has a
//! second form (an immediate without room in the instruction, a pair that is fused, the frame's address in a register, a call) is
//! left to it, and so is everything that is refused.

use super::asm::{SP, ZR};
use super::emit::{Emitter, TMP};
use crate::Insn;
use crate::program::{Fixup, Kind};
use crate::walk::Walk;
use axiom_bpf_isa::alu::*;
use axiom_bpf_isa::jump::*;
use axiom_bpf_isa::opcode::*;

/// In the numbers of registers: there is none.
pub(super) const NONE: u8 = 0x20;

/// How an instruction is put together.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Not here.
    Other,
    /// `op d, d, s`.
    Register,
    /// `mov d, s`: the first half of a pair, maybe.
    Copy,
    /// `add d, d, #imm`, or `sub` where it is negative.
    Add,
    /// The same with the sign the other way round.
    Subtract,
    /// A mask of low bits.
    Mask,
    /// A small number into a scratch register, then `mul`.
    Multiply,
    /// `lsl`; by 32 it may be half of an extension.
    Left,
    /// `lsr` or `asr`.
    Right,
    /// `mov d, #imm`.
    Constant,
    /// A load.
    Load,
    /// A store of a register.
    Store,
    /// A store of zero.
    Clear,
    /// `cmp` and `b.cond`.
    Compare,
    /// The same with a small number, or `cbz`.
    CompareConstant,
}

/// What is known of an opcode: its form and the word without registers. `more`: the condition of a jump; what a register's access is
/// scaled by.
#[derive(Clone, Copy)]
struct Rule {
    form: Form,
    more: u8,
    word: u32,
}

const SF: u32 = 1 << 31;
const N: u32 = 1 << 22;

const fn rule(op: u8) -> Rule {
    let (operation, register) = (op & OPERATION, op & REGISTER != 0);
    let (form, more, word) = match op & 7 {
        CLASS_ALU | CLASS_ALU64 => {
            let wide = op & 7 == CLASS_ALU64;
            let sf = if wide { SF } else { 0 };
            let bitfield = if wide { SF | N } else { 0 };
            let (form, word) = match (operation, register) {
                (ADD, true) => (Form::Register, 0x0b00_0000 | sf),
                (SUB, true) => (Form::Register, 0x4b00_0000 | sf),
                (MUL, true) => (Form::Register, 0x1b00_7c00 | sf),
                (DIV, true) => (Form::Register, 0x1ac0_0800 | sf),
                (OR, true) => (Form::Register, 0x2a00_0000 | sf),
                (AND, true) => (Form::Register, 0x0a00_0000 | sf),
                (LSH, true) => (Form::Register, 0x1ac0_2000 | sf),
                (RSH, true) => (Form::Register, 0x1ac0_2400 | sf),
                (XOR, true) => (Form::Register, 0x4a00_0000 | sf),
                (ARSH, true) => (Form::Register, 0x1ac0_2800 | sf),
                (MOV, true) => (Form::Copy, 0x2a00_03e0 | sf),
                (ADD, false) => (Form::Add, 0x1100_0000 | sf),
                (SUB, false) => (Form::Subtract, 0x1100_0000 | sf),
                (MUL, false) => (Form::Multiply, 0x1b00_7c00 | sf),
                (OR, false) => (Form::Mask, 0x3200_0000 | bitfield),
                (AND, false) => (Form::Mask, 0x1200_0000 | bitfield),
                (XOR, false) => (Form::Mask, 0x5200_0000 | bitfield),
                (LSH, false) => (Form::Left, 0x5300_0000 | bitfield),
                (RSH, false) => (Form::Right, 0x5300_0000 | bitfield),
                (ARSH, false) => (Form::Right, 0x1300_0000 | bitfield),
                (MOV, false) => (Form::Constant, sf),
                _ => (Form::Other, 0),
            };
            (form, 0, word)
        }
        CLASS_LDX => match op {
            LDXB => (Form::Load, 0, 1 << 22),
            LDXH => (Form::Load, 1, 1 << 30 | 1 << 22),
            LDXW => (Form::Load, 2, 2 << 30 | 1 << 22),
            LDXDW => (Form::Load, 3, 3 << 30 | 1 << 22),
            LDXSB => (Form::Load, 0, 2 << 22),
            LDXSH => (Form::Load, 1, 1 << 30 | 2 << 22),
            LDXSW => (Form::Load, 2, 2 << 30 | 2 << 22),
            _ => (Form::Other, 0, 0),
        },
        CLASS_ST | CLASS_STX => {
            let form = if op & 7 == CLASS_STX { Form::Store } else { Form::Clear };
            match op | 1 {
                STXB => (form, 0, 0),
                STXH => (form, 1, 1 << 30),
                STXW => (form, 2, 2 << 30),
                STXDW => (form, 3, 3 << 30),
                _ => (Form::Other, 0, 0),
            }
        }
        CLASS_JMP | CLASS_JMP32 => {
            let sf = if op & 7 == CLASS_JMP { SF } else { 0 };
            let cond = match operation {
                JEQ => 0,
                JGT => 8,
                JGE => 2,
                JNE => 1,
                JSGT => 12,
                JSGE => 10,
                JLT => 3,
                JLE => 9,
                JSLT => 11,
                JSLE => 13,
                _ => return Rule { form: Form::Other, more: 0, word: 0 },
            };
            let form = if register { Form::Compare } else { Form::CompareConstant };
            (form, cond, sf)
        }
        _ => (Form::Other, 0, 0),
    };
    Rule { form, more, word }
}

static RULES: [Rule; 256] = {
    let mut rules = [Rule { form: Form::Other, more: 0, word: 0 }; 256];
    let mut op = 0;
    while op < 256 {
        rules[op] = rule(op as u8);
        op += 1;
    }
    rules
};

impl Emitter<'_, '_> {
    /// Emits instructions from `at` on; returns the first that is not done here, or `end`.
    pub(super) fn by_table(&mut self, mut at: usize, end: usize, program: &[Insn]) -> usize {
        if self.features.blind.is_some() {
            return at;
        }
        let (regs, frame) = (self.regs, self.frame);
        let (walk, asm) = (&mut self.walk, &mut self.asm);
        let program = &program[..end];
        while let Some(&insn) = program.get(at) {
            let rule = RULES[usize::from(insn.op)];
            let (dst, src) = (insn.dst(), insn.src());
            let (d, s) = (regs[usize::from(dst)], regs[usize::from(src)]);
            // Loads and stores may have the frame as their base; else each number is one of a register.
            let registers = (d | s) & NONE == 0;
            let (d, s) = (u32::from(d), u32::from(s));
            let at_word = asm.words() as u32;
            // A jump may lead back to itself.
            walk.offsets[at] = at_word;
            let word = match rule.form {
                Form::Register if registers && insn.off == 0 => rule.word | s << 16 | d << 5 | d,
                Form::Copy if registers && insn.off == 0 => {
                    if rule.word & SF != 0 {
                        let pair = |next: &Insn| next.op == ADD64K && next.dst() == dst;
                        if d == s || program.get(at + 1).is_some_and(pair) {
                            return at;
                        }
                    }
                    rule.word | s << 16 | d
                }
                Form::Add | Form::Subtract if registers => {
                    let sum = if rule.form == Form::Add { insn.imm } else { insn.imm.wrapping_neg() };
                    let size = sum.unsigned_abs();
                    if size.wrapping_sub(1) >= (1 << 12) - 1 {
                        return at;
                    }
                    // The sign is the bit that makes a subtraction of it.
                    rule.word | (sum as u32 >> 31) << 30 | size << 10 | d << 5 | d
                }
                Form::Mask if registers => {
                    let mask = insn.imm;
                    if mask <= 0 || mask & mask.wrapping_add(1) != 0 {
                        return at;
                    }
                    // A run of ones from bit 0: its length less one.
                    rule.word | (31 - mask.leading_zeros()) << 10 | d << 5 | d
                }
                Form::Multiply if registers => {
                    let m = insn.imm as u32;
                    if m >= 1 << 16 || m & m.wrapping_sub(1) == 0 {
                        return at;
                    }
                    let tmp = u32::from(TMP.0);
                    asm.put(0x5280_0000 | m << 5 | tmp);
                    rule.word | tmp << 16 | d << 5 | d
                }
                Form::Left if registers => {
                    let most = most_of(rule);
                    let by = insn.imm as u32 & most;
                    if by == 32 {
                        return at;
                    }
                    rule.word | (by.wrapping_neg() & most) << 16 | (most - by) << 10 | d << 5 | d
                }
                Form::Right if registers => {
                    let most = most_of(rule);
                    rule.word | (insn.imm as u32 & most) << 16 | most << 10 | d << 5 | d
                }
                Form::Constant if registers => {
                    let imm = insn.imm as u32;
                    if imm < 1 << 16 {
                        0x5280_0000 | imm << 5 | d
                    } else if !imm < 1 << 16 && rule.word & SF != 0 {
                        0x9280_0000 | !imm << 5 | d
                    } else {
                        return at;
                    }
                }
                Form::Load if registers || src == 10 && dst < 10 => {
                    match place(rule, frame, src, s, insn.off) {
                        Some(word) => word | d,
                        None => return at,
                    }
                }
                Form::Store if registers || dst == 10 && src < 10 => {
                    match place(rule, frame, dst, d, insn.off) {
                        Some(word) => word | s,
                        None => return at,
                    }
                }
                Form::Clear if insn.imm == 0 && dst < 11 && src < 11 => {
                    match place(rule, frame, dst, d, insn.off) {
                        Some(word) => word | u32::from(ZR.0),
                        None => return at,
                    }
                }
                Form::Compare if registers => {
                    asm.put(0x6b00_001f | rule.word | s << 16 | d << 5);
                    0x5400_0000 | to(walk, at, insn.off, at_word + 1) | u32::from(rule.more)
                }
                Form::CompareConstant if registers => {
                    let imm = insn.imm as u32;
                    if imm == 0 && rule.more < 2 {
                        let distance = to(walk, at, insn.off, at_word);
                        0x3400_0000 | rule.word | u32::from(rule.more) << 24 | distance | d
                    } else if imm.wrapping_sub(1) < (1 << 12) - 1 {
                        asm.put(0x7100_001f | rule.word | imm << 10 | d << 5);
                        0x5400_0000 | to(walk, at, insn.off, at_word + 1) | u32::from(rule.more)
                    } else {
                        return at;
                    }
                }
                _ => return at,
            };
            asm.put(word);
            at += 1;
        }
        at
    }
}

/// The width of an operation less one.
fn most_of(rule: Rule) -> u32 {
    if rule.word & SF != 0 { 63 } else { 31 }
}

/// A load or store without its register: at an offset from a register or the frame, where the instruction has room for it.
#[inline(always)]
fn place(rule: Rule, frame: i32, base: u8, n: u32, off: i16) -> Option<u32> {
    let (n, offset) =
        if base == 10 { (u32::from(SP.0), i32::from(off) + frame) } else { (n, i32::from(off)) };
    let scaled = offset >> rule.more;
    if scaled << rule.more == offset && (0..4096).contains(&scaled) {
        Some(0x3900_0000 | rule.word | (scaled as u32) << 10 | n << 5)
    } else if (-256..256).contains(&offset) {
        Some(0x3800_0000 | rule.word | (offset as u32 & 0x1ff) << 12 | n << 5)
    } else {
        None
    }
}

/// The distance of a conditional branch at `here`, in its place in the instruction: zero and a fix-up, if it leads on.
#[inline(always)]
fn to(walk: &mut Walk, at: usize, off: i16, here: u32) -> u32 {
    // `scan` has checked it.
    let target = (at as i64 + 1 + i64::from(off)) as usize;
    if target <= at {
        return (walk.offsets[target].wrapping_sub(here) & 0x7ffff) << 5;
    }
    walk.fix(Fixup { at: here, target: target as u32, kind: Kind::Jump });
    0
}
