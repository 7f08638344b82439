//! Leaving what a thread waits in: an endpoint's queue, a notification's, a reply object's stack.
use crate::node::Node;
use crate::object::{
    Cancelling, Endpoint, EndpointState, Ends, Fault, Notification, NotificationState, Reply, Tcb,
    ThreadState,
};
use crate::ptr::Ptr;
use crate::queue::Ep;
use crate::sched::{self, set_state, switch_if_higher};

/// Takes a reply object and its thread apart.
pub fn unlink(reply: Ptr<Reply>, tcb: Ptr<Tcb>) {
    reply.tcb.set(None);
    tcb.reply.set(None);
}

/// Takes an answered call off its stack; at the head the scheduling context goes back to the caller, or stays where it is if the
/// caller has another by now.
pub fn answer(n: &Node, reply: Ptr<Reply>, caller: Ptr<Tcb>) {
    let (prev, next) = (reply.prev.take(), reply.next.take());
    if let Some(sc) = reply.sc.take() {
        sc.reply.set(prev);
        if let Some(prev) = prev {
            prev.sc.set(Some(sc));
            prev.next.set(None);
        }
        if caller.sc.get().is_none() {
            sched::donate(n, sc, caller);
        }
    } else {
        if let Some(next) = next {
            next.prev.set(None);
        }
        if let Some(prev) = prev {
            prev.next.set(None);
        }
    }
    unlink(reply, caller);
    set_state(n, caller, ThreadState::Inactive);
}

/// A waiting caller goes away: its stack is cut here, and the scheduling context does not come back to whoever called before.
fn remove_caller(reply: Ptr<Reply>, caller: Ptr<Tcb>) {
    if let Some(sc) = reply.sc.take() {
        sc.reply.set(None);
    }
    if let Some(next) = reply.next.take() {
        next.prev.set(None);
    }
    if let Some(prev) = reply.prev.take() {
        prev.next.set(None);
    }
    unlink(reply, caller);
}

/// Takes a thread out of whatever it waits in; it is inactive afterwards if it waited.
pub fn cancel(n: &Node, tcb: Ptr<Tcb>) {
    tcb.fault.set(Fault::None);
    match tcb.state.get() {
        ThreadState::BlockedOnSend | ThreadState::BlockedOnReceive => {
            if let Some(ep) = tcb.blocked_ep.take() {
                leave_endpoint(n, ep, tcb);
            }
            if tcb.state.get() == ThreadState::BlockedOnReceive
                && let Some(reply) = tcb.reply.get()
            {
                unlink(reply, tcb);
            }
            set_state(n, tcb, ThreadState::Inactive);
        }
        ThreadState::BlockedOnNotification => leave_notification(n, tcb),
        ThreadState::BlockedOnReply => {
            if let Some(reply) = tcb.reply.get() {
                remove_caller(reply, tcb);
            }
            set_state(n, tcb, ThreadState::Inactive);
        }
        _ => {}
    }
}

/// The endpoint goes away: the first who waits restarts (and fails), or stays stopped if it sends a fault. False if nobody waits.
pub fn release_first(n: &Node, ep: Ptr<Endpoint>) -> bool {
    let Some(tcb) = ep.queue().head else { return false };
    leave_endpoint(n, ep, tcb);
    restart_cancelled(n, tcb);
    sched::reschedule(n);
    true
}

/// A thread leaves the queue of the endpoint that it waits for; its state is the caller's business.
#[inline]
pub fn leave_endpoint(n: &Node, ep: Ptr<Endpoint>, tcb: Ptr<Tcb>) {
    n.walk.passes(tcb);
    ep.set_queue(ep.queue().remove::<Ep>(tcb), ep.state());
}

