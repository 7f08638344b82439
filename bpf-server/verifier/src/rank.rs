//! Bounds of loops: the ranking argument.
//!
//! For each loop, one symbolic pass tells how every register and stack slot at the end of a pass relates to those at its
//! start: `r3 = r3 + 1..=15`, `r2 = r2 >> 1`. A value that only moves one way, and that the fixpoint keeps inside an
//! interval of span s at the loop's head, can move at most s / step times. Which comparison leaves the loop does not
//! matter: it has already shaped the interval.
//!
//! The number of passes, in turn, bounds everything else that moves by a known amount per pass: a pointer that advances
//! beside a counter ends no further than start + step * passes. The same holds at any block in the loop, for the passes
//! that can reach it. These facts go back into the fixpoint.

use crate::cfg::{Function, Graph, Loop, NONE};
use crate::engine::{Fact, Run};
use crate::exec::Machine;
use crate::num::{Bits, Num};
use crate::state::{Kind, Reg, State};
use alloc::vec;
use alloc::vec::Vec;
use axiom_bpf_checker::ring::Ring;
use axiom_bpf_isa::opcode::*;

mod sym;
mod worst;

use sym::{NOWHERE, Sym, Syms, UNKNOWN, steps_of, symbolic};
pub use worst::worst_case;

/// The answer for one loop.
pub struct Bound {
    /// Most times that an edge back is taken, each time the loop is entered; `None` = not bounded sensibly.
    pub passes: Option<u64>,
    /// The counter with the fewest passes, if there is one at all.
    pub best: Option<(u16, u64)>,
    pub facts: Vec<Fact>,
    /// What moves in one way on every pass.
    pub moves: Vec<Drift>,
}

const FAR: i64 = 1 << 40;
/// Places: registers 0..=9, then 11 + slot.
const SLOT: u16 = 11;

/// A place that moves in one way on every pass.
#[derive(Clone, Copy, Debug)]
pub struct Drift {
    pub place: u16,
    pub by: Move,
    /// Of the low 32 bits.
    pub half: bool,
    /// It moves by another place that moves: what the first pass adds, least and most, and how much more each pass adds
    /// than the one before it.
    pub series: Option<(i64, i64, i64)>,
}

/// How a place moves in one pass.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Move {
    /// Plus something in `lo..=hi`.
    Add(i64, i64),
    /// Shifted right by at least this, unsigned.
    Shr(u32),
    /// Shifted left by something in `lo..=hi`, losing nothing.
    Shl(u32, u32),
}

fn place_of(s: &State, depth: usize, place: u16) -> Option<Reg> {
    let r = if place < 10 { s.regs[place as usize] } else { *s.frame(depth)?.spill(place - SLOT)? };
    (r.kind != Kind::Unusable && r.kind != Kind::Map && !r.null).then_some(r)
}

/// Bounds for every loop of the function, from the states of the last sweep.
pub fn bounds(f: &Function, graph: &Graph, m: &Machine, run: &Run) -> Vec<Bound> {
    f.loops.iter().map(|l| bound(l, f, graph, m, run)).collect()
}

