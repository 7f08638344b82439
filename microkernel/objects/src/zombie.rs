//! Zombies: what the last capability to an object becomes while the object is taken apart step by step.
//!
//! A zombie names its object and counts the slots that are still to be emptied. Zombies that one deletion has found hang
//! together in a ring, doubly linked through the slots that they are in, so that joining, leaving and uniting two rings
//! take constant time. One zombie of a ring is its *root*; the others are *members*. A zombie alone is a root.
//!
//! # Room
//! Two links and the object have to fit into a capability's two words, so addresses have [`ADDRESS_BITS`] bits here: slots
//! in memory above that do not exist, because boot does not hand such memory out. The object's address and the count share
//! a field: a CNode is aligned to its size, so the low bits are free for the count.
use crate::object::{Endpoint, KIND_SHIFT, Notification, Packed, Slot, TCB_SLOTS, Tcb};
use crate::ptr::{PhysAddr, Ptr};
use sel4_sys::object as o;

/// Objects that hold slots lie below 2 to the power of this.
pub const ADDRESS_BITS: u32 = 42;

/// The number of this kind of capability.
pub(crate) const KIND: u64 = 19;

const UNIT: u32 = o::SLOT_BITS as u32;
const LINK_BITS: u32 = ADDRESS_BITS - UNIT;
const LINK_MASK: u64 = (1 << LINK_BITS) - 1;
const CODE_SHIFT: u32 = 53;
const EMPTY: u64 = 1 << 52;
const MEMBER: u64 = 1 << 51;
/// The part of the next link that is in word 0, above the place.
const HIGH_BITS: u32 = 14;
const LOW_BITS: u32 = LINK_BITS - HIGH_BITS;
const QUEUE_MASK: u64 = (1 << 47) - 1;

const CODE_TCB: u64 = 0;
const CODE_ENDPOINT: u64 = 1;
const CODE_NOTIFICATION: u64 = 2;

/// What is being taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remains {
    /// A CNode of 2 to the power of `radix` slots.
    CNode {
        /// Slots, as a power of two.
        radix: u32,
    },
    /// A TCB and its slots.
    Tcb,
    /// An endpoint for which threads still wait.
    Endpoint(Ptr<Endpoint>),
    /// A notification for which threads still wait.
    Notification(Ptr<Notification>),
}

/// A zombie, packed as it is in its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Zombie(Packed);

impl Zombie {
    fn new(code: u64, place: u64) -> Zombie {
        Zombie(Packed(KIND << KIND_SHIFT | code << CODE_SHIFT | place, 0))
    }

    /// The zombie of a CNode with 2 to the power of `radix` slots.
    pub fn of_cnode(base: PhysAddr, radix: u32) -> Zombie {
        Self::new(u64::from(radix + UNIT), compress(base.0)).with_left(1 << radix)
    }

    /// The zombie of a TCB.
    pub fn of_tcb(tcb: Ptr<Tcb>) -> Zombie {
        Self::new(CODE_TCB, compress(tcb.phys().0)).with_left(TCB_SLOTS as u64)
    }

    /// The zombie of an endpoint.
    pub fn of_endpoint(ep: Ptr<Endpoint>) -> Zombie {
        Self::new(CODE_ENDPOINT, ep.phys().0)
    }

    /// The zombie of a notification.
    pub fn of_notification(ntfn: Ptr<Notification>) -> Zombie {
        Self::new(CODE_NOTIFICATION, ntfn.phys().0)
    }

    /// What the slot holds, if it is a zombie.
    pub fn in_slot(slot: &Slot) -> Option<Zombie> {
        let packed = slot.packed();
        (packed.0 >> KIND_SHIFT == KIND).then_some(Zombie(packed))
    }

    /// Stores the zombie in a slot that holds it, or the capability that it was made from.
    pub fn store(self, slot: Ptr<Slot>) {
        slot.cap.set(self.0);
    }

    pub(crate) const fn from_packed(packed: Packed) -> Zombie {
        Zombie(packed)
    }

    /// The packed form.
    pub const fn packed(self) -> Packed {
        self.0
    }

    fn code(self) -> u64 {
        self.0.0 >> CODE_SHIFT & 63
    }

    /// What is being taken apart.
    pub fn remains(self) -> Remains {
        let at = PhysAddr(self.0.0 & QUEUE_MASK).kernel();
        // SAFETY: a zombie is the last capability to its object, which lives until the zombie is removed; the
        // constructors stored the address with the object's kind.
        unsafe {
            match self.code() {
                CODE_TCB => Remains::Tcb,
                CODE_ENDPOINT => Remains::Endpoint(Ptr::new(at)),
                CODE_NOTIFICATION => Remains::Notification(Ptr::new(at)),
                code => Remains::CNode { radix: code as u32 - UNIT },
            }
        }
    }

