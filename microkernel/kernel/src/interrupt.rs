//! Interrupts: the CPU timer is the kernel's, the others become signals.
use crate::arch;
use crate::node::node;
use crate::notify;
use crate::print::println;
use crate::trace;
use sel4_sys::CapRights;
use sel4_sys::ext::event;

/// Handles one acknowledged interrupt.
pub fn handle(irq: u32) {
    trace::record(trace::class::IRQ, event::IRQ_ENTRY, irq as u16, 0);
    if irq == arch::timer::irq() {
        timer_tick();
    } else if let Some(slot) = node().irq_slot(irq).filter(|_| node().irq_active(irq).get()) {
        // The line stays masked until its handler has served the device and acknowledged.
        arch::irq::mask(irq);
        if let Some((ntfn, badge, rights)) = slot.packed().as_notification()
            && rights.contains(CapRights::WRITE)
        {
            notify::signal(ntfn, badge);
        }
    } else {
        arch::irq::mask(irq);
        println!("axiom: interrupt {irq} has no handler; it is masked");
    }
    trace::record(trace::class::IRQ, event::IRQ_EXIT, irq as u16, 0);
}

/// The CPU timer fired: for a budget, a refill or a Timer object. Whatever is due is done; then the next deadline is set.
fn timer_tick() {
    let n = node();
    // The line is level-triggered: it falls only when the deadline that raised it is gone.
    arch::timer::disarm();
    n.reprogram.set(true);
    // Bounded by the timers that are due: an expired periodic timer's next deadline lies in the future.
    while let Some(timer) = n.timers.expire_one(n.now.get()) {
        trace::record(trace::class::TIMER, event::TIMER, 0, timer.addr() as u32);
        if let Some((ntfn, badge, rights)) = timer.slot().packed().as_notification()
            && rights.contains(CapRights::WRITE)
        {
            notify::signal(ntfn, badge);
        }
    }
}
