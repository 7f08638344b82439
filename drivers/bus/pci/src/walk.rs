//! The functions of a machine, from the root bus through bridges.

use crate::{Config, Identity, at};

/// Bridges that one function may be behind.
pub const MOST_DEPTH: usize = 4;

/// Where a function is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Place {
    /// The bus.
    pub bus: u8,
    /// The device on it.
    pub device: u8,
    /// The function of the device.
    pub function: u8,
}

impl Place {
    /// Offset of its page of configuration space.
    pub fn page(self) -> u64 {
        u64::from(self.bus) << 20 | u64::from(self.device) << 15 | u64::from(self.function) << 12
    }
}

impl core::fmt::Display for Place {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:02x}:{:02x}.{}", self.bus, self.device, self.function)
    }
}

/// A function.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Found {
    /// Where it is.
    pub place: Place,
    /// Who it is.
    pub identity: Identity,
    /// The bridges before it, from the root.
    pub bridges: [Option<Place>; MOST_DEPTH],
}

/// Looks at every function that can be reached, in the order of places on each bus, a bridge's bus after it. `open` gives a function's
/// configuration space; `seen` gets that of a function that is there, and what it is. Buses are those that firmware numbered; each is looked at once, however bridges are
/// programmed.
pub fn walk<C: Config>(open: &mut impl FnMut(Place) -> Option<C>, seen: &mut impl FnMut(&C, Found)) {
    bus(0, [None; MOST_DEPTH], &mut [false; 256], open, seen);
}

fn bus<C: Config>(
    number: u8,
    bridges: [Option<Place>; MOST_DEPTH],
    buses: &mut [bool; 256],
    open: &mut impl FnMut(Place) -> Option<C>,
    seen: &mut impl FnMut(&C, Found),
) {
    const BRIDGE: u8 = 1;
    if core::mem::replace(&mut buses[usize::from(number)], true) {
        return;
    }
    for device in 0..32 {
        let mut functions = 1;
        let mut function = 0;
        while function < functions {
            let place = Place { bus: number, device, function };
            function += 1;
            let Some(config) = open(place) else { continue };
            let Some(identity) = Identity::of(&config) else { continue };
            if place.function == 0 && identity.several {
                functions = 8;
            }
            seen(&config, Found { place, identity, bridges });
            if identity.layout != BRIDGE {
                continue;
            }
            let mut before = bridges;
            if let Some(free) = before.iter_mut().find(|bridge| bridge.is_none()) {
                *free = Some(place);
                let secondary = (config.read(at::BUSES) >> 8) as u8;
                bus(secondary, before, buses, open, seen);
            }
        }
    }
}
