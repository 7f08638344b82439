//! A thread's registers, x86-64: plain data, filled by the trap entry and restored by the exit.
//!
//! The order is the entry's: an interrupt's frame is pushed by the processor where it belongs (from [`SS`] down to [`ERROR`]), and the
//! rest follows downwards.
use core::cell::Cell;

/// Index of rax.
pub const RAX: usize = 10;
/// Index of rbx.
pub const RBX: usize = 4;
/// Index of rcx, which a system call overwrites with where it goes on ([`Registers::in_call`]).
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
/// Index of r11, which a system call overwrites with the flags ([`Registers::in_call`]).
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
/// Index of the error code of an exception; of a system call, [`SYSTEM_CALL`].
pub const ERROR: usize = 16;
/// The error code that no exception has: the thread came by a system call.
pub const SYSTEM_CALL: u64 = u64::MAX;
/// Bytes of the instruction that makes a system call.
const SYSCALL_BYTES: u64 = 2;
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
/// The thread pointers that a user can write.
pub const POINTERS: [usize; 2] = [TLS, GS_BASE];
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
///
/// A system call's entry stores neither rcx nor r11 nor where the call was made: they follow from where the thread goes on and from its
/// flags, and [`ERROR`] says that they do. Whoever writes one of the five ends that, so the exit can take it as a promise: what SYSRET
/// restores is what SYSCALL found, and its address is one behind an instruction that user space has run.
#[repr(C, align(16))]
pub struct Registers {
    words: [Cell<u64>; COUNT],
}

impl Registers {
    /// Register `index`.
    #[inline(always)]
    pub fn get(&self, index: usize) -> u64 {
        match index {
            RCX if self.in_call() => self.words[PC].get(),
            R11 if self.in_call() => self.words[STATUS].get(),
            FAULT_PC if self.in_call() => self.words[PC].get().wrapping_sub(SYSCALL_BYTES),
            _ => self.words[index].get(),
        }
    }
    /// Sets register `index`.
    #[inline(always)]
    pub fn set(&self, index: usize, value: u64) {
        if matches!(index, RCX | R11 | PC | STATUS | FAULT_PC) && self.in_call() {
            self.settle();
        }
        self.words[index].set(value);
    }

    /// Whether the thread came by a system call, and nobody has changed since where and how it goes on.
    #[inline(always)]
    pub fn in_call(&self) -> bool {
        self.words[ERROR].get() == SYSTEM_CALL
    }

    /// Stores what follows from other registers as long as the thread is in a system call.
    fn settle(&self) {
        for index in [RCX, R11, FAULT_PC] {
            self.words[index].set(self.get(index));
        }
        self.words[ERROR].set(0);
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

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    /// What a system call's entry stores: nothing of the three that follow from the rest.
    fn entered(pc: u64, status: u64, stale: [u64; 3]) -> Registers {
        let file = Registers { words: [const { Cell::new(0) }; COUNT] };
        for (index, value) in [RCX, R11, FAULT_PC].into_iter().zip(stale) {
            file.words[index].set(value);
        }
        file.words[PC].set(pc);
        file.words[STATUS].set(status);
        file.words[ERROR].set(SYSTEM_CALL);
        file
    }

    /// The same where the entry stores everything.
    fn plain(pc: u64, status: u64) -> Registers {
        let file = entered(pc, status, [pc, status, pc.wrapping_sub(2)]);
        file.words[ERROR].set(0);
        file
    }

    proptest! {
        /// Whatever is written, and in whatever order, everybody reads what they would if a system call's entry stored everything. And the
        /// exit's promise holds as long as it stands: rcx is where the thread goes on, r11 its flags, and neither was written.
        #[test]
        fn what_a_system_call_does_not_store_is_read_all_the_same(
            pc in any::<u64>(),
            status in any::<u64>(),
            stale in any::<[u64; 3]>(),
            writes in prop::collection::vec((0..COUNT, any::<u64>()), 0..12),
        ) {
            let (file, expected) = (entered(pc, status, stale), plain(pc, status));
            let all = |file: &Registers| -> Vec<u64> {
                (0..COUNT).filter(|index| *index != ERROR).map(|index| file.get(index)).collect()
            };
            prop_assert_eq!(all(&file), all(&expected));
            for (index, value) in writes.into_iter().filter(|(index, _)| *index != ERROR) {
                file.set(index, value);
                expected.set(index, value);
                prop_assert_eq!(all(&file), all(&expected));
                let promise = [RCX, R11, PC, STATUS, FAULT_PC].map(|index| file.get(index));
                prop_assert!(!file.in_call() || promise == [pc, status, pc, status, pc.wrapping_sub(2)]);
            }
        }
    }
}
