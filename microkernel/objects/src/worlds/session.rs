//! The session that the transcript tells: every invocation, with every reason to refuse it, and messages, faults, signals and
//! interrupts between threads.
extern crate std;
use super::scene::*;
use crate::cap::Cap;
use crate::derive::mask_rights;
use crate::object::Fault;
use crate::slot;
use sel4_sys::object::kind;
use sel4_sys::{Badge, CapRights, ext, label, syscall};
use std::vec::Vec;

/// What happens next in the session.
#[derive(Clone, Debug)]
pub enum Act {
    /// A thread makes a call; it is preempted at this point, if it gets there.
    Call(usize, Call, Option<u64>),
    /// A thread goes on with the call that it has to make again.
    Again(usize),
    /// A thread faults.
    Fault(usize, Fault),
    /// An interrupt, after so many ticks.
    Interrupt(u32, u64),
    /// The timer's, if it is due after so many ticks.
    Tick(u64),
}

impl Act {
    /// Who acts, if a thread does.
    pub fn thread(&self) -> Option<usize> {
        match self {
            Act::Call(i, ..) | Act::Again(i) | Act::Fault(i, _) => Some(*i),
            Act::Interrupt(..) | Act::Tick(_) => None,
        }
    }
}

const A: u64 = 2;
const A_SC: u64 = 3;
const B: u64 = 4;
const B_SC: u64 = 5;
const C: u64 = 6;
const SPARE_SC: u64 = 7;
const UNTYPED: u64 = 8;
const PAGE: u64 = 9;
const EP: u64 = 10;
const BADGED: u64 = 11;
const NO_GRANT: u64 = 12;
const NTFN: u64 = 13;
const REPLY: u64 = 14;
const REPLY_2: u64 = 15;
const CONTROL: u64 = 16;
const IRQ_CONTROL: u64 = 17;
const DOMAIN: u64 = 18;
const ASID_CONTROL: u64 = 19;
const TRACE: u64 = 20;
const DEVICE: u64 = 21;
const RECEIVE_ONLY: u64 = 22;
const SEND_ONLY: u64 = 23;
const NTFN_READ: u64 = 24;
const NTFN_WRITE: u64 = 25;
// Empty at first.
const S: u64 = 30;
const NOTHING: u64 = 63;

fn set(scene: &mut Scene) {
    scene.thread(10, Some((5000, 0)), A, A_SC);
    scene.thread(12, Some((400, 2000)), B, B_SC);
    scene.thread(11, None, C, 0);
    scene.context(300, 1000, SPARE_SC);
    let (world, space) = (&scene.world, scene.space);
    world.put(space, UNTYPED, world.untyped(16));
    world.put(space, PAGE, world.untyped(12));
    let (ep, ntfn) = (world.endpoint(), world.notification());
    let full = Cap::Endpoint { ep, badge: Badge(0), rights: CapRights::ALL };
    let full = world.put(space, EP, full);
    let masked = |cap: Cap, rights: u64| mask_rights(cap, CapRights(rights));
    let badged = Cap::Endpoint { ep, badge: Badge(7), rights: CapRights::ALL };
    slot::insert(badged, full, world.slot(space, BADGED));
    for (at, rights) in [(NO_GRANT, 3), (RECEIVE_ONLY, 2), (SEND_ONLY, 1)] {
        slot::insert(masked(full.cap(), rights), full, world.slot(space, at));
    }
    let ntfn = Cap::Notification { ntfn, badge: Badge(1), rights: CapRights::READ_WRITE };
    let first = world.put(space, NTFN, ntfn);
    for (at, rights) in [(NTFN_READ, 2), (NTFN_WRITE, 1)] {
        slot::insert(masked(first.cap(), rights), first, world.slot(space, at));
    }
    for at in [REPLY, REPLY_2] {
        world.put(space, at, Cap::Reply { reply: world.reply(), can_grant: true });
    }
    for (at, cap) in [
        (CONTROL, Cap::SchedControl { core: 0 }),
        (IRQ_CONTROL, Cap::IrqControl),
        (DOMAIN, Cap::Domain),
        (ASID_CONTROL, Cap::AsidControl),
        (TRACE, Cap::Trace),
        (DEVICE, Cap::Untyped { base: world.allocate(12), bits: 12, device: true, free: 0 }),
    ] {
        world.put(space, at, cap);
    }
}

/// The session, and how many of its acts are of threads that do not wait for each other.
pub fn script() -> (Scene, Vec<Act>, usize) {
    let mut scene = Scene::with_memory(19);
    set(&mut scene);
    scene.world.preempt_when(|| false);
    scene.any_next = false;
    let mut acts = Vec::new();
    capabilities(&mut acts);
    objects(&mut acts);
    threads(&mut acts);
    contexts(&mut acts);
    spaces(&mut acts);
    interrupts(&mut acts);
    let alone = acts.len();
    messages(&mut acts);
    (scene, acts, alone)
}

fn by(acts: &mut Vec<Act>, thread: usize, calls: impl IntoIterator<Item = Call>) {
    acts.extend(calls.into_iter().map(|call| Act::Call(thread, call, None)));
}

/// The invocation with each number of words and capabilities that is too small, and then as it is.
fn all_lengths(acts: &mut Vec<Act>, call: &Call) {
    let short = (0..call.words.len()).map(|n| Call { words: call.words[..n].to_vec(), ..call.clone() });
    let poor = (0..call.caps.len()).map(|n| Call { caps: call.caps[..n].to_vec(), ..call.clone() });
    by(acts, 0, short.chain(poor).chain([call.clone()]));
}

