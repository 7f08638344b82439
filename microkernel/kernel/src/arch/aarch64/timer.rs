//! The virtual generic timer: the kernel's clock, in the ticks that user space reads as CNTVCT_EL0.
use super::cpu::{read, write};
use axiom_objects::Ticks;
use core::cell::Cell;

struct State {
    frequency: Cell<u64>,
    irq: Cell<u32>,
    /// When the timer fires; [`NEVER`] while nobody waits.
    armed: Cell<Ticks>,
}
// SAFETY: one core runs in the kernel at a time, and interrupts do not come there.
unsafe impl Sync for State {}
static STATE: State = State { frequency: Cell::new(0), irq: Cell::new(27), armed: Cell::new(NEVER) };

/// A deadline that no counter reaches, with room for the virtual offset.
const NEVER: Ticks = Ticks::MAX / 2;

/// Starts the clock; the interrupt number is the device tree's.
pub fn init(irq: u32) {
    STATE.frequency.set(read!("cntfrq_el0"));
    STATE.irq.set(irq);
    disarm();
    // SAFETY: the virtual timer is the kernel's alone: EL0 has no access to its registers.
    unsafe { write!("cntv_ctl_el0", 1) };
}

/// The counter.
#[inline(always)]
pub fn now() -> Ticks {
    read!("cntvct_el0")
}

/// Frequency of the counter, Hz.
pub fn frequency() -> u64 {
    match STATE.frequency.get() {
        0 => read!("cntfrq_el0"),
        f => f,
    }
}

/// The interrupt of the kernel's timer.
pub fn irq() -> u32 {
    STATE.irq.get()
}

/// Interrupts at `deadline` at the latest; at once if it has passed. `Ticks::MAX` is never.
///
/// A timer that is armed for an earlier time stays so: when it fires, whoever asks again gets the later deadline. Threads that
/// call each other, each with a budget of its own, then seldom write the timer's registers, which costs more than an
/// interrupt too many once in a budget (in a virtual machine each write leaves the guest).
#[inline(always)]
pub fn set_deadline(deadline: Ticks) {
    if deadline < STATE.armed.get() {
        arm(deadline);
    }
}

/// Takes the deadline away, and with it the level of the interrupt's line.
#[inline(always)]
pub fn disarm() {
    arm(NEVER);
}

#[inline(always)]
fn arm(deadline: Ticks) {
    STATE.armed.set(deadline);
    // SAFETY: the virtual timer is the kernel's alone: EL0 has no access to its registers.
    unsafe { write!("cntv_cval_el0", deadline) };
}

/// Microseconds as ticks.
#[inline(always)]
pub fn us_to_ticks(us: u64) -> Ticks {
    us.saturating_mul(STATE.frequency.get()) / 1_000_000
}

/// Ticks as microseconds.
pub fn ticks_to_us(ticks: Ticks) -> u64 {
    (u128::from(ticks) * 1_000_000 / u128::from(STATE.frequency.get().max(1))) as u64
}
