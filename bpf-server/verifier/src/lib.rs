#![no_std]
//! Abstract interpretation of eBPF programs.
