//! The proof: what it says, and how it is read. It is written by who finds it (`axiom-bpf-verifier`).
//!
//! A proof is a list of contexts, each a function as it is called in one or several places, callees before callers; the
//! last is the entry's. A context has ghost counters, lines along which values move, what is stated at the entry and
//! wherever a jump leads, what holds when it returns, and for each call, in order, where it is and the context that it enters.
//!
//! All numbers are little-endian base-128, signed ones zigzag, except the table of stated places, whose entries have 16 bytes
//! (slot, where the state is, budget) so that a place is found by bisection. Decoding never trusts a length, and what it returns is well-formed; whether
//! it is true is [`crate::edge`]'s question.
//!
//! It is small so that it can travel: the host's tool puts it into a section of the object.

use crate::Number;
use crate::bits::Bits;
use crate::fault::Why;
use crate::ring::Ring;
use crate::state::{DEPTH, Frame, Gap, Kind, Moved, SLOTS, State, Value};

/// First bytes of a proof: its name and version.
pub const MAGIC: [u8; 5] = *b"AxPf\x02";
/// Contexts of a proof.
pub const MAX_CONTEXTS: u64 = 512;
/// Ghost counters, and lines, of a context.
pub const MAX_GHOSTS: u64 = 64;
/// See [`MAX_GHOSTS`].
pub const MAX_LINES: u64 = 256;
/// Differences between registers of which a state speaks.
pub const MAX_GAPS: u64 = 8;
/// How much a line can curve.
pub const MAX_CURVE: u64 = 1 << 32;
/// Passes of a loop that a ghost counter can count.
pub const MAX_PASSES: u64 = 1 << 32;

/// A ghost counter: it is 0 when its loop is entered, and grows by one when a jump leads from inside to the head.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ghost {
    /// Where the loop begins.
    pub head: u32,
    /// It never exceeds this.
    pub most: u64,
    /// Instructions that each pass may cost.
    pub cost: u64,
}

/// What a line speaks of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// The number: what it was when the loop was entered, plus something.
    Sum,
    /// How many bits the number has, as an unsigned one.
    Length,
}

/// A line along which values move while a ghost counter i grows: at least `low * i`, at most `high * i` (and more, if it
/// curves), see [`Moved`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Line {
    /// The ghost counter.
    pub ghost: u16,
    /// What moves.
    pub form: Form,
    /// The least that each pass adds.
    pub low: i64,
    /// The most that the first pass adds.
    pub high: i64,
    /// How much more each pass may add than the one before it.
    pub curve: i64,
    /// What was known of a value when it began to move along this line.
    pub start: Number,
}

/// An entry of the table of stated places.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// The slot.
    pub slot: u32,
    /// Where its state is, from the first byte of the context's states.
    pub state: u32,
    /// The budget of instructions.
    pub budget: u64,
}

impl Place {
    /// Bytes of an entry.
    pub const SIZE: usize = 16;

    /// Entry `k` of the table at byte `table` of a proof.
    pub fn get(proof: &[u8], table: usize, k: usize) -> Option<Place> {
        let entry = proof.get(table + k * Place::SIZE..)?.first_chunk::<16>()?;
        let words = u128::from_le_bytes(*entry);
        Some(Place { slot: words as u32, state: (words >> 32) as u32, budget: (words >> 64) as u64 })
    }
}

/// Reads a proof.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    /// Bytes that have been read.
    pub at: usize,
}

impl<'a> Reader<'a> {
    /// From byte `at`.
    pub fn new(bytes: &'a [u8], at: usize) -> Reader<'a> {
        Reader { bytes, at }
    }

    /// The next bytes.
    pub fn take(&mut self, n: usize) -> Result<&'a [u8], Why> {
        let end = self.at.checked_add(n).ok_or(Why::Format)?;
        let taken = self.bytes.get(self.at..end).ok_or(Why::Format)?;
        self.at = end;
        Ok(taken)
    }

