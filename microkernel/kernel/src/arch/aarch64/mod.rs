//! aarch64: EL1, 4 KiB granule, 48-bit addresses, GICv2 or GICv3, the virtual generic timer.
pub mod boot;
pub mod console;
mod controller;
pub mod cpu;
pub mod firmware;
pub mod fpu;
pub mod irq;
pub mod paging;
pub mod port;
pub mod stack;
pub mod timer;
pub mod translation;
pub mod trap;
