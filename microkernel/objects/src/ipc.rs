//! Endpoints and reply objects: sending, receiving, calling, answering, and the scheduling context that travels along.
use crate::arch::registers::CAP;
use crate::fault_message;
use crate::machine::Machine;
use crate::node::Node;
use crate::notify;
use crate::object::{Endpoint, EndpointState, Fault, Reply, TCB_TIMEOUT, Tcb, ThreadState};
use crate::ptr::Ptr;
use crate::sched::{self, set_state, switch_if_higher};
use crate::transfer::transfer;
use crate::waiting;
use sel4_sys::CapRights;

/// What a sender wants and may do.
#[derive(Clone, Copy)]
pub struct SendOptions {
    /// Wait for a receiver.
    pub blocking: bool,
    /// Wait for the answer.
    pub call: bool,
    /// Badge of the sender's capability.
    pub badge: u64,
    /// The capability may transfer capabilities.
    pub can_grant: bool,
    /// The capability may transfer a reply capability.
    pub can_grant_reply: bool,
    /// The sender's scheduling context may go along.
    pub can_donate: bool,
}

/// Sends the message in `tcb`'s registers through `ep`.
pub fn send<M: Machine>(m: M, tcb: Ptr<Tcb>, ep: Ptr<Endpoint>, options: SendOptions) {
    let n = m.node();
    if ep.state() != EndpointState::Receive {
        if options.blocking {
            block_sender(n, tcb, ep, options);
        }
        return;
    }
    let queue = ep.queue();
    let Some(dest) = queue.head else { return };
    ep.set_queue(queue.without_head(dest), EndpointState::Receive);
    transfer(m, tcb, Some(ep), options.badge, options.can_grant, dest);
    let reply = dest.reply.get();
    if let Some(reply) = reply {
        waiting::unlink(reply, dest);
    }
    sched::unblock_sporadic(n, dest);
    if options.call || tcb.fault.get() != Fault::None {
        match reply {
            Some(reply) if options.can_grant || options.can_grant_reply => {
                push(n, tcb, dest, reply, options.can_donate);
            }
            _ => set_state(n, tcb, ThreadState::Inactive),
        }
    } else if options.can_donate
        && dest.sc.get().is_none()
        && let Some(sc) = tcb.sc.get()
    {
        sched::donate(n, sc, dest);
    }
    set_state(n, dest, ThreadState::Running);
    switch_if_higher(n, dest);
}

fn block_sender(n: &Node, tcb: Ptr<Tcb>, ep: Ptr<Endpoint>, options: SendOptions) {
    set_state(n, tcb, ThreadState::BlockedOnSend);
    tcb.blocked_ep.set(Some(ep));
    tcb.sender_badge.set(options.badge);
    tcb.sender_order.set(n.next_order());
    tcb.can_grant.set(options.can_grant);
    tcb.can_grant_reply.set(options.can_grant_reply);
    tcb.is_call.set(options.call);
    ep.set_queue(ep.queue().insert_by_priority(tcb), EndpointState::Send);
}

/// How a thread receives.
#[derive(Clone, Copy)]
pub struct ReceiveOptions {
    /// Whether the right to grant was among those of the endpoint's capability.
    pub can_grant: bool,
    /// Whether it waits if nobody sends.
    pub blocking: bool,
    /// What callers are answered by.
    pub reply: Option<Ptr<Reply>>,
}

