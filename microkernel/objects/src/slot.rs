//! Capability slots and the derivation tree.
//!
//! The tree is a doubly linked list in pre-order: a capability's descendants follow it directly. Whether one entry is an
//! ancestor of another is decided by [`is_parent_of`], from the two capabilities and two bits per slot: `revocable` (it may
//! have children) and `first_badged` (a badged capability that was made from an unbadged one, and so starts its own family).
use crate::cap::Cap;
use crate::object::{Packed, Slot};
use crate::ptr::Ptr;
use crate::zombie;
use sel4_sys::Badge;

const REVOCABLE: usize = 1;
const FIRST_BADGED: usize = 2;
const FLAGS: usize = 3;

impl Slot {
    /// The capability.
    #[inline]
    pub fn cap(&self) -> Cap {
        self.cap.get().unpack()
    }

    /// Whether the slot is empty.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.cap.get().is_null()
    }

    /// Changes what the capability says of its object (mapping, guard, free index), not which object it designates.
    #[inline(always)]
    pub fn update(&self, cap: Cap) {
        self.cap.set(cap.pack());
    }

    pub(crate) fn next(&self) -> Option<Ptr<Slot>> {
        let address = self.next.get() & !FLAGS;
        // SAFETY: a non-zero link was made from a `Ptr<Slot>` by `set_next`; a slot leaves the list before its memory goes.
        (address != 0).then(|| unsafe { Ptr::new(address) })
    }

    fn set_next(&self, next: Option<Ptr<Slot>>) {
        self.next.set(next.map_or(0, |n| n.addr()) | self.next.get() & FLAGS);
    }

    fn flags(&self) -> usize {
        self.next.get() & FLAGS
    }

    /// Whether it may have children.
    pub fn is_revocable(&self) -> bool {
        self.next.get() & REVOCABLE != 0
    }
}

fn badge_of(cap: &Cap) -> Option<Badge> {
    match *cap {
        Cap::Endpoint { badge, .. } | Cap::Notification { badge, .. } => Some(badge),
        _ => None,
    }
}

/// Whether `b` is a descendant of `a`, given that both are in the tree.
pub fn is_parent_of(a: &Slot, b: &Slot) -> bool {
    if !a.is_revocable() {
        return false;
    }
    let (cap_a, cap_b) = (a.cap(), b.cap());
    if !cap_a.same_region(&cap_b) {
        return false;
    }
    match (badge_of(&cap_a), badge_of(&cap_b)) {
        (Some(badge), Some(other)) if badge.0 != 0 => badge == other && b.next.get() & FIRST_BADGED == 0,
        _ => true,
    }
}

/// Puts `cap` into the empty slot `dest` as a child or sibling of the one in `src`.
pub fn insert(cap: Cap, src: Ptr<Slot>, dest: Ptr<Slot>) {
    let source = src.cap();
    let revocable = match cap {
        Cap::Endpoint { badge, .. } => badge_of(&source).is_none_or(|b| b != badge),
        Cap::Notification { badge, .. } => badge_of(&source).is_none_or(|b| b != badge),
        Cap::IrqHandler { .. } => matches!(source, Cap::IrqControl),
        Cap::Untyped { .. } => true,
        _ => false,
    };
    let flags = if revocable { REVOCABLE | FIRST_BADGED } else { 0 };
    link_after(cap, flags, src, dest);
    if let (Cap::Untyped { base, bits, device, .. }, Cap::Untyped { .. }) = (source, cap)
        && source.same_region(&cap)
        && cap.region() == source.region()
    {
        // A copy of an untyped: neither may be used before the other is gone, so the source counts as full.
        src.update(Cap::Untyped { base, bits, device, free: 1 << bits });
    }
}

/// Puts the capability to a new object into `dest`, as a child of `src`.
pub fn insert_new(cap: Cap, src: Ptr<Slot>, dest: Ptr<Slot>) {
    link_after(cap, REVOCABLE | FIRST_BADGED, src, dest);
}

/// Puts a capability without a parent into `dest`: the kernel's own at boot.
pub fn insert_root(cap: Cap, dest: Ptr<Slot>) {
    dest.cap.set(cap.pack());
    dest.prev.set(None);
    dest.next.set(REVOCABLE | FIRST_BADGED);
}

