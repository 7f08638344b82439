//! The world of time: budgets, refills, priorities, yields. Only the running thread makes calls, after some time, and time passes inside of
//! a long call as well; the CPU timer fires when it is due.
extern crate std;
use super::explore;
use super::scene::*;
use crate::cap::Cap;
use crate::object::SchedContext;
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
