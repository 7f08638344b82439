//! Checks of what only this architecture has: a program counter that is no multiple of four. Its cache operations are checked on the host.
use crate::same;
use crate::world::{self as w, Check, World};
use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering::SeqCst};
use sel4_sys::object::kind;
use sel4_sys::{MessageInfo, fault, stubs};

/// All checks, by name.
pub const ALL: &[(&str, Check)] =
    &[("a program counter off its alignment is a user exception, once", program_counter)];

/// The exception class of a program counter that is no multiple of four (Arm ARM, ESR_ELx.EC).
const PC_ALIGNMENT: u64 = 0x22;

static SEEN: AtomicU64 = AtomicU64::new(0);

extern "C" fn jumps(to: u64, _: u64) -> ! {
    // SAFETY: the handler lets the thread go on at `lands` alone, which needs nothing of this frame and does not return.
    unsafe { asm!("br {}", in(reg) to, options(noreturn)) }
}

extern "C" fn lands(_: u64, _: u64) -> ! {
    SEEN.store(99, SeqCst);
    loop {
        core::hint::spin_loop();
    }
}

/// By a branch, then by each answer of the handler: the fault is label 3 with the address as it was, and the thread runs once it is right.
fn program_counter(t: &mut World) -> bool {
    use fault::user_exception as e;
    let (ep, reply) = (t.make(kind::ENDPOINT, 0), t.make(kind::REPLY, 0));
    let start = lands as *const () as u64;
    SEEN.store(0, SeqCst);
    let thread = t.thread_with_handler(100, jumps, start + 1, 0, ep);
    let mut m = stubs::recv(ep, reply);
    for off in 1..4 {
        same!("kind", (off, m.info.label()), (off, fault::kind::USER_EXCEPTION));
        same!("length", (off, m.info.length()), (off, e::LENGTH));
        same!("address", (off, m.mrs[e::FAULT_IP] - start), (off, off));
        same!("class", (off, m.mrs[e::NUMBER] >> 26), (off, PC_ALIGNMENT));
        if off < 3 {
            let answer = [start + off + 1, m.mrs[e::SP], m.mrs[e::SPSR], 0];
            m = stubs::reply_recv(ep, MessageInfo::new(0, 0, 0, 3), answer, reply);
        }
    }
    same!("nothing ran", SEEN.load(SeqCst), 0);
    stubs::send(reply, MessageInfo::new(0, 0, 0, 3), [start, m.mrs[e::SP], m.mrs[e::SPSR], 0]);
    for _ in 0..100 {
        t.sleep_us(1000);
        if SEEN.load(SeqCst) == 99 {
            break;
        }
    }
    same!("it went on", SEEN.load(SeqCst), 99);
    same!("delete", w::delete(thread.tcb), Ok(()));
    true
}
