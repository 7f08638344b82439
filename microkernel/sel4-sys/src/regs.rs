//! The register file as TCB invocations transfer it (`seL4_UserContext`).
pub use crate::arch::regs::{FRAME_REGISTERS, USER_CONTEXT_WORDS, UserContext};

const _: () = assert!(size_of::<UserContext>() == 8 * USER_CONTEXT_WORDS);
