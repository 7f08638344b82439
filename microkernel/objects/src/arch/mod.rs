//! What an architecture says of itself: a thread's registers, the format of translation tables, how interrupts are wired, whether there
//! are I/O ports. Plain data, so all of it runs on the host, which takes the first architecture's, or x86-64's with
//! `--cfg axiom_arch="x86_64"`.
//!
//! Every architecture has the same files with the same names: `context`, `interrupts`, `paging`, `ports`, `registers`, `tables`. What they do to
//! invocations is in `invoke/arch`.
#[cfg(not(any(axiom_arch = "x86_64", all(target_arch = "x86_64", target_os = "none"))))]
mod aarch64;
#[cfg(any(axiom_arch = "x86_64", all(target_arch = "x86_64", target_os = "none")))]
mod x86_64;

#[cfg(not(any(axiom_arch = "x86_64", all(target_arch = "x86_64", target_os = "none"))))]
pub use aarch64::*;
#[cfg(any(axiom_arch = "x86_64", all(target_arch = "x86_64", target_os = "none")))]
pub use x86_64::*;

#[cfg(all(target_os = "none", not(any(target_arch = "aarch64", target_arch = "x86_64"))))]
compile_error!("the kernel has no port to this architecture yet: objects/src/arch has aarch64 and x86_64");
