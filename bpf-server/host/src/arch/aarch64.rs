//! AArch64.

/// The machine's counter.
#[inline]
pub fn counter() -> u64 {
    let ticks: u64;
    // SAFETY: reads a counter register that the kernel lets user space read; no other effect.
    unsafe {
        core::arch::asm!("mrs {}, cntvct_el0", out(reg) ticks, options(nomem, nostack, preserves_flags))
    };
    ticks
}
