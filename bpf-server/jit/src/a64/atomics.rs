//! Atomic read-modify-write: one LSE instruction, or an exclusive loop on ARMv8.0.
//!
//! Without FETCH an operation is relaxed, as BPF's memory model has it; with FETCH, exchange and compare-and-exchange are
//! fully ordered.

use super::asm::{Cond, Lse, Reg, Width, ZR};
use super::emit::{Emitter, TMP, TMP2, TMP3};
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
    pub(crate) fn atomic(&mut self, insn: Insn, w: Width) -> Option<()> {
        if insn.src() > 9 || insn.op & 7 != 3 {
            return None;
        }
        let s = self.reg(insn.src());
        match insn.imm {
            XCHG | CMPXCHG => {}
            other if matches!(other & !FETCH, ADD | OR | AND | XOR) => {}
            _ => return None,
        }
        let n = self.address(insn.dst(), insn.off, TMP);
        if self.features.lse {
            self.atomic_lse(insn.imm, w, s, n)
        } else {
            self.atomic_loop(insn.imm, w, s, n)
        }
        Some(())
    }

    fn atomic_lse(&mut self, operation: i32, w: Width, s: Reg, n: Reg) {
        let a = &mut self.asm;
        let fetch = operation & FETCH != 0;
        let t = if fetch { s } else { ZR };
        match operation {
            XCHG => a.lse(Lse::Swp, w, true, s, s, n),
            // The expected value is r0, which receives the old one.
            CMPXCHG => a.casal(w, Reg(0), s, n),
            _ => match operation & !FETCH {
                ADD => a.lse(Lse::Add, w, fetch, s, t, n),
                OR => a.lse(Lse::Set, w, fetch, s, t, n),
                XOR => a.lse(Lse::Eor, w, fetch, s, t, n),
                _ => {
                    // LSE clears bits: and with the complement.
                    a.mvn(w, TMP2, s);
                    a.lse(Lse::Clr, w, fetch, TMP2, t, n);
                }
            },
        }
    }

    fn atomic_loop(&mut self, operation: i32, w: Width, s: Reg, n: Reg) {
        let a = &mut self.asm;
        let fetch = operation & FETCH != 0;
        let status = Reg(14);
        // old in TMP2, new in TMP3, status in x14; the address never is one of these.
        if operation == CMPXCHG {
            let top = a.words() as i32;
            a.ldxr(w, true, TMP2, n);
            a.cmp(w, TMP2, Reg(0));
            a.b_cond(Cond::Ne, 3);
            a.stxr(w, true, status, s, n);
            let back = top - a.words() as i32;
            a.cbz(Width::W32, true, status, back);
            a.dmb_ish();
            a.mov(w, Reg(0), TMP2);
            return;
        }
        let top = a.words() as i32;
        a.ldxr(w, fetch, TMP2, n);
        let new = match operation & !FETCH {
            _ if operation == XCHG => s,
            ADD => {
                a.add(w, TMP3, TMP2, s);
                TMP3
            }
            OR => {
                a.orr(w, TMP3, TMP2, s);
                TMP3
            }
            AND => {
                a.and(w, TMP3, TMP2, s);
                TMP3
            }
            _ => {
                a.eor(w, TMP3, TMP2, s);
                TMP3
            }
        };
        a.stxr(w, fetch, status, new, n);
        let back = top - a.words() as i32;
        a.cbz(Width::W32, true, status, back);
        if fetch {
            a.dmb_ish();
            a.mov(w, s, TMP2);
        }
    }
}
