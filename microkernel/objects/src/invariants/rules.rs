//! What the rules are written with: the capabilities of a machine, what they designate, and how a rule is refused.
use crate::cap::Cap;
use crate::machine::Machine;
use crate::object::{Endpoint, Notification, Slot};
use crate::ptr::{PhysAddr, Ptr};
use crate::zombie::Remains;
use core::fmt;
use core::mem::discriminant;
use sel4_sys::{Badge, CapRights};

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

/// Longer lists than memory could hold on a small board are circles.
pub(super) const LONGEST: usize = 1 << 20;

/// Refuses with a rule unless it holds.
pub(super) fn holds(condition: bool, rule: &'static str, at: usize) -> Result<(), Broken> {
    if condition { Ok(()) } else { Err(Broken { rule, at }) }
}

/// All capabilities of a machine, in the order of the derivation list.
#[derive(Clone, Copy)]
pub(super) struct Caps {
    pub(super) anchor: Ptr<Slot>,
}

impl Caps {
    pub(super) fn of<M: Machine>(m: M) -> Caps {
        Caps { anchor: m.shared().anchor() }
    }

    pub(super) fn slots(self) -> impl Iterator<Item = Ptr<Slot>> {
        core::iter::successors(self.anchor.next(), |at| at.next()).take(LONGEST)
    }

    /// What is designated: a queue that is being emptied is a queue still.
    pub(super) fn all(self) -> impl Iterator<Item = Cap> {
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
    pub(super) fn objects(self) -> impl Iterator<Item = Cap> {
        let mut before = Cap::Null;
        self.all().filter(move |cap| {
            let is_copy = cap.same_object(&before);
            before = *cap;
            !is_copy
        })
    }

    /// Whether some capability designates the object at an address, of the kind that `like` is.
    pub(super) fn designate(self, like: Cap) -> bool {
        let base = like.region().map(|(base, _)| base);
        self.all().any(|cap| {
            discriminant(&cap) == discriminant(&like) && cap.region().map(|(base, _)| base) == base
        })
    }

    pub(super) fn requires(self, like: Cap, rule: &'static str, at: usize) -> Result<(), Broken> {
        holds(self.designate(like), rule, at)
    }
}

pub(super) fn endpoint(ep: Ptr<Endpoint>) -> Cap {
    Cap::Endpoint { ep, badge: Badge(0), rights: CapRights::ALL }
}

pub(super) fn notification(ntfn: Ptr<Notification>) -> Cap {
    Cap::Notification { ntfn, badge: Badge(0), rights: CapRights::ALL }
}

/// The slots that a capability's object holds: address of the first, and how many.
pub(super) fn slots_inside(cap: &Cap) -> Option<(usize, usize)> {
    match *cap {
        Cap::Zombie(zombie) => zombie.holds_slots().then(|| (zombie.slot(0).addr(), zombie.slots() as usize)),
        Cap::Timer { timer } => Some((timer.slot().addr(), 1)),
        _ => cap.slots_inside().map(|(first, count)| (first.addr(), count as usize)),
    }
}

pub(super) fn slot_at(address: usize) -> Ptr<Slot> {
    // SAFETY: the callers' addresses are those of slots in objects that a capability designates, or of the node's own.
    unsafe { Ptr::new(address) }
}

pub(super) fn address(base: u64) -> usize {
    PhysAddr(base).kernel()
}
