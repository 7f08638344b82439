//! Interrupt control and handlers.
use super::arch;
use super::args::{Args, Invoked, Outcome, Stop, ensure_empty, signal_argument};
use crate::cap::Cap;
use crate::delete;
use crate::machine::Machine;
use crate::slot;
use sel4_sys::label;

/// Invokes IRQControl.
pub fn invoke_control<M: Machine>(m: M, args: &Args) -> Invoked {
    let wanted = arch::irq_control::decode(m, args)?;
    ensure_empty(wanted.slot)?;
    let irq = wanted.irq;
    arch::irq_control::wire(m, &wanted)?;
    m.shared().irq_active(irq).set(true);
    m.unmask(irq);
    slot::insert(Cap::IrqHandler { irq }, args.slot, wanted.slot);
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
