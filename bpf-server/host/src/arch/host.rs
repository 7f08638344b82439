//! For tests on the host.
use core::sync::atomic::{AtomicU64, Ordering};

/// It only goes up.
pub fn counter() -> u64 {
    static TICKS: AtomicU64 = AtomicU64::new(1);
    TICKS.fetch_add(1, Ordering::Relaxed)
}
