//! What workers do: one random thing after the other, until somebody stops them.
//!
//! A worker starts at [`entry`] with its state's number, whatever happened to it before: the state's random numbers go on.
use crate::arch;
use crate::arena::{ARENA, FINDING, FOUND, STATES, State};
use crate::calls::{self, Call, invoke, perform, repeat};
use crate::objects::{self, PLAYGROUND, copy_into, delete, make, revoke, write_hostile};
use crate::slots::{Shared, kind, pointer, private, top};
use core::sync::atomic::Ordering::Relaxed;
use sel4_sys::object::kind as object;
use sel4_sys::{ext, label, syscall};

/// Timers of short periods.
pub const STORM: u64 = 1;
/// System calls that no budget is asked for.
pub const BUDGET: u64 = 2;
/// Objects that hold each other's last capabilities.
pub const RING: u64 = 4;

/// Whether this run leaves a feature out.
pub fn leaves_out(feature: u64) -> bool {
    ARENA.without.load(Relaxed) & feature != 0
}

/// Any random calls.
pub const ANYTHING: u64 = 0;
/// Waits for a timer, and takes at every tick whatever memory the kernel gives, to look at it and write into it. It does nothing
/// that could lead others to itself.
pub const PREDATOR: u64 = 1;
/// Builds rings of last capabilities, and revokes.
pub const REVOKER: u64 = 2;
/// Messages: calls, answers, scheduling contexts that travel.
pub const TALKER: u64 = 3;
/// Makes calls that ask for no budget.
pub const BURSTER: u64 = 4;
/// Stops and resumes others; arms timers.
pub const STOPPER: u64 = 5;
/// Never blocks: it fills the time that the others leave.
pub const GRINDER: u64 = 6;

/// Where a worker starts.
pub fn entry() -> u64 {
    start as *const () as u64
}

extern "C" fn start(number: u64) -> ! {
    let w = &ARENA.states[number as usize % STATES];
    loop {
        match w.role.load(Relaxed) {
            PREDATOR => predate(w),
            REVOKER if w.once_in(2) => ring(w),
            TALKER if !w.once_in(4) => talk(w),
            BURSTER if w.once_in(2) => burst(w),
            STOPPER if w.once_in(2) => stop_and_go(w),
            STOPPER if w.once_in(8) => storm(w),
            _ => anything(w),
        }
    }
}

fn anything(w: &State) {
    match w.below(100) {
        0..=12 => objects::untyped(w),
        13..=32 => objects::cnode(w),
        33..=47 => objects::tcb(w),
        48..=55 => objects::context(w),
        56..=57 => objects::interrupt(w),
        58..=67 => objects::space(w),
        68..=73 => objects::timer(w),
        74..=86 => talk(w),
        87..=88 => ring(w),
        89 => thread_ring(w),
        90 => burst(w),
        91 => stop_and_go(w),
        92 => storm(w),
        93 => fault(w),
        94 => hand_on(w),
        _ => noise(w),
    }
}

/// Labels of messages: of no invocation.
const MESSAGES: u64 = 2000;

/// A period that timers must accept, near the shortest.
pub fn shortest_period(w: &State) -> u64 {
    let shortest = axiom_root_test::world::frequency() / 50_000 + 1;
    shortest + w.one_of(&[0, 0, 7, w.below(1000)])
}

/// Anything, through any number but those that end the run or fill its log.
fn noise(w: &State) {
    let number = match w.below(8) {
        0..=4 => -1 - w.below(11) as i64,
        5 => -15,
        6 => w.one_of(&[(-33i64) as u64, (-18i64) as u64, (-20i64) as u64, (-29i64) as u64]) as i64,
        _ => w.below(1 << 40) as i64 + 1,
    };
    if leaves_out(BUDGET) && number < syscall::YIELD {
        return;
    }
    let cap = w.one_of(&[Shared::any(w).pointer(), pointer(w.below(16), w.below(128)), w.hostile()]);
    let mut call = Call::invocation(cap, w.one_of(&[w.below(64), w.hostile()]), &[], &[]);
    call.number = number;
    call.length = w.below(128);
    call.extra = w.below(4);
    call.words[..12].iter_mut().for_each(|word| *word = w.hostile());
    call.caps.iter_mut().for_each(|cap| *cap = w.one_of(&[Shared::any(w).pointer(), w.hostile()]));
    call.reply = w.one_of(&[Shared::find(w, kind::REPLY).pointer(), w.hostile()]);
    call.dest = w.one_of(&[Shared::any(w).pointer(), w.hostile()]);
    perform(w, &call);
}

