//! Registers of devices, typed: the layer that every driver reads and writes its device through, and the only place where a register
//! is touched with `unsafe`.
//!
//! A [`Block`] is one peripheral's registers, reached by an [`Io`]: [`Mmio`] on the machine, anything else in tests. A register knows its
//! block, its offset, the type of its value, and whether it may be read or written; the wrong use does not compile. [`block!`] declares
//! a block with its registers, [`value!`] the fields of registers:
//!
//! ```
//! mod timer {
//!     axiom_mmio::value! {
//!         /// What the timer does.
//!         Control {
//!             /// It runs.
//!             runs / with_runs: [0]
//!             /// What its clock is divided by.
//!             divider / with_divider: [11:8]
//!         }
//!     }
//!     axiom_mmio::block! {
//!         /// A timer.
//!         Timer from "an example";
//!         /// What it does.
//!         CONTROL @ 0x0: Control, ReadWrite;
//!         /// The time.
//!         COUNT @ 0x4: u32, ReadOnly;
//!     }
//! }
//! use axiom_mmio::{Block, Io};
//!
//! struct Model(core::cell::Cell<u32>);
//! impl Io for Model {
//!     fn read(&self, _offset: usize) -> u32 { self.0.get() }
//!     fn write(&self, offset: usize, value: u32) {
//!         assert_eq!(offset, 0);
//!         self.0.set(value);
//!     }
//! }
//! let block: Block<timer::Timer, Model> = Block::new(Model(0.into()));
//! block.modify(timer::CONTROL, |c| c.with_runs(true).with_divider(3));
//! assert_eq!(block.read(timer::CONTROL).0, 0x301);
//! ```
//!
//! ```compile_fail
//! axiom_mmio::block! {
//!     /// A timer.
//!     Timer from "an example";
//!     /// The time.
//!     COUNT @ 0x4: u32, ReadOnly;
//! }
//! fn wrong<I: axiom_mmio::Io>(timer: &axiom_mmio::Block<Timer, I>) {
//!     timer.write(COUNT, 0); // it can only be read
//! }
//! ```
#![no_std]
#[cfg(test)]
extern crate std;

mod access;
mod macros;
#[cfg(test)]
mod tests;

pub use access::{Atomic, Block, Io, Mmio, ReadOnly, ReadWrite, Readable, Register, Writable, WriteOnly};
