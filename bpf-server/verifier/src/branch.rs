//! Conditional jumps: what each way out tells about the operands.

use crate::exec::Machine;
use crate::num::{Num, refine};
use crate::state::{FRAME, Kind, Reg, State};
use axiom_bpf_checker::refine;
use axiom_bpf_checker::ring::Ring;
use axiom_bpf_isa::{
    Insn,
    alu::{LSH, MOV},
    jump::*,
    opcode::*,
};

impl Machine<'_> {
    /// What is known on the two ways out of a conditional jump; `None` = never goes that way. `s` becomes the way on.
    pub fn branch(
        &mut self,
        at: usize,
        s: &mut State,
        taken: &mut Option<alloc::boxed::Box<State>>,
        mut copy: impl FnMut(&State) -> alloc::boxed::Box<State>,
    ) -> bool {
        let i = self.insns[at];
        let wide = i.op & 7 == CLASS_JMP;
        let op = i.operation();
        let a = self.read(at, s, i.dst());
        let register = i.op & 8 != 0;
        let b = if register { self.read(at, s, i.src()) } else { Reg::number(Num::of(i.imm as i64 as u64)) };
        *taken = None;
        if a.kind == Kind::Number && b.kind == Kind::Number {
            if let (Some(x), Some(y)) = (a.num.constant(), b.num.constant()) {
                if compare(op, x, y, wide) {
                    *taken = Some(copy(s));
                    return false;
                }
                return true;
            }
            let yes = refine(op, a.num, b.num, wide, true);
            let no = refine(op, a.num, b.num, wide, false);
            if let Some((x, y)) = yes {
                let mut t = copy(s);
                if self.learn(at, &mut t, i, register, x, y) {
                    *taken = Some(t);
                }
            }
            return match no {
                Some((x, y)) => self.learn(at, s, i, register, x, y),
                None => false,
            };
        }
        // Null checks.
        let equality = matches!(op, JEQ | JNE);
        let zero_b = b.constant() == Some(0);
        if equality && wide && zero_b && a.is_pointer() {
            let known = self.in_memory(&a);
            if a.null {
                let mut t = copy(s);
                self.null(&mut t, i.dst(), op == JEQ);
                *taken = Some(t);
                self.null(s, i.dst(), op == JNE);
                return true;
            }
            if known {
                if op == JNE {
                    *taken = Some(copy(s));
                    return false;
                }
                return true;
            }
        }
        // Positions in the same memory.
        if wide && a.is_pointer() && !a.null && !b.null && a.same_memory(&b) && a.kind != Kind::Map {
            let ordered = self.in_memory(&a) && self.in_memory(&b);
            if equality || ordered {
                // Offsets inside one piece of memory order as its addresses do; stack offsets are negative.
                let base = if a.kind == Kind::Stack { FRAME as u64 } else { 0 };
                let up = Num::of(base);
                let down = Num::of(base.wrapping_neg());
                let (x, y) = (a.num.add(up), b.num.add(up));
                let signed_as_unsigned = match op {
                    JSGT => JGT,
                    JSGE => JGE,
                    JSLT => JLT,
                    JSLE => JLE,
                    o => o,
                };
                // Signed order of addresses is not the order of offsets if the memory lies across the sign change.
                if signed_as_unsigned == op && op != JSET {
                    let yes = refine(op, x, y, true, true);
                    let no = refine(op, x, y, true, false);
                    if let Some((x, y)) = yes {
                        let mut t = copy(s);
                        if self.learn(at, &mut t, i, register, x.add(down), y.add(down)) {
                            *taken = Some(t);
                        }
                    }
                    return match no {
                        Some((x, y)) => self.learn(at, s, i, register, x.add(down), y.add(down)),
                        None => false,
                    };
                }
            }
        }
        *taken = Some(copy(s));
        true
    }

    /// The pointer stays inside its memory or right behind it.
    fn in_memory(&self, r: &Reg) -> bool {
        let Some((_, first, end)) = self.memory(r) else { return r.kind == Kind::Map };
        let (lo, hi) = r.num.r64.signed();
        lo >= first && hi <= end
    }

    /// Makes the result of a null check known to all copies.
    fn null(&mut self, s: &mut State, register: u8, is_null: bool) {
        let r = s.regs[register as usize % 10];
        let learn = |x: &mut Reg| {
            if is_null {
                *x = Reg::number(Num::of(0));
            } else {
                x.null = false;
            }
        };
        if r.id != 0 {
            s.each_linked(r.id, self.depth, learn);
        } else {
            learn(&mut s.regs[register as usize % 10]);
        }
        if is_null && r.kind == Kind::Reserved {
            s.release(r.at, self.depth);
        }
    }

    /// Writes what a comparison told about its operands; false if nothing can be so.
    fn learn(&mut self, at: usize, s: &mut State, i: Insn, register: bool, a: Num, b: Num) -> bool {
        let mut possible = true;
        if i.dst() < 10 {
            let r = Reg { num: a, ..s.regs[i.dst() as usize] };
            possible &= assign(s, i.dst(), r, self.depth);
            if let Some((shifted, by, wide)) = self.shifted_copy(at, i.dst()) {
                let told = if wide { a.shl((by, by)) } else { a.zext32().shl((by, by)).zext32() };
                let now = s.regs[shifted as usize];
                match now.num.meet(told) {
                    Some(n) => possible &= assign(s, shifted, Reg { num: n, ..now }, self.depth),
                    None => possible = false,
                }
            }
        }
        if register && i.src() < 10 {
            let now = s.regs[i.src() as usize];
            match now.num.meet(b) {
                Some(n) => possible &= assign(s, i.src(), Reg { num: n, ..now }, self.depth),
                None => possible = false,
            }
        }
        possible
    }
}

