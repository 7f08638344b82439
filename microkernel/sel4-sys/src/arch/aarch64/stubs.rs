//! The system call, aarch64, `svc #0`: x0 capability or badge, x1 tag, x2..x5 MR0..MR3, x6 reply capability, x7 number, x8 the
//! destination of a combined send.
use crate::stubs::Received;
use crate::{Badge, MessageInfo};
use core::arch::asm;

/// The system call with all registers: everything else is a case of it.
#[inline(always)]
pub fn raw(number: i64, x0: u64, info: u64, mrs: [u64; 4], reply: u64, dest: u64) -> Received {
    let (mut x0, mut x1) = (x0, info);
    let [mut m0, mut m1, mut m2, mut m3] = mrs;
    // SAFETY: the kernel changes only the registers named here; memory that it may change is the thread's IPC
    // buffer, which the clobbered memory of the default options covers.
    unsafe {
        asm!("svc #0",
            inout("x0") x0, inout("x1") x1, inout("x2") m0, inout("x3") m1, inout("x4") m2, inout("x5") m3,
            in("x6") reply, in("x7") number, in("x8") dest, options(nostack));
    }
    Received { info: MessageInfo(x1), badge: Badge(x0), mrs: [m0, m1, m2, m3] }
}
