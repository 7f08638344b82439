//! AArch64: the assembler (whose names are this module's) and the emission of each instruction.
//!
//! # Calling convention
//!
//! BPF's r0..r5 *are* x0..x5: entering a program, calling a helper and returning move nothing.
//!
//! | BPF | AArch64 |
//! |---|---|
//! | r0..r5 | x0..x5 |
//! | r6..r9 | x19..x22, or x9..x12 in a function that calls nothing (nothing to save then) |
//! | r10 | none: SP plus a constant, because r10 never changes |
//! | runtime | x23, only when a helper is called |
//! | scratch | x13..x17 |
//!
//! A function gets a stack frame only if it calls something or touches its BPF stack. `mov` + `add` pairs, shift pairs
//! that extend, comparisons with zero and single-bit tests are fused into one instruction.
//!
//! Division needs no branches: AArch64 defines x / 0 = 0 and INT_MIN / -1 = INT_MIN, which is what BPF wants, and
//! the remainder follows from it.

mod alu;
mod asm;
mod atomics;
mod emit;
mod plain;
#[cfg(test)]
mod tests;

pub use asm::*;

use crate::{CompileError, Insn, Machine, Resolve, Tables, machine, mixed};

/// What the target machine can do beyond ARMv8.0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// Large system extensions: single-instruction atomics (ARMv8.1; Cortex-A76 yes, Cortex-A53 no).
    pub lse: bool,
    /// Constants of the program do not appear in the code: each is split by a number that follows from this one, which nobody may know. An
    /// instruction has four bytes and begins at a multiple of four, so no constant becomes one here as on x86-64; 16 bits of each at a time
    /// are in executable memory all the same, where nobody blinds them.
    pub blind: Option<u64>,
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
