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
        stray(m, irq);
    }
    record(m, class::IRQ, event::IRQ_EXIT, irq as u16, 0);
}

/// Nobody handles an interrupt. Its line is masked; but a device's message has none, and the device may send as many as it likes, so that only
/// the first is told: the console is slower than any device.
#[cold]
fn stray<M: Machine>(m: M, irq: u32) {
    m.mask(irq);
    let before = m.node().strays.get();
    m.node().strays.set(before.saturating_add(1));
    if before == 0 {
        m.print(format_args!(
            "axiom: interrupt {irq} has no handler; its line, if it has one, is masked; told once"
        ));
    }
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

#[cfg(test)]
mod tests {
    use crate::fake::{FakeWorld, Hardware};
    use crate::machine::Machine;
    use std::vec::Vec;
    extern crate std;

    #[test]
    fn however_many_interrupts_nobody_handles_one_is_told() {
        let world = FakeWorld::with_memory(19);
        let cnode = world.cnode(4);
        assert!(world.run(world.thread(10, cnode)));
        world.take_log();
        for irq in [40, 41, 42, 43] {
            world.raise(irq);
            world.interrupt();
        }
        let log = world.take_log();
        let told: Vec<_> = log.iter().filter(|h| matches!(h, Hardware::Printed(_))).collect();
        assert_eq!(told.len(), 1, "{told:?}");
        for irq in [40, 41, 42, 43] {
            assert!(log.contains(&Hardware::Mask(irq)), "{irq}");
        }
        assert_eq!((&world).node().strays.get(), 4);
    }
}
