//! The guess at what is known at a loop's head, and what is taken back from it when a way back does not bear it out.

use super::{Context, Prover};
use crate::engine::Hint;
use crate::rank::{Drift, Move};
use crate::state::{Kind as Known, Reg};
use alloc::boxed::Box;
use alloc::vec::Vec;
use axiom_bpf_checker::edge::{GAPS, Loops};
use axiom_bpf_checker::proof::{Form, Ghost, Line, MAX_GAPS, MAX_GHOSTS, MAX_LINES, MAX_PASSES};
use axiom_bpf_checker::state::{Gap, Kind, Mask, Moved, State, Value};
use axiom_bpf_checker::{Number, Why, alu};
use axiom_bpf_isa::{Insn, opcode::*};

/// What was taken back from the guess about a loop's head.
#[derive(Clone, Default)]
pub(super) struct Guess {
    /// Places of which nothing is stated.
    nothing: Vec<u32>,
    /// Places that move in no known way.
    still: Vec<u32>,
    /// Places that equal nothing else.
    nameless: Vec<u32>,
    /// What came round, joined, of places whose numbers did not hold.
    numbers: Vec<(u32, Number, u32)>,
    /// Numbers that differences have taken.
    gaps: Vec<((u8, u8), Number, u32)>,
    /// Differences of registers that are not known.
    gapless: Vec<(u8, u8)>,
    /// Bytes of frames.
    masks: Vec<(Mask, Mask)>,
    passes: u64,
    counted: u32,
}

/// Names that a guess gives are above those of the analysis.
const FIRST: u32 = 1 << 20;

/// A loop's head while it is guessed.
struct Head<'a> {
    guess: &'a Guess,
    hint: &'a Hint,
    ghost: u16,
    /// How deep the function is nested.
    depth: u32,
    /// Names of the analysis, and the guess' own.
    names: Vec<(u32, u32)>,
    /// The last name of an element.
    elements: u32,
    lines: &'a mut Vec<Line>,
}

