//! The machine that a server of this build runs on.
use crate::cost::Machine;

/// The one that it is built for; on a host AArch64, as the compiler's.
pub const BOARD: Machine =
    if cfg!(all(target_os = "none", target_arch = "x86_64")) { Machine::X64 } else { Machine::A64 };
