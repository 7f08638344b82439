//! Interrupts as the kernel numbers them: vectors from 0x20 on.
//!
//! The processor takes an interrupt by itself, when interrupts are on: in user space, or where the kernel waits. Its vector is noted
//! ([`TAKEN`]), and the kernel takes it from there.
use super::controller::{Io, Local, SPURIOUS_VECTOR, TIMER_VECTOR};
use axiom_objects::arch::interrupts::{FIRST_USER, FIRST_VECTOR, IOAPICS, Route};
use core::cell::Cell;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use sel4_sys::arch::object::USER_VECTORS;

/// The interrupt of the CPU timer.
pub const TIMER: u32 = TIMER_VECTOR - FIRST_VECTOR;
const LINES: usize = USER_VECTORS as usize;

struct State {
    local: Cell<Option<Local>>,
    io: [Cell<Option<Io>>; IOAPICS],
    routes: [Cell<Option<Route>>; LINES],
}
// SAFETY: one core runs in the kernel at a time, and interrupts do not come there.
unsafe impl Sync for State {}
static STATE: State = State {
    local: Cell::new(None),
    io: [const { Cell::new(None) }; IOAPICS],
    routes: [const { Cell::new(None) }; LINES],
};

/// The vector of the interrupt that was taken last, until the kernel has asked for it; 0 for none.
pub static TAKEN: AtomicU64 = AtomicU64::new(0);

/// Uses this local APIC.
pub fn init(local: Local) {
    STATE.local.set(Some(local));
}

/// Uses this I/O APIC as the one of that number.
pub fn add(number: usize, io: Io) {
    if let Some(place) = STATE.io.get(number) {
        place.set(Some(io));
    }
}

/// The local APIC, once it is known.
#[inline(always)]
pub fn local() -> Option<Local> {
    STATE.local.get()
}

/// Highest interrupt number that can be handed out.
pub fn max() -> u32 {
    FIRST_USER + LINES as u32 - 1
}

/// What the controllers say of themselves: versions of the first I/O APIC and of the local APIC.
pub fn identity() -> (u32, u32) {
    (STATE.io[0].get().map_or(0, Io::version), local().map_or(0, Local::version))
}

/// The interrupt that was taken.
#[inline(always)]
pub fn acknowledge() -> Option<u32> {
    let vector = TAKEN.load(Relaxed) as u32;
    TAKEN.store(0, Relaxed);
    (FIRST_VECTOR..SPURIOUS_VECTOR).contains(&vector).then(|| vector - FIRST_VECTOR)
}

/// The kernel has dealt with an acknowledged interrupt.
#[inline(always)]
pub fn complete(_: u32) {
    if let Some(local) = local() {
        local.end();
    }
}

/// The I/O APIC and pin of an interrupt, and whether it is level-triggered; none for a device's message.
fn pin(irq: u32) -> Option<(Io, u32, bool)> {
    let route = STATE.routes.get(irq.checked_sub(FIRST_USER)? as usize)?.get()?;
    match route {
        Route::Pin { ioapic, pin, level, .. } => {
            Some((STATE.io.get(ioapic as usize)?.get()?, pin.into(), level))
        }
        Route::Message => None,
    }
}

/// Keeps a pin from interrupting. A device that sends messages is stopped at the device.
pub fn mask(irq: u32) {
    if let Some((io, pin, _)) = pin(irq) {
        io.set_masked(pin, true);
    }
}

/// Lets a pin interrupt.
pub fn unmask(irq: u32) {
    if let Some((io, pin, _)) = pin(irq) {
        io.set_masked(pin, false);
    }
}

/// [`mask`], until the handler of an interrupt that came acknowledges it; but not a pin whose next edge would be lost.
pub fn hold(irq: u32) {
    if let Some((io, pin, true)) = pin(irq) {
        io.set_masked(pin, true);
    }
}

/// Wires an interrupt, masked.
pub fn route(irq: u32, route: Route) {
    let Some(place) = irq.checked_sub(FIRST_USER).and_then(|i| STATE.routes.get(i as usize)) else { return };
    place.set(Some(route));
    if let (Some((io, pin, level)), Route::Pin { low, .. }) = (pin(irq), route) {
        io.wire(pin, irq + FIRST_VECTOR, local().map_or(0, Local::id), level, low);
    }
}

/// Whether an interrupt waits to be taken: asked at preemption points.
#[inline(always)]
pub fn is_pending() -> bool {
    crate::stretch::split();
    local().is_some_and(Local::is_requested)
}
