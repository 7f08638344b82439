//! Arithmetic, but division.

use super::asm::{Op, Reg, Rm, Shift, Size, Width};
use super::emit::{Emitter, REGS, TMP};
use crate::Insn;
use axiom_bpf_isa::alu::*;

impl Emitter<'_, '_> {
    /// Arithmetic. `program` begins with the instruction and holds what may be fused with it; returns how many slots were emitted, `None` for
    /// an opcode that there is not.
    pub fn arithmetic(&mut self, w: Width, program: &[Insn]) -> Option<usize> {
        let insn = *program.first()?;
        if insn.dst() > 9 || insn.src() > 10 {
            return None;
        }
        if w == Width::X64
            && let Some(used) = self.fuse(program)
        {
            return Some(used);
        }
        let d = REGS[insn.dst() as usize];
        let operation = insn.operation();
        let immediate = !insn.has_register();
        match operation {
            END => return self.swap(insn, w, d, immediate).map(|()| 1),
            NEG => {
                self.asm.neg(w, d);
                return Some(1);
            }
            LSH | RSH | ARSH if immediate => {
                let shift = shift_of(operation)?;
                match insn.imm as u32 & (w.bits() - 1) {
                    // Nothing, but for the upper half.
                    0 if w == Width::W32 => self.asm.mov(w, d, d),
                    0 => {}
                    by => self.asm.shift_imm(shift, w, d, by),
                }
                return Some(1);
            }
            MOV if immediate => {
                let value = if w == Width::X64 { insn.imm as i64 as u64 } else { insn.imm as u32 as u64 };
                self.split(d, value);
                return Some(1);
            }
            _ => {}
        }
        let s = if immediate { self.blinded(insn.imm) } else { Some(REGS[insn.src() as usize]) };
        match s {
            Some(s) => self.alu_reg(insn, w, d, s, operation)?,
            None => self.alu_imm(insn, w, d, operation)?,
        }
        Some(1)
    }

    fn alu_reg(&mut self, insn: Insn, w: Width, d: Reg, s: Reg, operation: u8) -> Option<()> {
        let a = &mut self.asm;
        match operation {
            ADD => a.rr(Op::Add, w, d, s),
            SUB => a.rr(Op::Sub, w, d, s),
            MUL => a.imul(w, d, s),
            OR => a.rr(Op::Or, w, d, s),
            AND => a.rr(Op::And, w, d, s),
            XOR => a.rr(Op::Xor, w, d, s),
            DIV | MOD => self.divide(insn, w, d, s, operation == MOD)?,
            LSH | RSH | ARSH => self.shift(shift_of(operation)?, w, d, s),
            MOV => match (insn.off, w) {
                (0, Width::W32) => a.mov(w, d, s),
                (0, Width::X64) if d == s => {}
                (0, Width::X64) => a.mov(w, d, s),
                (8, _) => a.load_signed(w, Size::B1, d, Rm::Reg(s)),
                (16, _) => a.load_signed(w, Size::B2, d, Rm::Reg(s)),
                (32, Width::X64) => a.load_signed(w, Size::B4, d, Rm::Reg(s)),
                _ => return None,
            },
            _ => return None,
        }
        Some(())
    }

    fn alu_imm(&mut self, insn: Insn, w: Width, d: Reg, operation: u8) -> Option<()> {
        let imm = insn.imm;
        let a = &mut self.asm;
        match operation {
            ADD => a.ri(Op::Add, w, d, imm),
            SUB => a.ri(Op::Sub, w, d, imm),
            OR => a.ri(Op::Or, w, d, imm),
            XOR => a.ri(Op::Xor, w, d, imm),
            AND => match imm {
                0xff => a.load(Size::B1, d, Rm::Reg(d)),
                0xffff => a.load(Size::B2, d, Rm::Reg(d)),
                // The sign does not reach the upper half: it becomes zero.
                0.. => a.ri(Op::And, Width::W32, d, imm),
                _ => a.ri(Op::And, w, d, imm),
            },
            MUL => match imm {
                3 => a.lea(w, d, Rm::Index(d, d, 1, 0)),
                5 => a.lea(w, d, Rm::Index(d, d, 2, 0)),
                9 => a.lea(w, d, Rm::Index(d, d, 3, 0)),
                2.. if imm.count_ones() == 1 => a.shift_imm(Shift::Shl, w, d, imm.trailing_zeros()),
                _ => a.imul_imm(w, d, d, imm),
            },
            DIV | MOD => self.divide_imm(insn, w, d, operation == MOD)?,
            _ => return None,
        }
        Some(())
    }

    /// A shift by a register. Without BMI2 the count must be in CL, which is r3.
    fn shift(&mut self, shift: Shift, w: Width, d: Reg, s: Reg) {
        let r3_lives = self.lives(3);
        let a = &mut self.asm;
        if self.features.bmi2 {
            a.shift_reg(shift, w, d, d, s);
        } else if d == Reg::RCX {
            a.mov(Width::X64, TMP, d);
            a.mov(Width::W32, Reg::RCX, s);
            a.shift_cl(shift, w, TMP);
            a.mov(Width::X64, d, TMP);
        } else if s == Reg::RCX {
            a.shift_cl(shift, w, d);
        } else {
            if r3_lives {
                a.mov(Width::X64, TMP, Reg::RCX);
            }
            a.mov(Width::W32, Reg::RCX, s);
            a.shift_cl(shift, w, d);
            if r3_lives {
                a.mov(Width::X64, Reg::RCX, TMP);
            }
        }
    }

    fn swap(&mut self, insn: Insn, w: Width, d: Reg, to_little: bool) -> Option<()> {
        let a = &mut self.asm;
        // ALU: to little (nothing but truncation here) or to big endian; ALU64: swap always.
        let swap = match (w, to_little) {
            (Width::W32, source) => !source,
            (Width::X64, true) => true,
            (Width::X64, false) => return None,
        };
        match (insn.imm, swap) {
            (16, false) => a.load(Size::B2, d, Rm::Reg(d)),
            (32, false) => a.mov(Width::W32, d, d),
            (64, false) => {}
            (16, true) => {
                a.rol16(d);
                a.load(Size::B2, d, Rm::Reg(d));
            }
            (32, true) => a.bswap(Width::W32, d),
            (64, true) => a.bswap(Width::X64, d),
            _ => return None,
        }
        Some(())
    }
}

fn shift_of(operation: u8) -> Option<Shift> {
    match operation {
        LSH => Some(Shift::Shl),
        RSH => Some(Shift::Shr),
        ARSH => Some(Shift::Sar),
        _ => None,
    }
}
