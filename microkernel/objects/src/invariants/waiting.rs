//! Endpoints, notifications, reply objects, and who waits in them.
use super::rules::{Broken, Caps, LONGEST, holds};
use super::rules::{endpoint as endpoint_cap, notification as notification_cap};
use crate::cap::Cap;
use crate::machine::Machine;
use crate::object::{
    Endpoint, EndpointState, Ends, Notification, NotificationState, Reply, Tcb, ThreadState,
};
use crate::ptr::Ptr;

pub fn check<M: Machine>(m: M, caps: Caps) -> Result<(), Broken> {
    if let Some(tcb) = m.node().walk.at() {
        caps.requires(Cap::Tcb { tcb }, "who is looked at next among senders is alive", tcb.addr())?;
        holds(
            tcb.state.get() == ThreadState::BlockedOnSend,
            "who is looked at among senders is one",
            tcb.addr(),
        )?;
    }
    let mut waiting = 0;
    for cap in caps.objects() {
        match cap {
            Cap::Endpoint { ep, .. } => waiting += endpoint(ep)?,
            Cap::Notification { ntfn, .. } => waiting += notification(caps, ntfn)?,
            Cap::Reply { reply, .. } => reply_object(caps, reply)?,
            _ => {}
        }
    }
    for cap in caps.objects() {
        if let Cap::Tcb { tcb } = cap {
            waiting = waiting.wrapping_sub(thread(caps, tcb)?);
        }
    }
    holds(waiting == 0, "a queue holds only threads that are alive", 0)
}

/// A queue in the order of priority; how many are in it.
fn queue(ends: Ends, rule: impl Fn(Ptr<Tcb>) -> bool) -> Result<usize, Broken> {
    let (mut before, mut at, mut count): (Option<Ptr<Tcb>>, _, _) = (None, ends.head, 0);
    while let Some(tcb) = at {
        let here = tcb.addr();
        holds(tcb.ep_prev.get() == before, "neighbours who wait name each other", here)?;
        holds(rule(tcb), "who stands in a queue waits for what it is of", here)?;
        let ordered = before.is_none_or(|before| before.priority.get() >= tcb.priority.get());
        holds(ordered, "who waits stands in the order of priority", here)?;
        run_end(tcb)?;
        count += 1;
        holds(count < LONGEST, "a queue of who waits is no circle", here)?;
        (before, at) = (at, tcb.ep_next.get());
    }
    holds(before == ends.tail, "the tail of who waits is the last", ends.tail.map_or(0, |tail| tail.addr()))?;
    Ok(count)
}

/// The ends of a run of equal priority name each other, and nobody else does. The run is as long as its first walks.
fn run_end(tcb: Ptr<Tcb>) -> Result<(), Broken> {
    let same = |other: Option<Ptr<Tcb>>| other.filter(|other| other.priority.get() == tcb.priority.get());
    let (before, after) = (same(tcb.ep_prev.get()), same(tcb.ep_next.get()));
    let expected = match (before, after) {
        (None, None) | (Some(_), Some(_)) => None,
        (None, Some(mut last)) => {
            while let Some(next) = same(last.ep_next.get()) {
                last = next;
            }
            Some(last)
        }
        // Its first looked at it already.
        (Some(_), None) => tcb.ep_run.get().filter(|first| first.ep_run.get() == Some(tcb)),
    };
    let names = tcb.ep_run.get();
    let named = before.is_none() || after.is_some() || names.is_some();
    holds(
        names == expected && named,
        "the ends of a run of equals name each other, and only they",
        tcb.addr(),
    )
}

fn endpoint(ep: Ptr<Endpoint>) -> Result<usize, Broken> {
    let state = match ep.state() {
        EndpointState::Idle => {
            holds(ep.queue() == Ends::default(), "nobody waits at an idle endpoint", ep.addr())?;
            return Ok(0);
        }
        EndpointState::Send => ThreadState::BlockedOnSend,
        EndpointState::Receive => ThreadState::BlockedOnReceive,
    };
    let count = queue(ep.queue(), |tcb| tcb.state.get() == state && tcb.blocked_ep.get() == Some(ep))?;
    holds(count > 0, "an endpoint with nobody is idle", ep.addr())?;
    Ok(count)
}

