//! The heap of a server that has time for one: a fixed arena of [`blocks`]. The price of its speed is up to half of each block.
//!
//! A server has a heap by `use axiom_heap as _;`, and only so: without this crate nothing in it can allocate, since a program that
//! links `alloc` without an allocator is not built. Servers on which others wait in real time do without; `axiom-check` names them,
//! and refuses this crate to them. The image says in a note that it has a heap, by which compose knows whether `heap_kib` means
//! something.
//!
//! On the developer's machine only the [`blocks`] are there, for tests.
#![cfg_attr(target_os = "none", no_std)]

pub mod blocks;
#[cfg(target_os = "none")]
mod server;
#[cfg(target_os = "none")]
pub use server::{has, used};
