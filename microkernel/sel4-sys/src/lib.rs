#![no_std]
//! The seL4 MCS ABI and the Axiom extensions, for kernel and user space.
