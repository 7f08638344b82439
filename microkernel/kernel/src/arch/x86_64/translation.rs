//! Translation hardware: which user tables are used, and which translations are forgotten.
//!
//! Address spaces have no identifiers in the hardware (PCID needs a processor that this was tried on), so loading a root forgets all
//! that is not the kernel's: of an address space that is not loaded nothing is remembered.
use super::cpu;
use axiom_objects::cap::Mapping;
use core::arch::asm;

/// Barrier between writing a table and relying on it: the walker sees stores in order, and nothing is remembered of entries that
/// were not valid.
#[inline(always)]
pub fn publish() {
    core::sync::atomic::compiler_fence(core::sync::atomic::Ordering::SeqCst);
}

/// User space is this one from now on: a root. Segment selectors, which any thread can load and which nobody needs, do not stay: they
/// would be sixty-four bits from one address space to the next.
#[inline(always)]
pub fn load_space(space: u64) {
    let selectors: u32;
    // SAFETY: a valid root, with the kernel's half in it. Reading selectors has no effect.
    unsafe {
        asm!("mov cr3, {}", in(reg) space, options(nostack, preserves_flags));
        asm!(
            "mov {0:e}, ds", "mov {1:e}, es", "or {0:e}, {1:e}", "mov {1:e}, fs", "or {0:e}, {1:e}", "mov {1:e}, gs", "or {0:e}, {1:e}",
            out(reg) selectors, out(reg) _, options(nomem, nostack)
        );
    }
    if selectors != 0 {
        cpu::clear_selectors();
    }
}

/// Forgets the translations of one address space.
pub fn flush_space(_: u16) {
    flush_all();
}

/// Forgets the translation of one page, if its address space is the one that is loaded.
pub fn flush_page(mapping: Mapping) {
    // SAFETY: invalidating translations is always allowed.
    unsafe { asm!("invlpg [{}]", in(reg) mapping.vaddr, options(nostack, preserves_flags)) };
}

/// Forgets all translations of user space.
pub fn flush_all() {
    load_space(cpu::root());
}
