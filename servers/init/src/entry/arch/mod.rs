//! The first instructions: a stack, and `init_main` with what the kernel left in the first argument's register.
use super::{STACK, STACK_SIZE};

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "x86_64")]
mod x86_64;
