//! aarch64: EL1, 4 KiB granule, 48-bit addresses.
pub mod context;
pub mod interrupts;
pub mod paging;
pub mod ports;
pub mod registers;
pub mod tables;

/// Where the kernel sees physical memory: virtual = physical + this.
pub const WINDOW: usize = 0xffff_0000_0000_0000;
