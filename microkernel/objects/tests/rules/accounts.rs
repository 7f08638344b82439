//! Accounts that are due: served when their turn comes before everybody who would run, in hand or not, wherever their thread's priority
//! puts them.
use axiom_objects::fake::FakeWorld;
use axiom_objects::machine::Machine;
use axiom_objects::node::Action;
use axiom_objects::{Cap, Ptr, SchedContext, Tcb, sched, thread};

/// Of a rival: nobody, or a thread of a priority whose context had its turn at a time.
type Rival = Option<(u8, u64)>;

/// A thread that could run, as current, as candidate, or ready.
fn rival(world: &FakeWorld, rival: Rival) -> Option<Ptr<Tcb>> {
    let (priority, turn) = rival?;
    let tcb = world.thread(priority, Cap::Null);
    let machine = world;
    machine.node().dequeue(tcb);
    tcb.sc.get().expect("it has a context").turn.set(turn);
    Some(tcb)
}

/// An account of a thread of priority 10, due since the start, whose turn was at 5.
fn account(world: &FakeWorld) -> (Ptr<SchedContext>, Ptr<Tcb>) {
    let machine = world;
    let n = machine.node();
    let (sc, home, timer) = (world.context(1000, 10_000), world.passive_thread(10, Cap::Null), world.timer());
    home.sc.set(Some(sc));
    sc.tcb.set(Some(home));
    sched::own(n, sc, home);
    sc.turn.set(5);
    n.emptied(n.accounts.arm(timer, sc, 0, 0));
    n.emptied(n.accounts.leave(sc));
    (sc, home)
}

#[test]
fn an_account_is_served_before_whoever_would_run_after_it() {
    let rivals: [Rival; 7] =
        [None, Some((9, 1)), Some((10, 4)), Some((10, 5)), Some((10, 6)), Some((11, 9)), Some((11, 1))];
    for held in [true, false] {
        for current in rivals {
            for candidate in rivals {
                for ready in rivals {
                    for stopped in [false, true] {
                        let world = FakeWorld::with_memory(17);
                        let machine = &world;
                        let n = machine.node();
                        let (running, next, first) =
                            (rival(&world, current), rival(&world, candidate), rival(&world, ready));
                        let (sc, _) = account(&world);
                        if let Some(tcb) = running {
                            world.run(tcb);
                            if stopped {
                                tcb.state.set(axiom_objects::object::ThreadState::Inactive);
                            }
                        }
                        if let Some(tcb) = first {
                            n.enqueue(tcb, false);
                        }
                        n.action.set(next.map_or(Action::ChooseNew, Action::SwitchTo));
                        if held {
                            n.accounts.hold(sc);
                        } else {
                            n.make_due(sc, 10);
                        }
                        let before = |rival: Rival| {
                            rival
                                .is_some_and(|(priority, turn)| priority > 10 || (priority == 10 && turn < 5))
                        };
                        let beaten = [current.filter(|_| !stopped), candidate, ready].into_iter().any(before);
                        let taken = sched::take_account(n);
                        assert_eq!(
                            taken,
                            (!beaten).then_some(sc),
                            "held {held}, {current:?} (stopped {stopped}), {candidate:?}, {ready:?}"
                        );
                        assert_eq!(n.accounts.is_any_due(), beaten);
                        assert_eq!(n.accounts.is_due(10), beaten, "who is not served is due at its priority");
                    }
                }
            }
        }
    }
}

#[test]
fn an_account_is_due_at_the_priority_of_its_thread() {
    for (priority, lent) in [3, 10, 20].into_iter().flat_map(|p| [(p, false), (p, true)]) {
        for due in [true, false] {
            let world = FakeWorld::with_memory(17);
            let machine = &world;
            let n = machine.node();
            let (sc, home) = account(&world);
            let (other, _) = account(&world);
            if lent {
                // Who runs on the context does not matter, with whatever priority.
                let borrower = world.passive_thread(30, Cap::Null);
                home.sc.set(None);
                borrower.sc.set(Some(sc));
                sc.tcb.set(Some(borrower));
                thread::set_priority(n, borrower, 40);
            }
            n.make_due(other, 10);
            if due {
                n.make_due(sc, 10);
            }
            thread::set_priority(n, home, priority);
            assert_eq!(n.accounts.is_due(priority), due || priority == 10, "{priority}");
            assert!(n.accounts.is_due(10));
            assert_eq!(n.highest_ready(), Some(if due { priority.max(10) } else { 10 }));
            // It leaves nothing where it was.
            n.emptied(n.accounts.leave(other));
            assert_eq!(n.accounts.is_due(10), due && priority == 10);
            if due {
                assert_eq!(n.highest_ready(), Some(priority));
                n.emptied(n.accounts.leave(sc));
            }
            assert_eq!((n.highest_ready(), n.accounts.is_any_due()), (None, false));
            // Due later, it is due there.
            sched::place(n, sc);
            assert!(n.accounts.is_due(priority));
        }
    }
}

#[test]
fn an_account_waits_for_its_deadline_and_for_its_refill() {
    for deadline in [50u64, 100, 101, 700] {
        for refill in [0u64, 100, 400] {
            let world = FakeWorld::with_memory(17);
            let machine = &world;
            let n = machine.node();
            n.now.set(100);
            n.slack.set(0);
            let (sc, timer) = (world.context(1000, 10_000), world.timer());
            sc.configure(4, 1000, 10_000, refill);
            n.emptied(n.accounts.arm(timer, sc, deadline, 0));
            n.emptied(n.accounts.leave(sc));
            n.reprogram.set(false);
            sched::place(n, sc);
            let is_due = deadline <= 100 && refill <= 100;
            assert_eq!(n.accounts.is_any_due(), is_due, "deadline {deadline}, refill {refill}");
            let waits = if deadline <= 100 { deadline.max(refill) } else { deadline };
            assert_eq!(n.accounts.next(), (!is_due).then_some(waits), "deadline {deadline}, refill {refill}");
            assert_eq!(n.reprogram.get(), !is_due);
        }
    }
}
