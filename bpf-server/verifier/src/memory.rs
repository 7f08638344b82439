//! Loads, stores and atomics: whether each lies in its memory, and what is known of what it reads.

use crate::branch::assign;
use crate::exec::{Machine, Note};
use crate::num::Num;
use crate::report::{Memory, Reason};
use crate::state::{FRAME, Kind, Reg, State, made_at, slot};
use axiom_bpf_checker::ring::Ring;
use axiom_bpf_isa::{Insn, atomic, opcode::*, pseudo};

/// Where an access goes: bytes `low..=high` are where it may start.
#[derive(Clone, Copy)]
pub(crate) struct Span {
    pub low: i64,
    pub high: i64,
    /// There is only one place.
    exact: bool,
}

impl Machine<'_> {
    pub(crate) fn wide_load(&mut self, at: usize, i: Insn, s: &mut State) {
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
            let offset = map.value_offset(high);
            if offset.is_none() {
                self.fail(at, Reason::NoSuchByte { map: index, is: map.map_type, offset: high as u32 });
            }
            let num = Num::of(u64::from(offset.unwrap_or(0)));
            s.regs[d] = Reg { num, ..Reg::pointer(Kind::Value, index) };
        }
    }

    /// The memory of a pointer: what it is called, its first and its last offset plus one.
    pub(crate) fn memory(&self, r: &Reg) -> Option<(Memory, i64, i64)> {
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
    pub(crate) fn access(
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

    pub(crate) fn load(&mut self, at: usize, i: Insn, s: &mut State) {
        let size = size_of(i.op);
        let signed = i.op & MODE == MODE_MEMSX;
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
                let n = v.num.and(Num::of(u64::MAX >> (64 - size * 8)));
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
    pub(crate) fn check_stack(&mut self, at: usize, s: &State, frame: usize, from: usize, len: usize) {
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

    pub(crate) fn store(&mut self, at: usize, i: Insn, s: &mut State, value: Reg) {
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

    pub(crate) fn atomic(&mut self, at: usize, i: Insn, s: &mut State) {
        let size = size_of(i.op);
        self.note(at, Note::None);
        self.read_number(at, s, i.src());
        if i.imm == atomic::CMPXCHG {
            self.read_number(at, s, 0);
        }
        let got = self.access(at, s, i.dst(), i.off as i64, size, true);
        if let Some((r, span)) = got {
            let place = r.num.add(Num::of(i.off as i64 as u64));
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
            let to = if i.imm == atomic::CMPXCHG { 0 } else { i.src() as usize };
            s.regs[to] = Reg::number(Num::of_width(size as u32 * 8));
        }
    }
}

fn memory_name(k: Kind) -> &'static str {
    match k {
        Kind::Value => "a map value",
        Kind::Reserved => "a ring buffer record",
        _ => "the context",
    }
}

/// Bytes of a load or store.
fn size_of(op: u8) -> i64 {
    match op & SIZE {
        SIZE_W => 4,
        SIZE_H => 2,
        SIZE_B => 1,
        _ => 8,
    }
}
