//! The server of RP1, the Raspberry Pi 5's I/O chip. It has the PCIe root complex and what lies behind it, finds the chip
//! without touching a dead link, hands out peripherals page by page to the clients that the manifest names for them, and
//! distributes the chip's interrupts.
//!
//! It drives no peripheral: drivers are its clients, each in its own protection domain with its own registers.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(any(target_os = "none", test))]
mod pages;
#[cfg(any(target_os = "none", test))]
mod server;
#[cfg(test)]
mod tests;

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("RP1's server runs on Axiom");
}
