//! Binding contexts to threads: every state of both, by both invocations that bind, against the manual's conditions.
use axiom_objects::fake::{FakeWorld, Message};
use axiom_objects::machine::Machine;
use axiom_objects::object::ThreadState;
use axiom_objects::{Cap, Ptr, SchedContext, Tcb, ipc, sched};
use sel4_sys::{Badge, CapRights, Error, label};

const CALLER: u64 = 1;
const THREAD: u64 = 2;
const CONTEXT: u64 = 3;
const NOTIFICATION: u64 = 4;
const NOTHING: u64 = 5;
const ENDPOINT: u64 = 6;
const OWN_CONTEXT: u64 = 7;

/// What the context is in a state to do.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Time {
    /// Never configured.
    None,
    /// Its refill is there.
    Now,
    /// Its refill comes later.
    Later,
}

/// Who is bound to whom before.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Bound {
    Nobody,
    /// The thread to another context.
    ThreadElsewhere,
    /// The context to another thread.
    ContextElsewhere,
    /// Both to each other.
    Each,
}

struct Scene {
    world: FakeWorld,
    caller: Ptr<Tcb>,
    thread: Ptr<Tcb>,
    sc: Ptr<SchedContext>,
}

/// The thread is of priority 5, the caller 10.
fn scene(state: ThreadState, time: Time, bound: Bound) -> Scene {
    let world = FakeWorld::with_memory(18);
    let space = world.cnode(4);
    let (caller, thread, other) =
        (world.thread(10, space), world.passive_thread(5, space), world.passive_thread(4, space));
    let sc = world.context(1000, 10_000);
    let now = (&world).now();
    match time {
        Time::None => sc.refill_max.set(0),
        Time::Now => {}
        Time::Later => sc.configure(2, 1000, 10_000, now + 5000),
    }
    let bind = |tcb: Ptr<Tcb>, sc: Ptr<SchedContext>| {
        tcb.sc.set(Some(sc));
        sc.tcb.set(Some(tcb));
        sched::settle((&world).node(), sc);
    };
    match bound {
        Bound::Nobody => {}
        Bound::ThreadElsewhere => bind(thread, world.context(500, 5000)),
        Bound::ContextElsewhere => bind(other, sc),
        Bound::Each => bind(thread, sc),
    }
    let (ep, ntfn) = (world.endpoint(), world.notification());
    match state {
        ThreadState::BlockedOnReceive => ipc::receive(
            &world,
            thread,
            ep,
            ipc::ReceiveOptions { can_grant: true, blocking: true, reply: None },
        ),
        _ => thread.state.set(state),
    }
    if thread.is_schedulable() {
        (&world).node().enqueue(thread, false);
    }
    let notification = Cap::Notification { ntfn, badge: Badge(1), rights: CapRights::READ_WRITE };
    for (slot, cap) in [
        (CALLER, Cap::Tcb { tcb: caller }),
        (THREAD, Cap::Tcb { tcb: thread }),
        (CONTEXT, Cap::SchedContext { sc, bits: 8 }),
        (NOTIFICATION, notification),
        (ENDPOINT, Cap::Endpoint { ep, badge: Badge(0), rights: CapRights::ALL }),
    ] {
        world.put(space, slot, cap);
    }
    if let Some(sc) = caller.sc.get() {
        world.put(space, OWN_CONTEXT, Cap::SchedContext { sc, bits: 8 });
    }
    world.run(caller);
    Scene { world, caller, thread, sc }
}

impl Scene {
    fn call(&self, cptr: u64, label: u64, words: &[u64], caps: &[u64]) -> u64 {
        self.world.run(self.caller);
        self.world
            .invoke(self.caller, cptr, Message { label, words, caps })
            .expect("the caller goes on")
            .label
    }
}

const STATES: [ThreadState; 4] =
    [ThreadState::Inactive, ThreadState::Running, ThreadState::Restart, ThreadState::BlockedOnReceive];
const TIMES: [Time; 3] = [Time::None, Time::Now, Time::Later];
const BOUND: [Bound; 4] = [Bound::Nobody, Bound::ThreadElsewhere, Bound::ContextElsewhere, Bound::Each];
const ILLEGAL: u64 = Error::IllegalOperation as u64;

/// All scenes.
fn all() -> impl Iterator<Item = (ThreadState, Time, Bound)> {
    let pairs = STATES.iter().flat_map(|state| TIMES.iter().map(move |time| (*state, *time)));
    pairs.flat_map(|(state, time)| BOUND.iter().map(move |bound| (state, time, *bound)))
}

