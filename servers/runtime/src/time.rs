//! Time: the counter that the kernel's timers use, and the cycle counter.

use core::sync::atomic::{AtomicU64, Ordering};

static FREQUENCY: AtomicU64 = AtomicU64::new(0);

pub(crate) fn init(frequency: u64) {
    FREQUENCY.store(frequency, Ordering::Relaxed);
}

/// The counter, in ticks.
#[inline(always)]
pub fn ticks() -> u64 {
    let v: u64;
    // SAFETY: reads a counter that the kernel exports; `isb` keeps it from being read early.
    unsafe { core::arch::asm!("isb", "mrs {}, cntvct_el0", out(reg) v, options(nostack, preserves_flags)) };
    v
}

/// The cycle counter (instructions under an emulator that counts them).
#[inline(always)]
pub fn cycles() -> u64 {
    let v: u64;
    // SAFETY: reads a counter that the kernel exports.
    unsafe { core::arch::asm!("mrs {}, pmccntr_el0", out(reg) v, options(nostack, preserves_flags)) };
    v
}

/// Ticks per second.
pub fn frequency() -> u64 {
    let f = FREQUENCY.load(Ordering::Relaxed);
    if f != 0 {
        return f;
    }
    let v: u64;
    // SAFETY: reads an identification register that the kernel exports.
    unsafe { core::arch::asm!("mrs {}, cntfrq_el0", out(reg) v, options(nomem, nostack, preserves_flags)) };
    v
}

/// Ticks as nanoseconds.
pub fn nanoseconds(ticks: u64) -> u64 {
    (ticks as u128 * 1_000_000_000 / frequency().max(1) as u128) as u64
}

/// Nanoseconds as ticks.
pub fn from_nanoseconds(ns: u64) -> u64 {
    (ns as u128 * frequency() as u128 / 1_000_000_000) as u64
}
