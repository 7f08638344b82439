//! Time on the way out: after every step, whatever it was, the promises of [`crate::entry::leave`], [`crate::sched`],
//! [`crate::refill`] and [`crate::account`] hold together. All short histories of a small world, and long ones at random.
extern crate std;
use crate::arch::registers::REPLY;
use crate::cap::Cap;
use crate::fake::{BUDGET, FREQUENCY, FakeWorld, Message};
use crate::machine::Machine;
use crate::node::Action;
use crate::object::{Place, SchedContext, Tcb, ThreadState};
use crate::ptr::Ptr;
use crate::sched;
use crate::time::{MIN_BUDGET_US, Ticks};
use proptest::prelude::*;
use sel4_sys::{Badge, CapRights, ext, label, syscall};
use std::cell::{Cell, RefCell};
use std::vec;
use std::vec::Vec;

const THREADS: usize = 4;
const CONTEXTS: usize = 5;
const TIMERS: usize = 4;
// Slots.
const TCB: u64 = 1;
const SC: u64 = 8;
const TIMER: u64 = 16;
const NTFN: u64 = 24;
const EP: u64 = 28;
const REPLY_CAP: u64 = 30;
const CONTROL: u64 = 40;
const CNODE: u64 = 41;
const UNTYPED: u64 = 42;
/// Above all priorities.
const HIGHEST: u8 = 16;
/// The smallest budget, ticks.
const MIN: Ticks = MIN_BUDGET_US * FREQUENCY / 1_000_000;

/// Four threads of priorities 10, 10, 11 and 12, who know everything, on contexts that take turns or have a budget; a fifth
/// context that a notification lends.
struct Scene {
    world: FakeWorld,
    threads: Vec<Ptr<Tcb>>,
    contexts: Vec<Ptr<SchedContext>>,
    /// What each context's refills add up to.
    budgets: RefCell<Vec<Ticks>>,
    /// Time for which nobody ran.
    idle: Cell<Ticks>,
    /// Whether the sums of times used are all there: nobody read and cleared one, and no context was deleted.
    exact: Cell<bool>,
    steps: Cell<u64>,
}

/// What a thread, or the world, does next. Numbers name objects, modulo how many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Pause(Ticks),
    /// The same, and then another thread of the scene runs, if it can: as if it had been chosen.
    Wait(u64),
    Signal(u64),
    Poll(u64),
    Call(u64),
    ReplyRecv(u64),
    Yield,
    SetTls,
    Arm {
        timer: u64,
        delay: Ticks,
        period: Ticks,
        payer: Option<u64>,
    },
    Cancel(u64),
    Bind(u64, u64),
    Configure {
        sc: u64,
        budget: Ticks,
        period: Ticks,
        sporadic: bool,
    },
    BindContext(u64, u64),
    UnbindContext(u64),
    YieldTo(u64),
    Priority(u64, u64),
    Suspend(u64),
    Resume(u64),
    /// A long call that is preempted at its first preemption point, after so long.
    Revoke(Ticks),
    Delete(u64),
}

impl Scene {
    fn new(periods: [(Ticks, Ticks); THREADS]) -> Scene {
        let world = FakeWorld::with_memory(17);
        world.record_hardware(false);
        let space = world.cnode(6);
        let threads: Vec<_> =
            [10, 10, 11, 12].iter().map(|priority| world.thread(*priority, space)).collect();
        let mut contexts: Vec<_> = threads.iter().filter_map(|t| t.sc.get()).collect();
        for (sc, (budget, period)) in contexts.iter().zip(periods) {
            sc.configure(SchedContext::capacity(8), budget, period, 0);
        }
        contexts.push(world.context(100, 400));
        let timers: Vec<_> = (0..TIMERS).map(|_| world.timer()).collect();
        let notifications: Vec<_> = (0..2).map(|_| world.notification()).collect();
        let endpoint = world.endpoint();
        crate::owner::bind_ntfn(contexts[4], notifications[1]);
        let put = |at: u64, i: usize, cap| {
            world.put(space, at + i as u64, cap);
        };
        threads.iter().enumerate().for_each(|(i, tcb)| put(TCB, i, Cap::Tcb { tcb: *tcb }));
        contexts.iter().enumerate().for_each(|(i, sc)| put(SC, i, Cap::SchedContext { sc: *sc, bits: 8 }));
        for (i, timer) in timers.iter().enumerate() {
            put(TIMER, i, Cap::Timer { timer: *timer });
            let ntfn = notifications[i % 2];
            let cap = Cap::Notification { ntfn, badge: Badge(1 << i), rights: CapRights::WRITE };
            crate::slot::insert_root(cap, timer.slot());
        }
        for (i, ntfn) in notifications.iter().enumerate() {
            put(NTFN, i, Cap::Notification { ntfn: *ntfn, badge: Badge(16), rights: CapRights::ALL });
        }
        put(EP, 0, Cap::Endpoint { ep: endpoint, badge: Badge(0), rights: CapRights::ALL });
        put(REPLY_CAP, 0, Cap::Reply { reply: world.reply(), can_grant: true });
        put(CONTROL, 0, Cap::SchedControl { core: 0 });
        put(CNODE, 0, space);
        put(UNTYPED, 0, world.untyped(6));
        let budgets = periods.iter().map(|(budget, _)| *budget).chain([100]).collect();
        world.interrupt();
        let (idle, exact, steps) = (Cell::new(0), Cell::new(true), Cell::new(0));
        let budgets = RefCell::new(budgets);
        let scene = Scene { world, threads, contexts, budgets, idle, exact, steps };
        scene.check();
        scene
    }

