//! The system call, x86-64, `syscall`: rdi capability or badge, rsi tag, r10 r8 r9 r15 MR0..MR3, r12 reply capability, rdx number, r13 the
//! destination of a combined send. rcx and r11 are the processor's.
//!
//! The kernel need not keep the stack pointer (seL4's does not), so the stub keeps it in rbx, which LLVM has for itself: rbx's own
//! value waits in r14.
use crate::stubs::Received;
use crate::{Badge, MessageInfo};
use core::arch::asm;

/// The system call with all registers: everything else is a case of it.
#[inline(always)]
pub fn raw(number: i64, cap: u64, info: u64, mrs: [u64; 4], reply: u64, dest: u64) -> Received {
    let (mut cap, mut info) = (cap, info);
    let [mut m0, mut m1, mut m2, mut m3] = mrs;
    // SAFETY: the kernel changes only the registers named here; memory that it may change is the thread's IPC
    // buffer, which the clobbered memory of the default options covers. The stack pointer and rbx are put back.
    unsafe {
        asm!("mov r14, rbx", "mov rbx, rsp", "syscall", "mov rsp, rbx", "mov rbx, r14",
            inout("rdi") cap, inout("rsi") info, inout("r10") m0, inout("r8") m1, inout("r9") m2, inout("r15") m3,
            inout("r12") reply => _, inout("rdx") number => _, inout("r13") dest => _,
            out("rcx") _, out("r11") _, out("r14") _);
    }
    Received { info: MessageInfo(info), badge: Badge(cap), mrs: [m0, m1, m2, m3] }
}
