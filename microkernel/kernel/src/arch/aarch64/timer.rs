//! The virtual generic timer: the kernel's clock, in the ticks that user space reads as CNTVCT_EL0.
use super::cpu::{read, write};
use axiom_objects::time::{NEVER, Ticks};

/// Starts the clock, with no deadline.
pub fn init() {
    set_deadline(NEVER);
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
    read!("cntfrq_el0")
}

/// There is no second clock: the counter's frequency is a register's.
pub fn reference() -> Option<(Ticks, u32)> {
    None
}

/// Interrupts at `deadline`; at once if it has passed. The interrupt's line falls when the deadline lies in the future.
#[inline(always)]
pub fn set_deadline(deadline: Ticks) {
    // SAFETY: the virtual timer is the kernel's alone: EL0 has no access to its registers.
    unsafe { write!("cntv_cval_el0", deadline) };
}
