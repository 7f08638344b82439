#![no_std]
//! libbpf-style ELF objects: programs, maps, BTF, line info.
