//! Compiles eBPF (RFC 9669, cpu v4) to AArch64 ([`a64`]) and x86-64 ([`x64`]).
//!
//! The compiler writes bytes into a slice of the caller and never maps or runs anything. It expects a *verified*
//! program: it checks that jumps and calls land inside the program, so that its own tables stay in bounds, and trusts
//! the verifier for everything else.
//!
//! A program is `extern "C" fn(rt: *const Runtime, ctx: *mut u8, len: u64) -> u64`; `rt` begins with a table of
//! [`abi::HELPER_SLOTS`] function pointers, and a helper is `extern "C" fn(rt, r1, r2, r3, r4, r5) -> u64`. The code is position independent.
#![no_std]
extern crate alloc;

pub mod a64;
mod program;
#[cfg(test)]
mod samples;
mod walk;
pub mod x64;

use core::fmt;

/// The examples of README.md are tests, too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use a64::Features;
pub use axiom_bpf_isa::{Insn, abi};
pub use program::Tables;
pub use walk::Width;

/// Why a program could not be compiled. `at` is an instruction slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompileError {
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

impl fmt::Display for CompileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            CompileError::NoRoom { needed } => {
                write!(f, "the compiled program needs {needed} bytes, more than its code frames hold")
            }
            CompileError::BadOpcode { at, op } => {
                write!(f, "instruction {at}: opcode {op:#04x} is not in the BPF instruction set")
            }
            CompileError::BadTarget { at, target } => {
                write!(f, "instruction {at}: jumps to slot {target}, outside the program")
            }
            CompileError::Unresolved { at } => {
                write!(f, "instruction {at}: loads an address that nothing resolves")
            }
            CompileError::UnknownHelper { at, id } => {
                write!(f, "instruction {at}: calls helper {id}, which does not exist")
            }
            CompileError::NoMemory => write!(f, "there is no memory left to compile it"),
            CompileError::TooLarge => {
                write!(f, "the compiled program exceeds 1 MiB, the reach of a conditional branch")
            }
        }
    }
}

impl core::error::Error for CompileError {}

/// What the compiler's tables take for an instruction, at most.
pub const TABLE_BYTES: usize = 16;

/// Turns a wide load with a pseudo source (`src`, `imm`, `next.imm`) into the value to load.
pub type Resolve<'a> = &'a dyn Fn(u8, i32, i32) -> Option<u64>;

/// Resolves nothing: for programs without maps.
pub fn no_maps(_src: u8, _imm: i32, _next: i32) -> Option<u64> {
    None
}

/// The numbers that constants are blinded by: xorshift64*, from a number that is not 0.
pub(crate) struct Keys(u64);

impl Keys {
    fn new(number: Option<u64>) -> Keys {
        Keys(number.unwrap_or(0) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}

/// One number of two, each bit of which depends on all bits of both (the end of SplitMix64).
fn mixed(one: u64, other: u64) -> u64 {
    let mut z = one.rotate_left(32).wrapping_add(other).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

mod machine {
    /// Machines are those of this crate.
    pub trait Sealed {}
}

/// A machine that programs are compiled for: the type of its features says which. Whoever names one machine only has only that
/// machine's compiler in its image.
pub trait Machine: machine::Sealed + Copy {
    /// The same, with another number to blind constants by, if it blinds them: it follows from the last one and this, which should be
    /// something that whoever wrote the program does not know, as when it is compiled.
    fn stirred(self, number: u64) -> Self;

    /// Compiles for a machine with these features.
    fn compile(
        self,
        tables: &mut Tables,
        program: &[Insn],
        resolve: Resolve,
        out: &mut [u8],
    ) -> Result<usize, CompileError>;
}

/// The machine that a server of this build runs on. A build for the host takes AArch64's, whose code it does not run.
#[cfg(all(target_os = "none", target_arch = "x86_64"))]
pub type Board = x64::Features;
/// The machine that a server of this build runs on. A build for the host takes AArch64's, whose code it does not run.
#[cfg(not(all(target_os = "none", target_arch = "x86_64")))]
pub type Board = a64::Features;

/// What the machine can do that runs this, as a server knows it: x86-64 says it itself, AArch64's extensions are `lse`, as the manifest says.
/// `blind`: constants are, by numbers that follow from what [`Compiler::stir`] is given.
#[cfg(all(target_os = "none", target_arch = "x86_64"))]
pub fn board(_lse: bool, blind: bool) -> Board {
    Board { blind: blind.then_some(0), ..Board::of_this_machine().unwrap_or_default() }
}
/// What the machine can do that runs this, as a server knows it: x86-64 says it itself, AArch64's extensions are `lse`, as the manifest says.
/// `blind`: constants are, by numbers that follow from what [`Compiler::stir`] is given.
#[cfg(not(all(target_os = "none", target_arch = "x86_64")))]
pub fn board(lse: bool, blind: bool) -> Board {
    Board { lse, blind: blind.then_some(0) }
}

/// The compiler: holds the tables that one compile needs, so that the next one allocates nothing.
#[derive(Default)]
pub struct Compiler<M = Board> {
    machine: M,
    tables: Tables,
}

impl<M: Machine> Compiler<M> {
    /// A compiler for a machine.
    pub fn new(machine: M) -> Compiler<M> {
        Compiler { machine, tables: Tables::default() }
    }

    /// From now on, whether functions clear their BPF stack first. The verifier says for which programs that is needed:
    /// those that may read a byte which only a store at a variable offset may have written.
    pub fn set_zero_stack(&mut self, zero: bool) {
        self.tables.zero_stack = zero;
    }

    /// Another number to blind constants by, from the last one and this.
    pub fn stir(&mut self, number: u64) {
        self.machine = self.machine.stirred(number);
    }

    /// Compiles `program` (entry at slot 0, functions reached by local calls behind it) into `out`; returns the
    /// length in bytes.
    pub fn compile(
        &mut self,
        program: &[Insn],
        resolve: Resolve,
        out: &mut [u8],
    ) -> Result<usize, CompileError> {
        self.machine.compile(&mut self.tables, program, resolve, out)
    }
}