    fn current(&self) -> Ptr<Tcb> {
        (&self.world).node().current()
    }
    fn now(&self) -> Ticks {
        (&self.world).node().now.get()
    }

    /// Time passes for whoever runs.
    fn pause(&self, ticks: Ticks) {
        let end = self.world.time() + ticks;
        // The timer is not late by more than it takes to finish an instruction.
        while self.world.time() < end {
            let left = end - self.world.time();
            let next = self.world.deadline().saturating_sub(self.world.time()).clamp(1, left);
            if self.current().state.get() == ThreadState::Idle {
                self.idle.set(self.idle.get() + next);
            }
            self.world.advance(next);
            self.settle();
        }
    }

    /// Takes the timer's interrupts until it is quiet. It gets so.
    fn settle(&self) {
        for _ in 0..200 {
            if self.world.deadline() > self.world.time() {
                return;
            }
            self.world.interrupt();
            self.check();
        }
        panic!("the timer fires for ever, at {} and now is {}", self.world.deadline(), self.world.time());
    }

    fn run(&self, step: &Step) {
        self.steps.set(self.steps.get() + 1);
        let tcb = self.current();
        match *step {
            Step::Pause(ticks) => self.pause(ticks),
            _ if tcb.state.get() == ThreadState::Idle => {}
            _ => self.call(tcb, step),
        }
        self.check();
        self.settle();
    }

