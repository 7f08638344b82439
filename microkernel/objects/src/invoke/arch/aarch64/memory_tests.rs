//! What memory shows to its new owner, and cache maintenance: in which pieces, of what, and across preemptions.
extern crate std;
use crate::arch::registers::{FAULT_PC, PC};
use crate::cap::{Cap, FrameSize, VmRights};
use crate::fake::{FakeWorld, Hardware, Message};
use crate::machine::{CacheOp, Machine};
use crate::object::{Tcb, ThreadState};
use crate::ptr::{PhysAddr, Ptr};
use sel4_sys::label;
use sel4_sys::object::{kind, vm_attributes};
use sel4_sys::syscall::CALL;
use std::vec::Vec;

const CNODE: u64 = 1;
const UNTYPED: u64 = 2;
const VSPACE: u64 = 3;
const POOL: u64 = 4;
const TABLES: u64 = 5;
const FRAME: u64 = 8;
const DEVICE: u64 = 9;
const DEBUG: u64 = 10;
const AT: u64 = 0x4000_0000;
const DEVICE_AT: u64 = AT + (2 << 20);
const LARGE: u64 = 2 << 20;

/// A thread with 8 MiB of untyped memory and what it takes to map.
fn world() -> (FakeWorld, Ptr<Tcb>) {
    let world = FakeWorld::with_memory(25);
    let cnode = world.cnode(6);
    let tcb = world.thread(100, cnode);
    world.put(cnode, CNODE, cnode);
    world.put(cnode, UNTYPED, world.untyped(23));
    let pool = world.allocate(12);
    (&world).shared().asid_pools[0].set(pool.0);
    world.put(cnode, POOL, Cap::AsidPool { base: pool, first_asid: 0 });
    let frame =
        |base, size| Cap::Frame { base, size, device: true, rights: VmRights::READ_WRITE, mapping: None };
    world.put(cnode, DEVICE, frame(PhysAddr(0x900_0000), FrameSize::Small));
    world.put(cnode, DEBUG, Cap::Debug);
    assert!(world.run(tcb));
    (world, tcb)
}

fn invoke(world: &FakeWorld, tcb: Ptr<Tcb>, cptr: u64, label: u64, words: &[u64], caps: &[u64]) -> u64 {
    world.invoke(tcb, cptr, Message { label, words, caps }).expect("it answers at once").label
}

fn retype(world: &FakeWorld, tcb: Ptr<Tcb>, kind: u64, bits: u64, slot: u64, count: u64) {
    let words = [kind, bits, 0, 0, slot, count];
    assert_eq!(invoke(world, tcb, UNTYPED, label::UNTYPED_RETYPE, &words, &[CNODE]), 0);
}

/// A large frame mapped at [`AT`] without CACHEABLE, and a device's page behind it.
fn mapped(world: &FakeWorld, tcb: Ptr<Tcb>) -> PhysAddr {
    retype(world, tcb, kind::VSPACE, 0, VSPACE, 1);
    retype(world, tcb, kind::PAGE_TABLE, 0, TABLES, 3);
    retype(world, tcb, kind::LARGE_PAGE, 0, FRAME, 1);
    assert_eq!(invoke(world, tcb, POOL, label::ASID_POOL_ASSIGN, &[], &[VSPACE]), 0);
    for (i, at) in [AT, AT, DEVICE_AT].into_iter().enumerate() {
        let words = [at, vm_attributes::DEFAULT];
        assert_eq!(invoke(world, tcb, TABLES + i as u64, label::PAGE_TABLE_MAP, &words, &[VSPACE]), 0);
    }
    for (frame, at) in [(FRAME, AT), (DEVICE, DEVICE_AT)] {
        assert_eq!(invoke(world, tcb, frame, label::PAGE_MAP, &[at, 3, 0], &[VSPACE]), 0);
    }
    let address = world.invoke(tcb, FRAME, Message { label: label::PAGE_GET_ADDRESS, ..Message::default() });
    world.take_log();
    PhysAddr(address.unwrap().words[0])
}

/// The ranges that caches were maintained for, all by this operation.
fn maintained(world: &FakeWorld, op: CacheOp) -> Vec<(u64, u64)> {
    let ranges = world.take_log().into_iter().filter_map(|what| match what {
        Hardware::Cache { op: done, start, bytes } => {
            assert_eq!(done, op);
            Some((start.0, start.0 + bytes))
        }
        _ => None,
    });
    ranges.collect()
}

