//! What holds the servers together, written once: compose checks it, init builds by it, servers run by it.
//!
//! - [`Badge`]: who speaks on init's endpoint and notification, with one conversion each way;
//! - [`bits`]: the bits of a server's notification, handed out by classes that cannot meet;
//! - [`address`]: every server's address space, and init's;
//! - [`Rows`] and `Runs`: numbers (slots) that are taken in rows and given back; `Runs` has no bound, for init, which has thousands;
//! - [`restarts`]: whether and when a dead server lives again;
//! - [`manifest`]: the keys of a manifest; [`form`]: what the words of a setting are.
//!
//! Nothing here knows the system.
#![no_std]
#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod address;
mod badge;
pub mod bits;
pub mod form;
pub mod manifest;
pub mod note;
pub mod restarts;
mod rows;
#[cfg(feature = "alloc")]
mod runs;

pub use badge::{Badge, ClientBadge, MAX_SERVERS, Woken};
pub use bits::{Bit, Bits, Class, Signals};
pub use note::Note;
pub use rows::Rows;
#[cfg(feature = "alloc")]
pub use runs::Runs;

/// Bits of a server's CNode.
pub const CNODE_BITS: u32 = 10;
/// Slots of a server that it has for itself: all of its CNode's at most.
pub type ServerSlots = Rows<{ (1 << CNODE_BITS) / 64 }>;
/// Most addresses that a server maps frames at itself (`scratch_kib`), KiB.
pub const MAX_SCRATCH_KIB: u64 = 8192;
/// Pages of them.
pub type ServerPages = Rows<{ MAX_SCRATCH_KIB as usize / 4 / 64 }>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_slots_and_pages_are_as_many_as_it_can_have() {
        assert_eq!(ServerSlots::BOUND, 1 << CNODE_BITS);
        assert_eq!(ServerPages::BOUND * 4, MAX_SCRATCH_KIB);
    }
}
