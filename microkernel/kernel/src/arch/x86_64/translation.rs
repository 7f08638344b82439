//! Translation hardware: which user tables are used, and which translations are forgotten.
//!
//! Address spaces have no identifiers in the hardware (PCID needs a processor that this was tried on), so loading a root forgets all
//! that is not the kernel's: of an address space that is not loaded nothing is remembered.
use super::cpu;
use super::trap::sites;
use axiom_objects::cap::Mapping;
use core::arch::{asm, global_asm};

/// Barrier between writing a table and relying on it: the walker sees stores in order, and nothing is remembered of entries that
/// were not valid.
#[inline(always)]
pub fn publish() {
    core::sync::atomic::compiler_fence(core::sync::atomic::Ordering::SeqCst);
}

global_asm!(
    r#"
    .section .text.barrier, "ax"
axiom_load_with_barrier:
    push rdx
    mov ecx, {command}
    mov eax, 1
    xor edx, edx
    wrmsr
    pop rdx
    mov cr3, rdi
    mov eax, ds
    ret
    "#,
    command = const cpu::msr::PREDICTION_COMMAND,
);

/// User space is this one from now on: a root. Segment selectors, which any thread can load and which nobody needs, do not stay: they
/// would be sixty-four bits from one address space to the next. Nor do predictions of branches where the processor has a barrier.
#[inline(always)]
pub fn load_space(space: u64) {
    let selectors: u32;
    // SAFETY: a valid root, with the kernel's half in it. Reading selectors has no effect. The first two instructions, 5 bytes, are a place that
    // boot may have led to `axiom_load_with_barrier`: it does the same after a write to a register that the processor has.
    unsafe {
        asm!(
            "4:  mov cr3, rdi",
            "mov eax, ds",
            "5:  mov ecx, es",
            "or eax, ecx",
            "mov ecx, fs",
            "or eax, ecx",
            "mov ecx, gs",
            "or eax, ecx",
            ".pushsection .sites, \"a\"",
            ".quad 4b, 5b, axiom_load_with_barrier, {barrier}",
            ".popsection",
            in("rdi") space, out("eax") selectors, out("ecx") _, barrier = const sites::BARRIER
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
    // SAFETY: the root that is loaded.
    unsafe { asm!("mov cr3, {}", in(reg) cpu::root(), options(nostack, preserves_flags)) };
}
