//! The world of time: budgets, refills, priorities, yields. Only the running thread makes calls, after some time, and time passes inside of
//! a long call as well; the CPU timer fires when it is due.
extern crate std;
use super::explore;
use super::scene::*;
use crate::cap::Cap;
use crate::object::{Place, SchedContext};
use crate::ptr::Ptr;
use sel4_sys::{Badge, CapRights, ext, label, syscall};
use std::format;
use std::string::String;
use std::vec::Vec;

const A: (u64, u64) = (2, 3);
const B: (u64, u64) = (4, 5);
const CONTROL: u64 = 8;
const ENDPOINT: u64 = 9;
const COPY: u64 = 10;
const REPLY: u64 = 11;

/// Budgets that some call configures: a context's refills always sum up to one of them.
const BUDGETS: [u64; 4] = [100, 60, 45, 61];

pub fn budgets_are_kept(scene: &Scene) -> Result<(), String> {
    let lost = |sc: &&Ptr<SchedContext>| sc.is_active() && !BUDGETS.contains(&sc.total());
    match scene.contexts.iter().find(lost) {
        None => Ok(()),
        Some(sc) => Err(format!("the refills of {sc:?} sum up to {}, which nobody configured", sc.total())),
    }
}

/// A thread that takes turns, and above it one with a period.
fn scene(second: (u64, u64), sporadic: bool) -> Scene {
    let mut scene = Scene::new();
    scene.any_next = false;
    scene.pieces = Vec::from([15, 88]);
    scene.thread(10, Some((100, 0)), A.0, A.1);
    scene.thread(11, Some(second), B.0, B.1);
    scene.contexts[1].sporadic.set(sporadic);
    let world = &scene.world;
    world.put(scene.space, CONTROL, Cap::SchedControl { core: 0 });
    let ep = world.endpoint();
    world.put(scene.space, ENDPOINT, Cap::Endpoint { ep, badge: Badge(0), rights: CapRights::ALL });
    let reply = world.reply();
    world.put(scene.space, REPLY, Cap::Reply { reply, can_grant: true });
    scene
}

fn configure(sc: u64, budget: u64, period: u64, sporadic: bool) -> Call {
    let words = [budget, period, 0, 0, sporadic.into()];
    invocation(CONTROL, label::SCHED_CONTROL_CONFIGURE_FLAGS, &words, &[sc])
}

/// Turns and periods, with a long call in which time passes.
pub fn turns_and_periods_scene() -> Scene {
    let mut scene = scene((60, 200), false);
    scene.menu = Vec::from([
        plain(syscall::YIELD, 0),
        plain(syscall::SET_TLS_BASE, 0),
        copy(here(COPY), here(ENDPOINT)),
        revoke(here(ENDPOINT)),
        plain(syscall::CALL, ENDPOINT),
        Call { reply: REPLY, ..plain(syscall::RECV, ENDPOINT) },
    ]);
    scene.begin();
    scene
}

#[test]
#[cfg_attr(miri, ignore = "states are told bit by bit, and padding has no bits there")]
fn turns_and_periods() {
    explore("turns and periods", &turns_and_periods_scene(), budgets_are_kept);
}

/// Stopping, starting, other priorities, other budgets, giving contexts away.
pub fn contexts_that_change_scene(sporadic: bool) -> Scene {
    let mut scene = scene((60, 200), sporadic);
    let mut menu = Vec::from([
        plain(syscall::YIELD, 0),
        Call { reply: REPLY, ..plain(syscall::RECV, ENDPOINT) },
        plain(syscall::NB_SEND, ENDPOINT),
        configure(A.1, 45, 45, false),
        configure(A.1, 60, 150, sporadic),
        configure(B.1, 60, 200, sporadic),
        configure(B.1, 61, 170, sporadic),
        configure(B.1, 100, 100, false),
        configure(B.1, 45, 90, false),
    ]);
    for (tcb, sc) in [A, B] {
        menu.push(invocation(tcb, label::TCB_SUSPEND, &[], &[]));
        menu.push(invocation(tcb, label::TCB_RESUME, &[], &[]));
        menu.push(invocation(tcb, label::TCB_SET_PRIORITY, &[9], &[B.0]));
        menu.push(invocation(sc, label::SCHED_CONTEXT_YIELD_TO, &[], &[]));
        menu.push(invocation(sc, label::SCHED_CONTEXT_UNBIND, &[], &[]));
        menu.push(invocation(sc, label::SCHED_CONTEXT_BIND, &[], &[tcb]));
    }
    scene.menu = menu;
    scene.begin();
    scene
}

#[test]
#[cfg_attr(miri, ignore = "states are told bit by bit, and padding has no bits there")]
fn contexts_that_change() {
    for sporadic in [false, true] {
        explore("contexts that change", &contexts_that_change_scene(sporadic), budgets_are_kept);
    }
}

