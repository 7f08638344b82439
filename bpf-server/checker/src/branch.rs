//! Conditional jumps: what each way out tells about the operands.

use crate::Number;
use crate::fault::Why;
use crate::refine::{compare, refine};
use crate::state::{FRAME, Kind, State, Value};
use crate::step::{Machine, immediate};
use axiom_bpf_isa::{Insn, jump::*, opcode::*};

impl Machine<'_> {
    /// Makes `s`, the state before a conditional jump, the one after it if it is `taken` or not; false if it never goes
    /// that way.
    pub fn branch(&self, i: Insn, s: &mut State, taken: bool) -> Result<bool, Why> {
        let (wide, register, op) = (i.op & 7 == CLASS_JMP, i.op & 8 != 0, i.operation());
        let (a, immediate) = (s.read(i.dst())?, immediate(i));
        let b = if register { s.read(i.src())? } else { &immediate };
        if register && matches!(op, JEQ | JNE) && !s.gaps.is_empty() {
            let small = |v: &Value| v.num.r64.unsigned().1 <= u32::MAX as u64;
            let small = small(a) && small(b);
            if !apart(s, i, taken == (op == JEQ), wide, small) {
                return Ok(false);
            }
        }
        let (a, b) = (s.reg(i.dst()), if register { s.reg(i.src()) } else { &immediate });
        if a.kind == Kind::Number && b.kind == Kind::Number {
            if let (Some(x), Some(y)) = (a.num.constant(), b.num.constant()) {
                return Ok(taken == if wide { compare::<64>(op, x, y) } else { compare::<32>(op, x, y) });
            }
            let (mut x, mut y) = (a.num, b.num);
            let possible = refine(op, &mut x, &mut y, wide, taken);
            return Ok(possible && narrow(s, i.dst(), x) && (!register || narrow(s, i.src(), y)));
        }
        if !wide {
            return Ok(true);
        }
        let equality = matches!(op, JEQ | JNE);
        if equality && b.constant() == Some(0) && a.is_pointer() {
            let is_null = taken == (op == JEQ);
            if a.null {
                learn_null(s, i.dst(), is_null);
                return Ok(true);
            }
            // Memory does not begin at 0.
            return Ok(!(is_null && self.inside(a).is_some()));
        }
        // Positions in the same memory: offsets order as addresses do, unsigned, if both are inside.
        if !a.null && !b.null && a.same_memory(b) && matches!(op, JEQ | JGT | JGE | JNE | JLT | JLE) {
            let inside = self.inside(a).is_some() && self.inside(b).is_some();
            if equality || inside {
                let base = if a.kind == Kind::Stack { FRAME as u64 } else { 0 };
                let moved = |n: Number, by: u64| n.add(Number::of(by));
                let (a, b, back) = (a.num, b.num, base.wrapping_neg());
                let (mut x, mut y) = (moved(a, base), moved(b, base));
                if !refine(op, &mut x, &mut y, true, taken) {
                    return Ok(false);
                }
                return Ok(match (a.meet(moved(x, back)), b.meet(moved(y, back))) {
                    (Some(x), Some(y)) => narrow(s, i.dst(), x) && narrow(s, i.src(), y),
                    _ => false,
                });
            }
        }
        Ok(true)
    }
}

/// Two registers turn out to be equal, or not; `small`: they are if their low halves are. False if that cannot be.
fn apart(s: &mut State, i: Insn, equal: bool, wide: bool, small: bool) -> bool {
    let (d, r) = (i.dst(), i.src());
    for g in s.gaps.iter_mut().filter(|g| (g.of, g.from) == (d, r) || (g.of, g.from) == (r, d)) {
        let n = &mut g.value.num;
        let possible = if equal {
            let zero = Number::of(0);
            let told = if wide || small { zero } else { Number { r32: zero.r32, ..Number::TOP } };
            n.meet(told)
        } else {
            let half = if wide && !small { Some(n.r32) } else { n.r32.without(0) };
            n.r64.without(0).zip(half).and_then(|(r64, r32)| {
                let mut n = Number { r64, r32, ..*n };
                n.reduce().then_some(n)
            })
        };
        match possible {
            Some(p) => *n = p,
            None => return false,
        }
    }
    true
}

/// All that is the same address turns out to be 0, or not.
fn learn_null(s: &mut State, register: u8, is_null: bool) {
    let r = *s.reg(register);
    let learn = |v: &mut Value| {
        if is_null {
            *v = Value::number(Number::of(0));
        } else {
            v.null = false;
        }
    };
    if let Some(v) = s.regs.change(register) {
        learn(v);
    }
    if r.id != 0 {
        s.each(|v| {
            if v.id == r.id && v.delta == r.delta && v.kind == r.kind && v.null {
                learn(v);
            }
        });
    }
    // What was added to a record's address may make it 0, too.
    if is_null && r.kind == Kind::Record && r.num.constant() == Some(0) {
        s.release(r.at);
    }
}

/// Narrows a register to a part of what it was, and everything that equals it but for a constant; false if nothing is left.
fn narrow(s: &mut State, register: u8, num: Number) -> bool {
    let Some(r) = s.regs.change(register) else { return false };
    if r.id == 0 && r.root == 0 {
        r.num = num;
        return true;
    }
    // What equals it may have told more of it already.
    let Some(num) = r.num.meet(num) else { return false };
    r.num = num;
    let r = *r;
    let mut possible = true;
    // r = v * v <= most, so v <= sqrt(most).
    let root = Number::between(0, num.r64.unsigned().1.isqrt());
    s.each(|v| {
        if v.id == 0 {
            return;
        }
        let told = if v.id == r.id && v.kind == r.kind {
            let told = num.add(Number::of(v.delta.wrapping_sub(r.delta)));
            if v.half || r.half { Number { r32: told.r32, ..Number::TOP } } else { told }
        } else if v.id == r.root && v.kind == Kind::Number && !v.half {
            root.add(Number::of(v.delta))
        } else {
            return;
        };
        match v.num.meet(told) {
            Some(n) => v.num = n,
            None => possible = false,
        }
    });
    possible
}
