//! Endpoints and reply objects: sending, receiving, calling, answering, and the scheduling context that travels along.
use crate::cspace;
use crate::delete;
use crate::fault;
use crate::message::{self, Buffer};
use crate::notify;
use crate::sched::{self, set_state, switch_if_higher};
use crate::trace;
use axiom_objects::object::{Endpoint, EndpointState, Fault, Reply, Tcb, ThreadState};
use axiom_objects::queue::Ep;
use axiom_objects::registers::{CAP, INFO};
use axiom_objects::{Cap, Ptr, Slot, slot};
use sel4_sys::{MessageInfo, message::MAX_LENGTH};

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
pub fn send(tcb: Ptr<Tcb>, ep: Ptr<Endpoint>, options: SendOptions) {
    if ep.state() != EndpointState::Receive {
        if options.blocking {
            block_sender(tcb, ep, options);
        }
        return;
    }
    let queue = ep.queue();
    let Some(dest) = queue.head else { return };
    ep.set_queue(queue.remove::<Ep>(dest), EndpointState::Receive);
    transfer(tcb, Some(ep), options.badge, options.can_grant, dest);
    let reply = dest.reply.get();
    if let Some(reply) = reply {
        unlink(reply, dest);
    }
    sched::unblock_sporadic(dest);
    if options.call || tcb.fault.get() != Fault::None {
        match reply {
            Some(reply) if options.can_grant || options.can_grant_reply => {
                push(tcb, dest, reply, options.can_donate);
            }
            _ => set_state(tcb, ThreadState::Inactive),
        }
    } else if options.can_donate
        && dest.sc.get().is_none()
        && let Some(sc) = tcb.sc.get()
    {
        sched::donate(sc, dest);
    }
    set_state(dest, ThreadState::Running);
    switch_if_higher(dest);
}

fn block_sender(tcb: Ptr<Tcb>, ep: Ptr<Endpoint>, options: SendOptions) {
    set_state(tcb, ThreadState::BlockedOnSend);
    tcb.blocked_ep.set(Some(ep));
    tcb.sender_badge.set(options.badge);
    tcb.can_grant.set(options.can_grant);
    tcb.can_grant_reply.set(options.can_grant_reply);
    tcb.is_call.set(options.call);
    ep.set_queue(ep.queue().insert_by_priority::<Ep>(tcb), EndpointState::Send);
}

/// Receives through `ep` into `tcb`'s registers, with `reply` to answer callers.
pub fn receive(tcb: Ptr<Tcb>, ep: Ptr<Endpoint>, can_grant: bool, blocking: bool, reply: Option<Ptr<Reply>>) {
    if let Some(reply) = reply
        && let Some(other) = reply.tcb.get()
        && other != tcb
    {
        // The object still serves another call; that one is given up.
        cancel(other);
    }
    if let Some(ntfn) = tcb.bound_ntfn.get() {
        if notify::take(ntfn, tcb) {
            return;
        }
        if blocking {
            notify::maybe_return_sc(ntfn, tcb);
        }
    }
    if ep.state() != EndpointState::Send {
        if blocking {
            set_state(tcb, ThreadState::BlockedOnReceive);
            tcb.blocked_ep.set(Some(ep));
            tcb.can_grant.set(can_grant);
            tcb.reply.set(reply);
            if let Some(reply) = reply {
                reply.tcb.set(Some(tcb));
            }
            ep.set_queue(ep.queue().insert_by_priority::<Ep>(tcb), EndpointState::Receive);
        } else {
            tcb.regs.set(CAP, 0);
        }
        return;
    }
    let queue = ep.queue();
    let Some(sender) = queue.head else { return };
    ep.set_queue(queue.remove::<Ep>(sender), EndpointState::Send);
    transfer(sender, Some(ep), sender.sender_badge.get(), sender.can_grant.get(), tcb);
    sched::unblock_sporadic(sender);
    let fault = sender.fault.get();
    if sender.is_call.get() || fault != Fault::None {
        match reply {
            Some(reply) if sender.can_grant.get() || sender.can_grant_reply.get() => {
                let can_donate = sender.sc.get().is_some() && !matches!(fault, Fault::Timeout { .. });
                push(sender, tcb, reply, can_donate);
            }
            _ => set_state(sender, ThreadState::Inactive),
        }
    } else {
        set_state(sender, ThreadState::Running);
        switch_if_higher(sender);
    }
}

