//! What a new object's memory holds, whatever lay there before and wherever its making was cut off: zeroes; and a frame that is not
//! new holds what its owner wrote, for the kernel writes into none.
//!
//! Threads make, copy, map, delete and revoke objects from a few untypeds inside each other, at random, each call preempted at any
//! point and made again later, with the others' calls in between. All frames are filled with words that nobody else writes, as soon
//! as they exist: so memory that is made anew has them, or what other objects left. A new frame is zero past the caches as well.
extern crate std;
use super::arch::vspace::table_labels;
use crate::arch::context::AT_ONCE;
use crate::arch::registers::{FAULT_PC, PC};
use crate::arch::tables::TableKind;
use crate::cap::{Cap, FrameSize};
use crate::fake::{FakeWorld, Hardware, Message};
use crate::invariants;
use crate::machine::Machine;
use crate::object::{TCB_CSPACE, Tcb, ThreadState};
use crate::ptr::{PhysAddr, Ptr};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use sel4_sys::object::kind;
use sel4_sys::{ext, label, syscall};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::format;
use std::vec::Vec;

const CNODE: u64 = 1;
const VSPACE: u64 = 2;
const TABLES: u64 = 3;
const ASID_CONTROL: u64 = 6;
/// All memory.
const ALL: u64 = 7;
/// Slots for whatever is made, the first of them for smaller untypeds.
const FREE: u64 = 8;
/// The threads and their contexts.
const OWN: u64 = 50;
const AT: u64 = 0x4000_0000;
const MEMORY_BITS: u32 = 17;

#[derive(Clone, Copy, Debug)]
enum What {
    /// From this slot's untyped, so many of this kind into this slot and those behind it.
    Make {
        from: u64,
        kind: usize,
        slot: u64,
        count: u64,
    },
    Copy {
        from: u64,
        slot: u64,
    },
    Delete(u64),
    Revoke(u64),
    Map(u64),
    Pool {
        from: u64,
        slot: u64,
    },
}

#[derive(Clone, Copy, Debug)]
struct Step {
    thread: usize,
    what: What,
    /// Where it is cut off.
    at: Option<u64>,
}

/// Half of what is made at once, as bits: 32 KiB, or 8 where zeroing takes more instructions.
const LARGE_BITS: u64 = AT_ONCE.ilog2() as u64 - 1;
/// Its pages, after each of which it can be cut off.
const PIECES: u64 = 1 << (LARGE_BITS - 12);

/// Kinds and size arguments; large ones are zeroed in pieces.
const KINDS: [(u64, u64); 14] = [
    (kind::SMALL_PAGE, 0),
    (kind::SMALL_PAGE, 0),
    (kind::SMALL_PAGE, 0),
    (kind::CNODE, LARGE_BITS - 7),
    (kind::CNODE, LARGE_BITS - 6),
    (kind::CNODE, LARGE_BITS - 5),
    (kind::CNODE, 2),
    (kind::UNTYPED, 12),
    (kind::UNTYPED, 14),
    (kind::UNTYPED, 15),
    (kind::TCB, 0),
    (kind::ENDPOINT, 0),
    (kind::SCHED_CONTEXT, LARGE_BITS - 1),
    (ext::TIMER_TYPE, 0),
];

struct Scene {
    world: FakeWorld,
    threads: Vec<Ptr<Tcb>>,
    memory: (u64, u64),
    /// Objects that exist, by address and size, with what a frame's owner wrote.
    known: RefCell<BTreeMap<(u64, u64), Option<u64>>>,
    /// Pages that are zero past the caches too.
    written_back: RefCell<BTreeSet<u64>>,
    /// Bytes that were zeroed.
    zeroed: Cell<u64>,
    made: Cell<u64>,
    resumed: Cell<u64>,
}