fn notification(caps: Caps, ntfn: Ptr<Notification>) -> Result<usize, Broken> {
    let at = ntfn.addr();
    let ends = Ends { head: ntfn.head.get(), tail: ntfn.tail.get() };
    let count = queue(ends, |tcb| {
        tcb.state.get() == ThreadState::BlockedOnNotification && tcb.blocked_ntfn.get() == Some(ntfn)
    })?;
    let waits = ntfn.state.get() == NotificationState::Waiting;
    holds(waits == (count > 0), "a notification's state says whether somebody waits", at)?;
    if let Some(tcb) = ntfn.bound.get() {
        holds(tcb.bound_ntfn.get() == Some(ntfn), "notification and bound thread name each other", at)?;
        caps.requires(Cap::Tcb { tcb }, "a bound thread is alive", at)?;
    }
    if let Some(sc) = ntfn.sc.get() {
        holds(sc.ntfn() == Some(ntfn), "notification and the context that it lends name each other", at)?;
        caps.requires(Cap::SchedContext { sc, bits: 0 }, "a lent context is alive", at)?;
    }
    Ok(count)
}

fn reply_object(caps: Caps, reply: Ptr<Reply>) -> Result<(), Broken> {
    let at = reply.addr();
    if let Some(prev) = reply.prev.get() {
        holds(prev.next.get() == Some(reply), "calls on a stack name each other", at)?;
        caps.requires(Cap::Reply { reply: prev, can_grant: false }, "the call below is alive", at)?;
    }
    if let Some(next) = reply.next.get() {
        holds(next.prev.get() == Some(reply), "calls on a stack name each other", at)?;
        holds(reply.sc.get().is_none(), "only the newest call has the context", at)?;
        caps.requires(Cap::Reply { reply: next, can_grant: false }, "the call above is alive", at)?;
    }
    if let Some(sc) = reply.sc.get() {
        holds(sc.reply.get() == Some(reply), "a context and its newest call name each other", at)?;
        caps.requires(Cap::SchedContext { sc, bits: 0 }, "the context of a call is alive", at)?;
    }
    match reply.tcb.get() {
        Some(tcb) => {
            holds(tcb.reply.get() == Some(reply), "a reply object and its thread name each other", at)?;
            caps.requires(Cap::Tcb { tcb }, "the thread of a reply object is alive", at)?;
            let called = tcb.state.get() == ThreadState::BlockedOnReply;
            holds(called || reply.is_alone(), "only a call that was made is on a stack", at)
        }
        None => holds(reply.is_alone(), "a reply object without a call is on no stack", at),
    }
}

/// What a thread waits in knows it; whether it stands in a queue.
fn thread(caps: Caps, tcb: Ptr<Tcb>) -> Result<usize, Broken> {
    let (at, state) = (tcb.addr(), tcb.state.get());
    let in_endpoint = matches!(state, ThreadState::BlockedOnSend | ThreadState::BlockedOnReceive);
    if in_endpoint {
        let Some(ep) = tcb.blocked_ep.get() else {
            return holds(false, "who waits for a message knows the endpoint", at).map(|()| 0);
        };
        caps.requires(endpoint_cap(ep), "the endpoint that a thread waits for is alive", at)?;
    }
    let in_notification = state == ThreadState::BlockedOnNotification;
    if in_notification {
        let Some(ntfn) = tcb.blocked_ntfn.get() else {
            return holds(false, "who waits for a signal knows the notification", at).map(|()| 0);
        };
        caps.requires(notification_cap(ntfn), "the notification that a thread waits for is alive", at)?;
    }
    if !in_endpoint && !in_notification {
        // A queue of one thread is made without a look at that thread's links.
        let links = [tcb.ep_prev.get(), tcb.ep_next.get(), tcb.ep_run.get()];
        holds(links == [None; 3], "who stands in no queue has no neighbours", at)?;
    }
    match tcb.reply.get() {
        Some(reply) => {
            let waits = matches!(state, ThreadState::BlockedOnReply | ThreadState::BlockedOnReceive);
            holds(waits, "only who calls or receives has a reply object", at)?;
            holds(reply.tcb.get() == Some(tcb), "a thread and its reply object name each other", at)?;
            caps.requires(Cap::Reply { reply, can_grant: false }, "a thread's reply object is alive", at)?;
        }
        None => {
            holds(state != ThreadState::BlockedOnReply, "who waits for an answer has a reply object", at)?;
        }
    }
    if let Some(ntfn) = tcb.bound_ntfn.get() {
        holds(ntfn.bound.get() == Some(tcb), "bound thread and notification name each other", at)?;
        caps.requires(notification_cap(ntfn), "a bound notification is alive", at)?;
    }
    Ok(usize::from(in_endpoint || in_notification))
}
