//! Layouts of fault messages with registers, aarch64.

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

/// Length of a reply to a timeout fault that sets the registers.
pub const TIMEOUT_REPLY_LENGTH: usize = 34;
