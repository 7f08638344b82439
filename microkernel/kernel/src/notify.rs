//! Notifications: signalling, waiting, the bound thread, and the scheduling context that a notification lends.
use crate::ipc;
use crate::node::node;
use crate::sched::{self, set_state, switch_if_higher};
use crate::trace;
use axiom_objects::Ptr;
use axiom_objects::object::{Notification, NotificationState, Tcb, ThreadState};
use axiom_objects::queue::{Ends, Ep};
use axiom_objects::registers::CAP;

fn queue(ntfn: Ptr<Notification>) -> Ends {
    Ends { head: ntfn.head.get(), tail: ntfn.tail.get() }
}

fn set_queue(ntfn: Ptr<Notification>, ends: Ends) {
    ntfn.head.set(ends.head);
    ntfn.tail.set(ends.tail);
    ntfn.state.set(if ends.head.is_some() { NotificationState::Waiting } else { NotificationState::Idle });
}

/// Signals: wakes the thread that waits, or stores the badge.
#[inline(always)]
pub fn signal(ntfn: Ptr<Notification>, badge: u64) {
    trace::record(trace::class::SIGNAL, sel4_sys::ext::event::SIGNAL, 0, ntfn.addr() as u32);
    match ntfn.state.get() {
        NotificationState::Active => ntfn.badge.set(ntfn.badge.get() | badge),
        NotificationState::Idle => match ntfn.bound.get() {
            Some(tcb) if tcb.state.get() == ThreadState::BlockedOnReceive => {
                ipc::cancel(tcb);
                wake(ntfn, tcb, badge);
            }
            _ => {
                ntfn.state.set(NotificationState::Active);
                ntfn.badge.set(badge);
            }
        },
        NotificationState::Waiting => {
            if let Some(tcb) = ntfn.head.get() {
                take_waiter(ntfn, tcb);
                wake(ntfn, tcb, badge);
            }
        }
    }
}

/// Takes a thread out of those that wait; its state is the caller's business.
#[inline(always)]
pub fn take_waiter(ntfn: Ptr<Notification>, tcb: Ptr<Tcb>) {
    set_queue(ntfn, queue(ntfn).remove::<Ep>(tcb));
    tcb.blocked_ntfn.set(None);
}

fn wake(ntfn: Ptr<Notification>, tcb: Ptr<Tcb>, badge: u64) {
    set_state(tcb, ThreadState::Running);
    tcb.regs.set(CAP, badge);
    maybe_lend_sc(ntfn, tcb);
    sched::unblock_sporadic(tcb);
    if tcb.is_schedulable() {
        switch_if_higher(tcb);
    }
}

/// Waits for a signal, or takes the stored one.
pub fn wait(tcb: Ptr<Tcb>, ntfn: Ptr<Notification>, blocking: bool) {
    if take(ntfn, tcb) {
        return;
    }
    if !blocking {
        tcb.regs.set(CAP, 0);
        return;
    }
    set_state(tcb, ThreadState::BlockedOnNotification);
    tcb.blocked_ntfn.set(Some(ntfn));
    maybe_return_sc(ntfn, tcb);
    set_queue(ntfn, queue(ntfn).insert_by_priority::<Ep>(tcb));
}

/// Takes the stored signal, if there is one.
pub fn take(ntfn: Ptr<Notification>, tcb: Ptr<Tcb>) -> bool {
    if ntfn.state.get() != NotificationState::Active {
        return false;
    }
    tcb.regs.set(CAP, ntfn.badge.get());
    ntfn.state.set(NotificationState::Idle);
    maybe_lend_sc(ntfn, tcb);
    sched::unblock_sporadic(tcb);
    true
}

fn maybe_lend_sc(ntfn: Ptr<Notification>, tcb: Ptr<Tcb>) {
    if tcb.sc.get().is_some() {
        return;
    }
    if let Some(sc) = ntfn.sc.get().filter(|sc| sc.tcb.get().is_none()) {
        sched::donate(sc, tcb);
        if node().current_sc.get() != Some(sc) {
            sched::unblock(sc);
        }
        sched::resume_sc(sc);
    }
}

/// The thread waits again: a lent scheduling context goes back.
pub fn maybe_return_sc(ntfn: Ptr<Notification>, tcb: Ptr<Tcb>) {
    if let Some(sc) = ntfn.sc.get().filter(|sc| tcb.sc.get() == Some(*sc)) {
        tcb.sc.set(None);
        sc.tcb.set(None);
        node().dequeue(tcb);
        sched::release_remove(tcb);
        if tcb == node().current() {
            sched::reschedule();
        }
    }
}

/// Takes a waiting thread out.
pub fn cancel(tcb: Ptr<Tcb>) {
    if let Some(ntfn) = tcb.blocked_ntfn.take() {
        set_queue(ntfn, queue(ntfn).remove::<Ep>(tcb));
    }
    set_state(tcb, ThreadState::Inactive);
}

/// Puts a waiting thread where its new priority belongs.
pub fn reorder(ntfn: Ptr<Notification>, tcb: Ptr<Tcb>) {
    set_queue(ntfn, queue(ntfn).remove::<Ep>(tcb).insert_by_priority::<Ep>(tcb));
}

/// The notification goes away: those who waited restart (and fail).
pub fn cancel_all(ntfn: Ptr<Notification>) {
    while let Some(tcb) = ntfn.head.get() {
        set_queue(ntfn, queue(ntfn).remove::<Ep>(tcb));
        tcb.blocked_ntfn.set(None);
        set_state(tcb, ThreadState::Restart);
        sched::unblock_sporadic(tcb);
        switch_if_higher(tcb);
    }
    sched::reschedule();
}

/// Takes notification and bound thread apart.
pub fn unbind(ntfn: Ptr<Notification>) {
    if let Some(tcb) = ntfn.bound.take() {
        tcb.bound_ntfn.set(None);
    }
}
