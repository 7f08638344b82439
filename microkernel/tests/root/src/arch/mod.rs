//! What the test root tasks need of an architecture: the entry, thread pointer, counters, faults, a thread's first registers, the tables
//! of an address space, a device that interrupts. Every architecture has the same names: `checks`, `device` and what is here.
#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "aarch64")]
pub use aarch64::*;
#[cfg(target_arch = "x86_64")]
mod x86_64;
#[cfg(target_arch = "x86_64")]
pub use x86_64::*;
