//! The one architecture that is compiled in. Every architecture has the same files with the same names:
//! `boot` (first instructions), `console`, `cpu`, `fpu`, `irq`, `stack`, `timer`, `translation`, `trap`. What of an architecture is
//! plain data (register files, the format of tables) is in `axiom_objects::arch`.
#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "aarch64")]
pub use aarch64::*;
#[cfg(not(target_arch = "aarch64"))]
compile_error!("the kernel has no port to this architecture yet: src/arch has aarch64");
