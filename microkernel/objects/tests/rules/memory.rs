//! Memory becomes objects: every kind at every size, where each object lies, when memory is enough, and which errors come first.
use axiom_objects::arch::registers::{MR0, STATUS};
use axiom_objects::cap::{FrameSize, VmRights};
use axiom_objects::fake::{FakeWorld, Hardware, Message};
use axiom_objects::{Cap, PhysAddr, Ptr, Tcb};
use sel4_sys::{Badge, CapRights, Error, ext, label, object::kind};

const SPACE: u64 = 1;
const UNTYPED: u64 = 2;
const NODE: u64 = 3;
const NOTHING: u64 = 4;
const FIRST: u64 = 16;

struct Scene {
    world: FakeWorld,
    space: Cap,
    caller: Ptr<Tcb>,
}

/// A thread with an untyped of 2^`bits` bytes from `base` on.
fn scene(base: PhysAddr, bits: u32, device: bool, world: FakeWorld) -> Scene {
    let space = world.cnode(9);
    let caller = world.thread(10, space);
    world.put(space, SPACE, space);
    world.put(space, UNTYPED, Cap::Untyped { base, bits, device, free: 0 });
    world.put(space, NODE, world.cnode(3));
    world.run(caller);
    Scene { world, space, caller }
}

fn ram(bits: u32) -> Scene {
    let world = FakeWorld::with_memory(bits + 2);
    scene(world.allocate(bits), bits, false, world)
}

/// Answers: the error and its first two words.
type Answer = Result<(), (u64, u64, u64)>;

const TRUNCATED: u64 = Error::TruncatedMessage as u64;
const ARGUMENT: u64 = Error::InvalidArgument as u64;
const RANGE: u64 = Error::RangeError as u64;
const LOOKUP: u64 = Error::FailedLookup as u64;
const DELETE: u64 = Error::DeleteFirst as u64;
const MEMORY: u64 = Error::NotEnoughMemory as u64;

impl Scene {
    fn call(&self, label: u64, words: &[u64], caps: &[u64]) -> Answer {
        self.world.run(self.caller);
        self.world.preempt_when(|| false);
        let answer =
            self.world.invoke(self.caller, UNTYPED, Message { label, words, caps }).expect("it goes on");
        if answer.label == 0 { Ok(()) } else { Err((answer.label, answer.words[0], answer.words[1])) }
    }

    /// The call is made again until all objects are there.
    fn retype(&self, kind: u64, size: u64, first: u64, count: u64) -> Answer {
        let words = [kind, size, 0, 0, first, count];
        self.world.run(self.caller);
        self.world.preempt_when(|| false);
        self.world.set_message(
            self.caller,
            UNTYPED,
            Message { label: label::UNTYPED_RETYPE, words: &words, caps: &[SPACE] },
        );
        for _ in 0..300 {
            self.world.system_call(self.caller, sel4_sys::syscall::CALL);
            assert_eq!(self.world.current(), self.caller);
            let regs = &self.caller.regs;
            if regs.get(axiom_objects::arch::registers::PC)
                != regs.get(axiom_objects::arch::registers::FAULT_PC)
            {
                let answer = self.world.answer(self.caller);
                return if answer.label == 0 {
                    Ok(())
                } else {
                    Err((answer.label, answer.words[0], answer.words[1]))
                };
            }
        }
        panic!("the call does not end");
    }

    fn made(&self, slot: u64) -> Cap {
        self.world.slot(self.space, slot).cap()
    }

    fn free(&self) -> u64 {
        let Cap::Untyped { free, .. } = self.made(UNTYPED) else { panic!("the untyped is there") };
        free
    }
}

/// Bits of an object; `None` where there is no such kind.
fn bits(kind: u64, size: u64) -> Option<u64> {
    Some(match kind {
        kind::UNTYPED | kind::SCHED_CONTEXT => size,
        kind::TCB => 11,
        kind::ENDPOINT => 4,
        kind::NOTIFICATION => 6,
        kind::CNODE => size + 5,
        kind::REPLY => 5,
        kind::HUGE_PAGE => 30,
        kind::VSPACE | kind::SMALL_PAGE | kind::PAGE_TABLE => 12,
        kind::LARGE_PAGE => 21,
        ext::TIMER_TYPE => 7,
        _ => return None,
    })
}

