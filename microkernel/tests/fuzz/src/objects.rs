//! Invocations on objects, one function per kind: arguments that mostly mean something, so that the state gets deep.
use crate::calls::{Call, WORDS, invoke};
use crate::random::mix;
use crate::slots::{Shared, fixed, kind, pointer, private, top};
use crate::{arch, arena, calls, worker};
use arena::{ARENA, RADIX, SLOTS, STUNTS, State, WORKERS};
use sel4_sys::object::kind as object;
use sel4_sys::{ext, label, syscall};

/// Where workers map what they make.
pub const PLAYGROUND: u64 = 0x6000_0000;

/// Spoils a call now and then: an argument, a capability, the length, the label, the number.
pub fn spoil(w: &State, call: &mut Call) {
    if !w.once_in(8) {
        return;
    }
    match w.below(9) {
        0..=2 => call.words[w.below(call.length.clamp(1, 8)) as usize & 7] = w.hostile(),
        3 => call.caps[w.below(3) as usize & 1] = Shared::any(w).pointer(),
        4 => call.caps[w.below(2) as usize & 1] = w.hostile(),
        5 => call.length = w.below(128),
        6 => call.extra = w.below(4),
        7 => call.label = w.one_of(&[w.below(64), w.below(64), 1024 + w.below(20), w.hostile()]),
        _ => {
            call.number = w.one_of(&[
                syscall::SEND as u64,
                syscall::NB_SEND as u64,
                syscall::NB_SEND_RECV as u64,
                syscall::NB_SEND_WAIT as u64,
                syscall::REPLY_RECV as u64,
            ]) as i64;
            call.dest = call.cap;
            call.reply = call.cap;
        }
    }
}

/// Makes an invocation, spoiled now and then; true if the kernel did it as asked.
fn attempt(w: &State, mut call: Call) -> bool {
    let asked = call.label;
    spoil(w, &mut call);
    let answer = invoke(w, &call);
    call.number == syscall::CALL && call.label == asked && answer == 0
}

fn on(w: &State, slot: Shared, label: u64, caps: &[u64], words: &[u64]) -> bool {
    let done = attempt(w, Call::invocation(slot.pointer(), label, caps, words));
    if !done && w.once_in(3) {
        slot.ask(w);
    }
    done
}

/// Refused or not: nothing depends on it.
fn either_way(_done: bool) {}

/// An empty slot, or any if there seems to be none.
fn room(w: &State) -> Shared {
    Shared::find(w, kind::EMPTY)
}

/// Untyped: makes objects. Returns the first of them.
pub fn make(w: &State, from: Shared, new: u8, bits: u64, count: u64) -> Option<Shared> {
    let number = match new {
        kind::UNTYPED => object::UNTYPED,
        kind::TCB => object::TCB,
        kind::ENDPOINT => object::ENDPOINT,
        kind::NOTIFICATION => object::NOTIFICATION,
        kind::CNODE => object::CNODE,
        kind::CONTEXT => object::SCHED_CONTEXT,
        kind::REPLY => object::REPLY,
        kind::FRAME => w.one_of(&[
            object::SMALL_PAGE,
            object::SMALL_PAGE,
            object::SMALL_PAGE,
            object::SMALL_PAGE,
            object::LARGE_PAGE,
            object::HUGE_PAGE,
        ]),
        kind::VSPACE => object::VSPACE,
        kind::TABLE => arch::table(w),
        _ => ext::TIMER_TYPE,
    };
    let to = room(w);
    let node = pointer(top::PRIVATE, private::SHARED + to.node);
    let done = on(w, from, label::UNTYPED_RETYPE, &[node], &[number, bits, 0, 0, to.index, count]);
    if !done {
        to.ask(w);
        return None;
    }
    for i in 0..count.min(SLOTS as u64) {
        Shared { node: to.node, index: to.index + i }.note(new);
    }
    Some(to)
}

/// The usual size argument for a kind.
fn bits_for(w: &State, new: u8) -> u64 {
    match new {
        kind::UNTYPED => 4 + w.below(11),
        kind::CNODE => w.one_of(&[1, 2, 3, 4, 6, 7, 9]),
        kind::CONTEXT => 7 + w.below(3),
        _ => 0,
    }
}

/// Untyped.
pub fn untyped(w: &State) {
    let new = w.one_of(&[1, 1, 2, 3, 4, 5, 5, 5, 6, 7, 8, 8, 9, 10, 11, 11]) as u8;
    let count = if w.once_in(4) { 1 + w.below(6) } else { 1 };
    make(w, Shared::find(w, kind::UNTYPED), new, bits_for(w, new), count);
}

