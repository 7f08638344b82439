//! Scheduling: 256 fixed priorities, budgets that are charged and refilled, and the timer that enforces both.
//!
//! # Invariant
//! A thread with a configured scheduling context is in the release queue exactly if that context waits for its refill,
//! whatever the thread does: so nobody who finds a thread that is not there has to look at its refills. A ready queue holds runnable
//! threads with a usable context. Whoever takes time from a context, or gives it to a thread, calls [`settle`]; and the
//! way out ([`schedule`]) looks at what it leaves with.
use crate::fpu;
use crate::machine::{Machine, record};
use crate::node::{Action, Node};
use crate::object::{Place, SchedContext, TCB_TIMEOUT, Tcb, ThreadState};
use crate::owner;
use crate::ptr::Ptr;
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
        Some(sc) => spend(n, sc),
    }
}

#[cold]
fn spend(n: &Node, sc: Ptr<SchedContext>) -> Budget {
    let tcb = n.current();
    let hears = tcb.is_schedulable() && tcb.sc.get() == Some(sc) && !sc.is_round_robin();
    let timeout = (hears && has_timeout_handler(tcb)).then_some(tcb);
    charge(n, sc, n.consumed.take());
    if timeout.is_some() {
        n.dequeue(tcb);
    }
    Budget::Spent { timeout }
}

/// Whether a timeout fault of the thread would reach somebody.
pub fn has_timeout_handler(tcb: Ptr<Tcb>) -> bool {
    tcb.slot(TCB_TIMEOUT).packed().as_endpoint().is_some()
}

/// Takes time from a context. If that ends its turn, its thread is behind its equals, or waits for its refill.
pub fn charge(n: &Node, sc: Ptr<SchedContext>, amount: Ticks) {
    sc.consumed.set(sc.consumed.get() + amount);
    if sc.charge(amount, n.min_budget.get()) {
        end_turn(n, sc);
    }
}

/// Ends a context's turn: its budget was taken already.
#[cold]
pub fn end_turn(n: &Node, sc: Ptr<SchedContext>) {
    n.turns.set(n.turns.get() + 1);
    sc.turn.set(n.turns.get());
    n.reprogram.set(true);
    if sc.place.get() == Place::Due {
        // Its place there goes by its turn.
        n.emptied(n.accounts.leave(sc));
        n.make_due(sc, sc.served_at.get());
    }
    let Some(tcb) = sc.tcb.get() else { return };
    if tcb == n.current() || n.action.get() == Action::SwitchTo(tcb) {
        reschedule(n);
    }
    n.dequeue(tcb);
    settle(n, sc);
    if tcb.is_schedulable() {
        n.enqueue(tcb, false);
    }
}

/// The thread of a context that cannot be used now waits for its refill.
pub fn settle(n: &Node, sc: Ptr<SchedContext>) {
    if sc.is_active() && !is_usable(n, sc) {
        postpone(n, sc);
    }
}

/// Whether a context can run now.
pub fn is_usable(n: &Node, sc: Ptr<SchedContext>) -> bool {
    sc.is_ready(n.now.get(), n.slack.get()) && sc.is_sufficient(0, n.min_budget.get())
}

/// Whether a thread could leave the kernel on this context now: it is configured, and its refill is there.
pub fn is_released(n: &Node, sc: Ptr<SchedContext>) -> bool {
    sc.is_active() && is_usable(n, sc)
}

