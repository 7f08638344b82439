//! Translation hardware: which user tables are used, and which translations are forgotten.
use super::cpu::write;
use axiom_objects::cap::Mapping;
use core::arch::asm;

/// Barrier between writing a table and relying on it.
pub fn publish() {
    // SAFETY: a barrier.
    unsafe { asm!("dsb ishst", "isb", options(nostack, preserves_flags)) };
}

/// User space is this one from now on: root and identifier, as TTBR0 takes them.
#[inline(always)]
pub fn load_space(space: u64) {
    // SAFETY: a valid root with its own identifier; the kernel does not run from the lower half.
    unsafe {
        write!("ttbr0_el1", space);
        asm!("isb", options(nostack, preserves_flags));
    }
}

/// Forgets the translations of one address space.
pub fn flush_space(asid: u16) {
    // SAFETY: invalidating translations is always allowed.
    unsafe {
        asm!("dsb ishst", "tlbi aside1, {}", "dsb ish", "isb", in(reg) u64::from(asid) << 48, options(nostack));
    }
}

/// Forgets the translation of one page.
pub fn flush_page(mapping: Mapping) {
    let operand = u64::from(mapping.asid) << 48 | mapping.vaddr >> 12 & ((1 << 44) - 1);
    // SAFETY: invalidating translations is always allowed.
    unsafe { asm!("dsb ishst", "tlbi vae1, {}", "dsb ish", "isb", in(reg) operand, options(nostack)) };
}

/// Forgets all translations.
pub fn flush_all() {
    // SAFETY: invalidating translations is always allowed.
    unsafe { asm!("dsb ishst", "tlbi vmalle1", "dsb ish", "isb", options(nostack)) };
}
