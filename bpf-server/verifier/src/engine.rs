//! Fixpoints: from the state at a function's entry to the states at all its blocks.
//!
//! A function without loops takes one pass, and each state is dropped once its block is done; with loops, see [`loops`].

mod loops;

use crate::call::clobber;
use crate::cfg::{Block, Function, Graph, NONE, is_conditional};
use crate::exec::{Machine, Note};
use crate::num::{Num, Thresholds};
use crate::rank;
use crate::report::{Reason, Way};
use crate::state::{DEPTH, Frame, Grow, Kind, Reg, State};
use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;
use axiom_bpf_isa::{opcode::*, pseudo};

/// A fact that an earlier round proved: at the start of a block, a register (or, from 11, slot) lies in a range.
#[derive(Clone, Copy)]
pub struct Fact {
    pub block: u32,
    pub place: u16,
    /// What the place holds.
    pub kind: Kind,
    pub num: Num,
}

/// What is known of one function in one context.
pub struct Run {
    pub states: Vec<Option<Box<State>>>,
    /// For each loop: the states on the edges into it from outside, joined.
    pub entries: Vec<Option<Box<State>>>,
    /// For each edge back: from block, and its state.
    pub back: Vec<(u32, u32, Box<State>)>,
    /// Passes through each loop's head.
    visits: Vec<u32>,
    facts: Vec<Fact>,
    /// Worst-case counts of the functions called at an instruction.
    pub calls: Vec<(u32, u64)>,
    exit: Option<Box<State>>,
}

/// States to use again. They move between blocks by their addresses, not by copying a kilobyte.
#[allow(clippy::vec_box)]
pub type Pool = Vec<Box<State>>;

/// The whole analysis.
pub struct Engine<'a> {
    pub m: Machine<'a>,
    pub graph: &'a Graph,
    pub thresholds: Thresholds<'a>,
    pub pool: Pool,
    /// How each block was first reached: its predecessor and the way.
    pub came: Vec<(u32, Way)>,
    /// Call instructions that lead to the current function.
    pub chain: Vec<u32>,
    /// The chain when the failure was noted.
    pub fail_chain: Option<Vec<u32>>,
    /// Instructions analysed.
    pub work: u64,
    pub work_limit: u64,
    /// What the loops' heads look like, for the proof.
    pub hints: Vec<Hint>,
    /// A noted failure does not end the pass.
    tolerant: bool,
    functions: Vec<usize>,
}

/// What the analysis found at the head of a loop, in one context.
pub struct Hint {
    /// Call instructions that lead to the function.
    pub chain: Vec<u32>,
    /// The head's first instruction.
    pub head: u32,
    pub state: Box<State>,
    pub passes: u64,
    pub moves: Vec<rank::Drift>,
}

/// The analysis ends here: what it noted is a refusal, or another round begins.
pub struct GivenUp;

impl<'a> Engine<'a> {
    pub fn new(
        m: Machine<'a>,
        graph: &'a Graph,
        thresholds: Thresholds<'a>,
        pool: Pool,
        work_limit: u64,
    ) -> Self {
        let came = vec![(NONE, Way::NotTaken); graph.blocks.len()];
        Engine {
            m,
            graph,
            thresholds,
            pool,
            came,
            chain: Vec::new(),
            fail_chain: None,
            work: 0,
            work_limit,
            hints: Vec::new(),
            tolerant: false,
            functions: Vec::new(),
        }
    }

    fn copy(pool: &mut Pool, s: &State) -> Box<State> {
        match pool.pop() {
            Some(mut b) => {
                (*b).clone_from(s);
                b
            }
            None => Box::new(s.clone()),
        }
    }

    fn drop_state(&mut self, mut s: Box<State>) {
        if self.pool.len() < 64 {
            for f in &mut s.frames {
                *f = None;
            }
            self.pool.push(s);
        }
    }

    fn fail(&mut self, at: u32, reason: Reason) {
        self.m.fail(at as usize, reason);
    }

    /// Analyses function `f`. Returns the state at its exits (`None` if it has none that can be reached) and the
    /// worst-case count.
    pub fn function(&mut self, f: usize, entry: Box<State>) -> Result<(Option<Box<State>>, u64), GivenUp> {
        let graph = self.graph;
        let function = &graph.functions[f];
        self.functions.push(f);
        // Backward jumps that make no loop still break the order of instructions.
        let result = if function.order.is_empty() {
            self.straight(function, entry)
        } else {
            self.looping(function, entry)
        };
        self.functions.pop();
        result
    }

