//! Time: the counter's ticks, and what users say in microseconds.

/// Counter ticks, the kernel's unit of time.
pub type Ticks = u64;

/// A deadline that no counter reaches, with room for an offset that a virtual machine adds.
pub const NEVER: Ticks = Ticks::MAX / 2;

/// Longest time the kernel is assumed to need, microseconds (seL4's KERNEL_WCET of this platform).
pub const KERNEL_WCET_US: u64 = 10;
/// Smallest budget, microseconds: room to enter and leave the kernel twice.
pub const MIN_BUDGET_US: u64 = 2 * KERNEL_WCET_US;
/// Longest period, microseconds.
pub const MAX_PERIOD_US: u64 = 0x218d_ef41_6bdb;

/// Microseconds as ticks of a counter of `frequency` Hz.
#[inline(always)]
pub fn us_to_ticks(us: u64, frequency: u64) -> Ticks {
    (u128::from(us) * u128::from(frequency) / 1_000_000) as u64
}

/// Ticks of a counter of `frequency` Hz as microseconds.
pub fn ticks_to_us(ticks: Ticks, frequency: u64) -> u64 {
    (u128::from(ticks) * 1_000_000 / u128::from(frequency.max(1))) as u64
}
