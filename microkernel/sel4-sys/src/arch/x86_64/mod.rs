//! x86-64 (libsel4 for `pc99`), 1 GiB pages, without IOMMU and virtualisation.
pub mod fault;
pub mod label;
pub mod object;
pub mod regs;
#[cfg(all(feature = "syscall", target_arch = "x86_64", target_os = "none"))]
pub mod stubs;