/// Messages over endpoints and notifications, with right and wrong reply objects.
fn talk(w: &State) {
    let endpoint = Shared::find(w, kind::ENDPOINT).pointer();
    let ntfn = w.one_of(&[
        Shared::find(w, kind::NOTIFICATION).pointer(),
        pointer(top::PRIVATE, private::NOTIFICATION),
    ]);
    let reply = w.one_of(&[
        pointer(top::PRIVATE, private::REPLY),
        Shared::find(w, kind::REPLY).pointer(),
        Shared::any(w).pointer(),
    ]);
    let mut call = Call::invocation(endpoint, MESSAGES + w.below(8), &[], &[]);
    call.length = w.one_of(&[0, 0, 2, 4, 5, 20, 120, w.below(128)]);
    call.extra = if w.once_in(4) { w.below(4) } else { 0 };
    call.caps.iter_mut().for_each(|cap| *cap = Shared::any(w).pointer());
    call.words[..8].iter_mut().for_each(|word| *word = w.below(64));
    call.reply = reply;
    call.dest = w.one_of(&[endpoint, Shared::find(w, kind::ENDPOINT).pointer(), ntfn]);
    let blocks = w.role.load(Relaxed) != GRINDER;
    if w.once_in(16) {
        receive_into(w);
    }
    (call.number, call.cap) = match if blocks { w.below(24) } else { 24 + w.below(6) } {
        0..=4 => (syscall::CALL, endpoint),
        5 => (syscall::SEND, endpoint),
        6..=8 => (syscall::NB_SEND, endpoint),
        9..=10 => (syscall::RECV, endpoint),
        11..=13 => (syscall::NB_RECV, endpoint),
        14..=16 => (syscall::REPLY_RECV, endpoint),
        17 => (syscall::NB_SEND_RECV, endpoint),
        18 => (syscall::NB_SEND_WAIT, w.one_of(&[ntfn, endpoint])),
        19 => (syscall::SEND, ntfn),
        20 => (syscall::NB_WAIT, ntfn),
        21 => (syscall::WAIT, ntfn),
        // An answer, which may have a caller that waits for it.
        22 => (syscall::SEND, reply),
        24 | 25 => (syscall::NB_SEND, w.one_of(&[endpoint, ntfn])),
        26 => (syscall::NB_RECV, endpoint),
        27 => (syscall::NB_WAIT, w.one_of(&[endpoint, ntfn])),
        28 => (syscall::SEND, w.one_of(&[reply, ntfn])),
        _ => (syscall::YIELD, 0),
    };
    if w.once_in(32) {
        call.cap = w.hostile();
    }
    perform(w, &call);
}

/// Says where capabilities that come with a message are to go.
fn receive_into(w: &State) {
    let (root, index, depth) = Shared::find(w, kind::EMPTY).path(w);
    let b = calls::buffer(w);
    let spoiled = w.once_in(4);
    // SAFETY: the page is this worker's alone, or it is not mapped and the worker's fault is part of the test.
    unsafe {
        (&raw mut (*b).receive_cnode).write_volatile(if spoiled { w.hostile() } else { root });
        (&raw mut (*b).receive_index).write_volatile(index);
        (&raw mut (*b).receive_depth).write_volatile(if spoiled { w.hostile() } else { depth });
    }
}

/// A fault of some kind.
fn fault(w: &State) {
    match w.below(7) {
        // Where a mapping may be that the kernel believes to be gone.
        5 | 6 => write_hostile(w, objects::play_page(w), 4),
        0 => {
            let at = w.hostile() & !7;
            arch::fault(0, at);
        }
        kind => arch::fault(kind, 0),
    }
}

/// Calls that ask for no budget, one after the other, now and then for a whole budget of a worker.
fn burst(w: &State) {
    if leaves_out(BUDGET) {
        return;
    }
    let mut call = Call::invocation(w.hostile(), 0, &[], &[]);
    call.number = w.one_of(&[syscall::SET_TLS_BASE as u64, syscall::DEBUG_CAP_IDENTIFY as u64]) as i64;
    let most = w.one_of(&[20, 200, 200, 10_000]);
    for _ in 0..w.below(most) {
        repeat(w, &call);
    }
}

