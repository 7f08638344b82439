//! Address spaces: who maps what where, with which rights; identifiers; and that what is gone is found to be gone.
use axiom_objects::arch::paging::{self, UserAttributes};
use axiom_objects::arch::registers::MR0;
use axiom_objects::arch::tables::TableKind;
use axiom_objects::cap::{FrameSize, Mapping, VmRights};
use axiom_objects::fake::{FakeWorld, Hardware, Message};
use axiom_objects::machine::Machine;
use axiom_objects::object::TCB_VSPACE;
use axiom_objects::{Cap, PhysAddr, Ptr, Tcb, space};
use sel4_sys::{Error, label};

const SPACE: u64 = 1;
const FRAME: u64 = 2;
const TABLE: u64 = 3;
const ROOT: u64 = 4;
const OTHER_ROOT: u64 = 5;
const POOL: u64 = 6;
const BARE_ROOT: u64 = 7;
const CONTROL: u64 = 8;
const PAGE: u64 = 9;
const FREE: u64 = 10;

const VADDR: u64 = 0x2a_5555_4000;
const ASID: u16 = 3;

struct Scene {
    world: FakeWorld,
    space: Cap,
    caller: Ptr<Tcb>,
    root: PhysAddr,
    pool: PhysAddr,
}

/// Two address spaces of pool 0 with identifiers 3 and 4; in the first, tables down to `depth` for `VADDR`.
fn scene(depth: u32) -> Scene {
    let world = FakeWorld::with_memory(19);
    let space = world.cnode(5);
    let caller = world.thread(10, space);
    let [root, other, bare, pool, page] = core::array::from_fn(|_| world.allocate(12));
    let machine = &world;
    let shared = machine.shared();
    shared.asid_pools[0].set(pool.0);
    space::assign(shared, ASID, root);
    space::assign(shared, ASID + 1, other);
    for _ in 0..depth {
        let (entry, _) = space::walk(root, VADDR, 3);
        entry.set(paging::table_entry(world.allocate(12)));
    }
    let frame = world.frame();
    for (slot, cap) in [
        (SPACE, space),
        (FRAME, frame),
        (TABLE, Cap::PageTable { base: world.allocate(12), mapping: None, kind: TableKind::LAST }),
        (ROOT, Cap::VSpace { base: root, asid: Some(ASID) }),
        (OTHER_ROOT, Cap::VSpace { base: other, asid: Some(ASID + 1) }),
        (BARE_ROOT, Cap::VSpace { base: bare, asid: None }),
        (POOL, Cap::AsidPool { base: pool, first_asid: 0 }),
        (CONTROL, Cap::AsidControl),
        (PAGE, Cap::Untyped { base: page, bits: 12, device: false, free: 0 }),
    ] {
        world.put(space, slot, cap);
    }
    world.run(caller);
    world.take_log();
    Scene { world, space, caller, root, pool }
}

type Answer = Result<(), (u64, [u64; 3])>;

impl Scene {
    fn call(&self, cptr: u64, label: u64, words: &[u64], caps: &[u64]) -> Answer {
        self.world.run(self.caller);
        self.world.take_log();
        (0..4).for_each(|i| self.caller.regs.set(MR0 + i, 0));
        let answer =
            self.world.invoke(self.caller, cptr, Message { label, words, caps }).expect("it goes on");
        let told = sel4_sys::MessageInfo(self.caller.regs.get(axiom_objects::arch::registers::INFO)).length();
        let word = |i: usize| if i < told { answer.words[i] } else { 0 };
        if answer.label == 0 { Ok(()) } else { Err((answer.label, [0, 1, 2].map(word))) }
    }

    fn cap(&self, slot: u64) -> Cap {
        self.world.slot(self.space, slot).cap()
    }

    fn set(&self, slot: u64, cap: Cap) {
        self.world.slot(self.space, slot).update(cap);
    }

    fn entry(&self, vaddr: u64) -> (u64, u32) {
        let (entry, level) = space::walk(self.root, vaddr, 3);
        (entry.get(), level)
    }
}