fn kinds() -> impl Iterator<Item = u64> {
    (0..13).chain([ext::TIMER_TYPE, ext::TIMER_TYPE + 1, u64::MAX])
}

#[test]
fn every_kind_and_size_is_made_or_refused_in_the_same_order() {
    for device in [false, true] {
        for kind in kinds() {
            for size in (0..50).chain([58, 59, 60, 63, 64, 65, u64::MAX]) {
                // So large a memory is never touched: only what is made of it would be, and that is refused or a device's.
                let world = FakeWorld::with_memory(18);
                let s = scene(PhysAddr(1 << 46), 14, device, world);
                let expected = match bits(kind, size.min(64)) {
                    None => Err((ARGUMENT, 0)),
                    Some(bits) if size >= 64 || bits > 47 => Err((RANGE, 0)),
                    Some(_) if kind == kind::CNODE && size == 0 => Err((ARGUMENT, 1)),
                    Some(_) if kind == kind::UNTYPED && size < 4 => Err((ARGUMENT, 1)),
                    Some(_) if kind == kind::SCHED_CONTEXT && size < 7 => Err((ARGUMENT, 1)),
                    Some(bits) if bits > 14 => Err((MEMORY, 1 << 14)),
                    Some(_) if device && !matches!(kind, 0 | 7 | 9 | 10) => Err((ARGUMENT, 1)),
                    Some(_) if !device && kind != kind::UNTYPED => continue,
                    Some(_) => Ok(()),
                };
                let answer = s.retype(kind, size, FIRST, 1);
                let what = format!("kind {kind}, size {size}, device {device}");
                assert_eq!(answer.map_err(|(error, word, _)| (error, word)), expected, "{what}");
                if let Err((RANGE, ..)) = answer {
                    assert_eq!([0, 1].map(|i| s.caller.regs.get(MR0 + i)), [0, 47], "{what}");
                }
                assert_eq!(s.made(FIRST) != Cap::Null, expected.is_ok(), "{what}");
            }
        }
    }
}

