//! Forged proofs: somebody who wants to cheat starts from a program and a proof that hold, and states more.
//!
//! Runs of an accepted pair tell what the checker knows at each instruction. A step of the walk states that where nothing was stated yet
//! (which holds), and then something beside it that is almost true: less is known, or a little too much; constants get one name, registers
//! are said to be apart, ghost counters and lines begin in the middle of a block, halves and wholes change places, an address may be
//! null, records and functions' summaries are others. Instructions are changed for such as use what is stated; what needs several changes at
//! once is in `stories.rs`. Whatever the checker accepts
//! is the next pair, and is run beside all that it states: so a wrong statement is seen where it comes about, not only where it
//! does harm. Of each pair many are refused: that costs microseconds.
//!
//! `AXIOM_FORGE_MINUTES` runs longer, `AXIOM_FORGE_PROGRAMS` forges from as many programs, `AXIOM_FORGE_FIRST` from another seed,
//! `AXIOM_FORGE_KIND` from one kind alone.
mod stories;

use crate::follow::Seen;
use crate::generate::{self, APART, CALLS, KINDS, MIXED, RECORDS, Random, SUMS};
use crate::proofs::{self, Part, near};
use crate::{Fuzz, MAPS, env, hex, listing, number};
use axiom_bpf_checker::alu::lengths;
use axiom_bpf_checker::proof::{Form, Ghost, Line, Place};
use axiom_bpf_checker::ring::Ring;
use axiom_bpf_checker::state::{Frame, Gap, Kind, Moved, State, Value};
use axiom_bpf_checker::step::FIRST_FRESH;
use axiom_bpf_checker::{Number, shape};
use axiom_bpf_isa::Insn;
use axiom_bpf_verifier::Program;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// Pairs that are tried from each program on.
const TRIES: u64 = 1500;
/// So many after which a walk begins again at its program, and places of a context with which it does.
const TURN: u64 = 300;
const MANY: usize = 24;
/// Programs that are forged from by themselves, and at least, whatever the time.
const LEAST: u64 = 60;

/// Where in a state a value is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    Register(u8),
    Slot(usize, usize),
    Gap(usize),
}

fn get(s: &State, at: At) -> Value {
    match at {
        At::Register(r) => *s.reg(r),
        At::Slot(f, k) => s.frames[f].slots[k].1,
        At::Gap(k) => s.gaps[k].value,
    }
}

fn put(s: &mut State, at: At, v: Value) {
    match at {
        At::Register(r) => s.write(r, v),
        At::Slot(f, k) => s.frames_mut()[f].slots[k].1 = v,
        At::Gap(k) => s.gaps[k].value = v,
    }
}

/// More is known of it than what it is.
fn interesting(v: &Value) -> bool {
    v.id != 0 || v.moved.line != 0 || v.is_pointer() || v.null
}

/// Everything of which something is known; what is related to others several times.
fn places(s: &State) -> Vec<At> {
    let registers = (0..10).map(At::Register);
    let slots =
        s.frames.iter().enumerate().flat_map(|(f, x)| (0..x.slots.len()).map(move |k| At::Slot(f, k)));
    let mut all: Vec<At> = registers.chain(slots).filter(|at| get(s, *at).kind != Kind::Nothing).collect();
    for k in 0..s.gaps.len() {
        all.extend([At::Gap(k); 3]);
    }
    let related: Vec<At> = all.iter().copied().filter(|at| interesting(&get(s, *at))).collect();
    all.extend(&related);
    all.extend(related);
    all
}

fn some<T: Copy>(r: &mut Random, from: &[T]) -> Option<T> {
    if from.is_empty() { None } else { Some(r.pick(from)) }
}

/// A name that the state does not have.
fn unused(s: &mut State) -> u32 {
    let mut most = 0;
    s.each(|v| most = most.max(v.id).max(if v.kind == Kind::Value { v.of } else { 0 }));
    if most + 1 < FIRST_FRESH { most + 1 } else { 77 }
}

/// What was given names by the checker gets such as a proof may have.
fn rename(s: &mut State) {
    let mut highest = 0;
    s.each(|v| {
        for name in [v.id, if v.kind == Kind::Value { v.of } else { 0 }] {
            highest = if name < FIRST_FRESH { highest.max(name) } else { highest };
        }
    });
    let base = if highest < FIRST_FRESH - 1000 { highest + 1 } else { 1 };
    let mut names: Vec<u32> = Vec::new();
    s.each(|v| {
        let element = v.kind == Kind::Value;
        for name in [&mut v.id, &mut v.of].into_iter().take(1 + usize::from(element)) {
            if *name >= FIRST_FRESH {
                let k = names.iter().position(|n| n == name).unwrap_or_else(|| {
                    names.push(*name);
                    names.len() - 1
                });
                *name = base + k as u32;
            }
        }
    });
}

