//! Fault messages: the label says the type, the message registers its layout (libsel4 `seL4_FaultType` and the
//! `seL4_*_Msg` enumerations).

pub use crate::arch::fault::{unknown_syscall, user_exception};

/// Fault types, the label of a fault message.
pub mod kind {
    /// No fault.
    pub const NULL: u64 = 0;
    /// A capability lookup failed in an IPC system call.
    pub const CAP: u64 = 1;
    /// An unknown system call number.
    pub const UNKNOWN_SYSCALL: u64 = 2;
    /// Any other exception.
    pub const USER_EXCEPTION: u64 = 3;
    /// The budget ended and a timeout handler exists.
    pub const TIMEOUT: u64 = 5;
    /// An address space fault.
    pub const VM: u64 = 6;
}

/// Message registers of a capability fault.
pub mod cap_fault {
    /// Instruction pointer.
    pub const IP: usize = 0;
    /// The capability address.
    pub const ADDR: usize = 1;
    /// 1 if the fault was in a receive phase.
    pub const IN_RECV_PHASE: usize = 2;
    /// The lookup failure; its words follow.
    pub const LOOKUP_FAILURE: usize = 3;
}

/// Registers of a VM fault.
pub mod vm_fault {
    /// Instruction pointer.
    pub const IP: usize = 0;
    /// The address.
    pub const ADDR: usize = 1;
    /// 1 for an instruction fetch.
    pub const PREFETCH: usize = 2;
    /// The fault status (aarch64: ESR; x86-64: the page fault's error code).
    pub const FSR: usize = 3;
    /// Length of the message.
    pub const LENGTH: usize = 4;
}

/// Registers of a timeout fault.
pub mod timeout {
    /// The badge that SchedControl gave to the scheduling context.
    pub const DATA: usize = 0;
    /// Microseconds consumed.
    pub const CONSUMED: usize = 1;
    /// Length of the message.
    pub const LENGTH: usize = 2;
    pub use crate::arch::fault::TIMEOUT_REPLY_LENGTH as REPLY_LENGTH;
}