fn capabilities(acts: &mut Vec<Act>) {
    for call in [
        copy(here(S), here(EP)),
        mint(here(S + 1), here(EP), 15, 9),
        mint(here(S + 2), here(S + 1), 15, 10),
        mint(here(S + 2), here(S + 1), 2, 0),
        mv(here(S + 2), here(S + 1)),
        invocation(OWN, label::CNODE_MUTATE, &[S + 3, 64, S + 2, 64, 77], &[OWN]),
        rotate(here(S + 4), here(S), here(S + 2)),
        swap(here(S), here(S + 4)),
    ] {
        all_lengths(acts, &call);
    }
    let mutate = |to: u64, from: u64, data: u64| {
        invocation(OWN, label::CNODE_MUTATE, &[to, 64, from, 64, data], &[OWN])
    };
    by(
        acts,
        0,
        [
            // A CNode with a guard, and where its slots are found.
            retype(UNTYPED, kind::CNODE, 2, S + 5, 1),
            mint(here(S + 6), here(S + 5), 15, 0x35 << 6 | 8),
            mint(here(S + 7), here(S + 5), 15, 63),
            copy(Place(S + 6, 0x35 << 2 | 1, 10), here(EP)),
            copy(Place(S + 6, 0x35 << 2 | 1, 10), here(EP)),
            copy(Place(S + 6, 0x34 << 2 | 2, 10), here(EP)),
            copy(Place(S + 6, 0x35 << 2 | 2, 9), here(EP)),
            copy(Place(S + 6, 0x35 << 2 | 2, 11), here(EP)),
            copy(Place(S + 6, 2, 0), here(EP)),
            copy(Place(S + 6, 2, 65), here(EP)),
            copy(Place(S + 5, 3, 2), here(NTFN)),
            copy(here(S + 7), Place(S + 5, 3, 2)),
            copy(here(S + 8), Place(S + 5, 0, 2)),
            copy(here(S + 8), Place(EP, 0, 2)),
            copy(Place(EP, 0, 2), here(EP)),
            mutate(S + 8, EP, 5),
            mutate(S + 8, S + 6, 0),
            mutate(S + 6, S + 8, 0x1 << 6 | 62),
            mutate(S + 6, S + 8, 0x1 << 6 | 63),
            rotate(here(S + 4), here(S), here(S)),
            rotate(here(S), here(S), here(S + 4)),
            rotate(here(S + 9), here(NOTHING), here(S)),
            rotate(here(S + 9), here(S), here(NOTHING)),
            rotate(here(EP), here(S), here(S + 4)),
            // Rights fall away, badges are given once.
            invocation(OWN, label::CNODE_COPY, &[S + 10, 64, EP, 64, 2], &[OWN]),
            mint(here(S + 11), here(NTFN), 1, 0),
            mint(here(S + 11), here(NTFN_READ), 3, 5),
            invocation(OWN, label::CNODE_COPY, &[S + 12, 64, REPLY, 64, 1], &[OWN]),
            invocation(OWN, label::CNODE_COPY, &[S + 13, 64, IRQ_CONTROL, 64, 15], &[OWN]),
            copy(here(S + 13), here(UNTYPED)),
            copy(here(S + 13), here(DEVICE)),
            retype(DEVICE, kind::SMALL_PAGE, 0, S + 14, 1),
            copy(here(S + 13), here(CONTROL)),
            invocation(OWN, 99, &[0, 64], &[]),
            invocation(OWN, label::CNODE_CANCEL_BADGED_SENDS, &[BADGED, 64], &[]),
            invocation(OWN, label::CNODE_CANCEL_BADGED_SENDS, &[SEND_ONLY, 64], &[]),
            invocation(OWN, label::CNODE_CANCEL_BADGED_SENDS, &[NTFN, 64], &[]),
            revoke(here(S + 4)),
            revoke(here(EP)),
            delete(here(S + 5)),
            delete(here(NOTHING)),
            delete(here(S + 8)),
            delete(here(S + 7)),
            delete(here(S + 12)),
            delete(here(S + 13)),
            revoke(here(DEVICE)),
            delete(here(S + 11)),
        ],
    );
    // The endpoint's other capabilities again.
    by(
        acts,
        0,
        [
            mint(here(BADGED), here(EP), 15, 7),
            mint(here(NO_GRANT), here(EP), 3, 0),
            mint(here(RECEIVE_ONLY), here(EP), 2, 0),
            mint(here(SEND_ONLY), here(EP), 1, 0),
            // A badge's own descendants, and no others', go with it.
            mint(here(S), here(EP), 15, 9),
            copy(here(S + 1), here(BADGED)),
            copy(here(S + 2), here(S)),
            revoke(here(S)),
            revoke(here(S + 1)),
            revoke(here(BADGED)),
            delete(here(S)),
        ],
    );
    acts.push(Act::Call(0, copy(here(S), here(BADGED)), None));
    acts.push(Act::Call(0, revoke(here(BADGED)), Some(0)));
    acts.push(Act::Again(0));
}

