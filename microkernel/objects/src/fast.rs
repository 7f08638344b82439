//! The short ways through the kernel: calls and their answers, signals, messages to a receiver that waits, and polls.
//!
//! A call to a passive server and its answer run on one scheduling context, which passes from thread to thread: no time is charged, no
//! timer is set, no queue of ready threads is touched, and the interrupt for the end of the budget stays armed. If the server has a
//! context of its own, the change of contexts is paid for; so it is if a signal or a message wakes a thread that runs at once. A signal
//! that nobody waits for, and a poll, change the notification alone; their time is charged at the next system call that asks for it.
//!
//! Each short way first finds out, before it changes anything, whether it can do the whole work. If it cannot, the ordinary way does
//! it (`entry`, `ipc`, `notify`): that one has the same effects, and is the specification of this file.
use crate::arch::registers::{CAP, INFO, REPLY};
use crate::cspace;
use crate::machine::{Machine, record};
use crate::message;
use crate::node::Node;
use crate::object::{
    Endpoint, EndpointState, Ends, Fault, Notification, NotificationState, Reply, SchedContext, Tcb,
    ThreadState,
};
use crate::ptr::Ptr;
use crate::sched;
use crate::trace::class;
use crate::waiting;
use sel4_sys::message::FAST_REGISTERS;
use sel4_sys::{CapRights, MessageInfo, ext::event, syscall};

/// A system call of the current thread by its short way, if it has one. False if it has none, or not in its case: then nothing
/// has changed.
#[inline(always)]
pub fn system_call<M: Machine>(m: M, number: i64) -> bool {
    let tcb = m.node().current();
    match number {
        syscall::CALL => call(m, tcb),
        syscall::REPLY_RECV => reply_recv(m, tcb),
        syscall::SEND => send(m, tcb),
        syscall::NB_WAIT => poll(tcb),
        _ => false,
    }
}

/// `Call` to a server that waits. False if it is another case.
#[inline(always)]
pub fn call<M: Machine>(m: M, tcb: Ptr<Tcb>) -> bool {
    let n = m.node();
    let info = MessageInfo(tcb.regs.get(INFO));
    let Some(cap) = cspace::find(tcb, tcb.regs.get(CAP)) else { return false };
    let Some((ep, badge, rights)) = cap.as_endpoint() else { return false };
    let answerable = rights.contains(CapRights::GRANT) || rights.contains(CapRights::GRANT_REPLY);
    if info.extra_caps() != 0
        || !rights.contains(CapRights::WRITE)
        || !answerable
        || ep.state() != EndpointState::Receive
    {
        return false;
    }
    let Some(server) = ep.queue().head else { return false };
    let Some(reply) = server.reply.get() else { return false };
    let Some(sc) = charged_context(n, tcb) else { return false };
    if !runs_next(n, server) {
        return false;
    }
    if let Some(own) = server.sc.get() {
        if !changes_to(m, sc, server, own) {
            return false;
        }
        ask(m, tcb, ep, info, badge, server, reply);
        sched::change(m, tcb, server);
        sched::switch_context(m);
        return true;
    }
    ask(m, tcb, ep, info, badge, server, reply);
    // The call goes onto the context's stack, and the context to the server.
    if let Some(older) = sc.reply.get() {
        reply.prev.set(Some(older));
        older.next.set(Some(reply));
        older.sc.set(None);
    }
    reply.sc.set(Some(sc));
    sc.reply.set(Some(reply));
    hand_over(m, sc, tcb, server);
    true
}

/// The message goes to the server, and the caller waits for its answer.
#[inline(always)]
fn ask<M: Machine>(
    m: M,
    caller: Ptr<Tcb>,
    ep: Ptr<Endpoint>,
    info: MessageInfo,
    badge: u64,
    server: Ptr<Tcb>,
    reply: Ptr<Reply>,
) {
    take_receiver(ep, server);
    copy(m, caller, info, badge, server);
    server.reply.set(None);
    reply.tcb.set(Some(caller));
    caller.reply.set(Some(reply));
    caller.state.set(ThreadState::BlockedOnReply);
    server.state.set(ThreadState::Running);
}

