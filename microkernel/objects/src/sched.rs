//! Scheduling: 256 fixed priorities, budgets that are charged and refilled, and the timer that enforces both.
use crate::fpu;
use crate::machine::{Machine, record};
use crate::node::{Action, Node};
use crate::object::{SchedContext, TCB_TIMEOUT, Tcb, ThreadState};
use crate::ptr::Ptr;
use crate::queue::Sched;
use crate::space;
use crate::time::{NEVER, Ticks};
use crate::trace::class;
use sel4_sys::ext::event;

/// Reads the counter at kernel entry and accounts for the time that user space used.
#[inline(always)]
pub fn update_timestamp<M: Machine>(m: M) {
    let n = m.node();
    let now = m.now();
    n.consumed.set(n.consumed.get() + now.wrapping_sub(n.now.get()));
    n.now.set(now);
}

/// What the current context has left. Scheduling does not know faults: whoever asked delivers the timeout
/// (`fault::deliver`).
#[must_use = "a thread whose budget is spent does not go on, and may have a timeout handler"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Budget {
    /// Enough to go on.
    Left,
    /// Too little: it was charged, and its thread's turn ended.
    Spent {
        /// The thread, if its timeout handler has to hear of it; it is in no queue then.
        timeout: Option<Ptr<Tcb>>,
    },
}

/// Whether the current context still has budget. If not, it is charged and its thread's turn ends.
#[inline(always)]
pub fn check_budget(n: &Node) -> Budget {
    match n.current_sc.get() {
        None => Budget::Left,
        Some(sc) if sc.is_sufficient(n.consumed.get(), n.min_budget.get()) => Budget::Left,
        Some(_) => spend(n),
    }
}

fn spend(n: &Node) -> Budget {
    charge(n, n.consumed.get());
    let tcb = n.current();
    if !tcb.is_schedulable() {
        return Budget::Spent { timeout: None };
    }
    let is_round_robin = tcb.sc.get().is_some_and(|sc| sc.is_round_robin());
    let timeout = (!is_round_robin && has_timeout_handler(tcb)).then_some(tcb);
    if timeout.is_none() {
        requeue(n, tcb);
    }
    reschedule(n);
    n.reprogram.set(true);
    Budget::Spent { timeout }
}

/// Charges the current context and ends its thread's turn, without a timeout.
pub fn charge_current(n: &Node, amount: Ticks) {
    charge(n, amount);
    let tcb = n.current();
    if tcb.is_schedulable() {
        requeue(n, tcb);
        reschedule(n);
        n.reprogram.set(true);
    }
}

/// Whether a timeout fault of the thread would reach somebody.
pub fn has_timeout_handler(tcb: Ptr<Tcb>) -> bool {
    tcb.slot(TCB_TIMEOUT).packed().as_endpoint().is_some()
}

/// A thread whose turn ended is ready behind its equals, or waits for its refill.
fn requeue(n: &Node, tcb: Ptr<Tcb>) {
    match tcb.sc.get() {
        Some(sc) if is_usable(n, sc) => n.enqueue(tcb, false),
        Some(sc) => postpone(n, sc),
        None => {}
    }
}

fn charge(n: &Node, amount: Ticks) {
    if let Some(sc) = n.current_sc.get() {
        sc.charge(amount, n.min_budget.get());
        if sc.is_round_robin() {
            sc.restart_round_robin();
        }
        sc.consumed.set(sc.consumed.get() + amount);
    }
    n.consumed.set(0);
}

/// Whether a context can run now.
pub fn is_usable(n: &Node, sc: Ptr<SchedContext>) -> bool {
    sc.is_ready(n.now.get(), n.slack.get()) && sc.is_sufficient(0, n.min_budget.get())
}

/// Whether a thread could leave the kernel on this context now: it is configured, and its refill is there.
pub fn is_released(n: &Node, sc: Ptr<SchedContext>) -> bool {
    sc.is_active() && is_usable(n, sc)
}