/// Numbers that hold all of `n`, and perhaps more.
fn wider(r: &mut Random, n: Number) -> Number {
    match r.below(8) {
        0 | 1 => Number::TOP,
        2 => Number { r64: Ring::TOP, ..n },
        3 => Number { r32: Ring::TOP, ..n },
        4 => n.join(Number::of(n.r64.lo.wrapping_sub(r.pick(&[1, 8, 1 << 31])))),
        5 => n.join(Number::of(n.r64.hi.wrapping_add(r.pick(&[1, 8, 1 << 32])))),
        6 => Number { bits: Number::TOP.bits, ..n },
        _ => n.join(Number::of(r.next() >> r.below(64))),
    }
}

/// Numbers of which one at an end, or a bit, is missing.
fn narrower(r: &mut Random, n: Number) -> Number {
    let (lo, hi) = (n.r64.lo, n.r64.hi);
    match r.below(5) {
        0 => Number { r64: Ring::new(lo.wrapping_add(1), hi), ..n },
        1 => Number { r64: Ring::new(lo, hi.wrapping_sub(1)), ..n },
        2 => Number { r32: Ring::new(n.r32.lo, n.r32.hi.wrapping_sub(1)), ..n },
        3 => {
            let mut n = n;
            n.bits.unknown &= !(1 << r.below(64));
            n
        }
        _ => Number::of(r.pick(&[lo, hi])),
    }
}

/// A value that nobody has.
fn odd(r: &mut Random, lines: usize) -> Value {
    let kind =
        r.pick(&[Kind::Number, Kind::Record, Kind::Record, Kind::Value, Kind::Stack, Kind::Map, Kind::Ctx]);
    let mut v = Value { kind, null: kind != Kind::Number && r.one_in(2), ..Value::ANY };
    if !matches!(kind, Kind::Number | Kind::Ctx) {
        v.at = r.pick(&[0, 0, 1, 5, 7, u32::MAX - 1, u32::MAX]);
    }
    match kind {
        Kind::Value => v.of = r.pick(&[0, 1, 2, FIRST_FRESH - 1, FIRST_FRESH]),
        Kind::Record => v.of = r.pick(&[0, 8, 16, u32::MAX]),
        _ => {}
    }
    if r.one_in(2) {
        v.num = Number::of(r.pick(&[0, 0, 8, u64::MAX - 7, 1 << 63]));
    }
    if r.one_in(4) {
        (v.id, v.delta, v.half) = (r.pick(&[1, 2, FIRST_FRESH]), near(r, 0), r.one_in(2));
    }
    if lines > 0 && r.one_in(4) {
        v.moved.line = 1 + r.below(lines as u64) as u16;
        (v.moved.lo, v.moved.hi) = r.pick(&[(0, 0), (i64::MIN, i64::MAX), (-1, 1), (i64::MAX, i64::MAX)]);
        (v.moved.half, v.moved.rise) = (r.one_in(2), r.pick(&[0, 0, 1 << 32]));
    }
    v
}

