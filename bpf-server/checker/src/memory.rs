//! Loads, stores and atomics: whether each lies in its memory, and what is known of what it reads.

use crate::Number;
use crate::fault::Why;
use crate::ring::Ring;
use crate::state::{FRAME, Kind, State, Value, slot};
use crate::step::Machine;
use axiom_bpf_isa::{Insn, atomic, opcode::*};

/// Where an access goes: into what, and the bytes where it may start, in their memory; for a stack, from the lowest address.
#[derive(Clone, Copy)]
pub(crate) struct Span {
    pub(crate) kind: Kind,
    pub(crate) at: u32,
    low: i64,
    high: i64,
    size: i64,
}

impl Span {
    pub(crate) fn exact(&self) -> bool {
        self.low == self.high
    }
    /// First byte, and how many may be touched.
    pub(crate) fn bytes(&self) -> (usize, usize) {
        (self.low as usize, (self.high - self.low + self.size) as usize)
    }
}

impl Machine<'_> {
    /// Bytes of a pointer's memory, and whether they may be written.
    fn memory(&self, v: &Value) -> Option<(i64, bool)> {
        Some(match v.kind {
            Kind::Stack => (FRAME, true),
            Kind::Ctx => (self.env.ctx.size as i64, false),
            Kind::Value => {
                let map = self.env.maps.get(v.at as usize)?;
                (map.value_size as i64, !map.read_only)
            }
            Kind::Record => (v.of as i64, true),
            _ => return None,
        })
    }

    /// Where a pointer may point, from its memory's first byte; `None` if it need not be inside or right behind it.
    pub(crate) fn inside(&self, v: &Value) -> Option<(i64, i64)> {
        let (size, _) = self.memory(v)?;
        let base = if v.kind == Kind::Stack { FRAME as u64 } else { 0 };
        let (low, high) = v.num.r64.add(Ring::of(base)).signed();
        (low >= 0 && high <= size).then_some((low, high))
    }

    /// Checks that `size` bytes at `register + off` lie in the pointer's memory.
    pub(crate) fn access(
        &mut self,
        s: &State,
        register: u8,
        off: i64,
        size: i64,
        write: bool,
    ) -> Result<Span, Why> {
        let v = s.read(register)?;
        let (end, writable) = self.memory(v).ok_or(Why::NotAnAddress { register })?;
        if v.null {
            return Err(Why::MaybeNull { register });
        }
        let base = if v.kind == Kind::Stack { FRAME } else { 0 };
        let (low, high) = v.num.r64.add(Ring::of((off + base) as u64)).signed();
        if low < 0 || size > end || high > end - size {
            return Err(Why::OutOfBounds);
        }
        if write && !writable {
            return Err(Why::ReadOnly);
        }
        if v.kind == Kind::Stack {
            let used = self.used.get_mut(v.at as usize).ok_or(Why::OutOfBounds)?;
            *used = (*used).max((FRAME - low) as u16);
        }
        Ok(Span { kind: v.kind, at: v.at, low, high, size })
    }

    /// The bytes of a frame can be read as numbers.
    pub(crate) fn read_stack(&mut self, s: &State, span: &Span) -> Result<(), Why> {
        let (from, len) = span.bytes();
        let frame = s.frames.get(span.at as usize).ok_or(Why::OutOfBounds)?;
        // What was not written is zero, if frames start out so.
        self.found.zero_stack |= !frame.readable(from, len).ok_or(Why::TornAddress)?;
        Ok(())
    }

    pub(crate) fn load(&mut self, i: Insn, s: &mut State) -> Result<(), Why> {
        let (size, signed) = (size_of(i.op), i.op & MODE == MODE_MEMSX);
        let bits = size as u32 * 8;
        let any = if signed { Number::signed_width(bits) } else { Number::of_width(bits) };
        let span = self.access(s, i.src(), i.off as i64, size, false)?;
        let mut known = None;
        if span.kind == Kind::Stack {
            known = self.load_slot(s, &span, signed)?;
            if known.is_none() {
                self.read_stack(s, &span)?;
            }
        } else if span.kind == Kind::Value && span.exact() {
            known = self.constant_at(s.reg(i.src()), &span, signed).map(Value::number);
        }
        s.write(i.dst(), known.unwrap_or(Value::number(any)));
        Ok(())
    }

    /// What is known of a stack slot, or of the low bytes of one.
    fn load_slot(&mut self, s: &mut State, span: &Span, signed: bool) -> Result<Option<Value>, Why> {
        if !span.exact() {
            return Ok(None);
        }
        let (from, len) = span.bytes();
        let f = s.frames.get(span.at as usize).ok_or(Why::OutOfBounds)?;
        if let Some((k, v)) = slot(from, len).and_then(|k| Some((k, *f.get(k)?))) {
            return Ok(Some(if signed {
                Value::number(v.num.sext(32))
            } else if v.id != 0 || v.constant().is_some() {
                v
            } else {
                self.copy(s.frame(span.at)?.get_mut(k).ok_or(Why::OutOfBounds)?)?
            }));
        }
        let whole = slot(from, 8).and_then(|k| f.get(k)).filter(|v| v.kind == Kind::Number);
        Ok(whole.map(|v| {
            let n = v.num.and(Number::of(u64::MAX >> (64 - len * 8)));
            Value::number(if signed { n.sext(len as u32 * 8) } else { n })
        }))
    }

    /// A constant of `.rodata`.
    fn constant_at(&self, v: &Value, span: &Span, signed: bool) -> Option<Number> {
        let map = self.env.maps.get(v.at as usize)?;
        // The contents that are known are those of the first element.
        if !map.read_only || v.of != 0 && map.max_entries != 1 {
            return None;
        }
        let bytes = (*self.env.contents.get(v.at as usize)?)?;
        let (from, size) = span.bytes();
        let bytes = bytes.get(from..from + size)?;
        let n = Number::of(bytes.iter().rev().fold(0, |v, b| v << 8 | *b as u64));
        Some(if signed { n.sext(size as u32 * 8) } else { n })
    }

    pub(crate) fn store(&mut self, i: Insn, s: &mut State, value: Value) -> Result<(), Why> {
        let size = size_of(i.op);
        let span = self.access(s, i.dst(), i.off as i64, size, true)?;
        let (from, len) = span.bytes();
        if value.is_pointer()
            && !(span.kind == Kind::Stack && span.exact() && slot(from, 8).is_some() && size == 8)
        {
            return Err(Why::Leak);
        }
        if span.kind != Kind::Stack {
            return Ok(());
        }
        if !span.exact() {
            return fill(s, &span);
        }
        let mut value = value;
        if i.op & 7 == CLASS_STX && size >= 4 {
            value = self.copy_of(s, i.src())?;
        }
        if size == 4 {
            value = self.low_half(value);
        }
        let known = (size >= 4).then_some(value);
        s.store(span.at, from, len, known)
    }

    pub(crate) fn atomic(&mut self, i: Insn, s: &mut State) -> Result<(), Why> {
        let size = size_of(i.op);
        s.number(i.src())?;
        if i.imm == atomic::CMPXCHG {
            s.number(0)?;
        }
        let span = self.access(s, i.dst(), i.off as i64, size, true)?;
        let place = s.reg(i.dst()).num.add(Number::of(i.off as i64 as u64));
        if (place.bits.value | place.bits.unknown) & (size as u64 - 1) != 0 {
            return Err(Why::Misaligned);
        }
        if span.kind == Kind::Stack {
            self.read_stack(s, &span)?;
            fill(s, &span)?;
        }
        if i.imm & 1 != 0 {
            let to = if i.imm == atomic::CMPXCHG { 0 } else { i.src() };
            s.write(to, Value::number(Number::of_width(size as u32 * 8)));
        }
        Ok(())
    }
}

/// A number goes to a stack.
pub(crate) fn fill(s: &mut State, span: &Span) -> Result<(), Why> {
    let ((from, len), f) = (span.bytes(), s.frame(span.at)?);
    if span.exact() {
        f.store(from, len, None)
    } else {
        f.forget(from, len)
    }
    Ok(())
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
