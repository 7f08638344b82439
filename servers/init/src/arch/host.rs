//! The counter on the developer's machine, where time passes when a test says so.
use std::sync::atomic::{AtomicU64, Ordering};

static NOW: AtomicU64 = AtomicU64::new(0);

/// Sets the counter.
pub fn set_ticks(now: u64) {
    NOW.store(now, Ordering::SeqCst);
}

/// The counter.
pub fn ticks() -> u64 {
    NOW.load(Ordering::SeqCst)
}
