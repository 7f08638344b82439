//! The instructions that programs mostly consist of, by a table: a lookup, the registers' numbers, at most eight bytes.
//!
//! Each becomes what the general emission makes of it, byte by byte; a test holds the one against the other. Whatever has a second form (a
//! pair that may be fused, a number that is a special case, a loop to be aligned) is left to it, and so are what is refused and all
//! programs whose constants are blinded.

use super::asm::Cond;
use super::emit::{Emitter, REGS};
use crate::Insn;
use crate::program::LOOP;
use axiom_bpf_isa::alu::*;
use axiom_bpf_isa::jump::*;
use axiom_bpf_isa::opcode::*;

/// How an instruction is put together. `more` of the rule is /n, the condition, or the first byte of two.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Not here.
    Other,
    /// `op d, s`.
    Register,
    /// `imul d, s`.
    Multiply,
    /// `mov d, s`.
    Copy,
    /// `op d, imm`.
    Immediate,
    /// `and d, imm`.
    Mask,
    /// `imul d, d, imm`, or an address that is a multiple.
    Times,
    /// A shift by a constant.
    Shift,
    /// `mov d, imm`.
    Constant,
    /// A load.
    Load,
    /// A store of a register.
    Store,
    /// `cmp d, s`, and a jump.
    Compare,
    /// `cmp d, imm` (`test` for zero), and a jump.
    CompareConstant,
}

/// What is known of an opcode.
#[derive(Clone, Copy)]
struct Rule {
    form: Form,
    more: u8,
    opcode: u8,
    /// 8 in the REX prefix for operands of 64 bits.
    wide: u8,
}

const OTHER: Rule = Rule { form: Form::Other, more: 0, opcode: 0, wide: 0 };

const fn rule(op: u8) -> Rule {
    let (operation, register) = (op & OPERATION, op & REGISTER != 0);
    let (form, more, opcode, wide) = match op & 7 {
        CLASS_ALU | CLASS_ALU64 => {
            let (form, more, opcode) = match (operation, register) {
                (ADD, true) => (Form::Register, 0, 0x01),
                (SUB, true) => (Form::Register, 0, 0x29),
                (OR, true) => (Form::Register, 0, 0x09),
                (AND, true) => (Form::Register, 0, 0x21),
                (XOR, true) => (Form::Register, 0, 0x31),
                (MUL, true) => (Form::Multiply, 0, 0xaf),
                (MOV, true) => (Form::Copy, 0, 0x89),
                (ADD, false) => (Form::Immediate, 0, 0),
                (SUB, false) => (Form::Immediate, 5, 0),
                (OR, false) => (Form::Immediate, 1, 0),
                (XOR, false) => (Form::Immediate, 6, 0),
                (AND, false) => (Form::Mask, 4, 0),
                (MUL, false) => (Form::Times, 0, 0),
                (LSH, false) => (Form::Shift, 4, 0),
                (RSH, false) => (Form::Shift, 5, 0),
                (ARSH, false) => (Form::Shift, 7, 0),
                (MOV, false) => (Form::Constant, 0, 0),
                _ => (Form::Other, 0, 0),
            };
            (form, more, opcode, if op & 7 == CLASS_ALU64 { 8 } else { 0 })
        }
        CLASS_LDX => match op {
            LDXW => (Form::Load, 0, 0x8b, 0),
            LDXDW => (Form::Load, 0, 0x8b, 8),
            LDXH => (Form::Load, 0x0f, 0xb7, 0),
            LDXB => (Form::Load, 0x0f, 0xb6, 0),
            LDXSW => (Form::Load, 0, 0x63, 8),
            LDXSH => (Form::Load, 0x0f, 0xbf, 8),
            LDXSB => (Form::Load, 0x0f, 0xbe, 8),
            _ => return OTHER,
        },
        CLASS_STX => match op {
            STXW => (Form::Store, 0, 0x89, 0),
            STXDW => (Form::Store, 0, 0x89, 8),
            STXH => (Form::Store, 0x66, 0x89, 0),
            STXB => (Form::Store, 0, 0x88, 0),
            _ => return OTHER,
        },
        CLASS_JMP | CLASS_JMP32 => {
            let cond = match operation {
                JEQ => Cond::Equal,
                JGT => Cond::Above,
                JGE => Cond::AboveEqual,
                JNE => Cond::NotEqual,
                JSGT => Cond::Greater,
                JSGE => Cond::GreaterEqual,
                JLT => Cond::Below,
                JLE => Cond::BelowEqual,
                JSLT => Cond::Less,
                JSLE => Cond::LessEqual,
                _ => return OTHER,
            };
            let form = if register { Form::Compare } else { Form::CompareConstant };
            (form, cond as u8, 0, if op & 7 == CLASS_JMP { 8 } else { 0 })
        }
        _ => return OTHER,
    };
    Rule { form, more, opcode, wide }
}