fn cnode_call(w: &State, path: (u64, u64, u64), label: u64, caps: &[u64], more: &[u64]) -> bool {
    let mut words = [0; 8];
    words[0] = path.1;
    words[1] = path.2;
    words[2..].iter_mut().zip(more).for_each(|(to, from)| *to = *from);
    attempt(w, Call::invocation(path.0, label, caps, &words[..2 + more.len().min(6)]))
}

/// Deletes.
pub fn delete(w: &State, slot: Shared) {
    if cnode_call(w, slot.path(w), label::CNODE_DELETE, &[], &[]) {
        slot.note(kind::EMPTY);
    } else {
        slot.ask(w);
    }
}

/// Revokes.
pub fn revoke(w: &State, slot: Shared) {
    cnode_call(w, slot.path(w), label::CNODE_REVOKE, &[], &[]);
    slot.ask(w);
}

/// Copies into a slot of a CNode that may be none of the shared ones.
pub fn copy_into(w: &State, node: u64, index: u64, depth: u64, from: Shared) -> bool {
    let (root, at, levels) = from.path(w);
    cnode_call(w, (node, index, depth), label::CNODE_COPY, &[root], &[at, levels, 15])
}

/// CNode.
pub fn cnode(w: &State) {
    let (from, to) = (Shared::any(w), room(w));
    let (root, at, levels) = from.path(w);
    let rights = w.one_of(&[15, 15, 15, w.below(16), w.hostile()]);
    let data = w.one_of(&[0, w.below(64), w.below(64) << 6 | w.below(64), w.hostile()]);
    let moved = match w.below(12) {
        0..=2 => cnode_call(w, to.path(w), label::CNODE_COPY, &[root], &[at, levels, rights]),
        3..=4 => cnode_call(w, to.path(w), label::CNODE_MINT, &[root], &[at, levels, rights, data]),
        5 => cnode_call(w, to.path(w), label::CNODE_MOVE, &[root], &[at, levels]),
        6 => cnode_call(w, to.path(w), label::CNODE_MUTATE, &[root], &[at, levels, data]),
        7 => {
            let pivot = Shared::any(w);
            let (pivot_root, pivot_at, pivot_levels) = pivot.path(w);
            cnode_call(
                w,
                to.path(w),
                label::CNODE_ROTATE,
                &[pivot_root, root],
                &[data, pivot_at, pivot_levels, data, at, levels],
            );
            pivot.ask(w);
            from.ask(w);
            to.ask(w);
            return;
        }
        8 => return delete(w, from),
        9 => {
            let deep = w.one_of(&[1, 1, 3, 5, 7, 2]) as u8;
            return revoke(w, Shared::find(w, deep));
        }
        10 => {
            cnode_call(w, from.path(w), label::CNODE_CANCEL_BADGED_SENDS, &[], &[]);
            return;
        }
        // Into a CNode of the workers' own making.
        _ => {
            let node = Shared::find(w, kind::CNODE);
            let depth = 1 + w.below(9);
            copy_into(w, node.pointer(), w.below(1 << depth), depth, from);
            return;
        }
    };
    if moved {
        to.note(from.kind());
        from.ask(w);
    } else if w.once_in(2) {
        from.ask(w);
        to.ask(w);
    }
}

/// Register values for a thread that goes on as a worker, mostly.
fn registers(w: &State) -> [u64; WORDS] {
    let state = &ARENA.states[WORKERS + w.below(STUNTS as u64) as usize % STUNTS];
    let mut words = [0; WORDS];
    words[0] = w.below(2);
    let [all, first] = arch::CONTEXT;
    words[1] = w.one_of(&[all, all, all, 5, first, w.below(40)]);
    let entry = if w.once_in(8) { w.hostile() } else { worker::entry() };
    let stack = if w.once_in(16) { w.hostile() } else { state.stack_top() };
    words[4] = w.hostile();
    for word in &mut words[6..13] {
        *word = w.hostile();
    }
    // The halt call, and those that only print, would end the run or fill its log.
    let call = w.one_of(&[1u64.wrapping_neg(), 5u64.wrapping_neg(), 7u64.wrapping_neg(), w.below(1 << 20)]);
    arch::place(&mut words[2..], entry, stack, state.index() as u64, call);
    words
}

