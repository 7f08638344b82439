//! aarch64.
pub mod irq;
pub mod ports;
pub mod vspace;
