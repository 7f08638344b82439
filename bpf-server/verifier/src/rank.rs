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
use crate::engine::{Fact, Run, instructions};
use crate::exec::{Machine, Note};
use crate::num::{Bits, Num};
use crate::state::{Kind, Reg, State, extent, slot};
use alloc::vec;
use alloc::vec::Vec;
use axiom_bpf_checker::ring::Ring;
use axiom_bpf_isa::{Insn, alu::*, atomic, opcode::*, pseudo};

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

const NOWHERE: u16 = u16::MAX;
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
    /// Shifted left by at least this, losing nothing.
    Shl(u32),
}

/// A value in terms of a place at the loop's head.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Sym {
    base: u16,
    /// Of the low 32 bits only.
    half: bool,
    by: Move,
    /// Exactly: plus the value that this place had at the head, plus a constant. `by` says the same less exactly.
    plus: Option<(u16, i64)>,
}

const UNKNOWN: Sym = Sym::of(NOWHERE);

impl Sym {
    const fn of(base: u16) -> Sym {
        Sym { base, half: false, by: Move::Add(0, 0), plus: None }
    }

    fn add(self, lo: i64, hi: i64, wide: bool) -> Sym {
        let Move::Add(a, b) = self.by else { return UNKNOWN };
        let (exact, step) = (lo == hi, lo);
        let (lo, hi) = (a.saturating_add(lo), b.saturating_add(hi));
        if self.base == NOWHERE || lo < -FAR && hi > FAR {
            return UNKNOWN;
        }
        let plus = self.plus.filter(|_| exact).and_then(|(p, c)| Some((p, c.checked_add(step)?)));
        // Beyond FAR means unbounded, and stays so whatever is added.
        let lo = if a < -FAR { a } else { lo.max(-FAR - 1) };
        let hi = if b > FAR { b } else { hi.min(FAR + 1) };
        let by = Move::Add(lo, hi);
        Sym { base: self.base, half: self.half || !wide, by, plus }
    }

    /// Plus a register that is itself a place plus a constant, and lies in `lo..=hi`.
    fn add_place(self, o: Sym, lo: i64, hi: i64, wide: bool) -> Sym {
        let mut sum = self.add(lo, hi, wide);
        if let (Move::Add(a, a2), Move::Add(d, d2), None, true) =
            (self.by, o.by, self.plus, o.base != NOWHERE)
            && a == a2
            && d == d2
            && (!o.half || sum.half)
            && sum.base != NOWHERE
        {
            sum.plus = a.checked_add(d).map(|c| (o.base, c));
        }
        sum
    }

    fn join(self, o: Sym, widen: bool) -> Sym {
        if self == o {
            return self;
        }
        if self.base == NOWHERE || self.base != o.base {
            return UNKNOWN;
        }
        let by = match (self.by, o.by) {
            (Move::Add(a, b), Move::Add(c, d)) => {
                let lo = if widen && c < a { -FAR - 1 } else { a.min(c) };
                let hi = if widen && d > b { FAR + 1 } else { b.max(d) };
                Move::Add(lo, hi)
            }
            (Move::Shr(a), Move::Shr(b)) => Move::Shr(a.min(b)),
            (Move::Shl(a), Move::Shl(b)) => Move::Shl(a.min(b)),
            _ => return UNKNOWN,
        };
        let plus = if self.plus == o.plus { self.plus } else { None };
        Sym { base: self.base, half: self.half || o.half, by, plus }
    }
}

#[derive(Clone, PartialEq, Eq)]
struct Syms {
    regs: [Sym; 10],
    /// Variables of the function's own frame that were stored to; they do not overlap.
    slots: Vec<(u16, Sym)>,
    /// 4-byte words of the frame of which nothing is known any more, from the lowest address.
    lost: u128,
}

/// The words of bytes `from..to` of a frame.
fn words(from: usize, to: usize) -> u128 {
    let (first, end) = (from / 4, to.div_ceil(4).min(128));
    if first >= end {
        return 0;
    }
    let below = |n: usize| if n >= 128 { u128::MAX } else { (1 << n) - 1 };
    below(end) & !below(first)
}