    /// Whether the object holds slots, which may hold the last capabilities to others.
    pub fn holds_slots(self) -> bool {
        !matches!(self.code(), CODE_ENDPOINT | CODE_NOTIFICATION)
    }

    /// The memory of the object: start and the size's power of two.
    pub fn region(self) -> (u64, u32) {
        match self.code() {
            CODE_ENDPOINT => (self.0.0 & QUEUE_MASK, o::ENDPOINT_BITS as u32),
            CODE_NOTIFICATION => (self.0.0 & QUEUE_MASK, o::NOTIFICATION_BITS as u32),
            _ => (expand(self.0.0 & LINK_MASK & !self.count_mask()), self.count_bits() + UNIT),
        }
    }

    /// Bits of the place that an object's alignment leaves free.
    fn count_bits(self) -> u32 {
        match self.code() {
            CODE_TCB => o::TCB_BITS as u32 - UNIT,
            code => code as u32 - UNIT,
        }
    }

    fn count_mask(self) -> u64 {
        (1 << self.count_bits()) - 1
    }

    /// Slots that the object holds.
    pub fn slots(self) -> u64 {
        match self.code() {
            CODE_TCB => TCB_SLOTS as u64,
            CODE_ENDPOINT | CODE_NOTIFICATION => 0,
            code => 1 << (code as u32 - UNIT),
        }
    }

    /// Slots that are still to be emptied: those below this index.
    pub fn left(self) -> u64 {
        if !self.holds_slots() || self.0.0 & EMPTY != 0 { 0 } else { (self.0.0 & self.count_mask()) + 1 }
    }

    /// The zombie with another count.
    pub fn with_left(self, left: u64) -> Zombie {
        let place = self.0.0 & !self.count_mask() & !EMPTY;
        let count = if left == 0 { EMPTY } else { left - 1 };
        Zombie(Packed(place | count, self.0.1))
    }

    /// Slot `index` of an object that holds slots.
    pub fn slot(self, index: u64) -> Ptr<Slot> {
        let base = PhysAddr(self.region().0).kernel();
        // SAFETY: a zombie is the last capability to its object, which lives until the zombie is removed; the callers'
        // indices are below `slots()`.
        unsafe {
            match self.code() {
                CODE_TCB => Ptr::<Tcb>::new(base).slot(index as usize),
                _ => Ptr::new(base + index as usize * size_of::<Slot>()),
            }
        }
    }

    /// Whether it belongs to another zombie's ring.
    pub fn is_member(self) -> bool {
        self.0.0 & MEMBER != 0
    }

    fn with_member(self, member: bool) -> Zombie {
        let word = if member { self.0.0 | MEMBER } else { self.0.0 & !MEMBER };
        Zombie(Packed(word, self.0.1))
    }

    /// The links as they are stored, 0 for itself: next and previous.
    fn links(self) -> (u64, u64) {
        if !self.holds_slots() {
            return (0, 0);
        }
        let high = self.0.0 >> LINK_BITS & ((1 << HIGH_BITS) - 1);
        (high << LOW_BITS | self.0.1 >> LINK_BITS, self.0.1 & LINK_MASK)
    }

    fn with_links(self, next: u64, prev: u64) -> Zombie {
        let word0 = self.0.0 & !(((1 << HIGH_BITS) - 1) << LINK_BITS) | (next >> LOW_BITS) << LINK_BITS;
        Zombie(Packed(word0, (next & ((1 << LOW_BITS) - 1)) << LINK_BITS | prev))
    }
}

/// An address in units of slots.
fn compress(address: u64) -> u64 {
    let place = address.wrapping_sub(origin(address)) >> UNIT;
    debug_assert!(place <= LINK_MASK, "an object that holds slots lies above 2^{ADDRESS_BITS}");
    place & LINK_MASK
}

fn expand(place: u64) -> u64 {
    origin(0).wrapping_add(place << UNIT)
}

/// Where addresses are counted from.
#[cfg(target_os = "none")]
const fn origin(_hint: u64) -> u64 {
    0
}

/// Where addresses are counted from: a host's allocations lie anywhere in 47 bits, but near each other.
#[cfg(not(target_os = "none"))]
fn origin(hint: u64) -> u64 {
    use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
    // Bit 0: it is known.
    static ORIGIN: AtomicU64 = AtomicU64::new(0);
    const HALF: u64 = 1 << (ADDRESS_BITS - 1);
    if ORIGIN.load(Relaxed) == 0 && hint != 0 {
        let start = hint.saturating_sub(HALF) & !(HALF - 1);
        // Whoever was first decides: the others' addresses are near.
        let _ = ORIGIN.compare_exchange(0, start | 1, Relaxed, Relaxed);
    }
    ORIGIN.load(Relaxed) & !1
}

// ---- rings ----

fn link_to(own: Ptr<Slot>, other: Ptr<Slot>) -> u64 {
    if own == other { 0 } else { compress(other.phys().0) }
}