/// Changes one value: for what holds, too, or for what almost does.
fn twist(r: &mut Random, s: &mut State, lines: usize) {
    let all = places(s);
    let (Some(at), Some(other)) = (some(r, &all), some(r, &all)) else { return };
    let (mut v, o) = (get(s, at), get(s, other));
    match if v.is_pointer() && r.one_in(4) { 3 } else { r.below(18) } {
        0 | 1 => v.num = wider(r, v.num),
        2 => v.num = narrower(r, v.num),
        3 | 4 if v.is_pointer() => v.null = !v.null,
        3 | 4 if v.constant() == Some(0) => {
            let of = r.pick(&[0, 1, 2, o.of]);
            v = Value { kind: Kind::Value, null: true, of, num: wider(r, v.num), ..v }
        }
        3 | 5 => v.half = !v.half,
        4 | 6 if v.moved.line != 0 => {
            if r.one_in(2) {
                v.moved.half = !v.moved.half;
            } else {
                other_half(&mut v);
            }
        }
        7 if v.moved.line != 0 => {
            v.moved.lo = v.moved.lo.saturating_sub(r.pick(&[0, 1, 8, 1 << 40]));
            v.moved.hi = v.moved.hi.saturating_add(r.pick(&[0, 1, 8, 1 << 40]));
        }
        8 if v.moved.line != 0 => {
            let d = r.pick(&[(1, 0), (0, 1), (1, 1)]);
            (v.moved.lo, v.moved.hi) = (v.moved.lo.saturating_add(d.0), v.moved.hi.saturating_sub(d.1));
            v.moved.rise = r.pick(&[v.moved.rise, 0, 1, 1 << 31]);
        }
        9 => {
            // Both are one number, each plus something, if that is how they begin.
            let id = if o.id != 0 && r.one_in(2) { o.id } else { unused(s) };
            let base = r.pick(&[0, v.num.r64.lo, o.num.r64.lo, 1]);
            (v.id, v.delta) = (id, v.num.r64.lo.wrapping_sub(base));
            if o.id != id {
                let mut o = o;
                (o.id, o.delta, o.half) = (id, o.num.r64.lo.wrapping_sub(base), false);
                if r.one_in(2) {
                    o.num = wider(r, o.num);
                }
                put(s, other, o);
            }
            if r.one_in(2) {
                v.num = wider(r, v.num);
            }
        }
        10 => (v.id, v.delta, v.half) = (0, 0, false),
        11 => match at {
            At::Gap(k) => return s.gaps.truncate(k),
            At::Slot(f, k) => return s.frames_mut()[f].slots.truncate(k),
            At::Register(_) => v = Value::NOTHING,
        },
        12 => v = o,
        13 => v = odd(r, lines),
        14 => v.moved = Moved { line: r.below(lines as u64 + 1) as u16, ..o.moved },
        15 => v.delta = near(r, v.delta),
        16 => v.of = r.pick(&[0, o.of, v.of.wrapping_add(1)]),
        _ => v.num = wider(r, v.num),
    }
    if matches!(at, At::Slot(..)) && v.kind == Kind::Nothing {
        return;
    }
    put(s, at, v);
}

/// States how far two registers are apart, perhaps by a name that something else has, too.
fn gap(r: &mut Random, s: &mut State) {
    let registers: Vec<u8> = (0..10).filter(|k| s.reg(*k).kind != Kind::Nothing).collect();
    let (Some(of), Some(from)) = (some(r, &registers), some(r, &registers)) else { return };
    let (a, b) = (s.reg(of).num, s.reg(from).num);
    let mut value = Value::number(a.sub(b));
    if r.one_in(2) {
        value.num = wider(r, value.num);
    }
    s.gaps.push(Gap { of, from, value });
    if r.one_in(3) {
        let others: Vec<At> = places(s).into_iter().filter(|at| get(s, *at).kind == Kind::Number).collect();
        let Some(other) = some(r, &others) else { return };
        let (mut o, id) = (get(s, other), unused(s));
        let id = if o.id == 0 { id } else { o.id };
        if o.id == 0 {
            (o.id, o.delta) = (id, o.num.r64.lo);
            o.num = wider(r, o.num);
            put(s, other, o);
        }
        if let Some(g) = s.gaps.last_mut() {
            (g.value.id, g.value.delta) = (id, a.sub(b).r64.lo);
        }
    }
}

