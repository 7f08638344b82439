//! The worlds.
extern crate std;
use super::explore;
use super::scene::*;
use crate::cap::Cap;
use crate::derive::mask_rights;
use sel4_sys::{Badge, CapRights, label, object::kind, syscall};
use std::vec::Vec;

/// Two untypeds of a CNode of two slots each, three free slots, two threads that share them: everything that can be done with
/// capabilities.
pub fn capabilities_scene() -> Scene {
    let mut scene = Scene::new();
    scene.thread(10, Some((5000, 0)), 2, 3);
    scene.thread(10, Some((5000, 0)), 4, 5);
    let untyped = |scene: &Scene| scene.world.untyped(6);
    for slot in [6, 7] {
        let cap = untyped(&scene);
        scene.world.put(scene.space, slot, cap);
    }
    let free = [8, 9, 10];
    let places: Vec<Place> = free
        .iter()
        .map(|slot| here(*slot))
        .chain([8, 9].iter().flat_map(|cnode| [Place(*cnode, 0, 1), Place(*cnode, 1, 1)]))
        .collect();
    let mut menu = Vec::new();
    for (i, a) in places.iter().enumerate() {
        menu.push(delete(*a));
        for b in places.iter().filter(|b| *b != a) {
            menu.push(copy(*a, *b));
            menu.push(mv(*a, *b));
        }
        for b in &places[..i] {
            menu.push(swap(*a, *b));
        }
    }
    menu.push(rotate(places[0], places[1], places[2]));
    menu.push(revoke(places[0]));
    for untyped in [6, 7] {
        menu.push(revoke(here(untyped)));
        for slot in free {
            menu.push(retype(untyped, CNODE.0, CNODE.1, slot, 1));
        }
    }
    menu.push(retype(6, kind::UNTYPED, 5, 8, 2));
    menu.push(retype(6, kind::ENDPOINT, 0, 9, 1));
    menu.push(retype(8, kind::REPLY, 0, 10, 1));
    menu.push(mint(here(10), here(9), 15, 7));
    menu.push(mint(here(8), here(10), 15, 8));
    menu.push(delete(here(7)));
    scene.menu = menu;
    scene.begin();
    scene
}

#[test]
#[cfg_attr(miri, ignore = "states are told bit by bit, and padding has no bits there")]
fn capabilities() {
    explore("capabilities", &capabilities_scene(), |_| Ok(()));
}

/// Four CNodes, each from an untyped of its own, that hold each other's last capability in a ring: revocations, each cut off anywhere.
pub fn a_ring_of_last_capabilities_scene() -> Scene {
    let mut scene = Scene::new();
    scene.thread(10, Some((5000, 0)), 2, 3);
    scene.thread(10, Some((5000, 0)), 4, 5);
    let all = scene.world.untyped(8);
    scene.world.put(scene.space, 6, all);
    scene.prepare_by(retype(6, kind::UNTYPED, 6, 7, 4));
    let (untypeds, cnodes) = ([7, 8, 9, 10], [11, 12, 13, 14]);
    for (untyped, cnode) in untypeds.iter().zip(cnodes) {
        scene.prepare_by(retype(*untyped, CNODE.0, CNODE.1, cnode, 1));
    }
    for (i, cnode) in cnodes.iter().enumerate() {
        scene.prepare_by(copy(Place(cnodes[(i + 1) % 4], 0, 1), here(*cnode)));
    }
    for cnode in cnodes {
        scene.prepare_by(delete(here(cnode)));
    }
    scene.menu = untypeds.iter().chain(&[6]).map(|untyped| revoke(here(*untyped))).collect();
    scene.menu.push(retype(7, kind::ENDPOINT, 0, 15, 1));
    scene.begin();
    scene
}

