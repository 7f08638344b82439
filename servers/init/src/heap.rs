//! How large init's heap is, and how full it was at most: what it keeps of servers, devices and memory grows with the manifest.
//!
//! 62 servers, as many as a system can have, with the drivers of the demonstration among them, take 109 KB; the demonstration takes 42. Frames and
//! slots are kept in rows (`rows`), so what a server has of memory counts little. Before the heap is full, init's 8,192 slots are given away:
//! whoever asks for more is refused by a sentence, and so is who finds the heap full. The test `many-servers` keeps a fifth of it free.
use core::sync::atomic::{AtomicUsize, Ordering};

/// Bytes of the heap.
pub const BYTES: usize = 147_456;

static MOST: AtomicUsize = AtomicUsize::new(0);

/// So many bytes are in use now.
pub fn note(used: usize) {
    MOST.fetch_max(used, Ordering::Relaxed);
}

/// The most that were in use.
pub fn most() -> usize {
    MOST.load(Ordering::Relaxed)
}