fn objects(acts: &mut Vec<Act>) {
    let make = |kind, bits, slot, count| retype(UNTYPED, kind, bits, slot, count);
    let raw = |words: [u64; 6], root: u64| invocation(UNTYPED, label::UNTYPED_RETYPE, &words, &[root]);
    all_lengths(acts, &make(kind::ENDPOINT, 0, S, 2));
    by(
        acts,
        0,
        [
            make(kind::NOTIFICATION, 0, S + 2, 1),
            make(kind::REPLY, 0, S + 3, 1),
            make(kind::TCB, 0, S + 4, 1),
            make(kind::SCHED_CONTEXT, 8, S + 5, 1),
            make(ext::TIMER_TYPE, 0, S + 6, 1),
            make(kind::UNTYPED, 4, S + 7, 1),
            make(kind::CNODE, 1, S + 8, 1),
            make(kind::SMALL_PAGE, 0, S + 9, 1),
            make(kind::PAGE_TABLE, 0, S + 10, 1),
            make(kind::VSPACE, 0, S + 11, 1),
            make(kind::CNODE, 8, S + 12, 1),
            invocation(OWN, label::CNODE_MUTATE, &[S + 13, 64, S + 2, 64, 5], &[OWN]),
            make(kind::UNTYPED, 3, S + 13, 1),
            make(kind::UNTYPED, 48, S + 13, 1),
            make(kind::UNTYPED, 64, S + 13, 1),
            make(kind::UNTYPED, 16, S + 13, 1),
            make(kind::CNODE, 0, S + 13, 1),
            make(kind::CNODE, 60, S + 13, 1),
            make(kind::SCHED_CONTEXT, 6, S + 13, 1),
            make(kind::LARGE_PAGE, 0, S + 13, 1),
            make(kind::HUGE_PAGE, 0, S + 13, 1),
            make(99, 0, S + 13, 1),
            make(kind::ENDPOINT, 0, 64, 1),
            make(kind::ENDPOINT, 0, S + 13, 0),
            make(kind::ENDPOINT, 0, S + 13, 257),
            make(kind::ENDPOINT, 0, 60, 5),
            make(kind::ENDPOINT, 0, S + 12, 3),
            make(kind::ENDPOINT, 0, 60, 4),
            delete(here(60)),
            delete(here(61)),
            delete(here(62)),
            delete(here(NOTHING)),
            raw([kind::ENDPOINT, 0, S + 8, 64, 1, 1], OWN),
            raw([kind::ENDPOINT, 0, EP, 64, 1, 1], OWN),
            raw([kind::ENDPOINT, 0, 0, 0, 1, 1], EP),
            raw([kind::ENDPOINT, 0, NOTHING, 99, 1, 1], OWN),
            raw([kind::ENDPOINT, 0, S + 8, 60, 1, 1], OWN),
            invocation(UNTYPED, label::UNTYPED_RETYPE + 1, &[], &[]),
            retype(DEVICE, kind::ENDPOINT, 0, S + 13, 1),
            retype(DEVICE, kind::SMALL_PAGE, 0, S + 13, 1),
            revoke(here(DEVICE)),
            invocation(NOTHING, 1, &[], &[]),
            invocation(1000, 1, &[], &[]),
        ],
    );
    // 32 KiB are zeroed in pieces, and the call goes on where it was.
    acts.push(Act::Call(0, make(kind::CNODE, 10, S + 13, 1), Some(3)));
    acts.push(Act::Again(0));
}