/// Accounts the time that was used since the current context was last charged.
#[inline]
pub fn commit_time(n: &Node) {
    let used = n.consumed.take();
    if used > 0
        && let Some(sc) = n.current_sc.get()
        && sc.is_active()
    {
        charge(n, sc, used);
    }
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
#[cold]
pub fn postpone(n: &Node, sc: Ptr<SchedContext>) {
    let Some(tcb) = sc.tcb.get() else { return };
    n.dequeue(tcb);
    if tcb.in_release_queue.replace(true) {
        return;
    }
    n.released.set(n.released.get() + 1);
    tcb.release_at.set((sc.head_refill().time, n.released.get()));
    n.release.insert(tcb);
    if n.release.first() == Some(tcb) {
        n.reprogram.set(true);
    }
    if tcb == n.current() {
        reschedule(n);
    }
}

/// Takes a thread out of the release queue, if it is in it.
pub fn release_remove(n: &Node, tcb: Ptr<Tcb>) {
    if tcb.in_release_queue.replace(false) {
        n.release.remove(tcb);
    }
}

/// Threads that are released in one pass. The rest follows at once, in a timer interrupt of its own: nobody waits for more than
/// these.
const PASS: u32 = 16;

/// Threads whose refill has come are ready, if they have something to do.
#[inline(never)]
pub fn awaken(n: &Node) {
    for _ in 0..PASS {
        let due = |tcb: &Ptr<Tcb>| tcb.release_at.get().0 <= n.now.get().saturating_add(n.slack.get());
        let Some(tcb) = n.release.first().filter(due) else { return };
        n.reprogram.set(true);
        release_remove(n, tcb);
        let Some(sc) = tcb.sc.get() else { continue };
        settle(n, sc);
        if tcb.is_schedulable() {
            switch_if_higher(n, tcb);
        }
    }
}

// ---- accounts: the contexts that pay for timers ----

/// Accounts whose time has come are due; those without budget go on waiting for their refill. As many as in one pass; the rest
/// follows at once, in a timer interrupt of its own.
#[inline]
pub fn mark_due(n: &Node) {
    for _ in 0..PASS {
        let Some(sc) = n.accounts.pop(n.now.get()) else { return };
        n.reprogram.set(true);
        if n.accounts.is_any_due() {
            place_later(n, sc);
        } else {
            n.accounts.hold(sc);
        }
    }
}

#[inline(never)]
fn place_later(n: &Node, sc: Ptr<SchedContext>) {
    place(n, sc);
}

/// Puts an account that is nowhere where it belongs: among those that are due, or those that wait for a deadline or a refill.
#[inline(always)]
pub fn place(n: &Node, sc: Ptr<SchedContext>) {
    let is_due = sc.timers.deadline().is_some_and(|deadline| deadline <= n.now.get());
    if !is_due {
        n.accounts.wait(sc, 0);
        n.reprogram.set(true);
    } else if is_usable(n, sc) {
        n.make_due(sc, sc.served_at.get());
    } else {
        n.accounts.wait(sc, sc.head_refill().time);
        n.reprogram.set(true);
    }
}

/// Takes the account, if any, whose turn comes before that of whoever would run otherwise.
#[inline(always)]
pub fn take_account(n: &Node) -> Option<Ptr<SchedContext>> {
    if let Some(sc) = n.accounts.take_held() {
        let priority = sc.served_at.get();
        let above = |tcb: Ptr<Tcb>| !tcb.is_schedulable() || tcb.priority.get() < priority;
        if matches!(n.action.get(), Action::Resume | Action::ChooseNew)
            && n.highest_ready().is_none_or(|ready| ready < priority)
            && above(n.current())
        {
            return Some(sc);
        }
        n.make_due(sc, priority);
    }
    take_next(n)
}

#[inline(never)]
fn take_next(n: &Node) -> Option<Ptr<SchedContext>> {
    let sc = next_account(n)?;
    n.emptied(n.accounts.leave(sc));
    Some(sc)
}

/// The account in the heaps whose turn comes before that of whoever would run otherwise.
pub fn next_account(n: &Node) -> Option<Ptr<SchedContext>> {
    let priority = n.highest_ready()?;
    let sc = n.accounts.due(priority)?;
    let candidate = match n.action.get() {
        Action::SwitchTo(tcb) => Some(tcb),
        _ => None,
    };
    let comes_first = |tcb: Ptr<Tcb>| {
        let turn = tcb.sc.get().map_or(0, |own| own.turn.get());
        tcb.is_schedulable()
            && (tcb.priority.get() > priority || (tcb.priority.get() == priority && turn < sc.turn.get()))
    };
    let rivals = [candidate, Some(n.current()), n.first_ready(priority)];
    if rivals.into_iter().flatten().any(comes_first) { None } else { Some(sc) }
}

/// A context is this thread's from now on, and its timers are served at the thread's priority. Who borrows the context does not lift
/// them: a client's timers would come before everybody below its server.
pub fn own(n: &Node, sc: Ptr<SchedContext>, tcb: Ptr<Tcb>) {
    owner::bind_thread(sc, tcb);
    serve_at(n, sc, tcb.priority.get());
}

/// An account is served at this priority from now on.
pub fn serve_at(n: &Node, sc: Ptr<SchedContext>, priority: u8) {
    if sc.place.get() != Place::Due {
        sc.served_at.set(priority);
    } else if sc.served_at.get() != priority {
        n.emptied(n.accounts.leave(sc));
        n.make_due(sc, priority);
    }
}

// ---- who runs ----

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

/// Chooses the thread that runs next, and prepares to leave the kernel: contexts are charged, the timer is set. Returns false if the chosen
/// thread's context turns out to have no budget: that thread now waits for its refill, and another one has to be chosen. If timers
/// were `served`, the context that paid for the last of them pays for the time until now, unless the chosen thread runs on it anyway.
#[inline(always)]
#[must_use = "the chosen thread may not be able to run"]
pub fn schedule<M: Machine>(m: M, served: bool) -> bool {
    let n = m.node();
    if n.action.get() != Action::Resume {
        choose(m);
        n.action.set(Action::Resume);
    }
    if n.reprogram.get() || n.current_sc.get() != n.current().sc.get() {
        return change_context(m, served);
    }
    true
}

#[inline(never)]
fn change_context<M: Machine>(m: M, served: bool) -> bool {
    let n = m.node();
    if served && n.current_sc.get() != n.current().sc.get() {
        update_timestamp(m);
    }
    enter_context(m);
    if let Some(sc) = n.current_sc.get()
        && !is_usable(n, sc)
    {
        settle(n, sc);
    }
    n.action.get() == Action::Resume
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
        // The thread that runs already goes on before its equals, not before those who were found meanwhile and are above it.
        let goes_on = tcb == current && n.highest_ready().is_none_or(|ready| priority >= ready);
        if was_ready && current != tcb {
            n.enqueue(current, true);
        }
        if goes_on || (beats_current && beats_ready) {
            return switch_to(m, tcb);
        }
        // Before its equals, but behind the thread that it would have interrupted.
        n.enqueue(tcb, tcb == current || !(was_ready && priority == current.priority.get()));
    } else if was_ready {
        n.enqueue(current, true);
    }
    let first = n.highest_ready().and_then(|priority| n.first_ready(priority));
    switch_to(m, first.unwrap_or(n.idle()));
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
    change(m, m.node().current(), tcb);
}

