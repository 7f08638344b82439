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
use crate::rank::Move;
use crate::writer::Writer;
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use axiom_bpf_checker::edge::{Edges, Loops, count, told};
use axiom_bpf_checker::proof::{Ghost, Line, MAGIC, MAX_CONTEXTS, Place};
use axiom_bpf_checker::state::{Kind, Moved, State, Value};
use axiom_bpf_checker::{Accepted, Env, Fault, Machine, Why, check, come_back, enter, leave, shape};
use axiom_bpf_isa::{Insn, opcode::*};

mod budgets;
mod guess;

use guess::Guess;

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