/// The cancellation of badged sends that begins now, or goes on if it is the one that was interrupted.
pub fn cancellation(n: &Node, interrupted: Cancelling, ep: Ptr<Endpoint>, badge: u64) -> Cancelling {
    if interrupted.badge == badge && interrupted.endpoint == ep.addr() {
        return interrupted;
    }
    Cancelling { endpoint: ep.addr(), badge, until: n.next_order() }
}

/// One step of a cancellation: the next sender with this badge that waited before it began restarts (and fails). False at the
/// end of the queue.
pub fn cancel_next_badged(n: &Node, ep: Ptr<Endpoint>, which: Cancelling) -> bool {
    let head = if ep.state() == EndpointState::Send { ep.queue().head } else { None };
    let Some(tcb) = n.walk.resume(which.until, head) else {
        n.walk.forget();
        return false;
    };
    // What one sender costs, in units of work.
    n.add_units(if tcb.sender_badge.get() == which.badge { 8 } else { 1 });
    n.walk.reached(tcb.ep_next.get());
    if tcb.sender_badge.get() == which.badge && tcb.sender_order.get() < which.until {
        ep.set_queue(ep.queue().remove::<Ep>(tcb), EndpointState::Send);
        restart_cancelled(n, tcb);
        sched::reschedule(n);
    }
    true
}

fn restart_cancelled(n: &Node, tcb: Ptr<Tcb>) {
    if tcb.state.get() == ThreadState::BlockedOnReceive
        && let Some(reply) = tcb.reply.get()
    {
        unlink(reply, tcb);
    }
    tcb.blocked_ep.set(None);
    if tcb.fault.get() == Fault::None {
        set_state(n, tcb, ThreadState::Restart);
        sched::unblock_sporadic(n, tcb);
        switch_if_higher(n, tcb);
    } else {
        set_state(n, tcb, ThreadState::Inactive);
    }
}

// ---- notifications ----

/// Those who wait for a signal.
pub fn queue(ntfn: Ptr<Notification>) -> Ends {
    Ends { head: ntfn.head.get(), tail: ntfn.tail.get() }
}

/// Stores those who wait; without any, the notification is idle.
pub fn set_queue(ntfn: Ptr<Notification>, ends: Ends) {
    ntfn.head.set(ends.head);
    ntfn.tail.set(ends.tail);
    ntfn.state.set(if ends.head.is_some() { NotificationState::Waiting } else { NotificationState::Idle });
}

/// Takes the first thread out of those that wait; its state is the caller's business.
#[inline(always)]
pub fn take_waiter(ntfn: Ptr<Notification>, tcb: Ptr<Tcb>) {
    set_queue(ntfn, queue(ntfn).without_head(tcb));
    tcb.blocked_ntfn.set(None);
}

fn leave_notification(n: &Node, tcb: Ptr<Tcb>) {
    if let Some(ntfn) = tcb.blocked_ntfn.take() {
        set_queue(ntfn, queue(ntfn).remove::<Ep>(tcb));
    }
    set_state(n, tcb, ThreadState::Inactive);
}

/// Puts a waiting thread where its new priority belongs.
pub fn reorder(ntfn: Ptr<Notification>, tcb: Ptr<Tcb>, priority: u8) {
    let others = queue(ntfn).remove::<Ep>(tcb);
    tcb.priority.set(priority);
    set_queue(ntfn, others.insert_by_priority(tcb));
}

/// The notification goes away: the first who waits restarts (and fails). False if nobody waits.
pub fn release_first_notified(n: &Node, ntfn: Ptr<Notification>) -> bool {
    let Some(tcb) = ntfn.head.get() else { return false };
    take_waiter(ntfn, tcb);
    set_state(n, tcb, ThreadState::Restart);
    sched::unblock_sporadic(n, tcb);
    switch_if_higher(n, tcb);
    sched::reschedule(n);
    true
}

/// Takes notification and bound thread apart.
pub fn unbind(ntfn: Ptr<Notification>) {
    if let Some(tcb) = ntfn.bound.take() {
        tcb.bound_ntfn.set(None);
    }
}
