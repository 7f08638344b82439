//! What is known at one point of a program: registers, stack frames, ghost counters, records held.

use crate::Number;
use crate::fault::Why;
use crate::registers::Registers;
use alloc::rc::Rc;
use alloc::vec::Vec;

/// Bytes of stack of one function.
pub const FRAME: i64 = 512;
/// Nested functions, the entry included.
pub const DEPTH: usize = 8;
/// Ring buffer records that a program may hold at once.
pub const RECORDS: usize = 4;
/// Stack slots of which a state says something, all frames together.
pub const SLOTS: usize = 64;

/// What a register or a stack slot holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Kind {
    /// Nothing that may be used.
    Nothing,
    /// A number: `num`.
    Number,
    /// The address of the context, `num` bytes in.
    Ctx,
    /// An address in frame `at`, `num` bytes from its top (so negative).
    Stack,
    /// The handle of map `at`.
    Map,
    /// An address in an element of map `at`, `num` bytes in. `of` tells elements apart: equal ones are the same, others may
    /// be; 0 is the first element, named by the program itself.
    Value,
    /// An address in the record of `of` bytes that instruction `at` reserved, `num` bytes in.
    Record,
}

/// How a number, or the offset of an address, has moved since its loop was entered.
///
/// For a line of the proof ([`crate::proof::Line`]) with ghost counter i, slopes p and q: it is what it was then, plus a
/// number of p * i + lo ..= q * i + c * i * (i - 1) / 2 + hi, where c is how the line curves; or, if the line is one of lengths, it has so many bits.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Moved {
    /// The line, counted from 1; 0 = nothing is known.
    pub line: u16,
    /// Of the low 32 bits only.
    pub half: bool,
    /// Least.
    pub lo: i64,
    /// Greatest, but for what `rise` adds.
    pub hi: i64,
    /// The greatest grows by this times i, too, until the pass ends; only on lines that curve.
    pub rise: i64,
}

impl Moved {
    /// Moved by something in `lo..=hi` beside.
    pub(crate) fn plus(self, lo: i64, hi: i64) -> Moved {
        match (self.lo.checked_add(lo), self.hi.checked_add(hi)) {
            (Some(lo), Some(hi)) => Moved { lo, hi, ..self },
            _ => Moved::default(),
        }
    }
}

/// What is known of one register or stack slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Value {
    /// What it is.
    pub kind: Kind,
    /// It may be 0 instead (addresses only).
    pub null: bool,
    /// `id` speaks of the low 32 bits only.
    pub half: bool,
    /// See [`Kind`].
    pub at: u32,
    /// See [`Kind`].
    pub of: u32,
    /// Values of one `id` (not 0) are one number, each plus its `delta`.
    pub id: u32,
    /// See `id`.
    pub delta: u64,
    /// If not 0: this is the square, without overflow, of the number that `root` names. Only inside a block.
    pub root: u32,
    /// The number or the offset.
    pub num: Number,
    /// How it moves.
    pub moved: Moved,
}

impl Value {
    /// Nothing that may be used.
    pub const NOTHING: Value = Value { kind: Kind::Nothing, ..Value::number(Number::TOP) };

    /// Any number.
    pub const ANY: Value = Value::number(Number::TOP);

    /// A number.
    pub const fn number(num: Number) -> Value {
        Value {
            kind: Kind::Number,
            null: false,
            half: false,
            at: 0,
            of: 0,
            id: 0,
            delta: 0,
            root: 0,
            num,
            moved: Moved { line: 0, half: false, lo: 0, hi: 0, rise: 0 },
        }
    }

    /// An address.
    pub const fn pointer(kind: Kind, at: u32) -> Value {
        Value { kind, at, ..Value::number(Number::of(0)) }
    }

    /// It is an address.
    pub fn is_pointer(&self) -> bool {
        !matches!(self.kind, Kind::Nothing | Kind::Number)
    }

    /// The number, if there is only one.
    pub fn constant(&self) -> Option<u64> {
        if self.kind == Kind::Number { self.num.constant() } else { None }
    }

    /// Both are addresses in the same piece of memory: their offsets may be compared.
    pub fn same_memory(&self, o: &Value) -> bool {
        self.kind == o.kind
            && self.at == o.at
            && self.of == o.of
            && !matches!(self.kind, Kind::Nothing | Kind::Number | Kind::Map)
    }

