//! Small worlds, searched exhaustively: what two or three threads can do with a few objects by system calls, in every order, with
//! every preemption. The invariants are looked at after every step, and each call that has a short way goes the ordinary one as
//! well. An ordinary test run visits a part; `just search-kernel` all, or as much as it is told.
extern crate std;
mod random;
mod scene;
mod scheduling;
mod search;
#[cfg(not(axiom_arch = "x86_64"))]
mod session;
mod small;
#[cfg(not(axiom_arch = "x86_64"))]
mod transcript;

use scene::Scene;
use search::{Extent, search};
use std::string::String;

/// States that an ordinary test run visits in each world.
const STATES: usize = 12_000;

/// States to visit: `AXIOM_SEARCH_STATES` says how many.
fn limit() -> usize {
    let told = std::env::var("AXIOM_SEARCH_STATES").ok();
    told.map_or(STATES, |n| n.parse().expect("AXIOM_SEARCH_STATES is a number of states"))
}

/// Searches a world, tells how far that went, and the way to a fault if there is one.
fn explore(name: &str, scene: &Scene, also: impl Fn(&Scene) -> Result<(), String>) -> Extent {
    match search(scene, limit(), also) {
        Ok(extent) => {
            let all = if extent.complete { "all states" } else { "a part of the next depth" };
            std::println!(
                "{name}: {} states, {} steps, depth {} whole ({all})",
                extent.states,
                extent.steps,
                extent.depth
            );
            extent
        }
        Err(found) => panic!(
            "{name}: {}\nfound at depth {} after {} states and {} steps, on the way\n  {}",
            found.what,
            found.way.len(),
            found.extent.states,
            found.extent.steps,
            found.way.join("\n  ")
        ),
    }
}