fn invalid(argument: u64) -> Answer {
    Err((Error::InvalidCapability as u64, [argument, 0, 0]))
}

fn argument(number: u64) -> Answer {
    Err((Error::InvalidArgument as u64, [number, 0, 0]))
}

/// A lookup failure: not of a source, its number, bits left.
fn lookup(failure: u64, bits_left: u64) -> Answer {
    Err((Error::FailedLookup as u64, [0, failure, bits_left]))
}

const ALIGNMENT: Answer = Err((Error::AlignmentError as u64, [0; 3]));
const ILLEGAL: Answer = Err((Error::IllegalOperation as u64, [0; 3]));
const REVOKE: Answer = Err((Error::RevokeFirst as u64, [0; 3]));
const DELETE: Answer = Err((Error::DeleteFirst as u64, [0; 3]));

fn frame_of(cap: Cap) -> (PhysAddr, Option<Mapping>) {
    let Cap::Frame { base, mapping, .. } = cap else { panic!("{cap:?} is no frame") };
    (base, mapping)
}

#[test]
fn a_mapping_has_at_most_the_rights_of_capability_and_mask() {
    for own in 0..4u64 {
        for mask in 0..4u64 {
            for attributes in 0..8u64 {
                for device in [false, true] {
                    let s = scene(3);
                    let (base, _) = frame_of(s.cap(FRAME));
                    let rights = VmRights { read: own & 2 != 0, write: own & 1 != 0 };
                    s.set(FRAME, Cap::Frame { base, size: FrameSize::Small, device, rights, mapping: None });
                    assert_eq!(s.call(FRAME, label::PAGE_MAP, &[VADDR, mask, attributes], &[ROOT]), Ok(()));
                    // What cannot be read cannot be written either.
                    let read = own & mask & 2 != 0;
                    let expected = UserAttributes {
                        read,
                        write: read && own & mask & 1 != 0,
                        // Cacheable is bit 0, never executable bit 2; nothing is executed or cached of a device.
                        execute: attributes & 4 == 0 && !device,
                        cacheable: attributes & 1 != 0 && !device,
                        device,
                    };
                    let what = format!("rights {own} and {mask}, attributes {attributes}, device {device}");
                    assert_eq!(s.entry(VADDR), (paging::user_entry(base, 3, expected), 3), "{what}");
                    let mapping = Some(Mapping { asid: ASID, vaddr: VADDR });
                    assert_eq!(
                        s.cap(FRAME),
                        Cap::Frame { base, size: FrameSize::Small, device, rights, mapping }
                    );
                    assert_eq!(s.world.take_log(), [Hardware::Publish], "nothing was there before");
                }
            }
        }
    }
}

