//! Scheduling: 256 fixed priorities, budgets that are charged and refilled, and the timer that enforces both.
use crate::arch;
use crate::fault;
use crate::node::{Action, Node, node};
use crate::trace;
use axiom_objects::object::{Fault, SchedContext, Tcb, ThreadState};
use axiom_objects::queue::Sched;
use axiom_objects::{Ptr, Ticks};

/// Longest time the kernel is assumed to need, microseconds (seL4's KERNEL_WCET of this platform).
pub const KERNEL_WCET_US: u64 = 10;
/// Smallest budget, microseconds: room to enter and leave the kernel twice.
pub const MIN_BUDGET_US: u64 = 2 * KERNEL_WCET_US;
/// Longest period, microseconds.
pub const MAX_PERIOD_US: u64 = 60 * 60 * 1_000_000;

#[inline(always)]
fn min_budget() -> Ticks {
    node().min_budget.get()
}
#[inline(always)]
fn slack() -> Ticks {
    node().slack.get()
}

/// Converts the constants to ticks, once the counter's frequency is known.
pub fn init() {
    let n = node();
    n.min_budget.set(arch::timer::us_to_ticks(MIN_BUDGET_US));
    n.slack.set(arch::timer::us_to_ticks(KERNEL_WCET_US));
}

/// Reads the counter at kernel entry and accounts for the time that user space used.
#[inline(always)]
pub fn update_timestamp() {
    let n = node();
    let now = arch::timer::now();
    n.consumed.set(n.consumed.get() + now.wrapping_sub(n.now.get()));
    n.now.set(now);
}

/// Whether the current context still has budget. If not, it is charged and its thread's turn ends.
#[inline(always)]
pub fn check_budget() -> bool {
    let n = node();
    match n.current_sc.get() {
        None => true,
        Some(sc) if sc.is_sufficient(n.consumed.get(), min_budget()) => true,
        Some(_) => {
            charge_current(n.consumed.get(), true);
            false
        }
    }
}

/// [`check_budget`] at the entry of a system call: without budget, the call is made again later.
#[inline(always)]
pub fn check_budget_restart() -> bool {
    let ok = check_budget();
    if !ok && node().current().is_runnable() {
        set_state(node().current(), ThreadState::Restart);
    }
    ok
}

/// Charges the current context and ends its thread's turn.
pub fn charge_current(amount: Ticks, can_timeout: bool) {
    let n = node();
    if let Some(sc) = n.current_sc.get() {
        sc.charge(amount, min_budget());
        if sc.is_round_robin() {
            sc.restart_round_robin();
        }
        sc.consumed.set(sc.consumed.get() + amount);
    }
    n.consumed.set(0);
    if n.current().is_schedulable() {
        end_turn(can_timeout);
        reschedule();
        n.reprogram.set(true);
    }
}

fn end_turn(can_timeout: bool) {
    let n = node();
    let tcb = n.current();
    let Some(sc) = tcb.sc.get() else { return };
    if can_timeout && !sc.is_round_robin() && fault::has_timeout_handler(tcb) {
        tcb.fault.set(Fault::Timeout { badge: sc.badge.get() });
        fault::deliver_timeout(tcb);
    } else if is_usable(sc) {
        n.enqueue(tcb, false);
    } else {
        postpone(sc);
    }
}

/// Whether a context can run now.
pub fn is_usable(sc: Ptr<SchedContext>) -> bool {
    sc.is_ready(node().now.get(), slack()) && sc.is_sufficient(0, min_budget())
}

/// Whether a thread could leave the kernel on this context now: it is configured, and its refill is there.
pub fn is_released(sc: Ptr<SchedContext>) -> bool {
    sc.is_active() && is_usable(sc)
}

/// Accounts the time of the current context without ending its turn.
fn commit_time() {
    let n = node();
    if let Some(sc) = n.current_sc.get()
        && sc.is_active()
        && n.consumed.get() > 0
    {
        sc.charge(n.consumed.get(), min_budget());
        sc.consumed.set(sc.consumed.get() + n.consumed.get());
    }
    n.consumed.set(0);
}

