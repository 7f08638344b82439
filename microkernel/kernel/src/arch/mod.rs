//! The one architecture that is compiled in. Every architecture has the same files with the same names:
//! `boot` (first instructions), `console`, `cpu`, `fpu`, `irq`, `timer`, `trap`, `vspace`.
#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "aarch64")]
pub use aarch64::*;
#[cfg(not(target_arch = "aarch64"))]
compile_error!("the kernel has no port to this architecture yet: src/arch has aarch64");
