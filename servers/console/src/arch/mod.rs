//! The serial port of an architecture's machines. Every architecture has the same names: `Uart`, `open`. Tests on any host have the one that is
//! reached by I/O ports, because each of its accesses is a system call.
#[cfg(all(target_arch = "aarch64", target_os = "none"))]
mod aarch64;
#[cfg(all(target_arch = "aarch64", target_os = "none"))]
pub use aarch64::*;
#[cfg(any(target_arch = "x86_64", not(target_os = "none")))]
mod x86_64;
#[cfg(any(target_arch = "x86_64", not(target_os = "none")))]
pub use x86_64::*;