impl Scene {
    fn new() -> Scene {
        let world = FakeWorld::with_memory(19);
        let space = world.cnode(6);
        let threads: Vec<_> = (0..3).map(|_| world.thread(10, space)).collect();
        world.put(space, CNODE, space);
        for (i, tcb) in (0..).zip(&threads) {
            world.put(space, OWN + 2 * i, Cap::Tcb { tcb: *tcb });
            let Some(sc) = tcb.sc.get() else { panic!("a thread of its own time") };
            world.put(space, OWN + 1 + 2 * i, Cap::SchedContext { sc, bits: 8 });
        }
        let pool = world.allocate(12);
        (&world).shared().asid_pools[0].set(pool.0);
        let vspace = Cap::VSpace { base: world.allocate(12), asid: None };
        let vspace = world.put(space, VSPACE, vspace);
        world.put(space, 63, Cap::AsidPool { base: pool, first_asid: 0 });
        world.put(space, ASID_CONTROL, Cap::AsidControl);
        // One for each level, from the root's down.
        for level in 0..3 {
            let kind = TableKind::below(level);
            let table = Cap::PageTable { base: world.allocate(12), mapping: None, kind };
            world.put(space, TABLES + u64::from(level), table);
        }
        let all = world.untyped(MEMORY_BITS);
        let Some((start, _)) = all.region() else { panic!("untyped memory is a region") };
        world.put(space, ALL, all);
        let memory = (start, start + (1 << MEMORY_BITS));
        let scene = Scene {
            world,
            threads,
            memory,
            known: RefCell::default(),
            written_back: RefCell::default(),
            zeroed: Cell::new(0),
            made: Cell::new(0),
            resumed: Cell::new(0),
        };
        scene.prepare(63, label::ASID_POOL_ASSIGN, &[], &[VSPACE]);
        assert!(matches!(vspace.cap(), Cap::VSpace { asid: Some(_), .. }));
        for level in 0..3 {
            let (map, _) = table_labels(TableKind::below(level));
            scene.prepare(TABLES + u64::from(level), map, &[AT, 3], &[VSPACE]);
        }
        // Memory that was somebody's before: nothing is zero by chance.
        let words = (start..memory.1).step_by(8);
        words.for_each(|at| scene.word(at).set(0xdead_beef_0000_0001 ^ at));
        scene.follow();
        scene.zeroed.set(0);
        scene
    }

    fn prepare(&self, cptr: u64, label: u64, words: &[u64], caps: &[u64]) {
        assert!(self.world.run(self.threads[0]));
        let answer = self.world.invoke(self.threads[0], cptr, Message { label, words, caps });
        assert_eq!(answer.map(|a| a.label), Some(0));
    }

    fn space(&self) -> Cap {
        self.threads[0].slot(TCB_CSPACE).cap()
    }

    /// An identifier of the pool in a slot goes to an address space.
    fn use_pool(&self, slot: u64) {
        const SECOND: u64 = 62;
        let vspace = Cap::VSpace { base: self.world.allocate(12), asid: None };
        self.world.put(self.space(), SECOND, vspace);
        self.world.preempt_when(|| false);
        self.prepare(slot, label::ASID_POOL_ASSIGN, &[], &[SECOND]);
    }

    fn word(&self, at: u64) -> Ptr<Cell<u64>> {
        // SAFETY: callers stay in the world's untyped memory, whose words are cells to everybody.
        unsafe { Ptr::new(PhysAddr(at).kernel()) }
    }

    /// The thread makes the call that it is in the middle of, or a new one.
    fn take(&self, step: &Step) {
        let tcb = self.threads[step.thread % self.threads.len()];
        if !self.world.run(tcb) {
            return;
        }
        if tcb.regs.get(PC) == tcb.regs.get(FAULT_PC) && tcb.regs.get(PC) != 0 {
            self.resumed.set(self.resumed.get() + 1);
        } else {
            tcb.regs.set(PC, 0x1000);
            self.say(tcb, step.what);
        }
        match step.at {
            Some(at) => self.world.preempt_at(at),
            None => self.world.preempt_when(|| false),
        }
        self.world.system_call(tcb, syscall::CALL);
        self.world.preempt_when(|| false);
        if tcb.state.get() == ThreadState::Running && tcb.regs.get(PC) != tcb.regs.get(FAULT_PC) {
            tcb.regs.set(PC, 0);
            tcb.regs.set(FAULT_PC, 0);
        }
    }

