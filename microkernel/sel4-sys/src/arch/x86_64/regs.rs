//! The register file as TCB invocations transfer it (`seL4_UserContext`, x86-64).

/// Words of a user context.
pub const USER_CONTEXT_WORDS: usize = 20;
/// Words of the frame registers, the first part.
pub const FRAME_REGISTERS: usize = 18;

/// The registers of a thread in the order of TCB_ReadRegisters and TCB_WriteRegisters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
#[allow(missing_docs)]
pub struct UserContext {
    pub rip: u64,
    pub rsp: u64,
    pub rflags: u64,
    pub rax: u64,
    pub rbx: u64,
    pub rcx: u64,
    pub rdx: u64,
    pub rsi: u64,
    pub rdi: u64,
    pub rbp: u64,
    pub r8: u64,
    pub r9: u64,
    pub r10: u64,
    pub r11: u64,
    pub r12: u64,
    pub r13: u64,
    pub r14: u64,
    pub r15: u64,
    pub fs_base: u64,
    pub gs_base: u64,
}