#[test]
fn a_frame_is_mapped_where_there_is_a_table_and_in_one_place() {
    // The highest level that lacks its table is told, by the bits below it.
    for (depth, bits) in [(0, 39), (1, 30), (2, 21)] {
        let s = scene(depth);
        assert_eq!(s.call(FRAME, label::PAGE_MAP, &[VADDR, 3, 1], &[ROOT]), lookup(2, bits));
        assert_eq!(frame_of(s.cap(FRAME)).1, None);
    }
    // Larger frames end at higher levels, where no table may be.
    for (size, level) in [(FrameSize::Huge, 1), (FrameSize::Large, 2)] {
        for depth in 0..=3 {
            let s = scene(depth);
            let bytes = 1u64 << size.bits();
            let (base, rights) = (PhysAddr(1 << 40), VmRights::READ_WRITE);
            s.set(FRAME, Cap::Frame { base, size, device: true, rights, mapping: None });
            let vaddr = VADDR / bytes * bytes;
            assert_eq!(s.call(FRAME, label::PAGE_MAP, &[vaddr + 4096, 3, 0], &[ROOT]), ALIGNMENT);
            let answer = s.call(FRAME, label::PAGE_MAP, &[vaddr, 3, 0], &[ROOT]);
            let reaches = space::walk(s.root, vaddr, 3).1;
            if depth == level {
                assert_eq!((answer, reaches), (Ok(()), level));
                let mapping = Mapping { asid: ASID, vaddr };
                assert_eq!(frame_of(s.cap(FRAME)).1, Some(mapping));
                assert_eq!(s.call(FRAME, label::PAGE_UNMAP, &[], &[]), Ok(()));
                assert_eq!((s.entry(vaddr).0, frame_of(s.cap(FRAME)).1), (0, None));
                assert_eq!(s.world.take_log(), [Hardware::FlushPage(mapping)]);
            } else {
                assert_eq!(
                    answer,
                    lookup(2, u64::from(paging::shift(reaches))),
                    "{size:?} with {depth} tables"
                );
            }
        }
    }
    let s = scene(3);
    for (vaddr, expected) in [
        (VADDR + 1, ALIGNMENT),
        (VADDR + 2048, ALIGNMENT),
        (1 << 47, argument(0)),
        (u64::MAX - 4095, argument(0)),
        ((1 << 47) - 4096, lookup(2, 39)),
    ] {
        assert_eq!(s.call(FRAME, label::PAGE_MAP, &[vaddr, 3, 1], &[ROOT]), expected, "{vaddr:#x}");
    }
    for cptr in [BARE_ROOT, SPACE, FREE] {
        assert_eq!(s.call(FRAME, label::PAGE_MAP, &[VADDR, 3, 1], &[cptr]), invalid(1));
    }
    // Mapped: again in the same place with other rights, elsewhere not.
    assert_eq!(s.call(FRAME, label::PAGE_MAP, &[VADDR, 3, 1], &[ROOT]), Ok(()));
    let mapping = Mapping { asid: ASID, vaddr: VADDR };
    assert_eq!(s.call(FRAME, label::PAGE_MAP, &[VADDR, 2, 1], &[ROOT]), Ok(()));
    assert_eq!(s.world.take_log(), [Hardware::FlushPage(mapping)], "an old translation goes");
    assert!(!paging::user_writes(s.entry(VADDR).0));
    assert_eq!(s.call(FRAME, label::PAGE_MAP, &[VADDR + 4096, 3, 1], &[ROOT]), argument(0));
    assert_eq!(s.call(FRAME, label::PAGE_MAP, &[VADDR, 3, 1], &[OTHER_ROOT]), invalid(1));
    assert_eq!(frame_of(s.cap(FRAME)).1, Some(mapping));
    assert_eq!(s.call(FRAME, label::PAGE_GET_ADDRESS, &[], &[]), Ok(()));
    assert_eq!(s.caller.regs.get(MR0), frame_of(s.cap(FRAME)).0.0);
    // What stands there now is another's: unmapping leaves it.
    let (entry, _) = space::walk(s.root, VADDR, 3);
    entry.set(0x7000 | 3);
    assert_eq!(s.call(FRAME, label::PAGE_UNMAP, &[], &[]), Ok(()));
    assert_eq!((s.entry(VADDR).0, frame_of(s.cap(FRAME)).1), (0x7003, None));
    assert_eq!(s.world.take_log(), []);
}

