//! Instructions that this program wrote.

use core::arch::asm;

/// Makes what was written here visible to instruction fetch, on every processor and through every mapping. Who executes
/// it must pass an exception return first, which every message does.
///
/// The kernel lets programs maintain their own lines (SCTLR_EL1.UCI, UCT), so this is no system call.
///
/// # Safety
/// The range is mapped readable here.
pub unsafe fn publish(start: *const u8, len: usize) {
    let cache_type: u64;
    // SAFETY: reads an identification register that the kernel exports.
    unsafe { asm!("mrs {}, ctr_el0", out(reg) cache_type, options(nomem, nostack, preserves_flags)) };
    let data_line = 4usize << (cache_type >> 16 & 15);
    let code_line = 4usize << (cache_type & 15);
    let (start, end) = (start as usize, start as usize + len);
    let mut at = start & !(data_line - 1);
    while at < end {
        // SAFETY: cleans a line of the range, by the caller's promise.
        unsafe { asm!("dc cvau, {}", in(reg) at, options(nostack, preserves_flags)) };
        at += data_line;
    }
    // SAFETY: a barrier: the lines are clean before any of them is fetched again.
    unsafe { asm!("dsb ish", options(nostack, preserves_flags)) };
    let mut at = start & !(code_line - 1);
    while at < end {
        // SAFETY: invalidates a line of the range, by the caller's promise.
        unsafe { asm!("ic ivau, {}", in(reg) at, options(nostack, preserves_flags)) };
        at += code_line;
    }
    // SAFETY: barriers: nothing old is fetched after them.
    unsafe { asm!("dsb ish", "isb", options(nostack, preserves_flags)) };
}
