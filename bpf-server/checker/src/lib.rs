//! The checker: says whether a program stays inside its memory and ends, by checking a proof of it.
//!
//! *Nothing loads that this crate has not accepted*, and nothing else has a say. A proof ([`proof`]) states, for each
//! instruction that a jump leads to, what is known there; who wrote it, and how, does not matter. [`mod@check`] passes over the
//! program once, in order, starts at each such place from what is stated there, executes on what is known instead of on
//! values ([`alu`], [`memory`], [`branch`], [`call`]), and requires at each jump that what has come about implies what is
//! stated where it leads ([`edge`]). By induction over the steps of a run, what is stated holds whenever a run comes by.
//!
//! That it ends: each stated place has a budget of instructions, a number less multiples of the ghost counters of the
//! loops around it. Every way from one place to the next must pay for the instructions on it. Budgets are never negative,
//! so a run executes no more instructions than the entry's budget: that is the worst case. There is no rule about loops.
//!
//! No heuristics, no recursion, no unsafe code. Memory: [`MEMORY`], and 64 bytes at most for each function context that the
//! proof names, which is asked for. Time: linear in the program's instructions, once for each context, and in the proof's bytes.
//!
//! A wrong proof, whatever is in it, costs a refusal.
#![no_std]
#![forbid(unsafe_code)]
extern crate alloc;

mod ahead;
pub mod alu;
pub mod bits;
mod branch;
mod call;
mod check;
pub mod edge;
mod fault;
mod memory;
pub mod num;
pub mod proof;
pub mod refine;
pub mod registers;
pub mod ring;
pub mod shape;
pub mod state;
pub mod step;

/// The examples of README.md are tests, too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use check::{check, come_back, enter, leave, observe};
pub use fault::{Fault, Why};
pub use num::Num;
pub use step::Machine;

use alloc::vec::Vec;
use axiom_bpf_isa::{CtxLayout, MapDef};

/// What is known of the number in a register.
pub type Number = Num<64, 32>;

/// How much a program may do.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Instructions in the worst case.
    pub instructions: u64,
    /// Instructions that analysis or checker look at before they give up.
    pub work: u64,
    /// Bytes of stack, all nested functions together.
    pub stack: u32,
    /// Whether so many more bytes of memory can be had: asked again and again; analysis and checker give up before they
    /// cannot. `None`: there is always enough.
    pub room: Option<fn(usize) -> bool>,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { instructions: 1_000_000, work: 2_000_000, stack: 4096, room: None }
    }
}

/// What a program may use.
#[derive(Clone, Copy)]
pub struct Env<'a> {
    /// Maps by index.
    pub maps: &'a [MapDef],
    /// Contents of read-only maps, by index; may be shorter than `maps`.
    pub contents: &'a [Option<&'a [u8]>],
    /// The context that r1 points to.
    pub ctx: CtxLayout,
    /// Helpers that it may call; `None` = all.
    pub helpers: Option<&'a [u32]>,
    /// Limits.
    pub limits: Limits,
}

/// Calls of Axiom's own helpers that a program may have, each counted once for every combination of constants.
pub const MAX_OWN_CALLS: usize = 256;
/// Memory that a check takes beside its contexts.
pub const MEMORY: usize = 64 << 10;

/// A call of one of Axiom's own helpers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct OwnCall {
    /// Which instruction.
    pub insn: u32,
    /// The helper's number.
    pub helper: u32,
    /// The first two arguments, where they are the same constant whenever this way of the analysis comes by. A call is
    /// listed once for every combination that it can have.
    pub args: [Option<u64>; 2],
}

/// What is proved of an accepted program.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Accepted {
    /// It executes at most this many instructions.
    pub max_insns: u64,
    /// Bytes of stack in use at the deepest nesting.
    pub stack_depth: u32,
    /// It may read stack that only a store with a computed index may have written: its stack must be zeroed before each
    /// run, or it may see what was there before.
    pub zero_stack: bool,
    /// Numbers of the helpers that it may call.
    pub helpers: Vec<u32>,
    /// Indices of the maps that it names.
    pub maps: Vec<u32>,
    /// Its calls of Axiom's own helpers, in order: at most [`MAX_OWN_CALLS`].
    pub own_calls: Vec<OwnCall>,
}
