//! What is done to a thread by invocation: registers read, written and copied, with every combination of flags; priorities that may be
//! given; bound notifications; flags.
use axiom_objects::arch::registers::{FAULT_PC, MR0, PC, STATUS, TLS, TPIDRRO};
use axiom_objects::fake::{FakeWorld, Hardware, Message};
use axiom_objects::machine::Machine;
use axiom_objects::object::{Cancelling, TCB_FAULT, TCB_TIMEOUT, ThreadState};
use axiom_objects::{Cap, Ptr, Tcb, ipc};
use sel4_sys::{Badge, CapRights, Error, label};

const CALLER: u64 = 1;
const THREAD: u64 = 2;
const SOURCE: u64 = 3;
const NOTIFICATION: u64 = 4;
const ENDPOINT: u64 = 5;

/// Registers in the order of the user context; the first is where the thread goes on.
const ORDER: [usize; 36] = [
    FAULT_PC, 31, STATUS, 0, 1, 2, 3, 4, 5, 6, 7, 8, 16, 17, 18, 29, 30, 9, 10, 11, 12, 13, 14, 15, 19, 20,
    21, 22, 23, 24, 25, 26, 27, 28, TLS, TPIDRRO,
];
/// So many of them are the frame; the rest are the others.
const FRAME: usize = 17;
const REGISTERS: usize = 38;

struct Scene {
    world: FakeWorld,
    space: Cap,
    caller: Ptr<Tcb>,
    thread: Ptr<Tcb>,
    source: Ptr<Tcb>,
}

fn scene() -> Scene {
    let world = FakeWorld::with_memory(18);
    let space = world.cnode(4);
    let (caller, thread, source) = (world.thread(10, space), world.thread(5, space), world.thread(4, space));
    for (slot, tcb) in [(CALLER, caller), (THREAD, thread), (SOURCE, source)] {
        world.put(space, slot, Cap::Tcb { tcb });
    }
    let (ep, ntfn) = (world.endpoint(), world.notification());
    world.put(space, ENDPOINT, Cap::Endpoint { ep, badge: Badge(0), rights: CapRights::ALL });
    world.put(
        space,
        NOTIFICATION,
        Cap::Notification { ntfn, badge: Badge(0), rights: CapRights::READ_WRITE },
    );
    for (tcb, from) in [(thread, 1000), (source, 2000)] {
        (0..REGISTERS).for_each(|i| tcb.regs.set(i, from + i as u64));
    }
    // Both wait, so that stopping and starting show.
    ipc::receive(&world, thread, ep, ipc::ReceiveOptions { can_grant: true, blocking: true, reply: None });
    ipc::receive(&world, source, ep, ipc::ReceiveOptions { can_grant: true, blocking: true, reply: None });
    world.run(caller);
    Scene { world, space, caller, thread, source }
}

impl Scene {
    fn call(&self, cptr: u64, label: u64, words: &[u64], caps: &[u64]) -> Result<Vec<u64>, u64> {
        self.world.run(self.caller);
        let answer =
            self.world.invoke(self.caller, cptr, Message { label, words, caps }).expect("it goes on");
        let info = sel4_sys::MessageInfo(self.caller.regs.get(axiom_objects::arch::registers::INFO));
        let buffer = axiom_objects::message::buffer(self.caller, false);
        let words = (0..info.length()).map(|i| axiom_objects::message::mr(self.caller, buffer, i));
        if answer.label == 0 { Ok(words.collect()) } else { Err(answer.label) }
    }
}

const ILLEGAL: Result<Vec<u64>, u64> = Err(Error::IllegalOperation as u64);
const RANGE: Result<Vec<u64>, u64> = Err(Error::RangeError as u64);

