//! Layouts of fault messages with registers, x86-64.

/// Registers of an unknown-syscall fault: rax, rbx, rcx, rdx, rsi, rdi, rbp, r8..r15, then IP, SP, flags, number.
pub mod unknown_syscall {
    /// Instruction pointer.
    pub const FAULT_IP: usize = 15;
    /// Stack pointer.
    pub const SP: usize = 16;
    /// Flags.
    pub const FLAGS: usize = 17;
    /// The number that was asked for.
    pub const SYSCALL: usize = 18;
    /// Length of the message.
    pub const LENGTH: usize = 19;
}

/// Registers of a user exception: IP, SP, flags, number, code.
pub mod user_exception {
    /// Instruction pointer.
    pub const FAULT_IP: usize = 0;
    /// Stack pointer.
    pub const SP: usize = 1;
    /// Flags.
    pub const FLAGS: usize = 2;
    /// The vector.
    pub const NUMBER: usize = 3;
    /// The error code that the processor pushed; 0 for a vector without one.
    pub const CODE: usize = 4;
    /// Length of the message.
    pub const LENGTH: usize = 5;
}

/// Length of a reply to a timeout fault that sets the registers: those of an unknown-syscall fault in the order IP, SP, flags, rax, ...,
/// and the TLS base.
pub const TIMEOUT_REPLY_LENGTH: usize = 19;