/// TCB.
pub fn tcb(w: &State) {
    let thread = Shared::find(w, kind::TCB);
    let other = Shared::find(w, kind::TCB).pointer();
    let priority = w.one_of(&[w.below(254), w.below(254), 253, 255, w.hostile()]);
    let handler = w.one_of(&[Shared::find(w, kind::ENDPOINT).pointer(), 0]);
    let space = w.one_of(&[
        pointer(top::PRIVATE, private::ROOT),
        Shared::find(w, kind::CNODE).pointer(),
        pointer(top::PRIVATE, private::SELF),
    ]);
    let guard = w.one_of(&[64 - 4 - RADIX, 0, w.below(64)]);
    let vspace = w.one_of(&[pointer(top::PRIVATE, private::VSPACE), Shared::find(w, kind::VSPACE).pointer()]);
    let frame = w.one_of(&[pointer(top::PRIVATE, private::BUFFER), Shared::find(w, kind::FRAME).pointer()]);
    let address = w.one_of(&[0, calls::BUFFERS, PLAYGROUND + (w.below(512) << 10), w.hostile()]);
    match w.below(22) {
        0 => on(w, thread, label::TCB_READ_REGISTERS, &[], &[w.below(2), 1 + w.below(40)]),
        1 | 2 => {
            let words = registers(w);
            on(w, thread, label::TCB_WRITE_REGISTERS, &[], &words[..2 + arch::CONTEXT[0] as usize])
        }
        3 => on(w, thread, label::TCB_COPY_REGISTERS, &[other], &[w.below(16)]),
        4 => on(w, thread, label::TCB_CONFIGURE, &[space, vspace, frame], &[guard, 0, address]),
        5 => on(w, thread, label::TCB_SET_PRIORITY, &[other], &[priority]),
        6 => on(w, thread, label::TCB_SET_MC_PRIORITY, &[other], &[priority]),
        7 => {
            let context = w.one_of(&[Shared::find(w, kind::CONTEXT).pointer(), 0]);
            on(w, thread, label::TCB_SET_SCHED_PARAMS, &[other, context, handler], &[priority, priority])
        }
        8 => on(w, thread, label::TCB_SET_TIMEOUT_ENDPOINT, &[handler], &[]),
        9 => on(w, thread, label::TCB_SET_IPC_BUFFER, &[frame], &[address]),
        10 => on(w, thread, label::TCB_SET_SPACE, &[handler, space, vspace], &[guard, 0]),
        11 | 12 => on(w, thread, label::TCB_SUSPEND, &[], &[]),
        13..=15 => on(w, thread, label::TCB_RESUME, &[], &[]),
        16 => {
            let ntfn = Shared::find(w, kind::NOTIFICATION).pointer();
            on(w, thread, label::TCB_BIND_NOTIFICATION, &[ntfn], &[])
        }
        17 => on(w, thread, label::TCB_UNBIND_NOTIFICATION, &[], &[]),
        18 => on(w, thread, label::TCB_SET_TLS_BASE, &[], &[w.hostile()]),
        19 => on(w, thread, label::TCB_SET_FLAGS, &[], &[w.below(4), w.below(4)]),
        _ => start_thread(w),
    };
}

/// Makes a thread from what there is, and starts it.
fn start_thread(w: &State) -> bool {
    let Some(thread) = make(w, Shared::find(w, kind::UNTYPED), kind::TCB, 0, 1) else { return false };
    let own = pointer(top::PRIVATE, private::TCB);
    let guard = 64 - 4 - RADIX;
    let caps = [
        pointer(top::PRIVATE, private::ROOT),
        pointer(top::PRIVATE, private::VSPACE),
        pointer(top::PRIVATE, private::BUFFER),
    ];
    on(w, thread, label::TCB_CONFIGURE, &caps, &[guard, 0, calls::BUFFERS + ((w.index() as u64) << 12)]);
    let context = Shared::find(w, kind::CONTEXT);
    configure(w, context);
    let handler = Shared::find(w, kind::ENDPOINT).pointer();
    on(w, thread, label::TCB_SET_SCHED_PARAMS, &[own, context.pointer(), handler], &[253, w.below(200)]);
    let mut words = registers(w);
    words[0] = 1;
    on(w, thread, label::TCB_WRITE_REGISTERS, &[], &words[..2 + arch::CONTEXT[0] as usize])
}

