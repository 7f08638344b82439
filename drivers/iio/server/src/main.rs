//! The IIO server: samples sensors on a bus, runs the programs attached to their channels, keeps what they accept.
//!
//! A trigger (one of the kernel's timers per device, or the chip's own interrupt) leads to one bus transfer for all channels of a chip; each channel's
//! sample becomes an event, its programs run in this server's own address space, and their verdict decides.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(any(target_os = "none", test))]
mod bus;
#[cfg(any(target_os = "none", test))]
mod device;
#[cfg(any(target_os = "none", test))]
mod line;
#[cfg(any(target_os = "none", test))]
mod rings;
#[cfg(any(target_os = "none", test))]
mod sensors;
#[cfg(any(target_os = "none", test))]
mod server;
#[cfg(any(target_os = "none", test))]
mod sink;
#[cfg(test)]
mod tests;

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("the IIO server runs on Axiom");
}
