//! What init needs of an architecture: its own first instructions, a thread without a stack, first registers, page tables, interrupts, devices
//! that no description names. Every architecture has the same names. On the developer's machine it is the architecture whose rules of the
//! kernel the tests run on.
#[cfg(not(any(axiom_arch = "x86_64", all(target_arch = "x86_64", target_os = "none"))))]
mod aarch64;
#[cfg(not(any(axiom_arch = "x86_64", all(target_arch = "x86_64", target_os = "none"))))]
pub use aarch64::*;
#[cfg(any(axiom_arch = "x86_64", all(target_arch = "x86_64", target_os = "none")))]
mod x86_64;
#[cfg(any(axiom_arch = "x86_64", all(target_arch = "x86_64", target_os = "none")))]
pub use x86_64::*;

/// Where the thread begins that answers for a server which stays down. On the developer's machine nobody runs it.
pub fn down() -> u64 {
    #[cfg(target_os = "none")]
    {
        // It has no stack and no IPC buffer; it is in assembler.
        unsafe extern "C" {
            fn axiom_down();
        }
        axiom_down as *const () as u64
    }
    #[cfg(not(target_os = "none"))]
    axiom_layout::address::INIT
}

#[cfg(not(target_os = "none"))]
mod host;
#[cfg(not(target_os = "none"))]
pub use host::{set_ticks, ticks};

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
