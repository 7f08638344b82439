//! RP1, the I/O chip behind the BCM2712's PCIe port: where it is ([`mod@find`]), what is in it ([`mod@place`]), and its interrupts
//! ([`Fan`]).
//!
//! Nothing here knows the system: registers come through [`bcm2712_pac::Io`], so everything runs against models on the host.
#![no_std]
#[cfg(test)]
extern crate std;

mod fan;
mod find;
pub mod msix;
mod pins;
mod place;
#[cfg(test)]
mod tests;

pub use fan::{Fan, Sources};
pub use find::{Facts, Window, chip, find};
pub use pins::{header_lines, switch};
pub use place::{Place, Span, place};
