//! What init needs of an architecture: its own first instructions, a thread without a stack, first registers, page tables, interrupts, devices
//! that no description names. Every architecture has the same names.
#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "aarch64")]
pub use aarch64::*;
#[cfg(target_arch = "x86_64")]
mod x86_64;
#[cfg(target_arch = "x86_64")]
pub use x86_64::*;

/// A kind of page table: type, size, and the invocation that maps one.
#[derive(Clone, Copy)]
pub struct Table {
    /// Its type.
    pub kind: u64,
    /// Its size, as a power of two.
    pub bits: u32,
    /// What maps it.
    pub label: u64,
}