/// A loop is entered, or goes on, in each of these states, and what they have in one place moves along a line of it.
fn moving(r: &mut Random, part: &mut Part, slot: u32, all: &mut [&mut State], budget: &mut u64) {
    let (listed, known) = (some(r, &all[0].ghosts), part.ghosts.len() as u64);
    let g = match listed {
        Some(g) if (g.0 as u64) < known && !r.one_in(3) => g.0,
        _ if known > 0 && r.one_in(2) => r.below(known) as u16,
        _ => {
            let heads = [slot, slot, part.start as u32, slot.wrapping_add(1)];
            let ghost = Ghost { head: r.pick(&heads), most: r.below(4), cost: r.pick(&[0, 0, 1, 8]) };
            part.ghosts.push(ghost);
            known as u16
        }
    };
    let there: Vec<At> = places(all[0])
        .into_iter()
        .filter(|at| matches!(at, At::Register(_)) || all.len() == 1)
        .filter(|at| all.iter().all(|s| get(s, *at).kind == get(all[0], *at).kind))
        .collect();
    // What is another number on each way is what it is about where they meet.
    let differ = |at: &At| all.iter().any(|s| get(s, *at).num != get(all[0], *at).num);
    let apart: Vec<At> = there.iter().copied().filter(differ).collect();
    let from = if apart.is_empty() || r.one_in(4) { &there } else { &apart };
    let Some(at) = some(r, from) else { return };
    let v = get(all[0], at);
    let form = if v.kind == Kind::Number && r.one_in(2) { Form::Length } else { Form::Sum };
    let (low, high) = r.pick(&[(0, 0), (0, 0), (0, 1), (1, 1), (-1, -1), (-1, 0), (4, 4), (1, 2)]);
    let curve = if form == Form::Sum && high >= 0 && r.one_in(4) { r.pick(&[1, 2]) } else { 0 };
    let begins = all.iter().fold(v.num, |n, s| n.join(get(s, at).num));
    let start = if form == Form::Length || r.one_in(4) { Number::TOP } else { begins };
    let line = Line { ghost: g, form, low, high, curve, start };
    let alike = part.lines.iter().position(|l| l.ghost == g && l.form == form).filter(|_| r.one_in(2));
    let same = part.lines.iter().position(|l| *l == line);
    let k = alike.or(same).unwrap_or_else(|| {
        part.lines.push(line);
        part.lines.len() - 1
    });
    let (ghost, half, slack) = (part.ghosts[g as usize], r.one_in(3), r.one_in(4));
    *budget = budget.saturating_sub(ghost.most.saturating_mul(ghost.cost));
    for s in all {
        let most = if r.one_in(4) { r.below(ghost.most.saturating_add(1)) } else { ghost.most };
        if let Err(k) = s.ghosts.binary_search_by_key(&g, |x| x.0) {
            s.ghosts.insert(k, (g, most));
        }
        let (mut v, half) = (get(s, at), half ^ r.one_in(3));
        let (lo, hi) = match form {
            Form::Sum => (0, 0),
            Form::Length => {
                let (lo, hi) = if half { lengths(v.num.r32) } else { lengths(v.num.r64) };
                (lo as i64, hi as i64)
            }
        };
        let (lo, hi) = if slack { (lo - 1, hi + r.below(3) as i64) } else { (lo, hi) };
        v.moved =
            Moved { line: k as u16 + 1, half, lo, hi, rise: if curve > 0 { r.below(2) as i64 } else { 0 } };
        put(s, at, v);
    }
}

/// Frames, records and ghost counters are a little otherwise.
fn around(r: &mut Random, s: &mut State) {
    match r.below(8) {
        0..3 => {
            let (f, bits) = (r.below(s.frames.len().max(1) as u64) as usize, r.next() & r.next());
            let (less, written) = (!r.one_in(3), r.one_in(2));
            if let Some(Frame { written: a, clean: b, .. }) = s.frames_mut().get_mut(f) {
                let mask = &mut if written { a } else { b }[7 - r.below(8).min(1) as usize];
                *mask = if less { *mask & bits } else { *mask | bits };
            }
        }
        3 => {
            let (k, site) = (r.below(4) as usize, 1 + r.below(40) as u32);
            s.held[k] = r.pick(&[0, s.held[0], site, u32::MAX]);
        }
        4 => s.held.swap(0, 1),
        5 if !s.ghosts.is_empty() => {
            let k = r.below(s.ghosts.len() as u64) as usize;
            s.ghosts[k].1 = near(r, s.ghosts[k].1);
        }
        6 if !s.ghosts.is_empty() => {
            let k = r.below(s.ghosts.len() as u64) as usize;
            s.ghosts.remove(k);
        }
        _ => {
            // The same slots, said of another frame or place.
            let n = s.frames.len();
            if let Some(f) = s.frames_mut().get_mut(r.below(n.max(1) as u64) as usize)
                && let Some(k) = some(r, &(0..f.slots.len()).collect::<Vec<_>>())
            {
                let to = f.slots[k].0.wrapping_add(r.pick(&[1, 2, 4, u16::MAX])) & 0xff;
                if f.slots.iter().all(|x| x.0 != to) {
                    f.slots[k].0 = to;
                    f.slots.sort_by_key(|x| x.0);
                }
            }
        }
    }
}

/// States something more, or something else.
fn decorate(r: &mut Random, part: &mut Part, slot: u32, s: &mut State, budget: &mut u64) {
    match r.below(10) {
        0 | 1 if s.gaps.len() < 4 => gap(r, s),
        2 | 3 if part.ghosts.len() < 12 && part.lines.len() < 24 => moving(r, part, slot, &mut [s], budget),
        4 => around(r, s),
        _ => twist(r, s, part.lines.len()),
    }
}

