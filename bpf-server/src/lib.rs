//! bpf-server: takes objects, verifies and compiles their programs, and places them in the servers whose events they
//! handle, by capabilities.
//!
//! The loader ([`Loader`]) is generic over the system ([`Platform`]), so that its tests run on any machine; the binary adds
//! capabilities and messages. The order of a load: copy the object, read it, set globals, verify, compile into a buffer,
//! make frames, fill and hand over the maps, fill the code's frames through a mapping that is then removed for good, hand
//! them over read-only, attach. Whatever fails on the way undoes what was done; an unload is one revocation.
//!
//! A program belongs to the client that loaded it; nobody else reads its maps, takes its place or ends it. One that the manifest pins
//! is loaded here, belongs to whom the manifest names, and stays when that server is gone; others go with theirs.
//!
//! Memory that cannot be had is an answer, not the server's end: before a request is served there must be enough for its small
//! parts (`room::FLOOR` bytes), and everything whose size a client chooses is either asked for with `try_reserve` or checked
//! against what is left first.
#![cfg_attr(not(test), no_std)]
extern crate alloc;

mod answers;
pub mod buddy;
mod failure;
mod load;
mod loader;
mod place;
mod placing;
mod platform;
mod rights;
mod room;
mod share;
mod state;
#[cfg(test)]
mod tests;
mod uploads;

pub use axiom_bpf_jit::{Board, board};
pub use platform::{Access, HostId, Platform, Stage, Token};
pub use rights::{Client, Rights};
pub use share::{PER_POINT, PROGRAMS_PER_CLIENT, RATES_PER_CLIENT};
pub use state::{Loader, Outcome};
