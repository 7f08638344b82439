//! Deleting and revoking capabilities, and taking objects apart when their last capability goes.
//!
//! # Long deletions
//! An object that holds slots (a CNode, a TCB) can hold the last capability to another such object, to any depth. Deleting
//! must neither recurse nor lose its place when it is preempted. So the last capability to such an object becomes a
//! *zombie* that counts the slots left to empty. When a slot to empty holds the last capability to an inner object, the inner one
//! becomes a zombie too and *takes the place* of the outer one, which waits in the inner object's last slot (what was there moves
//! to the slot that the inner one left: pointer reversal). When the inner one is empty, the outer one comes back. Every step moves a
//! constant number of capabilities and leaves a state from which the same invocation, made again, goes on.
use crate::cap::{Cap, ParentSlot};
use crate::fpu;
use crate::machine::Machine;
use crate::object::{Slot, TCB_SLOTS, Tcb, ThreadState};
use crate::preempt::{Preempted, preemption_point};
use crate::ptr::{PhysAddr, Ptr};
use crate::sched;
use crate::slot;
use crate::space;
use crate::thread;
use crate::waiting;

/// Empties a slot. What the capability designated is taken apart if it was the last one.
pub fn delete<M: Machine>(m: M, target: Ptr<Slot>) -> Result<(), Preempted> {
    let mut at = target;
    loop {
        if at.is_empty() {
            if at == target {
                return Ok(());
            }
            at = target;
            continue;
        }
        match at.cap() {
            Cap::Zombie { .. } => {
                if let Some(other) = reduce(m, at) {
                    at = other;
                }
            }
            cap => delete_plain(m, at, cap),
        }
        preemption_point(m)?;
    }
}

/// Deletes a capability that is no zombie: it goes, or becomes a zombie.
fn delete_plain<M: Machine>(m: M, at: Ptr<Slot>, cap: Cap) {
    let is_final = slot::is_final(at);
    finalise(m, &cap, is_final);
    match cap.slots_inside().filter(|_| is_final) {
        Some((base, count)) => {
            let bits = if matches!(cap, Cap::Tcb { .. }) { TCB_ZOMBIE_BITS } else { count.ilog2() + 5 };
            at.update(Cap::Zombie { base: base.phys(), bits, left: count, parent: None });
        }
        None => {
            slot::remove(at);
            if let Cap::IrqHandler { irq } = cap
                && is_final
            {
                m.mask(irq);
                m.shared().irq_active(irq).set(false);
            }
        }
    }
}

/// A zombie of this size stands for a TCB's slots; no CNode is that small.
const TCB_ZOMBIE_BITS: u32 = 5;

fn slot_count(bits: u32) -> u64 {
    if bits == TCB_ZOMBIE_BITS { TCB_SLOTS as u64 } else { 1 << (bits - 5) }
}

fn slot_at(base: PhysAddr, index: u64) -> Ptr<Slot> {
    // SAFETY: the zombie stands for an array of slots at `base` with more than `index` entries, and is the last
    // capability to it, so the memory is not anything else.
    unsafe { Ptr::new(base.kernel() + index as usize * size_of::<Slot>()) }
}

fn parent_index(bits: u32, parent: ParentSlot) -> u64 {
    slot_count(bits) - 1 - parent as u64
}

/// One step of emptying a zombie. Another slot is returned when that one has to be deleted first.
fn reduce<M: Machine>(m: M, at: Ptr<Slot>) -> Option<Ptr<Slot>> {
    let Cap::Zombie { base, bits, left, parent } = at.cap() else { return None };
    if left == 0 {
        let outer = parent.map(|p| slot_at(base, parent_index(bits, p)));
        slot::remove(at);
        if let Some(outer) = outer
            && matches!(outer.cap(), Cap::Zombie { .. })
        {
            slot::move_to(outer.cap(), outer, at);
        }
        return None;
    }
    let index = left - 1;
    let victim = slot_at(base, index);
    let waits_here = parent.is_some_and(|p| parent_index(bits, p) == index);
    if victim == at || waits_here || victim.is_empty() {
        at.update(Cap::Zombie { base, bits, left: index, parent });
        return None;
    }
    match victim.cap() {
        Cap::Zombie { parent: Some(_), .. } => Some(victim),
        Cap::Zombie { .. } => {
            descend(at, victim);
            None
        }
        cap => {
            delete_plain(m, victim, cap);
            None
        }
    }
}

/// The inner zombie in `victim` takes the outer one's place in `at`; the outer one waits inside the inner object.
fn descend(at: Ptr<Slot>, victim: Ptr<Slot>) {
    let Cap::Zombie { base, bits, left, .. } = victim.cap() else { return };
    let last = slot_count(bits) - 1;
    let parent = if slot_at(base, last) == at { ParentSlot::LastButOne } else { ParentSlot::Last };
    let waiting = slot_at(base, parent_index(bits, parent));
    slot::swap(at.cap(), at, victim.cap(), victim);
    if waiting.is_empty() {
        slot::move_to(victim.cap(), victim, waiting);
    } else {
        slot::swap(victim.cap(), victim, waiting.cap(), waiting);
    }
    at.update(Cap::Zombie { base, bits, left, parent: Some(parent) });
}

/// Deletes all capabilities that were derived from this one.
pub fn revoke<M: Machine>(m: M, target: Ptr<Slot>) -> Result<(), Preempted> {
    while let Some(child) = slot::first_child(target) {
        delete(m, child)?;
        preemption_point(m)?;
    }
    Ok(())
}

/// Takes an object out of everything that refers to it.
fn finalise<M: Machine>(m: M, cap: &Cap, is_final: bool) {
    let n = m.node();
    match *cap {
        // Mappings belong to the capability, not to the object.
        Cap::Frame { base, size, mapping: Some(mapping), .. } => space::unmap_frame(m, base, size, mapping),
        _ if !is_final => {}
        Cap::Endpoint { ep, .. } => waiting::cancel_endpoint(n, ep),
        Cap::Notification { ntfn, .. } => {
            if let Some(sc) = ntfn.sc.get() {
                sched::unbind_ntfn(sc);
            }
            waiting::unbind(ntfn);
            waiting::cancel_notification(n, ntfn);
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
            sched::unbind_ntfn(sc);
            if let Some(reply) = sc.reply.take() {
                reply.sc.set(None);
            }
            sc.refill_max.set(0);
            if n.current_sc.get() == Some(sc) {
                n.current_sc.set(None);
            }
        }
        Cap::PageTable { base, mapping: Some(mapping) } => space::unmap_table(m, base, mapping),
        Cap::VSpace { base, asid: Some(asid) } => space::delete_asid(m, asid, base),
        Cap::AsidPool { base, first_asid } => space::delete_pool(m, first_asid, base),
        Cap::IrqHandler { irq } => {
            if let Some(s) = m.shared().irq_slot(irq) {
                delete_simple(m, s);
            }
        }
        Cap::Timer { timer } => {
            n.timers.remove(timer);
            delete_simple(m, timer.slot());
        }
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

/// Empties a slot that holds a notification capability or nothing.
pub fn delete_simple<M: Machine>(m: M, at: Ptr<Slot>) {
    if !at.is_empty() {
        finalise(m, &at.cap(), slot::is_final(at));
        slot::remove(at);
    }
}
