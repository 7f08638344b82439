//! Writes the proof: what the checker needs to be told about a program.
//!
//! The checker's own rules are applied to the program, in an order in which all ways to a block but those back to a loop's
//! head come before it; where ways meet, what holds on all of them is stated. At a loop's head that takes a guess: the
//! analysis' last word on it ([`crate::engine::Hint`]), with lines for what moves on every pass. What a way back then does
//! not bear out is taken back, and the function is gone through again. Nothing here is trusted: a wrong guess costs a
//! refusal.

use crate::cfg::{Function, Graph, NONE};
use crate::engine::Hint;
use crate::live::{live, targets};
use crate::merge::{canonical, join};
use crate::rank::{Drift, Move};
use crate::state::Reg;
use crate::writer::Writer;
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use axiom_bpf_checker::edge::{Edges, GAPS, Loops, count, told};
use axiom_bpf_checker::proof::{
    Form, Ghost, Line, MAGIC, MAX_CONTEXTS, MAX_GAPS, MAX_GHOSTS, MAX_LINES, MAX_PASSES, Place,
};
use axiom_bpf_checker::state::{Gap, Kind, Mask, Moved, State, Value};
use axiom_bpf_checker::{
    Accepted, Env, Fault, Machine, Number, Why, alu, check, come_back, enter, leave, shape,
};
use axiom_bpf_isa::{Insn, opcode::*};

/// Bytes of memory that one step may take.
const ROOM: usize = 64 << 10;
/// Times that a function is gone through.
const ROUNDS: u32 = 48;

/// A context as it will be written.
struct Built {
    start: u32,
    depth: usize,
    entry: State,
    exit: Option<State>,
    worst: u64,
    ghosts: Vec<Ghost>,
    lines: Vec<Line>,
    places: Vec<Place>,
    states: Vec<u8>,
    /// Slot of the call, and the context.
    calls: Vec<(u32, usize)>,
}

/// What was taken back from the guess about a loop's head.
#[derive(Clone, Default)]
struct Guess {
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

/// Everything about one function while its context is built.
struct Context<'a> {
    function: &'a Function,
    chain: Vec<u32>,
    live: Vec<u16>,
    /// Where something is stated, and where the checker joins itself.
    stated: Vec<bool>,
    target: Vec<bool>,
    guesses: Vec<Option<Guess>>,
    /// What arrived at blocks that were not gone through yet.
    states: Vec<Option<Box<State>>>,
    /// What is stated: where, and as it is written; `budget` is the block, until budgets are known.
    places: Vec<Place>,
    written: Writer,
    /// What is stated at the head of each loop.
    heads: Vec<Option<Box<State>>>,
    ghosts: Vec<Ghost>,
    lines: Vec<Line>,
    /// The ghost counter of each loop.
    ghost_of: Vec<Option<u16>>,
    calls: Vec<(u32, usize)>,
    exit: Option<State>,
    /// Edges that are taken: from, to.
    edges: Vec<(u32, u32)>,
    costs: Vec<u64>,
}

/// Builds proofs.
pub struct Prover<'a> {
    m: Machine<'a>,
    graph: &'a Graph,
    hints: &'a [Hint],
    built: Vec<Built>,
    edges: Edges,
    work: u64,
    /// Where it failed, if it did.
    at: usize,
    /// Something is stated wherever a jump leads.
    everything: bool,
}

/// Puts into the numbers of a state what follows from how they move.
fn settle(loops: Loops, s: &mut State) {
    if s.ghosts.is_empty() {
        return;
    }
    count(loops, s);
    let mut numbers = core::mem::replace(s, State::new(0));
    s.ghosts = core::mem::take(&mut numbers.ghosts);
    numbers.each(|v| v.num = told(loops, s, v));
    numbers.ghosts = core::mem::take(&mut s.ghosts);
    *s = numbers;
}

/// Writes a proof of a program, and has it checked. What the checker joins itself, as all ways lead there from before, needs
/// no statement, unless more is known of it than the checker finds: so it is tried first to state only the rest.
pub fn prove(insns: &[Insn], env: &Env, graph: &Graph, hints: &[Hint]) -> Result<(Vec<u8>, Accepted), Fault> {
    prove_with(insns, env, graph, hints, false).or_else(|_| prove_with(insns, env, graph, hints, true))
}