    /// Without what relates it to others.
    pub fn alone(self) -> Value {
        Value { id: 0, delta: 0, half: false, root: 0, moved: Moved::default(), ..self }
    }

    /// Keeps what holds of `o`, too. Names are the same on all ways that lead to one place, so what has one name in both
    /// is equal in both; what has different ones is called equal to nothing.
    pub(crate) fn join(&mut self, o: &Value) {
        if self.kind == Kind::Nothing {
            return;
        }
        if (self.kind, self.at, self.of) != (o.kind, o.at, o.of) {
            *self = Value::NOTHING;
            return;
        }
        if self.num != o.num {
            self.num = self.num.join(o.num);
        }
        self.null |= o.null;
        if (self.id, self.delta) == (o.id, o.delta) {
            self.half |= o.half;
        } else {
            (self.id, self.delta, self.half) = (0, 0, false);
        }
        if self.root != o.root {
            self.root = 0;
        }
        let (m, n) = (&mut self.moved, &o.moved);
        if (m.line, m.half) != (n.line, n.half) {
            // Of how many bits a whole number has, its low half knows nothing.
            *m = Moved::default();
        } else if m.line != 0 {
            (m.lo, m.hi, m.rise) = (m.lo.min(n.lo), m.hi.max(n.hi), m.rise.max(n.rise));
        }
    }
}

/// One bit per byte of a frame; bit 0 is the lowest address.
pub type Mask = [u64; 8];

/// The bits of `len` bytes from byte `from`.
pub fn bytes(from: usize, len: usize) -> Mask {
    let end = (from + len).min(512);
    core::array::from_fn(|w| {
        let (first, last) = (from.max(w * 64), end.min(w * 64 + 64));
        if first < last { (u64::MAX >> (64 - (last - first))) << (first - w * 64) } else { 0 }
    })
}

/// The name of a stack slot: 8 bytes at a multiple of 8, or 4 at one of 4.
pub fn slot(from: usize, len: usize) -> Option<u16> {
    match len {
        8 if from.is_multiple_of(8) => Some(from as u16 / 4 * 2),
        4 if from.is_multiple_of(4) => Some(from as u16 / 4 * 2 + 1),
        _ => None,
    }
}

/// First byte and length of a slot.
pub fn extent(slot: u16) -> (usize, usize) {
    ((slot / 2 * 4) as usize, if slot & 1 == 0 { 8 } else { 4 })
}

/// The stack of one function.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame {
    /// Bytes that were certainly written.
    pub written: Mask,
    /// Bytes that hold no part of an address: a number, or nothing since the frame was zeroed.
    pub clean: Mask,
    /// What is known of slots, by [`slot`], sorted. Slots with addresses are written and not clean.
    pub slots: Vec<(u16, Value)>,
}

impl Frame {
    /// The frame of a function that begins.
    pub const FRESH: Frame = Frame { written: [0; 8], clean: [u64::MAX; 8], slots: Vec::new() };
    /// A frame of which nothing is known.
    pub const UNKNOWN: Frame = Frame { written: [0; 8], clean: [0; 8], slots: Vec::new() };

    /// What is known of a slot.
    pub fn get(&self, slot: u16) -> Option<&Value> {
        let k = self.slots.binary_search_by_key(&slot, |s| s.0).ok()?;
        Some(&self.slots[k].1)
    }

    /// The same, to narrow it.
    pub fn get_mut(&mut self, slot: u16) -> Option<&mut Value> {
        let k = self.slots.binary_search_by_key(&slot, |s| s.0).ok()?;
        Some(&mut self.slots[k].1)
    }

    /// The bytes may be read as numbers: `Some(false)` if only because the frame was zeroed.
    pub fn readable(&self, from: usize, len: usize) -> Option<bool> {
        let m = bytes(from, len);
        let all = |set: &Mask| m.iter().zip(set).all(|(need, have)| need & !have == 0);
        all(&self.clean).then(|| all(&self.written))
    }

    /// Forgets the slots that these bytes touch: a number is stored somewhere in them, or what they hold is of no use any more. What is
    /// left of an address is neither written nor clean.
    pub fn forget(&mut self, from: usize, len: usize) {
        let (written, clean) = (&mut self.written, &mut self.clean);
        self.slots.retain(|(s, v)| {
            let (at, size) = extent(*s);
            let touched = at < from + len && from < at + size;
            if touched && v.is_pointer() {
                for (w, m) in bytes(at, size).iter().enumerate() {
                    written[w] &= !m;
                    clean[w] &= !m;
                }
            }
            !touched
        });
    }

