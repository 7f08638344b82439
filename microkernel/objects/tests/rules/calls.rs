//! System calls on every kind of capability, with every right: who waits, who is told what, who faults.
use axiom_objects::arch::registers::{CAP, FAULT_PC, INFO, NB_SEND_DEST, PC, REPLY, TLS};
use axiom_objects::fake::{FakeWorld, Hardware};
use axiom_objects::machine::Machine;
use axiom_objects::object::{EndpointState, Fault, LookupFailure, NotificationState, TCB_FAULT, ThreadState};
use axiom_objects::{Cap, Ptr, Tcb};
use sel4_sys::{Badge, CapRights, Error, MessageInfo, syscall};

const TARGET: u64 = 1;
const REPLY_CAP: u64 = 2;
const OTHER: u64 = 3;
const EMPTY: u64 = 4;
const HANDLER: u64 = 5;
/// A pointer that no lookup resolves: the root's guard is zero.
const NOWHERE: u64 = 1 << 40;

/// What the call is about.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Endpoint,
    Notification,
    Reply,
    Domain,
    Empty,
    Nowhere,
}

const KINDS: [Kind; 6] =
    [Kind::Endpoint, Kind::Notification, Kind::Reply, Kind::Domain, Kind::Empty, Kind::Nowhere];

struct Scene {
    world: FakeWorld,
    caller: Ptr<Tcb>,
    target: Cap,
    handler: Ptr<axiom_objects::object::Endpoint>,
}

/// A thread whose fault handler is an endpoint where nobody waits, so that faults wait there.
fn scene(kind: Kind, rights: u64) -> Scene {
    let world = FakeWorld::with_memory(17);
    let space = world.cnode(4);
    let caller = world.thread(10, space);
    let rights = CapRights(rights);
    let target = match kind {
        Kind::Endpoint => Cap::Endpoint { ep: world.endpoint(), badge: Badge(6), rights },
        Kind::Notification => Cap::Notification { ntfn: world.notification(), badge: Badge(6), rights },
        Kind::Reply => Cap::Reply { reply: world.reply(), can_grant: true },
        Kind::Domain => Cap::Domain,
        Kind::Empty | Kind::Nowhere => Cap::Null,
    };
    if target != Cap::Null {
        world.put(space, TARGET, target);
    }
    let handler = world.endpoint();
    let full = |ep| Cap::Endpoint { ep, badge: Badge(0), rights: CapRights::ALL };
    world.put(space, REPLY_CAP, Cap::Reply { reply: world.reply(), can_grant: true });
    world.put(space, OTHER, Cap::Domain);
    world.put(space, HANDLER, full(handler));
    world.original(full(handler), caller.slot(TCB_FAULT));
    world.run(caller);
    caller.regs.set(PC, 0x1000);
    caller.regs.set(INFO, MessageInfo::new(3, 0, 0, 1).0);
    world.take_log();
    Scene { world, caller, target, handler }
}

fn pointer(kind: Kind) -> u64 {
    match kind {
        Kind::Empty => EMPTY,
        Kind::Nowhere => NOWHERE,
        _ => TARGET,
    }
}

impl Scene {
    fn call(&self, number: i64) {
        self.world.ordinary_system_call(self.caller, number);
    }

    /// The fault with which the caller waits for its handler.
    fn fault(&self) -> Option<Fault> {
        let waits = self.caller.state.get() == ThreadState::BlockedOnSend
            && self.handler.queue().head == Some(self.caller);
        let fault = self.caller.fault.get();
        assert_eq!(waits, fault != Fault::None);
        waits.then_some(fault)
    }

    fn no_capability(&self, addr: u64, in_recv_phase: bool) -> bool {
        let missing = LookupFailure::Missing { bits_left: 0 };
        let failure = if addr == NOWHERE { self.nowhere() } else { missing };
        self.fault() == Some(Fault::Cap { addr, in_recv_phase, failure })
    }

    fn nowhere(&self) -> LookupFailure {
        LookupFailure::GuardMismatch { bits_left: 64, guard: 0, guard_size: 60 }
    }
}

