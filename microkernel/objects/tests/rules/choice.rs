//! Who runs next, and on whose time: every relation of the running thread, the one that was woken, and those that are ready, against one
//! order; what taking a context, losing it, or stopping does to the choice; when the timer fires.
use axiom_objects::fake::{BUDGET, FREQUENCY, FakeWorld, Hardware, TIMER_IRQ};
use axiom_objects::machine::Machine;
use axiom_objects::node::{Action, Node};
use axiom_objects::object::ThreadState;
use axiom_objects::time::NEVER;
use axiom_objects::{Cap, Ptr, SchedContext, Tcb, entry, sched};
use std::collections::{BTreeMap, VecDeque};

/// The threads that are ready at a priority, from the first.
fn ready(n: &Node, priority: u8) -> Vec<Ptr<Tcb>> {
    let mut all = Vec::new();
    while let Some(tcb) = n.first_ready(priority) {
        n.dequeue(tcb);
        all.push(tcb);
    }
    all.iter().for_each(|tcb| n.enqueue(*tcb, false));
    all
}

/// A thread in no queue.
fn thread(world: &FakeWorld, priority: u8) -> Ptr<Tcb> {
    let machine = world;
    let tcb = world.thread(priority, Cap::Null);
    machine.node().dequeue(tcb);
    tcb
}

/// Who was woken.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Woken {
    Nobody,
    Running,
    Other(u8),
    /// It cannot run after all.
    Stopped(u8),
}

#[test]
fn the_choice_is_the_first_of_one_order() {
    let woken = [9, 10, 11].into_iter().flat_map(|p| [Woken::Other(p), Woken::Stopped(p)]);
    let woken: Vec<Woken> = woken.chain([Woken::Nobody, Woken::Running]).collect();
    let others: [&[u8]; 7] = [&[], &[9], &[10, 10], &[11], &[9, 10], &[11, 11, 9], &[9, 10, 11]];
    for (runs, woken) in [true, false].into_iter().flat_map(|runs| woken.iter().map(move |w| (runs, *w))) {
        for others in others {
            let world = FakeWorld::with_memory(17);
            let machine = &world;
            let n = machine.node();
            let current = thread(&world, 10);
            world.run(current);
            if !runs {
                current.state.set(ThreadState::Inactive);
            }
            let mut order: BTreeMap<u8, VecDeque<Ptr<Tcb>>> = BTreeMap::new();
            for priority in others {
                let tcb = thread(&world, *priority);
                n.enqueue(tcb, false);
                order.entry(*priority).or_default().push_back(tcb);
            }
            let candidate = match woken {
                Woken::Nobody => None,
                Woken::Running => Some(current),
                Woken::Other(priority) | Woken::Stopped(priority) => Some(thread(&world, priority)),
            };
            n.action.set(candidate.map_or(Action::ChooseNew, Action::SwitchTo));
            if let (Woken::Stopped(_), Some(tcb)) = (woken, candidate) {
                tcb.state.set(ThreadState::Inactive);
            }
            // The order: who ran before its equals; whoever was woken as well, but at the end of those that it would have interrupted.
            if runs {
                order.entry(10).or_default().push_front(current);
            }
            if let Woken::Other(priority) = woken
                && let Some(tcb) = candidate
            {
                let equals = order.entry(priority).or_default();
                if runs && priority == 10 { equals.push_back(tcb) } else { equals.push_front(tcb) }
            }
            let highest = order.iter().rev().find(|(_, queue)| !queue.is_empty()).map(|(p, _)| *p);
            let expected = highest.and_then(|p| order.get_mut(&p).and_then(VecDeque::pop_front));
            entry::leave(machine);
            let what = format!("runs {runs}, woken {woken:?}, ready {others:?}");
            assert_eq!(world.current(), expected.unwrap_or(n.idle()), "{what}");
            assert!(n.action.get() == Action::Resume);
            for priority in 9..12 {
                let left: Vec<_> = order.remove(&priority).unwrap_or_default().into();
                assert_eq!(ready(n, priority), left, "{what}: at {priority}");
            }
            assert_eq!(n.current_sc.get(), world.current().sc.get(), "{what}");
        }
    }
}

/// What a thread is to the scheduler.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    Running,
    Woken,
    Ready,
    Later,
    Stopped,
}

const PLACES: [Place; 5] = [Place::Running, Place::Woken, Place::Ready, Place::Later, Place::Stopped];