impl Head<'_> {
    /// Makes of what the ways in bring to a place what is guessed of it; `r` is what the analysis knows there, if it does.
    fn place(&mut self, place: u32, v: &mut Value, r: Option<&Reg>) {
        let start = v.num;
        let r = r.filter(|_| !self.guess.nothing.contains(&place));
        let kind = r.map_or(Kind::Nothing, |r| kind(r.kind));
        if let Some(r) = r.filter(|r| kind == Kind::Value && v.constant() == Some(0) && r.null) {
            *v = Value { null: true, of: self.element(), ..Value::pointer(Kind::Value, r.at) };
        }
        let Some(r) = r.filter(|_| v.kind == kind && kind != Kind::Nothing) else {
            *v = Value::NOTHING;
            return;
        };
        v.null |= r.null;
        v.num = if start.subset_of(r.num) { r.num } else { start.join(r.num) };
        if let Some(g) = self.guess.numbers.iter().find(|g| g.0 == place) {
            v.num = if g.2 > 6 { Number::TOP } else { v.num.join(g.1) };
        }
        let nameless = self.guess.nameless.contains(&place);
        (v.id, v.delta, v.half) = match r.id {
            0 => (0, 0, false),
            _ if nameless => (0, 0, false),
            id => (self.name(id), r.delta as i64 as u64, r.half),
        };
        if nameless && v.kind == Kind::Value {
            v.of = self.element();
        }
        if self.guess.still.contains(&place) {
            v.moved = Moved::default();
        } else if let Some(moved) = self.moves(place).and_then(|drift| self.line(drift, start)) {
            v.moved = moved;
        }
    }

    /// An element of which nothing else is known.
    fn element(&mut self) -> u32 {
        self.elements += 1;
        self.elements
    }

    /// The guess' name for one of the analysis.
    fn name(&mut self, of: u32) -> u32 {
        if let Some(n) = self.names.iter().find(|n| n.0 == of) {
            return n.1;
        }
        let name = FIRST + 1 + self.names.len() as u32;
        self.names.push((of, name));
        name
    }

    /// How a place moves on every pass, if it does: of the function's own frame, or a register.
    fn moves(&self, place: u32) -> Option<Drift> {
        let name = match place.checked_sub(16) {
            None => place as u16,
            Some(slot) if slot / 256 == self.depth => 11 + (slot % 256) as u16,
            Some(_) => return None,
        };
        self.hint.moves.iter().find(|m| m.place == name).copied()
    }

    /// A line for what moves so, and began as `start`.
    fn line(&mut self, drift: Drift, start: Number) -> Option<Moved> {
        let Drift { by, half, series, .. } = drift;
        let (form, low, high) = match by {
            Move::Add(lo, hi) if lo.unsigned_abs() < 1 << 40 && hi.unsigned_abs() < 1 << 40 => {
                (Form::Sum, lo, hi)
            }
            Move::Add(..) => return None,
            Move::Shr(k) => (Form::Length, i64::MIN >> 1, -(k as i64)),
            Move::Shl(lo, hi) => (Form::Length, lo.into(), hi.into()),
        };
        let (low, high, curve) = series.filter(|_| form == Form::Sum).unwrap_or((low, high, 0));
        let line = self.draw(Line { ghost: self.ghost, form, low, high, curve, start })?;
        let (lo, hi) = match form {
            Form::Sum => (0, 0),
            Form::Length if half => alu::lengths(start.r32),
            Form::Length => alu::lengths(start.r64),
        };
        Some(Moved { line, half, lo: lo as i64, hi: hi as i64, rise: 0 })
    }

    /// Adds a line, if there is room; its number.
    fn draw(&mut self, line: Line) -> Option<u16> {
        if self.lines.len() as u64 >= MAX_LINES {
            return None;
        }
        self.lines.push(line);
        Some(self.lines.len() as u16)
    }

    /// Frames: what is guessed of their slots and bytes.
    fn frames(&mut self, s: &mut State) {
        for (d, f) in s.frames_mut().iter_mut().enumerate() {
            let known = self.hint.state.frame(d);
            for (slot, v) in &mut f.slots {
                let place = 16 + 256 * d as u32 + *slot as u32;
                self.place(place, v, known.and_then(|k| k.spill(*slot)));
            }
            // What was an address and is none any more is neither written nor clean.
            let gone: Vec<u16> = f.slots.iter().filter(|x| x.1.kind == Kind::Nothing).map(|x| x.0).collect();
            f.slots.retain(|x| !gone.contains(&x.0));
            if let Some((written, clean)) = self.guess.masks.get(d) {
                for w in 0..8 {
                    f.written[w] &= written[w];
                    f.clean[w] &= clean[w];
                }
            }
        }
    }

    /// The difference of the registers that `i` compares, at the end of a block of the loop, if it moves steadily towards 0.
    fn gap(&mut self, i: Insn, before: &State) -> Option<Gap> {
        let (of, from) = (i.dst(), i.src());
        let compares = matches!(i.op, JEQ64X | JNE64X | JEQ32X | JNE32X) && of <= 9 && from <= 9;
        if !compares || self.guess.gapless.contains(&(of, from)) {
            return None;
        }
        let (start, (x, p), (y, q)) = (before.gap(of, from)?.num, self.steady(of)?, self.steady(from)?);
        let by = x.checked_sub(y).filter(|by| *by != 0)?;
        let half = p || q || i.op & 7 == CLASS_JMP32;
        let line =
            self.draw(Line { ghost: self.ghost, form: Form::Sum, low: by, high: by, curve: 0, start })?;
        let moved = Moved { line, half, ..Moved::default() };
        // It does not go past 0, where the loop ends, and began on this side of it.
        let mut num = if half { Number { r32: start.r32, ..Number::TOP } } else { start };
        if let Some(g) = self.guess.gaps.iter().find(|g| g.0 == (of, from)) {
            num = if g.2 > 4 { Number::TOP } else { num.join(g.1) };
        }
        Some(Gap { of, from, value: Value { moved, ..Value::number(num) } })
    }

    /// What is added to a register on every pass, if it is always the same, and whether only to its low half.
    fn steady(&self, r: u8) -> Option<(i64, bool)> {
        match self.hint.moves.iter().find(|m| m.place == r as u16) {
            Some(&Drift { by: Move::Add(lo, hi), half, .. }) if lo == hi => Some((lo, half)),
            Some(_) => None,
            None => Some((0, false)),
        }
    }
}

/// The checker's kind for one of the analysis.
fn kind(of: Known) -> Kind {
    match of {
        Known::Unusable => Kind::Nothing,
        Known::Number => Kind::Number,
        Known::Ctx => Kind::Ctx,
        Known::Stack => Kind::Stack,
        Known::Map => Kind::Map,
        Known::Value => Kind::Value,
        Known::Reserved => Kind::Record,
    }
}