/// Stops and resumes a thread, whatever it does.
fn stop_and_go(w: &State) {
    let thread = w.one_of(&[Shared::find(w, kind::TCB).pointer(), pointer(top::PRIVATE, private::PREY)]);
    let mut call = Call::invocation(0, 0, &[], &[]);
    for _ in 0..w.below(32) {
        invoke(w, &Call::invocation(thread, label::TCB_SUSPEND, &[], &[]));
        invoke(w, &Call::invocation(thread, label::TCB_RESUME, &[], &[]));
        call.number = w.one_of(&[syscall::YIELD as u64, syscall::NB_WAIT as u64]) as i64;
        perform(w, &call);
    }
}

/// Many timers with short periods, in the worker's private CNode.
fn storm(w: &State) {
    const FIRST: u64 = 32;
    const MOST: u64 = 64;
    if leaves_out(STORM) {
        return;
    }
    let own = pointer(top::PRIVATE, private::SELF);
    let count = 1 + w.below(MOST);
    let words = [ext::TIMER_TYPE, 0, 0, 0, FIRST, count];
    let from = Shared::find(w, kind::UNTYPED).pointer();
    if invoke(w, &Call::invocation(from, label::UNTYPED_RETYPE, &[own], &words)) == 0 {
        let start = axiom_root_test::world::counter() + w.one_of(&[0, 2_000, 200_000]);
        let ntfn = Shared::find(w, kind::NOTIFICATION).pointer();
        for i in 0..count {
            let timer = pointer(top::PRIVATE, FIRST + i);
            if w.once_in(2) {
                invoke(w, &Call::invocation(timer, ext::TIMER_BIND, &[ntfn], &[]));
            }
            let words = [start + 26 * i, shortest_period(w)];
            invoke(w, &Call::invocation(timer, ext::TIMER_ARM, &[], &words));
        }
    } else if w.once_in(4) {
        for i in 0..MOST {
            invoke(w, &Call::invocation(own, label::CNODE_DELETE, &[], &[FIRST + i, crate::arena::RADIX]));
        }
    }
}

/// Two CNodes that hold each other's last capability, from different memory, with all kinds of things beside.
fn ring(w: &State) {
    if leaves_out(RING) {
        return;
    }
    let (from_a, from_b) = (Shared::find(w, kind::UNTYPED), Shared::find(w, kind::UNTYPED));
    let (bits_a, bits_b) = (w.one_of(&[1, 2, 5, 8, 9, 10]), w.one_of(&[1, 2, 5, 7, 7, 8]));
    let Some(a) = make(w, from_a, kind::CNODE, bits_a, 1) else { return };
    let Some(b) = make(w, from_b, kind::CNODE, bits_b, 1) else { return delete(w, a) };
    let place = |bits: u64| {
        let last = (1 << bits) - 1;
        w.one_of(&[0, last, last - 1, w.below(1 << bits)])
    };
    copy_into(w, b.pointer(), place(bits_b), bits_b, a);
    copy_into(w, a.pointer(), place(bits_a), bits_a, b);
    for _ in 0..w.below(6) {
        copy_into(w, a.pointer(), w.below(1 << bits_a), bits_a, Shared::any(w));
        copy_into(w, b.pointer(), w.below(1 << bits_b), bits_b, Shared::any(w));
    }
    if w.once_in(3) {
        // A third: the ring is longer, or the chain has a tail.
        let other = Shared::find(w, kind::CNODE);
        copy_into(w, other.pointer(), w.below(2), 1 + w.below(3), a);
        copy_into(w, b.pointer(), place(bits_b), bits_b, other);
    }
    delete(w, a);
    delete(w, b);
    match w.below(4) {
        0 => revoke(w, from_a),
        1 => revoke(w, from_b),
        2 => {
            revoke(w, from_a);
            revoke(w, from_b);
        }
        _ => {}
    }
}

