//! What an architecture says of itself: a thread's registers, the format of translation tables. Plain data, so all of it runs on
//! the host, which takes the first architecture's.
//!
//! Every architecture has the same files with the same names: `context`, `paging`, `registers`.
#[cfg(any(target_arch = "aarch64", not(target_os = "none")))]
mod aarch64;
#[cfg(any(target_arch = "aarch64", not(target_os = "none")))]
pub use aarch64::*;
#[cfg(not(any(target_arch = "aarch64", not(target_os = "none"))))]
compile_error!("the kernel has no port to this architecture yet: objects/src/arch has aarch64");
