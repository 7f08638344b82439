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
use crate::cap::Cap;
use crate::machine::Machine;
use crate::node::Node;
use crate::object::{Endpoint, Notification, Slot};
use crate::ptr::{PhysAddr, Ptr};
use crate::zombie::Remains;
use core::fmt;
use core::mem::discriminant;
use sel4_sys::{Badge, CapRights};

mod caps;
mod contexts;
mod heap;
mod running;
mod spaces;
mod timers;
mod waiting;

/// A rule that does not hold, and the address of the object or slot where that was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The rule.
    pub rule: &'static str,
    /// Where.
    pub at: usize,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (at {:#x})", self.rule, self.at)
    }
}

/// The whole state.
pub fn check<M: Machine>(m: M) -> Result<(), Broken> {
    let caps = Caps { anchor: m.shared().anchor() };
    caps::check(m, caps)?;
    running::check(m.node())?;
    running::nobody_is_forgotten(m, caps)?;
    waiting::check(m, caps)?;
    contexts::check(caps)?;
    timers::check(m, caps)?;
    spaces::check(m, caps)
}

/// Who runs, who is ready, who waits for time: what a checked kernel can afford to look at on every exit.
pub fn check_running(n: &Node) -> Result<(), Broken> {
    running::check(n)
}

/// Longer lists than memory could hold on a small board are circles.
const LONGEST: usize = 1 << 20;

/// Refuses with a rule unless it holds.
fn holds(condition: bool, rule: &'static str, at: usize) -> Result<(), Broken> {
    if condition { Ok(()) } else { Err(Broken { rule, at }) }
}

/// All capabilities of a machine, in the order of the derivation list.
#[derive(Clone, Copy)]
struct Caps {
    anchor: Ptr<Slot>,
}

impl Caps {
    fn slots(self) -> impl Iterator<Item = Ptr<Slot>> {
        core::iter::successors(self.anchor.next(), |at| at.next()).take(LONGEST)
    }

    /// What is designated: a queue that is being emptied is a queue still.
    fn all(self) -> impl Iterator<Item = Cap> {
        self.slots().map(|slot| match slot.cap() {
            Cap::Zombie(zombie) => match zombie.remains() {
                Remains::Endpoint(ep) => endpoint(ep),
                Remains::Notification(ntfn) => notification(ntfn),
                Remains::CNode { .. } | Remains::Tcb => Cap::Zombie(zombie),
            },
            cap => cap,
        })
    }

    /// One capability of each object: copies stand together.
    fn objects(self) -> impl Iterator<Item = Cap> {
        let mut before = Cap::Null;
        self.all().filter(move |cap| {
            let is_copy = cap.same_object(&before);
            before = *cap;
            !is_copy
        })
    }

    /// Whether some capability designates the object at an address, of the kind that `like` is.
    fn designate(self, like: Cap) -> bool {
        let base = like.region().map(|(base, _)| base);
        self.all().any(|cap| {
            discriminant(&cap) == discriminant(&like) && cap.region().map(|(base, _)| base) == base
        })
    }

    fn requires(self, like: Cap, rule: &'static str, at: usize) -> Result<(), Broken> {
        holds(self.designate(like), rule, at)
    }
}

fn endpoint(ep: Ptr<Endpoint>) -> Cap {
    Cap::Endpoint { ep, badge: Badge(0), rights: CapRights::ALL }
}

fn notification(ntfn: Ptr<Notification>) -> Cap {
    Cap::Notification { ntfn, badge: Badge(0), rights: CapRights::ALL }
}

/// The slots that a capability's object holds: address of the first, and how many.
fn slots_inside(cap: &Cap) -> Option<(usize, usize)> {
    match *cap {
        Cap::Zombie(zombie) => zombie.holds_slots().then(|| (zombie.slot(0).addr(), zombie.slots() as usize)),
        Cap::Timer { timer } => Some((timer.slot().addr(), 1)),
        _ => cap.slots_inside().map(|(first, count)| (first.addr(), count as usize)),
    }
}

fn slot_at(address: usize) -> Ptr<Slot> {
    // SAFETY: the callers' addresses are those of slots in objects that a capability designates, or of the node's own.
    unsafe { Ptr::new(address) }
}

fn address(base: u64) -> usize {
    PhysAddr(base).kernel()
}