impl Prover<'_> {
    /// The guess at a loop's head; `s` is what the ways into the loop bring.
    pub(super) fn guess(&mut self, c: &mut Context, l: u32, head: u32, s: &mut State) -> Result<(), Why> {
        let hint = self.hints.iter().find(|h| h.head == head && h.chain == c.chain);
        let Some(hint) = hint else { return Ok(()) };
        let guess =
            c.guesses[l as usize].get_or_insert_with(|| Guess { passes: hint.passes, ..Guess::default() });
        if c.ghosts.len() as u64 >= MAX_GHOSTS || guess.passes > MAX_PASSES {
            return Err(Why::TooComplex);
        }
        let ghost = c.ghosts.len() as u16;
        c.ghosts.push(Ghost { head, most: guess.passes, cost: 0 });
        c.ghost_of[l as usize] = Some(ghost);
        let depth = s.frames.len() as u32 - 1;
        let before = s.clone();
        let (names, elements) = (Vec::new(), FIRST);
        let mut h = Head { guess, hint, ghost, depth, names, elements, lines: &mut c.lines };
        for (r, known) in hint.state.regs.iter().enumerate() {
            if let Some(v) = s.regs.change(r as u8) {
                h.place(r as u32, v, Some(known));
            }
        }
        h.frames(s);
        // Registers that a way out of the loop, or on in it, compares.
        s.gaps.clear();
        for b in &c.function.loops[l as usize].body {
            let i = self.m.insns[self.graph.blocks[*b as usize].end as usize];
            let there = s.gaps.iter().any(|g| (g.of, g.from) == (i.dst(), i.src()));
            if !there && (s.gaps.len() as u64) < MAX_GAPS {
                s.gaps.extend(h.gap(i, &before));
            }
        }
        s.ghosts.push((ghost, guess.passes));
        self.m.lines.clone_from(&c.lines);
        Ok(())
    }

    /// A way back to a loop's head: whether it bears the guess out; if not, something is taken back.
    pub(super) fn back(&mut self, c: &mut Context, l: u32, to: u32, mut s: Box<State>) -> Result<bool, Why> {
        let slot = self.graph.blocks[to as usize].start;
        let Some(head) = c.heads[l as usize].clone() else { return Err(Why::NothingStated) };
        let (Some(ghost), Some(guess)) = (c.ghost_of[l as usize], c.guesses[l as usize].as_mut()) else {
            return Err(Why::Ghost { ghost: l as u16 });
        };
        let loops = Loops { ghosts: &c.ghosts, lines: &c.lines };
        let why = match self.edges.check(loops, &mut s, slot, &head) {
            Ok(()) => return Ok(true),
            Err(why) => why,
        };
        match why {
            Why::Ghost { ghost: g } if g == ghost => {
                let most = s.ghost(ghost).ok_or(why)?.checked_add(1).ok_or(why)?;
                guess.counted += 1;
                if most <= guess.passes || guess.counted > 3 || most > self.m.env.limits.instructions {
                    return Err(why);
                }
                guess.passes = most;
            }
            Why::NotImplied { place } if place >= GAPS => {
                let g = head.gaps.get((place - GAPS) as usize).copied().ok_or(why)?;
                let pair = (g.of, g.from);
                match s.gap(g.of, g.from) {
                    Some(v) if !v.num.subset_of(g.value.num) => {
                        let n = v.num.join(g.value.num);
                        match guess.gaps.iter_mut().find(|g| g.0 == pair) {
                            Some(g) => *g = (pair, n.join(g.1), g.2 + 1),
                            None => guess.gaps.push((pair, n, 1)),
                        }
                    }
                    _ => guess.gapless.push(pair),
                }
            }
            Why::NotImplied { place } => {
                let find = |s: &State| {
                    if place < 16 {
                        Some(*s.reg(place as u8))
                    } else {
                        let (d, k) = ((place - 16) / 256, (place - 16) % 256);
                        s.frames.get(d as usize)?.get(k as u16).copied()
                    }
                };
                let (v, t) = (find(&s), find(&head).ok_or(why)?);
                let comparable = v.filter(|v| {
                    v.kind == t.kind
                        && v.at == t.at
                        && (t.null || !v.null)
                        && (t.kind == Kind::Value || v.of == t.of)
                });
                match comparable {
                    None => guess.nothing.push(place),
                    Some(v) if !v.num.subset_of(t.num) => {
                        let n = v.num.join(t.num);
                        match guess.numbers.iter_mut().find(|g| g.0 == place) {
                            Some(g) => *g = (place, n.join(g.1), g.2 + 1),
                            None => guess.numbers.push((place, n, 1)),
                        }
                    }
                    Some(_) if t.moved.line != 0 && !guess.still.contains(&place) => guess.still.push(place),
                    Some(_) if !guess.nameless.contains(&place) => guess.nameless.push(place),
                    Some(_) => guess.nothing.push(place),
                }
            }
            Why::Frame => {
                guess.masks.resize(s.frames.len(), ([u64::MAX; 8], [u64::MAX; 8]));
                for (m, f) in guess.masks.iter_mut().zip(s.frames.iter()) {
                    for w in 0..8 {
                        m.0[w] &= f.written[w];
                        m.1[w] &= f.clean[w];
                    }
                }
            }
            why => return Err(why),
        }
        Ok(false)
    }
}
