//! What is known at one point of a program: registers, stack frames, reservations held.

use crate::num::{Num, Thresholds, widen};
use alloc::rc::Rc;
use alloc::vec::Vec;

/// Bytes of stack of one function.
pub const FRAME: i64 = 512;
/// Nested functions, the entry included.
pub const DEPTH: usize = 8;
/// Reservations that a program may hold at once.
pub const RESERVATIONS: usize = 4;

/// What a register or a spilled slot holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Nothing that may be used; `at` is a [`why`].
    Unusable,
    /// A number: `num`.
    Number,
    /// The context, `num` bytes in.
    Ctx,
    /// Frame `at`, `num` bytes from its top (so negative).
    Stack,
    /// The handle of map `at`.
    Map,
    /// A value of map `at`, `num` bytes in.
    Value,
    /// `size` bytes reserved at instruction `at`, `num` bytes in.
    Reserved,
}

/// Some element of a map.
pub const ANY: u32 = u32::MAX;

/// Why a register is unusable.
pub mod why {
    pub const NEVER_WRITTEN: u32 = 0;
    pub const CALL: u32 = 1;
    pub const DIFFERS: u32 = 2;
    pub const GIVEN_BACK: u32 = 3;
    pub const VOID: u32 = 4;
}

/// One register.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reg {
    pub kind: Kind,
    /// A pointer that may be 0.
    pub null: bool,
    /// `id` speaks of the low 32 bits only.
    pub half: bool,
    pub at: u32,
    /// Of reserved memory, its bytes; of a map value, which element it is: 0 = the first, [`ANY`] = not known.
    pub size: u32,
    /// Registers with the same `id` (not 0) hold the same value, each plus its `delta`.
    pub id: u32,
    pub delta: i32,
    /// A square: the `id` whose value, multiplied by itself without overflow, this is.
    pub root: u32,
    pub num: Num,
}

impl Reg {
    pub const fn unusable(why: u32) -> Reg {
        Reg { kind: Kind::Unusable, at: why, ..Reg::number(Num::TOP) }
    }

    #[inline]
    pub const fn number(num: Num) -> Reg {
        Reg { kind: Kind::Number, null: false, half: false, at: 0, size: 0, id: 0, delta: 0, root: 0, num }
    }

    pub const fn pointer(kind: Kind, at: u32) -> Reg {
        Reg { kind, at, ..Reg::number(Num::of(0)) }
    }

    #[inline]
    pub fn is_pointer(&self) -> bool {
        !matches!(self.kind, Kind::Unusable | Kind::Number)
    }

    pub fn constant(&self) -> Option<u64> {
        if self.kind == Kind::Number { self.num.constant() } else { None }
    }

    /// The same memory: pointers that may be compared.
    pub fn same_memory(&self, o: &Reg) -> bool {
        self.same_kind(o) && self.size == o.size && (self.kind != Kind::Value || self.size != ANY)
    }

    /// The same kind of memory: pointers that may be joined.
    pub fn same_kind(&self, o: &Reg) -> bool {
        self.kind == o.kind && self.at == o.at && (self.size == o.size || self.kind == Kind::Value)
    }

    fn join(&self, o: &Reg, grow: Grow) -> Reg {
        let num = |a: Num, b: Num| match grow {
            Grow::Join => a.join(b),
            Grow::Widen(t, far) => {
                if b.subset_of(a) {
                    a
                } else {
                    widen(a, b, t, far)
                }
            }
        };
        if self.kind == Kind::Number && o.kind == Kind::Number {
            return Reg::number(num(self.num, o.num));
        }
        if self.is_pointer() && self.same_kind(o) {
            let size = if self.size == o.size { self.size } else { ANY };
            return Reg {
                null: self.null | o.null,
                size,
                id: 0,
                delta: 0,
                num: num(self.num, o.num),
                ..*self
            };
        }
        // A value pointer on one path and NULL on the other.
        let (p, n) = if self.kind == Kind::Value { (self, o) } else { (o, self) };
        if p.kind == Kind::Value && p.num.constant() == Some(0) && n.constant() == Some(0) {
            return Reg { null: true, id: 0, delta: 0, ..*p };
        }
        if self.kind == Kind::Unusable {
            *self
        } else if o.kind == Kind::Unusable {
            *o
        } else {
            Reg::unusable(why::DIFFERS)
        }
    }
}