fn bound(l: &Loop, f: &Function, graph: &Graph, m: &Machine, run: &Run) -> Bound {
    let mut result = Bound { passes: None, best: None, facts: Vec::new(), moves: Vec::new() };
    let head_state = run.states[(l.head - f.first) as usize].as_deref();
    let latches: Vec<&State> = run.back.iter().filter(|b| b.1 == l.head).map(|b| &*b.2).collect();
    let (Some(head), false) = (head_state, latches.is_empty()) else {
        // Never entered, or never repeated.
        result.passes = Some(0);
        return result;
    };
    let Some((syms, latch)) = symbolic(l, f, graph, m, run) else { return result };
    let entry = f.loops.iter().position(|x| x.head == l.head).and_then(|k| run.entries.get(k)?.as_deref());
    let turn = Turn { l, f, graph, m, run, head, latches, syms, latch };
    let places = turn.places();
    let fewer = |best: &Option<(u16, u64)>, n: u64| best.is_none_or(|b| n < b.1);
    for &p in &places {
        let v = turn.latch.place(p);
        let Some(r) = place_of(head, m.depth, p).filter(|_| v.base == p) else { continue };
        if v.by != Move::Add(0, 0) {
            result.moves.push(Drift { place: p, by: v.by, half: v.half, series: None });
        }
        if let Some(n) = turn.passes(p, v, &r).filter(|n| fewer(&result.best, *n)) {
            result.best = Some((p, n));
        }
    }
    if let Some(entry) = entry {
        for (p, n) in equalities(l, graph, m, &turn.syms, &turn.latch, entry) {
            if fewer(&result.best, n) {
                result.best = Some((p, n));
            }
        }
    }
    let Some((_, passes)) = result.best else { return result };
    if passes <= m.env.limits.instructions {
        result.passes = Some(passes);
    }
    let Some(entry) = entry else { return result };
    for drift in &mut result.moves {
        drift.series = turn
            .series(drift.place, entry)
            .filter(|(least, most, grows)| *least >= 0 && *most <= 1 << 30 && (1..1 << 20).contains(grows));
    }
    turn.in_step(entry, &places, passes, &mut result.facts);
    result
}

/// A loop, and what one pass does.
struct Turn<'a> {
    l: &'a Loop,
    f: &'a Function,
    graph: &'a Graph,
    m: &'a Machine<'a>,
    run: &'a Run,
    /// What is known at the head.
    head: &'a State,
    /// What is known at each edge back.
    latches: Vec<&'a State>,
    /// How each block relates to the head.
    syms: Vec<Option<Syms>>,
    /// How the end of a pass does.
    latch: Syms,
}

