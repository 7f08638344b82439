//! What a thread has besides its general registers: the FPU's.
use core::cell::Cell;

/// Whether a core may look at registers of the FPU that it has not enabled: it may not.
pub const FPU_LEAKS: bool = false;

/// Floating point and SIMD registers.
#[repr(C, align(16))]
pub struct FpuState {
    /// q0..q31, as pairs of words.
    pub q: [Cell<u64>; 64],
    /// FPCR.
    pub control: Cell<u64>,
    /// FPSR.
    pub status: Cell<u64>,
}
