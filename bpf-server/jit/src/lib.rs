#![no_std]
//! eBPF to aarch64 machine code.
