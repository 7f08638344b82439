//! Arithmetic.

use super::asm::{Reg, SP, Width, ZR};
use super::emit::{Emitter, TMP, TMP2};
use crate::Insn;
use axiom_bpf_isa::alu::*;
use axiom_bpf_isa::opcode::{ADD64K, ARSH64K, RSH64K};

impl Emitter<'_, '_> {
    /// Arithmetic. Tells whether the next instruction, if it may go with it, was absorbed; `None` for an opcode that there is not.
    pub(super) fn arithmetic(&mut self, insn: Insn, w: Width, next: Option<Insn>) -> Option<bool> {
        if insn.dst() > 9 || insn.src() > 10 {
            return None;
        }
        let d = self.reg(insn.dst());
        let operation = insn.operation();
        let immediate = !insn.has_register();
        // Byte swaps and negation have no second operand.
        match operation {
            END => return self.swap(insn, w, d, immediate).map(|()| false),
            NEG => {
                self.asm.sub(w, d, ZR, d);
                return Some(false);
            }
            _ => {}
        }
        let blinded = immediate && self.features.blind.is_some() && !matches!(operation, LSH | RSH | ARSH);
        if blinded && operation == MOV {
            self.split(w, d, if w == Width::X64 { insn.imm as i64 as u64 } else { insn.imm as u32 as u64 });
            return Some(false);
        }
        if immediate && !blinded {
            return self.alu_imm(insn, w, d, operation, next);
        }
        if operation == MOV && insn.off == 0 && w == Width::X64 {
            // mov d, s; add d, imm is one addition.
            if let Some(n) = next.filter(|_| self.features.blind.is_none())
                && n.op == ADD64K
                && n.dst() == insn.dst()
            {
                let (base, extra) =
                    if insn.src() == 10 { (SP, self.frame as i64) } else { (self.reg(insn.src()), 0) };
                if self.asm.try_add_imm(w, d, base, n.imm as i64 + extra) {
                    return Some(true);
                }
            }
            if insn.src() == 10 {
                self.asm.try_add_imm(w, d, SP, self.frame as i64);
                return Some(false);
            }
        }
        let s = if blinded {
            // A 32-bit operation sees half of it.
            self.split(w, TMP, if w == Width::X64 { insn.imm as i64 as u64 } else { insn.imm as u32 as u64 });
            TMP
        } else {
            self.src(insn.src(), TMP)
        };
        match operation {
            ADD => self.asm.add(w, d, d, s),
            SUB => self.asm.sub(w, d, d, s),
            MUL => self.asm.mul(w, d, d, s),
            DIV if insn.off == 0 => self.asm.udiv(w, d, d, s),
            DIV if insn.off == 1 => self.asm.sdiv(w, d, d, s),
            MOD if insn.off == 0 => {
                self.asm.udiv(w, TMP2, d, s);
                self.asm.msub(w, d, TMP2, s, d);
            }
            MOD if insn.off == 1 => {
                self.asm.sdiv(w, TMP2, d, s);
                self.asm.msub(w, d, TMP2, s, d);
            }
            OR => self.asm.orr(w, d, d, s),
            AND => self.asm.and(w, d, d, s),
            XOR => self.asm.eor(w, d, d, s),
            LSH => self.asm.lslv(w, d, d, s),
            RSH => self.asm.lsrv(w, d, d, s),
            ARSH => self.asm.asrv(w, d, d, s),
            MOV => match (insn.off, w) {
                (0, _) => {
                    if w == Width::W32 || d != s {
                        self.asm.mov(w, d, s);
                    }
                }
                (8 | 16, _) | (32, Width::X64) => self.asm.sxt(w, d, s, insn.off as u32),
                _ => return None,
            },
            _ => return None,
        }
        Some(false)
    }

    fn alu_imm(&mut self, insn: Insn, w: Width, d: Reg, operation: u8, next: Option<Insn>) -> Option<bool> {
        // The immediate as the operation sees it: sign-extended, then cut to the width.
        let signed = insn.imm as i64;
        let imm = if w == Width::X64 { signed as u64 } else { insn.imm as u32 as u64 };
        let shift = insn.imm as u32 & (w.bits() - 1);
        let a = &mut self.asm;
        match operation {
            ADD if signed == 0 && w == Width::X64 => {}
            ADD => {
                if !a.try_add_imm(w, d, d, signed) {
                    a.mov_imm(TMP, imm);
                    a.add(w, d, d, TMP);
                }
            }
            SUB => {
                if !a.try_add_imm(w, d, d, -signed) {
                    a.mov_imm(TMP, imm);
                    a.sub(w, d, d, TMP);
                }
            }
            MUL => {
                if imm.is_power_of_two() {
                    a.lsl_imm(w, d, d, imm.trailing_zeros());
                } else {
                    a.mov_imm(TMP, imm);
                    a.mul(w, d, d, TMP);
                }
            }
            DIV | MOD => self.divide_imm(insn, w, d, imm, operation == MOD)?,
            OR => {
                if !a.try_orr_imm(w, d, d, imm) {
                    a.mov_imm(TMP, imm);
                    a.orr(w, d, d, TMP);
                }
            }
            AND => {
                if !a.try_and_imm(w, d, d, imm) {
                    a.mov_imm(TMP, imm);
                    a.and(w, d, d, TMP);
                }
            }
            XOR => {
                if !a.try_eor_imm(w, d, d, imm) {
                    a.mov_imm(TMP, imm);
                    a.eor(w, d, d, TMP);
                }
            }
            LSH => {
                // lsl 32 followed by a right shift by 32 extends the low half.
                if w == Width::X64
                    && shift == 32
                    && let Some(n) = next
                    && n.dst() == insn.dst()
                    && n.imm & 63 == 32
                {
                    if n.op == RSH64K {
                        a.mov(Width::W32, d, d);
                        return Some(true);
                    }
                    if n.op == ARSH64K {
                        a.sxt(Width::X64, d, d, 32);
                        return Some(true);
                    }
                }
                a.lsl_imm(w, d, d, shift);
            }
            RSH => a.lsr_imm(w, d, d, shift),
            ARSH => a.asr_imm(w, d, d, shift),
            MOV => a.mov_imm(d, imm),
            _ => return None,
        }
        Some(false)
    }

    fn divide_imm(&mut self, insn: Insn, w: Width, d: Reg, imm: u64, remainder: bool) -> Option<()> {
        let signed = match insn.off {
            0 => false,
            1 => true,
            _ => return None,
        };
        let a = &mut self.asm;
        match (remainder, signed) {
            (false, false) if imm.is_power_of_two() => a.lsr_imm(w, d, d, imm.trailing_zeros()),
            (true, false) if imm == 1 => a.mov_imm(d, 0),
            (true, false) if imm.is_power_of_two() && a.try_and_imm(w, d, d, imm - 1) => {}
            _ => {
                a.mov_imm(TMP, imm);
                let q = if remainder { TMP2 } else { d };
                if signed {
                    a.sdiv(w, q, d, TMP)
                } else {
                    a.udiv(w, q, d, TMP)
                }
                if remainder {
                    a.msub(w, d, TMP2, TMP, d);
                }
            }
        }
        Some(())
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
            (16, false) => a.uxth(d, d),
            (32, false) => a.mov(Width::W32, d, d),
            (64, false) => {}
            (16, true) => {
                a.rev16(d, d);
                a.uxth(d, d);
            }
            (32, true) => a.rev(Width::W32, d, d),
            (64, true) => a.rev(Width::X64, d, d),
            _ => return None,
        }
        Some(())
    }
}
