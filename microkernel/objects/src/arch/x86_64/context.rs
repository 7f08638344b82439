//! What a thread has besides its general registers: x87 and SSE registers, as FXSAVE stores them.
use core::cell::Cell;

/// Whether a core may look at registers of the FPU that it has not enabled, speculatively (CVE-2018-3665): they are taken out when
/// their thread stops running, not when somebody else asks for the FPU.
pub const FPU_LEAKS: bool = true;

/// The area of FXSAVE. Its last 48 bytes are software's: the last word says that the rest was stored. A thread that never used the
/// FPU has all zeroes there, which would be no valid state (every exception would be unmasked).
#[repr(C, align(16))]
pub struct FpuState {
    /// What FXSAVE stores.
    pub q: [Cell<u64>; 63],
    /// Not zero once it was stored.
    pub stored: Cell<u64>,
}
