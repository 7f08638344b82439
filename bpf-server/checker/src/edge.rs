//! From one place to the next: whether what has come about implies what the proof states there.

use crate::Number;
use crate::alu::{lengths, of_lengths};
use crate::fault::Why;
use crate::proof::{Form, Ghost, Line};
use crate::ring::Ring;
use crate::state::{Kind, State, Value};
use alloc::vec::Vec;

/// No name: the value is known to equal no other.
const NAMELESS: u32 = u32::MAX;

/// Places from here on, in [`Why::NotImplied`], are gaps.
pub const GAPS: u32 = 1 << 31;

/// Checks edges; keeps its buffers.
#[derive(Default)]
pub struct Edges {
    /// A name at the target, the name here (0 = a constant), and what to add to the delta there for the one here.
    names: Vec<(u32, u32, u64)>,
    /// An element of a map as it is called there and here.
    elements: Vec<(u32, u32)>,
}

/// The ghost counters and lines of a context.
#[derive(Clone, Copy)]
pub struct Loops<'a> {
    /// Ghost counters.
    pub ghosts: &'a [Ghost],
    /// Lines.
    pub lines: &'a [Line],
}

impl Loops<'_> {
    /// There are none.
    pub const NONE: Loops<'static> = Loops { ghosts: &[], lines: &[] };

    fn line(&self, v: &Value) -> Option<&Line> {
        self.lines.get((v.moved.line as usize).checked_sub(1)?)
    }
}

/// An edge: a run comes from what is known now to slot `to`, where `there` is stated.
struct Way<'a> {
    loops: Loops<'a>,
    now: &'a State,
    to: u32,
    there: &'a State,
}

impl Edges {
    /// How many equalities the last edge had.
    pub fn names(&self) -> usize {
        self.names.len() + self.elements.len()
    }

    /// A run that comes from `now` to slot `to` finds there what `there` states.
    pub fn check(&mut self, loops: Loops, now: &mut State, to: u32, there: &State) -> Result<(), Why> {
        self.names.clear();
        self.elements.clear();
        count(loops, now);
        let way = Way { loops, now, to, there };
        way.budget()?;
        for (r, (v, t)) in (0..10).zip(now.regs.iter().zip(there.regs.iter())) {
            self.implies(&way, v, t).ok_or(Why::NotImplied { place: r })?;
        }
        if now.frames.len() != there.frames.len() {
            return Err(Why::WrongContext);
        }
        for (d, (a, b)) in (0u32..).zip(now.frames.iter().zip(there.frames.iter())) {
            for w in 0..8 {
                if b.written[w] & !a.written[w] != 0 || b.clean[w] & !a.clean[w] != 0 {
                    return Err(Why::Frame);
                }
            }
            for (slot, t) in &b.slots {
                let why = Why::NotImplied { place: 16 + 256 * d + *slot as u32 };
                let v = a.get(*slot).ok_or(why)?;
                self.implies(&way, v, t).ok_or(why)?;
            }
        }
        for (k, g) in (0..).zip(&there.gaps) {
            let why = Why::NotImplied { place: GAPS + k };
            let v = now.gap(g.of, g.from).ok_or(why)?;
            self.implies(&way, &v, &g.value).ok_or(why)?;
        }
        if now.held != there.held {
            return Err(Why::Held);
        }
        Ok(())
    }

    /// `v`, known now, is as `t` states it there.
    fn implies(&mut self, way: &Way, v: &Value, t: &Value) -> Option<()> {
        if t.kind == Kind::Nothing {
            return Some(());
        }
        // A value that was not found is an address that is 0.
        if t.kind == Kind::Value && t.null && v.constant() == Some(0) {
            return if t.moved.line == 0 { self.same(v, t) } else { None };
        }
        let element = t.kind == Kind::Value;
        if v.kind != t.kind || v.at != t.at || v.null && !t.null || !element && v.of != t.of {
            return None;
        }
        if element && (v.of != 0 || t.of != 0) {
            if t.of == 0 {
                return None;
            }
            match self.elements.iter().find(|e| e.0 == t.of) {
                Some(e) if e.1 != v.of => return None,
                Some(_) => {}
                None => self.elements.push((t.of, v.of)),
            }
        }
        let mut num = told(way.loops, way.now, v);
        if !(num.subset_of(t.num) || num.reduce() && num.subset_of(t.num)) {
            return None;
        }
        if t.moved.line != 0 {
            way.moves(v, &num, t)?;
        }
        self.same(v, t)
    }