/// A context becomes usable again: refills of the past start now.
pub fn unblock(sc: Ptr<SchedContext>) {
    sc.unblock(node().now.get(), slack());
    node().reprogram.set(true);
}

/// [`unblock`] for a thread that was woken, if its context is a sporadic server that is not the current one.
pub fn unblock_sporadic(tcb: Ptr<Tcb>) {
    if let Some(sc) = tcb.sc.get()
        && sc.sporadic.get()
        && sc.is_active()
        && node().current_sc.get() != Some(sc)
    {
        unblock(sc);
    }
}

/// Puts the context's thread into the release queue, until its head refill's time.
pub fn postpone(sc: Ptr<SchedContext>) {
    let Some(tcb) = sc.tcb.get() else { return };
    let n = node();
    n.dequeue(tcb);
    if tcb.in_release_queue.replace(true) {
        return;
    }
    let time = sc.head_refill().time;
    let queue = n.release.get();
    let mut at = queue.head;
    while let Some(other) = at.filter(|o| release_time(*o) <= time) {
        at = other.sched_next.get();
    }
    if at == queue.head {
        n.reprogram.set(true);
    }
    n.release.set(queue.insert_before::<Sched>(tcb, at));
}

fn release_time(tcb: Ptr<Tcb>) -> Ticks {
    tcb.sc.get().map_or(0, |sc| sc.head_refill().time)
}

/// Takes a thread out of the release queue, if it is in it.
pub fn release_remove(tcb: Ptr<Tcb>) {
    if tcb.in_release_queue.replace(false) {
        let n = node();
        if n.release.get().head == Some(tcb) {
            n.reprogram.set(true);
        }
        n.release.set(n.release.get().remove::<Sched>(tcb));
    }
}

/// Threads whose refill has come are ready.
fn awaken() {
    let n = node();
    while let Some(tcb) = n.release.get().head {
        let Some(sc) = tcb.sc.get() else { break };
        if !sc.is_ready(n.now.get(), slack()) {
            break;
        }
        release_remove(tcb);
        if sc.is_sufficient(0, min_budget()) {
            switch_if_higher(tcb);
        } else {
            postpone(sc);
            break;
        }
        n.reprogram.set(true);
    }
}

/// Sets a thread's state; the current one must be replaced if it can no longer run.
#[inline(always)]
pub fn set_state(tcb: Ptr<Tcb>, state: ThreadState) {
    tcb.state.set(state);
    let n = node();
    if tcb == n.current() && n.action.get() == Action::Resume && !tcb.is_schedulable() {
        reschedule();
    }
}

/// The ready queues decide on the way out.
pub fn reschedule() {
    let n = node();
    if let Action::SwitchTo(tcb) = n.action.get()
        && tcb.is_schedulable()
    {
        n.enqueue(tcb, true);
    }
    n.action.set(Action::ChooseNew);
}

/// A thread became ready: it runs next if nothing speaks against it.
#[inline(always)]
pub fn switch_if_higher(tcb: Ptr<Tcb>) {
    if tcb.sc.get().is_none() || tcb.in_release_queue.get() {
        return;
    }
    let n = node();
    match n.action.get() {
        // `choose` compares the candidate with the ready queues and with the current thread.
        Action::Resume | Action::ChooseNew => n.action.set(Action::SwitchTo(tcb)),
        Action::SwitchTo(_) => {
            reschedule();
            n.enqueue(tcb, true);
        }
    }
}

/// Chooses who runs and prepares to leave the kernel: contexts charged, timer set.
#[inline(always)]
pub fn schedule() {
    let n = node();
    if n.release.get().head.is_some() {
        awaken();
    }
    if n.action.get() != Action::Resume {
        choose(n);
        n.action.set(Action::Resume);
    }
    if n.reprogram.get() || n.current_sc.get() != n.current().sc.get() {
        switch_context(n);
    }
}

