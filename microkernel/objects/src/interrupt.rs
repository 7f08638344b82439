//! Interrupts: the CPU timer is the kernel's, the others become signals.
use crate::machine::{Machine, record};
use crate::notify;
use crate::sched;
use crate::trace::class;
use sel4_sys::CapRights;
use sel4_sys::ext::event;

/// Handles the interrupts that wait: each line at most once, because it is masked until its handler acknowledges it.
#[inline(always)]
pub fn handle_pending<M: Machine>(m: M) {
    while let Some(irq) = m.acknowledge() {
        handle(m, irq);
        m.complete(irq);
    }
}

/// Handles one acknowledged interrupt.
#[inline(always)]
fn handle<M: Machine>(m: M, irq: u32) {
    let n = m.node();
    record(m, class::IRQ, event::IRQ_ENTRY, irq as u16, 0);
    if irq == n.timer_irq.get() {
        timer_tick(m);
    } else if let Some(slot) = m.shared().irq_slot(irq).filter(|_| m.shared().irq_active(irq).get()) {
        // The line stays masked until its handler has served the device and acknowledged.
        m.hold(irq);
        if let Some((ntfn, badge, rights)) = slot.packed().as_notification()
            && rights.contains(CapRights::WRITE)
        {
            notify::signal(m, ntfn, badge);
        }
    } else {
        m.mask(irq);
        m.print(format_args!("axiom: interrupt {irq} has no handler; it is masked"));
    }
    record(m, class::IRQ, event::IRQ_EXIT, irq as u16, 0);
}

/// The CPU timer fired: for a budget, a refill or a Timer object. What is due is noted, and done on the way out, by priority; then the
/// next deadline is set.
fn timer_tick<M: Machine>(m: M) {
    let n = m.node();
    // The line is level-triggered: it falls only when the deadline that raised it is gone.
    sched::disarm(m);
    n.reprogram.set(true);
    sched::mark_due(n);
}
