//! The one architecture that is compiled in. Every architecture has the same files with the same names: `boot` (first instructions),
//! `console`, `controller` (of interrupts), `cpu`, `firmware` (what describes the machine), `fpu`, `irq`, `paging`, `port`, `stack`,
//! `timer`, `translation`, `trap`, and the linker's script. What of an architecture is plain data (register files, the format of
//! tables) is in `axiom_objects::arch`.
#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "aarch64")]
pub use aarch64::*;
#[cfg(target_arch = "x86_64")]
mod x86_64;
#[cfg(target_arch = "x86_64")]
pub use x86_64::*;
#[cfg(not(any(target_arch = "aarch64", target_arch = "x86_64")))]
compile_error!("the kernel has no port to this architecture yet: src/arch has aarch64 and x86_64");
