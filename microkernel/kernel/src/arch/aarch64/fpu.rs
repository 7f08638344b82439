//! The FPU's registers and its trap. When they change hands is decided in `axiom_objects::fpu`.
use super::cpu::{read, write};
use axiom_objects::arch::context::FpuState;
use core::arch::asm;

const FPEN: u64 = 0b11 << 20;

/// Whether EL0 may use the FPU without a trap.
pub fn set_enabled(on: bool) {
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

/// Stores the registers; the FPU is enabled.
pub fn save(state: &FpuState) {
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

/// Loads the registers; the FPU is enabled.
pub fn load(state: &FpuState) {
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