fn prove_with(
    insns: &[Insn],
    env: &Env,
    graph: &Graph,
    hints: &[Hint],
    everything: bool,
) -> Result<(Vec<u8>, Accepted), Fault> {
    let mut p = Prover {
        everything,
        m: Machine::new(insns, env),
        graph,
        hints,
        built: Vec::new(),
        edges: Edges::default(),
        work: 0,
        at: 0,
    };
    let mut entry = State::new(0);
    entry.write(1, Value::pointer(Kind::Ctx, 0));
    let result = p.context(0, Vec::new(), entry);
    let proof = result.and_then(|main| p.write(main)).map_err(|why| Fault { at: p.at, why })?;
    check(insns, &proof, env).map(|accepted| (proof, accepted))
}

impl Prover<'_> {
    /// So many bytes more, and what a step takes, can be had.
    fn room(&self, bytes: usize) -> Result<(), Why> {
        match self.m.env.limits.room {
            Some(room) if !room(ROOM + bytes) => Err(Why::TooComplex),
            _ => Ok(()),
        }
    }

    fn context(&mut self, f: usize, chain: Vec<u32>, mut entry: State) -> Result<usize, Why> {
        let graph = self.graph;
        let function = &graph.functions[f];
        let depth = entry.frames.len() - 1;
        canonical(&mut entry, u16::MAX);
        entry.budget = 0;
        let known =
            self.built.iter().position(|b| b.start == function.start && b.depth == depth && b.entry == entry);
        if let Some(k) = known {
            return Ok(k);
        }
        if self.built.len() as u64 >= MAX_CONTEXTS * 4 {
            return Err(Why::TooComplex);
        }
        // Tables with an entry for each block or instruction, each at most twice as large as needed.
        self.room(function.count as usize * 160 + 16 * (function.end - function.start) as usize)?;
        let mut c = Context {
            function,
            chain,
            live: live(self.m.insns, graph, function),
            stated: self.stated(function),
            target: targets(self.m.insns, graph, function),
            guesses: vec![None; function.loops.len()],
            states: Vec::new(),
            places: Vec::new(),
            written: Writer::default(),
            heads: Vec::new(),
            ghosts: Vec::new(),
            lines: Vec::new(),
            ghost_of: Vec::new(),
            calls: Vec::new(),
            exit: None,
            edges: Vec::new(),
            costs: Vec::new(),
        };
        self.state_tests(&mut c);
        let mut rounds = 0;
        while !self.round(&mut c, &entry)? {
            rounds += 1;
            if rounds > ROUNDS {
                return Err(Why::TooComplex);
            }
        }
        let worst = self.budgets(&mut c)?;
        c.calls.sort_unstable();
        self.built.push(Built {
            start: function.start,
            depth,
            entry,
            exit: c.exit,
            worst,
            ghosts: c.ghosts,
            lines: c.lines,
            places: c.places,
            states: c.written.bytes,
            calls: c.calls,
        });
        Ok(self.built.len() - 1)
    }

    /// Where something is to be stated: in loops, where they are left, and where jumps back lead.
    fn stated(&self, function: &Function) -> Vec<bool> {
        let (first, blocks) = (function.first, &self.graph.blocks);
        let inside = |b: u32| blocks[b as usize].within != NONE;
        let mut stated: Vec<bool> =
            (first..first + function.count).map(|b| self.everything || inside(b)).collect();
        for b in first..first + function.count {
            let block = &blocks[b as usize];
            for to in [block.jumps, block.falls].into_iter().filter(|to| *to != NONE) {
                stated[(to - first) as usize] |= inside(b) || blocks[to as usize].start <= block.start;
            }
        }
        stated
    }

    /// In a loop that shifts until nothing is left, something is stated after its test, too, where what is shifted is not 0:
    /// after the shift, nobody can tell how often it was.
    fn state_tests(&self, c: &mut Context) {
        let (first, blocks) = (c.function.first, &self.graph.blocks);
        for l in &c.function.loops {
            let start = blocks[l.head as usize].start;
            let hint = self.hints.iter().find(|h| h.head == start && h.chain == c.chain);
            if !hint.is_some_and(|h| h.moves.iter().any(|m| matches!(m.by, Move::Shr(_)))) {
                continue;
            }
            for b in &l.body {
                let block = &blocks[*b as usize];
                let inside = |to: u32| to != NONE && l.body.contains(&to);
                if inside(block.falls) && block.jumps != NONE && !inside(block.jumps) {
                    c.target[(block.falls - first) as usize] = true;
                }
            }
        }
    }

    /// Goes through a function once; true if everything holds.
    fn round(&mut self, c: &mut Context, entry: &State) -> Result<bool, Why> {
        let graph = self.graph;
        let (first, count) = (c.function.first, c.function.count as usize);
        c.states.clear();
        c.states.resize(count, None);
        c.places.clear();
        c.written.bytes.clear();
        c.heads.clear();
        c.heads.resize(c.function.loops.len(), None);
        c.ghosts.clear();
        c.lines.clear();
        c.ghost_of = vec![None; c.function.loops.len()];
        c.calls.clear();
        c.exit = None;
        c.edges.clear();
        c.costs = vec![0; count];
        self.m.lines.clear();
        c.states[0] = Some(Box::new(entry.clone()));
        let order: Vec<u32> = if c.function.order.is_empty() {
            (first..first + count as u32).collect()
        } else {
            c.function.order.clone()
        };
        for &b in &order {
            let at = (b - first) as usize;
            let Some(mut s) = c.states[at].take() else { continue };
            let block = graph.blocks[b as usize];
            self.at = block.start as usize;
            self.room(0)?;
            if c.target[at] && c.stated[at] {
                if block.heads != NONE {
                    self.guess(c, block.heads, block.start, &mut s)?;
                }
                canonical(&mut s, c.live[at]);
                c.places.push(Place {
                    slot: block.start,
                    state: c.written.bytes.len() as u32,
                    budget: at as u64,
                });
                self.room(3 * c.written.bytes.len())?;
                c.written.state(&s);
                if block.heads != NONE {
                    c.heads[block.heads as usize] = Some(s.clone());
                }
            }
            let mut cost = 0;
            let mut live = true;
            let mut k = block.start as usize;
            while k <= block.end as usize {
                let i = self.m.insns[k];
                self.at = k;
                self.work += 1;
                if self.work > self.m.env.limits.work {
                    return Err(Why::TooComplex);
                }
                cost += 1;
                if shape::is_local_call(i) {
                    match self.call(c, k, i, &mut s)? {
                        Some(worst) => cost = worst.checked_add(cost).ok_or(Why::Budget)?,
                        None => live = false,
                    }
                    if !live {
                        let called = c.calls.last().map_or(0, |x| self.built[x.1].worst);
                        cost = called.checked_add(cost).ok_or(Why::Budget)?;
                        break;
                    }
                } else if i.op != EXIT && !shape::is_jump(i.op) {
                    self.m.step(k, i, &mut s)?;
                }
                k += if i.op == LDDW { 2 } else { 1 };
            }
            c.costs[at] = cost;
            if !live {
                continue;
            }
            let i = self.m.insns[block.end as usize];
            if i.op == EXIT {
                self.end(c, s)?;
            } else if shape::is_conditional(i.op) {
                let mut t = s.clone();
                if self.m.branch(i, &mut t, true)? && !self.arrive(c, b, block.jumps, t)? {
                    return Ok(false);
                }
                if self.m.branch(i, &mut s, false)? && !self.arrive(c, b, block.falls, s)? {
                    return Ok(false);
                }
            } else {
                let to = if block.jumps != NONE { block.jumps } else { block.falls };
                if !self.arrive(c, b, to, s)? {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    fn end(&mut self, c: &mut Context, mut s: Box<State>) -> Result<(), Why> {
        let depth = s.frames.len() - 1;
        if depth == 0 {
            return match s.reg(0).kind {
                Kind::Number if s.held == [0; 4] => Ok(()),
                Kind::Number => Err(Why::StillHeld),
                _ => Err(Why::NotANumber { register: 0 }),
            };
        }
        leave(&mut s)?;
        s.each(|v| *v = v.alone());
        s.ghosts.clear();
        s.budget = 0;
        let mut joined = match &c.exit {
            Some(e) => join(e, &s).ok_or(Why::Held)?,
            None => *s,
        };
        joined.each(|v| *v = v.alone());
        canonical(&mut joined, 1);
        c.exit = Some(joined);
        Ok(())
    }

    /// A call of a function of the program: its worst case, or nothing if it does not return.
    fn call(&mut self, c: &mut Context, at: usize, i: Insn, s: &mut State) -> Result<Option<u64>, Why> {
        let to = (at as i64 + 1 + i.imm as i64) as u32;
        let f = self.graph.functions.iter().position(|f| f.start == to).ok_or(Why::Shape)?;
        if s.frames.len() >= axiom_bpf_checker::state::DEPTH {
            return Err(Why::WrongContext);
        }
        let mut callee = s.clone();
        let shared = enter(&mut callee);
        let mut chain = c.chain.clone();
        chain.push(at as u32);
        let mine = core::mem::take(&mut self.m.lines);
        let k = self.context(f, chain, callee)?;
        self.m.lines = mine;
        self.at = at;
        c.calls.push((at as u32, k));
        let built = &self.built[k];
        let worst = built.worst;
        let Some(mut exit) = built.exit.clone() else { return Ok(None) };
        come_back(&mut self.m, s, &mut exit, shared)?;
        Ok(Some(worst))
    }

    /// The loops around a block, innermost first.
    fn around<'c>(&self, c: &'c Context, block: u32) -> impl Iterator<Item = u32> + use<'c> {
        let mut l = self.graph.blocks[block as usize].within;
        let loops = &c.function.loops;
        core::iter::from_fn(move || {
            let now = (l != NONE).then_some(l)?;
            l = loops[now as usize].outer;
            Some(now)
        })
    }

    /// A state arrives at a block; false if a loop's guess had to be taken back.
    fn arrive(&mut self, c: &mut Context, from: u32, to: u32, mut s: Box<State>) -> Result<bool, Why> {
        let first = c.function.first;
        let at = (to - first) as usize;
        let block = self.graph.blocks[to as usize];
        c.edges.push((from, to));
        if !c.target[at] {
            c.states[at] = Some(s);
            return Ok(true);
        }
        if !c.stated[at] {
            match &mut c.states[at] {
                Some(have) => have.join(&s)?,
                none => *none = Some(s),
            }
            return Ok(true);
        }
        let loops = Loops { ghosts: &c.ghosts, lines: &c.lines };
        settle(loops, &mut s);
        if self.graph.blocks[from as usize].rank >= block.rank && block.heads != NONE {
            return self.back(c, block.heads, to, s);
        }
        // Ghost counters of loops that are left here mean nothing any more.
        let inside: Vec<u16> = self.around(c, to).filter_map(|l| c.ghost_of[l as usize]).collect();
        s.ghosts.retain(|g| inside.contains(&g.0));
        let lines = &c.lines;
        s.each(|v| {
            if v.moved.line != 0 && !inside.contains(&lines[v.moved.line as usize - 1].ghost) {
                v.moved = Moved::default();
            }
        });
        c.states[at] = Some(match c.states[at].take() {
            Some(have) => Box::new(join(&have, &s).ok_or(Why::Held)?),
            None => s,
        });
        Ok(true)
    }

    /// The guess at a loop's head; `s` is what the ways into the loop bring.
    fn guess(&mut self, c: &mut Context, l: u32, head: u32, s: &mut State) -> Result<(), Why> {
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
        let depth = s.frames.len() - 1;
        let before = s.clone();
        let mut names: Vec<(u32, u32)> = Vec::new();
        let mut last = 1 << 20;
        let mut elements = last;
        let lines = &mut c.lines;
        let mut one = |place: u32, v: &mut Value, r: Option<&Reg>| {
            let start = v.num;
            if guess.nothing.contains(&place) {
                *v = Value::NOTHING;
                return;
            }
            let Some(r) = r else {
                // The analysis has given it up, or does not know it.
                *v = Value::NOTHING;
                return;
            };
            use crate::state::Kind as K;
            let kind = match r.kind {
                K::Unusable => Kind::Nothing,
                K::Number => Kind::Number,
                K::Ctx => Kind::Ctx,
                K::Stack => Kind::Stack,
                K::Map => Kind::Map,
                K::Value => Kind::Value,
                K::Reserved => Kind::Record,
            };
            if kind == Kind::Value && v.constant() == Some(0) && r.null {
                elements += 1;
                *v = Value { null: true, of: elements, ..Value::pointer(Kind::Value, r.at) };
            }
            if v.kind != kind || kind == Kind::Nothing {
                *v = Value::NOTHING;
                return;
            }
            v.null |= r.null;
            if !start.subset_of(r.num) {
                v.num = start.join(r.num);
            } else {
                v.num = r.num;
            }
            if let Some(g) = guess.numbers.iter().find(|g| g.0 == place) {
                v.num = if g.2 > 6 { Number::TOP } else { v.num.join(g.1) };
            }
            if guess.nameless.contains(&place) {
                (v.id, v.delta, v.half) = (0, 0, false);
                if v.kind == Kind::Value {
                    elements += 1;
                    v.of = elements;
                }
            } else if r.id != 0 {
                let id = match names.iter().find(|n| n.0 == r.id) {
                    Some(n) => n.1,
                    None => {
                        last += 1;
                        names.push((r.id, last));
                        last
                    }
                };
                (v.id, v.delta, v.half) = (id, r.delta as i64 as u64, r.half);
            } else {
                (v.id, v.delta, v.half) = (0, 0, false);
            }
            if guess.still.contains(&place) {
                v.moved = Moved::default();
                return;
            }
            let name = if place < 16 {
                place as u16
            } else if (place - 16) / 256 == depth as u32 {
                11 + ((place - 16) % 256) as u16
            } else {
                return;
            };
            let Some(&Drift { by, half, series, .. }) = hint.moves.iter().find(|m| m.place == name) else {
                return;
            };
            let (form, low, high) = match by {
                Move::Add(lo, hi) if lo.unsigned_abs() < 1 << 40 && hi.unsigned_abs() < 1 << 40 => {
                    (Form::Sum, lo, hi)
                }
                Move::Add(..) => return,
                Move::Shr(k) => (Form::Length, i64::MIN >> 1, -(k as i64)),
                Move::Shl(k) => (Form::Length, k as i64, i64::MAX >> 1),
            };
            if lines.len() as u64 >= MAX_LINES {
                return;
            }
            let (low, high, curve) = match series {
                Some(s) if form == Form::Sum => s,
                _ => (low, high, 0),
            };
            lines.push(Line { ghost, form, low, high, curve, start });
            let (lo, hi) = match form {
                Form::Sum => (0, 0),
                Form::Length => {
                    let (a, b) = if half { alu::lengths(start.r32) } else { alu::lengths(start.r64) };
                    (a as i64, b as i64)
                }
            };
            v.moved = Moved { line: lines.len() as u16, half, lo, hi, rise: 0 };
        };
        for (r, known) in hint.state.regs.iter().enumerate() {
            if let Some(v) = s.regs.change(r as u8) {
                one(r as u32, v, Some(known));
            }
        }
        for (d, f) in s.frames_mut().iter_mut().enumerate() {
            let known = hint.state.frame(d);
            for (slot, v) in &mut f.slots {
                let place = 16 + 256 * d as u32 + *slot as u32;
                one(place, v, known.and_then(|k| k.spill(*slot)));
            }
            // What was an address and is none any more is neither written nor clean.
            let gone: Vec<u16> = f.slots.iter().filter(|x| x.1.kind == Kind::Nothing).map(|x| x.0).collect();
            f.slots.retain(|x| !gone.contains(&x.0));
            if let Some((written, clean)) = guess.masks.get(d) {
                for w in 0..8 {
                    f.written[w] &= written[w];
                    f.clean[w] &= clean[w];
                }
            }
        }
        // Registers that a way out of the loop, or on in it, compares.
        s.gaps.clear();
        for b in &c.function.loops[l as usize].body {
            let i = self.m.insns[self.graph.blocks[*b as usize].end as usize];
            let pair = (i.dst(), i.src());
            if !matches!(i.op, JEQ64X | JNE64X | JEQ32X | JNE32X)
                || pair.0 > 9
                || pair.1 > 9
                || guess.gapless.contains(&pair)
                || s.gaps.iter().any(|g| (g.of, g.from) == pair)
                || s.gaps.len() as u64 >= MAX_GAPS
                || lines.len() as u64 >= MAX_LINES
            {
                continue;
            }
            let moves = |r: u8| match hint.moves.iter().find(|m| m.place == r as u16) {
                Some(&Drift { by: Move::Add(lo, hi), half, .. }) if lo == hi => Some((lo, half)),
                Some(_) => None,
                None => Some((0, false)),
            };
            let (Some(value), Some((x, p)), Some((y, q))) =
                (before.gap(pair.0, pair.1), moves(pair.0), moves(pair.1))
            else {
                continue;
            };
            let Some(by) = x.checked_sub(y).filter(|by| *by != 0) else { continue };
            let (start, half) = (value.num, p || q || i.op & 7 == CLASS_JMP32);
            lines.push(Line { ghost, form: Form::Sum, low: by, high: by, curve: 0, start });
            let moved = Moved { line: lines.len() as u16, half, ..Moved::default() };
            // It does not go past 0, where the loop ends, and began on this side of it.
            let mut num = start;
            if half {
                num = Number { r32: num.r32, ..Number::TOP };
            }
            if let Some(g) = guess.gaps.iter().find(|g| g.0 == pair) {
                num = if g.2 > 4 { Number::TOP } else { num.join(g.1) };
            }
            s.gaps.push(Gap { of: pair.0, from: pair.1, value: Value { moved, ..Value::number(num) } });
        }
        s.ghosts.push((ghost, guess.passes));
        self.m.lines.clone_from(&c.lines);
        Ok(())
    }

    /// A way back to a loop's head: whether it bears the guess out; if not, something is taken back.
    fn back(&mut self, c: &mut Context, l: u32, to: u32, mut s: Box<State>) -> Result<bool, Why> {
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

    /// Shares out the instructions: from each block, what it may still cost to leave the innermost loop around it or to
    /// begin its next pass, and all after the loop. Returns the function's worst case.
    fn budgets(&mut self, c: &mut Context) -> Result<u64, Why> {
        let first = c.function.first;
        let count = c.function.count as usize;
        let order: Vec<u32> = if c.function.order.is_empty() {
            (first..first + count as u32).collect()
        } else {
            c.function.order.clone()
        };
        let rank = |b: u32| self.graph.blocks[b as usize].rank;
        let mut left = vec![0u64; count];
        // What is needed after each loop.
        let mut tail: Vec<Option<u64>> = vec![None; c.function.loops.len()];
        let mut edge = c.edges.len();
        for &b in order.iter().rev() {
            let at = (b - first) as usize;
            let mut need = 0u64;
            // Edges stand in the order of the blocks from which they come.
            while let Some(&(_, to)) = edge.checked_sub(1).and_then(|k| c.edges.get(k)).filter(|e| e.0 == b) {
                edge -= 1;
                let t = (to - first) as usize;
                let there = if rank(to) <= rank(b) {
                    // The end of a pass: as good as leaving the loop, the rest is the ghost counter's.
                    let l = self.graph.blocks[to as usize].heads;
                    self.tail(c, l, &left, &mut tail)
                } else {
                    let mut there = left[t];
                    // A loop is entered.
                    let l = self.graph.blocks[to as usize].heads;
                    if l != NONE
                        && let Some(g) = c.ghost_of[l as usize]
                    {
                        let ghost = c.ghosts[g as usize];
                        let all = ghost.most.checked_mul(ghost.cost).ok_or(Why::Budget)?;
                        there = there.checked_add(all).ok_or(Why::Budget)?;
                    }
                    there
                };
                need = need.max(there);
            }
            left[at] = need.checked_add(c.costs[at]).ok_or(Why::Budget)?;
            let l = self.graph.blocks[b as usize].heads;
            if l != NONE
                && let Some(g) = c.ghost_of[l as usize]
            {
                let behind = self.tail(c, l, &left, &mut tail);
                c.ghosts[g as usize].cost = left[at].saturating_sub(behind);
            }
        }
        for p in &mut c.places {
            p.budget = left[p.budget as usize];
        }
        c.places.sort_unstable_by_key(|p| p.slot);
        let mut worst = left[0];
        // The function may begin with a loop.
        let l = self.graph.blocks[first as usize].heads;
        if l != NONE
            && let Some(g) = c.ghost_of[l as usize]
        {
            let ghost = c.ghosts[g as usize];
            worst =
                ghost.most.checked_mul(ghost.cost).and_then(|n| n.checked_add(worst)).ok_or(Why::Budget)?;
        }
        Ok(worst)
    }

    /// The most that is needed where a loop is left: of a way out, or of the end of a pass of a loop around it.
    fn tail(&self, c: &Context, l: u32, left: &[u64], tail: &mut [Option<u64>]) -> u64 {
        if let Some(n) = tail[l as usize] {
            return n;
        }
        // The blocks of a loop stand together.
        let body = &c.function.loops[l as usize];
        let rank = |b: &u32| self.graph.blocks[*b as usize].rank;
        let inside = |b: &u32| (rank(b).wrapping_sub(rank(&body.head)) as usize) < body.body.len();
        let mut most = 0;
        for (from, to) in &c.edges {
            if !inside(from) || inside(to) {
                continue;
            }
            let (f, t) = (&self.graph.blocks[*from as usize], &self.graph.blocks[*to as usize]);
            let there = if t.rank <= f.rank {
                self.tail(c, t.heads, left, tail)
            } else {
                let mut there = left[(to - c.function.first) as usize];
                if t.heads != NONE
                    && let Some(g) = c.ghost_of[t.heads as usize]
                {
                    let ghost = c.ghosts[g as usize];
                    there = there.saturating_add(ghost.most.saturating_mul(ghost.cost));
                }
                there
            };
            most = most.max(there);
        }
        tail[l as usize] = Some(most);
        most
    }

    /// Writes down the contexts that the program needs, callees first.
    fn write(&self, main: usize) -> Result<Vec<u8>, Why> {
        let mut needed = vec![false; self.built.len()];
        needed[main] = true;
        for k in (0..=main).rev() {
            if needed[k] {
                for (_, callee) in &self.built[k].calls {
                    needed[*callee] = true;
                }
            }
        }
        let mut number = vec![0u64; self.built.len()];
        let mut count = 0;
        for k in 0..=main {
            number[k] = count;
            count += u64::from(needed[k]);
        }
        let size = |b: &Built| b.states.len() + 16 * (b.places.len() + b.calls.len()) + 4096;
        let total: usize = self.built.iter().map(size).sum();
        self.room(2 * total)?;
        let mut w = Writer { bytes: Vec::with_capacity(total) };
        w.bytes.extend_from_slice(&MAGIC);
        w.number(count);
        for b in self.built[..=main].iter().enumerate().filter(|(k, _)| needed[*k]).map(|(_, b)| b) {
            w.number(b.start as u64);
            w.number(b.depth as u64);
            w.number(b.ghosts.len() as u64);
            b.ghosts.iter().for_each(|g| w.ghost(g));
            w.number(b.lines.len() as u64);
            b.lines.iter().for_each(|l| w.line(l));
            w.number(b.worst);
            w.state(&b.entry);
            w.number(u64::from(b.exit.is_some()));
            if let Some(e) = &b.exit {
                w.state(e);
            }
            w.number(b.places.len() as u64);
            b.places.iter().for_each(|p| w.place(p));
            w.number(b.calls.len() as u64);
            for (slot, callee) in &b.calls {
                w.number(*slot as u64);
                w.number(number[*callee]);
            }
            w.number(b.states.len() as u64);
            w.bytes.extend_from_slice(&b.states);
        }
        Ok(w.bytes)
    }
}