/// A thread that is bound runs, waits for its refill, or does neither: by its state and the context's time.
fn check_bound(s: &Scene, state: ThreadState, time: Time, what: &str) {
    let (thread, sc) = (s.thread, s.sc);
    assert_eq!((thread.sc.get(), sc.tcb.get()), (Some(sc), Some(thread)), "{what}");
    assert_eq!(thread.in_release_queue.get(), time == Time::Later, "{what}");
    let runnable = matches!(state, ThreadState::Running | ThreadState::Restart);
    assert_eq!(thread.in_ready_queue.get(), runnable && time == Time::Now, "{what}");
    assert_eq!(thread.state.get(), state, "{what}");
}

#[test]
fn binding_needs_both_free_and_time_for_who_is_blocked() {
    for (state, time, bound) in all() {
        let s = scene(state, time, bound);
        let what = format!("{state:?}, {time:?}, {bound:?}");
        let before = s.world.snapshot();
        let answer = s.call(CONTEXT, label::SCHED_CONTEXT_BIND, &[], &[THREAD]);
        let blocked = state == ThreadState::BlockedOnReceive && time != Time::Now;
        if bound != Bound::Nobody || blocked {
            assert_eq!(answer, ILLEGAL, "{what}");
            let changed = s.world.difference(&before);
            let (start, _) = s.world.extent();
            let own = |tcb: Ptr<Tcb>| (tcb.addr() as u64 - start) / 8..(tcb.addr() as u64 - start) / 8 + 256;
            assert!(!changed.iter().any(|(word, _)| own(s.thread).contains(&u64::from(*word))), "{what}");
        } else {
            assert_eq!(answer, 0, "{what}");
            check_bound(&s, state, time, &what);
        }
    }
}

#[test]
fn scheduling_parameters_bind_replace_and_take_away() {
    for (state, time, bound) in all() {
        let what = format!("{state:?}, {time:?}, {bound:?}");
        // With the context: it may be the thread's already.
        let s = scene(state, time, bound);
        let answer = s.call(THREAD, label::TCB_SET_SCHED_PARAMS, &[7, 6], &[CALLER, CONTEXT, ENDPOINT]);
        let blocked = state == ThreadState::BlockedOnReceive && time != Time::Now;
        if matches!(bound, Bound::ThreadElsewhere | Bound::ContextElsewhere) || blocked {
            assert_eq!(answer, ILLEGAL, "{what}");
            assert_eq!((s.thread.mcp.get(), s.thread.priority.get()), (5, 5), "{what}");
            assert!(s.thread.slot(axiom_objects::object::TCB_FAULT).is_empty());
        } else {
            assert_eq!(answer, 0, "{what}");
            assert_eq!((s.thread.mcp.get(), s.thread.priority.get()), (7, 6), "{what}");
            assert!(!s.thread.slot(axiom_objects::object::TCB_FAULT).is_empty());
            check_bound(&s, state, time, &what);
        }
        // Without one: what the thread had is free.
        let s = scene(state, time, bound);
        let had = s.thread.sc.get();
        let answer = s.call(THREAD, label::TCB_SET_SCHED_PARAMS, &[7, 6], &[CALLER, NOTHING, NOTHING]);
        assert_eq!((answer, s.thread.sc.get()), (0, None), "{what}");
        assert!(had.is_none_or(|sc| sc.tcb.get().is_none()), "{what}");
        assert!(!s.thread.in_ready_queue.get() && !s.thread.in_release_queue.get(), "{what}");
        assert_eq!(s.sc.tcb.get().is_some(), bound == Bound::ContextElsewhere, "{what}");
    }
    // Nobody takes its own context away, and other kinds are no contexts.
    let s = scene(ThreadState::Running, Time::Now, Bound::Nobody);
    assert_eq!(s.call(CALLER, label::TCB_SET_SCHED_PARAMS, &[7, 6], &[CALLER, NOTHING, NOTHING]), ILLEGAL);
    assert_eq!(s.call(CALLER, label::TCB_SET_SCHED_PARAMS, &[10, 10], &[CALLER, OWN_CONTEXT, NOTHING]), 0);
    let invalid = Error::InvalidCapability as u64;
    assert_eq!(s.call(THREAD, label::TCB_SET_SCHED_PARAMS, &[7, 6], &[CALLER, ENDPOINT, NOTHING]), invalid);
    assert_eq!(s.caller.regs.get(axiom_objects::arch::registers::MR0), 2);
}