    fn say(&self, tcb: Ptr<Tcb>, what: What) {
        let set = |cptr, label, words: &[u64], caps: &[u64]| {
            self.world.set_message(tcb, cptr, Message { label, words, caps });
        };
        match what {
            What::Make { from, kind, slot, count } => {
                let (kind, bits) = KINDS[kind % KINDS.len()];
                set(from, label::UNTYPED_RETYPE, &[kind, bits, 0, 0, slot, count], &[CNODE]);
            }
            What::Copy { from, slot } => {
                set(CNODE, label::CNODE_COPY, &[slot, 64, from, 64, 15], &[CNODE]);
            }
            What::Delete(slot) => set(CNODE, label::CNODE_DELETE, &[slot, 64], &[]),
            What::Revoke(slot) => set(CNODE, label::CNODE_REVOKE, &[slot, 64], &[]),
            What::Map(slot) => set(slot, label::PAGE_MAP, &[AT + (slot << 12), 3, 3], &[VSPACE]),
            What::Pool { from, slot } => {
                set(ASID_CONTROL, label::ASID_CONTROL_MAKE_POOL, &[slot, 64], &[from, CNODE]);
            }
        }
    }

    /// Which pages are zero in memory, and not only in the caches.
    fn follow(&self) {
        let mut written_back = self.written_back.borrow_mut();
        for asked in self.world.take_log() {
            let (start, bytes) = match asked {
                Hardware::Zero { start, bytes } | Hardware::ZeroForUser { start, bytes } => (start.0, bytes),
                _ => continue,
            };
            self.zeroed.set(self.zeroed.get() + bytes);
            for page in (start >> 12)..(start + bytes).div_ceil(1 << 12) {
                if matches!(asked, Hardware::ZeroForUser { .. }) {
                    written_back.insert(page);
                } else {
                    written_back.remove(&page);
                }
            }
        }
    }

    /// New objects are zero, frames past the caches as well; frames hold what was written into them.
    fn look(&self) -> Result<(), TestCaseError> {
        self.follow();
        let mut known = self.known.borrow_mut();
        let now = self.objects();
        known.retain(|region, _| now.contains_key(region));
        for (&(start, end), cap) in &now {
            let zero = |at: u64| self.word(at).get() == 0;
            match known.get(&(start, end)) {
                Some(Some(written)) => {
                    let changed = (start..end).step_by(8).find(|at| self.word(*at).get() != written ^ at);
                    prop_assert!(changed.is_none(), "the kernel wrote to {changed:x?} in a frame");
                    continue;
                }
                Some(None) => continue,
                None => self.made.set(self.made.get() + 1),
            }
            // A thread's registers begin with one that is not zero.
            let is_thread = matches!(cap, Cap::Tcb { .. });
            let dirty = (start..end).step_by(8).find(|at| !zero(*at));
            let allowed = is_thread && dirty.is_some_and(|at| at < start + 512);
            prop_assert!(dirty.is_none() || allowed, "{cap:?} is new, and not zero at {dirty:x?}");
            let written = matches!(cap, Cap::Frame { size: FrameSize::Small, .. })
                .then(|| 0xffff_0000_0000_0007 ^ self.made.get() << 20);
            if matches!(cap, Cap::Frame { .. }) {
                let mut written_back = self.written_back.borrow_mut();
                let stale = (start >> 12..end >> 12).find(|page| !written_back.remove(page));
                prop_assert!(
                    stale.is_none(),
                    "{cap:?} is new, and page {stale:x?} is zero in the caches only"
                );
            }
            if let Some(written) = written {
                (start..end).step_by(8).for_each(|at| self.word(at).set(written ^ at));
            }
            known.insert((start, end), written);
        }
        Ok(())
    }