fn threads(acts: &mut Vec<Act>) {
    let new = S + 4;
    let of = |tcb: u64, label: u64, words: &[u64], caps: &[u64]| invocation(tcb, label, words, caps);
    for call in [
        of(new, label::TCB_SET_PRIORITY, &[5], &[A]),
        of(new, label::TCB_SET_MC_PRIORITY, &[6], &[A]),
        of(new, label::TCB_SET_SCHED_PARAMS, &[7, 8], &[A, NOTHING, EP]),
        of(new, label::TCB_SET_TIMEOUT_ENDPOINT, &[], &[EP]),
        of(new, label::TCB_SET_TLS_BASE, &[0x1234], &[]),
        of(new, label::TCB_SET_FLAGS, &[0, 3], &[]),
        of(new, label::TCB_WRITE_REGISTERS, &[0, 4, 0x1000, 0x2000, u64::MAX, 33], &[]),
        of(new, label::TCB_READ_REGISTERS, &[0, 8], &[]),
        of(new, label::TCB_COPY_REGISTERS, &[12], &[B]),
        of(new, label::TCB_BIND_NOTIFICATION, &[], &[NTFN]),
    ] {
        all_lengths(acts, &call);
    }
    by(
        acts,
        0,
        [
            of(new, label::TCB_SET_PRIORITY, &[11], &[A]),
            of(new, label::TCB_SET_PRIORITY, &[5], &[EP]),
            of(new, label::TCB_SET_MC_PRIORITY, &[11], &[A]),
            of(new, label::TCB_SET_SCHED_PARAMS, &[7, 8], &[A, A_SC, EP]),
            of(new, label::TCB_SET_SCHED_PARAMS, &[7, 8], &[A, EP, EP]),
            of(new, label::TCB_SET_SCHED_PARAMS, &[7, 11], &[A, NOTHING, EP]),
            of(new, label::TCB_SET_SCHED_PARAMS, &[11, 8], &[A, NOTHING, EP]),
            of(new, label::TCB_SET_SCHED_PARAMS, &[7, 8], &[A, SPARE_SC, NO_GRANT]),
            of(new, label::TCB_SET_SCHED_PARAMS, &[7, 8], &[A, SPARE_SC, NOTHING]),
            of(new, label::TCB_SET_SCHED_PARAMS, &[7, 8], &[A, S + 5, NOTHING]),
            of(new, label::TCB_SET_SCHED_PARAMS, &[7, 8], &[A, NOTHING, NOTHING]),
            of(A, label::TCB_SET_SCHED_PARAMS, &[10, 10], &[A, NOTHING, NOTHING]),
            of(new, label::TCB_SET_TIMEOUT_ENDPOINT, &[], &[NTFN]),
            of(new, label::TCB_SET_TIMEOUT_ENDPOINT, &[], &[NO_GRANT]),
            of(new, label::TCB_SET_TIMEOUT_ENDPOINT, &[], &[RECEIVE_ONLY]),
            of(new, label::TCB_SET_TIMEOUT_ENDPOINT, &[], &[NOTHING]),
            of(new, label::TCB_BIND_NOTIFICATION, &[], &[NTFN]),
            of(B, label::TCB_BIND_NOTIFICATION, &[], &[NTFN]),
            of(B, label::TCB_BIND_NOTIFICATION, &[], &[NTFN_WRITE]),
            of(B, label::TCB_BIND_NOTIFICATION, &[], &[EP]),
            of(new, label::TCB_UNBIND_NOTIFICATION, &[], &[]),
            of(new, label::TCB_UNBIND_NOTIFICATION, &[], &[]),
            of(B, label::TCB_BIND_NOTIFICATION, &[], &[NTFN_WRITE]),
            of(new, label::TCB_SET_FLAGS, &[1, 0], &[]),
            of(A, label::TCB_READ_REGISTERS, &[0, 4], &[]),
            of(A, label::TCB_WRITE_REGISTERS, &[0, 0], &[]),
            of(new, label::TCB_READ_REGISTERS, &[0, 0], &[]),
            of(new, label::TCB_READ_REGISTERS, &[0, 37], &[]),
            of(new, label::TCB_READ_REGISTERS, &[1, 36], &[]),
            of(new, label::TCB_WRITE_REGISTERS, &[0, 5, 1], &[]),
            of(new, label::TCB_COPY_REGISTERS, &[4], &[EP]),
            of(new, label::TCB_COPY_REGISTERS, &[4], &[B]),
            of(new, label::TCB_COPY_REGISTERS, &[3], &[C]),
            of(A, label::TCB_SET_TLS_BASE, &[0x77], &[]),
            of(A, label::TCB_COPY_REGISTERS, &[8], &[new]),
            of(A, label::TCB_SET_FLAGS, &[0, 1], &[]),
            of(new, 99, &[], &[]),
            // Spaces: a CNode with a guard, one that is none, buffers that are refused.
            of(new, label::TCB_SET_SPACE, &[0, 0], &[EP, OWN, S + 11]),
            of(new, label::TCB_SET_SPACE, &[0, 0], &[NTFN, OWN, S + 11]),
            of(new, label::TCB_SET_SPACE, &[0, 0], &[EP, EP, S + 11]),
            of(new, label::TCB_SET_IPC_BUFFER, &[1024], &[S + 9]),
            of(new, label::TCB_SET_IPC_BUFFER, &[1000], &[S + 9]),
            of(new, label::TCB_SET_IPC_BUFFER, &[1024], &[EP]),
            of(new, label::TCB_SET_IPC_BUFFER, &[0], &[EP]),
            of(new, label::TCB_RESUME, &[], &[]),
            of(new, label::TCB_SUSPEND, &[], &[]),
            of(C, label::TCB_SET_PRIORITY, &[9], &[A]),
            of(C, label::TCB_SET_PRIORITY, &[10], &[A]),
        ],
    );
}