    fn call(&self, tcb: Ptr<Tcb>, step: &Step) {
        let world = &self.world;
        let thread = |i: u64| TCB + i % THREADS as u64;
        let context = |i: u64| SC + i % CONTEXTS as u64;
        let timer = |i: u64| TIMER + i % TIMERS as u64;
        let send = |number, cptr, message: Message<'_>| {
            world.set_message(tcb, cptr, message);
            tcb.regs.set(REPLY, REPLY_CAP);
            world.system_call(tcb, number);
        };
        let invoke = |cptr, label, words: &[u64], caps: &[u64]| {
            send(syscall::CALL, cptr, Message { label, words, caps });
        };
        let plain = |number, cptr| send(number, cptr, Message::default());
        match *step {
            Step::Pause(_) => {}
            Step::Wait(i) => plain(syscall::WAIT, NTFN + i % 2),
            Step::Signal(i) => plain(syscall::SEND, NTFN + i % 2),
            Step::Poll(i) => plain(syscall::NB_WAIT, NTFN + i % 2),
            Step::Call(_) => plain(syscall::CALL, EP),
            Step::ReplyRecv(_) => plain(syscall::REPLY_RECV, EP),
            Step::Yield => plain(syscall::YIELD, 0),
            Step::SetTls => plain(syscall::SET_TLS_BASE, 0),
            Step::Arm { timer: i, delay, period, payer } => {
                let payer: Vec<u64> = payer.map(context).into_iter().collect();
                invoke(timer(i), ext::TIMER_ARM, &[world.time() + delay, period], &payer);
            }
            Step::Cancel(i) => invoke(timer(i), ext::TIMER_CANCEL, &[], &[]),
            Step::Bind(i, ntfn) => invoke(timer(i), ext::TIMER_BIND, &[], &[NTFN + ntfn % 2]),
            Step::Configure { sc, budget, period, sporadic } => {
                let badge = 1000 + self.steps.get();
                let words = [budget, period, 2, badge, sporadic.into()];
                invoke(CONTROL, label::SCHED_CONTROL_CONFIGURE_FLAGS, &words, &[context(sc)]);
                let i = (sc % CONTEXTS as u64) as usize;
                if self.contexts[i].badge.get() == badge {
                    self.budgets.borrow_mut()[i] = budget;
                }
            }
            Step::BindContext(sc, i) => invoke(context(sc), label::SCHED_CONTEXT_BIND, &[], &[thread(i)]),
            Step::UnbindContext(sc) => invoke(context(sc), label::SCHED_CONTEXT_UNBIND, &[], &[]),
            Step::YieldTo(sc) => {
                self.exact.set(false);
                invoke(context(sc), label::SCHED_CONTEXT_YIELD_TO, &[], &[]);
            }
            Step::Priority(i, priority) => {
                invoke(thread(i), label::TCB_SET_PRIORITY, &[priority], &[thread(3)]);
            }
            Step::Suspend(i) => invoke(thread(i), label::TCB_SUSPEND, &[], &[]),
            Step::Resume(i) => invoke(thread(i), label::TCB_RESUME, &[], &[]),
            Step::Revoke(after) => {
                // An object to take away, and a preemption in the middle of that.
                invoke(UNTYPED, label::UNTYPED_RETYPE, &[2, 0, 0, 0, 50, 1], &[CNODE]);
                if self.current() == tcb {
                    world.advance(after);
                    world.preempt_at(0);
                    invoke(CNODE, label::CNODE_REVOKE, &[UNTYPED, 64], &[]);
                    world.preempt_never();
                }
            }
            Step::Delete(slot) => {
                self.exact.set(false);
                invoke(CNODE, label::CNODE_DELETE, &[slot, 64], &[]);
            }
        }
    }

    /// What holds whenever the kernel is left.
    fn check(&self) {
        let m = &self.world;
        let n = m.node();
        let now = self.now();
        let current = n.current();
        assert!(n.action.get() == Action::Resume);
        assert_eq!(n.current_sc.get(), current.sc.get().filter(|sc| sc.is_active()), "whose time it is");
        let is_idle = current.state.get() == ThreadState::Idle;
        assert!(is_idle || current.is_schedulable());
        let usable = |sc: &Ptr<SchedContext>| sched::is_usable(n, *sc);
        let mut next = n.current_sc.get().map_or(Ticks::MAX, |sc| n.now.get() + sc.head_refill().amount);

        // Threads, and the queues that they are in.
        let queued: Vec<(u8, Ptr<Tcb>)> = (0..HIGHEST)
            .flat_map(|p| std::iter::successors(n.ready(p).head, |t| t.sched_next.get()).map(move |t| (p, t)))
            .collect();
        for (priority, t) in &queued {
            assert!(t.in_ready_queue.get() && t.priority.get() == *priority && *t != current);
            assert!(
                t.is_schedulable() && t.sc.get().is_some_and(|sc| usable(&sc)),
                "a ready thread that cannot run"
            );
            assert!(!is_idle && *priority <= current.priority.get(), "a ready thread that should run");
        }
        let mut released = crate::heap::tests::members(n.release.first());
        released.iter().for_each(|t| next = next.min(t.release_at.get().0));
        for t in &self.threads {
            let is_queued = queued.iter().any(|(_, q)| q == t);
            assert_eq!(t.in_ready_queue.get(), is_queued);
            let at = released.iter().position(|r| r == t);
            assert_eq!(t.in_release_queue.get(), at.is_some());
            at.map(|at| released.remove(at));
            if t.is_schedulable() {
                assert!(is_queued || *t == current, "a thread that can run, and nobody knows");
            }
            if let Some(sc) = t.sc.get().filter(|sc| sc.is_active()) {
                assert_eq!(sc.tcb.get(), Some(*t));
                let at = t.release_at.get().0;
                if !t.in_release_queue.get() {
                    assert!(usable(&sc), "a context that waits for {:?}, and nobody knows", sc.head_refill());
                } else {
                    assert!(at <= sc.head_refill().time && (!usable(&sc) || self.world.deadline() <= at));
                }
            }
        }
        assert!(released.is_empty());

        // Contexts, their refills and their timers.
        for (sc, budget) in self.contexts.iter().zip(&*self.budgets.borrow()).filter(|(sc, _)| sc.is_active())
        {
            let refills: Vec<_> = sc.refills().collect();
            assert_eq!(sc.total(), *budget, "{refills:?}");
            assert!(refills[0].amount >= MIN, "{refills:?}");
            let ordered = |pair: &[crate::object::Refill]| pair[0].time + pair[0].amount <= pair[1].time;
            assert!(sc.is_round_robin() || refills.windows(2).all(ordered), "{refills:?}");
            match (sc.place.get(), sc.timers.deadline()) {
                (Place::Nowhere, deadline) => assert_eq!(deadline, None),
                (Place::Waiting, Some(deadline)) => {
                    assert!(
                        n.accounts.next().is_some_and(|time| time <= deadline.max(sc.head_refill().time))
                    );
                    // Only for want of budget does an account wait beyond its deadline.
                    let waits = deadline > now || sc.head_refill().time > now;
                    assert!(waits || n.accounts.next().is_some_and(|time| time <= now));
                }
                (Place::Due, Some(_)) => {
                    assert!(n.accounts.due(sc.served_at.get()).is_some());
                    if let Some(t) = sc.thread() {
                        assert_eq!(
                            sc.served_at.get(),
                            t.priority.get(),
                            "where the timers of {sc:?} are served"
                        );
                    }
                    assert!(
                        !is_idle && sc.served_at.get() <= current.priority.get(),
                        "an account that should be served"
                    );
                }
                (place, None) => panic!("without timers, but {place:?}"),
            }
        }
        for sc in self.contexts.iter().filter(|sc| sc.place.get() == Place::Due) {
            assert_eq!(
                sc.timers.first.get().map(|first| first.key.get()),
                Some(sc.turn.get()),
                "a turn that is over"
            );
        }
        assert!(sched::next_account(n).is_none() && n.accounts.take_held().is_none());
        next = next.min(n.accounts.next().unwrap_or(Ticks::MAX));
        let highest = (0..HIGHEST).rev().find(|p| n.ready(*p).head.is_some() || n.accounts.is_due(*p));
        assert_eq!(n.highest_ready(), highest);
        assert!(
            n.armed.get() == self.world.deadline() && n.armed.get() <= next.max(now + 1),
            "fires at {}, not at {next}",
            n.armed.get()
        );

        // All time is somebody's.
        if self.exact.get() {
            let used: Ticks = self.contexts.iter().map(|sc| sc.consumed.get()).sum();
            let time = self.world.time();
            let pending = n.current_sc.get().map_or(0, |_| n.consumed.get() + time - now);
            assert_eq!(used + pending + self.idle.get(), time, "time that nobody paid for");
        }
    }
}

