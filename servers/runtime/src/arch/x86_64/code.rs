//! Instructions that this program wrote.

use core::arch::asm;

/// Makes what was written here visible to instruction fetch, on every processor and through every mapping. Who executes it must pass an
/// exception return first, which every message does.
///
/// Caches are coherent on this architecture, instruction caches included, through every mapping of the same memory; an exception return
/// drops what was fetched before. What is left is that the stores have left the store buffer.
///
/// # Safety
/// The range is mapped readable here.
pub unsafe fn publish(_start: *const u8, _len: usize) {
    // SAFETY: a fence.
    unsafe { asm!("mfence", options(nostack, preserves_flags)) };
}