    /// All that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        let rest = &self.bytes[self.at..];
        self.at = self.bytes.len();
        rest
    }

    #[inline]
    fn byte(&mut self) -> Result<u8, Why> {
        let b = *self.bytes.get(self.at).ok_or(Why::Format)?;
        self.at += 1;
        Ok(b)
    }

    /// A number.
    #[inline]
    pub fn number(&mut self) -> Result<u64, Why> {
        let mut v = 0;
        for shift in (0..64).step_by(7) {
            let b = self.byte()?;
            if shift == 63 && b > 1 {
                return Err(Why::Format);
            }
            v |= u64::from(b & 0x7f) << shift;
            if b < 0x80 {
                return Ok(v);
            }
        }
        Err(Why::Format)
    }

    /// A number that may not exceed `most`.
    pub fn up_to(&mut self, most: u64) -> Result<u64, Why> {
        self.number().and_then(|v| if v <= most { Ok(v) } else { Err(Why::Format) })
    }

    /// A signed number.
    pub fn signed(&mut self) -> Result<i64, Why> {
        let v = self.number()?;
        Ok((v >> 1) as i64 ^ -((v & 1) as i64))
    }

    fn known(&mut self) -> Result<Number, Why> {
        Ok(match self.byte()? {
            0 => Number::of(self.signed()? as u64),
            1 => Number::TOP,
            2 => {
                let lo = self.signed()? as u64;
                Number::between(lo, lo.wrapping_add(self.number()?))
            }
            3 => {
                let mut v = [0; 6];
                for v in &mut v {
                    *v = self.signed()? as u64;
                }
                Number { r64: Ring::new(v[0], v[1]), r32: Ring::new(v[2], v[3]), bits: Bits::cut(v[4], v[5]) }
            }
            _ => return Err(Why::Format),
        })
    }

    /// A ghost counter.
    pub fn ghost(&mut self) -> Result<Ghost, Why> {
        Ok(Ghost {
            head: self.up_to(u32::MAX as u64)? as u32,
            most: self.up_to(MAX_PASSES)?,
            cost: self.number()?,
        })
    }

    /// A line.
    pub fn line(&mut self) -> Result<Line, Why> {
        let v = self.up_to(MAX_GHOSTS << 1)?;
        let form = if v & 1 == 1 { Form::Length } else { Form::Sum };
        let (low, high) = (self.signed()?, self.signed()?);
        let curve = self.up_to(MAX_CURVE)? as i64;
        if curve > 0 && (high < 0 || form == Form::Length) {
            return Err(Why::Format);
        }
        Ok(Line { ghost: (v >> 1) as u16, form, low, high, curve, start: self.known()? })
    }

    fn value(&mut self) -> Result<Value, Why> {
        let flags = self.byte()?;
        let kind = match flags & 7 {
            // A number that may be 0 instead is a number.
            1 if flags & 8 == 0 => Kind::Number,
            2 => Kind::Ctx,
            3 => Kind::Stack,
            4 => Kind::Map,
            5 => Kind::Value,
            6 => Kind::Record,
            _ => return Err(Why::Format),
        };
        let mut v = Value { kind, null: flags & 8 != 0, half: flags & 16 != 0, ..Value::number(Number::TOP) };
        if matches!(kind, Kind::Stack | Kind::Map | Kind::Value | Kind::Record) {
            v.at = self.up_to(u32::MAX as u64 - 1)? as u32;
        }
        if matches!(kind, Kind::Value | Kind::Record) {
            let most = if kind == Kind::Value { crate::step::FIRST_FRESH } else { u32::MAX };
            v.of = self.up_to(most as u64)? as u32;
        }
        v.num = self.known()?;
        if flags & 32 != 0 {
            v.id = self.up_to(crate::step::FIRST_FRESH as u64)? as u32;
            v.delta = self.signed()? as u64;
        }
        if flags & 64 != 0 {
            let line = self.up_to(MAX_LINES)? as u16;
            let lo = self.signed()?;
            let hi = i64::try_from(self.number()?).ok().and_then(|d| lo.checked_add(d)).ok_or(Why::Format)?;
            v.moved = Moved { line, half: flags & 128 != 0, lo, hi, rise: self.up_to(MAX_CURVE)? as i64 };
        }
        Ok(v)
    }

    fn frame(&mut self, f: &mut Frame, room: &mut u64) -> Result<(), Why> {
        for (mask, usual) in [(&mut f.written, 0), (&mut f.clean, u64::MAX)] {
            let others = self.byte()?;
            for (k, w) in mask.iter_mut().enumerate() {
                *w = usual;
                if others >> k & 1 == 1 {
                    *w = self.take(8)?.iter().rev().fold(0, |v, b| v << 8 | *b as u64);
                }
            }
        }
        let n = self.up_to(*room)?;
        *room -= n;
        f.slots.clear();
        for _ in 0..n {
            let slot = self.byte()? as u16;
            if f.slots.last().is_some_and(|s| s.0 >= slot) {
                return Err(Why::Format);
            }
            let v = self.value()?;
            f.slots.push((slot, v));
        }
        Ok(())
    }

    /// What is stated at one place, but for its budget; `s` gives its buffers.
    pub fn state(&mut self, s: &mut State) -> Result<(), Why> {
        s.ghosts.clear();
        for _ in 0..self.up_to(MAX_GHOSTS)? {
            let (g, most) = (self.up_to(MAX_GHOSTS)? as u16, self.up_to(MAX_PASSES)?);
            if s.ghosts.last().is_some_and(|x| x.0 >= g) {
                return Err(Why::Format);
            }
            s.ghosts.push((g, most));
        }
        let present = self.up_to(0x3ff)?;
        s.regs.lose(0..10);
        for r in (0..10).filter(|r| present >> r & 1 == 1) {
            s.write(r, self.value()?);
        }
        let depth = self.up_to(DEPTH as u64)? as usize;
        s.nest(depth);
        let mut room = SLOTS as u64;
        for f in s.frames_mut() {
            self.frame(f, &mut room)?;
        }
        s.gaps.clear();
        for _ in 0..self.up_to(MAX_GAPS)? {
            let (names, value) = (self.byte()?, self.value()?);
            let (of, from) = (names & 15, names >> 4);
            // It moves with either register: so what it equals has no name.
            if of > 9 || from > 9 || value.kind != Kind::Number || value.id != 0 {
                return Err(Why::Format);
            }
            s.gaps.push(Gap { of, from, value });
        }
        for h in &mut s.held {
            *h = self.up_to(u32::MAX as u64)? as u32;
        }
        Ok(())
    }
}