#[test]
fn frames_are_zeroed_past_the_caches_and_kernel_objects_need_not_be() {
    let (world, tcb) = world();
    let zeroed = |kind, bits, slot, count| {
        retype(&world, tcb, kind, bits, slot, count);
        let log = world.take_log();
        let sum = |user| {
            log.iter()
                .map(|what| match what {
                    Hardware::ZeroForUser { bytes, .. } if user => *bytes,
                    Hardware::Zero { bytes, .. } if !user => *bytes,
                    _ => 0,
                })
                .sum::<u64>()
        };
        (sum(true), sum(false))
    };
    assert_eq!(zeroed(kind::SMALL_PAGE, 0, 20, 1), (4096, 0));
    assert_eq!(zeroed(kind::SMALL_PAGE, 0, 21, 5), (5 * 4096, 0));
    assert_eq!(zeroed(kind::LARGE_PAGE, 0, 26, 1), (LARGE, 0));
    assert_eq!(zeroed(kind::PAGE_TABLE, 0, 27, 1), (0, 4096));
    assert_eq!(zeroed(kind::CNODE, 4, 28, 1), (0, 512));
    assert_eq!(zeroed(kind::UNTYPED, 12, 29, 1), (0, 0));
}

/// However often it is preempted: the objects are made once each, in their slots and next to each other.
#[test]
fn a_preempted_retype_goes_on_behind_what_it_made() {
    for (kind, bits, size, every) in [
        (kind::SMALL_PAGE, 0, 4096, 1),
        (kind::SMALL_PAGE, 0, 4096, 3),
        (kind::ENDPOINT, 0, 16, 1),
        (kind::UNTYPED, 14, 1 << 14, 2),
    ] {
        let (world, tcb) = world();
        let mut looks = 0u32;
        world.preempt_when(move || {
            looks += 1;
            looks.is_multiple_of(every)
        });
        let words = [kind, bits, 0, 0, 12, 50];
        world.set_message(
            tcb,
            UNTYPED,
            Message { label: label::UNTYPED_RETYPE, words: &words, caps: &[CNODE] },
        );
        let calls = until_done(&world, tcb);
        assert!(calls > 1, "{kind}: {calls} calls");
        let cnode = tcb.slot(crate::object::TCB_CSPACE).cap();
        let base = world.slot(cnode, UNTYPED).cap().region().unwrap().0;
        for i in 0..50 {
            let region = world.slot(cnode, 12 + i).cap().region().unwrap();
            assert_eq!((region.0, 1 << region.1), (base + i * size, size), "object {i} of kind {kind}");
        }
        assert!(world.slot(cnode, 11).is_empty() && world.slot(cnode, 62).is_empty());
        let Cap::Untyped { free, .. } = world.slot(cnode, UNTYPED).cap() else { panic!("no untyped") };
        assert_eq!(free, 50 * size);
    }
}

/// Issue 9: half a megabyte was zeroed between two looks.
#[test]
fn zeroing_looks_up_every_few_pages() {
    let (world, tcb) = world();
    world.take_log();
    // A raised interrupt is seen at the first look, counted as the machine counts.
    world.raise(40);
    let words = [kind::LARGE_PAGE, 0, 0, 0, FRAME, 1];
    world.set_message(tcb, UNTYPED, Message { label: label::UNTYPED_RETYPE, words: &words, caps: &[CNODE] });
    world.system_call(tcb, CALL);
    let zeroed: u64 = world
        .take_log()
        .iter()
        .map(|what| if let Hardware::ZeroForUser { bytes, .. } = what { *bytes } else { 0 })
        .sum();
    assert!((1..=9 * 4096).contains(&zeroed), "{zeroed} bytes were zeroed before it looked");
}

/// Found by the fuzzer: a hundred objects were taken apart between two looks.
#[test]
fn deletion_looks_up_every_few_objects() {
    for kind in [kind::ENDPOINT, kind::TCB, kind::SCHED_CONTEXT] {
        let (world, tcb) = world();
        (0..5).for_each(|i| retype(&world, tcb, kind, 8, 12 + 10 * i, 10));
        let space = tcb.slot(crate::object::TCB_CSPACE).cap();
        let left = || (12..62).filter(|i| !world.slot(space, *i).is_empty()).count();
        assert_eq!(left(), 50);
        world.raise(40);
        world.set_message(
            tcb,
            CNODE,
            Message { label: label::CNODE_REVOKE, words: &[UNTYPED, 64], caps: &[] },
        );
        world.system_call(tcb, CALL);
        assert!((46..50).contains(&left()), "{} objects were taken apart before it looked", 50 - left());
    }
}

#[test]
fn both_ways_to_maintain_a_frame_do_the_same_and_leave_devices_alone() {
    let (world, tcb) = world();
    let base = mapped(&world, tcb);
    let pairs = [
        (label::PAGE_CLEAN, label::VSPACE_CLEAN, CacheOp::Clean),
        (label::PAGE_INVALIDATE, label::VSPACE_INVALIDATE, CacheOp::Invalidate),
        (label::PAGE_CLEAN_INVALIDATE, label::VSPACE_CLEAN_INVALIDATE, CacheOp::CleanInvalidate),
        (label::PAGE_UNIFY, label::VSPACE_UNIFY, CacheOp::Unify),
    ];
    for (page, space, op) in pairs {
        assert_eq!(invoke(&world, tcb, FRAME, page, &[0x40, 0x1fff], &[]), 0);
        let by_page = maintained(&world, op);
        assert_eq!(by_page, [(base.0 + 0x40, base.0 + 0x1fff)]);
        assert_eq!(invoke(&world, tcb, VSPACE, space, &[AT + 0x40, AT + 0x1fff], &[]), 0);
        assert_eq!(maintained(&world, op), by_page);
        // Issue 9: the kernel has no mapping of a device's registers.
        assert_eq!(invoke(&world, tcb, DEVICE, page, &[0, 64], &[]), 0);
        assert_eq!(invoke(&world, tcb, VSPACE, space, &[DEVICE_AT, DEVICE_AT + 64], &[]), 0);
        assert_eq!(maintained(&world, op), []);
    }
}

