//! The short way through the kernel for a client that calls a passive server and for the server's answer.
//!
//! Both threads run on one scheduling context, which only changes hands: no time is charged, no timer is set, no queue
//! of ready threads is touched, and the budget's own interrupt stays armed. Everything that needs more than that is
//! found out before anything is changed, and goes the ordinary way (`entry`, `ipc`), which does the same and is the
//! specification of this file.
use crate::arch;
use crate::cspace;
use crate::message;
use crate::node::{Node, node};
use crate::trace;
use axiom_objects::Ptr;
use axiom_objects::object::{EndpointState, Fault, NotificationState, Reply, SchedContext, Tcb, ThreadState};
use axiom_objects::queue::Ep;
use axiom_objects::registers::{CAP, INFO, REPLY};
use sel4_sys::message::FAST_REGISTERS;
use sel4_sys::{CapRights, MessageInfo, ext::event};

/// `Call` to a server that waits and has no scheduling context of its own. False if it is another case.
#[inline(always)]
pub fn call(tcb: Ptr<Tcb>) -> bool {
    let n = node();
    let info = MessageInfo(tcb.regs.get(INFO));
    let Ok((_, cap)) = cspace::lookup(tcb, tcb.regs.get(CAP)) else { return false };
    let Some((ep, badge, rights)) = cap.as_endpoint() else { return false };
    let answerable = rights.contains(CapRights::GRANT) || rights.contains(CapRights::GRANT_REPLY);
    if info.extra_caps() != 0
        || !rights.contains(CapRights::WRITE)
        || !answerable
        || ep.state() != EndpointState::Receive
    {
        return false;
    }
    let queue = ep.queue();
    let Some(server) = queue.head else { return false };
    let Some(reply) = server.reply.get() else { return false };
    let Some(sc) = shared_context(n, tcb) else { return false };
    if server.sc.get().is_some() || !runs_next(n, server) {
        return false;
    }
    ep.set_queue(queue.remove::<Ep>(server), EndpointState::Receive);
    copy(tcb, info, badge, server);
    // The call goes onto the context's stack, and the context to the server.
    server.reply.set(None);
    reply.tcb.set(Some(tcb));
    tcb.reply.set(Some(reply));
    if let Some(older) = sc.reply.get() {
        reply.prev.set(Some(older));
        older.next.set(Some(reply));
        older.sc.set(None);
    }
    reply.sc.set(Some(sc));
    sc.reply.set(Some(reply));
    tcb.state.set(ThreadState::BlockedOnReply);
    hand_over(n, sc, tcb, server);
    true
}

/// `ReplyRecv` of a server to the newest caller of the context that it runs on, with nobody else waiting to send.
#[inline(always)]
pub fn reply_recv(tcb: Ptr<Tcb>) -> bool {
    let n = node();
    let info = MessageInfo(tcb.regs.get(INFO));
    let Ok((_, cap)) = cspace::lookup(tcb, tcb.regs.get(CAP)) else { return false };
    let Some((ep, _, rights)) = cap.as_endpoint() else { return false };
    if info.extra_caps() != 0 || !rights.contains(CapRights::READ) || ep.state() == EndpointState::Send {
        return false;
    }
    let signalled = |ntfn: Ptr<axiom_objects::Notification>| {
        ntfn.state.get() == NotificationState::Active || ntfn.sc.get().is_some()
    };
    if tcb.bound_ntfn.get().is_some_and(signalled) {
        return false;
    }
    let Some(reply) = reply_argument(tcb) else { return false };
    let Some(sc) = shared_context(n, tcb) else { return false };
    let Some(client) = reply.tcb.get() else { return false };
    if reply.sc.get() != Some(sc)
        || client.state.get() != ThreadState::BlockedOnReply
        || !matches!(client.fault.get(), Fault::None)
        || client.sc.get().is_some()
        || !runs_next(n, client)
    {
        return false;
    }
    copy(tcb, info, 0, client);
    // The call comes off the context's stack, and the context goes back.
    let older = reply.prev.take();
    if let Some(older) = older {
        older.sc.set(Some(sc));
        older.next.set(None);
    }
    sc.reply.set(older);
    reply.sc.set(None);
    client.reply.set(None);
    // The server waits again, with the same reply object.
    reply.tcb.set(Some(tcb));
    tcb.reply.set(Some(reply));
    tcb.blocked_ep.set(Some(ep));
    tcb.can_grant.set(rights.contains(CapRights::GRANT));
    tcb.state.set(ThreadState::BlockedOnReceive);
    ep.set_queue(ep.queue().insert_by_priority::<Ep>(tcb), EndpointState::Receive);
    hand_over(n, sc, tcb, client);
    true
}

#[inline(always)]
fn reply_argument(tcb: Ptr<Tcb>) -> Option<Ptr<Reply>> {
    let (_, cap) = cspace::lookup(tcb, tcb.regs.get(REPLY)).ok()?;
    cap.as_reply().map(|(reply, _)| reply)
}

/// The context that time is charged to, if it is the thread's own.
#[inline(always)]
fn shared_context(n: &Node, tcb: Ptr<Tcb>) -> Option<Ptr<SchedContext>> {
    tcb.sc.get().filter(|sc| n.current_sc.get() == Some(*sc))
}

/// Whether no ready thread is more important than `tcb` will be.
#[inline(always)]
fn runs_next(n: &Node, tcb: Ptr<Tcb>) -> bool {
    n.highest_ready().is_none_or(|ready| tcb.priority.get() >= ready)
}

#[inline(always)]
fn copy(from: Ptr<Tcb>, info: MessageInfo, badge: u64, to: Ptr<Tcb>) {
    trace::record(trace::class::IPC, event::IPC, 0, to.addr() as u32);
    let length = info.length();
    let copied = if length <= FAST_REGISTERS {
        message::copy(from, None, to, None, length)
    } else {
        let (source, dest) = (message::buffer(from, false), message::buffer(to, true));
        message::copy(from, source, to, dest, length)
    };
    to.regs.set(INFO, MessageInfo::new(info.label(), 0, 0, copied as u64).0);
    to.regs.set(CAP, badge);
}

/// `to` runs instead of `from`, on the same context.
#[inline(always)]
fn hand_over(n: &Node, sc: Ptr<SchedContext>, from: Ptr<Tcb>, to: Ptr<Tcb>) {
    from.sc.set(None);
    sc.tcb.set(Some(to));
    to.sc.set(Some(sc));
    to.state.set(ThreadState::Running);
    trace::record(trace::class::SWITCH, event::SWITCH, 0, to.addr() as u32);
    arch::vspace::switch_to(to);
    arch::fpu::switch_to(to);
    n.set_current(to);
}
