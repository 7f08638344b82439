//! The short ways against the ordinary ones: on the same random state both leave the same state behind, or the short way
//! declines and leaves everything as it was.
extern crate std;
use crate::arch::registers::{self, REPLY};
use crate::cap::Cap;
use crate::entry;
use crate::fake::{FakeWorld, Message};
use crate::fast;
use crate::ipc;
use crate::machine::Machine;
use crate::message;
use crate::object::{
    Endpoint, Ends, Notification, NotificationState, Reply, SchedContext, TCB_FAULT, TCB_TIMEOUT, Tcb,
    ThreadState,
};
use crate::owner;
use crate::ptr::Ptr;
use crate::thread;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use sel4_sys::{Badge, CapRights, syscall};
use std::cell::Cell;
use std::format;
use std::string::String;
use std::vec::Vec;

/// How a thread begins.
#[derive(Clone, Debug)]
struct Begin {
    priority: u8,
    /// Without a context of its own; it waits for messages with reply object `reply`, if that is free.
    passive: bool,
    /// Period of its context; 0 takes turns.
    period: u64,
    sporadic: bool,
    /// Notification 0 is bound to it, if it is the first that wants that.
    bound: bool,
    handlers: bool,
    /// Its context pays for a timer that is due after so long.
    timer: Option<u64>,
}

/// A system call of a thread, with pointers at random.
#[derive(Clone, Debug)]
struct Step {
    thread: usize,
    number: i64,
    object: u64,
    /// Where its reply object is, or else the first in which somebody waits.
    reply: Option<u64>,
    words: usize,
    cap: Option<u64>,
    pause: u64,
    /// A thread that goes on before.
    revive: Option<usize>,
    /// A thread that has another priority before.
    priority: Option<(usize, u8)>,
}

/// A few threads that know the same endpoints, notifications and reply objects.
struct Scene {
    world: FakeWorld,
    threads: Vec<Ptr<Tcb>>,
    endpoints: Vec<Ptr<Endpoint>>,
    notifications: Vec<Ptr<Notification>>,
    replies: Vec<Ptr<Reply>>,
    contexts: Vec<Ptr<SchedContext>>,
}

impl Scene {
    fn new(begins: &[Begin], lends: bool) -> Scene {
        let world = FakeWorld::with_memory(18);
        let space = world.cnode(5);
        let endpoints: Vec<_> = (0..2).map(|_| world.endpoint()).collect();
        let notifications: Vec<_> = (0..2).map(|_| world.notification()).collect();
        let replies: Vec<_> = (0..3).map(|_| world.reply()).collect();
        let ep = |i: usize, badge, rights| Cap::Endpoint { ep: endpoints[i], badge: Badge(badge), rights };
        let ntfn = |i: usize, badge, rights| Cap::Notification {
            ntfn: notifications[i],
            badge: Badge(badge),
            rights,
        };
        let without_grant = CapRights::READ_WRITE;
        for (i, cap) in [
            ep(0, 0, CapRights::ALL),
            ep(1, 0, CapRights::ALL),
            ep(0, 7, without_grant),
            ep(1, 9, CapRights::WRITE.union(CapRights::GRANT_REPLY)),
            ep(0, 5, CapRights::READ.union(CapRights::GRANT)),
            ntfn(0, 1, CapRights::READ_WRITE),
            ntfn(1, 2, CapRights::READ_WRITE),
            ntfn(0, 4, CapRights::WRITE),
            ntfn(1, 8, CapRights::READ),
            Cap::Reply { reply: replies[0], can_grant: true },
            Cap::Reply { reply: replies[1], can_grant: false },
            Cap::Reply { reply: replies[2], can_grant: true },
        ]
        .into_iter()
        .enumerate()
        {
            world.put(space, 1 + i as u64, cap);
        }
        let mut scene =
            Scene { threads: Vec::new(), contexts: Vec::new(), world, endpoints, notifications, replies };
        for (i, begin) in begins.iter().enumerate() {
            scene.begin(i, begin, space);
        }
        if lends {
            let sc = scene.world.context(3000, 0);
            owner::bind_ntfn(sc, scene.notifications[1]);
            scene.contexts.push(sc);
        }
        scene
    }