#[test]
#[cfg_attr(miri, ignore = "states are told bit by bit, and padding has no bits there")]
fn a_ring_of_last_capabilities() {
    let extent = explore("a ring of last capabilities", &a_ring_of_last_capabilities_scene(), |_| Ok(()));
    // It has an end: a state in which something is only counted would be another one each time.
    assert!(extent.complete || super::limit() < 7000, "{} states are not all", extent.states);
}

/// Slots of the worlds with messages.
mod at {
    pub const ENDPOINT: u64 = 10;
    pub const BADGED: u64 = 11;
    pub const NO_GRANT: u64 = 12;
    pub const NOTIFICATION: u64 = 13;
    pub const REPLY: u64 = 14;
    pub const REPLY_2: u64 = 15;
    pub const SPARE: u64 = 16;
    pub const THREADS: [u64; 3] = [2, 4, 6];
    pub const CONTEXTS: [u64; 3] = [3, 5, 7];
}

/// An endpoint with three capabilities, a notification, two reply objects.
fn messages(scene: &mut Scene) {
    let (ep, ntfn) = (scene.world.endpoint(), scene.world.notification());
    let cap = |badge, rights| Cap::Endpoint { ep, badge: Badge(badge), rights };
    let world = &scene.world;
    let full = world.put(scene.space, at::ENDPOINT, cap(0, CapRights::ALL));
    crate::slot::insert(cap(7, CapRights::ALL), full, world.slot(scene.space, at::BADGED));
    let masked = mask_rights(cap(0, CapRights::ALL), CapRights::READ_WRITE);
    crate::slot::insert(masked, full, world.slot(scene.space, at::NO_GRANT));
    let ntfn = Cap::Notification { ntfn, badge: Badge(1), rights: CapRights::READ_WRITE };
    world.put(scene.space, at::NOTIFICATION, ntfn);
    for slot in [at::REPLY, at::REPLY_2] {
        let reply = world.reply();
        world.put(scene.space, slot, Cap::Reply { reply, can_grant: true });
    }
}

fn receive(number: i64, from: u64, reply: u64) -> Call {
    Call { reply, ..plain(number, from) }
}

fn thread_calls(menu: &mut Vec<Call>, tcb: u64) {
    menu.push(invocation(tcb, label::TCB_SUSPEND, &[], &[]));
    menu.push(invocation(tcb, label::TCB_RESUME, &[], &[]));
}

/// Two threads with a context and a passive one: messages, calls, answers, donation, suspension, deletion of everything.
pub fn calls_and_answers_scene() -> Scene {
    let mut scene = Scene::new();
    scene.thread(10, Some((5000, 0)), at::THREADS[0], at::CONTEXTS[0]);
    scene.thread(10, Some((5000, 0)), at::THREADS[1], at::CONTEXTS[1]);
    scene.thread(10, None, at::THREADS[2], at::CONTEXTS[2]);
    messages(&mut scene);
    scene.waits(2, at::ENDPOINT, at::REPLY);
    let mut menu = Vec::new();
    for number in [syscall::CALL, syscall::SEND, syscall::NB_SEND] {
        menu.push(plain(number, at::ENDPOINT));
    }
    menu.push(plain(syscall::CALL, at::NO_GRANT));
    menu.push(plain(syscall::SEND, at::BADGED));
    for reply in [at::REPLY, at::REPLY_2] {
        menu.push(receive(syscall::RECV, at::ENDPOINT, reply));
        menu.push(receive(syscall::REPLY_RECV, at::ENDPOINT, reply));
        menu.push(plain(syscall::SEND, reply));
        menu.push(delete(here(reply)));
    }
    menu.push(receive(syscall::NB_RECV, at::ENDPOINT, at::REPLY));
    menu.push(receive(syscall::NB_SEND_RECV, at::ENDPOINT, at::REPLY));
    menu.push(plain(0x7fff, 0));
    for i in 0..3 {
        thread_calls(&mut menu, at::THREADS[i]);
    }
    let (tcb, sc) = (at::THREADS[2], at::CONTEXTS[1]);
    menu.push(invocation(sc, label::SCHED_CONTEXT_BIND, &[], &[tcb]));
    menu.push(invocation(sc, label::SCHED_CONTEXT_UNBIND, &[], &[]));
    menu.push(invocation(tcb, label::TCB_SET_PRIORITY, &[9], &[tcb]));
    menu.push(invocation(tcb, label::TCB_SET_TIMEOUT_ENDPOINT, &[], &[at::ENDPOINT]));
    menu.push(invocation(OWN, label::CNODE_CANCEL_BADGED_SENDS, &[at::BADGED, 64], &[]));
    menu.push(revoke(here(at::ENDPOINT)));
    menu.extend(
        [at::ENDPOINT, at::THREADS[1], at::THREADS[2], at::CONTEXTS[1]].map(|slot| delete(here(slot))),
    );
    scene.menu = menu;
    scene.begin();
    scene
}

