//! Making a function forget what it was told, by configuration space: PCI Express's function-level reset, the same of conventional PCI
//! (Advanced Features), and the change of power states that resets.
//!
//! A function that was stopped by its bus master bit alone goes on where it was when the bit is set again: in memory that has become
//! somebody else's. So it is reset while the bit is clear. A reset takes BARs, commands and messages from it; [`restore`] gives back the first.

use crate::{BARS, Bar, Config, ConfigMut, assign, capabilities, field};

const POWER: u8 = 0x01;
const EXPRESS: u8 = 0x10;
const ADVANCED_FEATURES: u8 = 0x13;

/// Of PCI Express, the capability's words: what the function can, and its control with its status above.
const DEVICE_CAPABILITIES: u16 = 4;
const DEVICE_CONTROL: u16 = 8;
const CAN_RESET: u32 = 1 << 28;
const INITIATE: u32 = 1 << 15;
const PENDING: u32 = 1 << (16 + 5);
/// Of Advanced Features: in the first word, and in the second.
const AF_CAN_RESET: u32 = 1 << (24 + 1);
const AF_CONTROL: u16 = 4;
const AF_INITIATE: u32 = 1;
const AF_PENDING: u32 = 1 << 8;
/// Of power management, the control word: the state, that a change of it resets nothing, and what ones clear.
const STATE: u32 = 3;
const NO_SOFT_RESET: u32 = 1 << 3;
const PME_STATUS: u32 = 1 << 15;
const POWER_CONTROL: u16 = 4;

/// A way to reset a function, with its capability's place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reset {
    /// PCI Express, 6.6.2.
    Express(u16),
    /// Advanced Features for conventional PCI.
    Features(u16),
    /// PCI Power Management 1.2, 5.4: from D3hot to D0.
    Power(u16),
}

impl Reset {
    /// The best way that the function says it has.
    pub fn of(config: &impl Config) -> Option<Reset> {
        let place = |number: u8| capabilities(config).find(|c| c.0 == number).map(|c| c.1);
        let express = place(EXPRESS).filter(|at| field(config, *at, DEVICE_CAPABILITIES) & CAN_RESET != 0);
        let features = || place(ADVANCED_FEATURES).filter(|at| field(config, *at, 0) & AF_CAN_RESET != 0);
        let power = || place(POWER).filter(|at| field(config, *at, POWER_CONTROL) & NO_SOFT_RESET == 0);
        // A capability whose words would lie beyond the first 256 bytes has none to write.
        let whole = |at: &u16| at + DEVICE_CONTROL < 0x100;
        let express = express.filter(whole).map(Reset::Express);
        let features = || features().filter(whole).map(Reset::Features);
        express.or_else(features).or_else(|| power().filter(whole).map(Reset::Power))
    }

    /// Whether it resets nothing but the function itself, and all of it.
    pub fn is_function_level(self) -> bool {
        !matches!(self, Reset::Power(_))
    }

    /// Whether accesses of the function are still under way: a reset waits for them, but not for ever.
    pub fn is_pending(self, config: &impl Config) -> bool {
        match self {
            Reset::Express(at) => field(config, at, DEVICE_CONTROL) & PENDING != 0,
            Reset::Features(at) => field(config, at, AF_CONTROL) & AF_PENDING != 0,
            Reset::Power(_) => false,
        }
    }

    /// Whether a function that was reset shows that it is: no access is under way, and it is on.
    pub fn is_over(self, config: &impl Config) -> bool {
        match self {
            Reset::Power(at) => field(config, at, POWER_CONTROL) & STATE == 0,
            Reset::Express(_) | Reset::Features(_) => !self.is_pending(config),
        }
    }

    /// Begins: microseconds for which nobody may look at the function.
    pub fn begin(self, config: &mut impl ConfigMut) -> u64 {
        match self {
            Reset::Express(at) => {
                let control = config.read(at + DEVICE_CONTROL) & 0xffff;
                config.write(at + DEVICE_CONTROL, control | INITIATE);
                100_000
            }
            Reset::Features(at) => {
                config.write(at + AF_CONTROL, AF_INITIATE);
                100_000
            }
            Reset::Power(at) => {
                let control = config.read(at + POWER_CONTROL) & !(STATE | PME_STATUS);
                config.write(at + POWER_CONTROL, control | STATE);
                10_000
            }
        }
    }

    /// Ends: microseconds as above.
    pub fn end(self, config: &mut impl ConfigMut) -> u64 {
        match self {
            Reset::Power(at) => {
                let control = config.read(at + POWER_CONTROL) & !(STATE | PME_STATUS);
                config.write(at + POWER_CONTROL, control);
                10_000
            }
            Reset::Express(_) | Reset::Features(_) => 0,
        }
    }
}

/// Gives a function's BARs their addresses back. It is off, as it is after a reset.
pub fn restore(config: &mut impl ConfigMut, bars: &[Option<Bar>; BARS]) {
    for mut bar in bars.iter().flatten().copied() {
        let base = bar.base;
        assign(config, &mut bar, base);
    }
}

/// Whether a function's BARs have these addresses.
pub fn holds(config: &impl Config, bars: &[Option<Bar>; BARS]) -> bool {
    bars.iter().flatten().all(|bar| bar.held(config) == bar.base)
}