#[test]
fn a_table_is_mapped_where_one_is_missing_and_taken_out_by_its_last_capability() {
    for depth in 0..=3 {
        let s = scene(depth);
        let answer = s.call(TABLE, label::PAGE_TABLE_MAP, &[VADDR, 0], &[ROOT]);
        let Cap::PageTable { base, mapping, .. } = s.cap(TABLE) else { panic!("a table is there") };
        if depth == 3 {
            assert_eq!((answer, mapping), (DELETE, None));
            continue;
        }
        let covers = [39, 30, 21][depth as usize];
        assert_eq!(answer, Ok(()));
        assert_eq!(s.world.take_log(), [Hardware::Publish]);
        assert_eq!(mapping, Some(Mapping { asid: ASID, vaddr: VADDR >> covers << covers }));
        let (entry, level) = space::walk(s.root, VADDR, depth);
        assert_eq!((entry.get(), level), (paging::table_entry(base), depth));
        assert_eq!(s.call(TABLE, label::PAGE_TABLE_MAP, &[VADDR, 0], &[ROOT]), invalid(0));
        // A copy keeps it there.
        let copy = Message { label: label::CNODE_COPY, words: &[FREE, 64, TABLE, 64, 15], caps: &[SPACE] };
        assert_eq!(s.world.invoke(s.caller, SPACE, copy).map(|a| a.label), Some(0));
        assert_eq!(s.call(TABLE, label::PAGE_TABLE_UNMAP, &[], &[]), REVOKE);
        let gone = Message { label: label::CNODE_DELETE, words: &[FREE, 64], caps: &[] };
        assert_eq!(s.world.invoke(s.caller, SPACE, gone).map(|a| a.label), Some(0));
        assert_eq!(s.call(TABLE, label::PAGE_TABLE_UNMAP, &[], &[]), Ok(()));
        let zero = Hardware::Zero { start: base, bytes: 4096 };
        assert_eq!(s.world.take_log(), [Hardware::FlushSpace(ASID), zero]);
        assert_eq!(
            (entry.get(), s.cap(TABLE)),
            (0, Cap::PageTable { base, mapping: None, kind: TableKind::LAST })
        );
        assert_eq!(s.call(TABLE, label::PAGE_TABLE_UNMAP, &[], &[]), Ok(()));
        assert_eq!(s.world.take_log(), [], "nothing is mapped any more");
    }
    let s = scene(1);
    for (vaddr, expected) in [(1 << 47, argument(0)), (u64::MAX, argument(0)), ((1 << 47) - 1, Ok(()))] {
        assert_eq!(s.call(TABLE, label::PAGE_TABLE_MAP, &[vaddr, 0], &[ROOT]), expected);
    }
    assert_eq!(s.call(TABLE, label::PAGE_TABLE_MAP + 3, &[], &[]), ILLEGAL);
    // Another table stands there now: it stays.
    let (entry, _) = space::walk(s.root, (1 << 47) - 1, 0);
    let other = paging::table_entry(s.world.allocate(12));
    entry.set(other);
    assert_eq!(s.call(TABLE, label::PAGE_TABLE_UNMAP, &[], &[]), Ok(()));
    assert_eq!(entry.get(), other);
}

#[test]
fn an_identifier_names_one_root_as_long_as_its_pool_has_it() {
    let s = scene(3);
    let machine = &s.world;
    let shared = machine.shared();
    assert_eq!(
        [ASID, ASID + 1, ASID + 2, 600].map(|asid| space::root_of(shared, asid).is_some()),
        [true, true, false, false]
    );
    // The first that is free is given, never 0; only of a pool that is one.
    assert_eq!(s.call(POOL, label::ASID_POOL_ASSIGN, &[], &[FRAME]), invalid(1));
    assert_eq!(s.call(POOL, label::ASID_POOL_ASSIGN, &[], &[ROOT]), invalid(1), "it has one");
    assert_eq!(s.call(POOL, label::ASID_POOL_ASSIGN + 1, &[], &[BARE_ROOT]), ILLEGAL);
    assert_eq!(s.call(POOL, label::ASID_POOL_ASSIGN, &[], &[BARE_ROOT]), Ok(()));
    let Cap::VSpace { base, asid: Some(1) } = s.cap(BARE_ROOT) else { panic!("{:?}", s.cap(BARE_ROOT)) };
    assert_eq!(space::root_of(shared, 1), Some(base));
    s.set(BARE_ROOT, Cap::VSpace { base, asid: None });
    s.set(POOL, Cap::AsidPool { base: PhysAddr(s.pool.0 + 4096), first_asid: 0 });
    assert_eq!(s.call(POOL, label::ASID_POOL_ASSIGN, &[], &[BARE_ROOT]), invalid(0));
    s.set(POOL, Cap::AsidPool { base: s.pool, first_asid: 512 });
    assert_eq!(s.call(POOL, label::ASID_POOL_ASSIGN, &[], &[BARE_ROOT]), lookup(1, 0));
    // In another pool its first is given.
    let second = s.world.allocate(12);
    shared.asid_pools[1].set(second.0);
    s.set(POOL, Cap::AsidPool { base: second, first_asid: 512 });
    assert_eq!(s.call(POOL, label::ASID_POOL_ASSIGN, &[], &[BARE_ROOT]), Ok(()));
    assert_eq!(s.cap(BARE_ROOT), Cap::VSpace { base, asid: Some(512) });
    (0..512).for_each(|i| space::assign(shared, 512 + i, base));
    s.set(BARE_ROOT, Cap::VSpace { base, asid: None });
    assert_eq!(s.call(POOL, label::ASID_POOL_ASSIGN, &[], &[BARE_ROOT]), DELETE, "all are taken");
    space::assign(shared, 1023, PhysAddr(0));
    assert_eq!(s.call(POOL, label::ASID_POOL_ASSIGN, &[], &[BARE_ROOT]), Ok(()));
    assert_eq!(s.cap(BARE_ROOT), Cap::VSpace { base, asid: Some(1023) });
}

