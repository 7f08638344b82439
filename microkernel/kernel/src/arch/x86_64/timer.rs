//! The clock is the time stamp counter, which user space reads too; the local APIC's timer interrupts, by the counter's deadline where
//! it can, else counting down.
use super::cpu::{self, FEATURES, msr};
use super::irq;
use axiom_objects::time::{NEVER, Ticks};
use core::cell::Cell;

/// The HPET as a second clock that is only looked at.
#[derive(Clone, Copy)]
pub struct Second {
    /// Its main counter's lower half, mapped.
    pub register: usize,
    /// Femtoseconds of a step.
    pub period: u64,
    /// What it read at the start.
    pub first: u32,
    /// The counter then.
    pub start: Ticks,
}

struct State {
    /// Hz.
    frequency: Cell<u64>,
    /// The timer's steps in a tick of the counter, times 2^32.
    ratio: Cell<u64>,
    second: Cell<Option<Second>>,
}
// SAFETY: written at boot; one core runs in the kernel at a time.
unsafe impl Sync for State {}
/// Before the clock is measured a tick counts as a nanosecond.
static STATE: State =
    State { frequency: Cell::new(1_000_000_000), ratio: Cell::new(0), second: Cell::new(None) };

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

/// The second clock, if the machine has it.
pub fn set_reference(second: Second) {
    STATE.second.set(Some(second));
}

/// The counter, and the second clock's steps since its start: between two readings of the counter, the closest of some. Not once its 32 bits
/// may have gone half round.
pub fn reference() -> Option<(Ticks, u32)> {
    const TRIES: usize = 4;
    const FEMTOSECONDS: u128 = 1_000_000_000_000_000;
    let second = STATE.second.get()?;
    let elapsed = u128::from(now().wrapping_sub(second.start)) * FEMTOSECONDS / u128::from(frequency());
    if elapsed > u128::from(second.period) << 31 {
        return None;
    }
    let mut best = (0, 0, u64::MAX);
    for _ in 0..TRIES {
        let before = now();
        // SAFETY: the register is mapped as a device's for ever; reading 32 bits of it has no effect.
        let value = unsafe { (second.register as *const u32).read_volatile() };
        let width = now().wrapping_sub(before);
        if width < best.2 {
            best = (before + width / 2, value.wrapping_sub(second.first), width);
        }
    }
    Some((best.0, best.1))
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