/// Puts a capability without a parent into the list that begins with the empty slot `anchor` ([`crate::node::Shared`]): `near` is the
/// anchor, or any slot of the list. Memory stands in the list from the highest address down, as a new object stands before its
/// older siblings; so no two neighbours overlap only if no two capabilities do.
pub fn insert_original(near: Ptr<Slot>, cap: Cap, dest: Ptr<Slot>) {
    let flags = REVOCABLE | FIRST_BADGED;
    let base = |slot: Ptr<Slot>| slot.cap().region().map(|(base, _)| base);
    let Some((own, _)) = cap.region() else {
        let first = core::iter::successors(Some(near), |at| at.prev.get()).last();
        return link_after(cap, flags, first.unwrap_or(near), dest);
    };
    let mut after = near;
    while base(after).is_none_or(|at| at < own)
        && let Some(prev) = after.prev.get()
    {
        after = prev;
    }
    let mut at = after.next();
    while let Some(slot) = at.filter(|at| base(*at).is_none_or(|at| at >= own)) {
        if base(slot).is_some() {
            after = slot;
        }
        at = slot.next();
    }
    link_after(cap, flags, after, dest);
}

fn link_after(cap: Cap, flags: usize, src: Ptr<Slot>, dest: Ptr<Slot>) {
    let next = src.next();
    dest.cap.set(cap.pack());
    dest.prev.set(Some(src));
    dest.next.set(next.map_or(0, |n| n.addr()) | flags);
    src.set_next(Some(dest));
    if let Some(next) = next {
        next.prev.set(Some(dest));
    }
}

/// Moves `cap` (what `src` holds, perhaps with another badge or guard) to the empty slot `dest`, with its place in the tree.
pub fn move_to(cap: Cap, src: Ptr<Slot>, dest: Ptr<Slot>) {
    relocate(cap, src, dest);
    zombie::moved(src, dest);
}

fn relocate(cap: Cap, src: Ptr<Slot>, dest: Ptr<Slot>) {
    dest.cap.set(cap.pack());
    dest.prev.set(src.prev.get());
    dest.next.set(src.next.get());
    if let Some(prev) = dest.prev.get() {
        prev.set_next(Some(dest));
    }
    if let Some(next) = dest.next() {
        next.prev.set(Some(dest));
    }
    clear(src);
}

/// Exchanges two slots' capabilities and their places in the tree. `cap_a` goes to `b` and `cap_b` to `a`.
/// Two zombies must be of different rings.
pub fn swap(cap_a: Cap, a: Ptr<Slot>, cap_b: Cap, b: Ptr<Slot>) {
    if a == b {
        return;
    }
    // Through a third slot, so that two neighbours need no special case.
    let spare = Slot::new();
    // SAFETY: `spare` outlives the two moves in which it is linked: the third takes it out of the list again.
    let spare = unsafe { Ptr::new((&raw const spare).expose_provenance()) };
    relocate(cap_a, a, spare);
    relocate(cap_b, b, a);
    relocate(cap_a, spare, b);
    zombie::moved(a, b);
    zombie::moved(b, a);
}

/// Takes the slot out of the tree and empties it.
pub fn remove(slot: Ptr<Slot>) {
    let (prev, next) = (slot.prev.get(), slot.next());
    if let Some(prev) = prev {
        prev.set_next(next);
    }
    if let Some(next) = next {
        next.prev.set(prev);
        if slot.flags() & FIRST_BADGED != 0 {
            next.next.set(next.next.get() | FIRST_BADGED);
        }
    }
    clear(slot);
}

fn clear(slot: Ptr<Slot>) {
    slot.cap.set(Packed(0, 0));
    slot.prev.set(None);
    slot.next.set(0);
}

/// Whether no other capability designates the same object. A zombie is always the last.
pub fn is_final(slot: Ptr<Slot>) -> bool {
    let cap = slot.cap();
    let same = |other: Option<Ptr<Slot>>| other.is_some_and(|o| cap.same_object(&o.cap()));
    !same(slot.prev.get()) && !same(slot.next())
}

