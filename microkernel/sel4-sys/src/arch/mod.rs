//! What differs between architectures. Each has the same files with the same names: `fault`, `label`, `object`, `regs`, `stubs`.
//!
//! Numbers are plain data, so every architecture's are there for tools and tests (`arch::aarch64`, `arch::x86_64`); the crate's own modules
//! have those of the one that is compiled for. The host takes the first one's, or x86-64's with `--cfg axiom_arch="x86_64"`.
pub mod aarch64;
pub mod x86_64;

#[cfg(not(any(axiom_arch = "x86_64", all(target_arch = "x86_64", target_os = "none"))))]
pub use aarch64::*;
#[cfg(any(axiom_arch = "x86_64", all(target_arch = "x86_64", target_os = "none")))]
pub use x86_64::*;

#[cfg(all(target_os = "none", not(any(target_arch = "aarch64", target_arch = "x86_64"))))]
compile_error!("the ABI is known for aarch64 and x86_64: src/arch has a folder for each");
