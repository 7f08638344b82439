//! What holds whenever the kernel leaves, as one function over the whole state; nothing here knows how a rule keeps it.
//!
//! The state is found from the derivation list alone ([`Shared::anchor`](crate::node::Shared::anchor)): whatever the machine
//! knows of is designated by a capability in it. So a check needs no memory of its own, and runs on the host after every
//! step as well as in a checked kernel. [`check_running`] takes as long as the ready and release queues, [`check`] looks each
//! reference up in the list: their product.
//!
//! # What holds
//! | file | rules |
//! |---|---|
//! | `caps` | the list is linked both ways, complete, in the order of memory; no two objects overlap; every slot is in memory that a capability covers |
//! | `running` | who runs, is ready, waits for time; nobody who could run is forgotten |
//! | `waiting` | endpoints, notifications, reply objects and those who wait in them name each other |
//! | `contexts` | contexts and what they are bound to name each other; refills are in order |
//! | `timers`, `heap` | armed timers and the accounts that pay for them; heaps |
//! | `spaces` | identifiers, pools and table entries name what is alive |
//!
//! A broken invariant is a mistake in the kernel, whatever user space did: the kernel stops with its sentence.
use crate::machine::Machine;
use crate::node::Node;
use rules::Caps;

mod caps;
mod contexts;
mod heap;
mod rules;
mod running;
mod spaces;
mod timers;
mod waiting;

pub use rules::Broken;

/// The whole state.
pub fn check<M: Machine>(m: M) -> Result<(), Broken> {
    let caps = Caps::of(m);
    caps::check(m, caps)?;
    running::check(m.node())?;
    running::nobody_is_forgotten(m, caps)?;
    waiting::check(m, caps)?;
    contexts::check(caps)?;
    timers::check(m, caps)?;
    spaces::check(m, caps)
}

/// Who runs, who is ready, who waits for time: what a checked kernel can afford to look at on every exit. `turn` counts exits: the
/// priorities at which nobody is said to be ready are looked at in four parts.
pub fn check_running(n: &Node, turn: usize) -> Result<(), Broken> {
    running::check_in_turn(n, turn)
}
