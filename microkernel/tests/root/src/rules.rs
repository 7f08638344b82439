//! Checks of rules that were once broken: each is the smallest program that showed the mistake.
use crate::checks::{Check, same};
use axiom_root_test::world::{self as w, World};
use axiom_root_test::{arch, say};
use core::sync::atomic::{AtomicU64, Ordering::SeqCst};
use sel4_sys::cap::init;
use sel4_sys::object::kind;
use sel4_sys::{CPtr, Error, MessageInfo, ext, fault, label, stubs};

static SEEN: AtomicU64 = AtomicU64::new(0);
static CAP: AtomicU64 = AtomicU64::new(0);

/// All checks, by name.
pub const ALL: &[(&str, Check)] = &[
    ("a thread that suspends itself keeps its registers", self_suspend),
    ("polling does not give a lent scheduling context back", poll_on_lent_context),
    ("an answered timeout fault waits for the next refill", timeout_fault),
    ("the thread pointer can be set from within", thread_pointer),
    ("a bad extra capability is a fault, an empty one ends the transfer", extra_caps),
    ("the first half of a combined call cannot change its caller", first_phase),
    ("a timer's period leaves time to others", shortest_period),
    ("a trace record names a thread, and nothing else that is given along", traced_thread),
    ("binding rules of scheduling contexts", binding),
    ("memory that was used between two attempts is zeroed again", zeroed_again),
    ("a thread without context is not chosen", donated_away),
    ("calls nest, and answers come back through every level", nested_calls),
    ("a called server of low priority waits for its turn", low_server),
    ("a deleted reply object ends the call and gives the context back", deleted_reply),
    ("reports of faults are few and short", reports),
    ("what a round trip costs", round_trips),
];

extern "C" fn dies(_: u64, _: u64) -> ! {
    loop {
        // Each time that it is resumed.
        arch::undefined();
    }
}

/// A fault without handler is a line on the UART: resumed again and again, it must neither flood it nor hold interrupts off.
fn reports(t: &mut World) -> bool {
    const FAULTS: usize = 40;
    let thread = t.thread(255, dies, 0, 0);
    stubs::yield_now();
    let costs: [u64; FAULTS] = core::array::from_fn(|_| {
        let resumed = w::invoke(thread.tcb, label::TCB_RESUME, &[], &[]);
        let start = w::cycles();
        stubs::yield_now();
        if resumed.is_ok() { w::cycles() - start } else { u64::MAX }
    });
    let (least, most) = costs.iter().fold((u64::MAX, 0), |(l, m), c| (l.min(*c), m.max(*c)));
    let printed = costs.iter().filter(|c| **c > 2 * least).count();
    say!("root-test:   {FAULTS} faults: {least} to {most} cycles with switches; {printed} reported");
    same!("few reports", printed <= 9, true);
    same!("short ones", most < 8000, true);
    true
}

/// Waits until something holds, for a second at most.
fn eventually(t: &mut World, holds: impl Fn() -> bool) -> bool {
    (0..1000).any(|_| {
        t.sleep_us(1000);
        holds()
    })
}

extern "C" fn suspends_itself(tcb: u64, _: u64) -> ! {
    stubs::call(CPtr(tcb), MessageInfo::new(label::TCB_SUSPEND, 0, 0, 0), [0; 4]);
    SEEN.store(1, SeqCst);
    loop {
        core::hint::spin_loop();
    }
}

fn self_suspend(t: &mut World) -> bool {
    let thread = t.thread_of_itself(100, suspends_itself);
    t.run_until_blocked(thread);
    let read = w::invoke(thread.tcb, label::TCB_READ_REGISTERS, &[], &[0, arch::WORDS as u64]);
    same!("read", read.is_ok(), true);
    let b = w::buffer();
    let word = |i: usize| if i < 4 { read.map_or(0, |r| r.mrs[i]) } else { b.msg[i] };
    let kept = (word(arch::CAP_WORD), word(arch::INFO_WORD) >> 12);
    same!("capability and label", kept, (thread.tcb.0, label::TCB_SUSPEND));
    true
}

extern "C" fn polls(ntfn: u64, ep: u64) -> ! {
    loop {
        stubs::wait(CPtr(ntfn));
        stubs::nb_recv(CPtr(ep), CPtr(CAP.load(SeqCst)));
        SEEN.fetch_add(1, SeqCst);
    }
}