    /// Objects of kinds with memory of their own in the world's untyped, by first and last address.
    fn objects(&self) -> BTreeMap<(u64, u64), Cap> {
        let m = &self.world;
        let slots = std::iter::successors(m.shared().anchor().next(), |slot| slot.next());
        let caps = slots.map(|slot| slot.cap()).filter(|cap| !matches!(cap, Cap::Untyped { .. }));
        caps.filter_map(|cap| cap.region().map(|(start, bits)| ((start, start + (1 << bits)), cap)))
            .filter(|((start, _), _)| (self.memory.0..self.memory.1).contains(start))
            .collect()
    }
}

/// A step that knows so many slots: with few of them memory comes back and is used again soon.
fn step(slots: u64) -> impl Strategy<Value = Step> {
    let slot = move || FREE..FREE + slots;
    let from = move || prop_oneof![2 => Just(ALL), 3 => slot()];
    let what = prop_oneof![
        6 => (from(), 0..KINDS.len(), slot(), prop_oneof![3 => Just(1u64), 1 => 1u64..12])
            .prop_map(|(from, kind, slot, count)| What::Make { from, kind, slot, count }),
        1 => (slot(), slot()).prop_map(|(from, slot)| What::Copy { from, slot }),
        3 => slot().prop_map(What::Delete),
        2 => from().prop_map(What::Revoke),
        2 => slot().prop_map(What::Map),
        1 => (from(), slot()).prop_map(|(from, slot)| What::Pool { from, slot }),
    ];
    let at = prop_oneof![1 => Just(None), 2 => (0u64..9).prop_map(Some)];
    (0usize..3, what, at).prop_map(|(thread, what, at)| Step { thread, what, at })
}