fn configure(w: &State, context: Shared) -> bool {
    let time = |w: &State| w.one_of(&[20, 21, 25, 50, 100, 300, 1000, 5000, w.hostile()]);
    let budget = time(w);
    let period = w.one_of(&[budget, budget, budget.wrapping_mul(3), 10_000, time(w), 3_600_000_000]);
    let control = w
        .one_of(&[pointer(top::FIXED, fixed::SCHED_CONTROL), Shared::find(w, kind::SCHED_CONTROL).pointer()]);
    let words = [budget, period, w.one_of(&[0, 0, w.below(40), w.hostile()]), w.hostile(), w.below(2)];
    attempt(w, Call::invocation(control, label::SCHED_CONTROL_CONFIGURE_FLAGS, &[context.pointer()], &words))
}

/// Scheduling contexts and SchedControl.
pub fn context(w: &State) {
    let sc = Shared::find(w, kind::CONTEXT);
    let object = w.one_of(&[
        Shared::find(w, kind::TCB).pointer(),
        Shared::find(w, kind::NOTIFICATION).pointer(),
        Shared::any(w).pointer(),
    ]);
    match w.below(8) {
        0 => on(w, sc, label::SCHED_CONTEXT_BIND, &[object], &[]),
        1 => on(w, sc, label::SCHED_CONTEXT_UNBIND, &[], &[]),
        2 => on(w, sc, label::SCHED_CONTEXT_UNBIND_OBJECT, &[object], &[]),
        3 => on(w, sc, label::SCHED_CONTEXT_CONSUMED, &[], &[]),
        4 => on(w, sc, label::SCHED_CONTEXT_YIELD_TO, &[], &[]),
        _ => configure(w, sc),
    };
}

/// Interrupts and the domain capability.
pub fn interrupt(w: &State) {
    let control = pointer(top::FIXED, fixed::IRQ_CONTROL);
    let to = room(w);
    let (root, index, depth) = to.path(w);
    let line = w.one_of(&[w.below(300), w.below(16), 27, w.hostile()]);
    let ntfn = Shared::find(w, kind::NOTIFICATION).pointer();
    let handler = Shared::find(w, kind::IRQ);
    match w.below(7) {
        0 => {
            let (label, words, count) = arch::interrupt(w, line, None, index, depth);
            if attempt(w, Call::invocation(control, label, &[root], &words[..count])) {
                to.note(kind::IRQ);
            }
        }
        1 => {
            let trigger = w.one_of(&[0, 1, w.hostile()]);
            let (label, words, count) = arch::interrupt(w, line, Some(trigger), index, depth);
            if attempt(w, Call::invocation(control, label, &[root], &words[..count])) {
                to.note(kind::IRQ);
            }
        }
        2 => either_way(on(w, handler, label::IRQ_ACK, &[], &[])),
        3 | 4 => either_way(on(w, handler, label::IRQ_SET_HANDLER, &[ntfn], &[])),
        5 => either_way(on(w, handler, label::IRQ_CLEAR_HANDLER, &[], &[])),
        _ => {
            let thread = Shared::find(w, kind::TCB).pointer();
            let label = w.one_of(&[
                label::DOMAIN_SET,
                label::DOMAIN_SCHEDULE_CONFIGURE,
                label::DOMAIN_SCHEDULE_SET_START,
            ]);
            let domain = pointer(top::FIXED, fixed::DOMAIN);
            let value = w.one_of(&[0, w.hostile()]);
            either_way(attempt(w, Call::invocation(domain, label, &[thread], &[value, value, value])));
        }
    }
}

