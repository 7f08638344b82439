//! What a thread has besides its general registers: x87, SSE and AVX registers, as XSAVE stores them in its standard form, or FXSAVE.
use core::cell::Cell;

/// Whether a core may look at registers of the FPU that it has not enabled, speculatively (CVE-2018-3665): they are taken out when
/// their thread stops running, not when somebody else asks for the FPU.
pub const FPU_LEAKS: bool = true;

/// What is made between two looks at what is more urgent, in bytes that are zeroed: eight of them by an instruction, or by a round of one.
pub const AT_ONCE: u64 = 20 << 10;

/// Units of long work between two looks at what is more urgent: fewer, for each is up to 70 instructions.
pub const UNITS: u32 = 70;

/// Bytes that are zeroed in a unit: 14 KiB between two looks.
pub const BYTES_OF_A_UNIT: u64 = 200;

/// The area of XSAVE, whose first part is FXSAVE's. The last 48 bytes of that are software's, and neither instruction writes them: the
/// last word says that the rest was stored. A thread that never used the FPU has all zeroes there, which would be no valid state
/// (every exception would be unmasked). Nothing in it comes from a user.
#[repr(C, align(64))]
pub struct FpuState {
    /// What FXSAVE stores: x87 and SSE.
    pub q: [Cell<u64>; 63],
    /// Not zero once it was stored.
    pub stored: Cell<u64>,
    /// XSAVE's header: which components are not in their first state. The rest of it is zero, as the TCB was made.
    pub header: [Cell<u64>; 8],
    /// Upper halves of AVX's registers.
    pub high: [Cell<u64>; 32],
}
