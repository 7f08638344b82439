//! What the runtime needs of an architecture: the first instructions of a program, counters, what makes instructions visible, an exception of
//! one's own, copies. Every architecture has the same names.
#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "aarch64")]
pub use aarch64::*;
#[cfg(target_arch = "x86_64")]
mod x86_64;
#[cfg(target_arch = "x86_64")]
pub use x86_64::*;