impl Machine<'_> {
    /// The register that is a copy of `of`, shifted left, as the two instructions before a comparison made it: how a counter that
    /// doubles is tested before it does (`k <<= 1` and `k < N` of a loop, turned round). By how much, and of 64 bits or of 32.
    /// Nobody writes jumps that lead between the three; if one does, the checker finds out.
    fn shifted_copy(&self, at: usize, of: u8) -> Option<(u8, u32, bool)> {
        let &[copy, shift] = self.insns.get(at.checked_sub(2)?..at)? else { return None };
        let class = shift.op & 7;
        let wide = class == CLASS_ALU64;
        if !wide && class != CLASS_ALU || copy.op != MOV | REGISTER | class || shift.op != LSH | class {
            return None;
        }
        let same = copy.off == 0 && copy.src() == of && copy.dst() == shift.dst() && copy.dst() != of;
        let to = copy.dst();
        (same && of < 10 && to < 10).then_some((to, shift.imm as u32 & if wide { 63 } else { 31 }, wide))
    }
}

/// Narrows a register and everything equal to it; false if that leaves nothing.
pub(crate) fn assign(s: &mut State, register: u8, r: Reg, depth: usize) -> bool {
    let old = s.regs[register as usize];
    if old.num == r.num {
        return true;
    }
    s.regs[register as usize] = r;
    let mut possible = true;
    if r.root != 0 {
        // r = v * v <= most, so v <= sqrt(most).
        let most = r.num.r64.unsigned().1.isqrt();
        s.each_linked(r.root, depth, |x| {
            if !x.half {
                let told = Num::between(0, most).add(Num::of(x.delta as i64 as u64));
                match x.num.meet(told) {
                    Some(n) => x.num = n,
                    None => possible = false,
                }
            }
        });
    }
    if r.id == 0 {
        return possible;
    }
    s.each_linked(r.id, depth, |x| {
        let apart = Num::of((x.delta as i64 - r.delta as i64) as u64);
        let moved = r.num.add(apart);
        let told = if r.half || x.half {
            Num { r64: Ring::TOP, bits: crate::num::Bits::TOP, ..moved }
        } else {
            moved
        };
        match x.num.meet(told) {
            Some(n) => x.num = n,
            None => possible = false,
        }
    });
    possible
}

pub(crate) fn compare(op: u8, x: u64, y: u64, wide: bool) -> bool {
    if wide { refine::compare::<64>(op, x, y) } else { refine::compare::<32>(op, x, y) }
}