fn poll_on_lent_context(t: &mut World) -> bool {
    let (ntfn, ep, reply) =
        (t.make(kind::NOTIFICATION, 0), t.make(kind::ENDPOINT, 0), t.make(kind::REPLY, 0));
    CAP.store(reply.0, SeqCst);
    SEEN.store(0, SeqCst);
    let thread = t.thread(200, polls, ntfn.0, ep.0);
    let bind = |cap, label, arg| w::invoke(cap, label, &[arg], &[]).map(drop);
    same!("bind", bind(thread.tcb, label::TCB_BIND_NOTIFICATION, ntfn), Ok(()));
    t.run_until_blocked(thread);
    same!("unbind", w::invoke(thread.sc, label::SCHED_CONTEXT_UNBIND, &[], &[]).map(drop), Ok(()));
    same!("lend", bind(thread.sc, label::SCHED_CONTEXT_BIND, ntfn), Ok(()));
    stubs::signal(ntfn);
    same!("first round", eventually(t, || SEEN.load(SeqCst) == 1), true);
    stubs::signal(ntfn);
    same!("second round", eventually(t, || SEEN.load(SeqCst) == 2), true);
    true
}

extern "C" fn spins(_: u64, _: u64) -> ! {
    loop {
        core::hint::spin_loop();
    }
}

fn timeout_fault(t: &mut World) -> bool {
    let (ep, reply) = (t.make(kind::ENDPOINT, 0), t.make(kind::REPLY, 0));
    let thread = t.thread_with_budget(100, spins, 1000, 10_000);
    let set = w::invoke(thread.tcb, label::TCB_SET_TIMEOUT_ENDPOINT, &[ep], &[]);
    same!("set handler", set.map(drop), Ok(()));
    let start = w::counter();
    let mut m = stubs::recv(ep, reply);
    for _ in 0..3 {
        same!("kind", m.info.label(), fault::kind::TIMEOUT);
        m = stubs::reply_recv(ep, MessageInfo(0), [0; 4], reply);
    }
    let us = (w::counter() - start) * 1_000_000 / w::frequency();
    same!("suspend", w::invoke(thread.tcb, label::TCB_SUSPEND, &[], &[]).map(drop), Ok(()));
    say!("root-test:   four timeout faults of 1 ms per 10 ms took {us} us");
    us >= 29_000
}

fn thread_pointer(_: &mut World) -> bool {
    let own = w::thread_pointer();
    let set = w::invoke(init::TCB, label::TCB_SET_TLS_BASE, &[], &[own + 8]).map(drop);
    // A context switch in between must not bring the old one back either.
    stubs::yield_now();
    let read = w::thread_pointer();
    w::set_buffer(own);
    same!("set", set, Ok(()));
    same!("read", read, own + 8);
    true
}

extern "C" fn sends_badly(ep: u64, bad: u64) -> ! {
    w::buffer().caps_or_badges[0] = bad;
    stubs::send(CPtr(ep), MessageInfo::new(7, 0, 1, 0), [0; 4]);
    loop {
        core::hint::spin_loop();
    }
}

extern "C" fn sends_two(ep: u64, gift: u64) -> ! {
    w::buffer().caps_or_badges[0] = gift;
    w::buffer().caps_or_badges[1] = (1 << 13) - 1;
    stubs::send(CPtr(ep), MessageInfo::new(8, 0, 2, 0), [0; 4]);
    loop {
        core::hint::spin_loop();
    }
}

fn extra_caps(t: &mut World) -> bool {
    let (ep, handler, reply) = (t.make(kind::ENDPOINT, 0), t.make(kind::ENDPOINT, 0), t.make(kind::REPLY, 0));
    const NOWHERE: u64 = 1 << 40;
    let bad = t.thread_with_handler(100, sends_badly, ep.0, NOWHERE, handler);
    let m = stubs::recv(handler, reply);
    same!("kind", (m.info.label(), m.mrs[1], m.mrs[2]), (fault::kind::CAP, NOWHERE, 0));
    same!("suspend", w::invoke(bad.tcb, label::TCB_SUSPEND, &[], &[]).map(drop), Ok(()));
    let gift = t.make(kind::NOTIFICATION, 0);
    let slot = t.slots(1);
    let b = w::buffer();
    (b.receive_cnode, b.receive_index, b.receive_depth) = (init::CNODE.0, slot, 64);
    let two = t.thread(100, sends_two, ep.0, gift.0);
    let m = stubs::recv(ep, reply);
    same!("label and capabilities", (m.info.label(), m.info.extra_caps()), (8, 1));
    same!("the first arrived", w::is_empty(slot), false);
    w::buffer().receive_depth = 0;
    same!("suspend", w::invoke(two.tcb, label::TCB_SUSPEND, &[], &[]).map(drop), Ok(()));
    true
}

