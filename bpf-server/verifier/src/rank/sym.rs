//! One pass of a loop, symbolically: how registers and stack slots relate to what they were at the loop's head.

use super::{FAR, Move, SLOT};
use crate::cfg::{Function, Graph, Loop, NONE};
use crate::engine::Run;
use crate::exec::{Machine, Note};
use crate::state::{extent, slot};
use alloc::vec;
use alloc::vec::Vec;
use axiom_bpf_isa::{Insn, alu::*, atomic, opcode::*, pseudo};

/// The base of what is related to nothing.
pub(super) const NOWHERE: u16 = u16::MAX;

/// A value in terms of a place at the loop's head.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Sym {
    pub(super) base: u16,
    /// Of the low 32 bits only.
    pub(super) half: bool,
    pub(super) by: Move,
    /// Exactly: plus the value that this place had at the head, plus a constant. `by` says the same less exactly.
    pub(super) plus: Option<(u16, i64)>,
}

pub(super) const UNKNOWN: Sym = Sym::of(NOWHERE);

impl Sym {
    pub(super) const fn of(base: u16) -> Sym {
        Sym { base, half: false, by: Move::Add(0, 0), plus: None }
    }

    pub(super) fn add(self, lo: i64, hi: i64, wide: bool) -> Sym {
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

    /// The low 32 bits of it. Of a whole that was shifted they are not the shifted low half.
    fn low(self) -> Sym {
        match self.by {
            Move::Add(..) => self.add(0, 0, false),
            _ if self.half => self,
            _ => UNKNOWN,
        }
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
            (Move::Shl(a, b), Move::Shl(c, d)) => {
                Move::Shl(a.min(c), if widen && d > b { u32::MAX } else { b.max(d) })
            }
            _ => return UNKNOWN,
        };
        let plus = if self.plus == o.plus { self.plus } else { None };
        Sym { base: self.base, half: self.half || o.half, by, plus }
    }
}

#[derive(Clone, PartialEq, Eq)]
pub(super) struct Syms {
    pub(super) regs: [Sym; 10],
    /// Variables of the function's own frame that were stored to; they do not overlap.
    pub(super) slots: Vec<(u16, Sym)>,
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
    pub(super) fn identity() -> Syms {
        Syms { regs: core::array::from_fn(|i| Sym::of(i as u16)), slots: Vec::new(), lost: 0 }
    }

    pub(super) fn slot(&self, slot: u16) -> Sym {
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

    pub(super) fn place(&self, place: u16) -> Sym {
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
                let shifted = |by: Option<Move>| {
                    let half = old.half || !wide;
                    by.map_or(UNKNOWN, |by| Sym { base: old.base, half, by, plus: None })
                };
                self.regs[d] = match (i.operation(), by) {
                    (MOV, None) if i.off == 0 && s < 10 => {
                        let v = self.regs[s];
                        if wide { v } else { v.low() }
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
                        shifted(by)
                    }
                    (DIV, Some(c)) if c >= 2 && i.off == 0 && right && old.base != NOWHERE => {
                        let by = match old.by {
                            Move::Add(0, 0) => Some(Move::Shr(c.ilog2())),
                            _ => None,
                        };
                        shifted(by)
                    }
                    (LSH, Some(c))
                        if shift(c) > 0 && right && old.base != NOWHERE && note == Note::Range(1, 1) =>
                    {
                        let by = match old.by {
                            Move::Add(0, 0) => Some(Move::Shl(shift(c), shift(c))),
                            Move::Shl(lo, hi) => {
                                Some(Move::Shl(lo.saturating_add(shift(c)), hi.saturating_add(shift(c))))
                            }
                            _ => None,
                        };
                        shifted(by)
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
                        self.set(k, if i.op == STXDW { v } else { v.low() });
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

/// Goes through a block.
pub(super) fn steps_of(s: &mut Syms, b: u32, graph: &Graph, m: &Machine) {
    let block = &graph.blocks[b as usize];
    let mut at = block.start as usize;
    while at <= block.end as usize {
        let note = m.notes.get(at - m.notes_from).copied().unwrap_or(Note::None);
        s.step(m.insns[at], note);
        at += if m.insns[at].op == LDDW { 2 } else { 1 };
    }
}

/// How each block of the loop, and the end of a pass, relate to the head.
pub(super) fn symbolic(
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