fn contexts(acts: &mut Vec<Act>) {
    let of = |sc: u64, label: u64, caps: &[u64]| invocation(sc, label, &[], caps);
    let configure =
        |sc: u64, words: [u64; 5]| invocation(CONTROL, label::SCHED_CONTROL_CONFIGURE_FLAGS, &words, &[sc]);
    all_lengths(acts, &configure(S + 5, [50, 200, 3, 9, 1]));
    by(
        acts,
        0,
        [
            configure(S + 5, [19, 200, 0, 0, 0]),
            configure(S + 5, [20, 20, 0, 0, 0]),
            configure(S + 5, [200, 199, 0, 0, 0]),
            configure(S + 5, [200, u64::MAX, 0, 0, 0]),
            configure(S + 5, [50, 200, 99, 0, 0]),
            configure(EP, [50, 200, 0, 0, 0]),
            configure(S + 5, [60, 240, 1, 8, 0]),
            invocation(CONTROL, 99, &[], &[]),
            of(S + 5, label::SCHED_CONTEXT_BIND, &[EP]),
            of(S + 5, label::SCHED_CONTEXT_BIND, &[A]),
            of(A_SC, label::SCHED_CONTEXT_BIND, &[C]),
            of(S + 5, label::SCHED_CONTEXT_BIND, &[C]),
            of(S + 5, label::SCHED_CONTEXT_BIND, &[S + 2]),
            of(SPARE_SC, label::SCHED_CONTEXT_BIND, &[S + 2]),
            of(S + 5, label::SCHED_CONTEXT_YIELD_TO, &[]),
            of(SPARE_SC, label::SCHED_CONTEXT_YIELD_TO, &[]),
            of(B_SC, label::SCHED_CONTEXT_YIELD_TO, &[]),
            of(A_SC, label::SCHED_CONTEXT_YIELD_TO, &[]),
            of(A_SC, label::SCHED_CONTEXT_UNBIND, &[]),
            of(S + 5, label::SCHED_CONTEXT_UNBIND_OBJECT, &[B]),
            of(S + 5, label::SCHED_CONTEXT_UNBIND_OBJECT, &[EP]),
            of(A_SC, label::SCHED_CONTEXT_UNBIND_OBJECT, &[A]),
            of(S + 5, label::SCHED_CONTEXT_UNBIND_OBJECT, &[S + 2]),
            of(S + 5, label::SCHED_CONTEXT_UNBIND_OBJECT, &[C]),
            of(S + 5, label::SCHED_CONTEXT_BIND, &[S + 2]),
            of(S + 5, label::SCHED_CONTEXT_UNBIND, &[]),
            of(S + 5, label::SCHED_CONTEXT_CONSUMED, &[]),
            of(S + 5, 99, &[]),
            invocation(DOMAIN, label::DOMAIN_SET, &[0], &[A]),
            invocation(DOMAIN, label::DOMAIN_SET, &[1], &[A]),
            invocation(DOMAIN, label::DOMAIN_SET, &[0], &[EP]),
            invocation(DOMAIN, label::DOMAIN_SET, &[0], &[]),
            invocation(DOMAIN, label::DOMAIN_SET, &[], &[]),
            invocation(DOMAIN, 99, &[], &[]),
            // Of what runs: the time that was used is charged to the old parameters.
            configure(A_SC, [4000, 9000, 2, 0, 0]),
        ],
    );
    acts.push(Act::Tick(100));
    by(acts, 0, [configure(A_SC, [3000, 8000, 2, 0, 0]), configure(A_SC, [5000, 5000, 0, 0, 0])]);
    acts.push(Act::Tick(200));
    by(acts, 0, [of(A_SC, label::SCHED_CONTEXT_CONSUMED, &[]), of(A_SC, label::SCHED_CONTEXT_CONSUMED, &[])]);
    by(acts, 0, [plain(syscall::YIELD, 0), configure(B_SC, [450, 1900, 0, 0, 0])]);
    // B has a context above A's: A yields to it, and hears of its time.
    by(acts, 0, [invocation(A, label::TCB_SET_MC_PRIORITY, &[10], &[A])]);
    acts.push(Act::Tick(50));
    by(
        acts,
        1,
        [
            invocation(A, label::TCB_SET_MC_PRIORITY, &[12], &[B]),
            invocation(A, label::TCB_SET_PRIORITY, &[12], &[B]),
            of(A_SC, label::SCHED_CONTEXT_YIELD_TO, &[]),
        ],
    );
    by(
        acts,
        0,
        [
            of(B_SC, label::SCHED_CONTEXT_YIELD_TO, &[]),
            invocation(A, label::TCB_SET_PRIORITY, &[10], &[A]),
            invocation(B, label::TCB_SUSPEND, &[], &[]),
            invocation(B, label::TCB_RESUME, &[], &[]),
            plain(syscall::SET_TLS_BASE, 0x99),
        ],
    );
}

