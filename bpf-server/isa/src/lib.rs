//! The eBPF instruction set (RFC 9669, cpu v4) and what programs, verifier, compilers and hosting servers share:
//! helper numbers, map shapes, contexts, the calling convention. Data and decoding only; no dependencies.
#![no_std]
#[cfg(feature = "alloc")]
extern crate alloc;

pub mod abi;
pub mod ctx;
pub mod disasm;
pub mod helper;
pub mod insn;
pub mod line;
pub mod linux;
pub mod map;
pub mod printk;
pub mod proto;

/// The examples of README.md are tests, too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use ctx::{CtxLayout, ProgramKind};
pub use insn::{Insn, alu, atomic, jump, opcode, pseudo};
pub use line::{LineInfo, Lines};
pub use map::{MapDef, MapType};
pub use proto::{Arg, HelperProto, Returns};
