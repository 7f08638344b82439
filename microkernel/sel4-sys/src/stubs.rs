//! System call stubs: registers in, registers out. The typed wrappers are the runtime's business.
//! Which registers those are is in `arch/*/stubs`.
#[cfg(target_os = "none")]
use crate::arch::stubs::raw;
#[cfg(not(target_os = "none"))]
use crate::host::raw;
use crate::{Badge, CPtr, MessageInfo, syscall};

/// What a receiving system call delivers.
#[derive(Clone, Copy, Debug)]
pub struct Received {
    /// Tag of the message.
    pub info: MessageInfo,
    /// Badge of the sender's capability.
    pub badge: Badge,
    /// MR0..MR3.
    pub mrs: [u64; 4],
}

/// Sends and waits for the answer.
#[inline(always)]
pub fn call(dest: CPtr, info: MessageInfo, mrs: [u64; 4]) -> Received {
    raw(syscall::CALL, dest.0, info.0, mrs, 0, 0)
}

/// Sends, blocking.
#[inline(always)]
pub fn send(dest: CPtr, info: MessageInfo, mrs: [u64; 4]) {
    raw(syscall::SEND, dest.0, info.0, mrs, 0, 0);
}

/// Sends if somebody waits. Signals a notification.
#[inline(always)]
pub fn nb_send(dest: CPtr, info: MessageInfo, mrs: [u64; 4]) {
    raw(syscall::NB_SEND, dest.0, info.0, mrs, 0, 0);
}

/// Signals a notification.
#[inline(always)]
pub fn signal(dest: CPtr) {
    raw(syscall::SEND, dest.0, 0, [0; 4], 0, 0);
}

/// Receives with a reply object.
#[inline(always)]
pub fn recv(src: CPtr, reply: CPtr) -> Received {
    raw(syscall::RECV, src.0, 0, [0; 4], reply.0, 0)
}

/// Receives if somebody sends; else the badge is 0.
#[inline(always)]
pub fn nb_recv(src: CPtr, reply: CPtr) -> Received {
    raw(syscall::NB_RECV, src.0, 0, [0; 4], reply.0, 0)
}

/// Answers through `reply`, then receives.
#[inline(always)]
pub fn reply_recv(src: CPtr, info: MessageInfo, mrs: [u64; 4], reply: CPtr) -> Received {
    raw(syscall::REPLY_RECV, src.0, info.0, mrs, reply.0, 0)
}

/// Sends to `dest` if somebody waits there, then receives.
#[inline(always)]
pub fn nb_send_recv(dest: CPtr, info: MessageInfo, mrs: [u64; 4], src: CPtr, reply: CPtr) -> Received {
    raw(syscall::NB_SEND_RECV, src.0, info.0, mrs, reply.0, dest.0)
}

/// Sends to `dest` if somebody waits there, then waits on `src` without a reply object.
#[inline(always)]
pub fn nb_send_wait(dest: CPtr, info: MessageInfo, mrs: [u64; 4], src: CPtr) -> Received {
    raw(syscall::NB_SEND_WAIT, src.0, info.0, mrs, dest.0, 0)
}

/// Waits for a notification or a message without a reply object.
#[inline(always)]
pub fn wait(src: CPtr) -> Received {
    raw(syscall::WAIT, src.0, 0, [0; 4], 0, 0)
}

/// Polls a notification.
#[inline(always)]
pub fn nb_wait(src: CPtr) -> Received {
    raw(syscall::NB_WAIT, src.0, 0, [0; 4], 0, 0)
}

/// Gives the rest of the budget up.
#[inline(always)]
pub fn yield_now() {
    raw(syscall::YIELD, 0, 0, [0; 4], 0, 0);
}

/// Any of the debugging calls, with its first argument; what it leaves in the first register.
pub fn debug_call(number: i64, argument: u64) -> u64 {
    raw(number, argument, 0, [0; 4], 0, 0).badge.0
}

/// Prints one byte on the kernel's debug UART.
#[inline(always)]
pub fn debug_put_char(byte: u8) {
    raw(syscall::DEBUG_PUT_CHAR, u64::from(byte), 0, [0; 4], 0, 0);
}

/// Stops the machine.
pub fn debug_halt() {
    raw(syscall::DEBUG_HALT, 0, 0, [0; 4], 0, 0);
}

/// Names a thread in the kernel's diagnostics. The name's bytes travel in the IPC buffer, NUL at the end.
pub fn debug_name_thread(tcb: CPtr) {
    raw(syscall::DEBUG_NAME_THREAD, tcb.0, 0, [0; 4], 0, 0);
}