fn spaces(acts: &mut Vec<Act>) {
    let (frame, table, root) = (S + 9, S + 10, S + 11);
    let pool = S + 20;
    let page = |slot: u64, label: u64, words: &[u64]| invocation(slot, label, words, &[root]);
    let make = |kind, slot, count| retype(UNTYPED, kind, 0, slot, count);
    by(acts, 0, [make(kind::PAGE_TABLE, S + 14, 2), make(kind::SMALL_PAGE, S + 16, 2)]);
    by(
        acts,
        0,
        [
            page(table, label::PAGE_TABLE_MAP, &[0x40_0000, 0]),
            copy(here(S + 18), here(table)),
            copy(here(S + 18), here(root)),
            invocation(ASID_CONTROL, label::ASID_CONTROL_MAKE_POOL, &[pool, 64], &[UNTYPED, OWN]),
            invocation(ASID_CONTROL, label::ASID_CONTROL_MAKE_POOL, &[pool, 64], &[DEVICE, OWN]),
            invocation(ASID_CONTROL, label::ASID_CONTROL_MAKE_POOL, &[EP, 64], &[PAGE, OWN]),
            invocation(ASID_CONTROL, 99, &[], &[]),
        ],
    );
    all_lengths(acts, &invocation(ASID_CONTROL, label::ASID_CONTROL_MAKE_POOL, &[pool, 64], &[PAGE, OWN]));
    by(
        acts,
        0,
        [
            invocation(ASID_CONTROL, label::ASID_CONTROL_MAKE_POOL, &[S + 21, 64], &[PAGE, OWN]),
            invocation(pool, label::ASID_POOL_ASSIGN, &[], &[frame]),
            invocation(pool, 99, &[], &[]),
        ],
    );
    all_lengths(acts, &invocation(pool, label::ASID_POOL_ASSIGN, &[], &[root]));
    by(acts, 0, [invocation(pool, label::ASID_POOL_ASSIGN, &[], &[root])]);
    all_lengths(acts, &page(table, label::PAGE_TABLE_MAP, &[0x40_0123, 0]));
    by(
        acts,
        0,
        [
            page(table, label::PAGE_TABLE_MAP, &[0x40_0000, 0]),
            page(frame, label::PAGE_MAP, &[0x40_0000, 3, 1]),
            page(S + 14, label::PAGE_TABLE_MAP, &[0x40_0000, 0]),
            page(S + 15, label::PAGE_TABLE_MAP, &[0x40_0000, 0]),
            page(S + 16, label::PAGE_TABLE_MAP, &[0x40_0000, 0]),
            invocation(S + 16, label::PAGE_MAP, &[0x40_0000, 3, 1], &[frame]),
            page(S + 16, label::PAGE_MAP, &[0x40_0800, 3, 1]),
            page(S + 16, label::PAGE_MAP, &[1 << 47, 3, 1]),
            page(S + 16, label::PAGE_MAP, &[1 << 48, 3, 1]),
            page(S + 16, label::PAGE_MAP, &[0x80_0000, 3, 1]),
        ],
    );
    all_lengths(acts, &page(frame, label::PAGE_MAP, &[0x40_0000, 3, 1]));
    by(
        acts,
        0,
        [
            page(frame, label::PAGE_MAP, &[0x40_0000, 2, 5]),
            page(frame, label::PAGE_MAP, &[0x40_0000, 1, 0]),
            page(frame, label::PAGE_MAP, &[0x40_0000, 0, 0]),
            page(frame, label::PAGE_MAP, &[0x40_1000, 3, 0]),
            page(S + 16, label::PAGE_MAP, &[0x40_0000, 3, 1]),
            page(frame, label::PAGE_UNMAP, &[]),
            page(frame, label::PAGE_UNMAP, &[]),
            page(S + 17, label::PAGE_MAP, &[0x40_2000, 3, 1]),
            page(S + 17, label::PAGE_GET_ADDRESS, &[]),
            page(S + 17, 99, &[]),
            invocation(OWN, label::CNODE_COPY, &[S + 18, 64, S + 17, 64, 2], &[OWN]),
            page(S + 18, label::PAGE_MAP, &[0x40_3000, 3, 1]),
        ],
    );
    for (of_page, of_space) in [
        (label::PAGE_CLEAN, label::VSPACE_CLEAN),
        (label::PAGE_INVALIDATE, label::VSPACE_INVALIDATE),
        (label::PAGE_CLEAN_INVALIDATE, label::VSPACE_CLEAN_INVALIDATE),
        (label::PAGE_UNIFY, label::VSPACE_UNIFY),
    ] {
        by(
            acts,
            0,
            [
                page(S + 17, of_page, &[64, 128]),
                page(S + 18, of_page, &[0, 4096]),
                page(S + 17, of_page, &[64, 64]),
                page(S + 17, of_page, &[0, 4097]),
                page(S + 17, of_page, &[4096, 5000]),
                page(S + 17, of_page, &[64]),
                page(frame, of_page, &[64, 128]),
                invocation(root, of_space, &[0x40_2010, 0x40_2020], &[]),
                invocation(root, of_space, &[0x40_2010, 0x40_3001], &[]),
                invocation(root, of_space, &[0x40_2010, 0x40_2010], &[]),
                invocation(root, of_space, &[0x50_2010, 0x50_2020], &[]),
                invocation(root, of_space, &[0x40_2010], &[]),
                invocation(root, of_space, &[1 << 47, 1 << 49], &[]),
            ],
        );
    }
    by(
        acts,
        0,
        [
            invocation(root, 99, &[], &[]),
            // A thread in the address space; the space goes away below it.
            invocation(S + 4, label::TCB_CONFIGURE, &[0, 0, 0], &[OWN, root, S + 16]),
            invocation(S + 4, label::TCB_CONFIGURE, &[0, 0, 2048], &[OWN, root, S + 16]),
            invocation(S + 4, label::TCB_CONFIGURE, &[0, 0, 2048], &[OWN, S + 16, S + 16]),
            invocation(S + 4, label::TCB_SET_SPACE, &[0, 0], &[EP, OWN, root]),
            invocation(S + 4, label::TCB_SET_SPACE, &[6, 0], &[NOTHING, OWN, root]),
            invocation(C, label::TCB_SET_SPACE, &[0, 0], &[EP, OWN, root]),
            copy(here(S + 19), here(root)),
            copy(here(S + 22), here(table)),
            invocation(table, label::PAGE_TABLE_UNMAP, &[], &[]),
            delete(here(S + 22)),
            invocation(table, label::PAGE_TABLE_UNMAP, &[], &[]),
            invocation(table, label::PAGE_TABLE_UNMAP, &[], &[]),
            invocation(table, 99, &[], &[]),
            page(table, label::PAGE_TABLE_MAP, &[1 << 48, 0]),
            page(table, label::PAGE_TABLE_MAP, &[0x40_0000, 0]),
            delete(here(S + 14)),
            delete(here(S + 17)),
            delete(here(S + 19)),
            delete(here(root)),
            invocation(S + 4, label::TCB_SUSPEND, &[], &[]),
            delete(here(S + 15)),
            delete(here(pool)),
            page(S + 16, label::PAGE_MAP, &[0x40_0000, 3, 1]),
            revoke(here(PAGE)),
        ],
    );
}