#[test]
#[cfg_attr(miri, ignore = "states are told bit by bit, and padding has no bits there")]
fn calls_and_answers() {
    explore("calls and answers", &calls_and_answers_scene(), |_| Ok(()));
}

/// Signals: a notification that threads wait for, that is bound, that lends a context.
pub fn signals_scene() -> Scene {
    let mut scene = Scene::new();
    scene.thread(10, Some((5000, 0)), at::THREADS[0], at::CONTEXTS[0]);
    scene.thread(10, Some((5000, 0)), at::THREADS[1], at::CONTEXTS[1]);
    scene.thread(10, None, at::THREADS[2], 0);
    scene.context(5000, 0, at::CONTEXTS[2]);
    messages(&mut scene);
    let mut menu = Vec::from([
        plain(syscall::SEND, at::NOTIFICATION),
        plain(syscall::CALL, at::NOTIFICATION),
        plain(syscall::WAIT, at::NOTIFICATION),
        plain(syscall::NB_WAIT, at::NOTIFICATION),
        receive(syscall::NB_SEND_WAIT, at::NOTIFICATION, at::NOTIFICATION),
        receive(syscall::RECV, at::ENDPOINT, at::REPLY),
        receive(syscall::REPLY_RECV, at::ENDPOINT, at::REPLY),
        plain(syscall::CALL, at::ENDPOINT),
        plain(syscall::YIELD, 0),
    ]);
    for tcb in at::THREADS {
        thread_calls(&mut menu, tcb);
        menu.push(invocation(tcb, label::TCB_BIND_NOTIFICATION, &[], &[at::NOTIFICATION]));
        menu.push(invocation(tcb, label::TCB_UNBIND_NOTIFICATION, &[], &[]));
    }
    for sc in at::CONTEXTS {
        menu.push(invocation(sc, label::SCHED_CONTEXT_BIND, &[], &[at::NOTIFICATION]));
        menu.push(invocation(sc, label::SCHED_CONTEXT_UNBIND_OBJECT, &[], &[at::NOTIFICATION]));
    }
    let sc = at::CONTEXTS[2];
    menu.push(invocation(sc, label::SCHED_CONTEXT_BIND, &[], &[at::THREADS[2]]));
    menu.push(invocation(sc, label::SCHED_CONTEXT_UNBIND, &[], &[]));
    menu.push(invocation(sc, label::SCHED_CONTEXT_YIELD_TO, &[], &[]));
    menu.push(mint(here(at::SPARE), here(at::NOTIFICATION), 3, 0));
    menu.push(invocation(at::THREADS[2], label::TCB_SET_PRIORITY, &[9], &[at::THREADS[2]]));
    menu.extend([at::NOTIFICATION, at::THREADS[2], sc, at::REPLY].map(|slot| delete(here(slot))));
    scene.menu = menu;
    scene.begin();
    scene
}

#[test]
#[cfg_attr(miri, ignore = "states are told bit by bit, and padding has no bits there")]
fn signals() {
    explore("signals", &signals_scene(), |_| Ok(()));
}