static RULES: [Rule; 256] = {
    let mut rules = [OTHER; 256];
    let mut op = 0;
    while op < 256 {
        rules[op] = rule(op as u8);
        op += 1;
    }
    rules
};

/// In the numbers of registers: there is none.
const NONE: u8 = 0x20;

/// The machine's registers by number; r10 has one, too.
const NUMBERS: [u8; 16] = {
    let mut numbers = [NONE; 16];
    let mut r = 0;
    while r < REGS.len() {
        numbers[r] = REGS[r].0;
        r += 1;
    }
    numbers
};

/// Condition codes by number.
const CONDITIONS: [Cond; 16] = {
    let mut all = [Cond::Equal; 16];
    let named = [
        Cond::Below,
        Cond::AboveEqual,
        Cond::Equal,
        Cond::NotEqual,
        Cond::BelowEqual,
        Cond::Above,
        Cond::Less,
        Cond::GreaterEqual,
        Cond::LessEqual,
        Cond::Greater,
    ];
    let mut n = 0;
    while n < named.len() {
        all[named[n] as usize] = named[n];
        n += 1;
    }
    all
};

impl Emitter<'_, '_> {
    /// Emits instructions from `at` on; returns the first that is not done here, or `end`.
    pub(super) fn by_table(&mut self, mut at: usize, end: usize, program: &[Insn]) -> usize {
        if self.features.blind.is_some() {
            return at;
        }
        let function = &program[..end];
        while let Some(&insn) = function.get(at) {
            let rule = RULES[usize::from(insn.op)];
            let (dst, src) = (insn.dst(), insn.src());
            let (d, s) = (NUMBERS[usize::from(dst)], NUMBERS[usize::from(src)]);
            // r10 is never written; loops are aligned.
            if (d | s) & NONE != 0 || self.walk.offsets[at] & LOOP != 0 {
                return at;
            }
            let start = self.asm.len() as u32;
            let pair = || function.get(at + 1).is_some_and(|next| next.dst() == dst);
            let written = dst < 10;
            let wide = rule.wide;
            match rule.form {
                Form::Register if written && (insn.op != ADD64X || !pair()) => {
                    self.two(wide, 0, rule.opcode, s, d);
                }
                Form::Multiply if written => self.two(wide, 0x0f, rule.opcode, d, s),
                Form::Copy if written && insn.off == 0 && (wide == 0 || d != s && !pair()) => {
                    self.two(wide, 0, rule.opcode, s, d);
                }
                Form::Immediate if written && (insn.op != ADD64K || !pair()) => {
                    self.immediate(wide, rule.more, d, insn.imm);
                }
                Form::Mask if written && insn.imm != 0xff && insn.imm != 0xffff => {
                    let wide = if insn.imm >= 0 { 0 } else { wide };
                    self.immediate(wide, rule.more, d, insn.imm);
                }
                Form::Times if written && (insn.imm < 2 || insn.imm & (insn.imm - 1) != 0) => {
                    match insn.imm {
                        // A base of this number needs a distance.
                        3 | 5 | 9 if d & 7 == 5 => return at,
                        // d + d << 1, 2 or 3.
                        3 | 5 | 9 => {
                            let high = d >> 3;
                            let (modrm, sib) = ((d & 7) << 3 | 4, (insn.imm as u8 >> 1).ilog2() as u8 + 1);
                            let sib = sib << 6 | (d & 7) << 3 | d & 7;
                            let word = 0x8d | u64::from(modrm) << 8 | u64::from(sib) << 16;
                            self.rex(wide | high << 2 | high << 1 | high, word, 3);
                        }
                        imm => {
                            let (opcode, n) = if i8::try_from(imm).is_ok() { (0x6b, 1) } else { (0x69, 4) };
                            let (high, modrm) = (d >> 3, 0xc0 | (d & 7) << 3 | d & 7);
                            let word = opcode | u64::from(modrm) << 8 | u64::from(imm as u32) << 16;
                            self.rex(wide | high << 2 | high, word, 2 + n);
                        }
                    }
                }
                Form::Shift if written && (insn.op != LSH64K || !pair()) => {
                    let by = insn.imm as u8 & if wide != 0 { 63 } else { 31 };
                    if by == 0 {
                        return at;
                    }
                    let modrm = 0xc0 | rule.more << 3 | d & 7;
                    self.rex(wide | d >> 3, 0xc1 | u64::from(modrm) << 8 | u64::from(by) << 16, 3);
                }
                Form::Constant if written => {
                    let (imm, low, high) = (u64::from(insn.imm as u32), u64::from(d & 7), d >> 3);
                    if insn.imm == 0 {
                        self.two(0, 0, 0x31, d, d);
                    } else if insn.imm > 0 || wide == 0 {
                        self.rex(high, 0xb8 | low | imm << 8, 5);
                    } else {
                        self.rex(8 | high, 0xc7 | (0xc0 | low) << 8 | imm << 16, 6);
                    }
                }
                Form::Load if written => {
                    self.place(wide, rule.more, rule.opcode, d, s, insn.off, false);
                }
                Form::Store => {
                    self.place(wide, rule.more, rule.opcode, s, d, insn.off, rule.opcode == 0x88);
                }
                Form::Compare => {
                    self.two(wide, 0, 0x39, s, d);
                    self.jump_on(rule.more, at, insn.off, program);
                }
                Form::CompareConstant => {
                    match insn.imm {
                        0 => self.two(wide, 0, 0x85, d, d),
                        imm => self.immediate(wide, 7, d, imm),
                    }
                    self.jump_on(rule.more, at, insn.off, program);
                }
                _ => return at,
            }
            self.walk.offsets[at] = start;
            at += 1;
        }
        at
    }