/// Slots to which no run comes from the one before, nor from a jump.
fn dead(code: &[Insn]) -> Vec<usize> {
    let targets: Vec<i64> = (0..code.len()).filter_map(|at| leads(code, at)).collect();
    let ends =
        |at: usize| matches!(code[at - 1].op, 0x95 | 0x05 | 0x06) && (at < 2 || code[at - 2].op != 0x18);
    (1..code.len()).filter(|at| ends(*at) && !targets.contains(&(*at as i64))).collect()
}

/// Where a jump leads, or a call of a function.
fn leads(code: &[Insn], at: usize) -> Option<i64> {
    let i = code[at];
    let call = shape::is_local_call(i);
    (call || shape::is_jump(i.op))
        .then(|| if call { at as i64 + 1 + i.imm as i64 } else { shape::target(at, i) })
}

/// States at some instruction what is known there, and something beside it.
fn state(r: &mut Random, code: &[Insn], parts: &mut [Part], seen: &[Seen]) {
    let Some(k) = some(r, &(0..seen.len()).collect::<Vec<_>>()) else { return };
    let Seen { context, at, state } = &seen[k];
    let Some(part) = parts.get_mut(*context) else { return };
    let (mut s, mut slot, mut budget) = (state.clone(), *at, state.budget);
    rename(&mut s);
    let gone = dead(code);
    if !gone.is_empty() && r.one_in(5) {
        slot = r.pick(&gone) as u32;
        for _ in 0..1 + r.below(8) {
            let (d, v) = (r.below(6) as u8, odd(r, part.lines.len()));
            if r.one_in(2) { s.write(d, v) } else { decorate(r, part, slot, &mut s, &mut budget) }
        }
        budget = budget.min(100);
    } else if r.one_in(16) {
        slot = slot.wrapping_add(r.pick(&[1, 2, u32::MAX]));
    }
    if r.one_in(3) {
        return twins(r, code, part, seen, *context);
    }
    while !r.one_in(3) {
        decorate(r, part, slot, &mut s, &mut budget);
    }
    match part.places.binary_search_by_key(&slot, |p| p.0.slot) {
        Ok(k) => part.places[k].1 = s,
        Err(k) => part.places.insert(k, (Place { slot, state: 0, budget }, s)),
    }
}

/// States the same in two places, or almost the same; they are on two ways that meet, perhaps.
fn twins(r: &mut Random, code: &[Insn], part: &mut Part, seen: &[Seen], context: usize) {
    let here: Vec<usize> = (0..seen.len()).filter(|k| seen[*k].context == context).collect();
    let comparisons: Vec<usize> =
        here.iter().copied().filter(|k| shape::is_conditional(code[seen[*k].at as usize].op)).collect();
    let jumps: Vec<usize> = here.iter().copied().filter(|k| code[seen[*k].at as usize].op == 0x05).collect();
    let slots = match (some(r, &jumps), some(r, &comparisons)) {
        // What is jumped over is the other way to where the jump leads.
        (Some(k), _) if code[seen[k].at as usize].off > 0 && !r.one_in(3) => {
            let (at, off) = (seen[k].at, code[seen[k].at as usize].off as u64);
            [at, at + 1 + r.below(off) as u32]
        }
        (_, Some(k)) if r.one_in(3) => {
            let at = seen[k].at as usize;
            [at as u32 + 1, shape::target(at, code[at]) as u32]
        }
        _ => [seen[r.pick(&here)].at, seen[r.pick(&here)].at],
    };
    let there = slots.map(|slot| seen.iter().find(|x| x.context == context && x.at == slot));
    let [Some(a), Some(b)] = there else { return };
    let (mut s, mut t, mut budget) = (a.state.clone(), b.state.clone(), 0);
    rename(&mut s);
    rename(&mut t);
    if part.ghosts.len() < 12 && part.lines.len() < 24 && r.one_in(2) {
        budget = part.worst;
        moving(r, part, a.at, &mut [&mut s, &mut t], &mut budget);
        budget = part.worst - budget;
    } else {
        let seed = r.next() | 1;
        for s in [&mut s, &mut t] {
            let mut same = Random(seed);
            let lines = part.lines.len();
            if same.one_in(3) { gap(&mut same, s) } else { twist(&mut same, s, lines) }
        }
    }
    for (seen, mut s) in [(a, s), (b, t)] {
        if r.one_in(4) {
            twist(r, &mut s, part.lines.len());
        }
        let place = Place { slot: seen.at, state: 0, budget: seen.state.budget.saturating_sub(budget) };
        match part.places.binary_search_by_key(&seen.at, |p| p.0.slot) {
            Ok(k) => part.places[k].1 = s,
            Err(k) => part.places.insert(k, (place, s)),
        }
    }
}

