//! Capabilities: what is packed comes out again, every field apart from the others; the short cuts see what unpacking sees; which
//! memory an object takes, and what belongs to what.
use axiom_objects::arch::tables::TableKind;
use axiom_objects::cap::{CNodePlace, FrameSize, Mapping, VmRights};
use axiom_objects::fake::FakeWorld;
use axiom_objects::zombie::Zombie;
use axiom_objects::{Cap, PhysAddr};
use sel4_sys::{Badge, CapRights};

/// Numbers of so many bits, each bit alone, none and all.
fn numbers(bits: u32) -> impl Iterator<Item = u64> + Clone {
    let all = u64::MAX >> (64 - bits);
    (0..bits).map(|bit| 1 << bit).chain([0, all])
}

fn all_mappings() -> impl Iterator<Item = Option<Mapping>> {
    let apart = numbers(16).skip(1).zip(numbers(48)).chain(numbers(16).map(|asid| (asid, 0)));
    let mappings =
        apart.filter(|(asid, _)| *asid != 0).map(|(asid, vaddr)| Mapping { asid: asid as u16, vaddr });
    mappings.map(Some).chain([None])
}

/// Capabilities of every kind, with every bit of every field on its own. Objects are of this world.
fn all(world: &FakeWorld) -> Vec<Cap> {
    let (ep, ntfn, reply) = (world.endpoint(), world.notification(), world.reply());
    let tcb = world.passive_thread(1, Cap::Null);
    let mut caps = vec![Cap::Null, Cap::IrqControl, Cap::Domain, Cap::AsidControl, Cap::Trace, Cap::Debug];
    for rights in (0..16).map(CapRights) {
        for badge in numbers(64).map(Badge) {
            caps.push(Cap::Endpoint { ep, badge, rights });
            caps.push(Cap::Notification { ntfn, badge, rights });
        }
    }
    caps.extend([true, false].map(|can_grant| Cap::Reply { reply, can_grant }));
    caps.push(Cap::Tcb { tcb });
    caps.push(Cap::Timer { timer: world.timer() });
    let sc = world.context(100, 100);
    caps.extend((7..48).map(|bits| Cap::SchedContext { sc, bits }));
    for number in numbers(32) {
        caps.push(Cap::SchedControl { core: number as u32 });
        caps.push(Cap::IrqHandler { irq: number as u32 });
    }
    for base in numbers(47).filter(|base| base % 16 == 0) {
        for device in [true, false] {
            caps.extend(numbers(6).map(|bits| Cap::Untyped {
                base: PhysAddr(base),
                bits: bits as u32,
                device,
                free: 0,
            }));
            caps.extend(numbers(48).map(|free| Cap::Untyped {
                base: PhysAddr(base),
                bits: 40,
                device,
                free,
            }));
        }
        let cnode = |radix, guard_size, guard| Cap::CNode { base: PhysAddr(base), radix, guard, guard_size };
        caps.extend(numbers(6).map(|radix| cnode(radix as u32, 0, 0)));
        caps.extend(numbers(6).map(|size| cnode(4, size as u32, 0)));
        caps.extend(numbers(64).map(|guard| cnode(4, 63, guard)));
    }
    for base in (12..48).map(|bit| PhysAddr(1 << bit)).chain([PhysAddr(0)]) {
        for mapping in all_mappings() {
            caps.push(Cap::PageTable { base, mapping, kind: TableKind::LAST });
            caps.push(Cap::VSpace { base, asid: mapping.map(|m| m.asid) });
            for size in [FrameSize::Small, FrameSize::Large, FrameSize::Huge] {
                caps.extend((0..8).map(|bits| {
                    let rights = VmRights { read: bits & 1 != 0, write: bits & 2 != 0 };
                    Cap::Frame { base, size, device: bits & 4 != 0, rights, mapping }
                }));
            }
        }
        caps.extend(numbers(16).map(|asid| Cap::AsidPool { base, first_asid: asid as u16 }));
    }
    caps
}