fn first_phase(t: &mut World) -> bool {
    let (ntfn, victim) = (t.make(kind::NOTIFICATION, 0), t.make(kind::ENDPOINT, 0));
    stubs::signal(ntfn);
    let info = MessageInfo::new(label::CNODE_DELETE, 0, 0, 2);
    stubs::nb_send_wait(init::CNODE, info, [victim.0, 64, 0, 0], ntfn);
    same!("still there", w::is_empty(victim.0), false);
    true
}

fn shortest_period(t: &mut World) -> bool {
    let timer = t.make(ext::TIMER_TYPE, 0);
    let arm = |period| w::invoke(timer, ext::TIMER_ARM, &[], &[u64::MAX, period]).map(drop);
    same!("one tick", arm(1), Err(Error::RangeError));
    same!("one millisecond", arm(w::frequency() / 1000), Ok(()));
    same!("once", arm(0), Ok(()));
    same!("cancel", w::invoke(timer, ext::TIMER_CANCEL, &[], &[]).map(drop), Ok(()));
    true
}

fn traced_thread(t: &mut World) -> bool {
    let (trace, other) = (t.trace, t.make(kind::NOTIFICATION, 0));
    let emit = |caps: &[CPtr]| w::invoke(trace, ext::TRACE_EMIT, caps, &[0x10ff, 0, 0]).map(drop);
    same!("without a capability", emit(&[]), Ok(()));
    same!("a thread", emit(&[init::TCB]), Ok(()));
    same!("a notification", emit(&[other]), Err(Error::InvalidCapability));
    same!(
        "too short",
        w::invoke(trace, ext::TRACE_EMIT, &[], &[0x10ff]).map(drop),
        Err(Error::TruncatedMessage)
    );
    true
}

extern "C" fn waits(ntfn: u64, _: u64) -> ! {
    loop {
        stubs::wait(CPtr(ntfn));
        SEEN.fetch_add(1, SeqCst);
    }
}

fn binding(t: &mut World) -> bool {
    let unbind = w::invoke(init::SCHED_CONTEXT, label::SCHED_CONTEXT_UNBIND, &[], &[]).map(drop);
    same!("unbind one's own", unbind, Err(Error::IllegalOperation));
    let ntfn = t.make(kind::NOTIFICATION, 0);
    let thread = t.thread(100, waits, ntfn.0, 0);
    t.run_until_blocked(thread);
    same!("unbind", w::invoke(thread.sc, label::SCHED_CONTEXT_UNBIND, &[], &[]).map(drop), Ok(()));
    let idle = t.make(kind::SCHED_CONTEXT, 8);
    let bind = |sc| w::invoke(sc, label::SCHED_CONTEXT_BIND, &[thread.tcb], &[]).map(drop);
    same!("an unconfigured context to a blocked thread", bind(idle), Err(Error::IllegalOperation));
    same!("a configured one", bind(thread.sc), Ok(()));
    same!("twice", bind(thread.sc), Err(Error::IllegalOperation));
    true
}

extern "C" fn retypes(untyped: u64, slot: u64) -> ! {
    let words = [kind::LARGE_PAGE, 0, 0, 0, slot, 1];
    let _ = w::invoke(CPtr(untyped), label::UNTYPED_RETYPE, &[init::CNODE], &words);
    loop {
        core::hint::spin_loop();
    }
}