/// What is said of the length of the whole is said of its low half's, or the other way round.
fn other_half(v: &mut Value) {
    v.moved.half = !v.moved.half;
    let (lo, hi) = if v.moved.half { lengths(v.num.r32) } else { lengths(v.num.r64) };
    (v.moved.lo, v.moved.hi) = (lo as i64, hi as i64);
}

/// Changes what is said of a context as a whole, or of its loops, calls and places.
fn whole(r: &mut Random, parts: &mut Vec<Part>) {
    let k = r.below(parts.len() as u64) as usize;
    let contexts = parts.len() as u64;
    let part = &mut parts[k];
    let (lines, mut budget) = (part.lines.len(), part.worst);
    match r.below(12) {
        0 => {
            let mut entry = part.entry.clone();
            decorate(r, part, part.start as u32, &mut entry, &mut budget);
            part.entry = entry;
        }
        1 | 2 => {
            if let Some(exit) = &mut part.exit {
                if r.one_in(3) { around(r, exit) } else { twist(r, exit, lines) }
            } else if r.one_in(4) {
                part.exit = Some(State::default());
            }
        }
        3 => {
            if let Some(k) = some(r, &(0..part.calls.len()).collect::<Vec<_>>()) {
                let (slot, callee) = part.calls[k];
                match r.below(4) {
                    0 => part.calls.truncate(k),
                    1 => part.calls.push((slot, callee)),
                    _ => part.calls[k].1 = r.below(contexts),
                }
            }
        }
        4 if contexts < 8 => {
            // Another context of the same function.
            let copy = part.clone();
            parts.insert(k + 1, copy);
            for (_, callee) in parts[k + 2..].iter_mut().flat_map(|p| &mut p.calls) {
                if *callee > k as u64 || *callee == k as u64 && r.one_in(2) {
                    *callee += 1;
                }
            }
        }
        5 | 6 if !part.places.is_empty() => {
            let (a, b) = (r.below(part.places.len() as u64), r.below(part.places.len() as u64));
            match r.below(4) {
                0 => drop(part.places.remove(a as usize)),
                1 => part.places[a as usize].1 = part.places[b as usize].1.clone(),
                2 => part.places[a as usize].0.budget = near(r, part.places[a as usize].0.budget),
                _ => {
                    let slot = part.places[a as usize].0.slot.wrapping_add(r.pick(&[1, u32::MAX]));
                    if part.places.iter().all(|p| p.0.slot != slot) {
                        part.places[a as usize].0.slot = slot;
                        part.places.sort_by_key(|p| p.0.slot);
                    }
                }
            }
        }
        _ => proofs::change(r, parts),
    }
}

/// Changes a stated place.
fn restate(r: &mut Random, parts: &mut [Part]) {
    let k = r.below(parts.len() as u64) as usize;
    let part = &mut parts[k];
    let Some(p) = some(r, &(0..part.places.len()).collect::<Vec<_>>()) else { return };
    let (mut place, mut s) = (part.places[p].0, part.places[p].1.clone());
    decorate(r, part, place.slot, &mut s, &mut place.budget);
    part.places[p] = (place, s);
}