    fn begin(&mut self, i: usize, begin: &Begin, space: Cap) {
        let world = &self.world;
        let tcb = if begin.passive {
            world.passive_thread(begin.priority, space)
        } else {
            world.thread(begin.priority, space)
        };
        tcb.regs.set(registers::PC, 0x1000 * (i as u64 + 1));
        if let Some(sc) = tcb.sc.get() {
            let budget = if begin.period == 0 { 5000 } else { begin.period / 2 };
            sc.configure(4, budget, begin.period, 0);
            sc.sporadic.set(begin.sporadic);
            self.contexts.push(sc);
            if let Some(delay) = begin.timer {
                let n = world.node();
                n.emptied(n.accounts.arm(world.timer(), sc, world.now() + delay, 0));
                n.reprogram.set(true);
            }
        }
        if begin.handlers {
            let handler = Cap::Endpoint { ep: self.endpoints[1], badge: Badge(77), rights: CapRights::ALL };
            world.original(handler, tcb.slot(TCB_FAULT));
            world.original(handler, tcb.slot(TCB_TIMEOUT));
        }
        if begin.bound && self.notifications[0].bound.get().is_none() {
            self.notifications[0].bound.set(Some(tcb));
            tcb.bound_ntfn.set(Some(self.notifications[0]));
        }
        self.threads.push(tcb);
        self.revive(i);
    }

    /// A stopped or waiting thread goes on; without a context, it waits for messages.
    fn revive(&self, i: usize) {
        let m = &self.world;
        let tcb = self.threads[i % self.threads.len()];
        if tcb.sc.get().is_some() {
            thread::restart(m.node(), tcb);
        } else if tcb.state.get() == ThreadState::Inactive {
            let reply = Some(self.replies[i % 3]).filter(|r| r.tcb.get().is_none());
            ipc::receive(
                m,
                tcb,
                self.endpoints[i % 2],
                ipc::ReceiveOptions { can_grant: true, blocking: true, reply },
            );
        }
        entry::leave(m);
    }

    /// Everything that a thread, or a later step, could tell apart; a line each.
    fn observe(&self) -> Vec<String> {
        let m = &self.world;
        let n = m.node();
        let mut out = Vec::new();
        for (i, t) in self.threads.iter().enumerate() {
            let regs: Vec<u64> = (0..registers::COUNT).map(|r| t.regs.get(r)).collect();
            out.push(format!("thread {i} {t:?}: {:?} {regs:x?}", t.state.get()));
            out.push(format!(
                "thread {i}: sc {:?} reply {:?} bound {:?} fault {:?} ready {} release {} yields {:?}",
                t.sc.get(),
                t.reply.get(),
                t.bound_ntfn.get(),
                t.fault.get(),
                t.in_ready_queue.get(),
                t.in_release_queue.get(),
                t.yield_to.get()
            ));
            let waits = match t.state.get() {
                ThreadState::BlockedOnReceive => format!("{:?} {}", t.blocked_ep.get(), t.can_grant.get()),
                ThreadState::BlockedOnSend => format!(
                    "{:?} {} {} {} {}",
                    t.blocked_ep.get(),
                    t.sender_badge.get(),
                    t.can_grant.get(),
                    t.can_grant_reply.get(),
                    t.is_call.get()
                ),
                ThreadState::BlockedOnNotification => format!("{:?}", t.blocked_ntfn.get()),
                _ => String::new(),
            };
            let words: Vec<u64> =
                message::buffer(*t, false).map_or(Vec::new(), |b| b.iter().map(Cell::get).collect());
            out.push(format!("thread {i}: waits {waits}; buffer {words:?}"));
        }
        for e in &self.endpoints {
            out.push(format!("endpoint {e:?}: {:?} {:?}", e.state(), waiters(e.queue())));
        }
        for t in &self.notifications {
            let queue = waiters(Ends { head: t.head.get(), tail: t.tail.get() });
            let badge = if t.state.get() == NotificationState::Active { t.badge.get() } else { 0 };
            let (bound, sc) = (t.bound.get(), t.sc.get());
            out.push(format!("notification {t:?}: {:?} {badge} {queue:?} {bound:?} {sc:?}", t.state.get()));
        }
        for r in &self.replies {
            let links = (r.prev.get(), r.next.get());
            out.push(format!("reply {r:?}: {:?} {links:?} {:?}", r.tcb.get(), r.sc.get()));
        }
        for c in &self.contexts {
            let refills = (c.head_refill(), c.count.get(), c.total());
            let links = (c.tcb.get(), c.reply.get(), c.ntfn());
            out.push(format!("context {c:?}: {links:?} {refills:?} consumed {}", c.consumed.get()));
            let timers = (c.place.get(), c.served_at.get(), c.timers.deadline());
            out.push(format!("context {c:?}: of {:?}, timers {timers:?}", c.thread()));
        }
        let ready: Vec<_> = (0..=255).map(|p| threads(n.ready(p))).filter(|q| !q.is_empty()).collect();
        let mut release: Vec<_> = self.threads.iter().filter(|t| t.in_release_queue.get()).collect();
        release.sort_by_key(|t| t.release_at.get());
        out.push(format!("ready {ready:?}; release {release:?}, first {:?}", n.release.first()));
        // Time that is not charged yet may wait in the counter or in the node.
        let uncharged = m.now() - n.now.get() + n.consumed.get();
        out.push(format!("runs {:?} on {:?}, {uncharged} not charged", n.current(), n.current_sc.get()));
        out.push(format!(
            "fires at {} {}; sets it again: {}",
            n.armed.get(),
            m.deadline(),
            n.reprogram.get()
        ));
        out.push(format!("space {:x}, FPU of {:?}, {:?}", n.space.get(), n.fpu_owner.get(), n.trace.info()));
        out
    }