/// How two states become one.
#[derive(Clone, Copy)]
pub enum Grow<'a> {
    Join,
    /// To thresholds, or, with `true`, to everything.
    Widen(&'a Thresholds<'a>, bool),
}

/// One bit per byte of a frame; bit 0 is the lowest address.
pub type Mask = [u64; 8];

fn span_mask(from: usize, len: usize) -> Mask {
    let mut m = [0; 8];
    let mut at = from;
    let end = (from + len).min(512);
    while at < end {
        let (word, bit) = (at / 64, at % 64);
        let n = (64 - bit).min(end - at);
        m[word] |= (u64::MAX >> (64 - n)) << bit;
        at += n;
    }
    m
}

/// The stack of one function.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Frame {
    /// Bytes that were written on every path.
    pub written: Mask,
    /// Bytes that were written, or, if the frame starts out as zeros, are zero.
    pub maybe: Mask,
    /// Whole registers at multiples of 8, and 4-byte numbers at multiples of 4, sorted by [`slot`].
    pub spills: Vec<(u16, Reg)>,
}

/// The name of a stack variable: its 4-byte slot from the lowest address, and whether it has 4 bytes instead of 8.
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

fn overlaps(slot: u16, from: usize, len: usize) -> bool {
    let (at, size) = extent(slot);
    at < from + len && from < at + size
}

impl Frame {
    /// All of `len` bytes from byte `from`: `Some(true)` if written, `Some(false)` if that needs a zeroed frame.
    pub fn readable(&self, from: usize, len: usize) -> Option<bool> {
        let m = span_mask(from, len);
        let mut written = true;
        for (i, &need) in m.iter().enumerate() {
            written &= need & !self.written[i] == 0;
            if need & !(self.written[i] | self.maybe[i]) != 0 {
                return None;
            }
        }
        Some(written)
    }

    pub fn spill(&self, slot: u16) -> Option<&Reg> {
        self.spills.iter().find(|s| s.0 == slot).map(|s| &s.1)
    }

    /// A pointer lies somewhere in these bytes.
    pub fn holds_pointer(&self, from: usize, len: usize) -> bool {
        self.spills.iter().any(|(s, r)| overlaps(*s, from, len) && r.is_pointer())
    }

    /// Forgets what lies in these bytes; what is left of a torn pointer becomes unreadable.
    fn forget(&mut self, from: usize, len: usize) {
        let mut i = 0;
        while i < self.spills.len() {
            let (s, r) = self.spills[i];
            if overlaps(s, from, len) {
                if r.is_pointer() {
                    let (at, size) = extent(s);
                    let m = span_mask(at, size);
                    for (w, bits) in m.iter().enumerate() {
                        self.written[w] &= !bits;
                        self.maybe[w] &= !bits;
                    }
                }
                self.spills.remove(i);
            } else {
                i += 1;
            }
        }
    }

    /// A store of known place.
    pub fn store(&mut self, from: usize, len: usize, value: Option<Reg>) {
        self.forget(from, len);
        for (w, bits) in span_mask(from, len).iter().enumerate() {
            self.written[w] |= bits;
            self.maybe[w] &= !bits;
        }
        if let Some(r) = value
            && let Some(slot) = slot(from, len)
        {
            let i = self.spills.partition_point(|s| s.0 < slot);
            self.spills.insert(i, (slot, r));
        }
    }

    /// A store somewhere in these bytes.
    pub fn store_within(&mut self, from: usize, len: usize) {
        let mut torn = [0; 8];
        for (s, r) in &self.spills {
            if r.is_pointer() {
                span_mask(extent(*s).0, 8).iter().zip(&mut torn).for_each(|(bits, t)| *t |= bits);
            }
        }
        self.forget(from, len);
        for (w, bits) in span_mask(from, len).iter().enumerate() {
            self.maybe[w] |= bits & !self.written[w] & !torn[w];
        }
    }

