//! How an interrupt is wired: a vector of the local APIC is what has a number here; a pin of an I/O APIC, or a device's message, raises it.
//!
//! Numbers begin with the processor's vector 0x20; handlers are handed out from 0x30 on, as seL4 counts them.
use core::cell::Cell;
use sel4_sys::arch::object::USER_VECTORS;

/// The first vector that is no exception of the processor's: interrupt 0.
pub const FIRST_VECTOR: u32 = 0x20;
/// The interrupt of the first vector that a handler can have: those before were the old interrupt controller's.
pub const FIRST_USER: u32 = 0x10;
/// Most I/O APICs.
pub const IOAPICS: usize = 8;

/// What raises a vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// A pin of an I/O APIC.
    Pin {
        /// Which I/O APIC.
        ioapic: u8,
        /// Which pin.
        pin: u8,
        /// Level; otherwise edge.
        level: bool,
        /// Active low.
        low: bool,
    },
    /// A message that a device writes.
    Message,
}

/// What the rules know of the I/O APICs, and which pin each vector has.
pub struct Wiring {
    /// Pins of each I/O APIC; 0 for one that is not there.
    pub pins: [Cell<u32>; IOAPICS],
    /// Whether the processor has pages of 1 GiB.
    pub huge_pages: Cell<bool>,
    routes: [Cell<Option<Route>>; USER_VECTORS as usize],
}

impl Wiring {
    /// No I/O APIC, no vector in use.
    pub const fn new() -> Wiring {
        Wiring {
            pins: [const { Cell::new(0) }; IOAPICS],
            huge_pages: Cell::new(false),
            routes: [const { Cell::new(None) }; USER_VECTORS as usize],
        }
    }

    /// I/O APICs that are there.
    pub fn ioapics(&self) -> u64 {
        self.pins.iter().take_while(|pins| pins.get() > 0).count() as u64
    }

    /// What raises an interrupt, if it ever had a handler.
    pub fn route(&self, irq: u32) -> Option<Route> {
        self.routes.get(irq.checked_sub(FIRST_USER)? as usize)?.get()
    }

    /// Notes what raises an interrupt.
    pub fn set_route(&self, irq: u32, route: Route) {
        if let Some(place) = irq.checked_sub(FIRST_USER).and_then(|index| self.routes.get(index as usize)) {
            place.set(Some(route));
        }
    }

    /// The interrupts that a pin was given to.
    pub fn of_pin(&self, wanted: (u8, u8)) -> impl Iterator<Item = u32> + '_ {
        let is_it = move |route: &Cell<Option<Route>>| matches!(route.get(), Some(Route::Pin { ioapic, pin, .. }) if (ioapic, pin) == wanted);
        (FIRST_USER..).zip(&self.routes).filter(move |(_, route)| is_it(route)).map(|(irq, _)| irq)
    }
}

impl Default for Wiring {
    #[inline]
    fn default() -> Self {
        Self::new()
    }
}
