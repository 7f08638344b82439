//! Interrupt control and handlers.
use super::args::{Args, Invoked, Outcome, Stop, ensure_empty, signal_argument, target_slot};
use crate::cap::Cap;
use crate::delete;
use crate::machine::Machine;
use crate::slot;
use sel4_sys::label;

/// Invokes IRQControl.
pub fn invoke_control<M: Machine>(m: M, args: &Args) -> Invoked {
    let n = m.node();
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
    if m.shared().irq_active(irq).get() || irq == n.timer_irq.get() {
        return Err(Stop::RevokeFirst);
    }
    let dest = target_slot(args.cap_slot(0)?.packed(), args.word(first), args.word(first + 1), false)?;
    ensure_empty(dest)?;
    if let Some(edge) = trigger {
        m.set_trigger(irq, edge);
    }
    m.shared().irq_active(irq).set(true);
    m.unmask(irq);
    slot::insert(Cap::IrqHandler { irq }, args.slot, dest);
    Ok(Outcome::Done)
}

/// Invokes an interrupt handler capability.
pub fn invoke_handler<M: Machine>(m: M, args: &Args, irq: u32) -> Invoked {
    let Some(own) = m.shared().irq_slot(irq) else { return Err(Stop::IllegalOperation) };
    match args.label {
        label::IRQ_ACK => m.unmask(irq),
        label::IRQ_SET_HANDLER => {
            let (src, cap) = signal_argument(args, 0)?;
            delete::delete(m, own)?;
            slot::insert(cap, src, own);
        }
        label::IRQ_CLEAR_HANDLER => delete::delete(m, own)?,
        _ => return Err(Stop::IllegalOperation),
    }
    Ok(Outcome::Done)
}
