//! x86-64: the assembler (whose names are this module's) and the emission of each instruction.
//!
//! # Calling convention
//!
//! As on every machine, `extern "C" fn(rt, ctx, len) -> u64` and helpers `extern "C" fn(rt, r1, r2, r3, r4, r5) -> u64`: BPF's r1..r5 *are* the
//! second to sixth argument registers, so entering a program, calling a helper and returning move nothing but `rt`.
//!
//! | BPF | x86-64 |
//! |---|---|
//! | r0 | rax |
//! | r1..r5 | rsi, rdx, rcx, r8, r9 |
//! | r6..r9 | rbx, r14, r15, r13 |
//! | r10 | rbp, only in a function that names it |
//! | runtime | r12, only when a helper is called |
//! | scratch | r10, r11, rdi |
//!
//! A function saves what it names. Moves, shifts and additions that make an address go into the instruction that uses it; a comparison stands
//! directly before its branch, where the processor fuses them; a division by a constant is a multiplication.
//!
//! What x86 does otherwise than BPF is caught by code, not by luck: a zero divisor (#DE there), `INT_MIN / -1` (#DE, too), `shl` by 0 and
//! `cmpxchg` that leave a register's upper half alone, shift counts that must be in CL.

mod alu;
mod asm;
mod atomics;
mod divide;
mod emit;
mod fuse;
mod plain;
#[cfg(test)]
mod tests;

pub use asm::*;

use crate::{CompileError, Insn, Machine, Resolve, Tables, machine, mixed};

/// What the target machine can do beyond x86-64 as AMD defined it, and what it is to do for safety.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// CPUID.(EAX=7,ECX=0):EBX bit 8: `shlx`, `shrx`, `sarx`, whose counts may be in any register.
    pub bmi2: bool,
    /// Constants of the program do not appear in the code: each is split by a number that follows from this one, which nobody may know. It
    /// takes the one thing from whoever writes a program that verification does not: bytes of his choice in executable memory.
    pub blind: Option<u64>,
}

impl Features {
    /// What the machine that runs this can do, constants as they are; `None` if it is no x86-64.
    pub fn of_this_machine() -> Option<Features> {
        #[cfg(not(target_arch = "x86_64"))]
        return None;
        #[cfg(target_arch = "x86_64")]
        {
            use core::arch::x86_64::{__cpuid, __cpuid_count};
            // SAFETY: every x86-64 has CPUID; it changes nothing. (Newer libraries call that safe by themselves.)
            #[allow(unused_unsafe)]
            let bmi2 = unsafe { __cpuid(0).eax >= 7 && __cpuid_count(7, 0).ebx & 1 << 8 != 0 };
            Some(Features { bmi2, blind: None })
        }
    }
}

impl machine::Sealed for Features {}

impl Machine for Features {
    fn stirred(self, number: u64) -> Self {
        Features { blind: self.blind.map(|blind| mixed(blind, number)), ..self }
    }

    fn compile(
        self,
        tables: &mut Tables,
        program: &[Insn],
        resolve: Resolve,
        out: &mut [u8],
    ) -> Result<usize, CompileError> {
        emit::compile::<true>(self, tables, program, resolve, out)
    }
}