fn zeroed_again(t: &mut World) -> bool {
    const AT: u64 = 0x7800_0000;
    const LARGE: u64 = 0x7c00_0000;
    let untyped = t.make(kind::UNTYPED, 21);
    let slot = t.slots(1);
    let retype =
        |kind| w::invoke(untyped, label::UNTYPED_RETYPE, &[init::CNODE], &[kind, 0, 0, 0, slot, 1]).map(drop);
    let map = |at| w::invoke(CPtr(slot), label::PAGE_MAP, &[init::VSPACE], &[at, 3, 3]).map(drop);
    // Somebody begins to make a large page, and is stopped on the way.
    let worker = t.thread(100, retypes, untyped.0, slot);
    t.sleep_us(60);
    same!("suspend", w::invoke(worker.tcb, label::TCB_SUSPEND, &[], &[]).map(drop), Ok(()));
    same!("revoke", w::revoke(untyped), Ok(()));
    // Its memory is used and given back.
    same!("small page", retype(kind::SMALL_PAGE), Ok(()));
    t.map_tables(AT);
    same!("map", map(AT), Ok(()));
    // SAFETY: a fresh page is mapped there, for this check alone.
    unsafe { (AT as *mut u64).write_volatile(!0) };
    same!("revoke again", w::revoke(untyped), Ok(()));
    // The same large page, by somebody else.
    same!("large page", retype(kind::LARGE_PAGE), Ok(()));
    while map(LARGE) == Err(Error::FailedLookup) {
        t.map_table(LARGE);
    }
    // SAFETY: the large page is mapped there, for this check alone.
    let first = unsafe { (LARGE as *const u64).read_volatile() };
    same!("first word", first, 0);
    same!("revoke", w::revoke(untyped), Ok(()));
    true
}

extern "C" fn forwards(ep: u64, reply: u64) -> ! {
    let mut m = stubs::recv(CPtr(ep), CPtr(reply));
    loop {
        SEEN.fetch_add(1, SeqCst);
        m = stubs::reply_recv(CPtr(ep), m.info, m.mrs, CPtr(reply));
    }
}

extern "C" fn calls_for_ever(ep: u64, _: u64) -> ! {
    loop {
        stubs::call(CPtr(ep), MessageInfo(0), [0; 4]);
    }
}

fn donated_away(t: &mut World) -> bool {
    // Three clients of one passive server, with small budgets that end anywhere in the calls, for 30 ms.
    let (ep, reply) = (t.make(kind::ENDPOINT, 0), t.make(kind::REPLY, 0));
    SEEN.store(0, SeqCst);
    let server = t.thread(150, forwards, ep.0, reply.0);
    t.run_until_blocked(server);
    same!("unbind", w::invoke(server.sc, label::SCHED_CONTEXT_UNBIND, &[], &[]).map(drop), Ok(()));
    let clients =
        [100, 100, 120].map(|priority| t.thread_with_args(priority, calls_for_ever, ep.0, 300, 2000));
    t.sleep_us(30_000);
    let mut consumed = 0;
    for client in clients {
        let r = w::invoke(client.sc, label::SCHED_CONTEXT_CONSUMED, &[], &[]);
        consumed += r.map_or(0, |r| r.mrs[0]);
        same!("suspend", w::invoke(client.tcb, label::TCB_SUSPEND, &[], &[]).map(drop), Ok(()));
    }
    say!(
        "root-test:   {} calls by three clients of 0.3 ms per 2 ms, who used {consumed} us",
        SEEN.load(SeqCst)
    );
    // The server may still owe an answer on a client's time: it must not run on in the checks that follow.
    same!("suspend the server", w::invoke(server.tcb, label::TCB_SUSPEND, &[], &[]).map(drop), Ok(()));
    // How much they may use is not checked: an emulator that is kept from running counts as their time.
    SEEN.load(SeqCst) > 0 && consumed > 0
}

static NEXT: AtomicU64 = AtomicU64::new(0);
static NEXT_REPLY: AtomicU64 = AtomicU64::new(0);

/// Adds one on the way down (by calling the next server) and a hundred on the way up.
extern "C" fn passes_on(ep: u64, reply: u64) -> ! {
    let next = CPtr(NEXT.load(SeqCst));
    let mut m = stubs::recv(CPtr(ep), CPtr(reply));
    loop {
        let r = stubs::call(next, MessageInfo::new(0, 0, 0, 1), [m.mrs[0] + 1, 0, 0, 0]);
        m = stubs::reply_recv(CPtr(ep), MessageInfo::new(0, 0, 0, 1), [r.mrs[0] + 100, 0, 0, 0], CPtr(reply));
    }
}