#[test]
fn each_kind_is_what_it_was_asked_to_be_and_starts_at_its_size() {
    let s = ram(22);
    for (i, (kind, size)) in [
        (kind::ENDPOINT, 0),
        (kind::TCB, 0),
        (kind::NOTIFICATION, 0),
        (kind::CNODE, 3),
        (kind::REPLY, 0),
        (kind::SCHED_CONTEXT, 9),
        (kind::SMALL_PAGE, 0),
        (ext::TIMER_TYPE, 0),
        (kind::PAGE_TABLE, 0),
        (kind::UNTYPED, 5),
        (kind::VSPACE, 0),
        (kind::LARGE_PAGE, 0),
    ]
    .into_iter()
    .enumerate()
    {
        let (slot, before) = (FIRST + i as u64, s.free());
        assert_eq!(s.retype(kind, size, slot, 1), Ok(()));
        let Cap::Untyped { base, .. } = s.made(UNTYPED) else { panic!("the untyped is there") };
        let bytes = 1 << bits(kind, size).expect("a kind");
        // The next place that is aligned to the object's size.
        let start = before.div_ceil(bytes) * bytes;
        assert_eq!(s.free(), start + bytes, "kind {kind}");
        let (at, made) = (PhysAddr(base.0 + start), s.made(slot));
        assert_eq!(made.region(), Some((at.0, bytes.ilog2())), "kind {kind}");
        let frame =
            |size| Cap::Frame { base: at, size, device: false, rights: VmRights::READ_WRITE, mapping: None };
        let right = match (kind, made) {
            (kind::ENDPOINT, Cap::Endpoint { badge: Badge(0), rights: CapRights::ALL, .. }) => true,
            (kind::TCB, Cap::Tcb { tcb }) => tcb.regs.get(STATUS) == 0x40 && tcb.priority.get() == 0,
            (
                kind::NOTIFICATION,
                Cap::Notification { badge: Badge(0), rights: CapRights::READ_WRITE, .. },
            ) => true,
            (kind::CNODE, Cap::CNode { radix: 3, guard: 0, guard_size: 0, .. }) => true,
            (kind::REPLY, Cap::Reply { can_grant: true, .. }) => true,
            (kind::SCHED_CONTEXT, Cap::SchedContext { bits: 9, .. }) => true,
            (kind::SMALL_PAGE, cap) => cap == frame(FrameSize::Small),
            (kind::LARGE_PAGE, cap) => cap == frame(FrameSize::Large),
            (ext::TIMER_TYPE, Cap::Timer { .. }) => true,
            (kind::PAGE_TABLE, Cap::PageTable { mapping: None, .. }) => true,
            (kind::VSPACE, Cap::VSpace { asid: None, .. }) => true,
            (kind::UNTYPED, Cap::Untyped { bits: 5, free: 0, device: false, .. }) => true,
            _ => false,
        };
        assert!(right, "kind {kind} is {made:?}");
    }
    // A device's frames are a device's, whatever their size.
    for (kind, size) in [
        (kind::HUGE_PAGE, FrameSize::Huge),
        (kind::LARGE_PAGE, FrameSize::Large),
        (kind::SMALL_PAGE, FrameSize::Small),
    ] {
        let (world, base) = (FakeWorld::with_memory(18), PhysAddr(1 << 40));
        let s = scene(base, 31, true, world);
        s.world.take_log();
        assert_eq!(s.retype(kind, 0, FIRST, 2), Ok(()));
        let frame =
            |base| Cap::Frame { base, size, device: true, rights: VmRights::READ_WRITE, mapping: None };
        let second = PhysAddr(base.0 + (1 << size.bits()));
        assert_eq!([s.made(FIRST), s.made(FIRST + 1)], [frame(base), frame(second)]);
        let zeroed = |asked: &Hardware| matches!(asked, Hardware::Zero { .. } | Hardware::ZeroForUser { .. });
        assert!(!s.world.take_log().iter().any(zeroed), "nobody writes zeroes into a device");
    }
}

#[test]
fn many_objects_lie_one_behind_the_other_and_all_their_memory_is_zeroed() {
    for (kind, size) in [
        (kind::ENDPOINT, 0),
        (kind::REPLY, 0),
        (kind::TCB, 0),
        (kind::SMALL_PAGE, 0),
        (kind::CNODE, 4),
        (kind::UNTYPED, 6),
    ] {
        for count in [1, 2, 15, 16, 17, 33, 255, 256] {
            let s = ram(21);
            s.world.take_log();
            let bytes = 1 << bits(kind, size).expect("a kind");
            assert_eq!(s.retype(kind, size, FIRST, count), Ok(()));
            let Cap::Untyped { base, free, .. } = s.made(UNTYPED) else { panic!("the untyped is there") };
            assert_eq!(free, count * bytes, "{count} of kind {kind}");
            for i in 0..count {
                let region = s.made(FIRST + i).region();
                assert_eq!(
                    region,
                    Some((base.0 + i * bytes, bytes.ilog2())),
                    "{i} of {count} of kind {kind}"
                );
            }
            assert_eq!(s.made(FIRST + count), Cap::Null);
            // Frames past the caches, other objects in them, untypeds not at all; each byte once, in order.
            let mut reached = base.0;
            for asked in s.world.take_log() {
                let (start, bytes) = match asked {
                    Hardware::Zero { start, bytes } if kind != kind::SMALL_PAGE => (start, bytes),
                    Hardware::ZeroForUser { start, bytes } if kind == kind::SMALL_PAGE => (start, bytes),
                    Hardware::Zero { .. } | Hardware::ZeroForUser { .. } => {
                        panic!("{asked:?} for kind {kind}")
                    }
                    _ => continue,
                };
                assert_eq!(start.0, reached);
                reached += bytes;
            }
            assert_eq!(
                reached - base.0,
                if kind == kind::UNTYPED { 0 } else { free },
                "{count} of kind {kind}"
            );
        }
    }
}