#[test]
fn a_pool_is_made_of_a_page_without_children() {
    let make = label::ASID_CONTROL_MAKE_POOL;
    let s = scene(0);
    let Cap::Untyped { base, .. } = s.cap(PAGE) else { panic!("a page is there") };
    let untyped = |bits, device| Cap::Untyped { base, bits, device, free: 0 };
    for (bits, device, expected) in [(11, false, invalid(1)), (13, false, invalid(1)), (12, true, invalid(1))]
    {
        s.set(PAGE, untyped(bits, device));
        assert_eq!(s.call(CONTROL, make, &[FREE, 64], &[PAGE, SPACE]), expected);
    }
    s.set(PAGE, untyped(12, false));
    assert_eq!(s.call(CONTROL, make, &[FRAME, 64], &[PAGE, SPACE]), DELETE);
    assert_eq!(s.call(CONTROL, make + 1, &[FREE, 64], &[PAGE, SPACE]), ILLEGAL);
    assert_eq!(s.call(CONTROL, make, &[FREE, 64], &[PAGE, SPACE]), Ok(()));
    assert_eq!(s.world.take_log(), [Hardware::Zero { start: base, bytes: 4096 }]);
    assert_eq!(s.cap(FREE), Cap::AsidPool { base, first_asid: 512 });
    assert_eq!((&&s.world).shared().asid_pools[1].get(), base.0);
    assert_eq!(s.cap(PAGE), Cap::Untyped { base, bits: 12, device: false, free: 4096 });
    assert_eq!(s.call(CONTROL, make, &[FREE + 1, 64], &[PAGE, SPACE]), REVOKE);
    (&&s.world).shared().asid_pools.iter().for_each(|pool| pool.set(4096));
    assert_eq!(s.call(CONTROL, make, &[FREE + 1, 64], &[PAGE, SPACE]), DELETE, "there are no more pools");
}