#[test]
fn receiving_needs_the_right_to_read() {
    for (number, blocking, with_reply) in [
        (syscall::RECV, true, true),
        (syscall::NB_RECV, false, true),
        (syscall::WAIT, true, false),
        (syscall::NB_WAIT, false, false),
    ] {
        for kind in KINDS {
            for rights in 0..16 {
                for reply in [REPLY_CAP, OTHER, EMPTY, NOWHERE] {
                    let s = scene(kind, rights);
                    s.caller.regs.set(CAP, pointer(kind));
                    s.caller.regs.set(REPLY, reply);
                    s.call(number);
                    let what = format!("call {number} of {kind:?}, rights {rights:04b}, reply {reply:#x}");
                    let may = rights & 2 != 0;
                    match s.target {
                        Cap::Endpoint { ep, .. } if may && (!with_reply || reply == REPLY_CAP) => {
                            assert_eq!(s.fault(), None, "{what}");
                            let waits = s.caller.state.get() == ThreadState::BlockedOnReceive;
                            assert_eq!(
                                (waits, ep.state() == EndpointState::Receive),
                                (blocking, blocking),
                                "{what}"
                            );
                            if blocking {
                                assert_eq!(s.caller.can_grant.get(), rights & 4 != 0, "{what}");
                                assert_eq!(s.caller.reply.get().is_some(), with_reply, "{what}");
                            } else {
                                assert_eq!(s.caller.regs.get(CAP), 0, "{what}");
                            }
                        }
                        Cap::Endpoint { .. } if may => assert!(s.no_capability(reply, true), "{what}"),
                        Cap::Notification { ntfn, .. } if may => {
                            assert_eq!(s.fault(), None, "{what}");
                            let waits = s.caller.state.get() == ThreadState::BlockedOnNotification;
                            assert_eq!(
                                (waits, ntfn.state.get() == NotificationState::Waiting),
                                (blocking, blocking)
                            );
                            assert!(blocking || s.caller.regs.get(CAP) == 0);
                        }
                        _ => assert!(s.no_capability(pointer(kind), true), "{what}"),
                    }
                }
            }
        }
    }
}

#[test]
fn a_notification_that_is_bound_is_waited_for_by_its_thread_alone() {
    for (own, foreign) in [(false, false), (true, false), (false, true)] {
        let s = scene(Kind::Notification, 2);
        let Cap::Notification { ntfn, .. } = s.target else { panic!("a notification is there") };
        let other = s.world.passive_thread(1, Cap::Null);
        if own || foreign {
            let tcb = if own { s.caller } else { other };
            ntfn.bound.set(Some(tcb));
            tcb.bound_ntfn.set(Some(ntfn));
        }
        s.caller.regs.set(CAP, TARGET);
        s.call(syscall::WAIT);
        assert_eq!(s.no_capability(TARGET, true), foreign);
        assert_eq!(s.caller.state.get() == ThreadState::BlockedOnNotification, !foreign);
    }
}