    fn join(&mut self, o: &Frame, grow: Grow) {
        for i in 0..8 {
            // A byte that one path wrote for certain and the other not at all stays unreadable; one that either wrote by
            // a computed index is zero or written.
            let both = self.written[i] & o.written[i];
            let maybe = (self.maybe[i] | o.maybe[i]) & !both;
            self.written[i] = both;
            self.maybe[i] = maybe;
        }
        let mut i = 0;
        while i < self.spills.len() {
            let (slot, r) = self.spills[i];
            let joined = o.spill(slot).map(|b| r.join(b, grow));
            match joined {
                Some(j) if j.kind != Kind::Unusable => {
                    self.spills[i].1 = Reg { id: r.id, delta: r.delta, half: r.half, ..j };
                    i += 1;
                }
                _ => {
                    let pointer = r.is_pointer() || o.spill(slot).is_some_and(|b| b.is_pointer());
                    if pointer {
                        let (at, size) = extent(slot);
                        self.forget(at, size);
                        self.block(slot);
                    } else {
                        self.spills.remove(i);
                    }
                }
            }
        }
        for (slot, r) in &o.spills {
            if r.is_pointer() && self.spill(*slot).is_none() {
                self.block(*slot);
            }
        }
    }

    /// Makes a slot unreadable.
    fn block(&mut self, slot: u16) {
        let (at, size) = extent(slot);
        for (w, bits) in span_mask(at, size).iter().enumerate() {
            self.written[w] &= !bits;
            self.maybe[w] &= !bits;
        }
    }
}

/// Everything at one point of one function.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct State {
    /// r0 to r9; r10 is the current frame's top and never changes.
    pub regs: [Reg; 10],
    /// By nesting depth, up to the current function's.
    pub frames: [Option<Rc<Frame>>; DEPTH],
    /// Instructions that reserved memory which is still held; 0 = none, else slot + 1. Sorted, zeros last.
    pub held: [u32; RESERVATIONS],
}

impl State {
    pub fn new() -> State {
        State {
            regs: [Reg::unusable(why::NEVER_WRITTEN); 10],
            frames: [const { None }; DEPTH],
            held: [0; RESERVATIONS],
        }
    }

    /// Back to nothing known.
    pub fn reset(&mut self) {
        const NOTHING: Reg = Reg::unusable(why::NEVER_WRITTEN);
        for r in &mut self.regs {
            *r = NOTHING;
        }
        for f in &mut self.frames {
            *f = None;
        }
        self.held = [0; RESERVATIONS];
    }

    pub fn frame(&self, depth: usize) -> Option<&Frame> {
        self.frames.get(depth)?.as_deref()
    }

    /// The frame for writing; copied first if another state shares it.
    pub fn frame_mut(&mut self, depth: usize) -> &mut Frame {
        Rc::make_mut(self.frames[depth % DEPTH].get_or_insert_with(Rc::default))
    }

    pub fn hold(&mut self, at: u32) -> bool {
        match self.held.iter_mut().find(|h| **h == 0) {
            Some(free) => {
                *free = at + 1;
                self.held.sort_unstable_by_key(|h| h.wrapping_sub(1));
                true
            }
            None => false,
        }
    }

    pub fn holds(&self, at: u32) -> bool {
        self.held.contains(&(at + 1))
    }

    /// Gives a reservation back (or learns that it never was): its pointers die.
    pub fn release(&mut self, at: u32, depth: usize) {
        for h in &mut self.held {
            if *h == at + 1 {
                *h = 0;
            }
        }
        self.held.sort_unstable_by_key(|h| h.wrapping_sub(1));
        self.kill_reserved(depth, |r| r.at == at);
    }