/// Address spaces.
pub fn space(w: &State) {
    let vspace = w.one_of(&[pointer(top::PRIVATE, private::VSPACE), Shared::find(w, kind::VSPACE).pointer()]);
    let frame = Shared::find(w, kind::FRAME);
    let page = w.one_of(&[
        play_page(w),
        play_page(w),
        w.below(1 << 36) << 12,
        0x8000_0000 + (w.below(8) << 30),
        w.hostile(),
    ]);
    let from = w.one_of(&[0, w.below(4096), w.hostile()]);
    let range = [from, w.one_of(&[from + 64, 4096, w.hostile()])];
    match w.below(12) {
        0..=2 => {
            let words = [page, w.one_of(&[3, 3, w.below(16)]), w.one_of(&[7, 3, w.below(8), w.hostile()])];
            if on(w, frame, label::PAGE_MAP, &[vspace], &words) && page >> 21 == PLAYGROUND >> 21 {
                write_hostile(w, page, 64);
            }
        }
        3 => either_way(on(w, frame, label::PAGE_UNMAP, &[], &[])),
        4 => either_way(on(w, frame, arch::CACHES[0] + w.below(4), &[], &range)),
        5 => either_way(on(w, frame, label::PAGE_GET_ADDRESS, &[], &[])),
        6 => {
            let start = w.one_of(&[page, calls::BUFFERS, 0x40_0000]);
            let words = [start, w.one_of(&[start.wrapping_add(64), start.wrapping_add(4096), w.hostile()])];
            either_way(attempt(w, Call::invocation(vspace, arch::CACHES[1] + w.below(4), &[], &words)));
        }
        7 | 8 => {
            let table = Shared::find(w, kind::TABLE);
            either_way(on(w, table, arch::table_labels(w)[0], &[vspace], &[page, 3]));
        }
        9 => either_way(on(w, Shared::find(w, kind::TABLE), arch::table_labels(w)[1], &[], &[])),
        10 => {
            let target = Shared::find(w, kind::VSPACE).pointer();
            either_way(on(w, Shared::find(w, kind::ASID_POOL), label::ASID_POOL_ASSIGN, &[target], &[]));
        }
        _ => {
            let Some(memory) = make(w, Shared::find(w, kind::UNTYPED), kind::UNTYPED, 12, 1) else { return };
            let to = room(w);
            let (root, index, depth) = to.path(w);
            let control = w.one_of(&[
                pointer(top::FIXED, fixed::ASID_CONTROL),
                Shared::find(w, kind::ASID_CONTROL).pointer(),
            ]);
            let call = Call::invocation(
                control,
                label::ASID_CONTROL_MAKE_POOL,
                &[memory.pointer(), root],
                &[index, depth],
            );
            if attempt(w, call) {
                to.note(kind::ASID_POOL);
            }
        }
    }
}

/// A page for anybody; the playground's first 32 are for who looks at what new memory holds.
pub fn play_page(w: &State) -> u64 {
    PLAYGROUND + ((32 + w.below(480)) << 12)
}

/// Writes words that break whatever takes them for a kernel object: `count` of them, or the page's.
pub fn write_hostile(w: &State, page: u64, count: u64) {
    let seed = mix(&[w.word()]);
    let at = core::ptr::with_exposed_provenance_mut::<u64>(page as usize & !4095);
    for i in 0..count.min(512) as usize {
        let word = match (seed >> (i % 60)) & 7 {
            0 => 0xffff_dead_beef_0000,
            1 => seed.rotate_left(i as u32),
            2 => arch::WINDOW | 0x4000_0000 | seed & 0xffff_ffe0,
            3 => 0x1000_0000_0000_0000 | seed >> 12,
            4 => 1,
            5 => u64::MAX,
            6 => 0xdead_beef_dead_bee8,
            _ => 2 << 59 | 15 << 47 | 0x4000_0000,
        };
        // SAFETY: the page was just mapped for this; if somebody took it away, the worker faults, which is part of the test.
        unsafe { at.add(i).write_volatile(word) };
    }
}

/// Timers and trace.
pub fn timer(w: &State) {
    let timer = Shared::find(w, kind::TIMER);
    let ntfn = Shared::find(w, kind::NOTIFICATION).pointer();
    match w.below(9) {
        0 => either_way(on(w, timer, ext::TIMER_BIND, &[ntfn], &[])),
        1 => either_way(on(w, timer, ext::TIMER_UNBIND, &[], &[])),
        2..=4 => {
            let now = axiom_root_test::world::counter();
            let first = w.one_of(&[now + w.below(5000), now, 0, u64::MAX, w.hostile()]);
            let period = w.one_of(&[worker::shortest_period(w), 62_500, 0, u64::MAX, w.hostile()]);
            let period = if worker::leaves_out(worker::STORM) { period.max(62_500) } else { period };
            either_way(on(w, timer, ext::TIMER_ARM, &[], &[first, period]));
        }
        5 => either_way(on(w, timer, ext::TIMER_CANCEL, &[], &[])),
        6 => either_way(on(w, timer, ext::TIMER_READ, &[], &[])),
        _ => {
            let trace = Shared::find(w, kind::TRACE);
            let thread = Shared::find(w, kind::TCB).pointer();
            let label = w.one_of(&[ext::TRACE_SET_MASK, ext::TRACE_EMIT, ext::TRACE_INFO]);
            either_way(on(w, trace, label, &[thread], &[w.below(1 << 16), w.below(1 << 16), w.hostile()]));
        }
    }
}
