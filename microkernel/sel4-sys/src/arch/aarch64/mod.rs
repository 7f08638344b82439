//! aarch64 (libsel4 for `qemu-arm-virt`).
pub mod fault;
pub mod label;
pub mod object;
pub mod regs;
#[cfg(all(feature = "syscall", target_arch = "aarch64", target_os = "none"))]
pub mod stubs;
