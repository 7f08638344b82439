//! General-purpose lines and PWM channels.
//!
//! A chip driver implements [`Chip`] or [`PwmChip`] over registers and knows nothing of the system. [`Board`] owns all
//! chips of the machine and is the only way to them: rights and the emergency stop are checked there, whoever asks.
//! [`Watchers`] knows who wants which
//! edges; both have room for what `axiom-proto` says, and refuse more. [`Pin`] and [`Duty`] give one line or channel embedded-hal's traits, for drivers that take those.
#![no_std]
#[cfg(test)]
extern crate std;

mod board;
mod hal;
mod storm;
#[cfg(test)]
mod tests;
mod watchers;

pub use axiom_proto::gpio::{Channel, Edges, FULL_DUTY, Grants, Line, Refusal};
pub use board::{Board, EmergencyStop, Motor, SoftPwm, TooMany, Update};
pub use hal::{Duty, Pin};
pub use storm::Storm;
pub use watchers::{PER_CLIENT, Watchers};

/// Lines that changed since they were asked for last, a bit each.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Seen {
    /// Low to high.
    pub rising: u64,
    /// High to low.
    pub falling: u64,
}

/// A GPIO chip. Lines beyond [`Chip::lines`] are never asked for.
pub trait Chip {
    /// How many lines it has, at most 64.
    fn lines(&self) -> u8;
    /// Whether the chip drives the line.
    fn is_output(&self, line: u8) -> bool;
    /// The level at the pin.
    fn level(&self, line: u8) -> bool;
    /// Drives the line; an input becomes an output without passing through the other level where the chip can do that.
    fn drive(&mut self, line: u8, level: bool);
    /// Stops driving the line.
    fn release(&mut self, line: u8);
    /// From now on, edges of the line are interrupts and are seen; `None` ends that.
    fn watch(&mut self, line: u8, edges: Option<Edges>);
    /// The edges since the last call; they are cleared in the chip, and with them its interrupt.
    fn take_edges(&mut self) -> Seen;
}

/// A PWM chip. Channels beyond [`PwmChip::channels`] are never asked for.
pub trait PwmChip {
    /// How many channels it has, at most 16.
    fn channels(&self) -> u8;
    /// Sets the share of the period that the output is high, 0 to [`FULL_DUTY`].
    fn set_duty(&mut self, channel: u8, duty: u16);
}
