//! A thread's registers, x86-64: plain data, filled by the trap entry and restored by the exit.
//!
//! The order is the entry's: an interrupt's frame is pushed by the processor where it belongs (from [`SS`] down to [`ERROR`]), and the
//! rest follows downwards.
use core::cell::Cell;

/// Index of rax.
pub const RAX: usize = 10;
/// Index of rbx.
pub const RBX: usize = 4;
/// Index of rcx, which a system call overwrites with where it goes on.
pub const RCX: usize = 11;
/// Index of rdx.
pub const RDX: usize = 12;
/// Index of rsi.
pub const RSI: usize = 13;
/// Index of rdi.
pub const RDI: usize = 14;
/// Index of rbp.
pub const RBP: usize = 3;
/// Index of r8.
pub const R8: usize = 7;
/// Index of r9.
pub const R9: usize = 8;
/// Index of r10.
pub const R10: usize = 6;
/// Index of r11, which a system call overwrites with the flags.
pub const R11: usize = 5;
/// Index of r12.
pub const R12: usize = 2;
/// Index of r13.
pub const R13: usize = 1;
/// Index of r14.
pub const R14: usize = 0;
/// Index of r15.
pub const R15: usize = 9;
/// Index of the vector that the thread was interrupted by.
pub const VECTOR: usize = 15;
/// Index of the error code of an exception.
pub const ERROR: usize = 16;
/// Index of the instruction pointer at which the thread goes on.
pub const PC: usize = 17;
/// Index of the code segment, in the interrupt's frame.
pub const CS: usize = 18;
/// Index of the flags.
pub const STATUS: usize = 19;
/// Index of the stack pointer.
pub const SP: usize = 20;
/// Index of the stack segment, in the interrupt's frame.
pub const SS: usize = 21;
/// Index of the address of the instruction that trapped: a system call's own address, so that it can be restarted.
pub const FAULT_PC: usize = 22;
/// Index of the base of FS, the thread pointer.
pub const TLS: usize = 23;
/// Index of the base of GS.
pub const GS_BASE: usize = 24;
/// Number of registers kept.
pub const COUNT: usize = 26;

/// Register of the capability argument and of the badge.
pub const CAP: usize = RDI;
/// Register of the message tag.
pub const INFO: usize = RSI;
/// Register of MR0; MR1 to MR3 follow: r10, r8, r9, r15.
pub const MR0: usize = R10;
/// Register of the reply capability.
pub const REPLY: usize = R12;
/// Register of the system call number.
pub const SYSCALL: usize = RDX;
/// Register of the destination of a combined send.
pub const NB_SEND_DEST: usize = R13;

const _: () = assert!(R8 == MR0 + 1 && R9 == MR0 + 2 && R15 == MR0 + 3);

/// Flags of a user thread: interrupts on, and the bit that is always one.
pub const USER_STATUS: u64 = 0x202;
/// The flags that a user may set from outside of the thread: carry, parity, adjust, zero, sign, direction, overflow.
pub const USER_STATUS_MASK: u64 = 0xcd5;

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

/// For each word of `seL4_UserContext`, our index. `rip` reads the restart address and writes the next one.
pub const USER_CONTEXT_ORDER: [usize; sel4_sys::regs::USER_CONTEXT_WORDS] =
    [PC, SP, STATUS, RAX, RBX, RCX, RDX, RSI, RDI, RBP, R8, R9, R10, R11, R12, R13, R14, R15, TLS, GS_BASE];

/// Registers that an unknown-syscall fault message carries.
pub const SYSCALL_FAULT_ORDER: [usize; 18] =
    [RAX, RBX, RCX, RDX, RSI, RDI, RBP, R8, R9, R10, R11, R12, R13, R14, R15, FAULT_PC, SP, STATUS];
/// Registers that a user-exception fault message carries.
pub const EXCEPTION_FAULT_ORDER: [usize; 3] = [FAULT_PC, SP, STATUS];

/// Whether bits 63 to 47 are all the same: other addresses fault the kernel when it loads them.
pub const fn is_canonical(address: u64) -> bool {
    ((address << 16) as i64 >> 16) as u64 == address
}

/// A register's value as a user may set it.
pub fn sanitise(register: usize, value: u64) -> u64 {
    match register {
        STATUS => value & USER_STATUS_MASK | USER_STATUS,
        PC | FAULT_PC | TLS | GS_BASE if !is_canonical(value) => 0,
        _ => value,
    }
}