    /// The thread that makes the next step: the running one, or one that can run.
    fn chosen(&self, index: usize) -> Option<Ptr<Tcb>> {
        let current = (&self.world).node().current();
        if index >= 5 && current.is_schedulable() {
            return Some(current);
        }
        let count = self.threads.len();
        (0..count).map(|k| self.threads[(index + k) % count]).find(|t| t.is_schedulable())
    }

    /// Does a step both ways; whether there was a short way.
    fn compare(&self, step: &Step) -> Result<bool, TestCaseError> {
        let m = &self.world;
        m.advance(step.pause);
        if m.deadline() <= m.now() {
            m.interrupt();
        }
        if let Some(i) = step.revive {
            self.revive(i);
        }
        if let Some((i, priority)) = step.priority {
            thread::set_priority(m.node(), self.threads[i % self.threads.len()], priority);
            entry::leave(m);
        }
        let Some(tcb) = self.chosen(step.thread) else { return Ok(false) };
        m.run(tcb);
        let waited_in = self
            .replies
            .iter()
            .position(|r| r.tcb.get().is_some_and(|t| t.state.get() == ThreadState::BlockedOnReply));
        let reply = step.reply.unwrap_or(waited_in.map_or(10, |i| 10 + i as u64));
        // Mostly what has a short way: an endpoint with the right that the call needs.
        let object = match (step.number, step.object) {
            (syscall::REPLY_RECV | syscall::RECV, 1..10) => 1 + step.object % 2,
            (syscall::CALL, 1..10) => 1 + step.object % 5,
            (_, object) => object,
        };
        let words: Vec<u64> = (0..step.words as u64).map(|w| 1000 * object + w).collect();
        let caps: Vec<u64> = step.cap.into_iter().collect();
        m.set_message(tcb, object, Message { label: 3 + object, words: &words, caps: &caps });
        tcb.regs.set(REPLY, reply);
        tcb.regs.set(registers::NB_SEND_DEST, object);
        let n = m.node();
        let used = n.consumed.get() + (m.now() - n.now.get());
        let has_budget = tcb.sc.get().is_some_and(|sc| sc.is_sufficient(used, n.min_budget.get()));
        let released = n.release.first().map(|t| t.release_at.get().0);
        let timer_is_near = !has_budget || released.is_some_and(|time| time <= m.now() + n.slack.get());
        m.trap(tcb);
        let (before, seen) = (m.snapshot(), self.observe());
        m.take_log();
        // Where the timer is about to fire, the ordinary way does at once what it fires for; the short one leaves it to the timer.
        let done = !timer_is_near && fast::system_call(m, step.number);
        if !done {
            prop_assert_eq!(self.observe(), seen, "it declined, but changed something: {:?}", step);
            prop_assert!(m.take_log().is_empty());
            entry::system_call(m, step.number);
            return Ok(false);
        }
        let (short, short_log) = (self.observe(), m.take_log());
        m.restore(&before);
        entry::system_call(m, step.number);
        let (ordinary, ordinary_log) = (self.observe(), m.take_log());
        for (s, o) in short.iter().zip(&ordinary) {
            prop_assert_eq!(s, o, "{:?}", step);
        }
        prop_assert_eq!(short_log, ordinary_log, "{:?}", step);
        Ok(true)
    }
}

