#![no_std]
//! eBPF instruction set (RFC 9669), helper prototypes, map and context descriptions.
