//! aarch64.
#[cfg(test)]
mod abi_tests;
pub mod irq_control;
#[cfg(test)]
mod memory_tests;
pub mod ports;
pub mod vspace;
