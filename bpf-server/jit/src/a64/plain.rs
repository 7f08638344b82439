//! The instructions that programs mostly consist of, by a table: a lookup, the registers' numbers, one word or two.
//!
//! Each becomes what [`Emitter::insn`] makes of it, word by word; the test below holds the one against the other. Whatever has a
//! second form (an immediate without room in the instruction, a pair that is fused, the frame's address in a register, a call) is
//! left to it, and so is everything that is refused.

use super::asm::{SP, ZR};
use super::emit::{Emitter, TMP};
use crate::Insn;
use crate::program::{Fixup, Kind, fix};
use alloc::vec::Vec;

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
    let (operation, register) = (op & 0xf0, op & 8 != 0);
    let (form, more, word) = match op & 7 {
        4 | 7 => {
            let wide = op & 7 == 7;
            let sf = if wide { SF } else { 0 };
            let bitfield = if wide { SF | N } else { 0 };
            let (form, word) = match (operation, register) {
                (0x00, true) => (Form::Register, 0x0b00_0000 | sf),
                (0x10, true) => (Form::Register, 0x4b00_0000 | sf),
                (0x20, true) => (Form::Register, 0x1b00_7c00 | sf),
                (0x30, true) => (Form::Register, 0x1ac0_0800 | sf),
                (0x40, true) => (Form::Register, 0x2a00_0000 | sf),
                (0x50, true) => (Form::Register, 0x0a00_0000 | sf),
                (0x60, true) => (Form::Register, 0x1ac0_2000 | sf),
                (0x70, true) => (Form::Register, 0x1ac0_2400 | sf),
                (0xa0, true) => (Form::Register, 0x4a00_0000 | sf),
                (0xc0, true) => (Form::Register, 0x1ac0_2800 | sf),
                (0xb0, true) => (Form::Copy, 0x2a00_03e0 | sf),
                (0x00, false) => (Form::Add, 0x1100_0000 | sf),
                (0x10, false) => (Form::Subtract, 0x1100_0000 | sf),
                (0x20, false) => (Form::Multiply, 0x1b00_7c00 | sf),
                (0x40, false) => (Form::Mask, 0x3200_0000 | bitfield),
                (0x50, false) => (Form::Mask, 0x1200_0000 | bitfield),
                (0xa0, false) => (Form::Mask, 0x5200_0000 | bitfield),
                (0x60, false) => (Form::Left, 0x5300_0000 | bitfield),
                (0x70, false) => (Form::Right, 0x5300_0000 | bitfield),
                (0xc0, false) => (Form::Right, 0x1300_0000 | bitfield),
                (0xb0, false) => (Form::Constant, sf),
                _ => (Form::Other, 0),
            };
            (form, 0, word)
        }
        1 => match op {
            0x71 => (Form::Load, 0, 1 << 22),
            0x69 => (Form::Load, 1, 1 << 30 | 1 << 22),
            0x61 => (Form::Load, 2, 2 << 30 | 1 << 22),
            0x79 => (Form::Load, 3, 3 << 30 | 1 << 22),
            0x91 => (Form::Load, 0, 2 << 22),
            0x89 => (Form::Load, 1, 1 << 30 | 2 << 22),
            0x81 => (Form::Load, 2, 2 << 30 | 2 << 22),
            _ => (Form::Other, 0, 0),
        },
        2 | 3 => {
            let form = if op & 7 == 3 { Form::Store } else { Form::Clear };
            match op & 0xf8 {
                0x70 => (form, 0, 0),
                0x68 => (form, 1, 1 << 30),
                0x60 => (form, 2, 2 << 30),
                0x78 => (form, 3, 3 << 30),
                _ => (Form::Other, 0, 0),
            }
        }
        5 | 6 => {
            let sf = if op & 7 == 5 { SF } else { 0 };
            let cond = match operation {
                0x10 => 0,
                0x20 => 8,
                0x30 => 2,
                0x50 => 1,
                0x60 => 12,
                0x70 => 10,
                0xa0 => 3,
                0xb0 => 9,
                0xc0 => 11,
                0xd0 => 13,
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
    pub(super) fn plain(&mut self, mut at: usize, end: usize, program: &[Insn]) -> usize {
        let (regs, frame) = (self.regs, self.frame);
        let mut branches =
            Branches { offsets: self.offsets, fixups: self.fixups, no_memory: &mut self.no_memory };
        let asm = &mut self.asm;
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
            branches.offsets[at] = at_word;
            let word = match rule.form {
                Form::Register if registers && insn.off == 0 => rule.word | s << 16 | d << 5 | d,
                Form::Copy if registers && insn.off == 0 => {
                    if rule.word & SF != 0 {
                        let pair = |next: &Insn| next.op == 0x07 && next.dst() == dst;
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
                    0x5400_0000 | branches.to(at, insn.off, at_word + 1) | u32::from(rule.more)
                }
                Form::CompareConstant if registers => {
                    let imm = insn.imm as u32;
                    if imm == 0 && rule.more < 2 {
                        let distance = branches.to(at, insn.off, at_word);
                        0x3400_0000 | rule.word | u32::from(rule.more) << 24 | distance | d
                    } else if imm.wrapping_sub(1) < (1 << 12) - 1 {
                        asm.put(0x7100_001f | rule.word | imm << 10 | d << 5);
                        0x5400_0000 | branches.to(at, insn.off, at_word + 1) | u32::from(rule.more)
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

struct Branches<'a> {
    offsets: &'a mut [u32],
    fixups: &'a mut Vec<Fixup>,
    no_memory: &'a mut bool,
}

impl Branches<'_> {
    /// The distance of a conditional branch at `word`, in its place in the instruction: zero and a fix-up, if it leads on.
    #[inline(always)]
    fn to(&mut self, at: usize, off: i16, word: u32) -> u32 {
        // `scan` has checked it.
        let target = (at as i64 + 1 + i64::from(off)) as usize;
        if target <= at {
            return (self.offsets[target].wrapping_sub(word) & 0x7ffff) << 5;
        }
        fix(self.fixups, self.no_memory, Fixup { word, target: target as u32, kind: Kind::Jump });
        0
    }
}