#[test]
fn reading_tells_so_many_registers_and_stops_the_thread_if_asked() {
    for flags in 0..4 {
        for count in [1, 2, 3, 4, 17, 18, 35, 36] {
            let s = scene();
            let words = s.call(THREAD, label::TCB_READ_REGISTERS, &[flags, count], &[]);
            let expected: Vec<u64> = ORDER[..count as usize].iter().map(|r| 1000 + *r as u64).collect();
            assert_eq!(words, Ok(expected));
            let stopped = flags & 1 != 0;
            assert_eq!(s.thread.state.get() == ThreadState::Inactive, stopped, "flags {flags}");
        }
    }
    let s = scene();
    for count in [0, 37, u64::MAX] {
        assert_eq!(s.call(THREAD, label::TCB_READ_REGISTERS, &[1, count], &[]), RANGE);
    }
    assert_eq!([0, 1].map(|i| s.caller.regs.get(MR0 + i)), [1, 36]);
    assert_eq!(s.call(CALLER, label::TCB_READ_REGISTERS, &[0, 36], &[]), ILLEGAL);
    assert_eq!(s.thread.state.get(), ThreadState::BlockedOnReceive, "a refusal changes nothing");
}

#[test]
fn writing_sets_so_many_registers_and_starts_the_thread_if_asked() {
    for flags in 0..4 {
        for count in [0u64, 1, 2, 3, 17, 35, 36, 40] {
            for spare in [0, 2] {
                let s = scene();
                s.thread.cancelling.set(Cancelling { badge: 5, ..Default::default() });
                let values: Vec<u64> = (0..count + spare).map(|i| u64::MAX - i).collect();
                let words = [&[flags, count][..], &values].concat();
                assert_eq!(s.call(THREAD, label::TCB_WRITE_REGISTERS, &words, &[]), Ok(vec![]));
                for register in 0..REGISTERS {
                    let set = ORDER.iter().take(count as usize).position(|other| *other == register);
                    let value = |i: usize| if register == STATUS { 0xf000_0040 } else { u64::MAX - i as u64 };
                    let mut expected = set.map_or(1000 + register as u64, value);
                    if register == PC {
                        expected = s.thread.regs.get(FAULT_PC);
                    }
                    assert_eq!(s.thread.regs.get(register), expected, "register {register} of {count}");
                }
                assert_eq!(s.thread.cancelling.get(), Cancelling::default());
                let started = flags & 1 != 0;
                assert_eq!(s.thread.state.get() == ThreadState::Restart, started);
                assert_eq!(s.thread.state.get() == ThreadState::BlockedOnReceive, !started);
            }
        }
    }
    let s = scene();
    let truncated = Err(Error::TruncatedMessage as u64);
    assert_eq!(s.call(THREAD, label::TCB_WRITE_REGISTERS, &[1, 3, 7, 8], &[]), truncated);
    assert_eq!(s.call(THREAD, label::TCB_WRITE_REGISTERS, &[1, u64::MAX, 7, 8], &[]), truncated);
    assert_eq!(s.call(CALLER, label::TCB_WRITE_REGISTERS, &[1, 1, 7], &[]), ILLEGAL);
    assert_eq!((s.thread.state.get(), s.thread.regs.get(FAULT_PC)), (ThreadState::BlockedOnReceive, 1036));
}

#[test]
fn copying_takes_the_parts_that_its_flags_name() {
    for flags in 0..32u64 {
        for to_self in [false, true] {
            let s = scene();
            let (cptr, target) = if to_self { (CALLER, s.caller) } else { (THREAD, s.thread) };
            target.cancelling.set(Cancelling { badge: 5, ..Default::default() });
            (9..REGISTERS).for_each(|i| target.regs.set(i, 1000 + i as u64));
            s.world.take_log();
            s.world.run(s.caller);
            let message = Message { label: label::TCB_COPY_REGISTERS, words: &[flags], caps: &[SOURCE] };
            s.world.invoke(s.caller, cptr, message);
            let [stops, starts, frame, others] = [1, 2, 4, 8].map(|flag| flags & flag != 0);
            assert_eq!(s.source.state.get() == ThreadState::Inactive, stops, "flags {flags}");
            assert_eq!(s.thread.state.get() == ThreadState::Restart, starts && !to_self, "flags {flags}");
            // An invocation that is done leaves nothing of its caller's to go on with.
            let forgets = frame || to_self;
            assert_eq!(target.cancelling.get() == Cancelling::default(), forgets, "flags {flags}");
            // A caller's own answer is in its first registers, and it goes on after its call.
            let compared = if to_self { 9..31 } else { 0..REGISTERS };
            for register in compared {
                let place = ORDER.iter().position(|other| *other == register);
                let copied = place.is_some_and(|i| if i < FRAME { frame } else { others });
                let mut expected = if copied { 2000 } else { 1000 } + register as u64;
                if register == PC && frame {
                    expected = s.source.regs.get(FAULT_PC);
                }
                if register == PC && starts && !frame {
                    continue;
                }
                assert_eq!(target.regs.get(register), expected, "flags {flags}, register {register}");
            }
            let loaded = s.world.take_log().contains(&Hardware::ThreadPointer(2000 + TLS as u64));
            assert_eq!(loaded, others && to_self, "who runs has its thread pointer in the machine");
        }
    }
    let s = scene();
    let invalid = Err(Error::InvalidCapability as u64);
    assert_eq!(s.call(THREAD, label::TCB_COPY_REGISTERS, &[4], &[ENDPOINT]), invalid);
    assert_eq!(s.caller.regs.get(MR0), 1);
}