#[test]
fn who_runs_has_its_own_space_loaded_until_that_is_gone() {
    let s = scene(0);
    let (world, caller) = (&s.world, s.caller);
    let n = world.node();
    let other = world.thread(10, s.space);
    let own = paging::space(s.root, ASID);
    caller.slot(TCB_VSPACE).update(Cap::VSpace { base: s.root, asid: Some(ASID) });
    let loads = |tcb: Ptr<Tcb>| {
        world.take_log();
        space::switch_to(world, tcb);
        world.take_log()
    };
    assert_eq!(loads(caller), [Hardware::LoadSpace(own)]);
    assert_eq!(loads(caller), [], "it is loaded");
    assert_eq!(loads(other), [Hardware::LoadSpace(n.empty_space.get())]);
    assert_eq!(loads(caller), [Hardware::LoadSpace(own)]);
    // Another space's end does not matter; neither does one that has the identifier no more.
    world.take_log();
    space::delete_asid(world, ASID + 1, s.root);
    space::delete_pool(world, 0, PhysAddr(s.pool.0 + 4096));
    assert_eq!(world.take_log(), []);
    space::delete_asid(world, ASID, s.root);
    let empty = Hardware::LoadSpace(n.empty_space.get());
    assert_eq!(world.take_log(), [Hardware::FlushSpace(ASID), empty.clone()]);
    assert_eq!(space::root_of(world.shared(), ASID), None);
    space::assign(world.shared(), ASID, s.root);
    assert_eq!(loads(caller), [Hardware::LoadSpace(own)]);
    space::delete_pool(world, 0, s.pool);
    assert_eq!(world.take_log(), [Hardware::FlushAll, empty]);
    assert_eq!(space::root_of(world.shared(), ASID + 1), None);
    // Tables of spaces that are gone are left alone.
    let mapping = Mapping { asid: ASID, vaddr: VADDR };
    space::unmap_frame(world, PhysAddr(0x1000), FrameSize::Small, mapping);
    space::unmap_table(world, PhysAddr(0x1000), mapping);
    assert_eq!(world.take_log(), []);
}

#[test]
fn a_capability_of_a_space_that_is_gone_maps_nothing() {
    let s = scene(3);
    let machine = &s.world;
    let other = s.world.allocate(12);
    for (now, expected) in [(other, invalid(1)), (PhysAddr(0), lookup(1, 0))] {
        space::assign(machine.shared(), ASID, now);
        assert_eq!(s.call(FRAME, label::PAGE_MAP, &[VADDR, 3, 1], &[ROOT]), expected);
        assert_eq!(s.call(TABLE, label::PAGE_TABLE_MAP, &[VADDR, 0], &[ROOT]), expected);
        let expected = if now == other { invalid(0) } else { expected };
        assert_eq!(s.call(ROOT, label::VSPACE_CLEAN, &[VADDR, VADDR + 64], &[]), expected);
    }
    machine.shared().asid_pools[0].set(0);
    assert_eq!(s.call(FRAME, label::PAGE_MAP, &[VADDR, 3, 1], &[ROOT]), lookup(1, 0));
    assert_eq!((s.entry(VADDR).0, frame_of(s.cap(FRAME)).1), (0, None));
}

#[test]
fn cache_maintenance_ends_with_the_page() {
    let range = |min, max| Err((Error::RangeError as u64, [min, max, 0]));
    for label in label::VSPACE_CLEAN..=label::VSPACE_UNIFY {
        for (from, to, allowed) in [
            (0, 1, true),
            (0, 4096, true),
            (64, 4096, true),
            (4095, 4096, true),
            (0, 4097, false),
            (4095, 4097, false),
            (64, 8192, false),
            (4000, 1 << 20, false),
        ] {
            let s = scene(3);
            assert_eq!(s.call(FRAME, label::PAGE_MAP, &[VADDR, 3, 1], &[ROOT]), Ok(()));
            let (base, _) = frame_of(s.cap(FRAME));
            let (start, end) = (VADDR + from, VADDR + to);
            let expected = if allowed { Ok(()) } else { range(start, VADDR + 4095) };
            assert_eq!(s.call(ROOT, label, &[start, end], &[]), expected, "{from} to {to}");
            let asked = s.world.take_log();
            let maintained = matches!(asked[..], [Hardware::Cache { start, bytes, .. }] if start.0 == base.0 + from && bytes == to - from);
            assert_eq!((maintained, asked.is_empty()), (allowed, !allowed), "{asked:?}");
        }
    }
    // What is not mapped needs nothing.
    let s = scene(3);
    assert_eq!(s.call(ROOT, label::VSPACE_CLEAN, &[VADDR, VADDR + 9000], &[]), Ok(()));
    for label in [label::VSPACE_CLEAN - 1, label::VSPACE_UNIFY + 1] {
        assert_eq!(s.call(ROOT, label, &[VADDR, VADDR + 64], &[]), ILLEGAL);
    }
    assert_eq!(s.world.take_log(), []);
}
