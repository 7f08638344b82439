//! The first instructions on AArch64.
use core::arch::global_asm;

global_asm!(
    ".global _start",
    "_start:",
    "adrp x9, {stack}",
    "add x9, x9, #:lo12:{stack}",
    "mov x10, #{size}",
    "add sp, x9, x10",
    "mov x29, xzr",
    "mov x30, xzr",
    "bl init_main",
    "b .",
    stack = sym super::STACK,
    size = const super::STACK_SIZE,
);