fn words_of(slot: u16) -> u128 {
    let (from, len) = extent(slot);
    words(from, from + len)
}

impl Syms {
    fn identity() -> Syms {
        Syms { regs: core::array::from_fn(|i| Sym::of(i as u16)), slots: Vec::new(), lost: 0 }
    }

    fn slot(&self, slot: u16) -> Sym {
        let w = words_of(slot);
        match self.slots.iter().find(|s| words_of(s.0) & w != 0) {
            Some(s) if s.0 == slot => s.1,
            Some(_) => UNKNOWN,
            None if self.lost & w != 0 => UNKNOWN,
            None => Sym::of(SLOT + slot),
        }
    }

    /// Bytes were stored of which nothing is known.
    fn lose(&mut self, from: usize, to: usize) {
        let w = words(from, to);
        // A variable that is only partly overwritten is lost as a whole.
        for s in self.slots.extract_if(.., |s| words_of(s.0) & w != 0) {
            self.lost |= words_of(s.0);
        }
        self.lost |= w;
    }

    fn set(&mut self, slot: u16, v: Sym) {
        let (from, len) = extent(slot);
        self.lose(from, from + len);
        if v.base != NOWHERE {
            self.lost &= !words_of(slot);
            self.slots.push((slot, v));
        }
    }

    fn place(&self, place: u16) -> Sym {
        if place < 10 { self.regs[place as usize] } else { self.slot(place - SLOT) }
    }

    /// True if anything changed.
    fn join(&mut self, o: &Syms, widen: bool) -> bool {
        let mut changed = false;
        for i in 0..10 {
            let j = self.regs[i].join(o.regs[i], widen);
            changed |= j != self.regs[i];
            self.regs[i] = j;
        }
        let lost = self.lost;
        self.lost |= o.lost;
        if !self.slots.is_empty() || !o.slots.is_empty() {
            let before = Syms { lost, ..self.clone() };
            self.slots.clear();
            for (k, _) in before.slots.iter().chain(&o.slots) {
                let j = before.slot(*k).join(o.slot(*k), widen);
                if self.slots.iter().any(|s| s.0 == *k) {
                    continue;
                }
                if j.base == NOWHERE {
                    self.lost |= words_of(*k);
                } else {
                    self.slots.push((*k, j));
                }
            }
            let lost = self.lost;
            self.slots.retain(|s| words_of(s.0) & lost == 0);
            self.slots.sort_unstable_by_key(|s| s.0);
            changed |= self.slots != before.slots;
        }
        changed |= self.lost != lost;
        changed
    }

