//! Interrupt handlers by the controller's numbers, with or without a trigger.
use crate::arch::interrupts::Route;
use crate::invoke::args::{Args, Stop, target_slot};
use crate::machine::Machine;
use crate::object::Slot;
use crate::ptr::Ptr;
use sel4_sys::label;

/// The handler that is asked for.
pub struct Wanted {
    /// The interrupt.
    pub irq: u32,
    /// Where its capability goes.
    pub slot: Ptr<Slot>,
    trigger: Option<bool>,
}

/// What an invocation of IRQControl asks for.
#[inline(always)]
pub fn decode<M: Machine>(m: M, args: &Args) -> Result<Wanted, Stop> {
    let (trigger, first) = match args.label {
        label::IRQ_ISSUE_HANDLER => (None, 1),
        label::IRQ_ISSUE_HANDLER_TRIGGER => (Some(args.word(1) != 0), 2),
        _ => return Err(Stop::IllegalOperation),
    };
    args.need(first + 2, 1)?;
    let irq = args.word(0);
    let max = u64::from(m.max_irq());
    if irq > max {
        return Err(Stop::Range { min: 0, max });
    }
    let irq = irq as u32;
    if m.shared().irq_active(irq).get() || irq == m.node().timer_irq.get() {
        return Err(Stop::RevokeFirst);
    }
    let slot = target_slot(args.cap_slot(0)?.packed(), args.word(first), args.word(first + 1), false)?;
    Ok(Wanted { irq, slot, trigger })
}

/// Wires it.
#[inline(always)]
pub fn wire<M: Machine>(m: M, wanted: &Wanted) -> Result<(), Stop> {
    if let Some(edge) = wanted.trigger {
        m.route(wanted.irq, Route { edge });
    }
    Ok(())
}
