//! The conformance kit for sensor drivers: runs any [`axiom_iio::Sensor`] against a bus and a model of its chip through what real
//! ones do: no acknowledge at each place in turn, a stuck bus, another chip, settings and samples that somebody else left, nothing
//! measured, a value out of range, a damaged answer, a dip of power, rates, extreme values, unplugging.
//!
//! A driver's author describes the chip (for most: [`Tables`] of registers) and calls [`run`]; every row must pass or say why it
//! does not apply. `tests/chips.rs` has the chips of this tree.
//!
//! The rule of all rows: never a plausible number that nobody measured.

mod bus;
mod checks;
mod registers;

pub use bus::{Bus, Condition, Model, Nack};
pub use checks::{CHECKS, Expected, Outcome, Row, Subject, run};
pub use registers::{Contents, Registers, Tables};
