//! Endpoints: whichever side comes first, who runs afterwards, who waits for an answer, and whose context goes along.
use axiom_objects::arch::registers::CAP;
use axiom_objects::fake::FakeWorld;
use axiom_objects::ipc::{self, SendOptions};
use axiom_objects::machine::Machine;
use axiom_objects::object::{Cancelling, EndpointState, Fault, Reply, ThreadState};
use axiom_objects::{Cap, Ptr, SchedContext, Tcb, entry, notify, waiting};

struct Scene {
    world: FakeWorld,
    ep: Ptr<axiom_objects::object::Endpoint>,
    sender: Ptr<Tcb>,
    receiver: Ptr<Tcb>,
    reply: Ptr<Reply>,
}

/// A sender of priority 10 and a receiver of priority 12, with and without contexts.
fn scene(sender_has_sc: bool, receiver_has_sc: bool) -> Scene {
    let world = FakeWorld::with_memory(17);
    let make = |priority, has_sc| {
        let tcb = if has_sc {
            world.thread(priority, Cap::Null)
        } else {
            world.passive_thread(priority, Cap::Null)
        };
        tcb.state.set(ThreadState::Running);
        tcb
    };
    let (sender, receiver) = (make(10, sender_has_sc), make(12, receiver_has_sc));
    let (ep, reply) = (world.endpoint(), world.reply());
    Scene { world, ep, sender, receiver, reply }
}

/// Every bit of so many.
fn bools<const N: usize>() -> impl Iterator<Item = [bool; N]> {
    (0..1u32 << N).map(|bits| core::array::from_fn(|i| bits >> i & 1 != 0))
}

/// The sender's side afterwards.
fn check_sender(
    s: &Scene,
    sc: Option<Ptr<SchedContext>>,
    expects_answer: bool,
    answerable: bool,
    donates: bool,
    what: &str,
) {
    let expected = match (expects_answer, answerable) {
        (false, _) => ThreadState::Running,
        (true, true) => ThreadState::BlockedOnReply,
        (true, false) => ThreadState::Inactive,
    };
    assert_eq!(s.sender.state.get(), expected, "{what}");
    let waits = expected == ThreadState::BlockedOnReply;
    assert_eq!(s.reply.tcb.get() == Some(s.sender) && s.sender.reply.get() == Some(s.reply), waits, "{what}");
    // Of a call the context hangs on the reply object; of a send it is gone for good.
    let lent = donates && waits;
    assert_eq!(
        (s.reply.sc.get(), sc.and_then(|sc| sc.reply.get())),
        if lent { (sc, Some(s.reply)) } else { (None, None) },
        "{what}"
    );
    // Whoever runs on it: it stays whose it was.
    assert!(sc.is_none_or(|sc| sc.thread() == Some(s.sender)), "{what}");
    assert_eq!(s.sender.sc.get(), if donates { None } else { sc }, "{what}");
    if donates {
        assert_eq!((s.receiver.sc.get(), sc.and_then(|sc| sc.tcb.get())), (sc, Some(s.receiver)), "{what}");
    }
}

#[test]
fn a_sender_that_finds_a_receiver() {
    for [call, faulted, can_grant, can_grant_reply, can_donate, has_reply, sender_has_sc] in bools() {
        for receiver_has_sc in [true, false] {
            let s = scene(sender_has_sc, receiver_has_sc);
            let (machine, sc) = (&s.world, s.sender.sc.get());
            ipc::receive(
                machine,
                s.receiver,
                s.ep,
                ipc::ReceiveOptions { can_grant: true, blocking: true, reply: has_reply.then_some(s.reply) },
            );
            assert_eq!(s.receiver.state.get(), ThreadState::BlockedOnReceive);
            if faulted {
                s.sender.fault.set(Fault::UserException { number: 1, code: 2 });
            }
            let options =
                SendOptions { blocking: true, call, badge: 44, can_grant, can_grant_reply, can_donate };
            ipc::send(machine, s.sender, s.ep, options);
            let what = format!(
                "call {call}, fault {faulted}, grant {can_grant} {can_grant_reply}, donate {can_donate}, reply {has_reply}, \
                 contexts {sender_has_sc} {receiver_has_sc}"
            );
            assert_eq!(
                (s.receiver.state.get(), s.receiver.regs.get(CAP)),
                (ThreadState::Running, 44),
                "{what}"
            );
            assert_eq!((s.ep.state(), s.receiver.reply.get()), (EndpointState::Idle, None), "{what}");
            let expects = call || faulted;
            let answerable = has_reply && (can_grant || can_grant_reply);
            let donates = can_donate && sender_has_sc && !receiver_has_sc && (!expects || answerable);
            check_sender(&s, sc, expects, answerable, donates, &what);
            entry::leave(machine);
            if receiver_has_sc || donates {
                assert_eq!(s.world.current(), s.receiver, "{what}");
            }
        }
    }
}