#[test]
#[cfg_attr(miri, ignore = "memory is read word by word, and padding has no value there")]
fn new_memory_is_zero_wherever_its_making_was_cut_off() {
    let (made, resumed) = (Cell::new(0), Cell::new(0));
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    let config = if std::env::var_os("PROPTEST_CASES").is_some() {
        config
    } else {
        ProptestConfig { cases: 300, ..config }
    };
    let steps = prop_oneof![Just(3), Just(6), Just(32)]
        .prop_flat_map(|slots| prop::collection::vec(step(slots), 40..160));
    let result = TestRunner::new(config).run(&steps, |steps| {
        let scene = Scene::new();
        for (i, step) in steps.iter().enumerate() {
            scene.take(step);
            let broken = invariants::check(&scene.world).err();
            prop_assert!(broken.is_none(), "{broken:?} after {:?}", &steps[..=i]);
            scene.look()?;
        }
        made.set(made.get() + scene.made.get());
        resumed.set(resumed.get() + scene.resumed.get());
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
    std::println!("{} new objects were looked at, {} calls went on", made.get(), resumed.get());
    assert!(made.get() > 10 && resumed.get() > 0, "hardly anything was made");
}

/// A retype of many pages, cut off once.
struct Large {
    what: What,
    /// Its bytes.
    size: u64,
}

/// What is [`LARGE_BITS`] together: kernel objects, one, two or more of them if those are made at once, and frames.
fn large() -> Vec<Large> {
    let make = |kind, bits, count: u64| {
        let kind = KINDS.iter().position(|k| *k == (kind, bits)).unwrap();
        let size = 1 << LARGE_BITS;
        let at_once = super::untyped::at_once((size / count).ilog2(), count) == count;
        (at_once || kind == 0)
            .then_some(Large { what: What::Make { from: ALL, kind, slot: FREE, count }, size })
    };
    let all = [
        make(kind::CNODE, LARGE_BITS - 5, 1),
        make(kind::CNODE, LARGE_BITS - 6, 2),
        make(kind::CNODE, LARGE_BITS - 7, 4),
        make(kind::SCHED_CONTEXT, LARGE_BITS - 1, 2),
        make(kind::SMALL_PAGE, 0, PIECES),
    ];
    let large: Vec<_> = all.into_iter().flatten().collect();
    assert!(large.len() >= 4);
    large
}

/// A call is made again until it is done, cut off at the same point each time; how often.
fn until_done(scene: &Scene, thread: usize, what: What, at: Option<u64>) -> Result<u64, TestCaseError> {
    for calls in 1..100 {
        scene.take(&Step { thread, what, at });
        scene.look()?;
        if scene.threads[thread].regs.get(PC) == 0 {
            return Ok(calls);
        }
    }
    Err(TestCaseError::fail("it does not end"))
}

/// Every large retype, cut off at every point, given up, and then any other in the same memory, cut off at every point each time.
#[test]
#[cfg_attr(miri, ignore = "takes too long there")]
fn a_retype_goes_on_only_as_what_it_was_wherever_it_was_cut_off() {
    for (i, first) in large().iter().enumerate() {
        for at in 0..PIECES {
            for (j, second) in large().iter().enumerate() {
                for again in (0..PIECES).map(Some).chain([None]) {
                    let scene = Scene::new();
                    scene.take(&Step { thread: 0, what: first.what, at: Some(at) });
                    assert_eq!(scene.made.get(), 0, "{i} was not cut off at {at}");
                    let done = scene.look().and_then(|()| until_done(&scene, 1, second.what, again));
                    let told = format!("{i} was cut off at {at}, then {j} at {again:?}");
                    let calls = done.unwrap_or_else(|broken| panic!("{told}: {broken}"));
                    // It was made whole, and no piece twice, unless it was another one's.
                    assert_eq!(scene.made.get(), scene.known.borrow().len() as u64, "{told}");
                    let pieces = scene.zeroed.get();
                    let least = second.size;
                    assert!((least..=least + ((at + 1) << 12)).contains(&pieces), "{told}: {pieces} bytes");
                    // Frames, the last, are zeroed in a way of their own.
                    let frames = large().len() - 1;
                    let same = (i == frames) == (j == frames);
                    assert_eq!(pieces == least, same, "{told}: {pieces} bytes in {calls} calls");
                }
            }
        }
    }
}

/// Half of a large object is zeroed; somebody makes another there meanwhile, uses it, and deletes it: what is left of it is no zeroed half.
/// Of an untyped, each other kind is made in turn, and a pool of identifiers.
#[test]
#[cfg_attr(miri, ignore = "takes too long there")]
fn what_was_made_in_between_is_zeroed_again() {
    const POOL: usize = KINDS.len();
    let large = large();
    for (other, inner) in (0..KINDS.len()).flat_map(|other| (0..=POOL).map(move |inner| (other, inner))) {
        let (kind, bits) = KINDS[other];
        let is_untyped = kind == kind::UNTYPED;
        // Only a small untyped becomes a pool.
        if inner > 0 && !is_untyped || inner == POOL && bits != 12 {
            continue;
        }
        for at in 0..PIECES {
            let scene = Scene::new();
            let told = format!("kind {kind} of {bits} bits ({inner}) in between, cut off at {at}");
            let by = |thread, what, at| {
                scene.take(&Step { thread, what, at });
                if let Err(broken) = scene.look() {
                    panic!("{told}: {broken}");
                }
            };
            by(0, large[0].what, Some(at));
            assert!(scene.made.get() == 0, "{told}: it was not cut off");
            by(1, What::Make { from: ALL, kind: other, slot: FREE + 1, count: 1 }, None);
            if inner == POOL {
                by(1, What::Pool { from: FREE + 1, slot: FREE + 2 }, None);
                let Cap::AsidPool { .. } = scene.world.slot(scene.space(), FREE + 2).cap() else {
                    panic!("{told}: no pool was made")
                };
                scene.use_pool(FREE + 2);
            } else if is_untyped {
                by(1, What::Make { from: FREE + 1, kind: inner, slot: FREE + 2, count: 1 }, None);
            }
            by(1, What::Revoke(ALL), None);
            assert!(scene.known.borrow().is_empty(), "{told}: it is not gone");
            by(0, large[0].what, None);
            let first = scene.known.borrow().keys().next().copied();
            assert_eq!(first, Some((scene.memory.0, scene.memory.0 + (1 << LARGE_BITS))), "{told}");
        }
    }
}