/// Accounts the time of the current context without ending its turn.
fn commit_time(n: &Node) {
    if let Some(sc) = n.current_sc.get()
        && sc.is_active()
        && n.consumed.get() > 0
    {
        sc.charge(n.consumed.get(), n.min_budget.get());
        sc.consumed.set(sc.consumed.get() + n.consumed.get());
    }
    n.consumed.set(0);
}

/// A context becomes usable again: refills of the past start now.
pub fn unblock(n: &Node, sc: Ptr<SchedContext>) {
    sc.unblock(n.now.get(), n.slack.get());
    n.reprogram.set(true);
}

/// [`unblock`] for a thread that was woken, if its context is a sporadic server that is not the current one.
pub fn unblock_sporadic(n: &Node, tcb: Ptr<Tcb>) {
    if let Some(sc) = tcb.sc.get()
        && sc.sporadic.get()
        && sc.is_active()
        && n.current_sc.get() != Some(sc)
    {
        unblock(n, sc);
    }
}

/// Puts the context's thread into the release queue, until its head refill's time.
pub fn postpone(n: &Node, sc: Ptr<SchedContext>) {
    let Some(tcb) = sc.tcb.get() else { return };
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
pub fn release_remove(n: &Node, tcb: Ptr<Tcb>) {
    if tcb.in_release_queue.replace(false) {
        if n.release.get().head == Some(tcb) {
            n.reprogram.set(true);
        }
        n.release.set(n.release.get().remove::<Sched>(tcb));
    }
}

/// Threads whose refill has come are ready.
fn awaken(n: &Node) {
    while let Some(tcb) = n.release.get().head {
        let Some(sc) = tcb.sc.get() else { break };
        if !sc.is_ready(n.now.get(), n.slack.get()) {
            break;
        }
        release_remove(n, tcb);
        if sc.is_sufficient(0, n.min_budget.get()) {
            switch_if_higher(n, tcb);
        } else {
            postpone(n, sc);
            break;
        }
        n.reprogram.set(true);
    }
}

/// Sets a thread's state; the current one must be replaced if it can no longer run.
#[inline(always)]
pub fn set_state(n: &Node, tcb: Ptr<Tcb>, state: ThreadState) {
    tcb.state.set(state);
    if tcb == n.current() && n.action.get() == Action::Resume && !tcb.is_schedulable() {
        reschedule(n);
    }
}

/// The ready queues decide on the way out.
pub fn reschedule(n: &Node) {
    if let Action::SwitchTo(tcb) = n.action.get()
        && tcb.is_schedulable()
    {
        n.enqueue(tcb, true);
    }
    n.action.set(Action::ChooseNew);
}

/// A thread became ready: it runs next if nothing speaks against it.
#[inline(always)]
pub fn switch_if_higher(n: &Node, tcb: Ptr<Tcb>) {
    if tcb.sc.get().is_none() || tcb.in_release_queue.get() {
        return;
    }
    match n.action.get() {
        // `choose` compares the candidate with the ready queues and with the current thread.
        Action::Resume | Action::ChooseNew => n.action.set(Action::SwitchTo(tcb)),
        Action::SwitchTo(_) => {
            reschedule(n);
            n.enqueue(tcb, true);
        }
    }
}

/// Chooses who runs and prepares to leave the kernel: contexts charged, timer set.
#[inline(always)]
pub fn schedule<M: Machine>(m: M) {
    let n = m.node();
    if n.release.get().head.is_some() {
        awaken(n);
    }
    if n.action.get() != Action::Resume {
        choose(m);
        n.action.set(Action::Resume);
    }
    if n.reprogram.get() || n.current_sc.get() != n.current().sc.get() {
        switch_context(m);
    }
}

fn choose<M: Machine>(m: M) {
    let n = m.node();
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
            return switch_to(m, tcb);
        }
        // Before its equals, but behind the thread that it would have interrupted.
        n.enqueue(tcb, !(was_ready && priority == current.priority.get()));
    } else if was_ready {
        n.enqueue(current, true);
    }
    match n.first_ready() {
        Some(tcb) => switch_to(m, tcb),
        None => switch_to(m, n.idle()),
    }
}

