//! What one instruction does to what is known.
//!
//! A rule that is broken is noted in [`Machine::fail`] and the analysis goes on as if the access had stayed inside its
//! memory. That is sound, since a program with a noted failure is refused, and it keeps passes over a loop that has not
//! converged yet from failing: they run with `quiet` set.

use crate::Env;
use crate::num::Num;
use crate::report::{Memory, Reason};
use crate::ring::Ring;
use crate::state::{FRAME, Kind, Reg, State, made_at, slot, why};
use alloc::vec::Vec;
use axiom_bpf_isa::helper;
use axiom_bpf_isa::proto::{self, Arg, HelperProto, Returns};
use axiom_bpf_isa::{Insn, opcode::*, pseudo};

/// What a pass learned about an instruction, for the loop bounds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Note {
    None,
    /// The second operand of an addition or subtraction; for a left shift, that it loses no bits.
    Range(i64, i64),
    /// An access to bytes of the function's own frame, from its lowest address.
    Frame(u16, u16),
}

/// The part of the verifier that instructions need.
pub struct Machine<'a> {
    pub insns: &'a [Insn],
    pub env: &'a Env<'a>,
    /// Failures are not noted.
    pub quiet: bool,
    pub fail: Option<(u32, Reason)>,
    /// Nesting of the function under analysis, 0 = entry.
    pub depth: usize,
    /// Filled only for functions with loops.
    pub notes: Vec<Note>,
    /// Slot of the first note.
    pub notes_from: usize,
    pub helpers: Vec<u32>,
    pub maps: Vec<u32>,
    pub own_calls: Vec<crate::OwnCall>,
    pub zero_stack: bool,
    /// Lowest stack byte used, by depth.
    pub used: [i64; crate::state::DEPTH],
}

/// Where an access goes: bytes `low..=high` are where it may start.
#[derive(Clone, Copy)]
struct Span {
    low: i64,
    high: i64,
    /// There is only one place.
    exact: bool,
}