fn choose(n: &Node) {
    let current = n.current();
    let was_ready = current.is_schedulable();
    let candidate = match n.action.get() {
        Action::SwitchTo(tcb) if tcb.is_schedulable() => Some(tcb),
        _ => None,
    };
    if let Some(tcb) = candidate {
        let priority = tcb.priority.get();
        let beats_current = !was_ready || priority > current.priority.get();
        let beats_ready =
            n.highest_ready().is_none_or(|ready| priority > ready || (priority == ready && !was_ready));
        if was_ready && current != tcb {
            n.enqueue(current, true);
        }
        if tcb == current || (beats_current && beats_ready) {
            return switch_to(tcb);
        }
        // Before its equals, but behind the thread that it would have interrupted.
        n.enqueue(tcb, !(was_ready && priority == current.priority.get()));
    } else if was_ready {
        n.enqueue(current, true);
    }
    match n.first_ready() {
        Some(tcb) => switch_to(tcb),
        None => switch_to(n.idle()),
    }
}

fn switch_to(tcb: Ptr<Tcb>) {
    let n = node();
    n.dequeue(tcb);
    if n.current() != tcb {
        trace::record(trace::class::SWITCH, sel4_sys::ext::event::SWITCH, 0, tcb.addr() as u32);
        arch::vspace::switch_to(tcb);
        arch::fpu::switch_to(tcb);
        n.set_current(tcb);
    } else {
        arch::vspace::switch_to(tcb);
    }
}

/// Time goes to the context that used it, from now on it goes to the chosen thread's, and the timer is set for that one.
#[inline(never)]
pub fn switch_context(n: &Node) {
    let sc = n.current().sc.get();
    if n.current_sc.get() != sc
        && let Some(sc) = sc.filter(|s| s.is_active() && !s.sporadic.get())
    {
        sc.unblock(n.now.get(), slack());
    }
    commit_time();
    n.current_sc.set(sc);
    n.reprogram.set(false);
    set_next_interrupt(n);
}

fn set_next_interrupt(n: &Node) {
    let mut next = Ticks::MAX;
    if let Some(sc) = n.current_sc.get() {
        next = n.now.get().saturating_add(sc.head_refill().amount);
    }
    if let Some(tcb) = n.release.get().head {
        next = next.min(release_time(tcb));
    }
    if let Some(timer) = n.timers.first() {
        next = next.min(timer.deadline.get());
    }
    arch::timer::set_deadline(next);
}

/// Gets the current thread ready to return to user space.
#[inline(always)]
pub fn activate() {
    let tcb = node().current();
    if tcb.yield_to.get().is_some() {
        complete_yield(tcb);
    }
    if tcb.state.get() == ThreadState::Restart {
        use axiom_objects::registers::{FAULT_PC, PC};
        tcb.regs.set(PC, tcb.regs.get(FAULT_PC));
        tcb.state.set(ThreadState::Running);
    }
}

/// Gives the rest of the budget up.
pub fn yield_now() {
    let n = node();
    let Some(sc) = n.current_sc.get() else { return };
    let consumed = sc.consumed.get() + n.consumed.get();
    charge_current(sc.head_refill().amount, false);
    sc.consumed.set(consumed);
}

/// Changes a thread's priority and its place in the queues.
pub fn set_priority(tcb: Ptr<Tcb>, priority: u8) {
    let n = node();
    match tcb.state.get() {
        ThreadState::BlockedOnReceive | ThreadState::BlockedOnSend => {
            tcb.priority.set(priority);
            if let Some(ep) = tcb.blocked_ep.get() {
                let state = ep.state();
                let queue = ep.queue().remove::<axiom_objects::queue::Ep>(tcb);
                ep.set_queue(queue.insert_by_priority::<axiom_objects::queue::Ep>(tcb), state);
            }
        }
        ThreadState::BlockedOnNotification => {
            tcb.priority.set(priority);
            if let Some(ntfn) = tcb.blocked_ntfn.get() {
                crate::notify::reorder(ntfn, tcb);
            }
        }
        _ => {
            let queued = tcb.in_ready_queue.get();
            n.dequeue(tcb);
            tcb.priority.set(priority);
            if queued || tcb == n.current() {
                if tcb == n.current() {
                    reschedule();
                } else if tcb.is_schedulable() {
                    switch_if_higher(tcb);
                }
            }
        }
    }
}