impl Turn<'_> {
    /// Places that may count.
    fn places(&self) -> Vec<u16> {
        let slots = self.head.frame(self.m.depth).into_iter().flat_map(|fr| &fr.spills);
        (0..10).chain(slots.map(|s| SLOT + s.0)).collect()
    }

    /// What is known at a block.
    fn state(&self, block: u32) -> Option<&State> {
        self.run.states[(block - self.f.first) as usize].as_deref()
    }

    /// How often a place that is `r` at the head can move as `v` says.
    fn passes(&self, p: u16, v: Sym, r: &Reg) -> Option<u64> {
        let least = |n: &Num| if v.half { n.r32.unsigned().0 } else { n.r64.unsigned().0 };
        let most = |n: &Num| if v.half { n.r32.unsigned().1 } else { n.r64.unsigned().1 };
        match v.by {
            Move::Add(lo, hi) if v.half => steps(r.num.r32, lo, hi),
            Move::Add(lo, hi) => steps(r.num.r64, lo, hi),
            Move::Shr(k) => (r.kind == Kind::Number && k > 0 && self.never_zero(p, v))
                .then(|| most(&r.num).max(1).ilog2() as u64 / k as u64 + 1),
            Move::Shl(k, _) => (r.kind == Kind::Number && least(&r.num) >= 1 && k > 0)
                .then(|| most(&r.num).ilog2() as u64 / k as u64 + 1),
        }
    }

    /// Only what is not zero can shrink: known of the shifted value, or of a copy from before the shift; or of a copy of it where
    /// every pass goes by, in a loop that is tested at its head.
    fn never_zero(&self, p: u16, v: Sym) -> bool {
        let depth = self.m.depth;
        let known = |s: &State, q: u16| {
            let least = |n: &Num| if v.half { n.r32.unsigned().0 } else { n.r64.unsigned().0 };
            place_of(s, depth, q).is_some_and(|r| least(&r.num) >= 1)
        };
        let copy = |x: &Sym| x.base == p && x.by == Move::Add(0, 0) && (v.half || !x.half);
        let at_the_end =
            |s: &&State| known(s, p) || (0..10).any(|q| copy(&self.latch.place(q)) && known(s, q));
        self.latches.iter().all(at_the_end)
            || self.l.body.iter().zip(&self.syms).any(|(b, sym)| {
                let (Some(here), Some(sym)) = (self.state(*b), sym) else { return false };
                sym_places(sym, here, depth).any(|(q, x)| copy(&x) && known(here, q))
                    && !avoids(self.l, self.graph, *b)
            })
    }

    /// Of a place that moves by another one that moves: what the first pass adds, least and most, and how much more each pass adds.
    fn series(&self, place: u16, entry: &State) -> Option<(i64, i64, i64)> {
        let (u, c) = self.latch.place(place).plus?;
        let by = latch_of(&self.latch, u)?;
        let (Move::Add(0.., grows), Some(u0)) = (by.by, place_of(entry, self.m.depth, u)) else {
            return None;
        };
        if u0.kind != Kind::Number {
            return None;
        }
        let (least, most) = if by.half { u0.num.r32.signed() } else { u0.num.r64.signed() };
        Some((least.checked_add(c)?, most.checked_add(c)?, grows))
    }

    /// What moves in step with the counter, which moves `passes` times: facts about it at each block.
    fn in_step(&self, entry: &State, places: &[u16], passes: u64, facts: &mut Vec<Fact>) {
        for (&block, sym) in self.l.body.iter().zip(&self.syms) {
            let (Some(here), Some(sym)) = (self.state(block), sym) else { continue };
            let n = if block == self.l.head {
                passes
            } else {
                passes.min(reaches(places, self.head, entry, here, sym, &self.latch, self.m.depth))
            };
            // A larger number of passes bounds nothing that matters; with a smaller one, no sum leaves 64 bits.
            let Some(count) = i64::try_from(n).ok().filter(|n| *n <= FAR >> 20) else { continue };
            for (place, s) in sym_places(sym, here, self.m.depth) {
                let Some((kind, num)) = self.fact(entry, here, place, s, count) else { continue };
                if !self.m.room(2 * size_of_val(&facts[..])) {
                    return;
                }
                facts.push(Fact { block, place, kind, num });
            }
        }
    }

    /// What is known of a place, which is the place `s.base` at the head plus something, after at most `count` passes, if that is more
    /// than what is known `here` already.
    fn fact(&self, entry: &State, here: &State, place: u16, s: Sym, count: i64) -> Option<(Kind, Num)> {
        let Move::Add(dlo, dhi) = s.by else { return None };
        let moving = self.latch.place(s.base);
        let (Move::Add(lo, hi), true) = (moving.by, moving.base == s.base) else { return None };
        let (e, now) = (place_of(entry, self.m.depth, s.base)?, place_of(here, self.m.depth, place)?);
        if e.kind != now.kind || e.at != now.at || lo < -FAR || hi > FAR || dlo < -FAR || dhi > FAR {
            return None;
        }
        let least = lo.min(0).checked_mul(count)?.checked_add(dlo)?;
        let most = hi.max(0).checked_mul(count)?.checked_add(dhi)?;
        // What is added on each pass grows by a constant: the total is the sum of an arithmetic series.
        let total = self.series(s.base, entry).and_then(|(first, last, grows)| {
            if first < 0 || count > 1 << 20 || last > 1 << 40 || grows > 1 << 20 {
                return None;
            }
            last.checked_mul(count)?.checked_add(grows.checked_mul(count * (count - 1).max(0) / 2)?)
        });
        let (least, most) = match total {
            Some(total) => (least.max(dlo), most.min(total.saturating_add(dhi))),
            None => (least, most),
        };
        let mut num = Num::TOP;
        if !(s.half || moving.half) {
            num.r64 = e.num.r64.add(Ring::new(least as u64, most as u64));
        }
        if most.checked_sub(least).is_some_and(|span| span < u32::MAX as i64) {
            num.r32 = e.num.r32.add(Ring::new(least as u64, most as u64));
        }
        num.bits = Bits::TOP;
        let more = now.num.meet(num).is_some_and(|met| met != now.num);
        more.then_some((now.kind, num))
    }
}