/// Makes the call that is in the thread's registers until it is done; how often.
fn until_done(world: &FakeWorld, tcb: Ptr<Tcb>) -> u32 {
    for calls in 1..1000 {
        world.system_call(tcb, CALL);
        if tcb.state.get() == ThreadState::Running && tcb.regs.get(PC) != tcb.regs.get(FAULT_PC) {
            assert_eq!(world.answer(tcb).label, 0);
            return calls;
        }
        assert!(world.run(tcb));
    }
    panic!("it never ends");
}

/// Issue 9: up to 1 GiB went without a look.
#[test]
fn long_maintenance_goes_on_where_it_was_preempted() {
    for (cptr, name, start) in
        [(FRAME, label::PAGE_CLEAN_INVALIDATE, 0), (VSPACE, label::VSPACE_CLEAN_INVALIDATE, AT)]
    {
        let (world, tcb) = world();
        let base = mapped(&world, tcb);
        let mut looks = 0u32;
        world.preempt_when(move || {
            looks += 1;
            looks.is_multiple_of(3)
        });
        let words = [start + 0x123, start + LARGE - 7];
        world.set_message(tcb, cptr, Message { label: name, words: &words, caps: &[] });
        let calls = until_done(&world, tcb);
        assert!(calls > 10, "{calls} calls");
        let ranges = maintained(&world, CacheOp::CleanInvalidate);
        assert!(ranges.iter().all(|r| r.1 - r.0 <= 32 << 10));
        assert!(ranges.windows(2).all(|w| w[0].1 == w[1].0), "pieces follow each other without a gap");
        assert_eq!((ranges[0].0, ranges.last().unwrap().1), (base.0 + 0x123, base.0 + LARGE - 7));
    }
}

#[test]
fn the_debug_capability_writes_names_and_decides() {
    let (world, tcb) = world();
    let text = b"more than a register holds\n";
    let mut words = std::vec![text.len() as u64];
    words.extend(text.chunks(8).map(|c| {
        let mut word = [0; 8];
        word[..c.len()].copy_from_slice(c);
        u64::from_le_bytes(word)
    }));
    let answer =
        world.invoke(tcb, DEBUG, Message { label: sel4_sys::ext::DEBUG_WRITE, words: &words, caps: &[] });
    assert_eq!(answer.map(|a| (a.label, a.words[0])), Some((0, text.len() as u64)));
    let written: Vec<u8> = world
        .take_log()
        .iter()
        .filter_map(|w| if let Hardware::Put(b) = w { Some(*b) } else { None })
        .collect();
    assert_eq!(written, text);
    let refuse = |words: &[u64]| invoke(&world, tcb, DEBUG, sel4_sys::ext::DEBUG_WRITE, words, &[]);
    assert_eq!(refuse(&[65, 0, 0, 0, 0, 0, 0, 0, 0, 0]), sel4_sys::Error::RangeError as u64);
    assert_eq!(refuse(&[9, 0]), sel4_sys::Error::TruncatedMessage as u64);
    assert_eq!(invoke(&world, tcb, DEBUG, sel4_sys::ext::DEBUG_CALLS, &[0], &[]), 0);
    assert_eq!(invoke(&world, tcb, DEBUG, sel4_sys::ext::DEBUG_POWER_OFF, &[], &[]), 0);
    let log = world.take_log();
    assert!(log.contains(&Hardware::DebugCalls(false)) && log.contains(&Hardware::PowerOff));
    retype(&world, tcb, kind::TCB, 0, 20, 1);
    let name = u64::from_le_bytes(*b"a-thread");
    let words = [name, 0, 0, u64::MAX];
    assert_eq!(invoke(&world, tcb, DEBUG, sel4_sys::ext::DEBUG_NAME_THREAD, &words, &[20]), 0);
    let named = world.slot(tcb.slot(crate::object::TCB_CSPACE).cap(), 20);
    let Cap::Tcb { tcb: other } = named.cap() else { panic!("{:?}", named.cap()) };
    assert_eq!(std::format!("{}", other.name()), "a-thread");
    assert_eq!(other.name.last().map(|b| b.get()), Some(0));
    // Nothing else is named.
    let wrong = invoke(&world, tcb, DEBUG, sel4_sys::ext::DEBUG_NAME_THREAD, &words, &[CNODE]);
    assert_eq!(wrong, sel4_sys::Error::InvalidCapability as u64);
    assert_eq!(invoke(&world, tcb, DEBUG, 1, &[], &[]), sel4_sys::Error::IllegalOperation as u64);
}