/// A thread of priority 10 there, and another one that runs or is woken where this one is not.
fn placed(place: Place) -> (FakeWorld, Ptr<Tcb>, Ptr<SchedContext>, Ptr<Tcb>) {
    let world = FakeWorld::with_memory(17);
    let machine = &world;
    let n = machine.node();
    let (tcb, running, woken) = (thread(&world, 10), thread(&world, 10), thread(&world, 12));
    let sc = tcb.sc.get().expect("it has a context");
    world.run(if place == Place::Running { tcb } else { running });
    n.dequeue(running);
    n.action.set(Action::SwitchTo(woken));
    match place {
        Place::Running => n.action.set(Action::Resume),
        Place::Woken => n.action.set(Action::SwitchTo(tcb)),
        Place::Ready => n.enqueue(tcb, false),
        Place::Later => {
            sc.configure(4, 1000, 10_000, world.time() + 500);
            sched::settle(n, sc);
            assert!(tcb.in_release_queue.get());
        }
        Place::Stopped => tcb.state.set(ThreadState::Inactive),
    }
    (world, tcb, sc, woken)
}

#[test]
fn who_loses_its_context_is_nowhere_and_not_chosen() {
    for place in PLACES {
        for lends in [true, false] {
            let (world, tcb, sc, woken) = placed(place);
            let machine = &world;
            let n = machine.node();
            let to = world.passive_thread(11, Cap::Null);
            if lends {
                sched::donate(n, sc, to);
            } else {
                sched::unbind_tcb(n, sc);
            }
            let what = format!("{place:?}, lends {lends}");
            assert_eq!((tcb.sc.get(), sc.tcb.get()), (None, lends.then_some(to)), "{what}");
            assert_eq!(to.sc.get(), lends.then_some(sc));
            assert!(!tcb.in_ready_queue.get() && !tcb.in_release_queue.get(), "{what}");
            assert_eq!(to.in_release_queue.get(), lends && place == Place::Later, "{what}");
            // The choice is open only if it was this thread's.
            let expected = match place {
                Place::Running | Place::Woken => Action::ChooseNew,
                _ => Action::SwitchTo(woken),
            };
            assert!(n.action.get() == expected, "{what}");
            assert_eq!(n.highest_ready(), None, "{what}: nobody was put among the ready");
        }
    }
}

#[test]
fn whose_state_ends_its_running_is_replaced() {
    for place in PLACES {
        for state in
            [ThreadState::Inactive, ThreadState::BlockedOnReply, ThreadState::Running, ThreadState::Restart]
        {
            let (world, tcb, _, woken) = placed(place);
            let machine = &world;
            let n = machine.node();
            sched::set_state(n, tcb, state);
            assert_eq!(tcb.state.get(), state);
            let runs = matches!(state, ThreadState::Running | ThreadState::Restart);
            let expected = match place {
                Place::Running if runs => Action::Resume,
                Place::Running => Action::ChooseNew,
                Place::Woken => Action::SwitchTo(tcb),
                _ => Action::SwitchTo(woken),
            };
            assert!(n.action.get() == expected, "{place:?}, {state:?}");
            assert_eq!(ready(n, 12), [], "{place:?}, {state:?}: the woken one stays where it was");
        }
    }
}

#[test]
fn a_second_thread_that_is_woken_is_compared_with_the_first() {
    for (first, second) in [(10, 10), (10, 11), (11, 10)] {
        let world = FakeWorld::with_memory(17);
        let machine = &world;
        let n = machine.node();
        let (low, a, b) = (thread(&world, 5), thread(&world, first), thread(&world, second));
        world.run(low);
        n.dequeue(low);
        sched::switch_if_higher(n, a);
        assert!(n.action.get() == Action::SwitchTo(a));
        sched::switch_if_higher(n, b);
        assert!(n.action.get() == Action::ChooseNew);
        // The later one is before its equals.
        let expected = if first > second { a } else { b };
        entry::leave(machine);
        assert_eq!(world.current(), expected, "{first}, then {second}");
        // Whoever has no context, or waits for its refill, is not woken.
        let passive = world.passive_thread(20, Cap::Null);
        passive.state.set(ThreadState::Running);
        sched::switch_if_higher(n, passive);
        assert!(n.action.get() == Action::Resume);
        let later = thread(&world, 20);
        let sc = later.sc.get().expect("it has a context");
        sc.configure(4, 1000, 10_000, world.time() + 500);
        sched::settle(n, sc);
        n.action.set(Action::Resume);
        sched::switch_if_higher(n, later);
        assert!(n.action.get() == Action::Resume);
    }
}