    /// A store at a known place.
    pub fn store(&mut self, from: usize, len: usize, value: Option<Value>) {
        self.forget(from, len);
        let pointer = value.is_some_and(|v| v.is_pointer());
        for (w, m) in bytes(from, len).iter().enumerate() {
            self.written[w] |= m;
            self.clean[w] = if pointer { self.clean[w] & !m } else { self.clean[w] | m };
        }
        if let (Some(v), Some(slot)) = (value, slot(from, len)) {
            let i = self.slots.partition_point(|s| s.0 < slot);
            self.slots.insert(i, (slot, v));
        }
    }
}

/// How far two registers are apart: what the one holds less what the other holds, as a number. It stays known when both
/// move, and is what a loop counts down that ends when they are equal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Gap {
    /// The one.
    pub of: u8,
    /// The other.
    pub from: u8,
    /// The difference, modulo 2^64.
    pub value: Value,
}

/// Everything at one point of one function; by default nothing is known, and there are no frames.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct State {
    /// The registers.
    pub regs: Registers,
    /// The frames of the callers, and last the current function's.
    pub frames: Rc<[Frame]>,
    /// Differences between registers, sorted.
    pub gaps: Vec<Gap>,
    /// The ghost counters of the loops around this point, sorted, each with the greatest value that it may have.
    pub ghosts: Vec<(u16, u64)>,
    /// Instructions, plus 1, that reserved records which are held; sorted, zeros last.
    pub held: [u32; RECORDS],
    /// Instructions that may still be executed, beside what the ghost counters allow.
    pub budget: u64,
}

impl State {
    /// Nothing is known; the frames are fresh.
    pub fn new(depth: usize) -> State {
        let mut s = State::of(core::iter::repeat_n(Frame::FRESH, depth + 1).collect());
        s.top();
        s
    }

    /// Nothing is known, but for what is in the frames.
    pub(crate) fn of(frames: Rc<[Frame]>) -> State {
        let regs = Registers::default();
        State { regs, frames, gaps: Vec::new(), ghosts: Vec::new(), held: [0; RECORDS], budget: 0 }
    }

    /// From now on there are `frames` frames: fresh ones are added, the innermost go.
    pub fn nest(&mut self, frames: usize) {
        if self.frames.len() != frames {
            self.frames = (0..frames).map(|f| self.frames.get(f).cloned().unwrap_or(Frame::FRESH)).collect();
        }
        self.top();
    }

    /// r10 is the top of the innermost frame.
    fn top(&mut self) {
        self.regs.write(10, Value::pointer(Kind::Stack, self.frames.len().saturating_sub(1) as u32));
    }

    /// A register.
    #[inline]
    pub fn reg(&self, r: u8) -> &Value {
        self.regs.get(r)
    }

    /// A register, which must hold something.
    #[inline]
    pub fn read(&self, r: u8) -> Result<&Value, Why> {
        let v = self.reg(r);
        if v.kind == Kind::Nothing { Err(Why::Unusable { register: r }) } else { Ok(v) }
    }

    /// A register, which must hold a number.
    #[inline]
    pub fn number(&self, r: u8) -> Result<&Value, Why> {
        let v = self.read(r)?;
        if v.kind == Kind::Number { Ok(v) } else { Err(Why::NotANumber { register: r }) }
    }

    /// Writes a register.
    #[inline]
    pub fn write(&mut self, r: u8, v: Value) {
        self.regs.write(r, v);
    }

    /// The frames, to be changed: states share them until one does.
    pub fn frames_mut(&mut self) -> &mut [Frame] {
        Rc::make_mut(&mut self.frames)
    }

    /// A frame, to be changed.
    pub fn frame(&mut self, frame: u32) -> Result<&mut Frame, Why> {
        self.frames_mut().get_mut(frame as usize).ok_or(Why::OutOfBounds)
    }

    /// A store at a known place of a frame. Of more than [`SLOTS`] slots nothing is remembered.
    pub fn store(&mut self, frame: u32, from: usize, len: usize, value: Option<Value>) -> Result<(), Why> {
        self.frame(frame)?.store(from, len, value);
        if self.slots() > SLOTS {
            self.frame(frame)?.slots.retain(|s| Some(s.0) != slot(from, len));
        }
        Ok(())
    }

