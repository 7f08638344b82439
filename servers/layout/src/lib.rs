//! What holds the servers together, written once: compose checks it, init builds by it, servers run by it.
//!
//! [`Badge`] says who speaks on init's endpoint and notification, with one conversion each way; [`bits`] divides a bound
//! notification's bits into classes that cannot meet; [`address`] is every server's address space, and init's; [`Runs`] keeps numbers
//! (slots) that are taken and given back in rows; [`restarts`] decides whether and when a dead server lives again;
//! [`settings`] has the keys that servers know. Nothing here knows the system.
#![no_std]
extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod address;
mod badge;
pub mod bits;
pub mod restarts;
mod runs;
pub mod settings;

pub use badge::{Badge, MAX_SERVERS};
pub use runs::Runs;
