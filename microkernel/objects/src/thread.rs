//! What is done to a thread as a whole: stopped, started, given a priority; giving its time to others.
use crate::arch::registers::{FAULT_PC, PC};
use crate::message;
use crate::node::Node;
use crate::object::{Tcb, ThreadState};
use crate::ptr::Ptr;
use crate::queue::Ep;
use crate::sched::{self, set_state, switch_if_higher};
use crate::waiting;

/// Gets the current thread ready to return to user space.
#[inline(always)]
pub fn activate(n: &Node) {
    let tcb = n.current();
    if tcb.yield_to.get().is_some() {
        complete_yield(n, tcb);
    }
    if tcb.state.get() == ThreadState::Restart {
        tcb.regs.set(PC, tcb.regs.get(FAULT_PC));
        tcb.state.set(ThreadState::Running);
    }
}

/// Gives the rest of the budget up.
pub fn yield_now(n: &Node) {
    let Some(sc) = n.current_sc.get() else { return };
    sc.consumed.set(sc.consumed.get() + n.consumed.take());
    // What was used is part of the head, which goes whole: that ends the turn.
    let _ = sc.charge(sc.head_refill().amount, n.min_budget.get());
    sched::end_turn(n, sc);
}

/// Changes a thread's priority and its place in the queues.
pub fn set_priority(n: &Node, tcb: Ptr<Tcb>, priority: u8) {
    match tcb.state.get() {
        ThreadState::BlockedOnReceive | ThreadState::BlockedOnSend => {
            if let Some(ep) = tcb.blocked_ep.get() {
                let state = ep.state();
                n.walk.forget();
                let queue = ep.queue().remove::<Ep>(tcb);
                tcb.priority.set(priority);
                ep.set_queue(queue.insert_by_priority(tcb), state);
            }
        }
        ThreadState::BlockedOnNotification => {
            if let Some(ntfn) = tcb.blocked_ntfn.get() {
                waiting::reorder(ntfn, tcb, priority);
            }
        }
        _ => {
            let queued = tcb.in_ready_queue.get();
            n.dequeue(tcb);
            tcb.priority.set(priority);
            if queued || tcb == n.current() {
                if tcb == n.current() {
                    sched::reschedule(n);
                } else if tcb.is_schedulable() {
                    switch_if_higher(n, tcb);
                }
            }
        }
    }
    if let Some(sc) = tcb.owned_sc.get() {
        sched::serve_at(n, sc, priority);
    }
}

/// A thread that yielded to this context goes on.
pub fn complete_yield(n: &Node, yielder: Ptr<Tcb>) {
    if let Some(sc) = yielder.yield_to.take() {
        sc.yield_from.set(None);
        let micros = n.take_consumed(sc);
        message::set_reply(yielder, 0, &[micros]);
    }
}

/// A thread that yielded to this context will not be told.
pub fn cancel_yield(yielder: Ptr<Tcb>) {
    if let Some(sc) = yielder.yield_to.take() {
        sc.yield_from.set(None);
    }
}

/// Stops a thread whatever it does.
pub fn suspend(n: &Node, tcb: Ptr<Tcb>) {
    waiting::cancel(n, tcb);
    if tcb.state.get() == ThreadState::Running {
        // A restart would repeat a system call that is done: the thread goes on after it.
        tcb.regs.set(FAULT_PC, tcb.regs.get(PC));
    }
    set_state(n, tcb, ThreadState::Inactive);
    n.dequeue(tcb);
    cancel_yield(tcb);
}

/// Starts or restarts a stopped thread.
pub fn restart(n: &Node, tcb: Ptr<Tcb>) {
    let stopped = !matches!(tcb.state.get(), ThreadState::Running | ThreadState::Restart | ThreadState::Idle);
    if !stopped {
        return;
    }
    waiting::cancel(n, tcb);
    set_state(n, tcb, ThreadState::Restart);
    sched::unblock_sporadic(n, tcb);
    if tcb.is_schedulable() {
        switch_if_higher(n, tcb);
    }
}
