//! Arithmetic: numbers, copies that stay equal, and pointers that move.

use crate::exec::{Machine, Note};
use crate::num::Num;
use crate::report::Reason;
use crate::state::{Kind, Reg, State, made_at};
use axiom_bpf_checker::alu::result;
use axiom_bpf_isa::{Insn, alu::*, opcode::*};

impl Machine<'_> {
    pub(crate) fn alu(&mut self, at: usize, i: Insn, s: &mut State) {
        let wide = i.op & 7 == CLASS_ALU64;
        let register = i.op & 8 != 0;
        let d = i.dst() as usize;
        let op = i.operation();
        if op == MOV {
            return self.mov(at, i, s, wide, register);
        }
        if op == END {
            // The checker makes no more of it, either.
            self.read_number(at, s, i.dst());
            s.regs[d] = Reg::number(if i.imm == 64 { Num::TOP } else { Num::of_width(i.imm as u32) });
            return;
        }
        // Numbers of which nothing else is known need no copies of whole registers.
        let (left, right) = (&s.regs[d % 10], &s.regs[i.src() as usize % 10]);
        if left.kind == Kind::Number
            && left.id == 0
            && (!register || right.kind == Kind::Number && i.src() < 10)
            && self.notes.is_empty()
            && let Some(result) = plain(op, &left.num, register.then_some(&right.num), i, wide)
        {
            s.regs[d % 10] = Reg::number(result);
            return;
        }
        let a = self.read(at, s, i.dst());
        let b = if register { self.read(at, s, i.src()) } else { Reg::number(Num::of(i.imm as i64 as u64)) };
        if op == NEG {
            let v = self.read_number(at, s, i.dst());
            s.regs[d] = Reg::number(result(op, 0, wide, false, &v.num, &v.num));
            return;
        }
        if a.kind != Kind::Number || b.kind != Kind::Number {
            return self.pointer_alu(at, i, s, a, b, wide);
        }
        let (x, y) = (a.num, b.num);
        if let (Some(c), Some(e)) = (x.constant(), y.constant())
            && let Some(v) = constant(op, i.off, c, e, wide)
        {
            let keep = matches!(op, ADD | SUB) && a.id != 0;
            if !keep && self.notes.is_empty() {
                s.regs[d] = Reg::number(Num::of(v));
                return;
            }
        }
        let same = register && i.src() == i.dst();
        let shift = |n: Num| {
            let width = if wide { 63 } else { 31 };
            match n.constant() {
                Some(c) => (c as u32 & width, c as u32 & width),
                None => {
                    let (lo, hi) = n.r64.unsigned();
                    if hi <= width as u64 { (lo as u32, hi as u32) } else { (0, width) }
                }
            }
        };
        let mut result = Reg::number(result(op, i.off, wide, same, &x, &y));
        if matches!(op, ADD | SUB) {
            if !self.notes.is_empty() && register {
                let range = |n: Num| if wide { n.r64.signed() } else { n.r32.signed() };
                let (lo, hi) = range(y);
                self.note(at, if op == ADD { Note::Sum((lo, hi), range(x)) } else { Note::Range(lo, hi) });
            }
            // Still equal to its relatives, plus a constant.
            if a.id != 0
                && !same
                && let Some(c) = y.constant()
            {
                let c = if wide { c as i64 } else { c as i32 as i64 };
                let c = if op == SUB { c.wrapping_neg() } else { c };
                if let Some(delta) = i32::try_from(c).ok().and_then(|c| a.delta.checked_add(c)) {
                    let exact = wide || exact32(x, c);
                    result = Reg { id: a.id, delta, half: a.half || !exact, root: 0, ..result };
                }
            }
        } else if op == MUL && same && wide && a.id != 0 && a.delta == 0 && !a.half {
            if x.r64.unsigned().1 <= u32::MAX as u64 {
                result.root = a.id;
            }
        } else if op == LSH && !self.notes.is_empty() {
            let by = shift(y).1;
            let lossless = if wide {
                x.r64.unsigned().1.leading_zeros() >= by
            } else {
                x.r32.unsigned().1.leading_zeros() - 32 >= by
            };
            self.note(at, if lossless { Note::Range(1, 1) } else { Note::None });
        }
        s.regs[d] = result;
    }

    fn mov(&mut self, at: usize, i: Insn, s: &mut State, wide: bool, register: bool) {
        let d = i.dst() as usize;
        if !register {
            let v = i.imm as i64 as u64;
            s.regs[d] = Reg::number(Num::of(if wide { v } else { v as u32 as u64 }));
            return;
        }
        let v = self.read(at, s, i.src());
        if i.off == 0 && wide {
            s.regs[d] = self.copy(at, s, i.src(), v, false);
            return;
        }
        if v.kind != Kind::Number {
            self.fail(at, Reason::PointerArithmetic { register: i.src() });
            s.regs[d] = Reg::number(Num::TOP);
            return;
        }
        if i.off != 0 {
            s.regs[d] = Reg::number(result(MOV, i.off, wide, false, &v.num, &v.num));
            return;
        }
        let exact = v.num.r64.unsigned().1 <= u32::MAX as u64;
        let copy = self.copy(at, s, i.src(), v, !exact);
        s.regs[d] = Reg { num: v.num.zext32(), root: 0, ..copy };
    }

    /// A copy of a register that remembers what it is a copy of.
    pub(crate) fn copy(&mut self, at: usize, s: &mut State, from: u8, v: Reg, half: bool) -> Reg {
        if v.id != 0 {
            return Reg { half: v.half || half, ..v };
        }
        if from >= 10 || v.num.constant().is_some() && !v.null {
            return v;
        }
        let id = made_at(at as u32);
        let r = &mut s.regs[from as usize];
        *r = Reg { id, delta: 0, half: false, ..*r };
        Reg { id, delta: 0, half, ..v }
    }

    fn pointer_alu(&mut self, at: usize, i: Insn, s: &mut State, a: Reg, b: Reg, wide: bool) {
        let d = i.dst() as usize;
        let op = i.operation();
        let movable = |r: &Reg| r.is_pointer() && !r.null && r.kind != Kind::Map;
        let result = match op {
            ADD if wide && movable(&a) && b.kind == Kind::Number => {
                let delta = b.num.constant().and_then(|c| i32::try_from(c as i64).ok());
                let delta = delta.and_then(|c| a.delta.checked_add(c)).filter(|_| a.id != 0);
                Some(Reg {
                    num: a.num.add(b.num),
                    id: delta.map_or(0, |_| a.id),
                    delta: delta.unwrap_or(0),
                    ..a
                })
            }
            ADD if wide && movable(&b) && a.kind == Kind::Number => {
                Some(Reg { num: b.num.add(a.num), id: 0, delta: 0, ..b })
            }
            SUB if wide && movable(&a) && b.kind == Kind::Number => {
                Some(Reg { num: a.num.sub(b.num), id: 0, delta: 0, ..a })
            }
            SUB if wide && movable(&a) && movable(&b) && a.same_memory(&b) => {
                Some(Reg::number(a.num.sub(b.num)))
            }
            _ => None,
        };
        if i.op & 8 != 0 && b.kind == Kind::Number {
            let (lo, hi) = b.num.r64.signed();
            self.note(at, Note::Range(lo, hi));
        }
        s.regs[d] = result.unwrap_or_else(|| {
            let blame = if a.is_pointer() { i.dst() } else { i.src() };
            let r = if a.is_pointer() { &a } else { &b };
            self.fail(
                at,
                if r.null {
                    Reason::MaybeNull { register: blame, map: (r.kind == Kind::Value).then_some(r.at) }
                } else {
                    Reason::PointerArithmetic { register: blame }
                },
            );
            // As if it were a pointer that one may move: the passes after this one see a cleaner picture.
            if a.is_pointer() { Reg { id: 0, delta: 0, ..a } } else { Reg::number(Num::TOP) }
        });
    }
}

