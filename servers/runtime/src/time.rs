//! Time: the counter that the kernel's timers use, and the cycle counter.

use core::sync::atomic::{AtomicU64, Ordering};

static FREQUENCY: AtomicU64 = AtomicU64::new(0);

pub(crate) fn init(frequency: u64) {
    FREQUENCY.store(frequency, Ordering::Relaxed);
}

pub use crate::arch::{MIXED, cycles, mixed, ticks};

/// Ticks per second.
pub fn frequency() -> u64 {
    match FREQUENCY.load(Ordering::Relaxed) {
        0 => crate::arch::frequency().unwrap_or(0),
        told => told,
    }
}

/// Ticks as nanoseconds.
pub fn nanoseconds(ticks: u64) -> u64 {
    (ticks as u128 * 1_000_000_000 / frequency().max(1) as u128) as u64
}

/// Nanoseconds as ticks.
pub fn from_nanoseconds(ns: u64) -> u64 {
    (ns as u128 * frequency() as u128 / 1_000_000_000) as u64
}