    /// What equals others there does so here.
    fn same(&mut self, v: &Value, t: &Value) -> Option<()> {
        if t.id == 0 {
            return Some(());
        }
        let (id, delta, half) = match v.constant() {
            Some(c) => (0, c, false),
            None if v.id == 0 => (NAMELESS, t.delta, false),
            None => (v.id, v.delta, v.half),
        };
        if half && !t.half {
            return None;
        }
        let apart = delta.wrapping_sub(t.delta);
        match self.names.iter().find(|n| n.0 == t.id) {
            Some(n) if id == NAMELESS || (n.1, n.2) != (id, apart) => None,
            Some(_) => Some(()),
            None => {
                self.names.push((t.id, id, apart));
                Some(())
            }
        }
    }
}

impl Way<'_> {
    /// What may still be spent suffices for what the place may spend.
    fn budget(&self) -> Result<(), Why> {
        let (mut have, mut need) = (self.now.budget as u128, self.there.budget as u128);
        for (g, most) in &self.there.ghosts {
            let ghost = self.loops.ghosts.get(*g as usize).ok_or(Why::Format)?;
            let step = u64::from(ghost.head == self.to);
            let at = match self.now.ghost(*g) {
                Some(at) => {
                    have += step as u128 * ghost.cost as u128;
                    at + step
                }
                None => {
                    need += ghost.most as u128 * ghost.cost as u128;
                    0
                }
            };
            if at > *most || *most > ghost.most {
                return Err(Why::Ghost { ghost: *g });
            }
        }
        if have < need { Err(Why::Budget) } else { Ok(()) }
    }

    /// `v`, now known to be `num`, moves along the line that `t` states.
    fn moves(&self, v: &Value, num: &Number, t: &Value) -> Option<()> {
        let l = self.loops.line(t)?;
        self.there.ghost(l.ghost)?;
        let (m, wanted) = (&v.moved, &t.moved);
        if self.now.ghost(l.ghost).is_some() {
            // i here is one less there, if a pass ends.
            let step = i64::from(self.loops.ghosts.get(l.ghost as usize)?.head == self.to);
            let lo = m.lo.checked_sub(l.low.checked_mul(step)?)?;
            let hi =
                m.hi.checked_sub(l.high.checked_mul(step)?)?.checked_sub(wanted.rise.checked_mul(step)?)?;
            // The step of the curve from i to i + 1 is i times what it curves by.
            let rise = m.rise - step * l.curve;
            // A whole number tells of its low half, but how many bits it has does so only if these are all.
            let low = l.form == Form::Sum || num.r64.unsigned().1 <= u32::MAX as u64;
            let same = m.line == wanted.line && (m.half == wanted.half || wanted.half && low);
            return (same && wanted.lo <= lo && wanted.hi >= hi && wanted.rise >= rise).then_some(());
        }
        // The loop is entered: i is 0 there, and every value begins to move.
        let fits = match l.form {
            Form::Sum => {
                let whole = num.r64.subset_of(l.start.r64) || wanted.half;
                whole && num.r32.subset_of(l.start.r32) && wanted.lo <= 0 && wanted.hi >= 0
            }
            Form::Length => {
                let (least, most) = if wanted.half { lengths(num.r32) } else { lengths(num.r64) };
                wanted.lo <= least as i64 && wanted.hi >= most as i64
            }
        };
        fits.then_some(())
    }
}

