//! The clock is the time stamp counter, which user space reads too; the local APIC's timer interrupts, by the counter's deadline where
//! it can, else counting down.
use super::cpu::{self, FEATURES, msr};
use super::irq;
use axiom_objects::time::{NEVER, Ticks};
use core::cell::Cell;

struct State {
    /// Hz.
    frequency: Cell<u64>,
    /// The timer's steps in a tick of the counter, times 2^32.
    ratio: Cell<u64>,
}
// SAFETY: written at boot; one core runs in the kernel at a time.
unsafe impl Sync for State {}
/// Before the clock is measured a tick counts as a nanosecond.
static STATE: State = State { frequency: Cell::new(1_000_000_000), ratio: Cell::new(0) };

/// Starts the clock, with no deadline: the counter's frequency in Hz, and the timer's steps in a tick, times 2^32.
pub fn init(frequency: u64, ratio: u64) {
    STATE.frequency.set(frequency);
    STATE.ratio.set(ratio);
    if let Some(local) = irq::local() {
        local.open_timer(FEATURES.tsc_deadline.get());
    }
    set_deadline(NEVER);
}

/// The counter.
#[inline(always)]
pub fn now() -> Ticks {
    cpu::counter()
}

/// Frequency of the counter, Hz.
pub fn frequency() -> u64 {
    STATE.frequency.get()
}

/// Interrupts at `deadline`; at once if it has passed. A deadline that is further away than the timer counts interrupts earlier: the kernel
/// finds nothing due, and sets it again.
pub fn set_deadline(deadline: Ticks) {
    if FEATURES.tsc_deadline.get() {
        // SAFETY: CPUID announces the register; 0 is no deadline.
        return unsafe { cpu::write_msr(msr::TSC_DEADLINE, if deadline == NEVER { 0 } else { deadline }) };
    }
    let Some(local) = irq::local() else { return };
    if deadline == NEVER {
        return local.count_down(0);
    }
    let ticks = deadline.saturating_sub(now());
    let steps = (u128::from(ticks) * u128::from(STATE.ratio.get())) >> 32;
    local.count_down(u32::try_from(steps + 1).unwrap_or(u32::MAX));
}
