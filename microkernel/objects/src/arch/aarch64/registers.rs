//! A thread's registers, aarch64: plain data, filled by the trap entry and restored by the exit.
use core::cell::Cell;

/// Index of the stack pointer.
pub const SP: usize = 31;
/// Index of the program counter at which the thread goes on.
pub const PC: usize = 32;
/// Index of the saved program status, SPSR.
pub const STATUS: usize = 33;
/// Index of the user-writable thread pointer, TPIDR_EL0.
pub const TLS: usize = 34;
/// Index of the read-only thread pointer.
pub const TPIDRRO: usize = 35;
/// Index of the address of the instruction that trapped: a system call's own address, so that it can be restarted.
pub const FAULT_PC: usize = 36;
/// The thread pointers that a user can write.
pub const POINTERS: [usize; 1] = [TLS];
/// Number of registers kept.
pub const COUNT: usize = 38;

/// Register of the capability argument and of the badge.
pub const CAP: usize = 0;
/// Register of the message tag.
pub const INFO: usize = 1;
/// Register of MR0; MR1 to MR3 follow.
pub const MR0: usize = 2;
/// Register of the reply capability.
pub const REPLY: usize = 6;
/// Register of the system call number.
pub const SYSCALL: usize = 7;
/// Register of the destination of a combined send.
pub const NB_SEND_DEST: usize = 8;

/// SPSR of a user thread: EL0, AArch64, interrupts open, fast interrupts (which the kernel does not use) masked as seL4 has
/// it; only the condition flags are the user's.
pub const USER_STATUS: u64 = 0x40;
/// The SPSR bits that a user may set: N, Z, C, V.
pub const USER_STATUS_MASK: u64 = 0xf000_0000;

/// The register file.
#[repr(C, align(16))]
pub struct Registers {
    words: [Cell<u64>; COUNT],
}

impl Registers {
    /// Register `index`.
    #[inline(always)]
    pub fn get(&self, index: usize) -> u64 {
        self.words[index].get()
    }
    /// Sets register `index`.
    #[inline(always)]
    pub fn set(&self, index: usize, value: u64) {
        self.words[index].set(value);
    }
    /// The address of the file, for the trap exit.
    pub fn address(&self) -> usize {
        self.words.as_ptr() as usize
    }
}

/// For each word of `seL4_UserContext`, our index. `pc` reads the restart address and writes the next one.
pub const USER_CONTEXT_ORDER: [usize; sel4_sys::regs::USER_CONTEXT_WORDS] = [
    PC, SP, STATUS, 0, 1, 2, 3, 4, 5, 6, 7, 8, 16, 17, 18, 29, 30, 9, 10, 11, 12, 13, 14, 15, 19, 20, 21, 22,
    23, 24, 25, 26, 27, 28, TLS, TPIDRRO,
];

/// Registers that an unknown-syscall fault message carries. The word called LR is the exception link register: where the thread
/// would go on. A reply's value for it does not last, since the thread restarts at the first.
pub const SYSCALL_FAULT_ORDER: [usize; 12] = [0, 1, 2, 3, 4, 5, 6, 7, FAULT_PC, SP, PC, STATUS];
/// Registers that a user-exception fault message carries.
pub const EXCEPTION_FAULT_ORDER: [usize; 3] = [FAULT_PC, SP, STATUS];

/// A register's value as a user may set it.
pub fn sanitise(register: usize, value: u64) -> u64 {
    if register == STATUS { value & USER_STATUS_MASK | USER_STATUS } else { value }
}
