//! What the kernel decides at boot from bytes that come from outside: the device tree, the initial RAM disk, the root
//! task's ELF file.
//!
//! Nothing here touches a machine, so all of it runs on the host. Whoever loaded the kernel wrote those bytes, and may be
//! wrong: every number is checked before it is used, every list is honoured to its end or refused, and a [`Refusal`] is a
//! sentence that says what, where, and what to try. Nothing is allocated, and nothing panics.
#![no_std]
#![forbid(unsafe_code)]

pub mod chosen;
pub mod elf;
pub mod gic;
pub mod memory;
pub mod pc;
pub mod ranges;
mod refusal;

pub use elf::Elf;
pub use ranges::{Ranges, TooManyPieces};
pub use refusal::{Name, Refusal};