#[test]
fn memory_is_enough_to_the_last_byte() {
    for (count, taken) in [(8, 0), (9, 0), (7, 1), (8, 1), (256, 0)] {
        let s = ram(15);
        if taken > 0 {
            assert_eq!(s.retype(kind::ENDPOINT, 0, FIRST + 300, taken), Ok(()));
        }
        let left = (1 << 15) - 16 * taken;
        let enough = left >> 12 >= count;
        let expected = if enough { Ok(()) } else { Err((MEMORY, left)) };
        let answer = s.retype(kind::SMALL_PAGE, 0, FIRST, count).map_err(|(error, word, _)| (error, word));
        assert_eq!(answer, expected, "{count} pages behind {taken} endpoints");
    }
    // Without children it is all free again.
    let s = ram(15);
    assert_eq!(s.retype(kind::SMALL_PAGE, 0, FIRST, 8), Ok(()));
    assert!(s.retype(kind::ENDPOINT, 0, FIRST + 8, 1).is_err());
    for slot in FIRST..FIRST + 8 {
        s.world.run(s.caller);
        let delete = Message { label: label::CNODE_DELETE, words: &[slot, 64], caps: &[] };
        assert_eq!(s.world.invoke(s.caller, SPACE, delete).map(|a| a.label), Some(0));
    }
    assert_eq!(s.retype(kind::SMALL_PAGE, 0, FIRST, 8), Ok(()));
}

#[test]
fn destinations_are_free_slots_of_one_node() {
    let s = ram(16);
    let size = 1 << 9;
    // The whole message, and the node, come before what is to be made.
    for words in 0..6 {
        assert_eq!(
            s.call(label::UNTYPED_RETYPE, &[0; 6][..words], &[SPACE]).map_err(|e| e.0),
            Err(TRUNCATED)
        );
    }
    assert_eq!(s.call(label::UNTYPED_RETYPE, &[0; 6], &[]).map_err(|e| e.0), Err(TRUNCATED));
    let ask = |words: [u64; 4], root: u64| {
        let [index, depth, offset, window] = words;
        let words = [kind::ENDPOINT, 0, index, depth, offset, window];
        s.call(label::UNTYPED_RETYPE, &words, &[root])
    };
    for (offset, window, expected) in [
        (size, 1, Err((RANGE, 0, size - 1))),
        (u64::MAX, 1, Err((RANGE, 0, size - 1))),
        (FIRST, 0, Err((RANGE, 1, 256))),
        (FIRST, 257, Err((RANGE, 1, 256))),
        (FIRST, u64::MAX, Err((RANGE, 1, 256))),
        (size - 2, 3, Err((RANGE, 1, 2))),
        (size - 2, 2, Ok(())),
        (size - 2, 1, Err((DELETE, 0, 0))),
        (size - 3, 2, Err((DELETE, 0, 0))),
        (size - 3, 1, Ok(())),
    ] {
        let answer = ask([0, 0, offset, window], SPACE);
        let answer = answer.map_err(|e| if e.0 == DELETE { (DELETE, 0, 0) } else { e });
        assert_eq!(answer, expected, "{window} from {offset}");
    }
    // By index and depth another node is named.
    assert_eq!(ask([NODE, 64, 7, 1], SPACE), Ok(()));
    assert_eq!(ask([NODE, 64, 8, 1], SPACE), Err((RANGE, 0, 7)));
    let node = s.made(NODE);
    assert!(matches!(s.world.slot(node, 7).cap(), Cap::Endpoint { .. }));
    for (index, depth, root) in
        [(UNTYPED, 64, SPACE), (NOTHING, 64, SPACE), (0, 0, UNTYPED), (NODE, 64, UNTYPED)]
    {
        assert_eq!(
            ask([index, depth, 0, 1], root).map_err(|e| e.0),
            Err(LOOKUP),
            "{index} of {depth} in {root}"
        );
    }
    for depth in [65, u64::MAX] {
        assert_eq!(ask([NODE, depth, 0, 1], SPACE), Err((RANGE, 1, 64)));
    }
    assert_eq!(
        s.call(label::UNTYPED_RETYPE + 1, &[0; 6], &[SPACE]).map_err(|e| e.0),
        Err(Error::IllegalOperation as u64)
    );
}

