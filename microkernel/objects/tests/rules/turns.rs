//! Turns and owners: whose turn ended is behind its equals, however it was about to run; and whose a context is.
use axiom_objects::fake::{FakeWorld, Message};
use axiom_objects::machine::Machine;
use axiom_objects::node::Action;
use axiom_objects::object::ThreadState;
use axiom_objects::{Cap, entry, notify, owner, sched};
use sel4_sys::{Error, ext, label};

#[test]
fn whose_turn_ended_is_behind_its_equals() {
    for (runs, is_candidate) in [(true, false), (false, true), (false, false)] {
        let world = FakeWorld::with_memory(17);
        let machine = &world;
        let n = machine.node();
        let [low, ends, other] = [5, 10, 10].map(|priority| world.thread(priority, Cap::Null));
        world.run(if runs { ends } else { low });
        n.dequeue(ends);
        if is_candidate {
            n.action.set(Action::SwitchTo(ends));
        } else if !runs {
            n.enqueue(ends, true);
        }
        let turns = n.turns.get();
        sched::end_turn(n, ends.sc.get().expect("it has a context"));
        assert_eq!(n.turns.get(), turns + 1);
        assert!(n.action.get() != Action::SwitchTo(ends), "its turn is over");
        if !runs && !is_candidate {
            sched::reschedule(n);
        }
        entry::leave(machine);
        assert_eq!(world.current(), other, "runs {runs}, candidate {is_candidate}");
        assert_eq!(n.first_ready(10), Some(ends));
    }
}

#[test]
fn a_context_is_its_threads_until_it_is_taken_from_it() {
    for lent in [false, true] {
        let world = FakeWorld::with_memory(17);
        let machine = &world;
        let n = machine.node();
        let (sc, owner, borrower) =
            (world.context(1000, 0), world.passive_thread(5, Cap::Null), world.passive_thread(6, Cap::Null));
        sched::bind_tcb(n, sc, owner);
        assert_eq!(sc.thread(), Some(owner));
        if lent {
            sched::donate(n, sc, borrower);
        }
        sched::unbind_tcb(n, sc);
        assert_eq!((sc.tcb.get(), owner.sc.get(), borrower.sc.get()), (None, None, None));
        // Who borrowed it gives it back; whose it is does not change by that.
        assert_eq!(sc.thread(), lent.then_some(owner), "lent {lent}");
    }
}

#[test]
fn a_context_that_goes_takes_nobody_elses_time() {
    let world = FakeWorld::with_memory(17);
    let machine = &world;
    let n = machine.node();
    let space = world.cnode(4);
    let (tcb, other) = (world.thread(10, space), world.context(1000, 10_000));
    world.put(space, 1, space);
    world.put(space, 2, Cap::SchedContext { sc: other, bits: 8 });
    world.run(tcb);
    let own = tcb.sc.get().expect("it has a context");
    world.advance(300);
    let delete = Message { label: label::CNODE_DELETE, words: &[2, 64], caps: &[] };
    assert_eq!(world.invoke(tcb, 1, delete).map(|a| a.label), Some(0));
    assert_eq!(n.current_sc.get(), Some(own));
    assert_eq!(own.consumed.get() + n.consumed.get(), 300);
}

#[test]
fn what_a_notification_lends_begins_when_it_is_lent() {
    for (takes, runs) in [(true, false), (false, false), (false, true)] {
        let world = FakeWorld::with_memory(17);
        let machine = &world;
        let n = machine.node();
        let (sc, ntfn) = (world.context(1000, 10_000), world.notification());
        owner::bind_ntfn(sc, ntfn);
        let tcb = world.passive_thread(10, Cap::Null);
        tcb.state.set(ThreadState::Running);
        if !takes {
            notify::wait(n, tcb, ntfn, true);
        }
        n.now.set(700);
        // It may be the context of a timer that is being served.
        n.current_sc.set(runs.then_some(sc));
        notify::signal(machine, ntfn, 1);
        if takes {
            assert!(notify::take(n, ntfn, tcb));
        }
        assert_eq!((tcb.sc.get(), tcb.state.get()), (Some(sc), ThreadState::Running));
        assert_eq!(sc.head_refill().time, if runs { 0 } else { 700 }, "taken {takes}, served {runs}");
    }
}

/// Who arms a timer at the cost of a context that is nobody's serves it at its own priority; of any other it changes nothing.
#[test]
fn a_context_of_nobodys_is_served_at_the_priority_of_who_arms() {
    for (holder, lent, owned) in (0..12).map(|i| (i % 3, i / 3 % 2 != 0, i / 6 != 0)) {
        let world = FakeWorld::with_memory(17);
        let space = world.cnode(4);
        let tcb = world.thread(10, space);
        let (sc, other) = (world.context(1000, 10_000), world.passive_thread(7, space));
        sc.served_at.set(3);
        match holder {
            0 => {}
            1 => sc.tcb.set(Some(tcb)),
            _ => sc.tcb.set(Some(other)),
        }
        sc.reply.set(lent.then(|| world.reply()));
        if owned {
            owner::bind_thread(sc, other);
        }
        world.put(space, 1, Cap::Timer { timer: world.timer() });
        world.put(space, 2, Cap::SchedContext { sc, bits: 8 });
        world.run(tcb);
        let arm = Message { label: ext::TIMER_ARM, words: &[1 << 40, 0], caps: &[2] };
        assert_eq!(world.invoke(tcb, 1, arm).map(|a| a.label), Some(0));
        let free = holder != 2 && !lent && !owned;
        let what = format!("holder {holder}, lent {lent}, owned {owned}");
        assert_eq!(sc.served_at.get(), if free { 10 } else { 3 }, "{what}");
    }
}

#[test]
fn there_is_one_domain() {
    let world = FakeWorld::with_memory(17);
    let space = world.cnode(4);
    let tcb = world.thread(10, space);
    world.put(space, 1, Cap::Domain);
    for (words, expected) in [
        ([0, 0, 5], None),
        ([0, 1, 5], Some((Error::RangeError as u64, [0, 0]))),
        ([0, u64::MAX, 5], Some((Error::RangeError as u64, [0, 0]))),
        ([1, 0, 5], Some((Error::RangeError as u64, [0, 0]))),
        ([0, 0, 0], Some((Error::InvalidArgument as u64, [2, 0]))),
        ([0, 0, u64::MAX >> 8], None),
        ([0, 0, 1 << 56], Some((Error::InvalidArgument as u64, [2, 0]))),
    ] {
        world.run(tcb);
        let configure = Message { label: label::DOMAIN_SCHEDULE_CONFIGURE, words: &words, caps: &[] };
        let answer = world.invoke(tcb, 1, configure).expect("it goes on");
        let (label, told) = expected.unwrap_or((0, [0, 0]));
        assert_eq!(answer.label, label, "{words:?}");
        if label != 0 {
            let count = if label == Error::RangeError as u64 { 2 } else { 1 };
            assert_eq!(answer.words[..count], told[..count], "{words:?}");
        }
    }
}