#[test]
fn every_field_of_every_kind_survives_packing() {
    let world = FakeWorld::with_memory(17);
    for cap in all(&world) {
        let packed = cap.pack();
        assert_eq!(packed.unpack(), cap);
        assert_eq!(packed.is_null(), cap == Cap::Null, "{cap:?}");
    }
}

#[test]
fn the_short_cuts_see_what_unpacking_sees() {
    let world = FakeWorld::with_memory(17);
    for cap in all(&world) {
        let packed = cap.pack();
        let endpoint =
            if let Cap::Endpoint { ep, badge, rights } = cap { Some((ep, badge.0, rights)) } else { None };
        assert_eq!(packed.as_endpoint(), endpoint, "{cap:?}");
        let notification = if let Cap::Notification { ntfn, badge, rights } = cap {
            Some((ntfn, badge.0, rights))
        } else {
            None
        };
        assert_eq!(packed.as_notification(), notification, "{cap:?}");
        let reply = if let Cap::Reply { reply, can_grant } = cap { Some((reply, can_grant)) } else { None };
        assert_eq!(packed.as_reply(), reply, "{cap:?}");
        let cnode = match cap {
            Cap::CNode { base, radix, guard, guard_size } => {
                Some(CNodePlace { base, radix, guard_size, guard })
            }
            _ => None,
        };
        assert_eq!(packed.as_cnode(), cnode, "{cap:?}");
        let space = if let Cap::VSpace { base, asid: Some(asid) } = cap { Some((base, asid)) } else { None };
        assert_eq!(packed.as_mapped_vspace(), space, "{cap:?}");
        let buffer = match cap {
            Cap::Frame { base, size, device: false, rights: VmRights { read: true, write }, .. } => {
                Some((base, size.bits(), write))
            }
            _ => None,
        };
        assert_eq!(packed.as_buffer_frame(), buffer, "{cap:?}");
    }
}

/// One of each kind, and a second object of the kind; in memory of their own, or of none.
fn pairs(world: &FakeWorld) -> Vec<[Cap; 2]> {
    let two = |make: &dyn Fn() -> Cap| [make(), make()];
    let full = CapRights::ALL;
    let page = || world.allocate(12);
    vec![
        two(&|| Cap::Endpoint { ep: world.endpoint(), badge: Badge(0), rights: full }),
        two(&|| Cap::Notification { ntfn: world.notification(), badge: Badge(0), rights: full }),
        two(&|| Cap::Reply { reply: world.reply(), can_grant: true }),
        two(&|| world.cnode(3)),
        two(&|| Cap::Tcb { tcb: world.passive_thread(1, Cap::Null) }),
        two(&|| Cap::SchedContext { sc: world.context(100, 100), bits: 8 }),
        two(&|| world.frame()),
        two(&|| Cap::PageTable { base: page(), mapping: None, kind: TableKind::LAST }),
        two(&|| Cap::VSpace { base: page(), asid: None }),
        two(&|| Cap::AsidPool { base: page(), first_asid: 512 }),
        two(&|| Cap::Timer { timer: world.timer() }),
        two(&|| Cap::Zombie(Zombie::of_cnode(page(), 7))),
        [Cap::IrqHandler { irq: 40 }, Cap::IrqHandler { irq: 41 }],
    ]
}