    /// Slots of which something is known.
    pub fn slots(&self) -> usize {
        self.frames.iter().map(|f| f.slots.len()).sum()
    }

    /// Keeps what holds of `o`, too.
    pub fn join(&mut self, o: &State) -> Result<(), Why> {
        if self.held != o.held || self.frames.len() != o.frames.len() {
            return Err(Why::Held);
        }
        self.regs.join(&o.regs);
        let same = Rc::ptr_eq(&self.frames, &o.frames);
        let frames = if same { &mut [] } else { self.frames_mut() };
        for (f, o) in frames.iter_mut().zip(o.frames.iter()) {
            f.written.iter_mut().zip(&o.written).for_each(|(a, b)| *a &= b);
            f.clean.iter_mut().zip(&o.clean).for_each(|(a, b)| *a &= b);
            f.slots.retain_mut(|(slot, v)| {
                v.join(o.get(*slot).unwrap_or(&Value::NOTHING));
                v.kind != Kind::Nothing
            });
        }
        if self.gaps.len() + self.ghosts.len() == 0 {
            self.budget = self.budget.min(o.budget);
            return Ok(());
        }
        self.gaps.retain_mut(|g| {
            let other = o.gaps.iter().find(|h| (h.of, h.from) == (g.of, g.from));
            g.value.join(other.map_or(&Value::NOTHING, |h| &h.value));
            g.value.kind != Kind::Nothing
        });
        self.ghosts.retain_mut(|(g, most)| match o.ghost(*g) {
            Some(other) => {
                *most = (*most).max(other);
                true
            }
            None => false,
        });
        self.budget = self.budget.min(o.budget);
        Ok(())
    }

    /// The greatest value of a ghost counter that is in use here.
    pub fn ghost(&self, ghost: u16) -> Option<u64> {
        self.ghosts.iter().find(|g| g.0 == ghost).map(|g| g.1)
    }

    /// How far register `of` is from `from`, if there is anything to know.
    pub fn gap(&self, of: u8, from: u8) -> Option<Value> {
        if let Some(g) = self.gaps.iter().find(|g| (g.of, g.from) == (of, from)) {
            return Some(g.value);
        }
        let (a, b) = (self.regs.get(of), self.regs.get(from));
        let numbers = a.kind == Kind::Number && b.kind == Kind::Number;
        let near = !a.null && !b.null && a.same_memory(b);
        (numbers || near).then(|| Value::number(a.num.sub(b.num)))
    }

    /// Applies `f` to each slot and gap, and each register of which more is known than that it holds a number, or nothing.
    pub fn each(&mut self, mut f: impl FnMut(&mut Value)) {
        self.regs.each(&mut f);
        if self.slots() > 0 {
            self.frames_mut().iter_mut().flat_map(|f| &mut f.slots).for_each(|s| f(&mut s.1));
        }
        self.gaps.iter_mut().for_each(|g| f(&mut g.value));
    }

    /// The record of instruction `at` is held from now on; false if there are too many.
    pub fn hold(&mut self, at: u32) -> bool {
        let Some(free) = self.held.iter_mut().find(|h| **h == 0) else { return false };
        *free = at + 1;
        self.held.sort_unstable_by_key(|h| h.wrapping_sub(1));
        true
    }

    /// The record of instruction `at` is held.
    pub fn holds(&self, at: u32) -> bool {
        self.held.contains(&(at + 1))
    }

    /// Gives a record back (or learns that it never was): its addresses are of no use any more.
    pub fn release(&mut self, at: u32) {
        for h in self.held.iter_mut().filter(|h| **h == at + 1) {
            *h = 0;
        }
        self.held.sort_unstable_by_key(|h| h.wrapping_sub(1));
        self.kill_records();
    }

    /// Forgets the addresses of records that are not held.
    pub fn kill_records(&mut self) {
        let held = self.held;
        let dead = |v: &Value| v.kind == Kind::Record && !held.contains(&(v.at + 1));
        self.regs.each(|v| {
            if dead(v) {
                *v = Value::NOTHING;
            }
        });
        for f in self.frames_mut() {
            while let Some((at, size)) = f.slots.iter().find(|s| dead(&s.1)).map(|s| extent(s.0)) {
                f.forget(at, size);
            }
        }
    }
}
