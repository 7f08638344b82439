//! Fixpoints of functions with loops.
//!
//! 1. *ascend*: follow the blocks until nothing new arrives; at loop entries, numbers that keep growing jump to the next
//!    constant of the program (widening at thresholds), so the number of passes does not depend on that of iterations;
//! 2. *sweep*: pass over all blocks once more, without widening. This takes back what the jump overshot (narrowing): from states that
//!    are true of the program, a sweep computes states that are true of it. Rules are checked in the last sweep;
//! 3. *bound* ([`crate::rank`]): if a counter moves in one direction on every pass and stays in a known interval, it bounds the number
//!    of passes. What moves in step with that counter is bounded, too, although no comparison mentions it. If a rule failed or a
//!    bound is missing, start over with these bounds as constraints.

use super::{Engine, Fact, GivenUp, Hint, Run};
use crate::cfg::{Function, NONE, is_conditional};
use crate::exec::Note;
use crate::rank::{self, Bound};
use crate::report::{Reason, Unbounded, Way};
use crate::state::{Grow, State};
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use axiom_bpf_isa::opcode::EXIT;

impl Engine<'_> {
    /// A function with loops.
    pub(super) fn looping(
        &mut self,
        function: &Function,
        entry: Box<State>,
    ) -> Result<(Option<Box<State>>, u64), GivenUp> {
        let count = function.count as usize;
        let mut run = Run {
            states: Vec::new(),
            entries: Vec::new(),
            back: Vec::new(),
            visits: Vec::new(),
            facts: Vec::new(),
            calls: Vec::new(),
            exit: None,
        };
        let quiet = self.m.quiet;
        let outer_fail = self.m.fail.take();
        let outer_chain = self.fail_chain.take();
        let mut round = 0;
        loop {
            round += 1;
            let last_round = round >= 6;
            run.states.clear();
            run.states.resize_with(count, || None);
            run.back.clear();
            run.visits = vec![0; function.loops.len()];
            self.m.quiet = true;
            self.m.notes = Vec::new();
            let e = Self::copy(&mut self.pool, &entry);
            self.ascend(function, &mut run, e)?;
            self.m.quiet = false;
            self.m.notes = vec![Note::None; (function.end - function.start + 1) as usize];
            self.m.notes_from = function.start as usize;
            let zero = self.m.zero_stack;
            let used = self.m.used;
            // Failures here may be ones of precision, which another sweep or round mends: remember the first and go on to
            // the bounds.
            let tolerant = core::mem::replace(&mut self.tolerant, true);
            let mut sweeps = 0;
            let (failed, bounds, worst, bounded) = loop {
                sweeps += 1;
                self.m.fail = None;
                self.fail_chain = None;
                self.m.zero_stack = zero;
                self.m.used = used;
                let e = Self::copy(&mut self.pool, &entry);
                self.sweep(function, &mut run, e)?;
                let failed = self.m.fail.is_some();
                let bounds = rank::bounds(function, self.graph, &self.m, &run);
                let bounded = bounds.iter().all(|b| b.passes.is_some());
                if sweeps == 2 || !failed && bounded {
                    let worst = rank::worst_case(function, self.graph, &self.m, &run, &bounds);
                    break (failed, bounds, worst, bounded);
                }
            };
            self.tolerant = tolerant;
            if !failed && bounded {
                self.m.quiet = quiet;
                self.m.fail = outer_fail;
                self.fail_chain = outer_chain;
                self.m.zero_stack = zero | (self.m.zero_stack && !quiet);
                if !quiet {
                    self.hint(function, &mut run, bounds);
                }
                return Ok((run.exit.take(), worst.unwrap_or(u64::MAX)));
            }
            let news = if last_round { false } else { self.learn(&mut run, &bounds) };
            if news {
                self.m.fail = None;
                self.fail_chain = None;
                self.m.zero_stack = zero;
                self.m.used = used;
                continue;
            }
            if !failed
                && let Some((l, b)) = function.loops.iter().zip(&bounds).find(|(_, b)| b.passes.is_none())
            {
                let head = self.graph.blocks[l.head as usize].start;
                let why = match b.best {
                    Some((counter, passes)) => Unbounded::TooMany { counter, passes },
                    None if !rank::has_exit(l, self.graph, &self.m) => Unbounded::NoExit,
                    None => Unbounded::NoProgress,
                };
                self.fail(head, Reason::Loop { head, why });
                self.fail_chain = Some(self.chain.clone());
            }
            if quiet {
                // The caller is still growing: what fails now may not fail then.
                self.m.quiet = true;
                self.m.fail = outer_fail;
                self.fail_chain = outer_chain;
                self.m.zero_stack = zero;
                return Ok((run.exit.take(), worst.unwrap_or(u64::MAX)));
            }
            if outer_fail.is_some() {
                self.m.fail = outer_fail;
                self.fail_chain = outer_chain;
            }
            if self.tolerant {
                return Ok((run.exit.take(), worst.unwrap_or(u64::MAX)));
            }
            return Err(GivenUp);
        }
    }

    /// Keeps what a proof needs.
    fn hint(&mut self, function: &Function, run: &mut Run, bounds: Vec<Bound>) {
        for (l, b) in function.loops.iter().zip(bounds) {
            let head = self.graph.blocks[l.head as usize].start;
            let (Some(state), Some(passes)) =
                (run.states[(l.head - function.first) as usize].take(), b.passes)
            else {
                continue;
            };
            self.hints.retain(|h| h.head != head || h.chain != self.chain);
            self.hints.push(Hint { chain: self.chain.clone(), head, state, passes, moves: b.moves });
        }
    }

    /// Adds what the bounds prove; true if any of it is new.
    fn learn(&mut self, run: &mut Run, bounds: &[Bound]) -> bool {
        let mut news = false;
        for b in bounds {
            for f in &b.facts {
                let grown = 2 * size_of_val(&run.facts[..]);
                let i = run.facts.partition_point(|g| (g.block, g.place) < (f.block, f.place));
                match run.facts.get_mut(i).filter(|g| g.block == f.block && g.place == f.place) {
                    Some(g) => {
                        if let Some(n) = g.num.meet(f.num)
                            && n != g.num
                        {
                            g.num = n;
                            news = true;
                        }
                    }
                    None if !self.m.room(grown) => return news,
                    None => {
                        run.facts.insert(i, *f);
                        news = true;
                    }
                }
            }
        }
        news
    }

    fn apply(facts: &[Fact], block: u32, s: &mut State, depth: usize) {
        let from = facts.partition_point(|f| f.block < block);
        for f in facts[from..].iter().take_while(|f| f.block == block) {
            if f.place < 10 {
                let r = &mut s.regs[f.place as usize];
                if r.kind == f.kind
                    && let Some(n) = r.num.meet(f.num)
                {
                    r.num = n;
                }
            } else if let Some(r) = s.frame(depth).and_then(|fr| fr.spill(f.place - 11)).copied()
                && r.kind == f.kind
                && let Some(n) = r.num.meet(f.num)
                && n != r.num
                && let Some(x) = s.frame_mut(depth).spills.iter_mut().find(|x| x.0 == f.place - 11)
            {
                x.1.num = n;
            }
        }
    }

    fn ascend(&mut self, function: &Function, run: &mut Run, entry: Box<State>) -> Result<(), GivenUp> {
        let first = function.first;
        let order = &function.order;
        let mut dirty = vec![false; order.len()];
        run.states[0] = Some(entry);
        dirty[0] = true;
        let mut n = 0;
        while n < order.len() {
            if !core::mem::take(&mut dirty[n]) {
                n += 1;
                continue;
            }
            let b = order[n];
            let Some(have) = &run.states[(b - first) as usize] else {
                n += 1;
                continue;
            };
            let mut s = Self::copy(&mut self.pool, have);
            let (mut next, mut edges) = (n + 1, [None, None]);
            self.finish(b, &mut s, run, &mut edges)?;
            for (to, way, t) in edges.into_iter().flatten() {
                let rank = self.graph.blocks[to as usize].rank as usize;
                if rank <= n {
                    Self::record(run, b, to, Self::copy(&mut self.pool, &t));
                }
                if self.arrive(function, run, b, to, way, t) {
                    dirty[rank] = true;
                    next = next.min(rank);
                }
            }
            self.drop_state(s);
            n = next;
        }
        Ok(())
    }

    fn record(run: &mut Run, from: u32, to: u32, s: Box<State>) {
        match run.back.iter_mut().find(|x| x.0 == from && x.1 == to) {
            Some(x) => x.2 = s,
            None => run.back.push((from, to, s)),
        }
    }

    /// Runs a block and puts the states on its edges into `edges`.
    #[allow(clippy::type_complexity)]
    fn finish(
        &mut self,
        b: u32,
        s: &mut Box<State>,
        run: &mut Run,
        edges: &mut [Option<(u32, Way, Box<State>)>; 2],
    ) -> Result<(), GivenUp> {
        let block = self.graph.blocks[b as usize];
        let mut live = true;
        let mut calls = Vec::new();
        let ran = self.run_block(&block, s, &mut calls, &mut live);
        for c in calls {
            match run.calls.iter_mut().find(|x| x.0 == c.0) {
                Some(x) => x.1 = c.1,
                None => run.calls.push(c),
            }
        }
        ran?;
        if !live {
            return Ok(());
        }
        let last = block.end as usize;
        let i = self.m.insns[last];
        if i.op == EXIT {
            self.exit(block.end, s);
            self.check()?;
            let copy = Self::copy(&mut self.pool, s);
            let mut exit = run.exit.take();
            self.leave(&mut exit, copy);
            run.exit = exit;
        } else if is_conditional(i.op) {
            let mut taken = None;
            let pool = &mut self.pool;
            let falls = self.m.branch(last, s, &mut taken, |s| Self::copy(pool, s));
            self.check()?;
            edges[0] = taken.map(|t| (block.jumps, Way::Taken, t));
            if falls {
                edges[1] = Some((block.falls, Way::NotTaken, Self::copy(&mut self.pool, s)));
            }
        } else if block.jumps != NONE {
            edges[0] = Some((block.jumps, Way::Taken, Self::copy(&mut self.pool, s)));
        } else if block.falls != NONE {
            edges[1] = Some((block.falls, Way::NotTaken, Self::copy(&mut self.pool, s)));
        }
        Ok(())
    }

    /// A state arrives at a block of a function with loops; true if that changed what is known there.
    fn arrive(
        &mut self,
        function: &Function,
        run: &mut Run,
        from: u32,
        to: u32,
        way: Way,
        mut s: Box<State>,
    ) -> bool {
        let came = &mut self.came[to as usize];
        if came.0 == NONE && from != to {
            *came = (from, way);
        }
        let block = self.graph.blocks[to as usize];
        let depth = self.m.depth;
        let at = (to - function.first) as usize;
        let Some(have) = &mut run.states[at] else {
            s.canonical(block.start, depth);
            Self::apply(&run.facts, to, &mut s, depth);
            run.states[at] = Some(s);
            return true;
        };
        let back = self.graph.blocks[from as usize].rank >= block.rank;
        let grow = if block.heads != NONE {
            let v = &mut run.visits[block.heads as usize];
            if back {
                *v += 1;
                if *v <= 2 { Grow::Join } else { Grow::Widen(&self.thresholds, *v > 24) }
            } else {
                // What an outer loop changes is widened at its own entry; here it would only lose precision.
                *v = (*v).min(2);
                Grow::Join
            }
        } else {
            Grow::Join
        };
        let constrained = run.facts.binary_search_by_key(&to, |f| f.block).is_ok();
        if !constrained {
            let changed = have.absorb(&s, block.start, depth, grow);
            self.drop_state(s);
            return changed;
        }
        let mut new = Self::copy(&mut self.pool, have);
        new.absorb(&s, block.start, depth, grow);
        Self::apply(&run.facts, to, &mut new, depth);
        let changed = new != *have;
        core::mem::swap(have, &mut new);
        self.drop_state(new);
        self.drop_state(s);
        changed
    }

    /// One pass in order, with what the last pass put on the edges back.
    fn sweep(&mut self, function: &Function, run: &mut Run, entry: Box<State>) -> Result<(), GivenUp> {
        let first = function.first;
        run.exit = None;
        run.calls.clear();
        run.entries.clear();
        run.entries.resize_with(function.loops.len(), || None);
        let mut states: Vec<Option<Box<State>>> = Vec::new();
        states.resize_with(run.states.len(), || None);
        states[0] = Some(entry);
        core::mem::swap(&mut run.states, &mut states);
        for s in states.into_iter().flatten() {
            self.drop_state(s);
        }
        let depth = self.m.depth;
        for (n, &b) in function.order.iter().enumerate() {
            let at = (b - first) as usize;
            let block = self.graph.blocks[b as usize];
            if block.heads != NONE
                && let Some(s) = &run.states[at]
            {
                run.entries[block.heads as usize] = Some(Self::copy(&mut self.pool, s));
                for k in 0..run.back.len() {
                    if run.back[k].1 == b
                        && let Some(h) = &mut run.states[at]
                    {
                        h.absorb(&run.back[k].2, block.start, depth, Grow::Join);
                    }
                }
                if let Some(h) = &mut run.states[at] {
                    Self::apply(&run.facts, b, h, depth);
                }
            } else if let Some(h) = &mut run.states[at] {
                Self::apply(&run.facts, b, h, depth);
            }
            let Some(have) = &run.states[at] else { continue };
            let mut s = Self::copy(&mut self.pool, have);
            let mut edges = [None, None];
            self.finish(b, &mut s, run, &mut edges)?;
            for (to, way, mut t) in edges.into_iter().flatten() {
                let rank = self.graph.blocks[to as usize].rank as usize;
                if rank <= n {
                    Self::record(run, b, to, t);
                    continue;
                }
                let came = &mut self.came[to as usize];
                if came.0 == NONE {
                    *came = (b, way);
                }
                let leader = self.graph.blocks[to as usize].start;
                match &mut run.states[(to - first) as usize] {
                    Some(h) => {
                        h.absorb(&t, leader, depth, Grow::Join);
                    }
                    place => {
                        t.canonical(leader, depth);
                        *place = Some(t);
                    }
                }
            }
            self.drop_state(s);
        }
        Ok(())
    }
}