    /// A function without loops: one pass.
    fn straight(
        &mut self,
        function: &Function,
        entry: Box<State>,
    ) -> Result<(Option<Box<State>>, u64), GivenUp> {
        let count = function.count as usize;
        let first = function.first;
        let graph = self.graph;
        let mut states: Vec<Option<Box<State>>> = Vec::new();
        states.resize_with(count, || None);
        let mut longest = vec![0u64; count];
        let mut worst = 0;
        let mut exit: Option<Box<State>> = None;
        states[0] = Some(entry);
        let mut b = 0usize;
        let notes = core::mem::take(&mut self.m.notes);
        while b < count {
            let Some(mut s) = states[b].take() else {
                b += 1;
                continue;
            };
            loop {
                let block = graph.blocks[first as usize + b];
                let mut cost = longest[b];
                let mut live = true;
                let mut calls = Vec::new();
                self.run_block(&block, &mut s, &mut calls, &mut live)?;
                let called = calls.iter().fold(0u64, |n, c: &(u32, u64)| n.saturating_add(c.1));
                cost = cost.saturating_add(instructions(&block, &self.m)).saturating_add(called);
                worst = worst.max(cost);
                let last = block.end as usize;
                let i = self.m.insns[last];
                if !live {
                    self.drop_state(s);
                    break;
                }
                if i.op == EXIT {
                    self.exit(block.end, &mut s);
                    self.leave(&mut exit, s);
                    break;
                }
                let mut falls = true;
                if is_conditional(i.op) {
                    let mut taken = None;
                    let pool = &mut self.pool;
                    falls = self.m.branch(last, &mut s, &mut taken, |s| Self::copy(pool, s));
                    self.check()?;
                    if let Some(t) = taken {
                        self.deliver(&mut states, first, block.jumps, first + b as u32, Way::Taken, t);
                        let at = (block.jumps - first) as usize;
                        longest[at] = longest[at].max(cost);
                    }
                } else if block.jumps != NONE {
                    let at = (block.jumps - first) as usize;
                    longest[at] = longest[at].max(cost);
                    self.deliver(&mut states, first, block.jumps, first + b as u32, Way::Taken, s);
                    break;
                }
                if !falls {
                    self.drop_state(s);
                    break;
                }
                longest[b + 1] = longest[b + 1].max(cost);
                if graph.blocks[block.falls as usize].preds > 1 {
                    self.deliver(&mut states, first, block.falls, first + b as u32, Way::NotTaken, s);
                    break;
                }
                let came = &mut self.came[block.falls as usize];
                if came.0 == NONE {
                    *came = (first + b as u32, Way::NotTaken);
                }
                b += 1;
            }
            b += 1;
        }
        self.m.notes = notes;
        Ok((exit, worst))
    }

    /// A state arrives at a block outside any loop.
    fn deliver(
        &mut self,
        states: &mut [Option<Box<State>>],
        first: u32,
        to: u32,
        from: u32,
        way: Way,
        mut s: Box<State>,
    ) {
        let came = &mut self.came[to as usize];
        if came.0 == NONE {
            *came = (from, way);
        }
        let at = (to - first) as usize;
        if let Some(have) = &states[at]
            && s.held[0] != 0
            && have.held[0] == 0
        {
            // The path that still holds a record is the one that a report about it must show.
            *came = (from, way);
        }
        let leader = self.graph.blocks[to as usize].start;
        match &mut states[(to - first) as usize] {
            Some(have) => {
                have.absorb(&s, leader, self.m.depth, Grow::Join);
                self.drop_state(s);
            }
            place => {
                if self.graph.blocks[to as usize].preds > 1 {
                    s.canonical(leader, self.m.depth);
                }
                *place = Some(s);
            }
        }
    }

    fn leave(&mut self, exit: &mut Option<Box<State>>, s: Box<State>) {
        match exit {
            Some(e) => {
                e.unlink(self.m.depth);
                e.absorb(&s, 0, self.m.depth, Grow::Join);
                self.drop_state(s);
            }
            None => *exit = Some(s),
        }
    }

    /// The checks at `exit`.
    fn exit(&mut self, at: u32, s: &mut State) {
        let r0 = s.regs[0];
        if self.m.depth == 0 {
            if r0.kind == Kind::Unusable {
                self.fail(
                    at,
                    match r0.at {
                        crate::state::why::CALL => Reason::LostByCall { register: 0 },
                        crate::state::why::DIFFERS => Reason::DiffersByPath { register: 0 },
                        crate::state::why::VOID => Reason::NoResult,
                        _ => Reason::Unwritten { register: 0 },
                    },
                );
            } else if r0.kind != Kind::Number {
                self.fail(at, Reason::ReturnsPointer);
            }
            if let Some(h) = s.held.iter().find(|h| **h != 0) {
                self.fail(at, Reason::Leak { reserved_at: h - 1 });
            }
        } else if r0.kind == Kind::Stack && r0.at as usize == self.m.depth {
            self.fail(at, Reason::ReturnsPointer);
        }
    }

    fn check(&mut self) -> Result<(), GivenUp> {
        if self.m.fail.is_some() && self.fail_chain.is_none() {
            self.fail_chain = Some(self.chain.clone());
        }
        if self.m.fail.is_some() && !self.m.quiet && !self.tolerant { Err(GivenUp) } else { Ok(()) }
    }