fn interrupts(acts: &mut Vec<Act>) {
    let (handler, timer) = (S + 25, S + 6);
    let issue =
        |irq: u64, slot: u64| invocation(IRQ_CONTROL, label::IRQ_ISSUE_HANDLER, &[irq, slot, 64], &[OWN]);
    all_lengths(acts, &issue(40, handler));
    by(
        acts,
        0,
        [
            issue(40, S + 26),
            issue(27, S + 26),
            issue(63, S + 26),
            issue(64, S + 27),
            issue(41, EP),
            invocation(IRQ_CONTROL, label::IRQ_ISSUE_HANDLER_TRIGGER, &[42, 1, S + 27, 64], &[OWN]),
            invocation(IRQ_CONTROL, label::IRQ_ISSUE_HANDLER_TRIGGER, &[43, 0, S + 28, 64], &[OWN]),
            invocation(IRQ_CONTROL, label::IRQ_ISSUE_HANDLER_TRIGGER, &[43, 0], &[OWN]),
            invocation(IRQ_CONTROL, 99, &[], &[]),
            invocation(handler, label::IRQ_SET_HANDLER, &[], &[NTFN_READ]),
            invocation(handler, label::IRQ_SET_HANDLER, &[], &[EP]),
            invocation(handler, label::IRQ_SET_HANDLER, &[], &[]),
            invocation(handler, label::IRQ_SET_HANDLER, &[], &[NTFN]),
        ],
    );
    acts.push(Act::Interrupt(40, 5));
    acts.push(Act::Interrupt(41, 5));
    acts.push(Act::Interrupt(63, 5));
    by(
        acts,
        0,
        [
            plain(syscall::NB_WAIT, NTFN),
            invocation(handler, label::IRQ_ACK, &[], &[]),
            invocation(handler, label::IRQ_CLEAR_HANDLER, &[], &[]),
            invocation(handler, 99, &[], &[]),
            copy(here(S + 29), here(handler)),
            delete(here(handler)),
            delete(here(S + 29)),
            revoke(here(IRQ_CONTROL)),
        ],
    );
    let arm = |words: &[u64], caps: &[u64]| invocation(timer, ext::TIMER_ARM, words, caps);
    all_lengths(acts, &invocation(timer, ext::TIMER_BIND, &[], &[NTFN]));
    by(
        acts,
        0,
        [
            invocation(timer, ext::TIMER_BIND, &[], &[NTFN_READ]),
            arm(&[1], &[]),
            arm(&[2000, 19], &[]),
            arm(&[2000, 20], &[]),
            arm(&[1500, 0], &[EP]),
            arm(&[1500, 300], &[A_SC]),
        ],
    );
    acts.push(Act::Tick(2000));
    by(
        acts,
        0,
        [
            plain(syscall::NB_WAIT, NTFN),
            invocation(timer, ext::TIMER_READ, &[], &[]),
            invocation(timer, ext::TIMER_READ, &[], &[]),
            invocation(timer, ext::TIMER_CANCEL, &[], &[]),
            invocation(timer, ext::TIMER_UNBIND, &[], &[]),
            invocation(timer, 99, &[], &[]),
            arm(&[9000, 0], &[]),
            delete(here(timer)),
            invocation(TRACE, ext::TRACE_SET_MASK, &[0], &[]),
            invocation(TRACE, ext::TRACE_SET_MASK, &[], &[]),
            invocation(TRACE, ext::TRACE_EMIT, &[0x1_0000, 0, 0], &[]),
            invocation(TRACE, ext::TRACE_EMIT, &[0x900, 0x1_0000, 0], &[]),
            invocation(TRACE, ext::TRACE_EMIT, &[0x900, 1, 2], &[A]),
            invocation(TRACE, ext::TRACE_EMIT, &[0x900, 1, 2], &[EP]),
            invocation(TRACE, ext::TRACE_EMIT, &[0x900, 1], &[]),
            invocation(TRACE, ext::TRACE_INFO, &[], &[]),
            invocation(TRACE, 99, &[], &[]),
        ],
    );
}