#[test]
fn a_receiver_that_finds_a_sender() {
    for [call, timeout, faulted, can_grant, can_grant_reply, has_reply, sender_has_sc, receiver_has_sc] in
        bools()
    {
        let s = scene(sender_has_sc, receiver_has_sc);
        let (machine, sc) = (&s.world, s.sender.sc.get());
        let fault = match (faulted, timeout) {
            (false, _) => Fault::None,
            (true, false) => Fault::UserException { number: 1, code: 2 },
            (true, true) => Fault::Timeout { badge: 3 },
        };
        s.sender.fault.set(fault);
        let options =
            SendOptions { blocking: true, call, badge: 44, can_grant, can_grant_reply, can_donate: true };
        ipc::send(machine, s.sender, s.ep, options);
        assert_eq!((s.sender.state.get(), s.ep.state()), (ThreadState::BlockedOnSend, EndpointState::Send));
        ipc::receive(
            machine,
            s.receiver,
            s.ep,
            ipc::ReceiveOptions { can_grant: true, blocking: true, reply: has_reply.then_some(s.reply) },
        );
        let what = format!("call {call}, {fault:?}, grant {can_grant} {can_grant_reply}, reply {has_reply}");
        assert_eq!((s.receiver.state.get(), s.receiver.regs.get(CAP)), (ThreadState::Running, 44), "{what}");
        assert_eq!(s.ep.state(), EndpointState::Idle, "{what}");
        let expects = call || faulted;
        let answerable = has_reply && (can_grant || can_grant_reply);
        // Who has no time left keeps its context; and a mere send lends nothing when it was waited for.
        let donates = expects && answerable && sender_has_sc && !receiver_has_sc && !(faulted && timeout);
        check_sender(&s, sc, expects, answerable, donates, &what);
    }
}

#[test]
fn a_receiver_takes_a_stored_signal_first_and_gives_up_what_its_object_did() {
    for [bound, stored, blocking, sender_waits, lends] in bools() {
        let s = scene(true, true);
        let (machine, ntfn) = (&s.world, s.world.notification());
        if bound {
            ntfn.bound.set(Some(s.receiver));
            s.receiver.bound_ntfn.set(Some(ntfn));
        }
        if lends {
            let sc = s.receiver.sc.get().expect("it has a context");
            axiom_objects::owner::bind_ntfn(sc, ntfn);
        }
        if stored {
            notify::signal(machine, ntfn, 6);
        }
        if sender_waits {
            let options = SendOptions {
                blocking: true,
                call: false,
                badge: 44,
                can_grant: true,
                can_grant_reply: true,
                can_donate: false,
            };
            ipc::send(machine, s.sender, s.ep, options);
        }
        ipc::receive(
            machine,
            s.receiver,
            s.ep,
            ipc::ReceiveOptions { can_grant: true, blocking, reply: Some(s.reply) },
        );
        let what = format!(
            "bound {bound}, stored {stored}, blocking {blocking}, sender {sender_waits}, lends {lends}"
        );
        let signalled = bound && stored;
        let told = if signalled {
            6
        } else if sender_waits {
            44
        } else {
            0
        };
        let waits = !signalled && !sender_waits && blocking;
        if waits {
            assert_eq!(
                (s.receiver.state.get(), s.ep.state()),
                (ThreadState::BlockedOnReceive, EndpointState::Receive),
                "{what}"
            );
            assert_eq!(
                (s.reply.tcb.get(), s.receiver.reply.get()),
                (Some(s.receiver), Some(s.reply)),
                "{what}"
            );
        } else {
            assert_eq!(
                (s.receiver.state.get(), s.receiver.regs.get(CAP)),
                (ThreadState::Running, told),
                "{what}"
            );
            assert_eq!(s.ep.state() == EndpointState::Send, signalled && sender_waits, "{what}");
        }
        // A context that the notification lent goes back to it when its thread waits.
        let returned = bound && lends && blocking && !signalled;
        assert_eq!(s.receiver.sc.get().is_none(), returned, "{what}");
    }
    // A reply object that another waits with is taken from it; one's own is not.
    for own in [true, false] {
        let s = scene(true, true);
        let (machine, other) = (&s.world, s.world.passive_thread(3, Cap::Null));
        let before = if own { s.receiver } else { other };
        before.state.set(ThreadState::BlockedOnReply);
        before.reply.set(Some(s.reply));
        s.reply.tcb.set(Some(before));
        s.receiver.state.set(ThreadState::Running);
        ipc::receive(
            machine,
            s.receiver,
            s.ep,
            ipc::ReceiveOptions { can_grant: true, blocking: true, reply: Some(s.reply) },
        );
        assert_eq!((s.reply.tcb.get(), s.receiver.reply.get()), (Some(s.receiver), Some(s.reply)));
        assert_eq!(other.state.get(), ThreadState::Inactive);
        assert_eq!(other.reply.get(), None);
    }
}

