//! Copies: which rights remain, which kinds are copied and how, what a badge or a guard may change.
use axiom_objects::arch::tables::TableKind;
use axiom_objects::cap::{FrameSize, Mapping, VmRights};
use axiom_objects::derive::{Giving, derive, mask_rights, with_data};
use axiom_objects::fake::FakeWorld;
use axiom_objects::slot;
use axiom_objects::zombie::Zombie;
use axiom_objects::{Cap, PhysAddr};
use sel4_sys::{Badge, CapRights, Error};

#[test]
fn a_mask_takes_rights_and_gives_none() {
    let world = FakeWorld::with_memory(16);
    let (ep, ntfn, reply) = (world.endpoint(), world.notification(), world.reply());
    for mask in 0..16 {
        for own in 0..16 {
            let (badge, rights) = (Badge(5), CapRights(own));
            let both = CapRights(own & mask);
            let endpoint = mask_rights(Cap::Endpoint { ep, badge, rights }, CapRights(mask));
            assert_eq!(endpoint, Cap::Endpoint { ep, badge, rights: both });
            let notification = mask_rights(Cap::Notification { ntfn, badge, rights }, CapRights(mask));
            assert_eq!(notification, Cap::Notification { ntfn, badge, rights: both });
        }
        // Write is bit 0, read 1, grant 2, grant-reply 3.
        for can_grant in [true, false] {
            let masked = mask_rights(Cap::Reply { reply, can_grant }, CapRights(mask));
            assert_eq!(masked, Cap::Reply { reply, can_grant: can_grant && mask & 4 != 0 });
        }
        for (read, write) in [(true, true), (true, false), (false, true), (false, false)] {
            let frame = |read, write| Cap::Frame {
                base: PhysAddr(0x20_0000),
                size: FrameSize::Large,
                device: true,
                rights: VmRights { read, write },
                mapping: Some(Mapping { asid: 3, vaddr: 0x40_0000 }),
            };
            // What cannot be read cannot be written either.
            let reads = read && mask & 2 != 0;
            let expected = frame(reads, reads && write && mask & 1 != 0);
            assert_eq!(mask_rights(frame(read, write), CapRights(mask)), expected, "{mask:04b}");
        }
        let cnode = world.cnode(1);
        assert_eq!(mask_rights(cnode, CapRights(mask)), cnode);
    }
}

#[test]
fn each_kind_is_copied_in_its_own_way() {
    let world = FakeWorld::with_memory(18);
    let space = world.cnode(4);
    let mapping = Some(Mapping { asid: 1, vaddr: 0x1000 });
    let frame = |mapping| Cap::Frame {
        base: PhysAddr(0x3000),
        size: FrameSize::Small,
        device: false,
        rights: VmRights { read: true, write: false },
        mapping,
    };
    let (base, tcb) = (world.allocate(12), world.passive_thread(1, Cap::Null));
    let same = |cap| (cap, Ok(cap));
    for (cap, copy) in [
        same(Cap::Endpoint { ep: world.endpoint(), badge: Badge(0), rights: CapRights(5) }),
        same(Cap::Reply { reply: world.reply(), can_grant: false }),
        same(Cap::Tcb { tcb }),
        same(Cap::IrqHandler { irq: 3 }),
        same(Cap::Domain),
        same(Cap::AsidPool { base, first_asid: 0 }),
        same(Cap::PageTable { base, mapping, kind: TableKind::LAST }),
        same(Cap::VSpace { base, asid: Some(1) }),
        (frame(mapping), Ok(frame(None))),
        (frame(None), Ok(frame(None))),
        (Cap::IrqControl, Ok(Cap::Null)),
        (Cap::Zombie(Zombie::of_tcb(tcb)), Ok(Cap::Null)),
        (Cap::PageTable { base, mapping: None, kind: TableKind::LAST }, Err(Error::IllegalOperation)),
        (Cap::VSpace { base, asid: None }, Err(Error::IllegalOperation)),
    ] {
        assert_eq!(derive(world.slot(space, 1), cap), copy, "{cap:?}");
    }
    // An untyped is copied as long as it has no children.
    let untyped = world.untyped(12);
    let from = world.put(space, 2, untyped);
    assert_eq!(derive(from, untyped), Ok(untyped));
    let Cap::Untyped { base, .. } = untyped else { panic!("{untyped:?}") };
    slot::insert_new(
        Cap::PageTable { base, mapping: None, kind: TableKind::LAST },
        from,
        world.slot(space, 3),
    );
    assert_eq!(derive(from, untyped), Err(Error::RevokeFirst));
}

#[test]
fn a_badge_is_given_once_and_a_guard_where_there_is_room() {
    let world = FakeWorld::with_memory(17);
    let (ep, ntfn, rights) = (world.endpoint(), world.notification(), CapRights(7));
    for (giving, old) in [(Giving::Mint, 0), (Giving::Mint, 4), (Giving::Mutate, 0), (Giving::Mutate, 4)] {
        let may = giving == Giving::Mint && old == 0;
        let of_endpoint = |badge| Cap::Endpoint { ep, badge: Badge(badge), rights };
        let of_notification = |badge| Cap::Notification { ntfn, badge: Badge(badge), rights };
        for badge in [0, 1, u64::MAX] {
            let endpoint = if may { of_endpoint(badge) } else { Cap::Null };
            assert_eq!(with_data(of_endpoint(old), badge, giving), endpoint);
            let notification = if may { of_notification(badge) } else { Cap::Null };
            assert_eq!(with_data(of_notification(old), badge, giving), notification);
        }
    }
    // The guard's size is in the low six bits, the guard above.
    let base = world.allocate(12);
    for radix in [1, 7, 30] {
        for size in 0..64u32 {
            let guard = 0x3ff_ffff_ffff_ff5au64;
            let cnode = |guard, guard_size| Cap::CNode { base, radix, guard, guard_size };
            let data = (guard & (u64::MAX >> 6)) << 6 | u64::from(size);
            let kept =
                (0..size.min(58)).filter(|bit| guard >> bit & 1 != 0).fold(0, |all, bit| all | 1u64 << bit);
            let expected = if radix + size <= 64 { cnode(kept, size) } else { Cap::Null };
            for giving in [Giving::Mutate, Giving::Mint] {
                assert_eq!(with_data(cnode(9, 5), data, giving), expected, "{radix} and {size}");
            }
        }
    }
    let frame = world.frame();
    assert_eq!(with_data(frame, 99, Giving::Mint), frame, "others have no data");
}
