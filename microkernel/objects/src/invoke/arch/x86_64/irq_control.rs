//! Interrupt handlers by vector: for a pin of an I/O APIC, or for a device's messages.
use crate::arch::interrupts::{FIRST_USER, Route};
use crate::invoke::args::{Args, Stop, target_slot};
use crate::machine::Machine;
use crate::object::Slot;
use crate::ptr::Ptr;
use sel4_sys::arch::object::USER_VECTORS;
use sel4_sys::label;

/// The handler that is asked for.
pub struct Wanted {
    /// The interrupt.
    pub irq: u32,
    /// Where its capability goes.
    pub slot: Ptr<Slot>,
    label: u64,
    /// I/O APIC, pin, level, polarity; or bus, device, function, handle.
    words: [u64; 4],
}

/// What an invocation of IRQControl asks for, as far as both kinds have it.
pub fn decode<M: Machine>(m: M, args: &Args) -> Result<Wanted, Stop> {
    let label = args.label;
    if !matches!(label, label::IRQ_ISSUE_HANDLER_IOAPIC | label::IRQ_ISSUE_HANDLER_MSI) {
        return Err(Stop::IllegalOperation);
    }
    args.need(7, 1)?;
    let vector = args.word(6);
    up_to(vector, USER_VECTORS - 1)?;
    let irq = FIRST_USER + vector as u32;
    if m.shared().irq_active(irq).get() {
        return Err(Stop::RevokeFirst);
    }
    let slot = target_slot(args.cap_slot(0)?.packed(), args.word(0), args.word(1), false)?;
    Ok(Wanted { irq, slot, label, words: core::array::from_fn(|i| args.word(2 + i)) })
}

fn up_to(value: u64, max: u64) -> Result<(), Stop> {
    if value > max { Err(Stop::Range { min: 0, max }) } else { Ok(()) }
}

/// Wires it. A pin that another handler has is refused: there is one entry for it, and the other handler would hear nothing more.
pub fn wire<M: Machine>(m: M, wanted: &Wanted) -> Result<(), Stop> {
    let wiring = &m.shared().wiring;
    let route = if wanted.label == label::IRQ_ISSUE_HANDLER_MSI {
        let [bus, device, function, _] = wanted.words;
        up_to(bus, 255)?;
        up_to(device, 31)?;
        up_to(function, 7)?;
        Route::Message
    } else {
        let [ioapic, pin, level, polarity] = wanted.words;
        let there = wiring.ioapics();
        if there == 0 {
            return Err(Stop::IllegalOperation);
        }
        up_to(ioapic, there - 1)?;
        up_to(pin, u64::from(wiring.pins[ioapic as usize].get()) - 1)?;
        up_to(level, 1)?;
        up_to(polarity, 1)?;
        let place = (ioapic as u8, pin as u8);
        if wiring.of_pin(place).any(|irq| m.shared().irq_active(irq).get()) {
            return Err(Stop::RevokeFirst);
        }
        Route::Pin { ioapic: place.0, pin: place.1, level: level != 0, low: polarity != 0 }
    };
    wiring.set_route(wanted.irq, route);
    m.route(wanted.irq, route);
    Ok(())
}