#[test]
fn a_priority_is_given_up_to_the_authoritys_maximum() {
    for (mcp, priority) in [(10, 0), (10, 9), (10, 10), (10, 11), (255, 255), (255, 256), (0, 0), (0, 1)] {
        let s = scene();
        s.source.mcp.set(mcp);
        let allowed = priority <= u64::from(mcp);
        let answer = if allowed { Ok(vec![]) } else { RANGE };
        assert_eq!(s.call(THREAD, label::TCB_SET_MC_PRIORITY, &[priority], &[SOURCE]), answer);
        assert_eq!(s.thread.mcp.get(), if allowed { priority as u8 } else { 5 });
        assert_eq!(s.call(THREAD, label::TCB_SET_PRIORITY, &[priority], &[SOURCE]), answer);
        assert_eq!(s.thread.priority.get(), if allowed { priority as u8 } else { 5 });
        if !allowed {
            assert_eq!([0, 1].map(|i| s.caller.regs.get(MR0 + i)), [0, u64::from(mcp)]);
        }
        // Of two priorities, each is looked at.
        for words in [[priority, 0], [0, priority]] {
            let caps = [SOURCE, 15, 15];
            assert_eq!(
                s.call(THREAD, label::TCB_SET_SCHED_PARAMS, &words, &caps),
                answer,
                "{words:?} of {mcp}"
            );
        }
    }
}

#[test]
fn a_notification_is_bound_to_one_thread_that_may_read_it() {
    for rights in 0..4 {
        for (thread_bound, ntfn_bound, waited_for) in (0..8).map(|i| (i & 1 != 0, i & 2 != 0, i & 4 != 0)) {
            let s = scene();
            let slot = s.world.slot(s.space, NOTIFICATION);
            let Cap::Notification { ntfn, badge, .. } = slot.cap() else { panic!("a notification is there") };
            slot.update(Cap::Notification { ntfn, badge, rights: CapRights(rights) });
            let other = s.world.notification();
            if thread_bound {
                s.thread.bound_ntfn.set(Some(other));
                other.bound.set(Some(s.thread));
            }
            if ntfn_bound {
                s.source.bound_ntfn.set(Some(ntfn));
                ntfn.bound.set(Some(s.source));
            }
            if waited_for {
                let waiter = s.world.passive_thread(3, s.space);
                axiom_objects::notify::wait((&&s.world).node(), waiter, ntfn, true);
            }
            let may = rights & 2 != 0 && !thread_bound && !ntfn_bound && !waited_for;
            let answer = s.call(THREAD, label::TCB_BIND_NOTIFICATION, &[], &[NOTIFICATION]);
            assert_eq!(answer, if may { Ok(vec![]) } else { ILLEGAL });
            let bound = s.thread.bound_ntfn.get() == Some(ntfn) && ntfn.bound.get() == Some(s.thread);
            assert_eq!(bound, may, "rights {rights}, {thread_bound} {ntfn_bound} {waited_for}");
            let had = may || thread_bound;
            let answer = s.call(THREAD, label::TCB_UNBIND_NOTIFICATION, &[], &[]);
            assert_eq!(answer, if had { Ok(vec![]) } else { ILLEGAL });
            assert_eq!((s.thread.bound_ntfn.get(), other.bound.get()), (None, None));
            assert_eq!(ntfn.bound.get().is_some(), ntfn_bound);
        }
    }
    let s = scene();
    assert_eq!(s.call(THREAD, label::TCB_BIND_NOTIFICATION, &[], &[ENDPOINT]), ILLEGAL);
}