/// Answers the caller that `reply` keeps waiting, with the message in `sender`'s registers.
pub fn reply(sender: Ptr<Tcb>, reply: Ptr<Reply>, can_grant: bool) {
    let Some(receiver) = reply.tcb.get() else { return };
    if receiver.state.get() != ThreadState::BlockedOnReply {
        return;
    }
    remove(reply, receiver);
    sched::unblock_sporadic(receiver);
    let was_timeout = matches!(receiver.fault.get(), Fault::Timeout { .. });
    if receiver.fault.get() == Fault::None {
        transfer(sender, None, 0, can_grant, receiver);
        set_state(receiver, ThreadState::Running);
    } else {
        let restart = fault::take_reply(receiver, sender);
        receiver.fault.set(Fault::None);
        set_state(receiver, if restart { ThreadState::Restart } else { ThreadState::Inactive });
    }
    let Some(sc) = receiver.sc.get().filter(|_| receiver.is_runnable()) else { return };
    if sched::is_usable(sc) {
        switch_if_higher(receiver);
    } else if fault::has_timeout_handler(receiver) && !was_timeout {
        receiver.fault.set(Fault::Timeout { badge: sc.badge.get() });
        fault::deliver_timeout(receiver);
    } else {
        sched::postpone(sc);
    }
}

// ---- the call stack: a caller waits in a reply object; the scheduling context hangs on the newest ----

fn push(caller: Ptr<Tcb>, callee: Ptr<Tcb>, reply: Ptr<Reply>, can_donate: bool) {
    reply.tcb.set(Some(caller));
    caller.reply.set(Some(reply));
    set_state(caller, ThreadState::BlockedOnReply);
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
        sched::donate(sc, callee);
    }
}

/// Takes a reply object and its thread apart.
fn unlink(reply: Ptr<Reply>, tcb: Ptr<Tcb>) {
    reply.tcb.set(None);
    tcb.reply.set(None);
}

