//! x86-64: long mode, xAPIC and I/O APICs, the time stamp counter.
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
