//! What compiled code, interpreter and hosting servers agree on: the helper table and the program's signature.
//!
//! A compiled program is `extern "C" fn(rt, ctx, len) -> u64`; `rt` points to a structure that begins with the helper
//! table. A helper is `extern "C" fn(rt, r1, r2, r3, r4, r5) -> u64`, so that a helper finds its server's state without
//! any global.

use crate::helper;

/// Entries of the helper table. The last one is what an unknown number reached through a register calls.
pub const HELPER_SLOTS: usize = 256;
/// First of Axiom's own helper numbers.
pub const OWN_FIRST: u32 = helper::OWN_FIRST;
/// Table slot of Axiom's first own helper; Linux's numbers below it are their own slots.
pub const OWN_FIRST_SLOT: usize = 224;

/// The table slot of a helper number.
pub const fn slot(id: u32) -> Option<usize> {
    if (id as usize) < OWN_FIRST_SLOT {
        Some(id as usize)
    } else if id >= OWN_FIRST && id - OWN_FIRST < (HELPER_SLOTS - 1 - OWN_FIRST_SLOT) as u32 {
        Some((id - OWN_FIRST) as usize + OWN_FIRST_SLOT)
    } else {
        None
    }
}