    fn step(&mut self, i: Insn, note: Note) {
        let (d, s) = (i.dst() as usize, i.src() as usize);
        let wide = i.op & 7 == CLASS_ALU64;
        match i.op & 7 {
            CLASS_ALU | CLASS_ALU64 => {
                let old = self.regs[d];
                let register = i.op & 8 != 0;
                let range = match note {
                    Note::Range(lo, hi) | Note::Sum((lo, hi), _) => Some((lo, hi)),
                    _ => None,
                };
                let by = if register { None } else { Some(i.imm as i64) };
                // Only the low bits of a count matter; and of a value known in its low half, nothing is known of the whole.
                let shift = |c: i64| c as u32 & if wide { 63 } else { 31 };
                let right = !(wide && old.half);
                self.regs[d] = match (i.operation(), by) {
                    (MOV, None) if i.off == 0 && s < 10 => {
                        let v = self.regs[s];
                        if wide { v } else { v.add(0, 0, false) }
                    }
                    (ADD, Some(c)) => old.add(c, c, wide),
                    (SUB, Some(c)) => old.add(-c, -c, wide),
                    (ADD, None) => match range {
                        Some((lo, hi)) if s != d => {
                            let other = if s < 10 { self.regs[s] } else { UNKNOWN };
                            match (old.add_place(other, lo, hi, wide), note) {
                                // A step that a condition chose, plus the counter.
                                (UNKNOWN, Note::Sum(_, (lo, hi))) => other.add(lo, hi, wide),
                                (sum, _) => sum,
                            }
                        }
                        _ => UNKNOWN,
                    },
                    (SUB, None) => match range {
                        Some((lo, hi)) if s != d => old.add(hi.saturating_neg(), lo.saturating_neg(), wide),
                        _ => UNKNOWN,
                    },
                    (RSH, Some(c)) if shift(c) > 0 && right && old.base != NOWHERE => {
                        let by = match old.by {
                            Move::Add(0, 0) => Some(Move::Shr(shift(c))),
                            Move::Shr(k) => Some(Move::Shr(k.saturating_add(shift(c)))),
                            _ => None,
                        };
                        by.map_or(UNKNOWN, |by| Sym {
                            base: old.base,
                            half: old.half || !wide,
                            by,
                            plus: None,
                        })
                    }
                    (DIV, Some(c)) if c >= 2 && i.off == 0 && right && old.base != NOWHERE => {
                        let by = match old.by {
                            Move::Add(0, 0) => Some(Move::Shr(c.ilog2())),
                            _ => None,
                        };
                        by.map_or(UNKNOWN, |by| Sym {
                            base: old.base,
                            half: old.half || !wide,
                            by,
                            plus: None,
                        })
                    }
                    (LSH, Some(c))
                        if shift(c) > 0 && right && old.base != NOWHERE && note == Note::Range(1, 1) =>
                    {
                        let by = match old.by {
                            Move::Add(0, 0) => Some(Move::Shl(shift(c))),
                            Move::Shl(k) => Some(Move::Shl(k.saturating_add(shift(c)))),
                            _ => None,
                        };
                        by.map_or(UNKNOWN, |by| Sym {
                            base: old.base,
                            half: old.half || !wide,
                            by,
                            plus: None,
                        })
                    }
                    _ => UNKNOWN,
                };
            }
            CLASS_LD => self.regs[d] = UNKNOWN,
            CLASS_LDX => {
                self.regs[d] = match note {
                    Note::Frame(lo, hi) if matches!(i.op, LDXDW | LDXW) => {
                        let size = if i.op == LDXDW { 8 } else { 4 };
                        let exact = slot(lo as usize, size).filter(|_| (hi - lo) as usize == size);
                        exact.map_or(UNKNOWN, |k| self.slot(k))
                    }
                    _ => UNKNOWN,
                };
            }
            CLASS_ST | CLASS_STX => {
                if let Note::Frame(lo, hi) = note {
                    self.lose(lo as usize, hi as usize);
                    let exact = slot(lo as usize, (hi - lo) as usize);
                    if s < 10
                        && let (STXDW | STXW, Some(k)) = (i.op, exact)
                    {
                        let v = self.regs[s];
                        self.set(k, if i.op == STXDW { v } else { v.add(0, 0, false) });
                    }
                }
                if i.op == ATOMICW || i.op == ATOMICDW {
                    if i.imm == atomic::CMPXCHG {
                        self.regs[0] = UNKNOWN;
                    } else if i.imm & 1 != 0 && s < 10 {
                        self.regs[s] = UNKNOWN;
                    }
                }
            }
            _ => {
                if i.op == CALL || i.op == CALLX {
                    self.regs[..6].fill(UNKNOWN);
                    if let Note::Frame(lo, hi) = note {
                        self.lose(lo as usize, hi as usize);
                    }
                    if i.op == CALL && i.src() == pseudo::LOCAL_CALL && note != Note::Kept {
                        // The callee may hold addresses of this frame.
                        self.lose(0, 512);
                    }
                }
            }
        }
    }
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
    let limit = m.env.limits.instructions;
    let mut places: Vec<u16> = (0..10).collect();
    if let Some(fr) = head.frame(m.depth) {
        places.extend(fr.spills.iter().map(|s| SLOT + s.0));
    }
    for &p in &places {
        let v = latch.place(p);
        if v.base != p {
            continue;
        }
        let Some(r) = place_of(head, m.depth, p) else { continue };
        if v.by != Move::Add(0, 0) {
            result.moves.push(Drift { place: p, by: v.by, half: v.half, series: None });
        }
        let passes = match v.by {
            Move::Add(lo, hi) => {
                if v.half {
                    steps(r.num.r32, lo, hi)
                } else {
                    steps(r.num.r64, lo, hi)
                }
            }
            Move::Shr(k) => {
                let least = |n: &Num| if v.half { n.r32.unsigned().0 } else { n.r64.unsigned().0 };
                let most = if v.half { r.num.r32.unsigned().1 } else { r.num.r64.unsigned().1 };
                // Only what is not zero can shrink: known of the shifted value or of a copy from before the shift.
                let never_zero = latches.iter().all(|s| {
                    (0..10).any(|q| {
                        let x = latch.place(q);
                        (q == p || x.base == p && x.by == Move::Add(0, 0) && (v.half || !x.half))
                            && place_of(s, m.depth, q).is_some_and(|r| least(&r.num) >= 1)
                    })
                });
                // Or of a copy of it where every pass goes by: a loop that is tested at its head.
                let tested = || {
                    l.body.iter().zip(&syms).any(|(b, sym)| {
                        let here = run.states[(*b - f.first) as usize].as_deref();
                        let (Some(here), Some(sym)) = (here, sym) else { return false };
                        let copy = |x: &Sym| x.base == p && x.by == Move::Add(0, 0) && (v.half || !x.half);
                        let known = |q: u16| place_of(here, m.depth, q).is_some_and(|r| least(&r.num) >= 1);
                        sym_places(sym, here, m.depth).any(|(q, x)| copy(&x) && known(q))
                            && !avoids(l, graph, *b)
                    })
                };
                (r.kind == Kind::Number && k > 0 && (never_zero || tested()))
                    .then(|| most.max(1).ilog2() as u64 / k as u64 + 1)
            }
            Move::Shl(k) => {
                let least = if v.half { r.num.r32.unsigned().0 } else { r.num.r64.unsigned().0 };
                (r.kind == Kind::Number && least >= 1 && k > 0).then(|| 64 / k as u64 + 1)
            }
        };
        if let Some(n) = passes
            && result.best.is_none_or(|b| n < b.1)
        {
            result.best = Some((p, n));
        }
    }
    let entry = f.loops.iter().position(|x| x.head == l.head).and_then(|k| run.entries.get(k)?.as_deref());
    if let Some(entry) = entry {
        for (p, n) in equalities(l, graph, m, &syms, &latch, entry) {
            if result.best.is_none_or(|b| n < b.1) {
                result.best = Some((p, n));
            }
        }
    }
    let Some((_, passes)) = result.best else { return result };
    if passes <= limit {
        result.passes = Some(passes);
    }
    // What moves in step.
    let Some(entry) = entry else { return result };
    for drift in &mut result.moves {
        drift.series = latch.place(drift.place).plus.and_then(|(u, c)| {
            let by = latch_of(&latch, u)?;
            let (Move::Add(0.., grows), Some(u0)) = (by.by, place_of(entry, m.depth, u)) else { return None };
            let (least, most) = if by.half { u0.num.r32.signed() } else { u0.num.r64.signed() };
            let (least, most) = (least.checked_add(c)?, most.checked_add(c)?);
            (least >= 0 && most <= 1 << 30 && (1..1 << 20).contains(&grows)).then_some((least, most, grows))
        });
    }
    for (k, &b) in l.body.iter().enumerate() {
        let (Some(here), Some(sym)) = (run.states[(b - f.first) as usize].as_deref(), &syms[k]) else {
            continue;
        };
        let n = if b == l.head {
            passes
        } else {
            passes.min(reaches(&places, head, entry, here, sym, &latch, m.depth))
        };
        for (q, s) in sym_places(sym, here, m.depth) {
            // The place q here is the place s.base at the head plus something.
            let Move::Add(dlo, dhi) = s.by else { continue };
            let moving = latch.place(s.base);
            let (Move::Add(lo, hi), true) = (moving.by, moving.base == s.base) else { continue };
            let (Some(e), Some(now)) = (place_of(entry, m.depth, s.base), place_of(here, m.depth, q)) else {
                continue;
            };
            if e.kind != now.kind || e.at != now.at || lo < -FAR || hi > FAR || dlo < -FAR || dhi > FAR {
                continue;
            }
            // A larger number of passes bounds nothing that matters; with a smaller one, no sum leaves 64 bits.
            let Some(count) = i64::try_from(n).ok().filter(|n| *n <= FAR >> 20) else { continue };
            // What is added on each pass grows by a constant: the total is the sum of an arithmetic series.
            let series = moving.plus.and_then(|(u, c)| {
                let by = latch_of(&latch, u)?;
                let (Move::Add(ulo, uhi), Some(u0)) = (by.by, place_of(entry, m.depth, u)) else {
                    return None;
                };
                let (first, last) = if by.half { u0.num.r32.signed() } else { u0.num.r64.signed() };
                let (first, last) = (first.checked_add(c)?, last.checked_add(c)?);
                if u0.kind != Kind::Number
                    || first < 0
                    || ulo < 0
                    || n > 1 << 20
                    || last > 1 << 40
                    || uhi > 1 << 20
                {
                    return None;
                }
                let n = n as i64;
                last.checked_mul(n)?.checked_add(uhi.checked_mul(n * (n - 1).max(0) / 2)?)
            });
            let (Some(least), Some(most)) = (
                lo.min(0).checked_mul(count).and_then(|x| x.checked_add(dlo)),
                hi.max(0).checked_mul(count).and_then(|x| x.checked_add(dhi)),
            ) else {
                continue;
            };
            let (least, most) = match series {
                Some(total) => (least.max(dlo), most.min(total.saturating_add(dhi))),
                None => (least, most),
            };
            let half = s.half || moving.half;
            let mut fact = Num::TOP;
            if !half {
                fact.r64 = e.num.r64.add(Ring::new(least as u64, most as u64));
            }
            if most.checked_sub(least).is_some_and(|span| span < u32::MAX as i64) {
                fact.r32 = e.num.r32.add(Ring::new(least as u64, most as u64));
            }
            fact.bits = Bits::TOP;
            let Some(met) = now.num.meet(fact) else { continue };
            if met != now.num {
                if !m.room(2 * size_of_val(&result.facts[..])) {
                    return result;
                }
                result.facts.push(Fact { block: b, place: q, kind: now.kind, num: fact });
            }
        }
    }
    result
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

fn steps_of(s: &mut Syms, b: u32, graph: &Graph, m: &Machine) {
    let block = &graph.blocks[b as usize];
    let mut at = block.start as usize;
    while at <= block.end as usize {
        let note = m.notes.get(at - m.notes_from).copied().unwrap_or(Note::None);
        s.step(m.insns[at], note);
        at += if m.insns[at].op == LDDW { 2 } else { 1 };
    }
}

/// How each block of the loop, and the end of a pass, relate to the head.
fn symbolic(
    l: &Loop,
    f: &Function,
    graph: &Graph,
    m: &Machine,
    run: &Run,
) -> Option<(Vec<Option<Syms>>, Syms)> {
    let base = graph.blocks[l.head as usize].rank;
    if !m.room(l.body.len() * size_of::<Option<Syms>>()) {
        return None;
    }
    let mut syms: Vec<Option<Syms>> = vec![None; l.body.len()];
    let mut latch: Option<Syms> = None;
    syms[0] = Some(Syms::identity());
    for pass in 0..24 {
        let mut changed = false;
        for (k, &b) in l.body.iter().enumerate() {
            if run.states[(b - f.first) as usize].is_none() {
                continue;
            }
            if !m.room(0) {
                return None;
            }
            let Some(mut s) = syms[k].clone() else { continue };
            let block = &graph.blocks[b as usize];
            steps_of(&mut s, b, graph, m);
            for to in [block.jumps, block.falls] {
                if to == NONE {
                    continue;
                }
                if to == l.head {
                    if run.back.iter().any(|x| x.0 == b && x.1 == to) {
                        match &mut latch {
                            Some(have) => changed |= have.join(&s, pass > 2),
                            None => {
                                changed = true;
                                latch = Some(s.clone());
                            }
                        }
                    }
                    continue;
                }
                let rank = graph.blocks[to as usize].rank;
                let Some(place) = rank.checked_sub(base).and_then(|i| syms.get_mut(i as usize)) else {
                    continue;
                };
                match place {
                    Some(have) => changed |= have.join(&s, pass > 2),
                    None => {
                        changed = true;
                        *place = Some(s.clone());
                    }
                }
            }
        }
        if !changed {
            return latch.map(|l| (syms, l));
        }
    }
    None
}

/// An edge leaves the loop, or the program ends in it.
pub fn has_exit(l: &Loop, graph: &Graph, m: &Machine) -> bool {
    l.body.iter().any(|b| {
        let block = &graph.blocks[*b as usize];
        let out = |t: u32| t != NONE && !l.body.contains(&t);
        out(block.jumps) || out(block.falls) || m.insns[block.end as usize].op == EXIT
    })
}

/// The most instructions that the function can execute; `None` if a loop has no bound.
pub fn worst_case(f: &Function, graph: &Graph, m: &Machine, run: &Run, bounds: &[Bound]) -> Option<u64> {
    let mut totals = vec![0u64; f.loops.len()];
    let cost = |b: u32| {
        let block = &graph.blocks[b as usize];
        let calls: u64 = run
            .calls
            .iter()
            .filter(|c| c.0 >= block.start && c.0 <= block.end)
            .fold(0, |a: u64, c| a.saturating_add(c.1));
        instructions(block, m).saturating_add(calls)
    };
    // Inner loops stand behind their outer ones.
    for (k, l) in f.loops.iter().enumerate().rev() {
        let once = longest(k as u32, &l.body, f, graph, &totals, &cost);
        totals[k] = once.saturating_mul(bounds[k].passes?.saturating_add(1));
    }
    Some(longest(NONE, &f.order, f, graph, &totals, &cost))
}

/// The longest way through the blocks of one level, inner loops counted as a whole.
fn longest(
    level: u32,
    items: &[u32],
    f: &Function,
    graph: &Graph,
    totals: &[u64],
    cost: &dyn Fn(u32) -> u64,
) -> u64 {
    let mut reach: Vec<Option<u64>> = vec![None; f.count as usize];
    let Some(&start) = items.first() else { return 0 };
    reach[(start - f.first) as usize] = Some(0);
    let mut worst = 0;
    for &b in items {
        let block = &graph.blocks[b as usize];
        // The loop right below this level that holds the block.
        let mut inner = block.within;
        while inner != level && inner != NONE && f.loops[inner as usize].outer != level {
            inner = f.loops[inner as usize].outer;
        }
        let through = if inner == level || inner == NONE {
            let Some(d) = reach[(b - f.first) as usize] else { continue };
            d.saturating_add(cost(b))
        } else {
            let head = f.loops[inner as usize].head;
            let Some(d) = reach[(head - f.first) as usize] else { continue };
            d.saturating_add(totals[inner as usize])
        };
        worst = worst.max(through);
        for to in [block.jumps, block.falls] {
            // Edges back add nothing; edges inside an inner loop are part of its total.
            if to == NONE || graph.blocks[to as usize].rank <= block.rank {
                continue;
            }
            let mut within = graph.blocks[to as usize].within;
            while within != level && within != NONE && f.loops[within as usize].outer != level {
                within = f.loops[within as usize].outer;
            }
            if inner != level && inner != NONE && within == inner {
                continue;
            }
            let place = &mut reach[(to - f.first) as usize];
            *place = Some(place.map_or(through, |p| p.max(through)));
        }
    }
    worst
}