/// `ReplyRecv` with nobody else waiting to send: of a passive server to the newest caller of the context that it runs on, or
/// of a server with a context to a caller with a context.
#[inline(always)]
pub fn reply_recv<M: Machine>(m: M, tcb: Ptr<Tcb>) -> bool {
    let n = m.node();
    let info = MessageInfo(tcb.regs.get(INFO));
    let Some(cap) = cspace::find(tcb, tcb.regs.get(CAP)) else { return false };
    let Some((ep, _, rights)) = cap.as_endpoint() else { return false };
    if info.extra_caps() != 0 || !rights.contains(CapRights::READ) || ep.state() == EndpointState::Send {
        return false;
    }
    let signalled =
        |ntfn: Ptr<Notification>| ntfn.state.get() == NotificationState::Active || ntfn.sc.get().is_some();
    if tcb.bound_ntfn.get().is_some_and(signalled) {
        return false;
    }
    let Some(reply) = reply_argument(tcb) else { return false };
    let Some(sc) = charged_context(n, tcb) else { return false };
    let Some(client) = reply.tcb.get() else { return false };
    if client.state.get() != ThreadState::BlockedOnReply
        || !matches!(client.fault.get(), Fault::None)
        || !runs_next(n, client)
    {
        return false;
    }
    if let Some(own) = client.sc.get() {
        // A call without a lent context is on no stack.
        if !reply.is_alone() || !changes_to(m, sc, client, own) {
            return false;
        }
        answer(m, tcb, info, client);
        wait_again(tcb, ep, rights, reply);
        sched::change(m, tcb, client);
        sched::switch_context(m);
        return true;
    }
    if reply.sc.get() != Some(sc) {
        return false;
    }
    answer(m, tcb, info, client);
    // The call comes off the context's stack, and the context goes back.
    let older = reply.prev.take();
    if let Some(older) = older {
        older.sc.set(Some(sc));
        older.next.set(None);
    }
    sc.reply.set(older);
    reply.sc.set(None);
    wait_again(tcb, ep, rights, reply);
    hand_over(m, sc, tcb, client);
    true
}

/// The answer goes to the client, which waits for nothing more.
#[inline(always)]
fn answer<M: Machine>(m: M, server: Ptr<Tcb>, info: MessageInfo, client: Ptr<Tcb>) {
    copy(m, server, info, 0, client);
    client.reply.set(None);
    client.state.set(ThreadState::Running);
}

/// The server waits for the next call, with the same reply object.
#[inline(always)]
fn wait_again(server: Ptr<Tcb>, ep: Ptr<Endpoint>, rights: CapRights, reply: Ptr<Reply>) {
    reply.tcb.set(Some(server));
    server.reply.set(Some(reply));
    server.blocked_ep.set(Some(ep));
    server.can_grant.set(rights.contains(CapRights::GRANT));
    server.state.set(ThreadState::BlockedOnReceive);
    let queue = ep.queue();
    let queue = if queue.head.is_none() { Ends::of(server) } else { queue.insert_by_priority(server) };
    ep.set_queue(queue, EndpointState::Receive);
}

/// `Send`: a signal, or a message to a receiver that takes the core.
#[inline(always)]
pub fn send<M: Machine>(m: M, tcb: Ptr<Tcb>) -> bool {
    let Some(cap) = cspace::find(tcb, tcb.regs.get(CAP)) else { return false };
    let info = MessageInfo(tcb.regs.get(INFO));
    if info.extra_caps() != 0 {
        return false;
    }
    if let Some((ntfn, badge, rights)) = cap.as_notification() {
        rights.contains(CapRights::WRITE) && signal(m, tcb, ntfn, badge)
    } else if let Some((ep, badge, rights)) = cap.as_endpoint() {
        rights.contains(CapRights::WRITE) && deliver(m, tcb, ep, info, badge)
    } else {
        false
    }
}

/// Signals: stores the badge, or wakes a thread that takes the core.
#[inline(always)]
fn signal<M: Machine>(m: M, tcb: Ptr<Tcb>, ntfn: Ptr<Notification>, badge: u64) -> bool {
    let state = ntfn.state.get();
    let bound = ntfn.bound.get().filter(|bound| bound.state.get() == ThreadState::BlockedOnReceive);
    let waiter = match state {
        NotificationState::Waiting => ntfn.head.get(),
        NotificationState::Idle => bound,
        NotificationState::Active => None,
    };
    let Some(waiter) = waiter else {
        record(m, class::SIGNAL, event::SIGNAL, 0, ntfn.addr() as u32);
        let pending = if state == NotificationState::Active { ntfn.badge.get() } else { 0 };
        ntfn.state.set(NotificationState::Active);
        ntfn.badge.set(pending | badge);
        return true;
    };
    if !takes_core(m, tcb, waiter) {
        return false;
    }
    record(m, class::SIGNAL, event::SIGNAL, 0, ntfn.addr() as u32);
    match state {
        NotificationState::Waiting => waiting::take_waiter(ntfn, waiter),
        _ => waiting::cancel(m.node(), waiter),
    }
    waiter.regs.set(CAP, badge);
    record(m, class::SWITCH, event::SWITCH, 0, waiter.addr() as u32);
    give_core(m, tcb, waiter);
    true
}

/// Sends a message to a receiver that takes the core.
#[inline(always)]
fn deliver<M: Machine>(m: M, tcb: Ptr<Tcb>, ep: Ptr<Endpoint>, info: MessageInfo, badge: u64) -> bool {
    if ep.state() != EndpointState::Receive {
        return false;
    }
    let Some(receiver) = ep.queue().head else { return false };
    if !takes_core(m, tcb, receiver) {
        return false;
    }
    take_receiver(ep, receiver);
    copy(m, tcb, info, badge, receiver);
    if let Some(reply) = receiver.reply.take() {
        reply.tcb.set(None);
    }
    give_core(m, tcb, receiver);
    true
}