/// Takes turns; a tenth; a tenth in a short period; takes turns.
const PERIODS: [(Ticks, Ticks); THREADS] = [(BUDGET, 0), (100, 1000), (30, 300), (60, 0)];

/// All histories of four steps, each followed by a pause of its own length, from a world in which timers of two contexts are armed
/// and the threads of higher priority wait.
#[test]
#[cfg_attr(miri, ignore = "takes too long there")]
fn every_short_history() {
    let steps = [
        Step::Wait(0),
        Step::Wait(1),
        Step::Signal(0),
        Step::Call(0),
        Step::ReplyRecv(0),
        Step::Yield,
        Step::SetTls,
        Step::Arm { timer: 2, delay: 0, period: 20, payer: None },
        Step::Arm { timer: 3, delay: 15, period: 0, payer: Some(4) },
        Step::Cancel(0),
        Step::Configure { sc: 1, budget: 40, period: 40, sporadic: false },
        Step::Configure { sc: 0, budget: 50, period: 500, sporadic: true },
        Step::UnbindContext(2),
        Step::BindContext(2, 2),
        Step::YieldTo(1),
        Step::Priority(1, 12),
        Step::Suspend(2),
        Step::Resume(2),
        Step::Revoke(95),
        Step::Delete(SC + 2),
        Step::Delete(TIMER),
    ];
    let scene = Scene::new(PERIODS);
    for (thread, timer, period) in [(3, 0, 20), (2, 1, 25)] {
        assert!(scene.current() == scene.threads[thread]);
        scene.run(&Step::Arm { timer, delay: 40, period, payer: None });
        scene.run(&Step::Wait(timer));
    }
    let start = scene.world.snapshot();
    let (budgets, idle, exact) = (scene.budgets.borrow().clone(), scene.idle.get(), scene.exact.get());
    let depth = if cfg!(miri) { 1 } else { 3 };
    let mut histories = 0u64;
    for history in 0..(steps.len() as u64).pow(depth) {
        for pauses in [[0, 0, 0, 0], [0, 18, 85, 400], [90, 7, 0, 1000]] {
            scene.world.restore(&start);
            scene.budgets.replace(budgets.clone());
            scene.idle.set(idle);
            scene.exact.set(exact);
            for at in 0..depth {
                let step = &steps[(history / (steps.len() as u64).pow(at)) as usize % steps.len()];
                scene.run(&Step::Pause(pauses[at as usize]));
                scene.run(step);
            }
            scene.run(&Step::Pause(pauses[3]));
            histories += 1;
        }
    }
    std::println!("{histories} histories, {} steps", scene.steps.get());
}

