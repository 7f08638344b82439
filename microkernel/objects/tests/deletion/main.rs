//! Deletion in small worlds, exhaustively: see `search`, judged by `checker`, which does not know the algorithm.
//!
//! On the former algorithm (pointer reversal: the outer zombie waited inside the inner object) the same search found:
//!
//! | world | fault | depth | states until then |
//! |---|---|---|---|
//! | two CNodes | a zombie in memory that no capability covers | 2 | 410 |
//! | three CNodes | the same | 2 | 467 |
//! | a thread and a CNode | the same, in a TCB | 5 | 662 |
//! | a process | the same | 5 | 2,438 |
//! | a process | a revocation that is not done after 100,034 steps; 33 are allowed | 10 | 86,614 |
#![allow(missing_docs, reason = "a test")]
#![allow(clippy::unwrap_used, reason = "a test")]
mod checker;
mod representation;
mod search;
mod subject;
mod world;

use search::{Extent, search};
use world::{Kind, Spec};

const SMALL: Kind = Kind::CNode(1);

/// States of a world from each of its starts, and starts, in an ordinary test run.
const STATES: usize = 12_000;
const STARTS: usize = 12;

/// `just search-kernel` sets `AXIOM_SEARCH_ALL`: all starts, and operations that an ordinary run leaves out.
fn whole() -> bool {
    std::env::var_os("AXIOM_SEARCH_ALL").is_some()
}

/// The most states from one start, from all, and the most starts. `AXIOM_SEARCH_STATES` says how many states of a world.
fn limits() -> (usize, usize, usize) {
    let told = std::env::var("AXIOM_SEARCH_STATES").ok();
    let told = told.map(|n| n.parse().expect("AXIOM_SEARCH_STATES is a number of states"));
    let starts = if whole() { usize::MAX } else { STARTS };
    match told {
        Some(states) => (states, states, starts),
        None if whole() => (usize::MAX, usize::MAX, starts),
        None => (STATES, usize::MAX, starts),
    }
}

/// All ways to put at most one capability into each of `slots` slots, at most `most` in all, so that each object has one.
fn placements(slots: usize, objects: usize, most: usize) -> Vec<Vec<(usize, usize)>> {
    let mut all: Vec<Vec<(usize, usize)>> = vec![vec![]];
    for slot in 0..slots {
        let shorter: Vec<_> = all.iter().filter(|placed| placed.len() < most).cloned().collect();
        for object in 0..objects {
            all.extend(shorter.iter().map(|placed| {
                let mut placed = placed.clone();
                placed.push((slot, object));
                placed
            }));
        }
    }
    all.retain(|placed| (0..objects).all(|o| placed.iter().any(|(_, other)| *other == o)));
    all
}

fn run(spec: &Spec, limit: usize) -> Extent {
    match search(spec, limit) {
        Ok(extent) => extent,
        Err(found) => panic!("{} {:?}: {found:#?}", spec.name, spec.placed),
    }
}

fn run_all(mut spec: Spec, placements: Vec<Vec<(usize, usize)>>) {
    let (each, all, most) = limits();
    // Neighbours are alike: those that are tried lie apart. A prime that does not divide their number gets to all of them.
    const STRIDE: usize = 7919;
    let count = placements.len();
    assert!(!count.is_multiple_of(STRIDE));
    let mut sum = Extent { complete: true, ..Extent::default() };
    let mut starts = 0;
    while starts < count.min(most) && sum.states < all {
        spec.placed.clone_from(&placements[starts * STRIDE % count]);
        let extent = run(&spec, each.min(all - sum.states));
        sum.states += extent.states;
        sum.steps += extent.steps;
        sum.depth = sum.depth.max(extent.depth);
        sum.complete &= extent.complete;
        sum.longest = sum.longest.max(extent.longest);
        starts += 1;
    }
    let whole = if sum.complete && starts == count { "all states" } else { "a part" };
    println!(
        "{}: {} states from {starts} of {count} starts to depth {} ({whole}), {} steps; longest deletion {} steps where {} are allowed",
        spec.name, sum.states, sum.depth, sum.steps, sum.longest.0, sum.longest.1
    );
    assert!(sum.states > starts);
}

/// Two CNodes of two slots: every graph of capabilities, every sequence of operations.
#[test]
fn two_cnodes() {
    let spec = Spec::of("two CNodes", &[SMALL, SMALL], 2);
    run_all(spec, vec![vec![(0, 0), (1, 1)]]);
}

/// The same without a common parent, and with the untypeds' own capabilities in the game.
#[test]
fn two_cnodes_and_their_untypeds() {
    let mut spec = Spec {
        deletes_untypeds: true,
        swaps: false,
        copies: 1,
        ..Spec::of("two CNodes, untypeds", &[SMALL, SMALL], 1)
    };
    run_all(spec.clone(), vec![vec![(0, 0), (1, 1)]]);
    spec.parent = false;
    spec.name = "two CNodes, untypeds without parent";
    run_all(spec, vec![vec![(0, 0), (1, 1)]]);
}

/// A CNode of four slots and one of two.
#[test]
fn a_larger_cnode() {
    let spec =
        Spec { copies: 1, retypes: false, ..Spec::of("CNodes of four and two", &[Kind::CNode(2), SMALL], 2) };
    run_all(spec, vec![vec![(0, 0), (1, 1)]]);
}

/// Three CNodes that hold each other's only capabilities, in all ways.
#[test]
fn three_cnodes() {
    let spec = Spec { copies: 1, swaps: false, retypes: whole(), ..Spec::of("three CNodes", &[SMALL; 3], 2) };
    run_all(spec, vec![vec![(0, 0), (1, 1), (2, 2)]]);
}

/// Four CNodes: all placements of up to five capabilities (some of them in an ordinary run), only deletions.
#[test]
fn four_cnodes() {
    let spec = Spec {
        copies: 0,
        moves: false,
        swaps: false,
        retypes: true,
        ..Spec::of("four CNodes", &[SMALL; 4], 1)
    };
    run_all(spec, placements(9, 4, 5));
}

/// Threads: a TCB's CSpace may hold the TCB, and the thread deletes itself.
#[test]
fn a_thread_and_its_cspace() {
    let spec = Spec { copies: 2, swaps: false, ..Spec::of("a thread and a CNode", &[Kind::Tcb, SMALL], 1) };
    run_all(spec, vec![vec![(0, 0), (2, 1)]]);
}

/// A process whose parts come from separate untypeds: thread, CSpace, and a CNode in it.
#[test]
fn a_process() {
    let spec = Spec { copies: 1, swaps: false, ..Spec::of("a process", &[Kind::Tcb, SMALL, SMALL], 1) };
    run_all(spec, vec![vec![(0, 0), (1, 1), (2, 2)]]);
}

/// Queues: a notification with waiting threads, and a timer that holds its last capability.
#[test]
fn waiting_threads() {
    let spec = Spec {
        copies: 2,
        ..Spec::of("a notification and a timer", &[Kind::Notification(2), Kind::Timer, SMALL], 1)
    };
    run_all(spec, vec![vec![(0, 1), (1, 0), (2, 2)]]);
}