    /// A REX prefix where one is needed, then `n` bytes.
    #[inline(always)]
    fn rex(&mut self, rex: u8, word: u64, n: usize) {
        match rex {
            0 => self.asm.put(word, n),
            _ => self.asm.put(word << 8 | u64::from(0x40 | rex), n + 1),
        }
    }

    /// An opcode of one byte, or of two with the first, and two registers.
    #[inline(always)]
    fn two(&mut self, wide: u8, first: u8, opcode: u8, reg: u8, rm: u8) {
        let modrm = 0xc0 | (reg & 7) << 3 | rm & 7;
        let (word, n) = match first {
            0 => (u64::from(opcode) | u64::from(modrm) << 8, 2),
            _ => (u64::from(first) | u64::from(opcode) << 8 | u64::from(modrm) << 16, 3),
        };
        self.rex(wide | reg >> 3 << 2 | rm >> 3, word, n);
    }

    /// One of the operations that share their opcodes, with a constant.
    #[inline(always)]
    fn immediate(&mut self, wide: u8, operation: u8, d: u8, imm: i32) {
        let (opcode, n) = if i8::try_from(imm).is_ok() { (0x83, 3) } else { (0x81, 6) };
        let modrm = 0xc0 | operation << 3 | d & 7;
        self.rex(wide | d >> 3, opcode | u64::from(modrm) << 8 | u64::from(imm as u32) << 16, n);
    }

    /// A load or store at an offset from a register. `first`: 66 before everything, or 0F before the opcode. `byte`: a register's lowest
    /// eight bits, which of four registers need a prefix.
    #[inline(always)]
    #[allow(clippy::too_many_arguments)]
    fn place(&mut self, wide: u8, first: u8, opcode: u8, reg: u8, base: u8, off: i16, byte: bool) {
        let rex = wide | reg >> 3 << 2 | base >> 3;
        let rex = if rex != 0 || byte && (4..8).contains(&reg) { 0x40 | rex } else { 0 };
        let (mode, length) = match off {
            0 if base & 7 != 5 => (0, 0),
            -128..=127 => (0x40, 1),
            _ => (0x80, 4),
        };
        let modrm = mode | (reg & 7) << 3 | base & 7;
        let mut word = u64::from(modrm) | u64::from(i32::from(off) as u32) << 8;
        let mut n = 1 + length;
        word = word << 8 | u64::from(opcode);
        n += 1;
        if first == 0x0f {
            word = word << 8 | 0x0f;
            n += 1;
        }
        if rex != 0 {
            word = word << 8 | u64::from(rex);
            n += 1;
        }
        if first == 0x66 {
            word = word << 8 | 0x66;
            n += 1;
        }
        self.asm.put(word, n);
    }

    #[inline(always)]
    fn jump_on(&mut self, condition: u8, at: usize, off: i16, program: &[Insn]) {
        // `scan` has checked it.
        let target = (at as i64 + 1 + i64::from(off)) as usize;
        self.branch(Some(CONDITIONS[usize::from(condition & 15)]), at, target, program);
    }
}
