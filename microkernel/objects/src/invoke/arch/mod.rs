//! What an architecture does to invocations. Every architecture has the same files with the same names: `irq_control` (which interrupts
//! IRQControl hands out), `ports`, `vspace` (tables and frames, maintenance of caches).
#[cfg(not(any(axiom_arch = "x86_64", all(target_arch = "x86_64", target_os = "none"))))]
mod aarch64;
#[cfg(any(axiom_arch = "x86_64", all(target_arch = "x86_64", target_os = "none")))]
mod x86_64;

#[cfg(not(any(axiom_arch = "x86_64", all(target_arch = "x86_64", target_os = "none"))))]
pub use aarch64::*;
#[cfg(any(axiom_arch = "x86_64", all(target_arch = "x86_64", target_os = "none")))]
pub use x86_64::*;
