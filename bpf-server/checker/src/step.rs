//! What one instruction, other than a jump or a call of an own function, does to what is known.

use crate::alu;
use crate::fault::Why;
use crate::proof::{Form, Line};
use crate::state::{Kind, Moved, State, Value};
use crate::{Accepted, Env, Number};
use alloc::vec::Vec;
use axiom_bpf_isa::{Insn, alu::*, opcode::*, pseudo};

/// The program, and what executing it on what is known finds out about it as a whole.
pub struct Machine<'a> {
    /// Instruction slots.
    pub insns: &'a [Insn],
    /// What it may use.
    pub env: &'a Env<'a>,
    /// Lines of the context at hand.
    pub lines: Vec<Line>,
    /// The last name that was given to a number or an element of a map. Names of proofs are below 2^24.
    pub fresh: u32,
    /// What is told of the program, but for its worst case and its stack.
    pub found: Accepted,
    /// Bytes in use of each frame, by nesting, in the context at hand and what it calls.
    pub used: [u16; crate::state::DEPTH],
    /// Records held where the context at hand began, as in [`State::held`]. Its callers name them by the instruction that reserved
    /// them, and so none of these may reserve again, once it was given back.
    pub given: [u32; crate::state::RECORDS],
}

/// Names in proofs are below this.
pub const FIRST_FRESH: u32 = 1 << 24;

