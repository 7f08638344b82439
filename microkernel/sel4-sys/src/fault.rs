//! Fault messages: the label says the type, the message registers its layout (libsel4 `seL4_FaultType` and the
//! `seL4_*_Msg` enumerations).

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

/// Registers of an unknown-syscall fault: x0..x7, then IP, SP, LR, SPSR, number.
pub mod unknown_syscall {
    /// Instruction pointer.
    pub const FAULT_IP: usize = 8;
    /// Stack pointer.
    pub const SP: usize = 9;
    /// Link register.
    pub const LR: usize = 10;
    /// Saved program status.
    pub const SPSR: usize = 11;
    /// The number that was asked for.
    pub const SYSCALL: usize = 12;
    /// Length of the message.
    pub const LENGTH: usize = 13;
}

/// Registers of a user exception: IP, SP, SPSR, number, code.
pub mod user_exception {
    /// Instruction pointer.
    pub const FAULT_IP: usize = 0;
    /// Stack pointer.
    pub const SP: usize = 1;
    /// Saved program status.
    pub const SPSR: usize = 2;
    /// The exception syndrome register.
    pub const NUMBER: usize = 3;
    /// Always 0 on aarch64.
    pub const CODE: usize = 4;
    /// Length of the message.
    pub const LENGTH: usize = 5;
}

/// Registers of a VM fault.
pub mod vm_fault {
    /// Instruction pointer.
    pub const IP: usize = 0;
    /// The address.
    pub const ADDR: usize = 1;
    /// 1 for an instruction fetch.
    pub const PREFETCH: usize = 2;
    /// The fault status (ESR).
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
    /// Length of a reply that sets the registers.
    pub const REPLY_LENGTH: usize = 34;
}
