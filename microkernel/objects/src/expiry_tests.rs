//! Who is kept from running by timers, and for how long: hostile holders of many timers beside a thread that has to be in time.
extern crate std;
use crate::arch::registers::{CAP, NB_SEND_DEST, REPLY};
use crate::cap::Cap;
use crate::fake::{BUDGET, FakeWorld, Message};
use crate::ipc;
use crate::machine::Machine;
use crate::object::{Notification, SchedContext, Tcb, ThreadState, Timer};
use crate::owner;
use crate::ptr::Ptr;
use crate::sched;
use crate::slot;
use crate::thread;
use crate::time::Ticks;
use sel4_sys::{Badge, CapRights, Error, ext, syscall};
use std::cell::RefCell;
use std::vec::Vec;

/// The shortest period, ticks.
const SHORTEST: Ticks = 20;
/// How late the thread that has to be in time may be, ticks.
const LATE: Ticks = 20;

fn signal(ntfn: Ptr<Notification>, badge: u64) -> Cap {
    Cap::Notification { ntfn, badge: Badge(badge), rights: CapRights::ALL }
}

/// A thread of priority 12 that waits for a timer every millisecond, and threads of other priorities that only spin.
struct Scene {
    world: FakeWorld,
    space: Cap,
    victim: Ptr<Tcb>,
    timer: Ptr<Timer>,
    hostile_timers: RefCell<Vec<Ptr<Timer>>>,
}

impl Scene {
    fn new() -> Scene {
        let world = FakeWorld::with_memory(19);
        world.record_hardware(false);
        world.kernel_takes(1);
        let space = world.cnode(4);
        let (ntfn, timer) = (world.notification(), world.timer());
        slot::insert_root(signal(ntfn, 1), timer.slot());
        world.put(space, 1, signal(ntfn, 0));
        let victim = world.thread(12, space);
        let scene = Scene { world, space, victim, timer, hostile_timers: RefCell::default() };
        scene.arm(timer, victim.sc.get().unwrap(), 1000, 1000);
        scene.world.interrupt();
        scene.wait();
        scene
    }

    fn arm(&self, timer: Ptr<Timer>, sc: Ptr<SchedContext>, delay: Ticks, period: Ticks) {
        let m = &self.world;
        let n = m.node();
        n.emptied(n.accounts.arm(timer, sc, self.world.time() + delay, period));
        n.reprogram.set(true);
    }

    /// Expiries of all timers but the victim's.
    fn expirations(&self) -> u64 {
        self.hostile_timers.borrow().iter().map(|t| t.expirations.get()).sum()
    }

    fn wait(&self) {
        self.world.set_message(self.victim, 1, Message::default());
        self.world.system_call(self.victim, syscall::WAIT);
    }

    /// A spinning thread of a priority whose context pays for so many timers of the shortest period.
    fn hostile(
        &self,
        priority: u8,
        budget: Ticks,
        period: Ticks,
        timers: usize,
        bound: bool,
    ) -> Ptr<SchedContext> {
        let tcb = self.world.thread(priority, self.space);
        let sc = tcb.sc.get().unwrap();
        sc.configure(SchedContext::capacity(8), budget, period, self.world.time());
        let ntfn = self.world.notification();
        for i in 0..timers as u64 {
            let timer = self.world.timer();
            if bound {
                slot::insert_root(signal(ntfn, 1 << (i % 60)), timer.slot());
            }
            self.arm(timer, sc, i % SHORTEST, SHORTEST);
            self.hostile_timers.borrow_mut().push(timer);
        }
        sc
    }

    /// Lets the world go on: whoever runs spins, but for the victim, which waits again at once. The most that it was late.
    fn go_on(&self, ticks: Ticks) -> Ticks {
        let (start, mut late, mut seen) = (self.world.time(), 0, 0);
        while self.world.time() < start + ticks {
            if (&self.world).node().current() == self.victim {
                late = late.max(self.world.time() - self.timer.last_deadline.get());
                seen += 1;
                assert_eq!(self.victim.regs.get(CAP), 1);
                self.wait();
                continue;
            }
            // Somebody who spins is interrupted when the timer fires.
            let left = self.world.deadline().saturating_sub(self.world.time());
            self.world.advance(left.min(ticks));
            self.world.interrupt();
        }
        assert!(seen >= ticks / 1000 - 1, "{seen} wake-ups in {ticks} us");
        assert_eq!(self.timer.overruns.get(), 0);
        late
    }
}