fn step() -> impl Strategy<Value = Step> {
    let pause = prop_oneof![3 => 0u64..30, 2 => 30u64..120, 1 => 120u64..3000, 1 => Just(6000u64)];
    let object = || 0u64..5;
    let arm = (object(), 0u64..200, prop_oneof![Just(0u64), 20u64..60], prop::option::of(object()));
    let configure = (object(), 20u64..200, 0u64..400, any::<bool>());
    prop_oneof![
        8 => pause.prop_map(Step::Pause),
        3 => object().prop_map(Step::Wait),
        3 => object().prop_map(Step::Signal),
        1 => object().prop_map(Step::Poll),
        2 => object().prop_map(Step::Call),
        2 => object().prop_map(Step::ReplyRecv),
        2 => Just(Step::Yield),
        1 => Just(Step::SetTls),
        6 => arm.prop_map(|(timer, delay, period, payer)| Step::Arm { timer, delay, period, payer }),
        1 => object().prop_map(Step::Cancel),
        1 => (object(), object()).prop_map(|(timer, ntfn)| Step::Bind(timer, ntfn)),
        2 => configure.prop_map(|(sc, budget, more, sporadic)| Step::Configure { sc, budget, period: budget + more, sporadic }),
        1 => (object(), object()).prop_map(|(sc, thread)| Step::BindContext(sc, thread)),
        1 => object().prop_map(Step::UnbindContext),
        1 => object().prop_map(Step::YieldTo),
        2 => (object(), 9u64..13).prop_map(|(thread, priority)| Step::Priority(thread, priority)),
        1 => object().prop_map(Step::Suspend),
        2 => object().prop_map(Step::Resume),
        1 => (0u64..120).prop_map(Step::Revoke),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(if cfg!(miri) { 1 } else { 1000 }) })]

    #[test]
    fn the_way_out_keeps_its_promises(steps in prop::collection::vec(step(), 1..if cfg!(miri) { 20 } else { 80 }), cost in prop_oneof![Just(0u64), 1u64..4]) {
        let scene = Scene::new(PERIODS);
        scene.world.kernel_takes(cost);
        scene.exact.set(cost == 0);
        steps.iter().for_each(|s| scene.run(s));
    }
}

/// The running thread's refill is there again in the pass that has woken two others: the highest of all three runs.
#[test]
fn who_runs_already_is_compared_with_those_found_meanwhile() {
    let scene = Scene::new(PERIODS);
    scene.world.kernel_takes(3);
    scene.exact.set(false);
    let steps = [
        Step::Configure { sc: 0, budget: 27, period: 35, sporadic: false },
        Step::Arm { timer: 4, delay: 2, period: 41, payer: Some(2) },
        Step::Wait(1),
        Step::Arm { timer: 2, delay: 34, period: 0, payer: None },
        Step::Pause(13),
        Step::Wait(0),
        Step::Pause(15),
        Step::Poll(0),
        Step::Arm { timer: 1, delay: 0, period: 0, payer: Some(2) },
        Step::Pause(14),
        Step::Call(0),
        Step::Pause(0),
        Step::Pause(511),
    ];
    steps.iter().for_each(|s| scene.run(s));
}
