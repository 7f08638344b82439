//! The IIO server: samples sensors on a bus, runs the programs attached to their channels, keeps what they accept.
//!
//! A trigger (one of the kernel's timers per device, or the chip's own interrupt) leads to one bus transfer for all channels of a chip; each channel's
//! sample becomes an event, its programs run in this server's own address space, and their verdict decides.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod bus;
#[cfg(target_os = "none")]
mod device;
#[cfg(target_os = "none")]
mod line;
#[cfg(target_os = "none")]
mod rings;
#[cfg(target_os = "none")]
mod sensors;
#[cfg(target_os = "none")]
mod server;

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("the IIO server runs on Axiom");
}
