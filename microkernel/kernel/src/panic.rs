//! Kernel panics: a report, and the end. User errors never lead here.
use crate::arch::cpu;
use crate::arch::stack::{STACK, STACK_SIZE};
use crate::node::node;
use crate::print::{self, println};
use axiom_objects::arch::registers::COUNT;
use core::panic::PanicInfo;

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    print::wait();
    println!("\naxiom: KERNEL PANIC: {info}");
    backtrace(cpu::frame_pointer());
    stop()
}

/// Prints the return addresses of the frame chain, as far as it stays on the kernel's stack, and the current thread.
pub fn backtrace(frame: u64) {
    let base = STACK.base() as u64;
    let mut at = frame;
    for _ in 0..32 {
        if !(base..base + STACK_SIZE as u64 - 16).contains(&at) || !at.is_multiple_of(8) {
            break;
        }
        // SAFETY: inside the kernel's stack, aligned.
        let (next, back) = unsafe { (*(at as *const u64), *((at + 8) as *const u64)) };
        println!("axiom:   called from {back:#x}");
        at = next;
    }
    let tcb = node().current();
    println!("axiom: thread '{}', registers:", tcb.name());
    for i in 0..COUNT / 4 {
        let r = |j| tcb.regs.get(4 * i + j);
        println!("axiom:   {:2}: {:016x} {:016x} {:016x} {:016x}", 4 * i, r(0), r(1), r(2), r(3));
    }
}

/// The end.
pub fn stop() -> ! {
    println!("axiom: the kernel has stopped");
    cpu::power_off()
}
