//! Scheduling contexts: what they are bound to, and their refills.
use super::rules::{Broken, Caps, holds, notification};
use crate::cap::Cap;
use crate::object::{SchedContext, Tcb};
use crate::ptr::Ptr;

pub fn check(caps: Caps) -> Result<(), Broken> {
    for cap in caps.objects() {
        match cap {
            Cap::SchedContext { sc, bits } => {
                bindings(caps, sc)?;
                refills(sc, bits)?;
            }
            Cap::Tcb { tcb } => thread(caps, tcb)?,
            _ => {}
        }
    }
    Ok(())
}

fn bindings(caps: Caps, sc: Ptr<SchedContext>) -> Result<(), Broken> {
    let at = sc.addr();
    if let Some(tcb) = sc.tcb.get() {
        holds(tcb.sc.get() == Some(sc), "a scheduling context and its thread name each other", at)?;
        caps.requires(Cap::Tcb { tcb }, "a context's thread is alive", at)?;
    }
    if let Some(reply) = sc.reply.get() {
        holds(reply.sc.get() == Some(sc), "a context and its newest call name each other", at)?;
        caps.requires(Cap::Reply { reply, can_grant: false }, "a context's newest call is alive", at)?;
    }
    if let Some(tcb) = sc.thread() {
        caps.requires(Cap::Tcb { tcb }, "the thread that a context is bound to is alive", at)?;
        holds(
            tcb.owned_sc.get() == Some(sc),
            "a context and the thread that it is bound to name each other",
            at,
        )?;
        holds(
            sc.served_at.get() == tcb.priority.get(),
            "a context's timers are served at the priority of the thread that it is bound to",
            at,
        )?;
    }
    if let Some(ntfn) = sc.ntfn() {
        holds(ntfn.sc.get() == Some(sc), "notification and the context that it lends name each other", at)?;
        caps.requires(notification(ntfn), "a context's notification is alive", at)?;
    }
    if let Some(tcb) = sc.yield_from.get() {
        holds(tcb.yield_to.get() == Some(sc), "who yielded and the context name each other", at)?;
        caps.requires(Cap::Tcb { tcb }, "who yielded to a context is alive", at)?;
    }
    Ok(())
}

fn thread(caps: Caps, tcb: Ptr<Tcb>) -> Result<(), Broken> {
    let at = tcb.addr();
    if let Some(sc) = tcb.sc.get() {
        holds(sc.tcb.get() == Some(tcb), "a thread and its scheduling context name each other", at)?;
        caps.requires(Cap::SchedContext { sc, bits: 0 }, "a thread's context is alive", at)?;
    }
    match tcb.owned_sc.get() {
        Some(sc) => {
            caps.requires(Cap::SchedContext { sc, bits: 0 }, "the context that a thread owns is alive", at)?;
            let mutual = sc.thread() == Some(tcb);
            holds(mutual, "a context and the thread that it is bound to name each other", at)?;
        }
        None => {
            let names = tcb.owned_ntfn.get().is_some();
            holds(!names, "a thread without a context of its own names no notification that lends it", at)?;
        }
    }
    if let Some(sc) = tcb.yield_to.get() {
        holds(sc.yield_from.get() == Some(tcb), "who yielded and the context name each other", at)?;
        caps.requires(Cap::SchedContext { sc, bits: 0 }, "a context that was yielded to is alive", at)?;
    }
    Ok(())
}

/// The refills lie in the object, one after the other in time, and sum up to no more than a period.
fn refills(sc: Ptr<SchedContext>, bits: u32) -> Result<(), Broken> {
    let at = sc.addr();
    if !sc.is_active() {
        return Ok(());
    }
    let (most, count) = (sc.refill_max.get(), sc.count.get());
    holds(most <= SchedContext::capacity(bits), "a context's refills fit into it", at)?;
    holds((1..=most).contains(&count) && sc.head.get() < most, "the refills in use are some of them", at)?;
    if sc.is_round_robin() {
        return holds(count == 2, "a context that takes turns has two refills", at);
    }
    holds(sc.total() <= sc.period.get(), "the refills sum up to no more than a period", at)?;
    for i in 1..count {
        let (before, refill) = (sc.refill_at(i - 1), sc.refill_at(i));
        let ordered = before.time.saturating_add(before.amount) <= refill.time;
        holds(ordered, "a refill begins when the one before could have been used", at)?;
    }
    Ok(())
}