impl Machine<'_> {
    pub fn fail(&mut self, at: usize, reason: Reason) {
        if !self.quiet && self.fail.is_none() {
            self.fail = Some((at as u32, reason));
        }
    }

    fn note(&mut self, at: usize, note: Note) {
        if let Some(n) = at.checked_sub(self.notes_from).and_then(|i| self.notes.get_mut(i)) {
            *n = note;
        }
    }

    #[inline]
    fn reg(&self, s: &State, r: u8) -> Reg {
        if r < 10 { s.regs[r as usize] } else { Reg::pointer(Kind::Stack, self.depth as u32) }
    }

    /// Reads a register, which must hold something.
    #[inline]
    fn read(&mut self, at: usize, s: &State, r: u8) -> Reg {
        let v = self.reg(s, r);
        if v.kind == Kind::Unusable {
            self.unusable(at, r, v.at);
            return Reg::number(Num::TOP);
        }
        v
    }

    #[cold]
    fn unusable(&mut self, at: usize, register: u8, reason: u32) {
        let reason = match reason {
            why::CALL => Reason::LostByCall { register },
            why::DIFFERS => Reason::DiffersByPath { register },
            why::GIVEN_BACK => Reason::GivenBack { register },
            why::VOID => Reason::NoResult,
            _ => Reason::Unwritten { register },
        };
        self.fail(at, reason);
    }

    /// Reads a register, which must hold a number.
    #[inline]
    fn read_number(&mut self, at: usize, s: &State, r: u8) -> Reg {
        let v = self.read(at, s, r);
        if v.kind != Kind::Number {
            self.fail(at, Reason::PointerArithmetic { register: r });
            return Reg::number(Num::TOP);
        }
        v
    }

    /// Executes anything but jumps, calls of functions and exits.
    #[inline]
    pub fn step(&mut self, at: usize, s: &mut State) {
        let i = self.insns[at];
        match i.op & 7 {
            CLASS_ALU | CLASS_ALU64 => self.alu(at, i, s),
            CLASS_LD => self.wide_load(at, i, s),
            CLASS_LDX => self.load(at, i, s),
            CLASS_ST => {
                let v = Reg::number(Num::of(i.imm as i64 as u64));
                self.store(at, i, s, v);
            }
            CLASS_STX if i.op == 0xc3 || i.op == 0xdb => self.atomic(at, i, s),
            CLASS_STX => {
                let v = self.read(at, s, i.src());
                self.store(at, i, s, v);
            }
            _ => match i.op {
                CALL => self.helper(at, i.imm as u32, s),
                CALLX => match self.read(at, s, i.dst()).constant() {
                    Some(id) if id <= u32::MAX as u64 => self.helper(at, id as u32, s),
                    _ => self.fail(at, Reason::UnknownCallTarget { register: i.dst() }),
                },
                _ => {}
            },
        }
    }

    fn alu(&mut self, at: usize, i: Insn, s: &mut State) {
        let wide = i.op & 7 == CLASS_ALU64;
        let register = i.op & 8 != 0;
        let d = i.dst() as usize;
        let op = i.op & 0xf0;
        if op == 0xb0 {
            return self.mov(at, i, s, wide, register);
        }
        if op == 0xd0 {
            let v = self.read_number(at, s, i.dst());
            let n = match (v.num.constant(), i.imm) {
                (Some(c), bits) => Num::of(swap(c, bits as u32, wide || register)),
                (None, 64) => Num::TOP,
                (None, bits) => Num::of_width(bits as u32),
            };
            s.regs[d] = Reg::number(n);
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
        if op == 0x80 {
            let v = self.read_number(at, s, i.dst());
            s.regs[d] = Reg::number(Num::of(0).sub(v.num, wide));
            return;
        }
        if a.kind != Kind::Number || b.kind != Kind::Number {
            return self.pointer_alu(at, i, s, a, b, wide);
        }
        let (x, y) = (a.num, b.num);
        if let (Some(c), Some(e)) = (x.constant(), y.constant())
            && let Some(v) = constant(op, i.off, c, e, wide)
        {
            let keep = matches!(op, 0x00 | 0x10) && a.id != 0;
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
        let mut result = Reg::number(match op {
            0x00 => x.add(y, wide),
            0x10 if same => Num::of(0),
            0x10 => x.sub(y, wide),
            0x20 => x.mul(y, wide),
            0x30 => x.div(y, i.off == 1, false, wide),
            0x40 => x.or(y, wide),
            0x50 => x.and(y, wide),
            0x60 => x.shl(shift(y), wide),
            0x70 => x.shr(shift(y), wide),
            0x90 => x.div(y, i.off == 1, true, wide),
            0xa0 if same => Num::of(0),
            0xa0 => x.xor(y, wide),
            _ => x.ashr(shift(y), wide),
        });
        if matches!(op, 0x00 | 0x10) {
            if !self.notes.is_empty() && register {
                let (lo, hi) = if wide { y.r64.signed() } else { y.r32.signed() };
                self.note(at, Note::Range(lo, hi));
            }
            // Still equal to its relatives, plus a constant.
            if a.id != 0
                && !same
                && let Some(c) = y.constant()
            {
                let c = if wide { c as i64 } else { c as i32 as i64 };
                let c = if op == 0x10 { c.wrapping_neg() } else { c };
                if let Some(delta) = i32::try_from(c).ok().and_then(|c| a.delta.checked_add(c)) {
                    let exact = wide || exact32(x, c);
                    result = Reg { id: a.id, delta, half: a.half || !exact, root: 0, ..result };
                }
            }
        } else if op == 0x20 && same && wide && a.id != 0 && a.delta == 0 && !a.half {
            if x.r64.unsigned().1 <= u32::MAX as u64 {
                result.root = a.id;
            }
        } else if op == 0x60 && !self.notes.is_empty() {
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
            let n = v.num.sext(i.off as u32);
            s.regs[d] = Reg::number(if wide { n } else { n.zext32() });
            return;
        }
        let exact = v.num.r64.unsigned().1 <= u32::MAX as u64;
        let copy = self.copy(at, s, i.src(), v, !exact);
        s.regs[d] = Reg { num: v.num.zext32(), root: 0, ..copy };
    }

    /// A copy of a register that remembers what it is a copy of.
    fn copy(&mut self, at: usize, s: &mut State, from: u8, v: Reg, half: bool) -> Reg {
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
        let op = i.op & 0xf0;
        let movable = |r: &Reg| r.is_pointer() && !r.null && r.kind != Kind::Map;
        let result = match op {
            0x00 if wide && movable(&a) && b.kind == Kind::Number => {
                let delta = b.num.constant().and_then(|c| i32::try_from(c as i64).ok());
                let delta = delta.and_then(|c| a.delta.checked_add(c)).filter(|_| a.id != 0);
                Some(Reg {
                    num: a.num.add(b.num, true),
                    id: delta.map_or(0, |_| a.id),
                    delta: delta.unwrap_or(0),
                    ..a
                })
            }
            0x00 if wide && movable(&b) && a.kind == Kind::Number => {
                Some(Reg { num: b.num.add(a.num, true), id: 0, delta: 0, ..b })
            }
            0x10 if wide && movable(&a) && b.kind == Kind::Number => {
                Some(Reg { num: a.num.sub(b.num, true), id: 0, delta: 0, ..a })
            }
            0x10 if wide && movable(&a) && movable(&b) && a.same_memory(&b) => {
                Some(Reg::number(a.num.sub(b.num, true)))
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

    fn wide_load(&mut self, at: usize, i: Insn, s: &mut State) {
        let high = self.insns.get(at + 1).map_or(0, |n| n.imm);
        let d = i.dst() as usize;
        if i.src() == pseudo::IMM64 {
            s.regs[d] = Reg::number(Num::of(i.imm as u32 as u64 | (high as u32 as u64) << 32));
            return;
        }
        let Some(map) = usize::try_from(i.imm).ok().and_then(|m| self.env.maps.get(m)) else {
            self.fail(at, Reason::UnknownMap { index: i.imm });
            s.regs[d] = Reg::number(Num::TOP);
            return;
        };
        let index = i.imm as u32;
        if !self.maps.contains(&index) {
            self.maps.push(index);
        }
        if i.src() == pseudo::MAP {
            s.regs[d] = Reg::pointer(Kind::Map, index);
        } else {
            if map.map_type != axiom_bpf_isa::MapType::Array {
                self.fail(at, Reason::WrongMap { helper: "map value address", map: index });
            }
            s.regs[d] = Reg { num: Num::of(high as i64 as u64), ..Reg::pointer(Kind::Value, index) };
        }
    }

    /// The memory of a pointer: what it is called, its first and its last offset plus one.
    fn memory(&self, r: &Reg) -> Option<(Memory, i64, i64)> {
        Some(match r.kind {
            Kind::Stack => (Memory::Stack, -FRAME, 0),
            Kind::Ctx => (Memory::Context, 0, self.env.ctx.size as i64),
            Kind::Value => {
                let size = self.env.maps.get(r.at as usize).map_or(0, |m| m.value_size);
                (Memory::Value { map: r.at }, 0, size as i64)
            }
            Kind::Reserved => (Memory::Reserved, 0, r.size as i64),
            _ => return None,
        })
    }

    /// Checks that `size` bytes at `register + off` lie in the pointer's memory. Afterwards the register is known to
    /// point where they do.
    fn access(
        &mut self,
        at: usize,
        s: &mut State,
        register: u8,
        off: i64,
        size: i64,
        write: bool,
    ) -> Option<(Reg, Span)> {
        let mut r = self.read(at, s, register);
        let Some((memory, first, end)) = self.memory(&r) else {
            self.fail(at, Reason::NotAnAddress { register });
            return None;
        };
        if r.null {
            self.fail(at, Reason::MaybeNull { register, map: (r.kind == Kind::Value).then_some(r.at) });
        }
        let place = r.num.r64.add(Ring::of(off as u64));
        let (mut low, mut high) = place.signed();
        let last = end - size;
        if low < first || high > last {
            let limit = (end - first) as u32;
            self.fail(at, Reason::OutOfBounds { memory, write, low, high, size: size as u32, limit });
            if first > last {
                return None;
            }
            if register < 10 {
                let window = Num { r64: Ring::new((first - off) as u64, (last - off) as u64), ..Num::TOP };
                let mut copy = s.regs[register as usize];
                copy.num = copy.num.meet(window)?;
                assign(s, register, copy, self.depth);
                r.num = copy.num;
            }
            low = low.clamp(first, last);
            high = high.clamp(first, last);
        }
        if r.kind == Kind::Stack {
            if !self.quiet {
                let used = &mut self.used[r.at as usize % crate::state::DEPTH];
                *used = (*used).min(low);
            }
            if r.at as usize == self.depth {
                self.note(at, Note::Frame((low + FRAME) as u16, (high + FRAME + size) as u16));
            }
        }
        if write {
            let read_only = match r.kind {
                Kind::Ctx => true,
                Kind::Value => self.env.maps.get(r.at as usize).is_none_or(|m| m.read_only),
                _ => false,
            };
            if read_only {
                self.fail(at, Reason::ReadOnly { memory });
                return None;
            }
        }
        Some((r, Span { low, high, exact: low == high }))
    }

    fn load(&mut self, at: usize, i: Insn, s: &mut State) {
        let size = size_of(i.op);
        let signed = i.op & 0xe0 == 0x80;
        let any = if signed { Num::signed_width(size as u32 * 8) } else { Num::of_width(size as u32 * 8) };
        self.note(at, Note::None);
        let got = self.access(at, s, i.src(), i.off as i64, size, false);
        let d = i.dst() as usize;
        let Some((r, span)) = got else {
            s.regs[d] = Reg::number(any);
            return;
        };
        let value = match r.kind {
            Kind::Stack => self.load_stack(at, s, r.at as usize, span, size, any, signed),
            Kind::Value if span.exact => {
                Reg::number(self.constant_at(r.at, span.low, size, signed).unwrap_or(any))
            }
            _ => Reg::number(any),
        };
        s.regs[d] = value;
    }

    #[allow(clippy::too_many_arguments)]
    fn load_stack(
        &mut self,
        at: usize,
        s: &mut State,
        frame: usize,
        span: Span,
        size: i64,
        any: Num,
        signed: bool,
    ) -> Reg {
        let from = (span.low + FRAME) as usize;
        let len = (span.high - span.low + size) as usize;
        let empty = crate::state::Frame::default();
        let f = s.frame(frame).unwrap_or(&empty);
        if span.exact && !f.spills.is_empty() {
            let exact = slot(from, size as usize).and_then(|k| Some((k, *f.spill(k)?)));
            if let Some((k, v)) = exact {
                if signed {
                    return Reg::number(v.num.sext(32));
                }
                if v.id != 0 || v.num.constant().is_some() && !v.null {
                    return v;
                }
                let v = Reg { id: made_at(at as u32), delta: 0, half: false, ..v };
                if let Some(x) = s.frame_mut(frame).spills.iter_mut().find(|x| x.0 == k) {
                    x.1 = v;
                }
                return v;
            }
            let whole = slot(from, 8).and_then(|k| f.spill(k)).copied();
            if let Some(v) = whole.filter(|v| v.kind == Kind::Number) {
                let n = v.num.and(Num::of(u64::MAX >> (64 - size * 8)), true);
                return Reg::number(if signed { n.sext(size as u32 * 8) } else { n });
            }
        }
        if f.holds_pointer(from, len) {
            self.fail(at, Reason::PointerLeak { into: "a part of its stack slot" });
            return Reg::number(any);
        }
        self.check_stack(at, s, frame, from, len);
        Reg::number(any)
    }

    /// Bytes of a frame must have been written.
    fn check_stack(&mut self, at: usize, s: &State, frame: usize, from: usize, len: usize) {
        let known = s.frame(frame).map_or(Some(false).filter(|_| len == 0), |f| f.readable(from, len));
        match known {
            Some(true) => {}
            Some(false) => self.zero_stack |= !self.quiet,
            None => {
                let bad = (from..from + len)
                    .find(|b| s.frame(frame).is_none_or(|f| f.readable(*b, 1).is_none()))
                    .unwrap_or(from);
                let run = (bad..from + len)
                    .take_while(|b| s.frame(frame).is_none_or(|f| f.readable(*b, 1).is_none()))
                    .count();
                self.fail(at, Reason::UnwrittenStack { offset: bad as i64 - FRAME, size: run as u32 });
            }
        }
    }

    /// A constant of `.rodata`.
    fn constant_at(&self, map: u32, offset: i64, size: i64, signed: bool) -> Option<Num> {
        if !self.env.maps.get(map as usize)?.read_only {
            return None;
        }
        let bytes = (*self.env.contents.get(map as usize)?)?;
        let bytes = bytes.get(offset as usize..(offset + size) as usize)?;
        let mut v = [0u8; 8];
        v[..size as usize].copy_from_slice(bytes);
        let v = u64::from_le_bytes(v);
        let up = 64 - size as u32 * 8;
        Some(Num::of(if signed { ((v << up) as i64 >> up) as u64 } else { v }))
    }

    fn store(&mut self, at: usize, i: Insn, s: &mut State, value: Reg) {
        let size = size_of(i.op);
        self.note(at, Note::None);
        let Some((r, span)) = self.access(at, s, i.dst(), i.off as i64, size, true) else { return };
        if r.kind != Kind::Stack {
            if value.is_pointer() {
                self.fail(at, Reason::PointerLeak { into: memory_name(r.kind) });
            }
            return;
        }
        let from = (span.low + FRAME) as usize;
        if value.is_pointer() && !(span.exact && size == 8 && from.is_multiple_of(8)) {
            self.fail(at, Reason::PointerLeak { into: "a stack slot that is not 8 aligned bytes" });
        }
        let frame = r.at as usize;
        if span.exact {
            let mut value = value;
            if size >= 4 && value.kind == Kind::Number {
                let half = size == 4 && value.num.r64.unsigned().1 > u32::MAX as u64;
                if value.num.constant().is_none() && i.op & 7 == CLASS_STX {
                    value = self.copy(at, s, i.src(), value, half);
                }
                value.root = 0;
                if size == 4 {
                    value.num = value.num.zext32();
                }
            }
            s.frame_mut(frame).store(from, size as usize, Some(value).filter(|_| size >= 4));
        } else {
            s.frame_mut(frame).store_within(from, (span.high - span.low + size) as usize);
        }
    }

    fn atomic(&mut self, at: usize, i: Insn, s: &mut State) {
        let size = size_of(i.op);
        self.note(at, Note::None);
        self.read_number(at, s, i.src());
        if i.imm == 0xf1 {
            self.read_number(at, s, 0);
        }
        let got = self.access(at, s, i.dst(), i.off as i64, size, true);
        if let Some((r, span)) = got {
            let place = r.num.add(Num::of(i.off as i64 as u64), true);
            if (place.bits.value | place.bits.unknown) & (size as u64 - 1) != 0 {
                self.fail(at, Reason::Misaligned { size: size as u32 });
            }
            if r.kind == Kind::Stack {
                let (from, len) = ((span.low + FRAME) as usize, (span.high - span.low + size) as usize);
                let frame = r.at as usize;
                if s.frame(frame).is_some_and(|f| f.holds_pointer(from, len)) {
                    self.fail(at, Reason::PointerLeak { into: "an atomic operation" });
                }
                self.check_stack(at, s, frame, from, len);
                if span.exact {
                    s.frame_mut(frame).store(from, len, None);
                } else {
                    s.frame_mut(frame).store_within(from, len);
                }
            }
        }
        if i.imm & 1 != 0 {
            let to = if i.imm == 0xf1 { 0 } else { i.src() as usize };
            s.regs[to] = Reg::number(Num::of_width(size as u32 * 8));
        }
    }

    fn helper(&mut self, at: usize, id: u32, s: &mut State) {
        let Some(p) = proto::find(id).filter(|p| self.env.helpers.is_none_or(|h| h.contains(&p.id))) else {
            self.fail(at, Reason::UnknownHelper { id });
            clobber(s);
            s.regs[0] = Reg::number(Num::TOP);
            return;
        };
        if !self.helpers.contains(&id) {
            self.helpers.push(id);
        }
        if id >= helper::OWN_FIRST && !self.quiet {
            self.own_call(at, id, s);
        }
        let mut map = None;
        let mut reserve = 0;
        for n in 0..5 {
            let r = n as u8 + 1;
            match p.args[n] {
                Arg::None => {}
                Arg::Number => {
                    if self.read(at, s, r).kind != Kind::Number {
                        self.argument(at, p, r, "a number");
                    }
                }
                Arg::Map => {
                    let v = self.read(at, s, r);
                    let def = self.env.maps.get(v.at as usize).filter(|_| v.kind == Kind::Map);
                    match def {
                        None => self.argument(at, p, r, "a map"),
                        Some(d) => {
                            map = Some((v.at, *d));
                            if !p.maps.contains(&d.map_type) {
                                self.fail(at, Reason::WrongMap { helper: p.name, map: v.at });
                            }
                            if d.read_only && p.writes_map {
                                self.fail(at, Reason::ReadOnly { memory: Memory::Value { map: v.at } });
                            }
                        }
                    }
                }
                Arg::Key => {
                    let size = map.map_or(0, |m| m.1.key_size);
                    self.readable(at, s, p, r, size as i64, "the address of a key");
                }
                Arg::Value => {
                    let size = map.map_or(0, |m| m.1.value_size);
                    self.readable(at, s, p, r, size as i64, "the address of a value");
                }
                Arg::Memory => {
                    let size = self.read(at, s, r + 1);
                    let (_, most) = size.num.r64.unsigned();
                    if size.kind != Kind::Number {
                        self.argument(at, p, r + 1, "a size");
                    } else if most > i32::MAX as u64 {
                        self.fail(at, Reason::SizeUnbounded { helper: p.name, argument: r + 1 });
                    } else {
                        self.readable(at, s, p, r, most as i64, "the address of readable memory");
                    }
                }
                Arg::Size => {}
                Arg::ConstSize => {
                    let size = self.read(at, s, r).constant().unwrap_or(0);
                    let limit = map.map_or(0, |m| m.1.max_entries as u64);
                    if size == 0 || size > limit {
                        self.argument(at, p, r, "a constant size, not 0 and not larger than the ring buffer");
                    } else {
                        reserve = size as u32;
                    }
                }
                Arg::Reservation => {
                    let v = self.read(at, s, r);
                    let start = v.num.constant() == Some(0);
                    if v.kind != Kind::Reserved || !start {
                        self.argument(at, p, r, "the address that bpf_ringbuf_reserve returned");
                    } else if v.null {
                        self.fail(at, Reason::MaybeNull { register: r, map: None });
                    }
                    if v.kind == Kind::Reserved {
                        s.release(v.at, self.depth);
                    }
                }
            }
        }
        clobber(s);
        s.regs[0] = match p.returns {
            Returns::Nothing => Reg::unusable(why::VOID),
            Returns::Number => Reg::number(Num::TOP),
            Returns::Number32 => Reg::number(Num::of_width(32)),
            Returns::ValueOrNull => match map {
                Some((m, _)) => Reg { null: true, id: made_at(at as u32), ..Reg::pointer(Kind::Value, m) },
                None => Reg::number(Num::TOP),
            },
            Returns::ReservationOrNull => {
                let site = at as u32;
                if s.holds(site) {
                    self.fail(at, Reason::StillHeld { reserved_at: site });
                    s.release(site, self.depth);
                }
                if !s.hold(site) {
                    self.fail(at, Reason::TooManyHeld);
                }
                Reg { null: true, id: made_at(site), size: reserve, ..Reg::pointer(Kind::Reserved, site) }
            }
        };
    }

    #[cold]
    fn own_call(&mut self, at: usize, id: u32, s: &State) {
        let constant = |r: usize| s.regs[r].constant();
        let call = crate::OwnCall { insn: at as u32, helper: id, args: [constant(1), constant(2)] };
        if !self.own_calls.contains(&call) {
            self.own_calls.push(call);
        }
    }

    #[cold]
    fn argument(&mut self, at: usize, p: &HelperProto, argument: u8, wants: &'static str) {
        self.fail(at, Reason::Argument { helper: p.name, argument, wants });
    }

    /// An argument that points to `size` readable bytes.
    fn readable(&mut self, at: usize, s: &mut State, p: &HelperProto, r: u8, size: i64, wants: &'static str) {
        let v = self.read(at, s, r);
        if !v.is_pointer() || v.kind == Kind::Map {
            return self.argument(at, p, r, wants);
        }
        if size == 0 && !v.null {
            return;
        }
        let Some((v, span)) = self.access(at, s, r, 0, size, false) else { return };
        if v.kind == Kind::Stack {
            let (from, len) = ((span.low + FRAME) as usize, (span.high - span.low + size) as usize);
            if s.frame(v.at as usize).is_some_and(|f| f.holds_pointer(from, len)) {
                return self.fail(at, Reason::PointerLeak { into: "a map or a ring buffer" });
            }
            self.check_stack(at, s, v.at as usize, from, len);
        }
    }

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
        let op = i.op & 0xf0;
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
                if self.learn(&mut t, i, register, x, y) {
                    *taken = Some(t);
                }
            }
            return match no {
                Some((x, y)) => self.learn(s, i, register, x, y),
                None => false,
            };
        }
        // Null checks.
        let equality = matches!(op, 0x10 | 0x50);
        let zero_b = b.constant() == Some(0);
        if equality && wide && zero_b && a.is_pointer() {
            let known = self.in_memory(&a);
            if a.null {
                let mut t = copy(s);
                self.null(&mut t, i.dst(), op == 0x10);
                *taken = Some(t);
                self.null(s, i.dst(), op == 0x50);
                return true;
            }
            if known {
                if op == 0x50 {
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
                let (x, y) = (a.num.add(up, true), b.num.add(up, true));
                let signed_as_unsigned = match op {
                    0x60 => 0x20,
                    0x70 => 0x30,
                    0xc0 => 0xa0,
                    0xd0 => 0xb0,
                    o => o,
                };
                // Signed order of addresses is not the order of offsets if the memory lies across the sign change.
                if signed_as_unsigned == op && op != 0x40 {
                    let yes = refine(op, x, y, true, true);
                    let no = refine(op, x, y, true, false);
                    if let Some((x, y)) = yes {
                        let mut t = copy(s);
                        if self.learn(&mut t, i, register, x.add(down, true), y.add(down, true)) {
                            *taken = Some(t);
                        }
                    }
                    return match no {
                        Some((x, y)) => self.learn(s, i, register, x.add(down, true), y.add(down, true)),
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
    fn learn(&mut self, s: &mut State, i: Insn, register: bool, a: Num, b: Num) -> bool {
        let mut possible = true;
        if i.dst() < 10 {
            let r = Reg { num: a, ..s.regs[i.dst() as usize] };
            possible &= assign(s, i.dst(), r, self.depth);
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

/// Narrows a register and everything equal to it; false if that leaves nothing.
fn assign(s: &mut State, register: u8, r: Reg, depth: usize) -> bool {
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
                let told = Num::between(0, most).add(Num::of(x.delta as i64 as u64), true);
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
        let moved = r.num.add(apart, true);
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

/// Additions of `c` that cannot leave 32 bits.
fn exact32(x: Num, c: i64) -> bool {
    let (lo, hi) = x.r64.unsigned();
    hi <= u32::MAX as u64 && lo as i64 + c >= 0 && hi as i64 + c <= u32::MAX as i64
}

fn memory_name(k: Kind) -> &'static str {
    match k {
        Kind::Value => "a map value",
        Kind::Reserved => "a ring buffer record",
        _ => "the context",
    }
}

/// Calls overwrite r0 to r5.
pub fn clobber(s: &mut State) {
    for r in &mut s.regs[..6] {
        *r = Reg::unusable(why::CALL);
    }
}

/// Bytes of a load or store.
fn size_of(op: u8) -> i64 {
    match op & 0x18 {
        0x00 => 4,
        0x08 => 2,
        0x10 => 1,
        _ => 8,
    }
}

fn swap(v: u64, bits: u32, reverse: bool) -> u64 {
    match (bits, reverse) {
        (16, true) => (v as u16).swap_bytes() as u64,
        (32, true) => (v as u32).swap_bytes() as u64,
        (64, true) => v.swap_bytes(),
        (16, false) => v as u16 as u64,
        (32, false) => v as u32 as u64,
        _ => v,
    }
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
    let by = known.map(|c| (c as u32 & if wide { 63 } else { 31 }, c as u32 & if wide { 63 } else { 31 }));
    Some(match op {
        0x10 | 0xa0 if same => Num::of(0),
        0x00 => x.add(y, wide),
        0x10 => x.sub(y, wide),
        0x20 => x.mul(y, wide),
        0x40 => x.or(y, wide),
        0x50 => x.and(y, wide),
        0xa0 => x.xor(y, wide),
        0x60 => x.shl(by?, wide),
        0x70 => x.shr(by?, wide),
        0xc0 => x.ashr(by?, wide),
        _ => return None,
    })
}

/// The common operations on constants.
#[inline]
fn constant(op: u8, off: i16, x: u64, y: u64, wide: bool) -> Option<u64> {
    let v = match op {
        0x00 => x.wrapping_add(y),
        0x10 => x.wrapping_sub(y),
        0x20 => x.wrapping_mul(y),
        0x30 if off == 0 && wide => x.checked_div(y).unwrap_or(0),
        0x30 if off == 0 => (x as u32).checked_div(y as u32).unwrap_or(0) as u64,
        0x90 if off == 0 && wide => x.checked_rem(y).unwrap_or(x),
        0x90 if off == 0 => (x as u32).checked_rem(y as u32).unwrap_or(x as u32) as u64,
        0x40 => x | y,
        0x50 => x & y,
        0xa0 => x ^ y,
        0x60 if wide => x.wrapping_shl(y as u32),
        0x60 => (x as u32).wrapping_shl(y as u32) as u64,
        0x70 if wide => x.wrapping_shr(y as u32),
        0x70 => (x as u32).wrapping_shr(y as u32) as u64,
        0xc0 if wide => (x as i64).wrapping_shr(y as u32) as u64,
        0xc0 => (x as i32).wrapping_shr(y as u32) as u32 as u64,
        _ => return None,
    };
    Some(if wide { v } else { v as u32 as u64 })
}

pub(crate) fn compare(op: u8, x: u64, y: u64, wide: bool) -> bool {
    let (x, y, a, b) = if wide {
        (x, y, x as i64, y as i64)
    } else {
        (x as u32 as u64, y as u32 as u64, x as i32 as i64, y as i32 as i64)
    };
    match op {
        0x10 => x == y,
        0x20 => x > y,
        0x30 => x >= y,
        0x40 => x & y != 0,
        0x50 => x != y,
        0x60 => a > b,
        0x70 => a >= b,
        0xa0 => x < y,
        0xb0 => x <= y,
        0xc0 => a < b,
        _ => a <= b,
    }
}

/// The operands of a comparison that came out as `holds`; `None` if it cannot.
pub(crate) fn refine(op: u8, a: Num, b: Num, wide: bool, holds: bool) -> Option<(Num, Num)> {
    let (mut a, mut b) = (a, b);
    if op == 0x40 {
        let Some(mask) = b.constant().map(|m| if wide { m } else { m as u32 as u64 }) else {
            return Some((a, b));
        };
        if holds {
            if mask.is_power_of_two() {
                if (a.bits.value | a.bits.unknown) & mask == 0 {
                    return None;
                }
                a.bits.value |= mask;
                a.bits.unknown &= !mask;
            } else if (a.bits.value | a.bits.unknown) & mask == 0 {
                return None;
            }
        } else {
            if a.bits.value & mask != 0 {
                return None;
            }
            a.bits.unknown &= !mask;
        }
        return a.reduce().then_some((a, b));
    }
    let op = if holds {
        op
    } else {
        match op {
            0x10 => 0x50,
            0x50 => 0x10,
            0x20 => 0xb0,
            0xb0 => 0x20,
            0x30 => 0xa0,
            0xa0 => 0x30,
            0x60 => 0xd0,
            0xd0 => 0x60,
            0x70 => 0xc0,
            _ => 0x70,
        }
    };
    if wide {
        (a.r64, b.r64) = cut(op, a.r64, b.r64)?;
        if op == 0x10 {
            let m = a.meet(b)?;
            return Some((m, m));
        }
    } else {
        (a.r32, b.r32) = cut(op, a.r32, b.r32)?;
    }
    (a.reduce() && b.reduce()).then_some((a, b))
}

/// The parts of two intervals for which a comparison holds.
fn cut<const B: u32>(op: u8, a: Ring<B>, b: Ring<B>) -> Option<(Ring<B>, Ring<B>)> {
    let top = Ring::<B>::MASK;
    let sign = 1u64 << (B - 1);
    Some(match op {
        0x10 => {
            let m = a.meet(b)?;
            (m, m)
        }
        0x50 => {
            let x = match b.constant() {
                Some(v) => a.without(v)?,
                None => a,
            };
            let y = match a.constant() {
                Some(v) => b.without(v)?,
                None => b,
            };
            (x, y)
        }
        0x20 | 0x30 | 0x60 | 0x70 => {
            let mirrored = match op {
                0x20 => 0xa0,
                0x30 => 0xb0,
                0x60 => 0xc0,
                _ => 0xd0,
            };
            let (y, x) = cut(mirrored, b, a)?;
            (x, y)
        }
        0xa0 | 0xb0 => {
            let strict = u64::from(op == 0xa0);
            let most = b.unsigned().1.checked_sub(strict)?;
            let least = a.unsigned().0;
            if strict == 1 && least == top {
                return None;
            }
            (a.meet(Ring::new(0, most))?, b.meet(Ring::new(least + strict, top))?)
        }
        _ => {
            let strict = i64::from(op == 0xc0);
            let most = b.signed().1;
            let least = a.signed().0;
            let (min, max) = Ring::<B>::TOP.signed();
            if strict == 1 && (most == min || least == max) {
                return None;
            }
            let (most, least) = ((most - strict) as u64, (least + strict) as u64);
            (a.meet(Ring::new(sign, most))?, b.meet(Ring::new(least, sign - 1))?)
        }
    })
}