    /// All instructions of a block but a jump or exit at its end. `live` = execution can reach the end.
    #[inline]
    fn run_block(
        &mut self,
        block: &Block,
        s: &mut Box<State>,
        calls: &mut Vec<(u32, u64)>,
        live: &mut bool,
    ) -> Result<(), GivenUp> {
        let (mut at, end) = (block.start as usize, block.end as usize);
        self.work += (end - at + 1) as u64;
        if self.work > self.work_limit || !self.m.room(0) {
            self.m.quiet = false;
            self.m.fail = None;
            self.fail(block.start, Reason::TooComplex);
            self.fail_chain = Some(self.chain.clone());
            return Err(GivenUp);
        }
        while at <= end {
            let i = self.m.insns[at];
            match i.op & 7 {
                CLASS_JMP | CLASS_JMP32 if i.op == CALL && i.src() == pseudo::LOCAL_CALL => {
                    let to = (at as i64 + 1 + i.imm as i64) as u32;
                    let cost = self.call(at, to, s, live)?;
                    calls.push((at as u32, cost));
                    if !*live {
                        return Ok(());
                    }
                }
                CLASS_JMP | CLASS_JMP32 if i.op != CALL && i.op != CALLX => {}
                _ => self.m.step(at, s),
            }
            if self.m.fail.is_some() {
                self.check()?;
            }
            at += if i.op == LDDW { 2 } else { 1 };
        }
        Ok(())
    }

    /// A call of a function of the program: analysed in place, in its caller's context.
    fn call(&mut self, at: usize, to: u32, s: &mut Box<State>, live: &mut bool) -> Result<u64, GivenUp> {
        let f = self.graph.functions.iter().position(|f| f.start == to);
        let Some(f) = f.filter(|f| !self.functions.contains(f) && self.m.depth + 1 < DEPTH) else {
            self.m.quiet = false;
            self.m.fail = None;
            self.fail(at as u32, Reason::TooManyCalls);
            self.fail_chain = Some(self.chain.clone());
            return Err(GivenUp);
        };
        let depth = self.m.depth;
        let points = |r: &Reg| r.kind == Kind::Stack;
        let shared = s.regs[1..6].iter().any(points)
            || (0..=depth).filter_map(|d| s.frame(d)).flat_map(|f| &f.spills).any(|x| points(&x.1));
        // Equalities do not cross calls: names made in the callee would return when it is called again.
        s.unlink(depth);
        let mut callee = Self::copy(&mut self.pool, s);
        for r in &mut callee.regs[6..] {
            *r = Reg::unusable(0);
        }
        callee.regs[0] = Reg::unusable(0);
        callee.frames[depth + 1] = Some(Rc::new(Frame::default()));
        let notes = core::mem::take(&mut self.m.notes);
        let from = self.m.notes_from;
        self.m.depth += 1;
        self.chain.push(at as u32);
        let used = core::mem::replace(&mut self.m.used[depth + 1], 0);
        let result = self.function(f, callee);
        self.m.used[depth + 1] = self.m.used[depth + 1].min(used);
        let result = result?;
        self.chain.pop();
        self.m.depth = depth;
        self.m.notes = notes;
        self.m.notes_from = from;
        self.m.note(at, if shared { Note::None } else { Note::Kept });
        let (exit, cost) = result;
        match exit {
            Some(mut e) => {
                e.unlink(depth + 1);
                let r0 = e.regs[0];
                s.frames.clone_from(&e.frames);
                s.frames[depth + 1] = None;
                s.held = e.held;
                clobber(s);
                s.regs[0] = r0;
                // The callee's frame is gone: no address of it may stay behind.
                let dangles = |r: &Reg| r.kind == Kind::Stack && r.at as usize > depth;
                if (0..=depth).any(|d| s.frame(d).is_some_and(|f| f.spills.iter().any(|x| dangles(&x.1))))
                    || dangles(&r0)
                {
                    self.fail(at as u32, Reason::ReturnsPointer);
                }
                // A reservation that the callee gave back is gone for the caller, too.
                let held = s.held;
                s.kill_reserved(depth, |r| !held.contains(&(r.at + 1)));
                self.drop_state(e);
            }
            None => *live = false,
        }
        Ok(cost)
    }
}

/// Instructions of a block; a wide load counts once.
pub fn instructions(block: &Block, m: &Machine) -> u64 {
    let slots = &m.insns[block.start as usize..=block.end as usize];
    let wide = slots.iter().filter(|i| i.op == LDDW).count() as u64;
    let ends_wide = u64::from(m.insns[block.end as usize].op == LDDW);
    // The second half of a wide load at the end is not among the slots.
    slots.len() as u64 - (wide - ends_wide)
}