/// Whether `to`, once it is woken, runs at once on its own context instead of the running thread.
#[inline(always)]
fn takes_core<M: Machine>(m: M, from: Ptr<Tcb>, to: Ptr<Tcb>) -> bool {
    let n = m.node();
    let (Some(sc), Some(own)) = (charged_context(n, from), to.sc.get()) else { return false };
    to.priority.get() > from.priority.get()
        && n.highest_ready().is_none_or(|ready| to.priority.get() > ready)
        && changes_to(m, sc, to, own)
}

/// `to` runs, as its event says already; `from` is ready, before its equals.
#[inline(always)]
fn give_core<M: Machine>(m: M, from: Ptr<Tcb>, to: Ptr<Tcb>) {
    let n = m.node();
    to.state.set(ThreadState::Running);
    n.enqueue(from, true);
    sched::change(m, from, to);
    sched::switch_context(m);
}

/// Polls a notification that lends no scheduling context.
#[inline(always)]
pub fn poll(tcb: Ptr<Tcb>) -> bool {
    let Some(cap) = cspace::find(tcb, tcb.regs.get(CAP)) else { return false };
    let Some((ntfn, _, rights)) = cap.as_notification() else { return false };
    let foreign = |bound: Ptr<Tcb>| bound != tcb;
    let lends = ntfn.sc.get().is_some();
    if !rights.contains(CapRights::READ) || ntfn.bound.get().is_some_and(foreign) || lends {
        return false;
    }
    let active = ntfn.state.get() == NotificationState::Active;
    if active {
        ntfn.state.set(NotificationState::Idle);
    }
    tcb.regs.set(CAP, if active { ntfn.badge.get() } else { 0 });
    true
}

#[inline(always)]
fn reply_argument(tcb: Ptr<Tcb>) -> Option<Ptr<Reply>> {
    cspace::find(tcb, tcb.regs.get(REPLY))?.as_reply().map(|(reply, _)| reply)
}

/// The context that time is charged to, if it is the thread's own.
#[inline(always)]
fn charged_context(n: &Node, tcb: Ptr<Tcb>) -> Option<Ptr<SchedContext>> {
    tcb.sc.get().filter(|sc| n.current_sc.get() == Some(*sc))
}

/// Whether the core may change from the context `from`, which has budget left, to `own` of `to`, which waits for nothing: so its
/// refill is there.
#[inline(always)]
fn changes_to<M: Machine>(m: M, from: Ptr<SchedContext>, to: Ptr<Tcb>, own: Ptr<SchedContext>) -> bool {
    let n = m.node();
    sched::update_timestamp(m);
    !to.in_release_queue.get()
        && own.is_active()
        && !own.sporadic.get()
        && from.is_sufficient(n.consumed.get(), n.min_budget.get())
}

/// Whether no ready thread is more important than `tcb` will be, and no timer of its priority or above is due.
#[inline(always)]
fn runs_next(n: &Node, tcb: Ptr<Tcb>) -> bool {
    let priority = tcb.priority.get();
    n.highest_ready().is_none_or(|ready| priority > ready || (priority == ready && !n.accounts.is_due(ready)))
}

/// The first receiver leaves an endpoint's queue: nearly always it is the only one.
#[inline(always)]
fn take_receiver(ep: Ptr<Endpoint>, first: Ptr<Tcb>) {
    if first.ep_next.get().is_none() {
        ep.set_queue(Ends::default(), EndpointState::Idle);
    } else {
        ep.set_queue(ep.queue().without_head(first), EndpointState::Receive);
    }
}

/// The message goes over to a thread that runs next. Both events are recorded here.
#[inline(always)]
fn copy<M: Machine>(m: M, from: Ptr<Tcb>, info: MessageInfo, badge: u64, to: Ptr<Tcb>) {
    if m.node().trace.is_either_on(class::IPC, class::SWITCH) {
        record(m, class::IPC, event::IPC, 0, to.addr() as u32);
        record(m, class::SWITCH, event::SWITCH, 0, to.addr() as u32);
    }
    let length = info.length();
    let info = if length <= FAST_REGISTERS {
        message::copy_registers(from, to, length);
        info.without_caps()
    } else {
        let (source, dest) = (message::buffer(from, false), message::buffer(to, true));
        let copied = message::copy(from, source, to, dest, length);
        MessageInfo::new(info.label(), 0, 0, copied as u64)
    };
    to.regs.set(INFO, info.0);
    to.regs.set(CAP, badge);
}

/// `to`, which got a message, runs instead of `from`, on the same context.
#[inline(always)]
fn hand_over<M: Machine>(m: M, sc: Ptr<SchedContext>, from: Ptr<Tcb>, to: Ptr<Tcb>) {
    from.sc.set(None);
    sc.tcb.set(Some(to));
    to.sc.set(Some(sc));
    sched::change(m, from, to);
}
