//! Long runs at random through the same worlds: hundreds of steps deep, where a search by depth does not come. The invariants are
//! looked at after every step, and the ordinary way beside each short one; what fails is shrunk to a short run.
extern crate std;
use super::scene::{Scene, Step};
use super::{scheduling, small};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use std::cell::Cell;
use std::string::String;
use std::vec::Vec;

/// A step by two random numbers: which of those that are possible, and where it is cut off.
fn chosen(scene: &Scene, (which, cut): (u16, u8)) -> Option<Step> {
    let steps = scene.steps();
    if steps.is_empty() {
        // All wait for each other, or stand still.
        let alive =
            scene.threads.iter().enumerate().filter(|(_, tcb)| scene.all_threads().any(|t| t == **tcb));
        let alive: Vec<usize> = alive.map(|(i, _)| i).collect();
        return alive.get(usize::from(which) % alive.len().max(1)).copied().map(Step::Revive);
    }
    let step = steps.get(usize::from(which) % steps.len().max(1))?.clone();
    Some(match step {
        Step::Call { thread, call, at: None } if cut < 64 && scene.any_next => {
            Step::Call { thread, call, at: Some(u64::from(cut) % 12) }
        }
        Step::Call { call, at: None, .. } if cut < 64 && !scene.pieces.is_empty() => {
            let time = scene.pieces[usize::from(cut) % scene.pieces.len()];
            Step::Long { call, at: u64::from(cut) % 3, time, pending: cut % 2 == 0 }
        }
        step => step,
    })
}

fn run(name: &str, scene: Scene, also: fn(&Scene) -> Result<(), String>) {
    let config =
        ProptestConfig { failure_persistence: None, max_shrink_iters: 20_000, ..ProptestConfig::default() };
    // `PROPTEST_CASES` says how many, for long runs.
    let config = if std::env::var_os("PROPTEST_CASES").is_some() {
        config
    } else {
        ProptestConfig { cases: 60, ..config }
    };
    let start = scene.state();
    let steps = Cell::new(0u64);
    let runs = prop::collection::vec((any::<u16>(), any::<u8>()), 50..400);
    let result = TestRunner::new(config).run(&runs, |choices| {
        scene.load(&start);
        let mut way = Vec::new();
        for choice in choices {
            let Some(step) = chosen(&scene, choice) else { break };
            way.push(step.clone());
            let taken = scene.take(&step).and_then(|_| scene.check()).and_then(|()| also(&scene));
            prop_assert!(taken.is_ok(), "{:?} after {:?}", taken, way);
            steps.set(steps.get() + 1);
        }
        Ok(())
    });
    if let Err(error) = result {
        panic!("{name}: {error}\nthe calls: {:?}", scene.menu);
    }
    std::println!("{name}: {} random steps", steps.get());
}

#[test]
#[cfg_attr(miri, ignore = "states are told bit by bit, and padding has no bits there")]
fn long_runs() {
    let all = |_: &Scene| Ok(());
    run("capabilities", small::capabilities_scene(), all);
    run("a ring of last capabilities", small::a_ring_of_last_capabilities_scene(), all);
    run("calls and answers", small::calls_and_answers_scene(), all);
    run("signals", small::signals_scene(), all);
    run("turns and periods", scheduling::turns_and_periods_scene(), scheduling::budgets_are_kept);
    run("timers", scheduling::timers_scene(), all);
    let kept = scheduling::timers_come_at_their_threads_priority;
    run("accounts on loan", scheduling::accounts_on_loan_scene(), kept);
    for sporadic in [false, true] {
        let scene = scheduling::contexts_that_change_scene(sporadic);
        run("contexts that change", scene, scheduling::budgets_are_kept);
    }
}
