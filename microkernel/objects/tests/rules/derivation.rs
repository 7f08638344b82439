//! Who is whose child: copies, minted and new capabilities of each kind, and what remains when one of them goes.
use axiom_objects::arch::tables::TableKind;
use axiom_objects::cap::Mapping;
use axiom_objects::derive::derive;
use axiom_objects::fake::FakeWorld;
use axiom_objects::slot::{self, first_child, insert, insert_new, is_final, is_parent_of, remove};
use axiom_objects::{Cap, PhysAddr, Ptr, Slot};
use sel4_sys::{Badge, CapRights};

/// A capability without a parent, and free slots.
fn start(world: &FakeWorld, root: Cap) -> [Ptr<Slot>; 8] {
    let node = world.cnode(3);
    let slots = core::array::from_fn(|i| world.slot(node, i as u64));
    slot::insert_root(root, slots[0]);
    slots
}

/// The pairs of slots of which the first is an ancestor of the second.
fn families(slots: &[Ptr<Slot>]) -> Vec<(usize, usize)> {
    let used = |i: &usize| !slots[*i].is_empty();
    let pairs =
        (0..slots.len()).filter(used).flat_map(|a| (0..slots.len()).filter(used).map(move |b| (a, b)));
    pairs.filter(|(a, b)| a != b && is_parent_of(&slots[*a], &slots[*b])).collect()
}

#[test]
fn a_badge_founds_a_family_each_time_it_is_given() {
    let world = FakeWorld::with_memory(16);
    let (ep, ntfn, rights) = (world.endpoint(), world.notification(), CapRights::READ_WRITE);
    let endpoint = |badge| Cap::Endpoint { ep, badge: Badge(badge), rights };
    let notification = |badge| Cap::Notification { ntfn, badge: Badge(badge), rights };
    for cap in [&endpoint as &dyn Fn(u64) -> Cap, &notification] {
        let s = start(&world, cap(0));
        insert(cap(0), s[0], s[1]); // a copy
        insert(cap(7), s[0], s[2]); // minted
        insert(cap(7), s[2], s[3]); // a copy of that
        insert(cap(9), s[0], s[4]); // minted with another badge
        insert(cap(7), s[0], s[5]); // minted with the first again
        insert(cap(7), s[5], s[6]);
        insert(cap(7), s[1], s[7]); // minted from the copy
        let all = (1..8).map(|i| (0, i));
        let own = [(2, 3), (5, 6)];
        let found = families(&s);
        assert!(all.chain(own).all(|pair| found.contains(&pair)), "{found:?}");
        // Whether one is below another, apart from their places in the list, badges alone tell of the rest.
        assert!(
            !found.iter().any(|(a, b)| *b == 0 || (*a == 1) || [2, 4, 5, 7].contains(b) && *a != 0),
            "{found:?}"
        );
        assert_eq!([0, 2, 5].map(|i| first_child(s[i]).is_some()), [true; 3]);
        assert_eq!([1, 3, 4, 6, 7].map(|i| first_child(s[i])), [None; 5]);
        // A founder goes: what it left is no child of the family before it.
        let order = |slot: Ptr<Slot>| first_child(slot);
        remove(s[5]);
        assert!(order(s[2]) == Some(s[3]) && first_child(s[6]).is_none());
        let before: Vec<usize> =
            (0..8).filter(|i| !s[*i].is_empty() && is_parent_of(&s[*i], &s[6])).collect();
        assert_eq!(before, [0]);
        assert!((0..8).all(|i| s[i].is_empty() || !is_final(s[i])), "all designate one object");
        // One that stands between two other founders goes, and then their parent: they are no family.
        let s = start(&world, cap(0));
        (1..4).for_each(|i| insert(cap(7), s[0], s[i]));
        remove(s[2]);
        remove(s[0]);
        assert_eq!([1, 3].map(|i| first_child(s[i])), [None; 2]);
    }
}

#[test]
fn copies_of_other_kinds_are_siblings_and_new_objects_children() {
    let world = FakeWorld::with_memory(18);
    let mapping = Some(Mapping { asid: 1, vaddr: 4096 });
    let caps = [
        Cap::Reply { reply: world.reply(), can_grant: true },
        world.cnode(2),
        Cap::Tcb { tcb: world.passive_thread(1, Cap::Null) },
        Cap::SchedContext { sc: world.context(100, 1000), bits: 8 },
        world.frame(),
        Cap::PageTable { base: world.allocate(12), mapping, kind: TableKind::LAST },
        Cap::Timer { timer: world.timer() },
        Cap::Domain,
    ];
    for cap in caps {
        let s = start(&world, cap);
        assert!(s[0].is_revocable() && is_final(s[0]));
        insert(derive(s[0], cap).expect("it can be copied"), s[0], s[1]);
        insert(derive(s[1], cap).expect("it can be copied"), s[1], s[2]);
        // The first is the parent of both, and no copy is anybody's.
        assert_eq!(families(&s), [(0, 1), (0, 2)], "{cap:?}");
        assert_eq!(
            [0, 1, 2].map(|i| (s[i].is_revocable(), is_final(s[i]))),
            [(true, false), (false, false), (false, false)]
        );
        remove(s[0]);
        assert_eq!(families(&s), []);
        remove(s[2]);
        assert!(is_final(s[1]));
    }
    // Handlers are their control's children, and each other's siblings if copied.
    let s = start(&world, Cap::IrqControl);
    insert(Cap::IrqHandler { irq: 3 }, s[0], s[1]);
    insert(Cap::IrqHandler { irq: 4 }, s[0], s[2]);
    insert(Cap::IrqHandler { irq: 3 }, s[1], s[3]);
    assert_eq!(families(&s), [(0, 1), (0, 2), (0, 3), (1, 3)]);
    assert_eq!([1, 2, 3].map(|i| s[i].is_revocable()), [true, true, false]);
}

#[test]
fn an_untypeds_copy_leaves_neither_with_memory() {
    let world = FakeWorld::with_memory(18);
    let base = world.allocate(12);
    let untyped = |base, bits, free| Cap::Untyped { base, bits, device: false, free };
    let s = start(&world, untyped(base, 12, 0));
    insert(untyped(base, 12, 0), s[0], s[1]);
    assert_eq!(s[0].cap(), untyped(base, 12, 4096), "it counts as full");
    assert_eq!(s[1].cap(), untyped(base, 12, 0));
    assert!(is_parent_of(&s[0], &s[1]) && s[1].is_revocable());
    // A part of it is an object as any other.
    let s = start(&world, untyped(base, 12, 64));
    insert_new(untyped(PhysAddr(base.0 + 2048), 11, 0), s[0], s[1]);
    insert_new(untyped(base, 11, 0), s[0], s[2]);
    insert_new(untyped(base, 5, 0), s[2], s[3]);
    assert_eq!(s[0].cap(), untyped(base, 12, 64));
    assert_eq!(families(&s), [(0, 1), (0, 2), (0, 3), (2, 3)]);
    assert!((0..4).all(|i| is_final(s[i])), "untypeds are told apart by their slots");
    let smaller = untyped(base, 11, 8);
    insert(smaller, s[0], s[4]);
    assert_eq!(s[0].cap(), untyped(base, 12, 64), "that is no copy");
}