#[test]
fn the_timer_fires_at_the_first_of_three_times() {
    // The head refill of who runs ends at 5000; a thread's refill comes; a timer is due. An earlier time that is armed stays.
    for release in [None, Some(4000), Some(6000)] {
        for timer in [None, Some(3000), Some(4500), Some(7000)] {
            for armed in [NEVER, 2000, 3000, 4000, 5000, 5001] {
                let world = FakeWorld::with_memory(17);
                let machine = &world;
                let n = machine.node();
                let tcb = thread(&world, 10);
                world.run(tcb);
                if let Some(time) = release {
                    let other = thread(&world, 11);
                    let sc = other.sc.get().expect("it has a context");
                    sc.configure(4, 1000, 10_000, time);
                    sched::settle(n, sc);
                }
                if let Some(time) = timer {
                    let sc = world.context(1000, 10_000);
                    n.emptied(n.accounts.arm(world.timer(), sc, time, 0));
                }
                n.armed.set(armed);
                world.take_log();
                sched::switch_context(machine);
                let next = [Some(BUDGET), release, timer].into_iter().flatten().min().expect("one is there");
                let set: Vec<_> = world.take_log();
                let expected = if next < armed { vec![Hardware::Deadline(next)] } else { vec![] };
                assert_eq!(set, expected, "refill {release:?}, timer {timer:?}, armed {armed}");
                assert_eq!(n.armed.get(), next.min(armed));
                assert!(!n.reprogram.get());
            }
        }
    }
}

#[test]
fn time_is_charged_to_whoever_used_it_and_refills_of_the_past_start_when_they_are_used() {
    for sporadic in [false, true] {
        for same in [false, true] {
            for active in [true, false] {
                let world = FakeWorld::with_memory(17);
                let machine = &world;
                let n = machine.node();
                let (tcb, other) = (thread(&world, 10), thread(&world, 10));
                world.run(tcb);
                world.advance(700);
                sched::update_timestamp(machine);
                assert_eq!((n.consumed.get(), n.now.get()), (700, 700));
                let next = if same { tcb } else { other };
                let sc = next.sc.get().expect("it has a context");
                sc.configure(4, BUDGET, 4 * BUDGET, 0);
                sc.sporadic.set(sporadic);
                if !active {
                    sc.refill_max.set(0);
                }
                n.set_current(next);
                let used = tcb.sc.get().expect("it has a context");
                sched::switch_context(machine);
                let what = format!("sporadic {sporadic}, the same {same}, active {active}");
                let charged = if same && !active { 0 } else { 700 };
                assert_eq!((used.consumed.get(), n.consumed.get()), (charged, 0), "{what}");
                assert_eq!(n.current_sc.get(), Some(sc));
                let refills: Vec<_> = sc.refills().map(|refill| (refill.time, refill.amount)).collect();
                let expected = match (same, active && !sporadic) {
                    (true, _) if active => vec![(700, BUDGET - 700), (4 * BUDGET, 700)],
                    (false, true) => vec![(700, BUDGET)],
                    _ => vec![(0, BUDGET)],
                };
                assert_eq!(refills, expected, "{what}");
            }
        }
    }
    // Whoever is served by its timers begins as well, but for a sporadic server that runs.
    for (sporadic, state) in [false, true].into_iter().flat_map(|s| {
        [None, Some(ThreadState::Inactive), Some(ThreadState::Running)].map(move |state| (s, state))
    }) {
        let world = FakeWorld::with_memory(17);
        let machine = &world;
        let n = machine.node();
        let sc = world.context(1000, 10_000);
        sc.sporadic.set(sporadic);
        if let Some(state) = state {
            let tcb = world.passive_thread(5, Cap::Null);
            tcb.state.set(state);
            tcb.sc.set(Some(sc));
            sc.tcb.set(Some(tcb));
        }
        n.now.set(800);
        sched::take_over(n, sc);
        assert_eq!(n.current_sc.get(), Some(sc));
        let goes_on = sporadic && state == Some(ThreadState::Running);
        assert_eq!(sc.head_refill().time, if goes_on { 0 } else { 800 }, "sporadic {sporadic}, {state:?}");
    }
    // A server that is woken begins anew only if it is sporadic, and not the one that runs.
    for sporadic in [false, true] {
        for (runs, active) in [(false, true), (true, true), (false, false)] {
            let world = FakeWorld::with_memory(17);
            let machine = &world;
            let n = machine.node();
            let tcb = thread(&world, 10);
            let sc = tcb.sc.get().expect("it has a context");
            sc.configure(4, BUDGET, 4 * BUDGET, 0);
            sc.sporadic.set(sporadic);
            if !active {
                sc.refill_max.set(0);
            }
            n.current_sc.set(runs.then_some(sc));
            n.now.set(900);
            n.reprogram.set(false);
            sched::unblock_sporadic(n, tcb);
            let begins = sporadic && !runs && active;
            assert_eq!((sc.head_refill().time, n.reprogram.get()), (if begins { 900 } else { 0 }, begins));
        }
    }
}