    /// Makes reserved memory that `dead` selects unusable everywhere.
    pub fn kill_reserved(&mut self, depth: usize, dead: impl Fn(&Reg) -> bool) {
        let dead = |r: &Reg| r.kind == Kind::Reserved && dead(r);
        for r in &mut self.regs {
            if dead(r) {
                *r = Reg::unusable(why::GIVEN_BACK);
            }
        }
        for d in 0..=depth {
            if self.frame(d).is_some_and(|f| f.spills.iter().any(|s| dead(&s.1))) {
                let f = self.frame_mut(d);
                let slots: Vec<u16> = f.spills.iter().filter(|s| dead(&s.1)).map(|s| s.0).collect();
                for s in slots {
                    f.forget(extent(s).0, extent(s).1);
                }
            }
        }
    }

    /// Applies `f` to every register and spill with this id.
    pub fn each_linked(&mut self, id: u32, depth: usize, mut f: impl FnMut(&mut Reg)) {
        for r in &mut self.regs {
            if r.id == id {
                f(r);
            }
        }
        for d in 0..=depth {
            if self.frame(d).is_some_and(|fr| fr.spills.iter().any(|s| s.1.id == id)) {
                for s in &mut self.frame_mut(d).spills {
                    if s.1.id == id {
                        f(&mut s.1);
                    }
                }
            }
        }
    }

    /// Forgets all equalities.
    pub fn unlink(&mut self, depth: usize) {
        for r in &mut self.regs {
            r.id = 0;
            r.root = 0;
        }
        for d in 0..=depth {
            if self.frame(d).is_some_and(|f| f.spills.iter().any(|s| s.1.id != 0)) {
                for s in &mut self.frame_mut(d).spills {
                    s.1.id = 0;
                }
            }
        }
    }

    /// Gives equalities the names of block `leader`, so that names from an earlier pass of a loop cannot return. Classes
    /// of one member are dropped unless they carry a null check.
    pub fn canonical(&mut self, leader: u32, depth: usize) {
        let mut names = Names::default();
        for (i, r) in self.regs.iter_mut().enumerate() {
            r.root = 0;
            names.see(r, i as u32);
        }
        for d in 0..=depth {
            if let Some(f) = self.frame(d) {
                for (s, r) in &f.spills {
                    names.see(r, 16 + (d as u32) * 256 + *s as u32);
                }
            }
        }
        if names.0.is_empty() {
            return;
        }
        for r in &mut self.regs {
            names.rename(r, leader);
        }
        for d in 0..=depth {
            if self.frame(d).is_some_and(|f| f.spills.iter().any(|s| s.1.id != 0)) {
                for s in &mut self.frame_mut(d).spills {
                    names.rename(&mut s.1, leader);
                }
            }
        }
    }

    /// Takes `o` in; true if anything grew. `self` has canonical names of `leader` and keeps them.
    pub fn absorb(&mut self, o: &State, leader: u32, depth: usize, grow: Grow) -> bool {
        let mut changed = false;
        let mut pairs = Pairs::default();
        for i in 0..10 {
            let b = &o.regs[i];
            if self.regs[i].id == 0 && self.regs[i] == *b {
                continue;
            }
            let a = self.regs[i];
            let mut j = a.join(b, grow);
            pairs.link(&a, b, &mut j, i as u32, leader);
            if j != a {
                changed = true;
                self.regs[i] = j;
            }
        }
        for d in 0..=depth {
            let (mine, theirs) = (&self.frames[d], &o.frames[d]);
            let same = match (mine, theirs) {
                (Some(a), Some(b)) => Rc::ptr_eq(a, b) && a.spills.iter().all(|s| s.1.id == 0),
                (None, None) => true,
                _ => false,
            };
            if same {
                continue;
            }
            let empty = Frame::default();
            let (a, b) = (self.frame(d).unwrap_or(&empty), o.frame(d).unwrap_or(&empty));
            let mut f = a.clone();
            f.join(b, grow);
            for (slot, r) in &mut f.spills {
                let (Some(x), Some(y)) = (a.spill(*slot), b.spill(*slot)) else { continue };
                r.id = 0;
                r.delta = 0;
                r.half = false;
                pairs.link(x, y, r, 16 + (d as u32) * 256 + *slot as u32, leader);
            }
            if f != *a {
                changed = true;
                self.frames[d] = Some(Rc::new(f));
            }
        }
        if self.held != o.held {
            let before = self.held;
            for h in o.held {
                if h != 0 && !before.contains(&h) && !self.hold(h - 1) {
                    // No room to remember it: remember that with a name that nothing gives back, so that exits refuse.
                    self.held[RESERVATIONS - 1] = u32::MAX;
                }
            }
            changed |= before != self.held;
        }
        if changed {
            // A class may have lost all but one member.
            self.canonical(leader, depth);
        }
        changed
    }
}

