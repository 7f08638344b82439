//! Atomic read-modify-write. Every locked instruction is fully ordered, which is more than BPF asks of those without FETCH.

use super::asm::{Cond, Op, Reg, Rm, Size, Width};
use super::emit::{Emitter, REGS, TMP, TMP2, TMP3};
use crate::Insn;

const FETCH: i32 = 1;
const ADD: i32 = 0x00;
const OR: i32 = 0x40;
const AND: i32 = 0x50;
const XOR: i32 = 0xa0;
const XCHG: i32 = 0xe1;
const CMPXCHG: i32 = 0xf1;

impl Emitter<'_, '_> {
    /// Emits the atomic of `insn`; `None` for an operation that does not exist.
    pub fn atomic(&mut self, insn: Insn, w: Width) -> Option<()> {
        if insn.src() > 9 || insn.op & 7 != 3 {
            return None;
        }
        let s = REGS[insn.src() as usize];
        let m = Rm::Mem(REGS[insn.dst() as usize], insn.off.into());
        let a = &mut self.asm;
        match insn.imm {
            ADD => a.lock_op(Op::Add, w, m, s),
            OR => a.lock_op(Op::Or, w, m, s),
            AND => a.lock_op(Op::And, w, m, s),
            XOR => a.lock_op(Op::Xor, w, m, s),
            XCHG => a.xchg(w, m, s),
            CMPXCHG => {
                a.lock_cmpxchg(w, m, s);
                if w == Width::W32 {
                    // Where the comparison held, RAX was not written: its upper half is what it was.
                    a.mov(w, Reg::RAX, Reg::RAX);
                }
            }
            other if other == ADD | FETCH => a.lock_xadd(w, m, s),
            other if other == OR | FETCH => self.fetch(Op::Or, w, m, s),
            other if other == AND | FETCH => self.fetch(Op::And, w, m, s),
            other if other == XOR | FETCH => self.fetch(Op::Xor, w, m, s),
            _ => return None,
        }
        Some(())
    }

    /// The operations whose old value no instruction gives: a loop of compare-and-exchange.
    fn fetch(&mut self, op: Op, w: Width, m: Rm, s: Reg) {
        let size = if w == Width::X64 { Size::B8 } else { Size::B4 };
        let a = &mut self.asm;
        // RAX becomes the old value; what it was is kept, as an operand or to be given back.
        a.mov(Width::X64, TMP2, Reg::RAX);
        let operand = if s == Reg::RAX { TMP2 } else { s };
        let m = match m {
            Rm::Mem(Reg::RAX, disp) => {
                a.lea(Width::X64, TMP3, Rm::Mem(Reg::RAX, disp));
                Rm::Mem(TMP3, 0)
            }
            other => other,
        };
        a.load(size, Reg::RAX, m);
        let top = a.len();
        a.mov(w, TMP, Reg::RAX);
        a.rr(op, w, TMP, operand);
        a.lock_cmpxchg(w, m, TMP);
        let back = top as i64 - a.len() as i64 - 2;
        a.jcc_short(Cond::NotEqual, back as i8);
        if s == Reg::RAX {
            if w == Width::W32 {
                a.mov(w, Reg::RAX, Reg::RAX);
            }
        } else {
            a.mov(w, s, Reg::RAX);
            a.mov(Width::X64, Reg::RAX, TMP2);
        }
    }
}
