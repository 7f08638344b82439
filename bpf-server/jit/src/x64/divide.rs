//! Division and remainder. BPF: x / 0 = 0, x % 0 = x, INT_MIN / -1 = INT_MIN, INT_MIN % -1 = 0; x86 raises #DE for all four. Operands and
//! results are in RAX and RDX, which are r0 and r2.

use super::asm::{Cond, Op, Reg, Rm, Shift, Width};
use super::emit::{Emitter, TMP, TMP2, TMP3};
use crate::Insn;

impl Emitter<'_, '_> {
    /// By a register.
    pub fn divide(&mut self, insn: Insn, w: Width, d: Reg, s: Reg, remainder: bool) -> Option<()> {
        let signed = match insn.off {
            0 => false,
            1 => true,
            _ => return None,
        };
        let divisor = if s == Reg::RAX || s == Reg::RDX {
            self.asm.mov(w, TMP, s);
            TMP
        } else {
            s
        };
        // Jumps to the end, by the bytes behind their distances.
        let mut to_end = [0; 2];
        let a = &mut self.asm;
        a.test(w, divisor, divisor);
        a.jcc_short(Cond::NotEqual, 0);
        let nonzero = a.len();
        if !remainder {
            a.mov_imm(d, 0);
        } else if w == Width::W32 {
            a.mov(w, d, d);
        }
        a.jmp_short(0);
        to_end[0] = a.len();
        a.patch8(nonzero, (a.len() - nonzero) as i8);
        if signed {
            a.ri(Op::Cmp, w, divisor, -1);
            a.jcc_short(Cond::NotEqual, 0);
            let ordinary = a.len();
            if remainder {
                a.mov_imm(d, 0);
            } else {
                a.neg(w, d);
            }
            a.jmp_short(0);
            to_end[1] = a.len();
            a.patch8(ordinary, (a.len() - ordinary) as i8);
        }
        self.divide_now(w, signed, d, divisor, remainder);
        let end = self.asm.len();
        for jump in to_end {
            if jump != 0 {
                self.asm.patch8(jump, (end - jump) as i8);
            }
        }
        Some(())
    }

    /// The division itself; the divisor is not 0, and not -1 where that overflows, and not in RAX, RDX, TMP2 or TMP3.
    fn divide_now(&mut self, w: Width, signed: bool, d: Reg, divisor: Reg, remainder: bool) {
        self.keep(d);
        let a = &mut self.asm;
        if d != Reg::RAX {
            a.mov(w, Reg::RAX, d);
        }
        if signed {
            a.sign_of_rax(w);
        } else {
            a.mov_imm(Reg::RDX, 0);
        }
        a.div(w, signed, divisor);
        let result = if remainder { Reg::RDX } else { Reg::RAX };
        if d != result {
            a.mov(w, d, result);
        }
        self.give_back(d);
    }

    /// Keeps r0 and r2, where they live and are not the result.
    fn keep(&mut self, d: Reg) {
        if d != Reg::RAX && self.lives(0) {
            self.asm.mov(Width::X64, TMP2, Reg::RAX);
        }
        if d != Reg::RDX && self.lives(2) {
            self.asm.mov(Width::X64, TMP3, Reg::RDX);
        }
    }

    fn give_back(&mut self, d: Reg) {
        if d != Reg::RAX && self.lives(0) {
            self.asm.mov(Width::X64, Reg::RAX, TMP2);
        }
        if d != Reg::RDX && self.lives(2) {
            self.asm.mov(Width::X64, Reg::RDX, TMP3);
        }
    }

    /// By a constant.
    pub fn divide_imm(&mut self, insn: Insn, w: Width, d: Reg, remainder: bool) -> Option<()> {
        let signed = match insn.off {
            0 => false,
            1 => true,
            _ => return None,
        };
        let imm = if w == Width::X64 { insn.imm as i64 as u64 } else { insn.imm as u32 as u64 };
        let a = &mut self.asm;
        match (insn.imm, signed, remainder) {
            (0, _, true) | (1, _, false) => {
                if w == Width::W32 {
                    a.mov(w, d, d);
                }
            }
            (0, _, false) | (1, _, true) | (-1, true, true) => a.mov_imm(d, 0),
            (-1, true, false) => a.neg(w, d),
            (_, false, false) if imm.is_power_of_two() => a.shift_imm(Shift::Shr, w, d, imm.trailing_zeros()),
            (1.., false, true) if imm.is_power_of_two() => a.ri(Op::And, Width::W32, d, insn.imm - 1),
            (3.., false, _) if w == Width::W32 => self.multiply_32(d, imm, remainder),
            (3.., false, _) => self.multiply_64(d, imm, remainder),
            _ => {
                a.mov_imm(TMP, imm);
                self.divide_now(w, signed, d, TMP, remainder);
            }
        }
        Some(())
    }

    /// x / m by Granlund and Montgomery: with l = ⌈log₂ m⌉ and M = ⌊2³² (2ˡ - m) / m⌋ + 1 it is (⌊M x / 2³²⌋ + x) >> l; all of it fits in 64 bits.
    fn multiply_32(&mut self, d: Reg, m: u64, remainder: bool) {
        let l = (m - 1).ilog2() + 1;
        let magic = (((1u64 << l) - m) << 32) / m + 1;
        let a = &mut self.asm;
        a.mov(Width::W32, d, d);
        a.mov_imm(TMP, magic);
        a.imul(Width::X64, TMP, d);
        a.shift_imm(Shift::Shr, Width::X64, TMP, 32);
        a.rr(Op::Add, Width::X64, TMP, d);
        if !remainder {
            a.shift_imm(Shift::Shr, Width::X64, TMP, l);
            a.mov(Width::W32, d, TMP);
        } else {
            a.shift_imm(Shift::Shr, Width::X64, TMP, l);
            a.imul_imm(Width::W32, TMP, TMP, m as i32);
            a.rr(Op::Sub, Width::W32, d, TMP);
        }
    }

    /// The same with 64 bits, where the sum may have 65: t + ((x - t) >> 1) is half of it. m is below 2³¹ here.
    fn multiply_64(&mut self, d: Reg, m: u64, remainder: bool) {
        let l = (m - 1).ilog2() + 1;
        let magic = ((u128::from((1u64 << l) - m) << 64) / u128::from(m)) as u64 + 1;
        self.asm.mov(Width::X64, TMP, d);
        self.keep(d);
        let a = &mut self.asm;
        a.mov_imm(Reg::RAX, magic);
        a.mul(Width::X64, TMP);
        a.mov(Width::X64, Reg::RAX, TMP);
        a.rr(Op::Sub, Width::X64, Reg::RAX, Reg::RDX);
        a.shift_imm(Shift::Shr, Width::X64, Reg::RAX, 1);
        a.lea(Width::X64, Reg::RDX, Rm::Index(Reg::RDX, Reg::RAX, 0, 0));
        a.shift_imm(Shift::Shr, Width::X64, Reg::RDX, l - 1);
        if remainder {
            a.imul_imm(Width::X64, Reg::RDX, Reg::RDX, m as i32);
            a.rr(Op::Sub, Width::X64, TMP, Reg::RDX);
            a.mov(Width::X64, d, TMP);
        } else if d != Reg::RDX {
            a.mov(Width::X64, d, Reg::RDX);
        }
        self.give_back(d);
    }
}