#[test]
fn flags_are_cleared_then_set_and_only_known_ones() {
    for old in [0, 1] {
        for clear in 0..4 {
            for set in 0..4 {
                let s = scene();
                s.thread.flags.set(old);
                (&&s.world).node().fpu_owner.set(Some(s.thread));
                let expected = (old & !clear) | (set & 1);
                let answer = s.call(THREAD, label::TCB_SET_FLAGS, &[clear, set], &[]);
                assert_eq!((answer, s.thread.flags.get()), (Ok(vec![expected]), expected));
                let has_fpu = (&&s.world).node().fpu_owner.get().is_some();
                assert_eq!(has_fpu, expected == 0, "{old} {clear} {set}");
            }
        }
    }
}

/// A handler is an endpoint to which faults can be sent and from which they can be answered, or none; one that is given replaces the other.
#[test]
fn a_handler_takes_faults_and_gives_answers_or_is_none() {
    const HANDLER: u64 = 8;
    const NONE: u64 = 9;
    for rights in (0..16).map(CapRights) {
        let s = scene();
        let ep = s.world.endpoint();
        s.world.put(s.space, HANDLER, Cap::Endpoint { ep, badge: Badge(3), rights });
        let call = |handler: u64, label, words: &[u64], caps: &[u64]| {
            s.world.run(s.caller);
            let caps: Vec<u64> =
                caps.iter().map(|cap| if *cap == HANDLER { handler } else { *cap }).collect();
            let message = Message { label, words, caps: &caps };
            s.world.invoke(s.caller, THREAD, message).map(|a| (a.label, a.words[0]))
        };
        let writes = rights.contains(CapRights::WRITE);
        let answers = rights.contains(CapRights::GRANT) || rights.contains(CapRights::GRANT_REPLY);
        for (label, words, caps, slot, argument) in [
            (label::TCB_SET_TIMEOUT_ENDPOINT, &[][..], &[HANDLER][..], TCB_TIMEOUT, 1),
            (label::TCB_SET_SCHED_PARAMS, &[3, 3][..], &[CALLER, 0, HANDLER][..], TCB_FAULT, 3),
        ] {
            // The parameters keep the context that the thread has.
            let own = s.thread.sc.get().expect("it has a context");
            let context = s.world.slot(s.space, 10);
            if context.is_empty() {
                s.world.original(Cap::SchedContext { sc: own, bits: 8 }, context);
            }
            let caps: Vec<u64> = caps.iter().map(|cap| if *cap == 0 { 10 } else { *cap }).collect();
            let before = s.world.snapshot();
            let expected = if writes && answers { 0 } else { Error::InvalidCapability as u64 };
            let answer = call(HANDLER, label, words, &caps).expect("it goes on");
            assert_eq!(answer.0, expected, "{rights:?}");
            if expected != 0 {
                assert_eq!(answer.1, argument, "{rights:?}");
                assert!(s.thread.slot(slot).is_empty());
                continue;
            }
            assert_eq!(s.thread.slot(slot).cap(), Cap::Endpoint { ep, badge: Badge(3), rights });
            // None is no capability: nothing is in the slot, and nothing hangs together.
            assert_eq!(call(NONE, label, words, &caps).map(|a| a.0), Some(0));
            assert!(s.thread.slot(slot).is_empty());
            let changed = s.world.difference(&before);
            let start = s.world.extent().0;
            for empty in [s.thread.slot(slot), s.world.slot(s.space, NONE)] {
                let words = (empty.addr() as u64 - start) / 8..(empty.addr() as u64 - start) / 8 + 4;
                assert!(!changed.iter().any(|(word, _)| words.contains(&u64::from(*word))));
            }
        }
    }
}
