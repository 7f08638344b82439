//! What happens to an object when its last capability goes: nothing refers to it any more. What it holds itself, slots or
//! waiting threads, remains for deletion to take out one by one.
use crate::cap::Cap;
use crate::fpu;
use crate::machine::Machine;
use crate::object::{Slot, Tcb, ThreadState};
use crate::ptr::Ptr;
use crate::sched;
use crate::space;
use crate::thread;
use crate::waiting;
use crate::zombie::Zombie;

/// Takes an object out of everything that refers to it, if this is its last capability, and undoes what belongs to the
/// capability itself. Constant time.
pub fn finalise<M: Machine>(m: M, cap: &Cap, is_final: bool) {
    let n = m.node();
    match *cap {
        // Mappings belong to the capability, not to the object.
        Cap::Frame { base, size, mapping: Some(mapping), .. } => space::unmap_frame(m, base, size, mapping),
        _ if !is_final => {}
        Cap::Notification { ntfn, .. } => {
            if let Some(sc) = ntfn.sc.get() {
                sched::unbind_ntfn(n, sc);
            }
            waiting::unbind(ntfn);
        }
        Cap::Reply { reply, .. } => {
            if let Some(tcb) = reply.tcb.get() {
                match tcb.state.get() {
                    ThreadState::BlockedOnReply => waiting::answer(n, reply, tcb),
                    _ => waiting::cancel(n, tcb),
                }
            }
        }
        Cap::Tcb { tcb } => finalise_tcb(m, tcb),
        Cap::SchedContext { sc, .. } => {
            if let Some(yielder) = sc.yield_from.get() {
                thread::complete_yield(n, yielder);
            }
            sched::unbind_tcb(n, sc);
            sched::unbind_ntfn(n, sc);
            if let Some(reply) = sc.reply.take() {
                reply.sc.set(None);
            }
            n.emptied(n.accounts.drop_account(sc));
            sc.refill_max.set(0);
            if n.current_sc.get() == Some(sc) {
                n.current_sc.set(None);
            }
        }
        Cap::PageTable { base, mapping: Some(mapping), .. } => space::unmap_table(m, base, mapping),
        Cap::VSpace { base, asid: Some(asid) } => space::delete_asid(m, asid, base),
        Cap::AsidPool { base, first_asid } => space::delete_pool(m, first_asid, base),
        Cap::IrqHandler { irq } => {
            m.mask(irq);
            m.shared().irq_active(irq).set(false);
        }
        Cap::Ports(ports) => m.shared().ports.give_back(ports),
        Cap::Timer { timer } => n.emptied(n.accounts.disarm(timer)),
        _ => {}
    }
}

fn finalise_tcb<M: Machine>(m: M, tcb: Ptr<Tcb>) {
    let n = m.node();
    if let Some(ntfn) = tcb.bound_ntfn.get() {
        waiting::unbind(ntfn);
    }
    if let Some(sc) = tcb.sc.get() {
        if let Some(yielder) = sc.yield_from.get() {
            thread::complete_yield(n, yielder);
        }
        sched::unbind_tcb(n, sc);
    }
    thread::suspend(n, tcb);
    fpu::discard(m, tcb);
}

/// What the last capability to an object becomes if it still holds slots or waiting threads.
pub fn remains(cap: &Cap) -> Option<Zombie> {
    match *cap {
        Cap::CNode { base, radix, .. } => Some(Zombie::of_cnode(base, radix)),
        Cap::Tcb { tcb } => Some(Zombie::of_tcb(tcb)),
        Cap::Endpoint { ep, .. } if ep.queue().head.is_some() => Some(Zombie::of_endpoint(ep)),
        Cap::Notification { ntfn, .. } if ntfn.head.get().is_some() => Some(Zombie::of_notification(ntfn)),
        _ => None,
    }
}

/// The slot with the notification that an interrupt handler or a timer signals.
pub fn signalled_slot<M: Machine>(m: M, cap: &Cap) -> Option<Ptr<Slot>> {
    match *cap {
        Cap::IrqHandler { irq } => m.shared().irq_slot(irq),
        Cap::Timer { timer } => Some(timer.slot()),
        _ => None,
    }
}