#[test]
fn memory_that_was_used_meanwhile_is_zeroed_again() {
    let (kind, size) = (kind::CNODE, 9);
    let zeroed = |s: &Scene| -> Vec<u64> {
        let zeroes = s.world.take_log().into_iter();
        zeroes
            .filter_map(|asked| if let Hardware::Zero { start, .. } = asked { Some(start.0) } else { None })
            .collect()
    };
    let delete = |s: &Scene, slot: u64| {
        let delete = Message { label: label::CNODE_DELETE, words: &[slot, 64], caps: &[] };
        s.world.run(s.caller);
        s.world.preempt_when(|| false);
        assert_eq!(s.world.invoke(s.caller, SPACE, delete).map(|a| a.label), Some(0));
    };
    let cut_off = |s: &Scene| {
        s.world.run(s.caller);
        s.world.take_log();
        let words = [kind, size, 0, 0, FIRST, 1];
        s.world.preempt_at(1);
        let answer = s.world.invoke(
            s.caller,
            UNTYPED,
            Message { label: label::UNTYPED_RETYPE, words: &words, caps: &[SPACE] },
        );
        assert_eq!(answer, None, "it is preempted");
        // It gives the call up.
        s.caller.regs.set(axiom_objects::arch::registers::PC, 0x1000);
        assert_eq!(zeroed(s).len(), 2);
    };
    for between in [None, Some(kind::ENDPOINT), Some(kind::SMALL_PAGE), Some(kind::UNTYPED)] {
        let s = ram(16);
        cut_off(&s);
        if let Some(other) = between {
            assert_eq!(s.retype(other, 12, FIRST + 1, 1), Ok(()));
            delete(&s, FIRST + 1);
        }
        s.world.take_log();
        assert_eq!(s.retype(kind, size, FIRST, 1), Ok(()));
        // Four pages: the two that were done count unless an object was there. An untyped is none.
        let pages = zeroed(&s);
        let dirty = between.is_some_and(|kind| kind != kind::UNTYPED);
        assert_eq!(pages.len(), if dirty { 4 } else { 2 }, "{between:?}");
        // Whole, it is forgotten: the next to have the memory does not get what is in it now.
        delete(&s, FIRST);
        s.world.take_log();
        assert_eq!(s.retype(kind, size, FIRST, 1), Ok(()));
        assert_eq!(zeroed(&s).len(), 4, "{between:?}");
    }
    // Nor does what was made elsewhere count.
    let s = ram(16);
    assert_eq!(s.retype(kind::UNTYPED, 15, FIRST + 1, 2), Ok(()));
    let by = |untyped: u64, kind: u64, slot: u64, at: Option<u64>| {
        s.world.run(s.caller);
        match at {
            Some(at) => s.world.preempt_at(at),
            None => s.world.preempt_when(|| false),
        }
        let words = [kind, size, 0, 0, slot, 1];
        let retype = Message { label: label::UNTYPED_RETYPE, words: &words, caps: &[SPACE] };
        let answer = s.world.invoke(s.caller, untyped, retype);
        s.caller.regs.set(axiom_objects::arch::registers::PC, 0x1000);
        answer.map(|a| a.label)
    };
    for other in [kind::ENDPOINT, kind::SMALL_PAGE] {
        assert_eq!(by(FIRST + 1, kind, FIRST + 3, Some(1)), None);
        assert_eq!(by(FIRST + 2, other, FIRST + 4, None), Some(0));
        s.world.take_log();
        assert_eq!(by(FIRST + 1, kind, FIRST + 3, None), Some(0));
        assert_eq!(zeroed(&s).len(), 2, "{other}");
        delete(&s, FIRST + 3);
        delete(&s, FIRST + 4);
    }
    // Of another size, or from another place, it is another zeroing.
    let s = ram(16);
    cut_off(&s);
    s.world.take_log();
    assert_eq!(s.retype(kind, size + 1, FIRST, 1), Ok(()));
    assert_eq!(zeroed(&s).len(), 8);
}