#[test]
fn who_waits_for_its_refill_is_there_once_and_first_come_at_equal_times() {
    let world = FakeWorld::with_memory(17);
    let machine = &world;
    let n = machine.node();
    let threads = [700, 500, 500, 600, 400].map(|time| {
        let tcb = thread(&world, 10);
        let sc = tcb.sc.get().expect("it has a context");
        sc.configure(4, 1000, 10_000, time);
        (tcb, sc, time)
    });
    world.run(threads[0].0);
    for (i, (tcb, sc, at)) in threads.iter().enumerate() {
        for _ in 0..2 {
            n.action.set(Action::Resume);
            n.reprogram.set(false);
            let inside = tcb.in_release_queue.get();
            n.enqueue(*tcb, false);
            sched::postpone(n, *sc);
            assert!(tcb.in_release_queue.get() && !tcb.in_ready_queue.get());
            // The timer is set anew for the first, and somebody else is chosen for who runs.
            let is_first = threads[..i].iter().all(|(_, _, time)| time > at);
            assert_eq!(n.reprogram.get(), is_first && !inside, "{i}");
            assert!(
                n.action.get() == if i == 0 && !inside { Action::ChooseNew } else { Action::Resume },
                "{i}"
            );
        }
        assert_eq!(n.released.get(), i as u64 + 1);
    }
    // Those whose time has come, up to the slack, in order.
    n.slack.set(10);
    n.now.set(490);
    n.current_sc.set(None);
    sched::awaken(n);
    let waits: Vec<bool> = threads.iter().map(|(tcb, ..)| tcb.in_release_queue.get()).collect();
    assert_eq!(waits, [true, false, false, true, false]);
    assert!(n.reprogram.get());
    n.action.set(Action::Resume);
    n.reprogram.set(false);
    sched::awaken(n);
    assert!(!n.reprogram.get() && n.action.get() == Action::Resume, "nobody's time has come");
}

#[test]
fn every_priority_is_found_and_forgotten() {
    let world = FakeWorld::with_memory(17);
    let machine = &world;
    let n = machine.node();
    let (a, b, sc) = (thread(&world, 0), thread(&world, 0), world.context(1000, 0));
    n.emptied(n.accounts.arm(world.timer(), sc, 0, 0));
    n.emptied(n.accounts.leave(sc));
    for p in 0..=255u8 {
        for q in [0, 1, 62, 63, 64, 65, 127, 128, 191, 192, 254, 255] {
            a.priority.set(p);
            b.priority.set(q);
            n.enqueue(a, false);
            assert_eq!((n.highest_ready(), n.first_ready(p)), (Some(p), Some(a)));
            n.enqueue(b, false);
            n.enqueue(b, true);
            assert_eq!(n.highest_ready(), Some(p.max(q)));
            // An account that is due keeps its priority as a thread does.
            n.make_due(sc, p);
            n.dequeue(a);
            n.dequeue(a);
            assert_eq!(n.highest_ready(), Some(p.max(q)), "{p} and {q}");
            n.emptied(n.accounts.leave(sc));
            assert_eq!((n.highest_ready(), n.first_ready(q)), (Some(q), Some(b)), "{p} and {q}");
            n.dequeue(b);
            assert_eq!(n.highest_ready(), None);
        }
    }
}

#[test]
fn long_work_looks_up_at_every_hundredth_unit() {
    // Units that come before, of memory, and by themselves: how many more it takes.
    for (bytes, units, left) in [
        (0, 0, 100),
        (319, 0, 100),
        (320, 0, 99),
        (32_000, 0, 1),
        (64_000, 0, 1),
        (0, 99, 1),
        (4096, 8, 80),
        (0, 1, 99),
    ] {
        let world = FakeWorld::with_memory(17);
        let machine = &world;
        let n = machine.node();
        for _ in 0..2 {
            n.add_work(bytes);
            n.add_units(units);
            let calls = (1..1000).find(|_| n.work_done());
            assert_eq!(calls, Some(left), "{bytes} bytes and {units} units before");
        }
        n.add_work(u64::from(u32::MAX) * 320);
        assert_eq!(n.next_order() + 1, n.next_order());
    }
    let world = FakeWorld::with_memory(17);
    let machine = &world;
    let n = machine.node();
    assert_eq!((n.us_to_ticks(7), n.timer_irq.get()), (7 * FREQUENCY / 1_000_000, TIMER_IRQ));
    assert_eq!((n.min_budget.get(), n.slack.get()), (20, 10));
    assert_eq!(n.idle().state.get(), ThreadState::Idle);
}