/// `to` is the running thread instead of `from`, as its event says already.
#[inline(always)]
pub fn change<M: Machine>(m: M, from: Ptr<Tcb>, to: Ptr<Tcb>) {
    space::switch_to(m, to);
    m.switch_thread_pointers(from, to);
    fpu::switch_to(m, to);
    m.node().set_current(to);
}

/// Takes the CPU timer's deadline away, and with it the level of the interrupt's line.
pub fn disarm<M: Machine>(m: M) {
    m.node().armed.set(NEVER);
    m.set_deadline(NEVER);
}

/// Time goes to a context from now on, which begins to be used.
#[inline(always)]
pub fn take_over(n: &Node, sc: Ptr<SchedContext>) {
    let is_running = sc.tcb.get().is_some_and(|tcb| tcb.is_runnable());
    if !sc.sporadic.get() || !is_running {
        sc.unblock(n.now.get(), n.slack.get());
    }
    n.current_sc.set(Some(sc));
}

/// Time goes to the context that used it, from now on it goes to the chosen thread's, and the timer is set for that one.
#[inline(never)]
pub fn switch_context<M: Machine>(m: M) {
    enter_context(m);
}

#[inline(always)]
fn enter_context<M: Machine>(m: M) {
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

/// If the timer is armed for an earlier time, it is left so; when it fires, the later deadline is set. Threads that call each other,
/// each with a budget of its own, then seldom write the timer's registers. One interrupt too many in each budget costs less than
/// those writes (in a virtual machine each of them leaves the guest).
fn set_next_interrupt<M: Machine>(m: M) {
    let n = m.node();
    let mut next = Ticks::MAX;
    if let Some(sc) = n.current_sc.get() {
        next = n.now.get().saturating_add(sc.head_refill().amount);
    }
    if let Some(tcb) = n.release.first() {
        next = next.min(tcb.release_at.get().0);
    }
    if let Some(time) = n.accounts.next() {
        next = next.min(time);
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
    settle(n, sc);
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

/// Binds a thread to a context.
pub fn bind_tcb(n: &Node, sc: Ptr<SchedContext>, tcb: Ptr<Tcb>) {
    tcb.sc.set(Some(sc));
    sc.tcb.set(Some(tcb));
    own(n, sc, tcb);
    unblock_sporadic(n, tcb);
    settle(n, sc);
    if tcb.is_schedulable() {
        n.enqueue(tcb, true);
        reschedule(n);
    }
}

/// Takes the context from the thread that runs on it. If that is the one that it is bound to, it is nobody's.
pub fn unbind_tcb(n: &Node, sc: Ptr<SchedContext>) {
    let Some(tcb) = sc.tcb.get() else { return };
    take_sc(n, tcb);
    sc.tcb.set(None);
    if sc.thread() == Some(tcb) {
        owner::unbind_thread(sc);
    }
}
