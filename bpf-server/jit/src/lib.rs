//! Compiles eBPF (RFC 9669, cpu v4) to AArch64.
//!
//! The compiler writes bytes into a slice of the caller and never maps or runs anything. It expects a *verified*
//! program: it checks that jumps and calls land inside the program, so that its own tables stay in bounds, and trusts
//! the verifier for everything else.
//!
//! # Calling convention
//!
//! A program is `extern "C" fn(rt: *const Runtime, ctx: *mut u8, len: u64) -> u64`; `rt` begins with a table of
//! [`abi::HELPER_SLOTS`] function pointers, and a helper is `extern "C" fn(rt, r1, r2, r3, r4, r5) -> u64`. So BPF's
//! r0..r5 *are* x0..x5: entering a program, calling a helper and returning move nothing. The code is position
//! independent.
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
#![no_std]
extern crate alloc;

pub mod a64;
mod atomics;
mod emit;

use alloc::vec::Vec;
use core::fmt;

pub use axiom_bpf_isa::{Insn, abi};

/// What the target machine can do beyond ARMv8.0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// Large system extensions: single-instruction atomics (ARMv8.1; Cortex-A76 yes, Cortex-A53 no).
    pub lse: bool,
}

/// Why a program could not be compiled. `at` is an instruction slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The output slice is too small.
    NoRoom {
        /// Bytes that the code needs.
        needed: usize,
    },
    /// An opcode that is not in the instruction set.
    BadOpcode {
        /// Where.
        at: usize,
        /// Which.
        op: u8,
    },
    /// A jump or call that leaves the program.
    BadTarget {
        /// Where.
        at: usize,
        /// The slot it names.
        target: i64,
    },
    /// A wide load whose map or address the loader did not resolve.
    Unresolved {
        /// Where.
        at: usize,
    },
    /// A helper number without a table slot.
    UnknownHelper {
        /// Where.
        at: usize,
        /// The number.
        id: u32,
    },
    /// More code than conditional branches reach (1 MiB).
    TooLarge,
    /// There is no memory for the compiler's tables.
    NoMemory,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Error::NoRoom { needed } => {
                write!(f, "the compiled program needs {needed} bytes, more than its code frames hold")
            }
            Error::BadOpcode { at, op } => {
                write!(f, "instruction {at}: opcode {op:#04x} is not in the BPF instruction set")
            }
            Error::BadTarget { at, target } => {
                write!(f, "instruction {at}: jumps to slot {target}, outside the program")
            }
            Error::Unresolved { at } => write!(f, "instruction {at}: loads an address that nothing resolves"),
            Error::UnknownHelper { at, id } => {
                write!(f, "instruction {at}: calls helper {id}, which does not exist")
            }
            Error::NoMemory => write!(f, "there is no memory left to compile it"),
            Error::TooLarge => {
                write!(f, "the compiled program exceeds 1 MiB, the reach of a conditional branch")
            }
        }
    }
}

impl core::error::Error for Error {}

/// What the compiler's tables take for an instruction, at most.
pub const TABLE_BYTES: usize = 16;

/// Turns a wide load with a pseudo source (`src`, `imm`, `next.imm`) into the value to load.
pub type Resolve<'a> = &'a dyn Fn(u8, i32, i32) -> Option<u64>;

/// Resolves nothing: for programs without maps.
pub fn no_maps(_src: u8, _imm: i32, _next: i32) -> Option<u64> {
    None
}

/// The compiler: holds the tables that one compile needs, so that the next one allocates nothing.
#[derive(Default)]
pub struct Compiler {
    features: Features,
    zero_stack: bool,
    /// Word offset of each instruction slot; before emission, flags (see `emit`).
    offsets: Vec<u32>,
    functions: Vec<emit::Function>,
    fixups: Vec<emit::Fixup>,
}

impl Compiler {
    /// A compiler for a machine.
    pub fn new(features: Features) -> Compiler {
        Compiler { features, ..Compiler::default() }
    }

    /// From now on, whether functions clear their BPF stack first. The verifier says for which programs that is needed:
    /// those that may read a byte which only a store at a variable offset may have written.
    pub fn set_zero_stack(&mut self, zero: bool) {
        self.zero_stack = zero;
    }

    /// Compiles `program` (entry at slot 0, functions reached by local calls behind it) into `out`; returns the
    /// length in bytes.
    pub fn compile(&mut self, program: &[Insn], resolve: Resolve, out: &mut [u8]) -> Result<usize, Error> {
        emit::compile(self, program, resolve, out)
    }
}