fn waiters(queue: Ends) -> Vec<Ptr<Tcb>> {
    std::iter::successors(queue.head, |t| t.ep_next.get()).collect()
}
fn threads(queue: Ends) -> Vec<Ptr<Tcb>> {
    std::iter::successors(queue.head, |t| t.sched_next.get()).collect()
}

fn begin() -> impl Strategy<Value = Begin> {
    let (period, rare) = (prop_oneof![3 => Just(0u64), 1 => Just(8000u64)], any::<u8>());
    let timer = prop_oneof![2 => Just(None), 1 => (0u64..2000).prop_map(Some)];
    let begin = |(priority, passive, period, rare, timer): (u8, bool, u64, u8, Option<u64>)| Begin {
        priority,
        passive,
        period,
        sporadic: rare & 7 == 0,
        bound: rare & 24 == 0,
        handlers: rare & 96 == 0,
        timer,
    };
    (8u8..11, prop::bool::weighted(0.4), period, rare, timer).prop_map(begin)
}

fn step() -> impl Strategy<Value = Step> {
    use syscall::{CALL, NB_RECV, NB_SEND, NB_WAIT, RECV, REPLY_RECV, SEND, WAIT, YIELD};
    let number = prop_oneof![
        4 => Just(CALL), 4 => Just(REPLY_RECV), 3 => Just(SEND), 2 => Just(NB_WAIT), 2 => Just(RECV), 2 => Just(WAIT),
        1 => Just(NB_SEND), 1 => Just(NB_RECV), 1 => Just(YIELD),
    ];
    let words = prop_oneof![4 => 0usize..5, 1 => 5usize..20, 1 => Just(120usize)];
    let cap = prop_oneof![6 => Just(None), 1 => (0u64..14).prop_map(Some)];
    let reply = prop_oneof![5 => Just(None), 5 => (10u64..13).prop_map(Some), 1 => (0u64..32).prop_map(Some)];
    let object = prop_oneof![9 => 1u64..10, 1 => 0u64..32];
    let pause = prop_oneof![4 => Just(0u64), 2 => 0u64..100, 1 => 0u64..4000];
    let revive = prop_oneof![1 => Just(None), 1 => (0usize..5).prop_map(Some)];
    let priority = prop_oneof![6 => Just(None), 1 => (0usize..5, 8u8..11).prop_map(Some)];
    (0usize..10, number, object, reply, words, cap, pause, (revive, priority)).prop_map(
        |(thread, number, object, reply, words, cap, pause, (revive, priority))| Step {
            priority,
            thread,
            number,
            object,
            reply,
            words,
            cap,
            pause,
            revive,
        },
    )
}

#[test]
fn short_and_ordinary_ways_end_in_the_same_state() {
    let calls = [syscall::CALL, syscall::REPLY_RECV, syscall::SEND, syscall::NB_WAIT];
    let taken = [const { Cell::new(0u32) }; 4];
    let scenes = (
        prop::collection::vec(begin(), 2..6),
        prop::bool::weighted(0.3),
        // Interpreted (Miri), a few short scenes have to do.
        prop::collection::vec(step(), 1..if cfg!(miri) { 8 } else { 60 }),
    );
    let cases = if cfg!(miri) { 1 } else { 1000 };
    let mut runner =
        TestRunner::new(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) });
    let result = runner.run(&scenes, |(begins, lends, steps)| {
        let scene = Scene::new(&begins, lends);
        for step in &steps {
            if scene.compare(step)?
                && let Some(i) = calls.iter().position(|n| *n == step.number)
            {
                taken[i].set(taken[i].get() + 1);
            }
        }
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
    // Each of them was tried, not only declined.
    let taken = taken.map(|t| t.get());
    assert!(
        cfg!(miri) || taken.iter().all(|t| *t > 40),
        "Call, ReplyRecv, Send and NBWait went the short way {taken:?} times"
    );
    std::println!("short ways taken by Call, ReplyRecv, Send, NBWait: {taken:?}");
}
