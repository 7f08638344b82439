//! The first instructions on x86-64.
use core::arch::global_asm;

global_asm!(
    ".global _start",
    "_start:",
    "lea rsp, [rip + {stack} + {size}]",
    "xor ebp, ebp",
    "call init_main",
    "ud2",
    stack = sym super::STACK,
    size = const super::STACK_SIZE,
);