#[test]
fn only_capabilities_of_one_object_designate_the_same() {
    let world = FakeWorld::with_memory(18);
    let single = [
        Cap::IrqControl,
        Cap::Domain,
        Cap::AsidControl,
        Cap::Trace,
        Cap::Debug,
        Cap::SchedControl { core: 0 },
    ];
    let objects: Vec<Cap> = pairs(&world).into_iter().flatten().chain(single).collect();
    for (i, a) in objects.iter().enumerate() {
        for (j, b) in objects.iter().enumerate() {
            assert_eq!(a.same_object(b), i == j, "{a:?} and {b:?}");
            let derived = i == j || matches!((a, b), (Cap::IrqControl, Cap::IrqHandler { .. }));
            assert_eq!(a.same_region(b), derived, "{a:?} and {b:?}");
        }
        assert!(!a.same_object(&Cap::Null) && !Cap::Null.same_object(a));
    }
    assert!(!Cap::Null.same_object(&Cap::Null), "nothing designates nothing");
    assert!(Cap::SchedControl { core: 0 }.same_object(&Cap::SchedControl { core: 1 }));
    // The same memory as another kind is another object.
    let base = world.allocate(12);
    let table = Cap::PageTable { base, mapping: None, kind: TableKind::LAST };
    assert!(!table.same_object(&Cap::VSpace { base, asid: None }));
    assert!(table.same_object(&Cap::PageTable {
        base,
        mapping: Some(Mapping { asid: 1, vaddr: 4096 }),
        kind: TableKind::LAST
    }));
    let untyped = Cap::Untyped { base, bits: 12, device: false, free: 0 };
    assert!(!untyped.same_object(&untyped) && !untyped.same_object(&table) && !table.same_object(&untyped));
}

#[test]
fn every_object_takes_its_memory() {
    let world = FakeWorld::with_memory(18);
    let bits = [4, 6, 5, 8, 11, 8, 12, 12, 12, 12, 7, 12];
    let objects = pairs(&world);
    for (pair, bits) in objects.iter().zip(bits) {
        for cap in pair {
            let (start, size) = cap.region().expect("an object has memory");
            assert_eq!(size, bits, "{cap:?}");
            let (first, memory) = world.extent();
            assert!(start >= first && start + (1 << size) <= first + memory && start % (1 << size) == 0);
            assert_eq!(cap.slots_inside().is_some(), matches!(cap, Cap::CNode { .. } | Cap::Tcb { .. }));
        }
        assert_ne!(pair[0].region(), pair[1].region());
    }
    for (size, bits) in [(FrameSize::Small, 12), (FrameSize::Large, 21), (FrameSize::Huge, 30)] {
        let (base, rights) = (PhysAddr(1 << 30), VmRights::READ_WRITE);
        let frame = Cap::Frame { base, size, device: true, rights, mapping: None };
        assert_eq!(frame.region(), Some((1 << 30, bits)));
    }
    let untyped = Cap::Untyped { base: PhysAddr(0x8000), bits: 15, device: true, free: 16 };
    assert_eq!(untyped.region(), Some((0x8000, 15)));
    for none in
        [Cap::Null, Cap::IrqControl, Cap::IrqHandler { irq: 3 }, Cap::Domain, Cap::AsidControl, Cap::Trace]
    {
        assert_eq!((none.region(), none.slots_inside()), (None, None), "{none:?}");
    }
    let tcb = world.passive_thread(1, Cap::Null);
    let cnode = world.cnode(5);
    assert_eq!(Cap::Tcb { tcb }.slots_inside(), Some((tcb.slot(0), 5)));
    assert_eq!(cnode.slots_inside(), Some((world.slot(cnode, 0), 32)));
}

#[test]
fn an_untyped_covers_what_lies_in_it_to_the_last_byte() {
    let (start, bits) = (0x4000_0000u64, 14);
    let untyped = |base, bits| Cap::Untyped { base: PhysAddr(base), bits, device: false, free: 0 };
    let outer = untyped(start, bits);
    for (base, size, inside) in [
        (start, 14, true),
        (start, 4, true),
        (start + (1 << 14) - 16, 4, true),
        (start - 16, 4, false),
        (start + (1 << 14), 4, false),
        (start, 15, false),
        (start - (1 << 14), 15, false),
        (start - (1 << 14), 14, false),
    ] {
        assert_eq!(outer.same_region(&untyped(base, size)), inside, "{base:#x}, 2^{size}");
    }
    assert!(!outer.same_region(&Cap::Null) && !outer.same_region(&Cap::IrqHandler { irq: 1 }));
    let page = Cap::PageTable { base: PhysAddr(start), mapping: None, kind: TableKind::LAST };
    assert!(!page.same_region(&outer));
}
