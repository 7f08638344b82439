//! The worst case of a function, from the bounds of its loops.

use super::Bound;
use crate::cfg::{Function, Graph, NONE};
use crate::engine::{Run, instructions};
use crate::exec::Machine;
use alloc::vec;
use alloc::vec::Vec;

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