// ---- scheduling contexts and the threads that run on them ----

/// Lends `sc` to `to`; the thread that had it has none.
pub fn donate(sc: Ptr<SchedContext>, to: Ptr<Tcb>) {
    if let Some(from) = sc.tcb.get() {
        take_sc(from);
    }
    sc.tcb.set(Some(to));
    to.sc.set(Some(sc));
}

fn take_sc(from: Ptr<Tcb>) {
    let n = node();
    n.dequeue(from);
    release_remove(from);
    // Before `reschedule`, which would put a thread that has a context back into its ready queue.
    from.sc.set(None);
    if from == n.current() || n.action.get() == Action::SwitchTo(from) {
        reschedule();
    }
}

/// A thread got a usable context: it waits for its refill, or is ready.
pub fn resume_sc(sc: Ptr<SchedContext>) {
    if let Some(tcb) = sc.tcb.get()
        && tcb.is_schedulable()
        && !is_usable(sc)
    {
        postpone(sc);
    }
}

/// Binds a thread to a context.
pub fn bind_tcb(sc: Ptr<SchedContext>, tcb: Ptr<Tcb>) {
    tcb.sc.set(Some(sc));
    sc.tcb.set(Some(tcb));
    unblock_sporadic(tcb);
    resume_sc(sc);
    if tcb.is_schedulable() {
        let n = node();
        n.enqueue(tcb, true);
        reschedule();
    }
}

/// Takes the context from its thread.
pub fn unbind_tcb(sc: Ptr<SchedContext>) {
    let Some(tcb) = sc.tcb.get() else { return };
    take_sc(tcb);
    sc.tcb.set(None);
}

/// Takes the context from its notification.
pub fn unbind_ntfn(sc: Ptr<SchedContext>) {
    if let Some(ntfn) = sc.ntfn.take() {
        ntfn.sc.set(None);
    }
}

/// A thread that yielded to this context goes on.
pub fn complete_yield(yielder: Ptr<Tcb>) {
    if let Some(sc) = yielder.yield_to.take() {
        sc.yield_from.set(None);
        let micros = take_consumed(sc);
        crate::message::set_reply(yielder, 0, &[micros]);
    }
}

/// A thread that yielded to this context will not be told.
pub fn cancel_yield(yielder: Ptr<Tcb>) {
    if let Some(sc) = yielder.yield_to.take() {
        sc.yield_from.set(None);
    }
}

/// Reads and clears the time that a context used, microseconds.
pub fn take_consumed(sc: Ptr<SchedContext>) -> u64 {
    arch::timer::ticks_to_us(sc.consumed.replace(0))
}

/// Stops a thread whatever it does.
pub fn suspend(tcb: Ptr<Tcb>) {
    crate::ipc::cancel(tcb);
    if tcb.state.get() == ThreadState::Running {
        // A restart would repeat a system call that is done: the thread goes on behind it.
        use axiom_objects::registers::{FAULT_PC, PC};
        tcb.regs.set(FAULT_PC, tcb.regs.get(PC));
    }
    set_state(tcb, ThreadState::Inactive);
    node().dequeue(tcb);
    release_remove(tcb);
    cancel_yield(tcb);
}

/// Starts or restarts a stopped thread.
pub fn restart(tcb: Ptr<Tcb>) {
    let stopped = !matches!(tcb.state.get(), ThreadState::Running | ThreadState::Restart | ThreadState::Idle);
    if !stopped {
        return;
    }
    crate::ipc::cancel(tcb);
    set_state(tcb, ThreadState::Restart);
    unblock_sporadic(tcb);
    if let Some(sc) = tcb.sc.get() {
        resume_sc(sc);
    }
    if tcb.is_schedulable() {
        switch_if_higher(tcb);
    }
}