/// The least and greatest that a value can have moved, for a ghost counter up to `most`.
fn reach(l: &Line, v: &Value, most: u64) -> (i128, i128) {
    let most = most as i128;
    let (low, high) = (l.low as i128 * most, l.high as i128 * most);
    // With a curve nothing shrinks; and the last pass adds most.
    let more = v.moved.rise as i128 * most + l.curve as i128 * (most * (most - 1).max(0) / 2);
    (v.moved.lo as i128 + low.min(0), v.moved.hi as i128 + high.max(0) + more)
}

/// Lowers the ghost counters to what the values allow that move with them.
pub fn count(loops: Loops, now: &mut State) {
    for k in 0..now.ghosts.len() {
        let (g, mut most) = now.ghosts[k];
        let mut see = |v: &Value| {
            if let Some(l) = loops.line(v).filter(|l| l.ghost == g)
                && let Some(n) = if v.moved.half {
                    passes(l, v, v.num.r32, l.start.r32, most)
                } else {
                    passes(l, v, v.num.r64, l.start.r64, most)
                }
            {
                most = most.min(n);
            }
        };
        now.regs.iter().for_each(&mut see);
        now.frames.iter().flat_map(|f| &f.slots).for_each(|s| see(&s.1));
        now.gaps.iter().for_each(|g| see(&g.value));
        now.ghosts[k].1 = most;
    }
}

/// The most passes after which a value that moves along a line can be where it is; `None` if it does not tell.
fn passes<const B: u32>(l: &Line, v: &Value, here: Ring<B>, start: Ring<B>, most: u64) -> Option<u64> {
    let (lo, hi) = (v.moved.lo as i128, v.moved.hi as i128);
    let (nearest, farthest) = match l.form {
        Form::Length => {
            let (least, greatest) = lengths(here);
            // Of 0, no bits are left, however often they were taken away.
            (if least == 0 { i128::MIN / 2 } else { least as i128 }, greatest as i128)
        }
        Form::Sum => {
            let (least, greatest) = reach(l, v, most);
            let span = greatest - least;
            // How far it moved is known modulo 2^B: exactly, if it cannot have gone all the way round.
            if span > Ring::<B>::MASK as i128 || span < 0 {
                return None;
            }
            let moved = here.sub(start);
            let at = |x: u64| (x.wrapping_sub(least as u64) & Ring::<B>::MASK) as i128;
            let (first, last) = (at(moved.lo), at(moved.hi));
            if first <= last {
                (least + first, least + last.min(span))
            } else if first <= span {
                (least, greatest)
            } else {
                (least, least + last.min(span))
            }
        }
    };
    // Up: p * i + lo <= farthest. Down: nearest <= q * i + hi. That neither can be only says that no run comes here.
    let bound = if l.low > 0 {
        (farthest - lo) / l.low as i128
    } else if l.high < 0 && v.moved.rise == 0 {
        (hi - nearest) / -(l.high as i128)
    } else {
        return None;
    };
    u64::try_from(bound.max(0)).ok()
}

/// What is known of a number, with what follows from how it moves.
pub fn told(loops: Loops, now: &State, v: &Value) -> Number {
    let Some(l) = loops.line(v) else { return v.num };
    let Some(most) = now.ghost(l.ghost) else { return v.num };
    let (least, greatest) = reach(l, v, most);
    let mut n = Number::TOP;
    match l.form {
        Form::Length if v.moved.half => n.r32 = of_lengths(least, greatest),
        Form::Length => n.r64 = of_lengths(least, greatest),
        Form::Sum => {
            let span = u64::try_from(greatest - least).ok();
            if span.is_some() && !v.moved.half {
                n.r64 = l.start.r64.add(Ring::new(least as u64, greatest as u64));
            }
            if span.is_some_and(|s| s <= u32::MAX as u64) {
                n.r32 = l.start.r32.add(Ring::new(least as u64, greatest as u64));
            }
        }
    }
    v.num.meet(n).unwrap_or(v.num)
}
