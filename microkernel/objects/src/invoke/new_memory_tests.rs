//! What a new object's memory holds, whatever lay there before and wherever its making was cut off: zeroes; and a frame that is not
//! new holds what its owner wrote, for the kernel writes into none.
//!
//! Threads make, copy, map, delete and revoke objects from a few untypeds inside each other, at random, each call preempted at any
//! point and made again later, with the others' calls in between. All frames are filled with words that nobody else writes, as soon
//! as they exist: so memory that is made anew has them, or what other objects left.
extern crate std;
use super::arch::vspace::table_labels;
use crate::arch::registers::{FAULT_PC, PC};
use crate::arch::tables::TableKind;
use crate::cap::{Cap, FrameSize};
use crate::fake::{FakeWorld, Message};
use crate::invariants;
use crate::machine::Machine;
use crate::object::{Tcb, ThreadState};
use crate::ptr::{PhysAddr, Ptr};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use sel4_sys::object::kind;
use sel4_sys::{ext, label, syscall};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
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

/// Kinds and size arguments; large ones are zeroed in pieces.
const KINDS: [(u64, u64); 14] = [
    (kind::SMALL_PAGE, 0),
    (kind::SMALL_PAGE, 0),
    (kind::SMALL_PAGE, 0),
    (kind::CNODE, 8),
    (kind::CNODE, 9),
    (kind::CNODE, 10),
    (kind::CNODE, 2),
    (kind::UNTYPED, 12),
    (kind::UNTYPED, 14),
    (kind::UNTYPED, 15),
    (kind::TCB, 0),
    (kind::ENDPOINT, 0),
    (kind::SCHED_CONTEXT, 13),
    (ext::TIMER_TYPE, 0),
];

struct Scene {
    world: FakeWorld,
    threads: Vec<Ptr<Tcb>>,
    memory: (u64, u64),
    /// Objects that exist, by address and size, with what a frame's owner wrote.
    known: RefCell<BTreeMap<(u64, u64), Option<u64>>>,
    made: Cell<u64>,
    resumed: Cell<u64>,
}

impl Scene {
    fn new() -> Scene {
        let world = FakeWorld::with_memory(19);
        world.record_hardware(false);
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
        scene
    }

    fn prepare(&self, cptr: u64, label: u64, words: &[u64], caps: &[u64]) {
        assert!(self.world.run(self.threads[0]));
        let answer = self.world.invoke(self.threads[0], cptr, Message { label, words, caps });
        assert_eq!(answer.map(|a| a.label), Some(0));
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

    /// New objects are zero; frames hold what was written into them.
    fn look(&self) -> Result<(), TestCaseError> {
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

/// Half of a large object is zeroed; somebody makes another there meanwhile, and deletes it: what is left of it is no zeroed half.
#[test]
#[cfg_attr(miri, ignore = "takes too long there")]
fn what_was_made_in_between_is_zeroed_again() {
    let large = KINDS.iter().position(|k| *k == (kind::CNODE, 10)).unwrap();
    for (other, (kind, bits)) in KINDS.iter().enumerate() {
        for at in [0, 3, 6] {
            let scene = Scene::new();
            let by = |thread, what, at| {
                scene.take(&Step { thread, what, at });
                if let Err(broken) = scene.look() {
                    panic!("kind {kind} of {bits} bits in between, cut off at {at:?}: {broken}");
                }
            };
            let make = |kind, slot, count| What::Make { from: ALL, kind, slot, count };
            by(0, make(large, FREE, 1), Some(at));
            assert!(scene.made.get() == 0, "it was not cut off");
            by(1, make(other, FREE + 1, 1), None);
            by(1, What::Delete(FREE + 1), None);
            by(0, make(large, FREE, 1), None);
            let first = scene.known.borrow().keys().next().copied();
            assert_eq!(first, Some((scene.memory.0, scene.memory.0 + (32 << 10))), "kind {kind}");
        }
    }
}