impl<'a> Machine<'a> {
    /// Before anything is known.
    pub fn new(insns: &'a [Insn], env: &'a Env<'a>) -> Machine<'a> {
        Machine {
            insns,
            env,
            lines: Vec::new(),
            fresh: FIRST_FRESH,
            found: Accepted::default(),
            used: [0; crate::state::DEPTH],
            given: [0; crate::state::RECORDS],
        }
    }

    /// A name that nothing has yet.
    pub(crate) fn name(&mut self) -> Result<u32, Why> {
        self.fresh = self.fresh.checked_add(1).ok_or(Why::TooComplex)?;
        Ok(self.fresh)
    }

    /// The second operand of an instruction.
    fn operand(&self, s: &State, i: Insn) -> Result<Value, Why> {
        if i.op & 8 != 0 { s.read(i.src()).copied() } else { Ok(immediate(i)) }
    }

    /// A copy that is known to be one. Constants need no name for that.
    pub(crate) fn copy(&mut self, v: &mut Value) -> Result<Value, Why> {
        if v.id == 0 && v.constant().is_none() {
            v.id = self.name()?;
            (v.delta, v.half) = (0, false);
        }
        Ok(*v)
    }

    /// A copy of a register. r10 needs no name: it never changes.
    pub(crate) fn copy_of(&mut self, s: &mut State, r: u8) -> Result<Value, Why> {
        let v = s.read(r)?;
        if r == 10 || v.id != 0 || v.constant().is_some() {
            return Ok(*v);
        }
        s.regs.change(r).map_or(Err(Why::Shape), |v| self.copy(v))
    }

    /// Executes `i`, the instruction in slot `at`.
    pub fn step(&mut self, at: usize, i: Insn, s: &mut State) -> Result<(), Why> {
        if s.gaps.is_empty() {
            return self.one(at, i, s);
        }
        let (old, by) = (*s.reg(i.dst()), self.operand(s, i));
        self.one(at, i, s)?;
        self.follow(i, old, by.ok(), s);
        Ok(())
    }

    /// Keeps gaps true after an instruction before which its destination was `old` and its operand `by`.
    fn follow(&self, i: Insn, old: Value, by: Option<Value>, s: &mut State) {
        let (d, wide) = (i.dst(), i.op & 7 == CLASS_ALU64);
        let written = match i.op & 7 {
            CLASS_ALU | CLASS_ALU64 | CLASS_LD | CLASS_LDX => 1 << d,
            CLASS_ST => 0,
            CLASS_STX if i.op & MODE == MODE_ATOMIC => 1 | 1 << i.src(),
            CLASS_STX => 0,
            _ => 0x3f,
        };
        let adds = matches!(i.op & 7, CLASS_ALU | CLASS_ALU64) && matches!(i.operation(), ADD | SUB);
        let (same, subtracts) = (i.op & 8 != 0 && i.src() == d, i.operation() == SUB);
        let by = by.filter(|v| adds && !same && v.kind == Kind::Number);
        s.gaps.retain_mut(|g| {
            if (1u16 << g.of | 1 << g.from) & written == 0 {
                return true;
            }
            // What is added to the one is added to the difference, what is added to the other is taken away from it.
            let Some(by) = by.filter(|_| g.of != g.from) else { return false };
            let minus = subtracts != (g.from == d);
            let Some((lo, hi)) = change(&by, minus, wide) else { return false };
            let exact = wide || change(&by, subtracts, false).is_some_and(|(lo, hi)| exact(&old, lo, hi));
            let n = if wide { by.num } else { by.num.sext(32) };
            let num = if minus { g.value.num.sub(n) } else { g.value.num.add(n) };
            g.value.num = if exact { num } else { Number { r32: num.r32, ..Number::TOP } };
            g.value.moved = self.shifted(g.value.moved, lo, hi, exact);
            true
        });
    }

    fn one(&mut self, at: usize, i: Insn, s: &mut State) -> Result<(), Why> {
        match i.op & 7 {
            CLASS_ALU | CLASS_ALU64 => self.alu(i, s),
            CLASS_LD => self.wide_load(at, i, s),
            CLASS_LDX => self.load(i, s),
            CLASS_ST => self.store(i, s, immediate(i)),
            CLASS_STX if i.op == ATOMICW || i.op == ATOMICDW => self.atomic(i, s),
            CLASS_STX => {
                let v = *s.read(i.src())?;
                self.store(i, s, v)
            }
            _ if i.op == CALL => self.helper(at, i.imm as u32, s),
            _ => match s.number(i.dst())?.constant().and_then(|id| u32::try_from(id).ok()) {
                Some(id) => self.helper(at, id, s),
                None => Err(Why::UnknownHelper),
            },
        }
    }

    fn wide_load(&mut self, at: usize, i: Insn, s: &mut State) -> Result<(), Why> {
        let high = self.insns.get(at + 1).ok_or(Why::Shape)?.imm as u32;
        let index = i.imm as u32;
        if i.src() == pseudo::IMM64 {
            s.write(i.dst(), Value::number(Number::of(index as u64 | (high as u64) << 32)));
            return Ok(());
        }
        let high = high as i32;
        let map = self.env.maps.get(index as usize).ok_or(Why::WrongMap)?;
        if !self.found.maps.contains(&index) {
            self.found.maps.push(index);
        }
        let v = if i.src() == pseudo::MAP {
            Value::pointer(Kind::Map, index)
        } else {
            let offset = map.value_offset(high).ok_or(Why::WrongMap)?;
            Value { num: Number::of(offset as u64), ..Value::pointer(Kind::Value, index) }
        };
        s.write(i.dst(), v);
        Ok(())
    }

    fn alu(&mut self, i: Insn, s: &mut State) -> Result<(), Why> {
        let (op, d, wide) = (i.operation(), i.dst(), i.op & 7 == CLASS_ALU64);
        let r = if op == MOV {
            self.mov(i, s, wide)?
        } else if op == END {
            // In whatever order: some bytes.
            s.number(d).map(|_| Value::number(Number::of_width(i.imm as u32)))?
        } else {
            let (a, b) = (s.read(d)?, self.operand(s, i)?);
            if a.kind == Kind::Number && b.kind == Kind::Number {
                self.number(i, a, &b, wide)
            } else {
                self.pointer(i, a, &b, wide)?
            }
        };
        s.write(d, r);
        Ok(())
    }

    /// The result of arithmetic on numbers, with what follows from what relates these to others.
    fn number(&self, i: Insn, a: &Value, b: &Value, wide: bool) -> Value {
        let (op, same) = (i.operation(), i.op & 8 != 0 && i.src() == i.dst());
        let mut r = Value::number(alu::result(op, i.off, wide, same, &a.num, &b.num));
        match (op, b.num.constant()) {
            (ADD | SUB, _) if same => {}
            (ADD, _) => {
                self.carry(&mut r, a, b, false, wide);
                self.carry(&mut r, b, a, false, wide);
            }
            (SUB, _) => self.carry(&mut r, a, b, true, wide),
            (MUL, _) => {
                let small = a.num.r64.unsigned().1 <= u32::MAX as u64;
                if same && wide && small && a.delta == 0 && !a.half {
                    r.root = a.id;
                }
            }
            (DIV | LSH | RSH | ARSH, Some(by)) => r.moved = self.scaled(op, i.off, wide, a, by),
            _ => {}
        }
        r
    }

    /// What relates `v` to others, or moves it, does so with `r`, which is `v` and `by` added, or `by` taken away.
    fn carry(&self, r: &mut Value, v: &Value, by: &Value, minus: bool, wide: bool) {
        let Some((lo, hi)) = change(by, minus, wide).filter(|_| v.id != 0 || v.moved.line != 0) else {
            return;
        };
        let exact = wide || exact(v, lo, hi);
        if r.id == 0 && v.id != 0 && lo == hi && r.kind == v.kind {
            (r.id, r.delta, r.half) = (v.id, v.delta.wrapping_add(lo as u64), v.half || !exact);
        }
        if r.moved.line == 0 {
            let curved = self.curved(&v.moved, by, wide).filter(|_| !minus && r.kind == Kind::Number);
            r.moved = match curved {
                // Modulo 2^32, the other may be any of several numbers.
                Some(m) => Moved { half: m.half || !wide, ..m },
                None => self.shifted(v.moved, lo, hi, exact),
            };
        }
    }

    fn mov(&mut self, i: Insn, s: &mut State, wide: bool) -> Result<Value, Why> {
        if i.op & 8 == 0 {
            let v = i.imm as i64 as u64;
            return Ok(Value::number(Number::of(if wide { v } else { v as u32 as u64 })));
        }
        if i.off == 0 && wide {
            return self.copy_of(s, i.src());
        }
        let v = s.number(i.src())?.num;
        if i.off != 0 {
            return Ok(Value::number(alu::result(MOV, i.off, wide, false, &v, &v)));
        }
        let copy = self.copy_of(s, i.src())?;
        Ok(self.low_half(copy))
    }

    /// The low 32 bits of a number, zero-extended.
    pub(crate) fn low_half(&self, v: Value) -> Value {
        let whole = v.num.r64.unsigned().1 <= u32::MAX as u64;
        let moved = self.shifted(v.moved, 0, 0, whole);
        Value { num: v.num.zext32(), half: v.half || !whole, root: 0, moved, ..v }
    }

    fn pointer(&mut self, i: Insn, a: &Value, b: &Value, wide: bool) -> Result<Value, Why> {
        let movable = |v: &Value| v.is_pointer() && !v.null && v.kind != Kind::Map;
        let (op, blame) = (i.operation(), if a.is_pointer() { i.dst() } else { i.src() });
        if op == SUB && wide && movable(a) && a.same_memory(b) && !b.null {
            return Ok(Value::number(a.num.sub(b.num)));
        }
        let (p, n) = if a.is_pointer() || op == SUB { (a, b) } else { (b, a) };
        if !wide || !matches!(op, ADD | SUB) || !movable(p) || n.kind != Kind::Number {
            return Err(Why::NotANumber { register: blame });
        }
        let num = if op == ADD { p.num.add(n.num) } else { p.num.sub(n.num) };
        let mut r = Value { num, ..p.alone() };
        self.carry(&mut r, p, n, op == SUB, true);
        if op == ADD {
            // An index that moves, added to an address that does not.
            self.carry(&mut r, n, p, false, true);
        }
        Ok(r)
    }

    /// Plus something in `lo..=hi`; `exact` unless only the low 32 bits are.
    fn shifted(&self, m: Moved, lo: i64, hi: i64, exact: bool) -> Moved {
        let Some(line) = (m.line as usize).checked_sub(1).and_then(|l| self.lines.get(l)) else {
            return Moved::default();
        };
        // Of the number of bits, only adding nothing says something, and of that of half a number nothing.
        if line.form == Form::Length && ((lo, hi) != (0, 0) || !exact && !m.half) {
            return Moved::default();
        }
        Moved { half: m.half || !exact, ..m }.plus(lo, hi)
    }

    /// Plus a value that itself grows along a line of the same loop, if the line of the first curves.
    fn curved(&self, m: &Moved, by: &Value, wide: bool) -> Option<Moved> {
        let line = |m: &Moved| self.lines.get((m.line as usize).checked_sub(1)?);
        let (line, other) = (line(m)?, line(&by.moved)?);
        let plain = other.form == Form::Sum && other.curve == 0 && by.moved.rise == 0;
        let fits = plain && other.ghost == line.ghost && other.low >= 0 && (0..1 << 32).contains(&other.high);
        if line.curve == 0 || !fits || wide && by.moved.half {
            return None;
        }
        // The other was `start`, and grew by what its line says.
        let (least, most) = if wide { other.start.r64.signed() } else { other.start.r32.signed() };
        let lo = m.lo.checked_add(least)?.checked_add(by.moved.lo)?;
        let hi = m.hi.checked_add(most)?.checked_add(by.moved.hi)?;
        let rise = m.rise.checked_add(other.high).filter(|r| *r < 1 << 40)?;
        Some(Moved { lo, hi, rise, ..*m })
    }

    /// Divided by, or shifted by, the constant `by`: how many bits the number has moves.
    fn scaled(&self, op: u8, off: i16, wide: bool, a: &Value, by: u64) -> Moved {
        let m = a.moved;
        let small = a.num.r64.unsigned().1 <= u32::MAX as u64;
        let lengths =
            m.line != 0 && self.lines.get(m.line as usize - 1).is_some_and(|l| l.form == Form::Length);
        // The line must speak of the very bits that the operation takes.
        if !lengths || !small && m.half == wide {
            return Moved::default();
        }
        let (width, n) = if wide { (64, a.num) } else { (32, a.num.zext32()) };
        let (least, most) = n.r64.unsigned();
        let count = (by % width) as i64;
        let (down, up) = match op {
            RSH => (-count, -count),
            ARSH if most >> (width - 1) == 0 => (-count, -count),
            DIV if off == 0 && by >= 1 && by <= u32::MAX as u64 => {
                let log = by.ilog2() as i64;
                (if by.is_power_of_two() { -log } else { -log - 1 }, -log)
            }
            LSH if least >= 1 && (most.leading_zeros() as i64) - (64 - width as i64) >= count => {
                (count, count)
            }
            _ => return Moved::default(),
        };
        Moved { half: !wide, ..m }.plus(down, up)
    }
}

/// The immediate of an instruction.
#[inline]
pub(crate) fn immediate(i: Insn) -> Value {
    Value::number(Number::of(i.imm as i64 as u64))
}

/// The operands of arithmetic or of a comparison are numbers.
pub(crate) fn on_numbers(i: Insn, s: &State) -> bool {
    let number = |r: u8| s.reg(r).kind == Kind::Number;
    let jump = matches!(i.op & 7, CLASS_JMP | CLASS_JMP32);
    let (op, register) = (i.operation(), i.op & 8 != 0 && (jump || i.operation() != END));
    (number(i.dst()) || op == MOV && !jump) && (!register || number(i.src()))
}

/// Arithmetic of which nobody needs to know what it results in: some number. Does nothing, and says so, where it is something
/// else, or results in no number.
pub(crate) fn forget(i: Insn, s: &mut State) -> bool {
    let forgets = matches!(i.op & 7, CLASS_ALU | CLASS_ALU64) && s.gaps.is_empty() && on_numbers(i, s);
    if forgets {
        s.regs.forget(i.dst());
    }
    forgets
}

/// The sum of the low half of `v` and something in `lo..=hi` is the whole sum: nothing is carried out of it.
fn exact(v: &Value, lo: i64, hi: i64) -> bool {
    let (least, most) = v.num.r64.unsigned();
    most <= u32::MAX as u64
        && least as i128 + lo as i128 >= 0
        && most as i128 + hi as i128 <= u32::MAX as i128
}

/// What adding `by` to a number, or taking it away, changes: modulo 2^64, or 2^32 of the low halves.
fn change(by: &Value, minus: bool, wide: bool) -> Option<(i64, i64)> {
    let (lo, hi) = if wide { by.num.r64.signed() } else { by.num.r32.signed() };
    if minus { Some((hi.checked_neg()?, lo.checked_neg()?)) } else { Some((lo, hi)) }
}