fn name(leader: u32, place: u32) -> u32 {
    // Names made by instructions have the top bit set; these have not. No name crosses a join, so the leader only has to
    // differ between joins that meet in one state: 2^18 blocks, 16 + 8 * 256 places.
    1 + ((leader & 0x3_ffff) << 12 | place)
}

/// A name for a value made at an instruction; `which` tells several at one instruction apart.
pub fn made_at(insn: u32) -> u32 {
    0x8000_0000 | insn
}

/// Classes of equal values in one state: id, first place, its delta, members, whether any is a null check.
#[derive(Default)]
struct Names(Vec<(u32, u32, i32, u32, bool)>);

impl Names {
    fn see(&mut self, r: &Reg, place: u32) {
        if r.id == 0 {
            return;
        }
        match self.0.iter_mut().find(|n| n.0 == r.id) {
            Some(n) => {
                n.3 += 1;
                n.4 |= r.null;
            }
            None => self.0.push((r.id, place, r.delta, 1, r.null)),
        }
    }

    fn rename(&self, r: &mut Reg, leader: u32) {
        if r.id == 0 {
            return;
        }
        match self.0.iter().find(|n| n.0 == r.id) {
            Some(n) if n.3 > 1 => {
                r.id = name(leader, n.1);
                match r.delta.checked_sub(n.2) {
                    Some(d) => r.delta = d,
                    None => r.id = 0,
                }
            }
            _ => {
                r.id = 0;
                r.delta = 0;
                r.half = false;
            }
        }
        if r.id == 0 {
            r.delta = 0;
            r.half = false;
        }
    }
}

/// Equalities that hold in both of two states: (id there, id here, delta there - delta here) -> name.
#[derive(Default)]
struct Pairs(Vec<(u32, u32, i32, u32, i32)>);

/// The name of all constants, each plus what it is.
const CONSTANT: u32 = u32::MAX;

impl Pairs {
    fn link(&mut self, a: &Reg, b: &Reg, joined: &mut Reg, place: u32, leader: u32) {
        joined.id = 0;
        joined.delta = 0;
        joined.half = false;
        if joined.kind == Kind::Unusable || a.kind != b.kind {
            return;
        }
        // Equal constants on the one way may be what has one name on the other: a counter and its lagging copy.
        let named = |r: &Reg| match r.constant().and_then(|c| i32::try_from(c).ok()) {
            Some(c) => Some((CONSTANT, c)),
            None => (r.id != 0).then_some((r.id, r.delta)),
        };
        let (Some((x, mine)), Some((y, its))) = (named(a), named(b)) else { return };
        if (x, y) == (CONSTANT, CONSTANT) {
            return;
        }
        let Some(apart) = mine.checked_sub(its) else { return };
        let key = (x, y, apart);
        let (id, first) = match self.0.iter().find(|p| (p.0, p.1, p.2) == key) {
            Some(p) => (p.3, p.4),
            None => {
                self.0.push((key.0, key.1, key.2, name(leader, place), mine));
                (name(leader, place), mine)
            }
        };
        let Some(delta) = mine.checked_sub(first) else { return };
        joined.id = id;
        joined.delta = delta;
        joined.half = a.half | b.half;
    }
}