/// A thread whose capability space holds the last capability to it.
fn thread_ring(w: &State) {
    if leaves_out(RING) {
        return;
    }
    let from = Shared::find(w, kind::UNTYPED);
    let Some(thread) = make(w, from, kind::TCB, 0, 1) else { return };
    let bits = w.one_of(&[2, 5, 8]);
    let Some(node) = make(w, Shared::find(w, kind::UNTYPED), kind::CNODE, bits, 1) else {
        return delete(w, thread);
    };
    let caps = [node.pointer(), pointer(top::PRIVATE, private::VSPACE), 0];
    invoke(w, &Call::invocation(thread.pointer(), label::TCB_CONFIGURE, &caps, &[64 - bits, 0, 0]));
    copy_into(w, node.pointer(), w.one_of(&[0, (1 << bits) - 1]), bits, thread);
    copy_into(w, node.pointer(), 1, bits, node);
    delete(w, node);
    delete(w, thread);
    if w.once_in(2) {
        revoke(w, from);
    }
}

/// Moves something into another worker's reach, or away: through the two shared CNodes, in any direction.
fn hand_on(w: &State) {
    let (from, to) = (Shared::any(w), Shared::find(w, kind::EMPTY));
    let (root, at, levels) = from.path(w);
    let (node, index, depth) = to.path(w);
    let label = w.one_of(&[label::CNODE_MOVE, label::CNODE_COPY]);
    invoke(w, &Call::invocation(node, label, &[root], &[index, depth, at, levels, 15]));
    to.ask(w);
    from.ask(w);
}

/// New memory is zero; if it is not, the supervisor is told where.
fn look_at_new(page: u64, address: u64) {
    for i in 0..512 {
        let at = core::ptr::with_exposed_provenance::<u64>(page as usize).wrapping_add(i);
        // SAFETY: the page was just mapped for this; if somebody took it away, the worker faults, which is part of the test.
        let word = unsafe { at.read_volatile() };
        if word != 0 {
            FINDING.found[1].store(address, Relaxed);
            FINDING.found[2].store(word, Relaxed);
            FINDING.found[0].store(FOUND + 8 * i as u64, Relaxed);
            return;
        }
    }
}

/// Waits for its timer; then takes memory that the kernel gives, and fills it with words that break whatever still uses it.
fn predate(w: &State) {
    let mut wait = Call::invocation(pointer(top::PRIVATE, private::NOTIFICATION), 0, &[], &[]);
    wait.number = syscall::WAIT;
    if w.once_in(16) {
        let now = axiom_root_test::world::counter();
        let period = if leaves_out(STORM) { 6_250 } else { shortest_period(w) + w.below(3000) };
        let timer = pointer(top::PRIVATE, private::TIMER);
        invoke(w, &Call::invocation(timer, ext::TIMER_ARM, &[], &[now + period, period]));
    }
    perform(w, &wait);
    for _ in 0..1 + w.below(3) {
        let from = Shared::find(w, kind::UNTYPED);
        let slot = private::FREE + w.below(8);
        let frame = pointer(top::PRIVATE, slot);
        let own = pointer(top::PRIVATE, private::SELF);
        // What is called may be a notification by now, which answers that all is well: then the slot stays empty, and nothing is mapped.
        if invoke(w, &Call::invocation(own, label::CNODE_DELETE, &[], &[slot, crate::arena::RADIX])) != 0 {
            continue;
        }
        let words = [object::SMALL_PAGE, 0, 0, 0, slot, 1];
        if invoke(w, &Call::invocation(from.pointer(), label::UNTYPED_RETYPE, &[own], &words)) == 0 {
            let page = PLAYGROUND + (slot << 12);
            let vspace = pointer(top::PRIVATE, private::VSPACE);
            if invoke(w, &Call::invocation(frame, label::PAGE_MAP, &[vspace], &[page, 3, 7])) == 0 {
                // Device memory is given as it is; the machine's RAM lies below.
                let address = perform(w, &Call::invocation(frame, label::PAGE_GET_ADDRESS, &[], &[]));
                if address.label == 0 && address.first < 1 << 32 {
                    look_at_new(page, address.first);
                }
                write_hostile(w, page, 512);
            }
        } else if w.once_in(4) {
            from.ask(w);
        }
        if !w.once_in(8) {
            invoke(w, &Call::invocation(own, label::CNODE_DELETE, &[], &[slot, crate::arena::RADIX]));
        }
    }
}