/// The first descendant, if there is one.
pub fn first_child(slot: Ptr<Slot>) -> Option<Ptr<Slot>> {
    slot.next().filter(|next| is_parent_of(&slot, next))
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::ptr::PhysAddr;
    use proptest::prelude::*;
    use std::boxed::Box;
    use std::vec::Vec;

    fn slots(n: usize) -> Vec<Ptr<Slot>> {
        (0..n).map(|_| Ptr::from_static(Box::leak(Box::new(Slot::new())))).collect()
    }
    fn untyped(base: u64, bits: u32) -> Cap {
        Cap::Untyped { base: PhysAddr(base), bits, device: false, free: 0 }
    }
    fn table(base: u64) -> Cap {
        Cap::PageTable { base: PhysAddr(base), mapping: None, kind: crate::arch::tables::TableKind::LAST }
    }

    #[test]
    fn children_follow_their_parent() {
        let s = slots(4);
        insert_root(untyped(0x10000, 16), s[0]);
        insert_new(table(0x10000), s[0], s[1]);
        insert_new(table(0x11000), s[0], s[2]);
        assert_eq!(first_child(s[0]), Some(s[2]));
        assert!(is_final(s[1]));
        insert(table(0x10000), s[1], s[3]);
        assert!(!is_final(s[1]) && !is_final(s[3]));
        remove(s[1]);
        assert!(is_final(s[3]));
        remove(s[3]);
        remove(s[2]);
        assert_eq!(first_child(s[0]), None);
    }

    /// Whatever the order in which boot makes them, capabilities stand from the highest memory down, and copies together.
    #[test]
    fn original_capabilities_stand_in_the_order_of_memory() {
        let (anchor, s) = (slots(1)[0], slots(6));
        let caps = [
            table(0x5000),
            Cap::IrqControl,
            table(0x9000),
            table(0x1000),
            table(0x5000),
            untyped(0x20000, 16),
        ];
        for (i, cap) in caps.iter().enumerate() {
            let near = if i == 0 { anchor } else { s[i - 1] };
            insert_original(near, *cap, s[i]);
        }
        let listed = std::iter::successors(anchor.next(), |at| at.next());
        let listed: Vec<Cap> = listed.map(|at| at.cap()).collect();
        assert_eq!(listed.len(), 6);
        let memory: Vec<Cap> = listed.into_iter().filter(|cap| cap.region().is_some()).collect();
        assert_eq!(memory, [caps[5], caps[2], caps[0], caps[4], caps[3]]);
        assert!(!is_final(s[0]) && !is_final(s[4]) && is_final(s[2]));
        assert_eq!(first_child(s[5]), None);
    }

    #[test]
    fn swapping_neighbours_keeps_the_list() {
        let s = slots(3);
        insert_root(untyped(0x10000, 16), s[0]);
        insert_new(table(0x10000), s[0], s[1]);
        insert_new(table(0x11000), s[0], s[2]);
        swap(s[1].cap(), s[1], s[2].cap(), s[2]);
        assert_eq!(s[1].cap(), table(0x11000));
        assert_eq!(first_child(s[0]), Some(s[1]));
        assert_eq!(s[1].next(), Some(s[2]));
        assert_eq!(s[2].prev.get(), Some(s[1]));
    }

    #[test]
    fn a_badged_capability_is_the_parent_of_its_own_badge_only() {
        let ep: Ptr<crate::object::Endpoint> = Ptr::from_static(Box::leak(Box::default()));
        let cap = |b| Cap::Endpoint { ep, badge: Badge(b), rights: sel4_sys::CapRights::ALL };
        let s = slots(4);
        insert_root(cap(0), s[0]);
        insert(cap(7), s[0], s[1]);
        insert(cap(7), s[1], s[2]);
        insert(cap(9), s[0], s[3]);
        assert!(is_parent_of(&s[0], &s[1]) && is_parent_of(&s[1], &s[2]));
        assert!(!is_parent_of(&s[1], &s[3]) && !is_parent_of(&s[2], &s[1]));
    }

    proptest! {
        /// Links agree in both directions after any sequence of operations.
        #[test]
        fn links_stay_symmetric(ops in prop::collection::vec((0u8..4, 0usize..12, 0usize..12), 1..80)) {
            let s = slots(12);
            insert_root(untyped(0x100000, 20), s[0]);
            let mut page = 0x100000;
            for (op, a, b) in ops {
                match op {
                    0 if !s[a].is_empty() && s[b].is_empty() => { page += 0x1000; insert_new(table(page), s[a], s[b]); }
                    1 if a != 0 && !s[a].is_empty() => remove(s[a]),
                    2 if a != 0 && b != 0 && !s[a].is_empty() && s[b].is_empty() => move_to(s[a].cap(), s[a], s[b]),
                    3 if a != b && a != 0 && b != 0 && !s[a].is_empty() && !s[b].is_empty() => swap(s[a].cap(), s[a], s[b].cap(), s[b]),
                    _ => {}
                }
                let mut count = 0;
                let mut at = Some(s[0]);
                while let Some(slot) = at {
                    count += 1;
                    if let Some(next) = slot.next() {
                        prop_assert_eq!(next.prev.get(), Some(slot));
                    }
                    at = slot.next();
                }
                prop_assert_eq!(count, s.iter().filter(|x| !x.is_empty()).count());
            }
        }
    }
}