/// An instruction that uses what is known there.
fn fitting(r: &mut Random, code: &mut [Insn], seen: &[Seen]) {
    let Some(k) = some(r, &(0..seen.len()).collect::<Vec<_>>()) else { return };
    let (at, s) = (seen[k].at as usize, &seen[k].state);
    if at >= code.len() || code[at].op == 0x18 {
        return;
    }
    let mut registers: Vec<u8> = (0..10).filter(|d| s.reg(*d).kind != Kind::Nothing).collect();
    registers.extend((0..10).filter(|d| interesting(s.reg(*d))));
    registers.extend(s.gaps.iter().flat_map(|g| [g.of, g.from, g.of, g.from]));
    let null: Vec<u8> = (0..10).filter(|d| s.reg(*d).null).collect();
    let (Some(a), Some(b)) = (some(r, &registers), some(r, &registers)) else { return };
    let mut targets: Vec<i16> = (0..code.len())
        .filter_map(|k| leads(code, k))
        .filter_map(|to| i16::try_from(to - at as i64 - 1).ok().filter(|off| *off >= 0))
        .collect();
    targets.extend([1, 1, 2, 3]);
    let (off, v) = (r.pick(&targets), s.reg(a));
    let imm = r.imm();
    let imm = match v.num.constant() {
        Some(n) => n as i32,
        None => r.pick(&[v.num.r64.lo as i32, v.num.r64.hi as i32, imm]),
    };
    let slot = r.pick(&[-8i16, -16, -24, -12, -40]);
    let small = r.pick(&[1, -1, 2, 8, -8, 4, i32::MIN, i32::MAX]);
    let any = r.below(10) as u8;
    let what = if !null.is_empty() && r.one_in(2) { 1 } else { r.below(16) };
    code[at] = match what {
        0 => Insn::new(r.pick(&[0x15, 0x55]), a, 0, off, 0),
        1 => Insn::new(r.pick(&[0x15, 0x55]), some(r, &null).unwrap_or(a), 0, off, 0),
        2 => Insn::new(r.pick(&[0x1d, 0x5d, 0x2d, 0xad, 0x6d, 0xcd, 0x1e, 0x5e, 0x2e, 0xae]), a, b, off, 0),
        3 => Insn::new(r.pick(&[0x15, 0x55, 0x25, 0xa5, 0x65, 0xc5, 0x45, 0x16, 0x26, 0xa6]), a, 0, off, imm),
        4 | 5 => Insn::new(r.pick(&[0x07, 0x07, 0x17, 0x04, 0x14]), a, 0, 0, small),
        6 => Insn::new(r.pick(&[0x0f, 0x1f, 0x0c, 0x1c]), a, b, 0, 0),
        7 => Insn::new(r.pick(&[0xbf, 0xbf, 0xbc]), any, a, 0, 0),
        8 => Insn::new(
            r.pick(&[0x77, 0x74, 0x67, 0x64, 0xc7, 0xc4, 0x37, 0x34]),
            a,
            0,
            0,
            r.pick(&[1, 2, 31, 32, 8]),
        ),
        9 => Insn::new(r.pick(&[0x7b, 0x7b, 0x63]), 10, a, slot, 0),
        10 => Insn::new(r.pick(&[0x79, 0x79, 0x61, 0x81]), any, 10, slot, 0),
        11 => Insn::new(r.pick(&[0x72, 0x71, 0x7a, 0x79]), a, a, r.pick(&[0, 8, -8, 15, 63]), 0),
        12 => Insn::new(0x85, 0, 0, 0, r.pick(&[132, 133, 5])),
        13 => Insn::new(0x0f, a, any, 0, 0),
        14 => Insn::new(0xbf, 1, a, 0, 0),
        _ => r.pick(&[
            Insn::new(0x95, 0, 0, 0, 0),
            Insn::new(0x05, 0, 0, off, 0),
            Insn::new(0xb7, any, 0, 0, imm),
        ]),
    };
    if matches!(code[at].op, 0x72 | 0x7a) {
        code[at].regs &= 15;
    }
}

/// What a proof says; of one that says nothing, that it does.
fn parts(proof: &[u8], worst: u64) -> Vec<Part> {
    let parts = proofs::read(proof).expect("the analysis' proof can be read");
    if !parts.is_empty() {
        return parts;
    }
    let mut entry = State::new(0);
    entry.write(1, Value::pointer(Kind::Ctx, 0));
    let (ghosts, lines, places, calls) = (vec![], vec![], vec![], vec![]);
    vec![Part { start: 0, depth: 0, ghosts, lines, worst, entry, exit: None, places, calls }]
}

/// One step of a walk.
fn step(r: &mut Random, code: &mut [Insn], parts: &mut Vec<Part>, seen: &[Seen], kind: usize) {
    loop {
        match r.below(18) {
            0..5 => state(r, code, parts, seen),
            5..9 => restate(r, parts),
            9..11 => whole(r, parts),
            11 => generate::change(r, code, kind),
            12 | 13 => stories::tell(r, code, parts, seen),
            _ => fitting(r, code, seen),
        }
        if !r.one_in(3) {
            return;
        }
    }
}

