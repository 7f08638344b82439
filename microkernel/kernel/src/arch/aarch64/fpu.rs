//! Lazy FPU switching: the registers stay with their last user until somebody else touches the FPU.
use super::cpu::{read, write};
use crate::node::node;
use axiom_objects::Ptr;
use axiom_objects::object::{FpuState, Tcb};
use core::arch::asm;

const FPEN: u64 = 0b11 << 20;

fn set_enabled(on: bool) {
    let old = read!("cpacr_el1");
    let new = if on { old | FPEN } else { old & !FPEN };
    if old != new {
        // SAFETY: only decides whether EL0's and EL1's use of the FPU traps; the kernel uses it only in this file.
        unsafe {
            write!("cpacr_el1", new);
            asm!("isb", options(nostack));
        }
    }
}

/// `tcb` runs next: it has the FPU only if its registers are there.
#[inline(always)]
pub fn switch_to(tcb: Ptr<Tcb>) {
    set_enabled(node().fpu_owner.get() == Some(tcb));
}

/// The current thread touched the FPU; false if it may not use it.
pub fn trap() -> bool {
    let n = node();
    let tcb = n.current();
    if tcb.flags.get() & 1 != 0 {
        return false;
    }
    set_enabled(true);
    if let Some(owner) = n.fpu_owner.get() {
        save(&owner.fpu);
    }
    load(&tcb.fpu);
    n.fpu_owner.set(Some(tcb));
    true
}

/// The thread goes away: its registers need not be kept.
pub fn discard(tcb: Ptr<Tcb>) {
    let n = node();
    if n.fpu_owner.get() == Some(tcb) {
        n.fpu_owner.set(None);
        set_enabled(false);
    }
}

/// Puts the thread's registers into its TCB.
pub fn release(tcb: Ptr<Tcb>) {
    if node().fpu_owner.get() == Some(tcb) {
        set_enabled(true);
        save(&tcb.fpu);
        discard(tcb);
    }
}

fn save(state: &FpuState) {
    // SAFETY: the FPU is enabled; `state` has room for 32 registers of 16 bytes and two words, all cells.
    unsafe {
        asm!(
            ".arch_extension fp", ".arch_extension simd",
            "stp q0, q1, [{s}]", "stp q2, q3, [{s}, #32]", "stp q4, q5, [{s}, #64]", "stp q6, q7, [{s}, #96]",
            "stp q8, q9, [{s}, #128]", "stp q10, q11, [{s}, #160]", "stp q12, q13, [{s}, #192]",
            "stp q14, q15, [{s}, #224]", "stp q16, q17, [{s}, #256]", "stp q18, q19, [{s}, #288]",
            "stp q20, q21, [{s}, #320]", "stp q22, q23, [{s}, #352]", "stp q24, q25, [{s}, #384]",
            "stp q26, q27, [{s}, #416]", "stp q28, q29, [{s}, #448]", "stp q30, q31, [{s}, #480]",
            "mrs {t}, fpcr", "str {t}, [{s}, #512]", "mrs {t}, fpsr", "str {t}, [{s}, #520]",
            s = in(reg) core::ptr::from_ref(state), t = out(reg) _, options(nostack, preserves_flags)
        );
    }
}

fn load(state: &FpuState) {
    // SAFETY: the FPU is enabled; the kernel itself keeps nothing in it.
    unsafe {
        asm!(
            ".arch_extension fp", ".arch_extension simd",
            "ldp q0, q1, [{s}]", "ldp q2, q3, [{s}, #32]", "ldp q4, q5, [{s}, #64]", "ldp q6, q7, [{s}, #96]",
            "ldp q8, q9, [{s}, #128]", "ldp q10, q11, [{s}, #160]", "ldp q12, q13, [{s}, #192]",
            "ldp q14, q15, [{s}, #224]", "ldp q16, q17, [{s}, #256]", "ldp q18, q19, [{s}, #288]",
            "ldp q20, q21, [{s}, #320]", "ldp q22, q23, [{s}, #352]", "ldp q24, q25, [{s}, #384]",
            "ldp q26, q27, [{s}, #416]", "ldp q28, q29, [{s}, #448]", "ldp q30, q31, [{s}, #480]",
            "ldr {t}, [{s}, #512]", "msr fpcr, {t}", "ldr {t}, [{s}, #520]", "msr fpsr, {t}",
            s = in(reg) core::ptr::from_ref(state), t = out(reg) _, options(nostack, preserves_flags)
        );
    }
}