/// Two timers, one of which each of two contexts may pay for, with a notification that the second thread waits for; and all of them
/// may go.
pub fn timers_scene() -> Scene {
    const TIMERS: [u64; 2] = [12, 13];
    const NTFN: u64 = 14;
    let mut scene = scene((60, 200), false);
    scene.keeps_clock = true;
    let world = &scene.world;
    for slot in TIMERS {
        world.put(scene.space, slot, Cap::Timer { timer: world.timer() });
    }
    let ntfn = world.notification();
    world.put(scene.space, NTFN, Cap::Notification { ntfn, badge: Badge(1), rights: CapRights::READ_WRITE });
    let mut menu = Vec::from([plain(syscall::YIELD, 0), plain(syscall::WAIT, NTFN), delete(here(NTFN))]);
    for timer in TIMERS {
        menu.push(invocation(timer, ext::TIMER_BIND, &[], &[NTFN]));
        menu.push(invocation(timer, ext::TIMER_CANCEL, &[], &[]));
        menu.push(delete(here(timer)));
        for sc in [A.1, B.1] {
            menu.push(invocation(timer, ext::TIMER_ARM, &[130, 40], &[sc]));
            menu.push(invocation(timer, ext::TIMER_ARM, &[90, 0], &[sc]));
        }
    }
    menu.push(delete(here(B.1)));
    menu.push(delete(here(B.0)));
    menu.push(invocation(B.0, label::TCB_SET_PRIORITY, &[9], &[B.0]));
    menu.push(invocation(B.1, label::SCHED_CONTEXT_UNBIND, &[], &[]));
    scene.menu = menu;
    scene.begin();
    scene
}

#[test]
#[cfg_attr(miri, ignore = "states are told bit by bit, and padding has no bits there")]
fn timers() {
    explore("timers", &timers_scene(), |_| Ok(()));
}

/// A context with a due timer goes from hand to hand: calls to two passive servers above its thread, answers, stacks that are cut
/// anywhere, other priorities meanwhile.
pub fn accounts_on_loan_scene() -> Scene {
    const TIMER: u64 = 12;
    const SECOND: u64 = 13;
    const REPLIES: [u64; 2] = [14, 15];
    const SERVERS: [u64; 2] = [6, 7];
    let mut scene = Scene::new();
    scene.any_next = false;
    scene.keeps_clock = true;
    scene.thread(10, Some((5000, 0)), A.0, A.1);
    scene.threads[0].mcp.set(12);
    for server in SERVERS {
        scene.thread(11, None, server, 0);
    }
    let world = &scene.world;
    for slot in [ENDPOINT, SECOND] {
        let ep = world.endpoint();
        world.put(scene.space, slot, Cap::Endpoint { ep, badge: Badge(0), rights: CapRights::ALL });
    }
    for slot in REPLIES {
        world.put(scene.space, slot, Cap::Reply { reply: world.reply(), can_grant: true });
    }
    world.put(scene.space, TIMER, Cap::Timer { timer: world.timer() });
    scene.waits(1, ENDPOINT, REPLIES[0]);
    scene.waits(2, SECOND, REPLIES[1]);
    scene.menu = Vec::from([
        invocation(TIMER, ext::TIMER_ARM, &[1, 0], &[A.1]),
        plain(syscall::CALL, ENDPOINT),
        plain(syscall::CALL, SECOND),
        Call { reply: REPLIES[0], ..plain(syscall::REPLY_RECV, ENDPOINT) },
        Call { reply: REPLIES[1], ..plain(syscall::REPLY_RECV, SECOND) },
        plain(syscall::SEND, REPLIES[0]),
        invocation(A.0, label::TCB_SUSPEND, &[], &[]),
        invocation(A.0, label::TCB_RESUME, &[], &[]),
        invocation(A.0, label::TCB_SET_PRIORITY, &[12], &[A.0]),
        invocation(A.0, label::TCB_SET_PRIORITY, &[9], &[A.0]),
        invocation(SERVERS[0], label::TCB_SUSPEND, &[], &[]),
    ]);
    scene.begin();
    scene
}

/// Nobody of that world binds the context anew: it stays the first thread's, whoever runs on it.
pub fn timers_come_at_their_threads_priority(scene: &Scene) -> Result<(), String> {
    let (sc, tcb) = (scene.contexts[0], scene.threads[0]);
    if sc.place.get() != Place::Due || sc.served_at.get() == tcb.priority.get() {
        return Ok(());
    }
    let (served, own) = (sc.served_at.get(), tcb.priority.get());
    Err(format!(
        "timers are served at priority {served}; their context is bound to a thread of priority {own}"
    ))
}

#[test]
#[cfg_attr(miri, ignore = "states are told bit by bit, and padding has no bits there")]
fn accounts_on_loan() {
    explore("accounts on loan", &accounts_on_loan_scene(), timers_come_at_their_threads_priority);
}