fn switch_to<M: Machine>(m: M, tcb: Ptr<Tcb>) {
    let n = m.node();
    n.dequeue(tcb);
    if n.current() != tcb {
        run(m, tcb);
    } else {
        space::switch_to(m, tcb);
    }
}

/// `tcb`, which is another one, is the running thread.
#[inline(always)]
pub fn run<M: Machine>(m: M, tcb: Ptr<Tcb>) {
    record(m, class::SWITCH, event::SWITCH, 0, tcb.addr() as u32);
    space::switch_to(m, tcb);
    fpu::switch_to(m, tcb);
    m.node().set_current(tcb);
}

/// Takes the CPU timer's deadline away, and with it the level of the interrupt's line.
pub fn disarm<M: Machine>(m: M) {
    m.node().armed.set(NEVER);
    m.set_deadline(NEVER);
}

/// Time goes to the context that used it, from now on it goes to the chosen thread's, and the timer is set for that one.
#[inline(never)]
pub fn switch_context<M: Machine>(m: M) {
    let n = m.node();
    let sc = n.current().sc.get();
    if n.current_sc.get() != sc
        && let Some(sc) = sc.filter(|s| s.is_active() && !s.sporadic.get())
    {
        sc.unblock(n.now.get(), n.slack.get());
    }
    commit_time(n);
    n.current_sc.set(sc);
    n.reprogram.set(false);
    set_next_interrupt(m);
}

/// A timer that is armed for an earlier time stays so: when it fires, whoever asks again gets the later deadline. Threads that
/// call each other, each with a budget of its own, then seldom write the timer's registers, which costs more than an
/// interrupt too many once in a budget (in a virtual machine each write leaves the guest).
fn set_next_interrupt<M: Machine>(m: M) {
    let n = m.node();
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
    if next < n.armed.get() {
        n.armed.set(next);
        m.set_deadline(next);
    }
}

// ---- scheduling contexts and the threads that run on them ----

/// Lends `sc` to `to`; the thread that had it has none.
pub fn donate(n: &Node, sc: Ptr<SchedContext>, to: Ptr<Tcb>) {
    if let Some(from) = sc.tcb.get() {
        take_sc(n, from);
    }
    sc.tcb.set(Some(to));
    to.sc.set(Some(sc));
}

fn take_sc(n: &Node, from: Ptr<Tcb>) {
    n.dequeue(from);
    release_remove(n, from);
    // Before `reschedule`, which would put a thread that has a context back into its ready queue.
    from.sc.set(None);
    if from == n.current() || n.action.get() == Action::SwitchTo(from) {
        reschedule(n);
    }
}

/// A thread got a usable context: it waits for its refill, or is ready.
pub fn resume_sc(n: &Node, sc: Ptr<SchedContext>) {
    if let Some(tcb) = sc.tcb.get()
        && tcb.is_schedulable()
        && !is_usable(n, sc)
    {
        postpone(n, sc);
    }
}

/// Binds a thread to a context.
pub fn bind_tcb(n: &Node, sc: Ptr<SchedContext>, tcb: Ptr<Tcb>) {
    tcb.sc.set(Some(sc));
    sc.tcb.set(Some(tcb));
    unblock_sporadic(n, tcb);
    resume_sc(n, sc);
    if tcb.is_schedulable() {
        n.enqueue(tcb, true);
        reschedule(n);
    }
}

/// Takes the context from its thread.
pub fn unbind_tcb(n: &Node, sc: Ptr<SchedContext>) {
    let Some(tcb) = sc.tcb.get() else { return };
    take_sc(n, tcb);
    sc.tcb.set(None);
}

/// Takes the context from its notification.
pub fn unbind_ntfn(sc: Ptr<SchedContext>) {
    if let Some(ntfn) = sc.ntfn.take() {
        ntfn.sc.set(None);
    }
}