impl Fuzz {
    /// Has a forged pair checked, and if it is accepted runs it, with what is known on the way kept.
    fn forged(&mut self, code: &[Insn], proof: &[u8], kind: usize, seed: u64) -> Result<bool, String> {
        self.follower.look();
        let ran = catch_unwind(AssertUnwindSafe(|| self.pair(code, proof, kind, seed, 3)));
        ran.unwrap_or_else(|_| {
            let bytes: Vec<u8> = code.iter().flat_map(|i| i.to_bytes()).collect();
            Err(format!("a panic;\n{}corpus: {} {} {}", listing(code), KINDS[kind], hex(&bytes), hex(proof)))
        })
    }

    /// A program of the generator's, and proofs forged from its own, so many.
    pub fn forge(&mut self, kind: usize, seed: u64, tries: u64) -> Result<(), String> {
        let mut r = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        r.next();
        let first = generate::program(&mut r, kind);
        self.counts[kind].made += 1;
        let env = env(kind);
        let Ok((proof, _)) = self.verifier.prove(&Program { insns: &first, lines: None }, &env) else {
            return Ok(());
        };
        self.counts[kind].proved += 1;
        let (honest, mut proof) = (parts(&proof, env.limits.instructions), proof);
        let mut seen = Vec::new();
        let (mut code, mut now) = (first.clone(), honest.clone());
        for k in 0..tries {
            if k % TURN == 0 || now.iter().any(|p| p.places.len() > MANY) {
                (code, now) = (first.clone(), honest.clone());
                proofs::write(&now, &mut proof);
                if !self.forged(&code, &proof, kind, r.next())? {
                    return Err(format!("a proof that was accepted is refused\n{}", listing(&code)));
                }
                // Both ways out of most comparisons are wanted.
                self.pair(&code, &proof, kind, r.next(), 12)?;
                std::mem::swap(&mut seen, self.follower.seen.get_or_insert_default());
            }
            let (mut other, mut said) = (code.clone(), now.clone());
            step(&mut r, &mut other, &mut said, &seen, kind);
            proofs::write(&said, &mut proof);
            self.counts[kind].changed += 1;
            if self.forged(&other, &proof, kind, r.next())? {
                self.counts[kind].held += 1;
                if let (Some(digest), Some(seen)) = (&mut self.digest, &self.follower.seen) {
                    seen.iter().for_each(|s| digest.state(s.at, &s.state));
                }
                if !r.one_in(3) {
                    (code, now) = (other, said);
                    std::mem::swap(&mut seen, self.follower.seen.get_or_insert_default());
                }
            }
        }
        Ok(())
    }
}

#[test]
fn forged_proofs_state_nothing_wrong() {
    let minutes = number("AXIOM_FORGE_MINUTES");
    let first = number("AXIOM_FORGE_FIRST").unwrap_or(1);
    let programs = number("AXIOM_FORGE_PROGRAMS").unwrap_or(LEAST);
    let only = std::env::var("AXIOM_FORGE_KIND").ok().and_then(|k| KINDS.iter().position(|n| *n == k));
    let began = Instant::now();
    let end = began + Duration::from_secs(60 * minutes.unwrap_or(0));
    let mut fuzz = Fuzz::new();
    let mut seed = first;
    while match minutes {
        Some(_) => Instant::now() < end || seed < first + LEAST,
        None => seed < first + programs,
    } {
        // Every other program is of a kind whose values are related in many ways.
        let related = [MIXED, APART, SUMS, RECORDS, CALLS];
        let all = if seed.is_multiple_of(2) {
            related[seed as usize / 2 % 5]
        } else {
            seed as usize / 2 % KINDS.len()
        };
        let kind = only.unwrap_or(all);
        if let Err(e) = fuzz.forge(kind, seed, TRIES) {
            panic!("after {:?}, seed {seed}, kind {}: {e}", began.elapsed(), KINDS[kind]);
        }
        seed += 1;
    }
    let (mut proved, mut tried, mut held) = (0, 0, 0);
    for (name, c) in KINDS.iter().zip(fuzz.counts) {
        println!(
            "{name}: from {} of {} programs, {} forged pairs accepted of {}",
            c.proved, c.made, c.held, c.changed
        );
        (proved, tried, held) = (proved + c.proved, tried + c.changed, held + c.held);
    }
    let time = began.elapsed().as_secs_f64();
    let (per_second, steps) = (tried as f64 / time, fuzz.follower.steps);
    println!(
        "{held} of {tried} forged pairs accepted, from {proved} programs with {} maps, {steps} steps, {per_second:.0} tried a second",
        MAPS.len()
    );
    assert!(held * 12 > tried, "only {held} of {tried} were accepted: the test tests little");
    assert!(proved * 8 > seed - first, "only {proved} programs");
}