#[test]
fn a_cancellation_goes_on_only_for_the_same_badge_of_the_same_endpoint() {
    let world = FakeWorld::with_memory(17);
    let machine = &world;
    let n = machine.node();
    let (ep, other) = (world.endpoint(), world.endpoint());
    let begun = waiting::cancellation(n, Cancelling::default(), ep, 7);
    assert_eq!((begun.badge, begun.endpoint), (7, ep.addr()));
    for (endpoint, badge) in [(ep, 7), (ep, 8), (other, 7), (other, 8)] {
        let which = waiting::cancellation(n, begun, endpoint, badge);
        assert_eq!((which.badge, which.endpoint), (badge, endpoint.addr()));
        // A new one is for all who wait until now.
        assert_eq!(which.until == begun.until, badge == 7 && endpoint == ep);
        assert!(which.until >= begun.until);
    }
}

#[test]
fn a_signal_wakes_who_waits_or_is_stored() {
    for [bound, receives, waits, stored, lends, has_sc] in bools() {
        if waits && stored {
            continue;
        }
        let s = scene(true, has_sc);
        let (machine, ntfn) = (&s.world, s.world.notification());
        let sc = s.world.context(1000, 10_000);
        if lends {
            axiom_objects::owner::bind_ntfn(sc, ntfn);
        }
        if stored {
            notify::signal(machine, ntfn, 8);
        }
        if waits {
            notify::wait(machine.node(), s.receiver, ntfn, true);
        } else if receives {
            ipc::receive(
                machine,
                s.receiver,
                s.ep,
                ipc::ReceiveOptions { can_grant: true, blocking: true, reply: None },
            );
        }
        if bound {
            ntfn.bound.set(Some(s.receiver));
            s.receiver.bound_ntfn.set(Some(ntfn));
        }
        notify::signal(machine, ntfn, 6);
        let what = format!(
            "bound {bound}, receives {receives}, waits {waits}, stored {stored}, lends {lends}, context {has_sc}"
        );
        let woken = waits || (bound && receives && !stored);
        let active = ntfn.state.get() == axiom_objects::object::NotificationState::Active;
        assert_eq!(active, !woken, "{what}");
        if woken {
            assert_eq!(
                (s.receiver.state.get(), s.receiver.regs.get(CAP)),
                (ThreadState::Running, 6),
                "{what}"
            );
            assert_eq!((s.ep.state(), ntfn.head.get()), (EndpointState::Idle, None), "{what}");
            let borrows = lends && !has_sc;
            assert_eq!(s.receiver.sc.get() == Some(sc), borrows, "{what}");
            entry::leave(machine);
            assert_eq!(s.world.current() == s.receiver, has_sc || borrows, "{what}");
        } else {
            assert_eq!(ntfn.badge.get(), if stored { 14 } else { 6 }, "{what}");
            assert_ne!(s.receiver.sc.get(), Some(sc), "{what}");
        }
    }
}