#[test]
fn a_context_and_a_notification_have_one_of_each_other() {
    for (has_ntfn, has_sc, has_thread) in (0..8).map(|i| (i & 1 != 0, i & 2 != 0, i & 4 != 0)) {
        let s = scene(ThreadState::Inactive, Time::Now, if has_thread { Bound::Each } else { Bound::Nobody });
        let Cap::Notification { ntfn, .. } = s.caller_slot(NOTIFICATION) else {
            panic!("a notification is there")
        };
        let (other, other_sc) = (s.world.notification(), s.world.context(100, 1000));
        if has_ntfn {
            axiom_objects::owner::bind_ntfn(s.sc, other);
        }
        if has_sc {
            axiom_objects::owner::bind_ntfn(other_sc, ntfn);
        }
        let answer = s.call(CONTEXT, label::SCHED_CONTEXT_BIND, &[], &[NOTIFICATION]);
        let bound = !has_ntfn && !has_sc;
        assert_eq!(answer, if bound { 0 } else { ILLEGAL });
        assert_eq!(ntfn.sc.get() == Some(s.sc) && s.sc.ntfn() == Some(ntfn), bound);
        // Only what is bound is taken apart, and the thread keeps it.
        let answer = s.call(CONTEXT, label::SCHED_CONTEXT_UNBIND_OBJECT, &[], &[NOTIFICATION]);
        assert_eq!(answer, if bound { 0 } else { ILLEGAL });
        assert_eq!(s.sc.ntfn().is_some(), has_ntfn);
        assert_eq!(s.sc.tcb.get().is_some(), has_thread);
        let answer = s.call(CONTEXT, label::SCHED_CONTEXT_UNBIND_OBJECT, &[], &[THREAD]);
        assert_eq!(answer, if has_thread { 0 } else { ILLEGAL });
        assert_eq!((s.sc.tcb.get(), s.sc.ntfn().is_some()), (None, has_ntfn));
    }
    let s = scene(ThreadState::Inactive, Time::Now, Bound::Nobody);
    assert_eq!(s.call(OWN_CONTEXT, label::SCHED_CONTEXT_UNBIND_OBJECT, &[], &[CALLER]), ILLEGAL);
    assert_eq!(s.call(OWN_CONTEXT, label::SCHED_CONTEXT_UNBIND, &[], &[]), ILLEGAL);
}

impl Scene {
    fn caller_slot(&self, slot: u64) -> Cap {
        let root = self.caller.slot(axiom_objects::object::TCB_CSPACE).cap();
        self.world.slot(root, slot).cap()
    }
}

#[test]
fn a_context_is_released_when_it_is_configured_and_its_refill_is_there() {
    for time in TIMES {
        let s = scene(ThreadState::Inactive, time, Bound::Nobody);
        let m = &s.world;
        assert_eq!(sched::is_released(m.node(), s.sc), time == Time::Now, "{time:?}");
    }
}

#[test]
fn yielding_needs_a_thread_that_is_not_above_what_one_may_give() {
    for state in [ThreadState::Running, ThreadState::Inactive] {
        for (priority, mcp) in [(9, 10), (10, 10), (11, 10), (12, 12), (12, 11)] {
            for time in [Time::Now, Time::Later] {
                let s = scene(state, time, Bound::Each);
                s.caller.mcp.set(mcp);
                axiom_objects::thread::set_priority((&s.world).node(), s.thread, priority);
                s.world.run(s.caller);
                s.sc.consumed.set(77);
                let answer = s.world.invoke(
                    s.caller,
                    CONTEXT,
                    Message { label: label::SCHED_CONTEXT_YIELD_TO, words: &[], caps: &[] },
                );
                let what = format!("{state:?} of {priority}, {time:?}, to give {mcp}");
                let can_run = state == ThreadState::Running && time == Time::Now;
                if priority > mcp {
                    assert_eq!(answer.map(|a| a.label), Some(ILLEGAL), "{what}");
                } else if can_run && priority >= 10 {
                    assert_eq!((answer, s.world.current()), (None, s.thread), "{what}");
                    assert_eq!(
                        (s.caller.yield_to.get(), s.sc.yield_from.get()),
                        (Some(s.sc), Some(s.caller))
                    );
                } else {
                    let told = answer.map(|a| (a.label, a.words[0]));
                    assert_eq!((told, s.sc.consumed.get()), (Some((0, 77)), 0), "{what}");
                    assert_eq!(s.thread.in_ready_queue.get(), can_run, "{what}");
                }
            }
        }
    }
}
