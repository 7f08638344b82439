//! Registers of the BCM2712, the Raspberry Pi 5's processor, and of RP1, its I/O chip: offsets, fields and access rights as
//! types, for bare-metal code. It builds on `axiom-mmio`, which is the access to registers and nothing else; no operating system, nothing
//! that runs before `main`.
//!
//! A [`Block`] is one peripheral's registers, reached by an [`Io`]: [`Mmio`] on the machine, anything else in tests. A register
//! knows its block, its offset, the type of its value, and whether it may be read or written; the wrong use does not compile:
//!
//! ```
//! use bcm2712_pac::{Block, Io, rp1::rio};
//!
//! struct Model(core::cell::Cell<u32>);
//! impl Io for Model {
//!     fn read(&self, _offset: usize) -> u32 { self.0.get() }
//!     fn write(&self, offset: usize, value: u32) {
//!         assert_eq!(offset, 0x2000); // OUT's atomic SET view
//!         self.0.set(self.0.get() | value);
//!     }
//! }
//! let rio: Block<rio::Rio, Model> = Block::new(Model(0.into()));
//! rio.set(rio::OUT, 1 << 17);
//! assert_eq!(rio.read(rio::OUT).0, 1 << 17);
//! ```
//!
//! ```compile_fail
//! use bcm2712_pac::{Block, Io, rp1::{rio, i2c}};
//! fn wrong<I: Io>(rio: &Block<rio::Rio, I>) {
//!     rio.read(i2c::CON); // a register of another block
//! }
//! ```
//!
//! ```compile_fail
//! use bcm2712_pac::{Block, Io, rp1::rio};
//! fn wrong<I: Io>(rio: &Block<rio::Rio, I>) {
//!     rio.write(rio::IN, rio::Lines(0)); // IN can only be read
//! }
//! ```
//!
//! **Sources.** The chip's data sheet is not public. Each block names where its numbers come from: Linux's device trees and
//! drivers (`raspberrypi/linux`, `torvalds/linux`), Arm Trusted Firmware, the Circle bare-metal library, Raspberry Pi's RP1
//! documentation. Facts that are disputed or known from one report only say so. What this project ran of it, it ran on a model of
//! the board, not yet on a board: `docs` of the block say "model only" where a register was used at all.
#![no_std]
#[cfg(test)]
extern crate std;

pub mod rp1;
pub mod soc;

/// The examples of README.md are tests, too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use axiom_mmio::{Atomic, Block, Io, Mmio, ReadOnly, ReadWrite, Readable, Register, Writable, WriteOnly};