fn linked(own: Ptr<Slot>, link: u64) -> Ptr<Slot> {
    if link == 0 {
        return own;
    }
    // SAFETY: a link was made from a `Ptr<Slot>` by `link_to`; a zombie that moves or goes takes its neighbours' links along.
    unsafe { Ptr::new(PhysAddr(expand(link)).kernel()) }
}

/// The next zombie of the ring that the one in `at` belongs to; itself when it is alone.
pub fn next(at: Ptr<Slot>) -> Ptr<Slot> {
    Zombie::in_slot(&at).map_or(at, |z| linked(at, z.links().0))
}

/// The zombie before.
pub fn prev(at: Ptr<Slot>) -> Ptr<Slot> {
    Zombie::in_slot(&at).map_or(at, |z| linked(at, z.links().1))
}

fn set_next(at: Ptr<Slot>, to: Ptr<Slot>) {
    if let Some(zombie) = Zombie::in_slot(&at) {
        zombie.with_links(link_to(at, to), zombie.links().1).store(at);
    }
}

fn set_prev(at: Ptr<Slot>, to: Ptr<Slot>) {
    if let Some(zombie) = Zombie::in_slot(&at) {
        zombie.with_links(zombie.links().0, link_to(at, to)).store(at);
    }
}

fn set_member(at: Ptr<Slot>, member: bool) {
    if let Some(zombie) = Zombie::in_slot(&at) {
        zombie.with_member(member).store(at);
    }
}

/// The ring of the root in `other` becomes part of the ring of the one in `root`.
pub fn join(root: Ptr<Slot>, other: Ptr<Slot>) {
    let (second, last) = (next(root), prev(other));
    set_next(root, other);
    set_prev(other, root);
    set_next(last, second);
    set_prev(second, last);
    set_member(other, true);
}

/// The zombie in `at` leaves its ring and is a root of its own.
pub fn leave(at: Ptr<Slot>) {
    let (before, after) = (prev(at), next(at));
    set_next(before, after);
    set_prev(after, before);
    set_next(at, at);
    set_prev(at, at);
    set_member(at, false);
}

/// The zombie that was in `from` is in `to` now: its neighbours' links follow.
pub fn moved(from: Ptr<Slot>, to: Ptr<Slot>) {
    let Some((next, prev)) = Zombie::in_slot(&to).map(Zombie::links).filter(|links| *links != (0, 0)) else {
        return;
    };
    let (next, prev) = (linked(from, next), linked(from, prev));
    set_prev(next, to);
    set_next(prev, to);
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use std::boxed::Box;

    /// A place near which the other tests' objects are, too.
    fn anchor() -> u64 {
        Ptr::<Slot>::from_static(Box::leak(Box::new(Slot::new()))).phys().0 & !((1 << 40) - 1)
    }

    proptest! {
        /// Object, count, links and membership do not disturb each other, up to the largest CNode.
        #[test]
        fn the_fields_of_a_zombie_are_independent(
            radix in 1u32..34, place in 0u64..1 << 20, left in 0u64..=1 << 33, next in 0u64..=LINK_MASK, prev in 0u64..=LINK_MASK,
            member in any::<bool>(),
        ) {
            let base = anchor() + ((place << (radix + UNIT)) & ((1 << 40) - 1));
            let left = left.min(1 << radix);
            let zombie = Zombie::of_cnode(PhysAddr(base), radix);
            prop_assert_eq!((zombie.left(), zombie.slots(), zombie.links()), (1 << radix, 1 << radix, (0, 0)));
            let zombie = zombie.with_links(next, prev).with_member(member).with_left(left);
            prop_assert_eq!(zombie.remains(), Remains::CNode { radix });
            prop_assert_eq!(zombie.region(), (base, radix + UNIT));
            prop_assert_eq!((zombie.left(), zombie.links(), zombie.is_member()), (left, (next, prev), member));
            prop_assert_eq!(zombie.with_left(0).with_left(left), zombie);
            prop_assert_eq!(zombie.packed().0 >> KIND_SHIFT, KIND);
        }
    }

    #[test]
    fn a_queue_has_no_slots_and_no_ring() {
        let ep: Ptr<Endpoint> = Ptr::from_static(Box::leak(Box::default()));
        let ntfn: Ptr<Notification> = Ptr::from_static(Box::leak(Box::default()));
        let (a, b) = (Zombie::of_endpoint(ep), Zombie::of_notification(ntfn));
        assert_eq!((a.remains(), b.remains()), (Remains::Endpoint(ep), Remains::Notification(ntfn)));
        assert_eq!((a.region(), b.region()), ((ep.phys().0, 4), (ntfn.phys().0, 6)));
        for zombie in [a, b] {
            assert!(!zombie.holds_slots() && !zombie.is_member());
            assert_eq!((zombie.slots(), zombie.left(), zombie.links()), (0, 0, (0, 0)));
        }
    }
}