/// Places of `here` with their relation to the head.
fn sym_places<'a>(sym: &'a Syms, here: &'a State, depth: usize) -> impl Iterator<Item = (u16, Sym)> + 'a {
    let slots = here.frame(depth).map(|f| f.spills.iter()).into_iter().flatten();
    let regs = (0..10u16).map(move |q| (q, sym.regs[q as usize]));
    regs.chain(slots.map(move |s| (SLOT + s.0, sym.slot(s.0)))).filter(|x| x.1.base != NOWHERE)
}

/// How often something that moves by `lo..=hi` at a time can move inside an interval.
fn steps<const B: u32>(r: Ring<B>, lo: i64, hi: i64) -> Option<u64> {
    let (step, far) = if lo >= 1 {
        (lo as u64, hi)
    } else if hi <= -1 {
        (hi.unsigned_abs(), lo.saturating_neg())
    } else {
        return None;
    };
    // The last move may not go all the way round.
    if far > FAR || r.span().checked_add(far as u64).is_none_or(|s| s > Ring::<B>::MASK) {
        return None;
    }
    Some(r.span() / step)
}

/// The number of the last pass that can reach a block, from what counters are known to be there.
fn reaches(
    places: &[u16],
    head: &State,
    entry: &State,
    here: &State,
    sym: &Syms,
    latch: &Syms,
    depth: usize,
) -> u64 {
    fn last<const B: u32>(h: Ring<B>, e: Ring<B>, x: Ring<B>, c: (i64, i64), d: (i64, i64)) -> Option<u64> {
        steps(h, c.0, c.1)?;
        let up = c.0 >= 1;
        let (near, far) = if up { d } else { (d.1.saturating_neg(), d.0.saturating_neg()) };
        if near < 0 || far > FAR || h.span().checked_add(far as u64)? > Ring::<B>::MASK {
            return None;
        }
        let place = |v: u64| if up { v.wrapping_sub(h.lo) } else { h.hi.wrapping_sub(v) } & Ring::<B>::MASK;
        let (first, last) = if up { (place(x.lo), place(x.hi)) } else { (place(x.hi), place(x.lo)) };
        let start = if up { place(e.lo) } else { place(e.hi) };
        if first > last || start > h.span() {
            return None;
        }
        let step = if up { c.0 } else { c.1.saturating_neg() } as u64;
        // Nothing reaches it before the start: then not at all, but 0 says enough.
        Some(last.saturating_sub(start).saturating_sub(near as u64) / step)
    }
    let mut best = u64::MAX;
    for (q, s) in sym_places(sym, here, depth) {
        let moving = latch.place(s.base);
        if moving.base != s.base || !places.contains(&s.base) {
            continue;
        }
        let (Move::Add(clo, chi), Move::Add(dlo, dhi)) = (moving.by, s.by) else { continue };
        let (Some(h), Some(e), Some(x)) =
            (place_of(head, depth, s.base), place_of(entry, depth, s.base), place_of(here, depth, q))
        else {
            continue;
        };
        if !h.same_memory(&x) || !h.same_memory(&e) {
            continue;
        }
        let n = if s.half || moving.half {
            last(h.num.r32, e.num.r32, x.num.r32, (clo, chi), (dlo, dhi))
        } else {
            last(h.num.r64, e.num.r64, x.num.r64, (clo, chi), (dlo, dhi))
        };
        best = best.min(n.unwrap_or(u64::MAX));
    }
    best
}

