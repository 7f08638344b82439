//! Shares out the instructions that a run may execute.

use super::{Context, Prover};
use crate::cfg::NONE;
use alloc::vec;
use alloc::vec::Vec;
use axiom_bpf_checker::Why;

impl Prover<'_> {
    /// Shares out the instructions: from each block, what it may still cost to leave the innermost loop around it or to
    /// begin its next pass, and all after the loop. Returns the function's worst case.
    pub(super) fn budgets(&mut self, c: &mut Context) -> Result<u64, Why> {
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
}