/// Additions of `c` that cannot leave 32 bits.
fn exact32(x: Num, c: i64) -> bool {
    let (lo, hi) = x.r64.unsigned();
    hi <= u32::MAX as u64 && lo as i64 + c >= 0 && hi as i64 + c <= u32::MAX as i64
}

/// The common operations on numbers that are related to no other; `right` is `None` for the immediate. What this does not
/// do, the caller does.
#[inline]
fn plain(op: u8, x: &Num, right: Option<&Num>, i: Insn, wide: bool) -> Option<Num> {
    let same = right.is_some() && i.src() == i.dst();
    let y = match right {
        Some(y) => *y,
        None => Num::of(i.imm as i64 as u64),
    };
    let known = y.constant();
    if let (Some(c), Some(e)) = (x.constant(), known)
        && let Some(v) = constant(op, i.off, c, e, wide)
    {
        return Some(Num::of(v));
    }
    let simple = match op {
        DIV | MOD => false,
        LSH | RSH | ARSH => known.is_some(),
        _ => true,
    };
    simple.then(|| result(op, i.off, wide, same, x, &y))
}

/// The common operations on constants.
#[inline]
fn constant(op: u8, off: i16, x: u64, y: u64, wide: bool) -> Option<u64> {
    let v = match op {
        ADD => x.wrapping_add(y),
        SUB => x.wrapping_sub(y),
        MUL => x.wrapping_mul(y),
        DIV if off == 0 && wide => x.checked_div(y).unwrap_or(0),
        DIV if off == 0 => (x as u32).checked_div(y as u32).unwrap_or(0) as u64,
        MOD if off == 0 && wide => x.checked_rem(y).unwrap_or(x),
        MOD if off == 0 => (x as u32).checked_rem(y as u32).unwrap_or(x as u32) as u64,
        OR => x | y,
        AND => x & y,
        XOR => x ^ y,
        LSH if wide => x.wrapping_shl(y as u32),
        LSH => (x as u32).wrapping_shl(y as u32) as u64,
        RSH if wide => x.wrapping_shr(y as u32),
        RSH => (x as u32).wrapping_shr(y as u32) as u64,
        ARSH if wide => (x as i64).wrapping_shr(y as u32) as u64,
        ARSH => (x as i32).wrapping_shr(y as u32) as u32 as u64,
        _ => return None,
    };
    Some(if wide { v } else { v as u32 as u64 })
}
