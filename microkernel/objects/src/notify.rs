//! Notifications: signalling, waiting, the bound thread, and the scheduling context that a notification lends.
use crate::arch::registers::CAP;
use crate::machine::{Machine, record};
use crate::node::Node;
use crate::object::{Notification, NotificationState, Tcb, ThreadState};
use crate::ptr::Ptr;
use crate::sched::{self, set_state, switch_if_higher};
use crate::trace::class;
use crate::waiting::{self, queue, set_queue, take_waiter};
use sel4_sys::ext::event;

/// Signals: wakes the thread that waits, or stores the badge.
#[inline(always)]
pub fn signal<M: Machine>(m: M, ntfn: Ptr<Notification>, badge: u64) {
    let n = m.node();
    record(m, class::SIGNAL, event::SIGNAL, 0, ntfn.addr() as u32);
    match ntfn.state.get() {
        NotificationState::Active => ntfn.badge.set(ntfn.badge.get() | badge),
        NotificationState::Idle => match ntfn.bound.get() {
            Some(tcb) if tcb.state.get() == ThreadState::BlockedOnReceive => {
                waiting::cancel(n, tcb);
                wake(n, ntfn, tcb, badge);
            }
            _ => {
                ntfn.state.set(NotificationState::Active);
                ntfn.badge.set(badge);
            }
        },
        NotificationState::Waiting => {
            if let Some(tcb) = ntfn.head.get() {
                take_waiter(ntfn, tcb);
                wake(n, ntfn, tcb, badge);
            }
        }
    }
}

#[inline]
fn wake(n: &Node, ntfn: Ptr<Notification>, tcb: Ptr<Tcb>, badge: u64) {
    set_state(n, tcb, ThreadState::Running);
    tcb.regs.set(CAP, badge);
    maybe_lend_sc(n, ntfn, tcb);
    sched::unblock_sporadic(n, tcb);
    if tcb.is_schedulable() {
        switch_if_higher(n, tcb);
    }
}

/// Waits for a signal, or takes the stored one.
#[inline]
pub fn wait(n: &Node, tcb: Ptr<Tcb>, ntfn: Ptr<Notification>, blocking: bool) {
    if take(n, ntfn, tcb) {
        return;
    }
    if !blocking {
        tcb.regs.set(CAP, 0);
        return;
    }
    set_state(n, tcb, ThreadState::BlockedOnNotification);
    tcb.blocked_ntfn.set(Some(ntfn));
    maybe_return_sc(n, ntfn, tcb);
    set_queue(ntfn, queue(ntfn).insert_by_priority(tcb));
}

/// Takes the stored signal, if there is one.
#[inline]
pub fn take(n: &Node, ntfn: Ptr<Notification>, tcb: Ptr<Tcb>) -> bool {
    if ntfn.state.get() != NotificationState::Active {
        return false;
    }
    tcb.regs.set(CAP, ntfn.badge.get());
    ntfn.state.set(NotificationState::Idle);
    maybe_lend_sc(n, ntfn, tcb);
    sched::unblock_sporadic(n, tcb);
    true
}

#[inline]
fn maybe_lend_sc(n: &Node, ntfn: Ptr<Notification>, tcb: Ptr<Tcb>) {
    if tcb.sc.get().is_some() {
        return;
    }
    if let Some(sc) = ntfn.sc.get().filter(|sc| sc.tcb.get().is_none()) {
        sched::donate(n, sc, tcb);
        if n.current_sc.get() != Some(sc) {
            sched::unblock(n, sc);
        }
    }
}

/// The thread waits again: a lent scheduling context goes back.
#[inline]
pub fn maybe_return_sc(n: &Node, ntfn: Ptr<Notification>, tcb: Ptr<Tcb>) {
    if let Some(sc) = ntfn.sc.get().filter(|sc| tcb.sc.get() == Some(*sc)) {
        tcb.sc.set(None);
        sc.tcb.set(None);
        n.dequeue(tcb);
        sched::release_remove(n, tcb);
        if tcb == n.current() {
            sched::reschedule(n);
        }
    }
}