/// Receives through `ep` into `tcb`'s registers.
pub fn receive<M: Machine>(m: M, tcb: Ptr<Tcb>, ep: Ptr<Endpoint>, options: ReceiveOptions) {
    let n = m.node();
    let ReceiveOptions { can_grant, blocking, reply } = options;
    if let Some(reply) = reply
        && let Some(other) = reply.tcb.get()
        && other != tcb
    {
        // The object still serves another call; that one is given up.
        waiting::cancel(n, other);
    }
    if let Some(ntfn) = tcb.bound_ntfn.get() {
        if notify::take(n, ntfn, tcb) {
            return;
        }
        if blocking {
            notify::maybe_return_sc(n, ntfn, tcb);
        }
    }
    if ep.state() != EndpointState::Send {
        if blocking {
            set_state(n, tcb, ThreadState::BlockedOnReceive);
            tcb.blocked_ep.set(Some(ep));
            tcb.can_grant.set(can_grant);
            tcb.reply.set(reply);
            if let Some(reply) = reply {
                reply.tcb.set(Some(tcb));
            }
            ep.set_queue(ep.queue().insert_by_priority(tcb), EndpointState::Receive);
        } else {
            tcb.regs.set(CAP, 0);
        }
        return;
    }
    let queue = ep.queue();
    let Some(sender) = queue.head else { return };
    n.walk.passes(sender);
    ep.set_queue(queue.without_head(sender), EndpointState::Send);
    transfer(m, sender, Some(ep), sender.sender_badge.get(), sender.can_grant.get(), tcb);
    sched::unblock_sporadic(n, sender);
    let fault = sender.fault.get();
    if sender.is_call.get() || fault != Fault::None {
        match reply {
            Some(reply) if sender.can_grant.get() || sender.can_grant_reply.get() => {
                let can_donate = sender.sc.get().is_some() && !matches!(fault, Fault::Timeout { .. });
                push(n, sender, tcb, reply, can_donate);
            }
            _ => set_state(n, sender, ThreadState::Inactive),
        }
    } else {
        set_state(n, sender, ThreadState::Running);
        switch_if_higher(n, sender);
    }
}

/// Answers the caller that `reply` keeps waiting, with the message in `sender`'s registers.
pub fn reply<M: Machine>(m: M, sender: Ptr<Tcb>, reply: Ptr<Reply>, can_grant: bool) {
    let n = m.node();
    let Some(receiver) = reply.tcb.get() else { return };
    if receiver.state.get() != ThreadState::BlockedOnReply {
        return;
    }
    waiting::answer(n, reply, receiver);
    sched::unblock_sporadic(n, receiver);
    let was_timeout = matches!(receiver.fault.get(), Fault::Timeout { .. });
    if receiver.fault.get() == Fault::None {
        transfer(m, sender, None, 0, can_grant, receiver);
        set_state(n, receiver, ThreadState::Running);
    } else {
        let restart = fault_message::take_reply(receiver, sender);
        receiver.fault.set(Fault::None);
        set_state(n, receiver, if restart { ThreadState::Restart } else { ThreadState::Inactive });
    }
    let Some(sc) = receiver.sc.get().filter(|_| receiver.is_runnable()) else { return };
    if sched::is_usable(n, sc) {
        switch_if_higher(n, receiver);
    } else if sched::has_timeout_handler(receiver) && !was_timeout {
        send_timeout(m, receiver);
    } else {
        sched::postpone(n, sc);
    }
}

// ---- the call stack: a caller waits in a reply object; the scheduling context hangs on the newest ----

fn push(n: &Node, caller: Ptr<Tcb>, callee: Ptr<Tcb>, reply: Ptr<Reply>, can_donate: bool) {
    reply.tcb.set(Some(caller));
    caller.reply.set(Some(reply));
    set_state(n, caller, ThreadState::BlockedOnReply);
    if can_donate
        && callee.sc.get().is_none()
        && let Some(sc) = caller.sc.get()
    {
        if let Some(old) = sc.reply.get() {
            reply.prev.set(Some(old));
            old.next.set(Some(reply));
            old.sc.set(None);
        }
        reply.sc.set(Some(sc));
        sc.reply.set(Some(reply));
        sched::donate(n, sc, callee);
    }
}

// ---- faults are messages, too ----

/// Sends the fault that is set in the thread to the endpoint in slot `handler` of its TCB; false if there is none.
pub fn send_fault<M: Machine>(m: M, tcb: Ptr<Tcb>, handler: usize, can_donate: bool) -> bool {
    let Some((ep, badge, rights)) = tcb.slot(handler).packed().as_endpoint() else { return false };
    let options = SendOptions {
        blocking: true,
        call: false,
        badge,
        can_grant: rights.contains(CapRights::GRANT),
        can_grant_reply: rights.contains(CapRights::GRANT_REPLY),
        can_donate,
    };
    send(m, tcb, ep, options);
    true
}

/// Tells the timeout handler, which there is, that the thread has no budget left.
pub fn send_timeout<M: Machine>(m: M, tcb: Ptr<Tcb>) {
    let badge = tcb.sc.get().map_or(0, |sc| sc.badge.get());
    tcb.fault.set(Fault::Timeout { badge });
    send_fault(m, tcb, TCB_TIMEOUT, false);
}
