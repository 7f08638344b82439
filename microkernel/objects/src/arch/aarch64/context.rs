//! What a thread has besides its general registers: the FPU's.
use core::cell::Cell;

/// Whether a core may look at registers of the FPU that it has not enabled: it may not.
pub const FPU_LEAKS: bool = false;

/// What is made between two looks at what is more urgent, in bytes that are zeroed.
pub const AT_ONCE: u64 = 64 << 10;

/// Units of long work between two looks at what is more urgent.
pub const UNITS: u32 = 100;

/// Bytes that are zeroed in a unit: 32 KiB between two looks.
pub const BYTES_OF_A_UNIT: u64 = 320;

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