#[test]
#[cfg_attr(miri, ignore = "takes too long there")]
fn a_thousand_timers_of_whoever_delay_nobody_above() {
    let alone = Scene::new().go_on(20_000);
    for bound in [false, true] {
        let percent = Scene::new();
        let sc = percent.hostile(10, 100, 10_000, 1000, bound);
        let late = percent.go_on(50_000);
        assert!(late <= alone + LATE, "beside one per cent: {late}");
        assert!(sc.consumed.get() <= 5 * 110, "one per cent of 50 ms was used for {}", sc.consumed.get());

        let turns = Scene::new();
        turns.hostile(11, BUDGET, 0, 1000, bound);
        let late = turns.go_on(50_000);
        assert!(late <= alone + LATE, "beside turns: {late}");

        let several = Scene::new();
        for i in 0..20 {
            let (budget, period) = if i % 2 == 0 { (BUDGET, 0) } else { (200, 2000) };
            several.hostile(8 + i % 4, budget, period, 50, bound);
        }
        let late = several.go_on(50_000);
        assert!(late <= alone + LATE, "beside many contexts: {late}");
    }
}

#[test]
#[cfg_attr(miri, ignore = "takes too long there")]
fn equals_have_their_turns() {
    // A spinning thread of priority 11, and one or two contexts at its priority whose timers could take all time.
    for others in 1..=2 {
        let scene = Scene::new();
        let spinner = scene.world.thread(11, scene.space);
        let accounts: Vec<_> = (0..others).map(|_| scene.hostile(11, BUDGET, 0, 100, false)).collect();
        scene.go_on(150_000);
        let own = spinner.sc.get().unwrap().consumed.get();
        let share = 150_000 / (others + 1);
        assert!(own > share * 8 / 10, "{own} of {share} with {others} others");
        for account in accounts {
            assert!(account.consumed.get() > share * 8 / 10, "the account had {}", account.consumed.get());
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "takes too long there")]
fn without_budget_expiries_are_late_and_counted() {
    let scene = Scene::new();
    let sc = scene.hostile(10, 50, 1000, 0, false);
    let timer = scene.world.timer();
    // The thread spins its budget away; its timer has the first tick of each period, if that.
    scene.arm(timer, sc, 100, 100);
    let start = scene.world.time();
    scene.go_on(20_000);
    let deadlines = (scene.world.time() - start) / 100;
    let (expirations, overruns) = (timer.expirations.get(), timer.overruns.get());
    assert!((15..=45).contains(&expirations), "{expirations} expirations");
    assert!(
        (expirations + overruns).abs_diff(deadlines) <= 10,
        "{expirations} and {overruns} overruns of {deadlines}"
    );
}

#[test]
fn a_context_that_is_lent_pays_for_the_timer_that_wakes_its_borrower() {
    let scene = Scene::new();
    let world = &scene.world;
    let n = world.node();
    let (ntfn, sc) = (world.notification(), world.context(BUDGET, 0));
    owner::bind_ntfn(sc, ntfn);
    world.put(scene.space, 2, signal(ntfn, 0));
    let timer = world.timer();
    slot::insert_root(signal(ntfn, 8), timer.slot());
    // It is at work on the lent context, arms a timer at its cost, and waits: the context goes back.
    let borrower = world.passive_thread(11, scene.space);
    sched::bind_tcb(n, sc, borrower);
    thread::restart(n, borrower);
    world.interrupt();
    assert!(n.current() == borrower);
    scene.arm(timer, sc, 100, 100);
    let rounds = 10;
    for _ in 0..rounds {
        world.set_message(borrower, 2, Message::default());
        world.system_call(borrower, syscall::WAIT);
        assert!(sc.tcb.get().is_none() && borrower.sc.get().is_none());
        while n.current() != borrower {
            if n.current() == scene.victim {
                scene.wait();
                continue;
            }
            world.advance(world.deadline().saturating_sub(world.time()));
            world.interrupt();
        }
        assert_eq!(borrower.regs.get(CAP), 8);
    }
    assert_eq!((timer.expirations.get(), timer.overruns.get()), (rounds, 0));
}

#[test]
fn who_borrows_a_context_does_not_lift_its_timers() {
    // A client of priority 8, with more timers than there is time for, calls a server of priority 13 that runs on its time: by a call, or
    // passing the context on for good.
    for call in [true, false] {
        let scene = Scene::new();
        let world = &scene.world;
        let n = world.node();
        let (ep, reply) = (world.endpoint(), world.reply());
        world.put(scene.space, 2, Cap::Endpoint { ep, badge: Badge(0), rights: CapRights::ALL });
        world.put(scene.space, 3, Cap::Reply { reply, can_grant: true });
        let server = world.passive_thread(13, scene.space);
        ipc::receive(
            world,
            server,
            ep,
            ipc::ReceiveOptions { can_grant: true, blocking: true, reply: Some(reply) },
        );
        let sc = scene.hostile(8, BUDGET, 0, 100, false);
        let client = sc.tcb.get().unwrap();
        assert!(world.run(client));
        world.set_message(client, 2, Message::default());
        client.regs.set(NB_SEND_DEST, 2);
        client.regs.set(REPLY, 3);
        world.system_call(client, if call { syscall::CALL } else { syscall::NB_SEND_RECV });
        assert!(n.current() == server && sc.tcb.get() == Some(server));
        let before = scene.expirations();
        for _ in 0..100 {
            world.advance(30);
            world.interrupt();
            if n.current() == scene.victim {
                scene.wait();
            }
        }
        assert_eq!(scene.expirations(), before, "timers of priority 8 were served above 12");
    }
}

#[test]
fn the_payer_is_named_or_ones_own() {
    let scene = Scene::new();
    let world = &scene.world;
    let (timer, other) = (world.timer(), world.context(100, 400));
    let nobody: Ptr<SchedContext> = {
        let sc = world.context(100, 400);
        sc.refill_max.set(0);
        sc
    };
    let thread = world.thread(11, scene.space);
    world.put(scene.space, 2, Cap::Timer { timer });
    world.put(scene.space, 3, Cap::SchedContext { sc: other, bits: 8 });
    world.put(scene.space, 4, Cap::SchedContext { sc: nobody, bits: 8 });
    world.put(scene.space, 5, Cap::Tcb { tcb: thread });
    assert!(world.run(thread));
    let arm = |caps: &[u64], period| {
        let words = [world.time() + 500, period];
        world.invoke(thread, 2, Message { label: ext::TIMER_ARM, words: &words, caps }).map(|a| a.label)
    };
    assert_eq!(arm(&[], 0), Some(0));
    assert!(thread.sc.get().unwrap().timers.deadline().is_some());
    assert_eq!(arm(&[3], 0), Some(0));
    assert!(thread.sc.get().unwrap().timers.deadline().is_none() && other.timers.deadline().is_some());
    // Nobody runs on it: it is served where the thread was that armed the timer.
    assert_eq!(other.served_at.get(), 11);
    assert_eq!(arm(&[4], 0), Some(Error::IllegalOperation as u64));
    assert_eq!(arm(&[5], 0), Some(Error::InvalidCapability as u64));
    assert_eq!(arm(&[3], SHORTEST - 1), Some(Error::RangeError as u64));
    assert!(other.timers.deadline().is_some());
}

#[test]
fn many_refills_at_once_come_in_passes_and_in_order() {
    let world = FakeWorld::with_memory(19);
    let space = world.cnode(4);
    let m = &world;
    let n = m.node();
    let threads: Vec<_> = (0..40).map(|_| world.thread(10, space)).collect();
    for tcb in &threads {
        let sc = tcb.sc.get().unwrap();
        sc.configure(4, 100, 1000, 0);
        assert!(sc.charge(100, n.min_budget.get()));
        sched::settle(n, sc);
        assert!(tcb.in_release_queue.get());
    }
    world.interrupt();
    assert!(n.current().state.get() == ThreadState::Idle);
    world.advance(1000 - world.time());
    world.interrupt();
    let released = threads.iter().filter(|t| !t.in_release_queue.get()).count();
    assert!((1..=16).contains(&released), "{released} in one pass");
    assert!(threads.iter().take(released).all(|t| !t.in_release_queue.get()), "not in order of their coming");
    let mut passes = 1;
    while world.deadline() <= world.time() {
        world.interrupt();
        passes += 1;
    }
    assert!(threads.iter().all(|t| !t.in_release_queue.get()) && passes >= 3, "{passes} passes");
}