/// A passive server.
fn passive(t: &mut World, priority: u64, entry: extern "C" fn(u64, u64) -> !) -> (CPtr, CPtr, w::Thread) {
    let (ep, reply) = (t.make(kind::ENDPOINT, 0), t.make(kind::REPLY, 0));
    let server = t.thread(priority, entry, ep.0, reply.0);
    t.run_until_blocked(server);
    let _ = w::invoke(server.sc, label::SCHED_CONTEXT_UNBIND, &[], &[]);
    (ep, reply, server)
}

fn nested_calls(t: &mut World) -> bool {
    let (mut ep, _, _) = passive(t, 200, forwards);
    for priority in [199, 201, 150] {
        NEXT.store(ep.0, SeqCst);
        (ep, _, _) = passive(t, priority, passes_on);
    }
    for i in 0..20 {
        let r = stubs::call(ep, MessageInfo::new(0, 0, 0, 1), [i, 0, 0, 0]);
        same!("three levels", r.mrs[0], i + 303);
    }
    true
}

extern "C" fn calls_once(ep: u64, _: u64) -> ! {
    stubs::call(CPtr(ep), MessageInfo(0), [0; 4]);
    NEXT.store(1, SeqCst);
    loop {
        core::hint::spin_loop();
    }
}

fn low_server(t: &mut World) -> bool {
    // The client, more important than the spinner, calls a server that is less: the spinner comes first.
    let (ep, _, _) = passive(t, 50, forwards);
    SEEN.store(0, SeqCst);
    NEXT.store(0, SeqCst);
    let spinner = t.thread(60, spins, 0, 0);
    let client = t.thread(70, calls_once, ep.0, 0);
    t.sleep_us(5000);
    same!("the server has not run", (SEEN.load(SeqCst), NEXT.load(SeqCst)), (0, 0));
    same!("stop", w::invoke(spinner.tcb, label::TCB_SUSPEND, &[], &[]).map(drop), Ok(()));
    same!("now both", eventually(t, || (SEEN.load(SeqCst), NEXT.load(SeqCst)) == (1, 1)), true);
    same!("stop", w::invoke(client.tcb, label::TCB_SUSPEND, &[], &[]).map(drop), Ok(()));
    true
}

extern "C" fn never_answers(ep: u64, reply: u64) -> ! {
    stubs::recv(CPtr(ep), CPtr(reply));
    loop {
        stubs::wait(CPtr(NEXT_REPLY.load(SeqCst)));
    }
}

fn deleted_reply(t: &mut World) -> bool {
    NEXT_REPLY.store(t.make(kind::NOTIFICATION, 0).0, SeqCst);
    let (ep, reply, server) = passive(t, 200, never_answers);
    let client = t.thread(100, calls_once, ep.0, 0);
    t.run_until_blocked(client);
    let bind = |to: CPtr| w::invoke(client.sc, label::SCHED_CONTEXT_BIND, &[to], &[]).map(drop);
    same!("the server has the client's context", bind(client.tcb), Err(Error::IllegalOperation));
    same!("delete", w::delete(reply), Ok(()));
    let unbind = |tcb: CPtr| w::invoke(client.sc, label::SCHED_CONTEXT_UNBIND_OBJECT, &[tcb], &[]).map(drop);
    same!("not the server's any more", unbind(server.tcb), Err(Error::IllegalOperation));
    same!("the client's", unbind(client.tcb), Ok(()));
    true
}

extern "C" fn answers_in_kind(ep: u64, reply: u64) -> ! {
    let mut m = stubs::recv(CPtr(ep), CPtr(reply));
    loop {
        m = stubs::reply_recv(CPtr(ep), m.info, m.mrs, CPtr(reply));
    }
}

fn round_trips(t: &mut World) -> bool {
    let (ep, _, _) = passive(t, 255, answers_in_kind);
    for words in [0u64, 4, 5, 10, 120] {
        w::buffer().msg.iter_mut().enumerate().for_each(|(i, word)| *word = i as u64);
        let info = MessageInfo::new(0, 0, 0, words);
        let mut best = u64::MAX;
        for _ in 0..16 {
            let start = w::cycles();
            let r = stubs::call(ep, info, [0, 1, 2, 3]);
            best = best.min(w::cycles() - start);
            same!("length", r.info.length() as u64, words);
        }
        let last = w::buffer().msg[119];
        same!("last word", last, 119);
        say!("root-test:   round trip, passive server, {words} words: {best} cycles");
    }
    true
}