/// Takes an answered call off its stack; at the head the scheduling context goes back to the caller.
pub fn remove(reply: Ptr<Reply>, caller: Ptr<Tcb>) {
    let (prev, next) = (reply.prev.take(), reply.next.take());
    if let Some(sc) = reply.sc.take() {
        sc.reply.set(prev);
        if let Some(prev) = prev {
            prev.sc.set(Some(sc));
            prev.next.set(None);
        }
        if caller.sc.get().is_none() {
            sched::donate(sc, caller);
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
    set_state(caller, ThreadState::Inactive);
}

/// A waiting caller goes away: its stack is cut here, and the scheduling context stays where it is.
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
pub fn cancel(tcb: Ptr<Tcb>) {
    tcb.fault.set(Fault::None);
    match tcb.state.get() {
        ThreadState::BlockedOnSend | ThreadState::BlockedOnReceive => {
            if let Some(ep) = tcb.blocked_ep.take() {
                ep.set_queue(ep.queue().remove::<Ep>(tcb), ep.state());
            }
            if tcb.state.get() == ThreadState::BlockedOnReceive
                && let Some(reply) = tcb.reply.get()
            {
                unlink(reply, tcb);
            }
            set_state(tcb, ThreadState::Inactive);
        }
        ThreadState::BlockedOnNotification => notify::cancel(tcb),
        ThreadState::BlockedOnReply => {
            if let Some(reply) = tcb.reply.get() {
                remove_caller(reply, tcb);
            }
            set_state(tcb, ThreadState::Inactive);
        }
        _ => {}
    }
}

/// An endpoint goes away: those who waited restart (and fail), faulted senders stay stopped.
pub fn cancel_all(ep: Ptr<Endpoint>) {
    while let Some(tcb) = ep.queue().head {
        let state = ep.state();
        ep.set_queue(ep.queue().remove::<Ep>(tcb), state);
        restart_cancelled(tcb);
    }
    sched::reschedule();
}

/// Senders with this badge restart (and fail).
pub fn cancel_badged(ep: Ptr<Endpoint>, badge: u64) -> Result<(), crate::invoke::Preempted> {
    if ep.state() != EndpointState::Send {
        return Ok(());
    }
    let mut at = ep.queue().head;
    while let Some(tcb) = at {
        at = tcb.ep_next.get();
        if tcb.sender_badge.get() == badge {
            ep.set_queue(ep.queue().remove::<Ep>(tcb), EndpointState::Send);
            restart_cancelled(tcb);
        }
    }
    sched::reschedule();
    Ok(())
}

fn restart_cancelled(tcb: Ptr<Tcb>) {
    if tcb.state.get() == ThreadState::BlockedOnReceive
        && let Some(reply) = tcb.reply.get()
    {
        unlink(reply, tcb);
    }
    tcb.blocked_ep.set(None);
    if tcb.fault.get() == Fault::None {
        set_state(tcb, ThreadState::Restart);
        sched::unblock_sporadic(tcb);
        switch_if_higher(tcb);
    } else {
        set_state(tcb, ThreadState::Inactive);
    }
}

// ---- the message itself ----

/// Copies a message, or a fault as a message, to `to`.
#[inline(always)]
fn transfer(from: Ptr<Tcb>, ep: Option<Ptr<Endpoint>>, badge: u64, grant: bool, to: Ptr<Tcb>) {
    trace::record(trace::class::IPC, sel4_sys::ext::event::IPC, 0, to.addr() as u32);
    if from.fault.get() == Fault::None {
        transfer_normal(from, ep, badge, grant, to);
    } else {
        fault::transfer(from, badge, to);
    }
}

#[inline(always)]
fn transfer_normal(from: Ptr<Tcb>, ep: Option<Ptr<Endpoint>>, badge: u64, grant: bool, to: Ptr<Tcb>) {
    let tag = MessageInfo(from.regs.get(INFO));
    let length = tag.length().min(MAX_LENGTH);
    let has_caps = grant && tag.extra_caps() > 0;
    let (mut source, mut dest) = (None, None);
    if length > sel4_sys::message::FAST_REGISTERS || tag.extra_caps() > 0 {
        source = message::buffer(from, false);
        dest = message::buffer(to, true);
    }
    let copied = message::copy(from, source, to, dest, length);
    let (mut caps, mut unwrapped) = (0, 0);
    if has_caps && let (Some(source), Some(dest)) = (source, dest) {
        (caps, unwrapped) = transfer_caps(from, source, tag.extra_caps(), ep, to, dest);
    }
    to.regs.set(INFO, MessageInfo::new(tag.label(), unwrapped, caps, copied as u64).0);
    to.regs.set(CAP, badge);
}

/// Transfers capabilities: one to the endpoint that the message came through arrives as its badge; the first other
/// one goes to the receiver's slot. How many arrived, and which were unwrapped.
fn transfer_caps(
    from: Ptr<Tcb>,
    source: Buffer,
    count: usize,
    ep: Option<Ptr<Endpoint>>,
    to: Ptr<Tcb>,
    dest: Buffer,
) -> (u64, u64) {
    // All pointers are resolved before any capability is moved; one that fails ends the transfer at nothing.
    let mut slots: [Option<Ptr<Slot>>; 3] = [None; 3];
    for (i, entry) in slots.iter_mut().enumerate().take(count) {
        match cspace::lookup_slot(from, message::extra_cap(source, i)) {
            Ok(slot) => *entry = Some(slot),
            Err(_) => return (0, 0),
        }
    }
    let mut free = receive_slot(to, dest);
    let (mut done, mut unwrapped) = (0, 0);
    for (i, source_slot) in slots.iter().flatten().enumerate() {
        let cap = source_slot.cap();
        match cap {
            Cap::Endpoint { ep: e, badge, .. } if Some(e) == ep => {
                message::set_badge(dest, i, badge.0);
                unwrapped |= 1 << i;
            }
            _ => {
                let Some(target) = free.take() else { break };
                match delete::derive(*source_slot, cap) {
                    Ok(cap) if cap != Cap::Null => slot::insert(cap, *source_slot, target),
                    _ => break,
                }
            }
        }
        done = i as u64 + 1;
    }
    (done, unwrapped)
}

fn receive_slot(to: Ptr<Tcb>, buffer: Buffer) -> Option<Ptr<Slot>> {
    let (cnode, index, depth) = message::receive_slot(buffer);
    let (_, root) = cspace::lookup(to, cnode).ok()?;
    if !(1..=64).contains(&depth) {
        return None;
    }
    match cspace::resolve(root, index, depth as u32) {
        Ok((slot, 0)) if slot.is_empty() => Some(slot),
        _ => None,
    }
}
