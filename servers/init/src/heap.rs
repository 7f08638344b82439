//! How large init's heap is, and how full it was at most: what it keeps of servers, devices and memory grows with the manifest.
//!
//! The largest manifests of this tree are in `platform/*/tests`; `docs/src/ways.md` has what they take.
use core::sync::atomic::{AtomicUsize, Ordering};

/// Bytes of the heap.
pub const BYTES: usize = 131_072;

static MOST: AtomicUsize = AtomicUsize::new(0);

/// So many bytes are in use now.
pub fn note(used: usize) {
    MOST.fetch_max(used, Ordering::Relaxed);
}

/// The most that were in use.
pub fn most() -> usize {
    MOST.load(Ordering::Relaxed)
}
