//! x86-64: long mode, four levels of tables, local APIC and I/O APICs.
pub mod context;
pub mod interrupts;
pub mod paging;
pub mod ports;
pub mod registers;
pub mod tables;

/// Where the kernel sees physical memory: virtual = physical + this.
pub const WINDOW: usize = 0xffff_8000_0000_0000;