/// Bounds from exits of the kind `i == n`, which every pass makes: i reaches n exactly.
fn equalities(
    l: &Loop,
    graph: &Graph,
    m: &Machine,
    syms: &[Option<Syms>],
    latch: &Syms,
    entry: &State,
) -> Vec<(u16, u64)> {
    let mut found = Vec::new();
    for (k, &b) in l.body.iter().enumerate() {
        let block = &graph.blocks[b as usize];
        let i = m.insns[block.end as usize];
        let leaves = match i.op {
            JEQ64K | JEQ64X | JEQ32K | JEQ32X => block.jumps,
            JNE64K | JNE64X | JNE32K | JNE32X => block.falls,
            _ => continue,
        };
        let inside = |t: u32| t != NONE && l.body.contains(&t);
        let Some(mut s) = syms[k].clone().filter(|_| !inside(leaves)) else { continue };
        if found.len() >= 8 || avoids(l, graph, b) {
            continue;
        }
        steps_of(&mut s, b, graph, m);
        let wide = i.op & 7 == CLASS_JMP;
        let register = |r: u8| if r < 10 { s.regs[r as usize] } else { UNKNOWN };
        let x = register(i.dst());
        let pairs = if i.op & 8 == 0 {
            [(x, None), (UNKNOWN, None)]
        } else {
            let y = register(i.src());
            [(x, Some(y)), (y, Some(x))]
        };
        for (moving, fixed) in pairs {
            let by = latch_of(latch, moving.base);
            let (Move::Add(d, d2), Some(Move::Add(c, c2))) = (moving.by, by.map(|b| b.by)) else { continue };
            let half = !wide || moving.half || by.is_some_and(|b| b.half);
            if moving.base == NOWHERE || d != d2 || c != c2 || c == 0 || wide && half {
                continue;
            }
            let Some(e) = place_of(entry, m.depth, moving.base) else { continue };
            let n = match fixed {
                None if e.kind == Kind::Number => Num::of(i.imm as i64 as u64),
                None => continue,
                Some(y) => {
                    let still =
                        latch_of(latch, y.base).is_some_and(|b| b.by == Move::Add(0, 0) && (!b.half || half));
                    let (Move::Add(0, 0), true, true) = (y.by, still, !y.half || half) else { continue };
                    match place_of(entry, m.depth, y.base) {
                        Some(r) if r.same_memory(&e) => r.num,
                        _ => continue,
                    }
                }
            };
            let start = e.num.add(Num::of(d as u64));
            let passes = if half { meets(start.r32, n.r32, c) } else { meets(start.r64, n.r64, c) };
            if let Some(n) = passes {
                found.push((moving.base, n));
            }
        }
    }
    found
}

fn latch_of(latch: &Syms, place: u16) -> Option<Sym> {
    (place != NOWHERE).then(|| latch.place(place)).filter(|s| s.base == place)
}

/// Steps of `c` from `start` until exactly `end` is met.
fn meets<const B: u32>(start: Ring<B>, end: Ring<B>, c: i64) -> Option<u64> {
    let way = if c > 0 { end.sub(start) } else { start.sub(end) };
    let step = c.unsigned_abs();
    match way.constant() {
        Some(w) if w.is_multiple_of(step) => Some(w / step),
        // With steps of one nothing is jumped over.
        _ if step == 1 => Some(way.unsigned().1),
        _ => None,
    }
}

/// A pass can return to the head without going through block `b`.
fn avoids(l: &Loop, graph: &Graph, b: u32) -> bool {
    if b == l.head {
        return false;
    }
    let mut seen = vec![l.head];
    let mut work = vec![l.head];
    while let Some(x) = work.pop() {
        let block = &graph.blocks[x as usize];
        for t in [block.jumps, block.falls] {
            if t == l.head {
                return true;
            }
            if t != NONE && t != b && l.body.contains(&t) && !seen.contains(&t) {
                seen.push(t);
                work.push(t);
            }
        }
    }
    false
}

/// An edge leaves the loop, or the program ends in it.
pub fn has_exit(l: &Loop, graph: &Graph, m: &Machine) -> bool {
    l.body.iter().any(|b| {
        let block = &graph.blocks[*b as usize];
        let out = |t: u32| t != NONE && !l.body.contains(&t);
        out(block.jumps) || out(block.falls) || m.insns[block.end as usize].op == EXIT
    })
}