fn messages(acts: &mut Vec<Act>) {
    let receive = |number: i64, from: u64, reply: u64| Call { reply, ..plain(number, from) };
    let send =
        |number: i64, to: u64, words: &[u64], caps: &[u64]| Call { number, ..invocation(to, 5, words, caps) };
    let long: Vec<u64> = (100..120).collect();
    // Every kind of receiving and sending, by capabilities with and without the right.
    for from in [EP, SEND_ONLY, NTFN, NTFN_WRITE, REPLY, NOTHING, 1000] {
        by(acts, 0, [receive(syscall::NB_RECV, from, REPLY), receive(syscall::NB_WAIT, from, 0)]);
        by(acts, 1, [invocation(A, label::TCB_RESUME, &[], &[])]);
    }
    by(acts, 1, [receive(syscall::RECV, EP, NOTHING), invocation(B, label::TCB_RESUME, &[], &[])]);
    by(acts, 0, [invocation(B, label::TCB_RESUME, &[], &[])]);
    for to in [EP, RECEIVE_ONLY, SEND_ONLY, NO_GRANT, BADGED, NTFN, NTFN_READ, REPLY, NOTHING] {
        by(acts, 1, [receive(syscall::RECV, EP, REPLY)]);
        by(acts, 0, [send(syscall::NB_SEND, to, &long, &[EP, NTFN])]);
        by(acts, 1, [receive(syscall::RECV, EP, REPLY)]);
        by(acts, 0, [send(syscall::CALL, to, &[1, 2, 3], &[])]);
        acts.push(Act::Call(1, Call { reply: REPLY, ..send(syscall::REPLY_RECV, EP, &[4, 5], &[]) }, None));
        acts.push(Act::Call(0, send(syscall::SEND, to, &[6], &[BADGED]), None));
        by(acts, 0, [invocation(B, label::TCB_SUSPEND, &[], &[])]);
        by(acts, 0, [invocation(B, label::TCB_RESUME, &[], &[])]);
        by(
            acts,
            1,
            [invocation(A, label::TCB_SUSPEND, &[], &[]), invocation(A, label::TCB_RESUME, &[], &[])],
        );
    }
    // Signals: waiting, bound, and combined calls.
    by(acts, 1, [plain(syscall::WAIT, NTFN)]);
    by(acts, 0, [plain(syscall::SEND, NTFN), plain(syscall::SEND, NTFN), plain(syscall::NB_WAIT, NTFN)]);
    by(
        acts,
        1,
        [invocation(B, label::TCB_BIND_NOTIFICATION, &[], &[NTFN]), receive(syscall::RECV, EP, REPLY)],
    );
    by(acts, 0, [plain(syscall::NB_WAIT, NTFN), plain(syscall::SEND, NTFN)]);
    by(acts, 1, [receive(syscall::NB_SEND_RECV, EP, EP), receive(syscall::NB_SEND_WAIT, NTFN, NTFN)]);
    by(acts, 0, [send(syscall::CALL, EP, &[8], &[])]);
    by(
        acts,
        1,
        [
            receive(syscall::RECV, EP, REPLY),
            invocation(B, label::TCB_UNBIND_NOTIFICATION, &[], &[]),
            send(syscall::SEND, REPLY, &[9, 10], &[]),
        ],
    );
    // Faults: to a handler that answers, to nobody.
    by(
        acts,
        1,
        [
            invocation(A, label::TCB_SET_SCHED_PARAMS, &[10, 10], &[B, A_SC, EP]),
            receive(syscall::RECV, EP, REPLY),
        ],
    );
    for fault in [
        Fault::Vm { addr: 0x123, fsr: 0x456, instruction: true },
        Fault::UserException { number: 7, code: 8 },
        Fault::UnknownSyscall { number: 99 },
    ] {
        acts.push(Act::Fault(0, fault));
        let answer = Call {
            reply: REPLY,
            label: 0,
            ..send(syscall::REPLY_RECV, EP, &[0x4000, 0x5000, 0x6000, 1, 2], &[])
        };
        acts.push(Act::Call(1, answer, None));
        by(acts, 0, [plain(77, 5)]);
        acts.push(Act::Call(
            1,
            Call { reply: REPLY, label: 1, ..send(syscall::REPLY_RECV, EP, &[], &[]) },
            None,
        ));
        by(acts, 1, [invocation(A, label::TCB_RESUME, &[], &[]), receive(syscall::RECV, EP, REPLY)]);
        by(acts, 0, [plain(syscall::CALL, 1000)]);
        by(
            acts,
            1,
            [invocation(A, label::TCB_SUSPEND, &[], &[]), invocation(A, label::TCB_RESUME, &[], &[])],
        );
        by(acts, 1, [receive(syscall::RECV, EP, REPLY)]);
    }
    by(acts, 0, [invocation(B, label::TCB_SUSPEND, &[], &[]), invocation(B, label::TCB_RESUME, &[], &[])]);
    acts.push(Act::Fault(1, Fault::Vm { addr: 0x123, fsr: 0x456, instruction: false }));
    by(acts, 0, [invocation(B, label::TCB_RESUME, &[], &[])]);
    // Budgets: a timeout handler hears of it; without one the thread waits.
    by(
        acts,
        0,
        [invocation(B, label::TCB_SET_TIMEOUT_ENDPOINT, &[], &[EP]), receive(syscall::RECV, EP, REPLY_2)],
    );
    acts.push(Act::Tick(500));
    acts.push(Act::Call(0, Call { reply: REPLY_2, ..send(syscall::REPLY_RECV, EP, &[], &[]) }, None));
    acts.push(Act::Tick(3000));
    acts.push(Act::Call(
        0,
        Call { reply: REPLY_2, ..send(syscall::REPLY_RECV, EP, &[0x4000, 0x5000, 0x6000, 1], &[]) },
        None,
    ));
    acts.push(Act::Tick(20000));
    // A passive server on its caller's context, and what is left when parts go.
    by(
        acts,
        1,
        [invocation(C, label::TCB_SET_PRIORITY, &[12], &[B]), invocation(C, label::TCB_RESUME, &[], &[])],
    );
    for gone in [REPLY, C, B_SC, EP] {
        by(acts, 1, [invocation(SPARE_SC, label::SCHED_CONTEXT_BIND, &[], &[C])]);
        by(acts, 2, [receive(syscall::RECV, EP, REPLY)]);
        by(
            acts,
            1,
            [invocation(SPARE_SC, label::SCHED_CONTEXT_UNBIND, &[], &[]), send(syscall::CALL, EP, &[1], &[])],
        );
        by(acts, 2, [delete(here(gone))]);
        by(acts, 0, [delete(here(gone)), invocation(B, label::TCB_RESUME, &[], &[])]);
    }
    by(
        acts,
        0,
        [
            delete(here(NTFN)),
            delete(here(NTFN_READ)),
            delete(here(NTFN_WRITE)),
            delete(here(B)),
            revoke(here(UNTYPED)),
        ],
    );
}
