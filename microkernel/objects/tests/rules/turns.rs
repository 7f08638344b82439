//! Turns and owners: whose turn ended is behind its equals, however it was about to run; and whose a context is.
use axiom_objects::fake::FakeWorld;
use axiom_objects::machine::Machine;
use axiom_objects::node::Action;
use axiom_objects::{Cap, entry, sched};

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