#[test]
fn sending_needs_the_right_to_write_and_takes_the_others_along() {
    for (number, blocking, calls) in
        [(syscall::SEND, true, false), (syscall::NB_SEND, false, false), (syscall::CALL, true, true)]
    {
        for kind in KINDS {
            for rights in 0..16 {
                let s = scene(kind, rights);
                s.caller.regs.set(CAP, pointer(kind));
                s.call(number);
                let what = format!("call {number} of {kind:?}, rights {rights:04b}");
                let may = rights & 1 != 0;
                let goes_on = s.caller.state.get() == ThreadState::Running;
                let label = MessageInfo(s.caller.regs.get(INFO)).label();
                match s.target {
                    Cap::Endpoint { ep, .. } if may => {
                        assert_eq!(
                            (goes_on, ep.state() == EndpointState::Send),
                            (!blocking, blocking),
                            "{what}"
                        );
                        if blocking {
                            let told = (s.caller.sender_badge.get(), s.caller.is_call.get());
                            assert_eq!(told, (6, calls), "{what}");
                            let grants = (s.caller.can_grant.get(), s.caller.can_grant_reply.get());
                            assert_eq!(grants, (rights & 4 != 0, rights & 8 != 0), "{what}");
                        }
                    }
                    Cap::Notification { ntfn, .. } if may => {
                        assert_eq!(
                            (ntfn.state.get(), ntfn.badge.get()),
                            (NotificationState::Active, 6),
                            "{what}"
                        );
                        assert_eq!((goes_on, label), (true, if calls { 0 } else { 3 }), "{what}");
                    }
                    Cap::Reply { .. } => {
                        assert_eq!(
                            (goes_on, label),
                            (true, if calls { 0 } else { 3 }),
                            "nobody waits for it"
                        );
                    }
                    _ if kind == Kind::Nowhere => {
                        if blocking {
                            assert!(s.no_capability(NOWHERE, false), "{what}");
                        } else {
                            assert!(goes_on && s.fault().is_none(), "{what}");
                        }
                    }
                    // No such operation: a domain knows its own label, others know none.
                    _ => {
                        let error = if kind == Kind::Domain {
                            Error::IllegalOperation
                        } else {
                            Error::InvalidCapability
                        };
                        assert_eq!((goes_on, label), (true, if calls { error as u64 } else { 3 }), "{what}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_combined_call_receives_unless_its_first_part_stopped_it() {
    for (number, first, with_reply) in [
        (syscall::NB_SEND_RECV, NB_SEND_DEST, true),
        (syscall::NB_SEND_WAIT, REPLY, false),
        (syscall::REPLY_RECV, REPLY, true),
    ] {
        for kind in KINDS {
            for rights in [1, 2, 3] {
                let s = scene(kind, rights);
                // Where the first part is named by the reply register, that is also where a reply object is looked for.
                s.caller.regs.set(REPLY, REPLY_CAP);
                s.caller.regs.set(CAP, HANDLER);
                s.caller.regs.set(first, pointer(kind));
                s.call(number);
                let what = format!("call {number}, first {kind:?}, rights {rights}");
                let receives_with = s.caller.regs.get(REPLY);
                if let Cap::Notification { ntfn, .. } = s.target {
                    assert_eq!(ntfn.state.get() == NotificationState::Active, rights & 1 != 0, "{what}");
                }
                // A send that does not block finds nobody and is forgotten.
                if let Cap::Endpoint { ep, .. } = s.target {
                    assert_eq!(ep.state(), EndpointState::Idle, "{what}");
                }
                let has_reply = !with_reply
                    || (receives_with == REPLY_CAP || (receives_with == TARGET && kind == Kind::Reply));
                if has_reply {
                    assert_eq!(s.caller.state.get(), ThreadState::BlockedOnReceive, "{what}");
                    assert_eq!(s.handler.state(), EndpointState::Receive, "{what}");
                } else {
                    assert!(s.no_capability(receives_with, true), "{what}");
                }
            }
        }
    }
}

#[test]
fn the_rest_are_the_thread_pointer_the_turn_and_what_does_not_exist() {
    let s = scene(Kind::Empty, 0);
    s.caller.regs.set(CAP, 0x1234);
    s.call(syscall::SET_TLS_BASE);
    assert_eq!(s.caller.regs.get(TLS), 0x1234);
    assert!(s.world.take_log().contains(&Hardware::ThreadPointer(0x1234)));
    assert_eq!((s.caller.regs.get(FAULT_PC), s.caller.regs.get(PC)), (0x1000, 0x1004));
    for number in [1, 77, -100, i64::MAX, i64::MIN] {
        let s = scene(Kind::Empty, 0);
        s.call(number);
        assert_eq!(s.fault(), Some(Fault::UnknownSyscall { number: number as u64 }));
    }
    // Before its equals, who yields is behind them.
    let s = scene(Kind::Empty, 0);
    let equal = s.world.thread(10, Cap::Null);
    s.world.run(s.caller);
    s.world.advance(100);
    s.call(syscall::YIELD);
    assert_eq!((s.world.current(), s.caller.state.get()), (equal, ThreadState::Running));
    let sc = s.caller.sc.get().expect("the caller has a context");
    let machine = &s.world;
    assert_eq!((sc.consumed.get(), sc.total()), (100, axiom_objects::fake::BUDGET));
    assert!(s.caller.in_ready_queue.get() && machine.node().ready(10).head == Some(s.caller));
}

#[test]
fn only_who_calls_is_answered() {
    for (number, answers) in [(syscall::CALL, true), (syscall::SEND, false), (syscall::NB_SEND, false)] {
        let s = scene(Kind::Empty, 0);
        let other = s.world.passive_thread(5, Cap::Null);
        let root = s.caller.slot(axiom_objects::object::TCB_CSPACE).cap();
        s.world.put(root, 6, Cap::Tcb { tcb: other });
        s.world.put(root, 7, Cap::SchedContext { sc: s.world.context(100, 1000), bits: 8 });
        s.world.put(root, 8, root);
        // Without words, with words from registers, with words from elsewhere; and a refusal.
        for (cptr, label, words) in [
            (6, sel4_sys::label::TCB_RESUME, &[][..]),
            (7, sel4_sys::label::SCHED_CONTEXT_CONSUMED, &[]),
            (6, sel4_sys::label::TCB_READ_REGISTERS, &[0, 2]),
            (8, sel4_sys::label::CNODE_DELETE, &[9, 65]),
        ] {
            s.world.run(s.caller);
            s.world.set_message(s.caller, cptr, axiom_objects::fake::Message { label, words, caps: &[] });
            let asked = (s.caller.regs.get(CAP), s.caller.regs.get(INFO));
            s.call(number);
            assert_eq!(s.caller.state.get(), ThreadState::Running);
            let now = (s.caller.regs.get(CAP), s.caller.regs.get(INFO));
            assert_eq!((now != asked, now.0 == 0), (answers, answers), "call {number}, label {label}");
        }
        assert_eq!(other.state.get(), ThreadState::Restart);
    }
}
