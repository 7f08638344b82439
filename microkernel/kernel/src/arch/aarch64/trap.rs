//! The exception vectors.
//!
//! While a thread runs, SP_EL1 points at its TCB, whose first field is the register file: the entry stores straight
//! into it. Then the kernel's one stack is taken, a Rust function decides, and the register file that it returns is
//! loaded. Exceptions in the kernel itself are bugs: they end in a report with registers and a backtrace.
use super::cpu;
use super::stack::{GUARD_SIZE, PANIC_STACK, PANIC_STACK_SIZE, STACK, STACK_SIZE};
use crate::checked;
use crate::machine::Core;
use crate::node::node;
use crate::panic;
use crate::print::{self, println};
use crate::stretch;
use axiom_objects::arch::registers::FAULT_PC;
use axiom_objects::entry;
use axiom_objects::fast;
use axiom_objects::object::{Fault, ThreadState};
use core::arch::global_asm;
use sel4_sys::syscall;

global_asm!(
    r#"
    .section .text.vectors, "ax"
    .macro save
    stp x0, x1, [sp]
    stp x2, x3, [sp, #16]
    stp x4, x5, [sp, #32]
    stp x6, x7, [sp, #48]
    stp x8, x9, [sp, #64]
    stp x10, x11, [sp, #80]
    stp x12, x13, [sp, #96]
    stp x14, x15, [sp, #112]
    stp x16, x17, [sp, #128]
    stp x18, x19, [sp, #144]
    stp x20, x21, [sp, #160]
    stp x22, x23, [sp, #176]
    stp x24, x25, [sp, #192]
    stp x26, x27, [sp, #208]
    stp x28, x29, [sp, #224]
    mrs x19, sp_el0
    mrs x20, elr_el1
    mrs x21, spsr_el1
    stp x30, x19, [sp, #240]
    stp x20, x21, [sp, #256]
    .endm

    .macro slot handler
    .balign 128
9:  save
    b \handler
    .if (. - 9b) > 128
    .error "an exception vector is longer than 128 bytes"
    .endif
    .endm

    .macro kernel_stack
    adrp x19, {stack}
    add x19, x19, #:lo12:{stack}
    add sp, x19, #{stack_size}
    mov x29, xzr
    mov x30, xzr
    .endm

    .balign 2048
    .global axiom_vectors
axiom_vectors:
    // Current EL, SP_EL0 and SP_ELx: the kernel's own faults.
    .rept 8
    .balign 128
    b axiom_kernel_fault
    .endr
    // Lower EL, AArch64. A vector has room for 32 instructions: they save, and go on elsewhere.
    slot axiom_synchronous
    slot axiom_asynchronous
    slot axiom_asynchronous
    slot axiom_system_error
    // Lower EL, AArch32: never entered, user SPSR says AArch64.
    .rept 4
    .balign 128
    b axiom_kernel_fault
    .endr

    .balign 128
axiom_synchronous:
    mrs x1, esr_el1
    lsr x2, x1, #26
    cmp x2, #0x15
    b.ne 1f
    sub x20, x20, #4
    str x20, [sp, #288]
    kernel_stack
    cmn x7, #1
    b.eq axiom_call
    cmn x7, #2
    b.eq axiom_reply_recv
    mov x0, x7
    b axiom_system_call

axiom_asynchronous:
    str x20, [sp, #288]
    kernel_stack
    b axiom_interrupt

axiom_system_error:
    str x20, [sp, #288]
    mrs x0, esr_el1
    mrs x1, far_el1
    kernel_stack
    b axiom_serror

1:  str x20, [sp, #288]
    mov x0, x1
    mrs x1, far_el1
    kernel_stack
    b axiom_exception

    .global axiom_return
axiom_return:
    mov sp, x0
    ldp x20, x21, [sp, #256]
    ldp x30, x19, [sp, #240]
    msr elr_el1, x20
    msr spsr_el1, x21
    msr sp_el0, x19
    ldp x0, x1, [sp]
    ldp x2, x3, [sp, #16]
    ldp x4, x5, [sp, #32]
    ldp x6, x7, [sp, #48]
    ldp x8, x9, [sp, #64]
    ldp x10, x11, [sp, #80]
    ldp x12, x13, [sp, #96]
    ldp x14, x15, [sp, #112]
    ldp x16, x17, [sp, #128]
    ldp x18, x19, [sp, #144]
    ldp x20, x21, [sp, #160]
    ldp x22, x23, [sp, #176]
    ldp x24, x25, [sp, #192]
    ldp x26, x27, [sp, #208]
    ldp x28, x29, [sp, #224]
    eret

axiom_kernel_fault:
    mov x9, sp
    adrp x10, {panic_stack}
    add x10, x10, #:lo12:{panic_stack}
    add sp, x10, #{panic_stack_size}
    mrs x0, esr_el1
    mrs x1, far_el1
    mrs x2, elr_el1
    mov x3, x29
    mov x4, x9
    mov x5, x30
    bl axiom_kernel_exception
    "#,
    stack = sym STACK,
    stack_size = const GUARD_SIZE + STACK_SIZE,
    panic_stack = sym PANIC_STACK,
    panic_stack_size = const GUARD_SIZE + PANIC_STACK_SIZE,
);

/// Leaves the kernel: to the current thread, once there is one that is not idle. The stack is given up with all that is on
/// it; the next entry starts at its top.
#[inline(always)]
pub fn leave() -> ! {
    while node().current().state.get() == ThreadState::Idle {
        wait();
    }
    resume()
}

/// [`leave`] when the current thread is known not to be idle.
#[inline(always)]
fn resume() -> ! {
    checked::leave();
    let registers = node().current().regs.address();
    // SAFETY: the register file of a live thread; nothing on the stack is used again.
    unsafe { core::arch::asm!("b axiom_return", in("x0") registers, options(noreturn)) }
}

#[cold]
fn wait() {
    print::drain_idle();
    checked::leave();
    cpu::wait_for_interrupt();
    stretch::enter_interrupt();
    entry::interrupt(Core);
}

#[unsafe(no_mangle)]
extern "C" fn axiom_call() -> ! {
    stretch::enter_call(syscall::CALL);
    if fast::call(Core, node().current()) {
        resume()
    }
    axiom_slow_system_call(syscall::CALL)
}

#[unsafe(no_mangle)]
extern "C" fn axiom_reply_recv() -> ! {
    stretch::enter_call(syscall::REPLY_RECV);
    if fast::reply_recv(Core, node().current()) {
        resume()
    }
    axiom_slow_system_call(syscall::REPLY_RECV)
}

#[unsafe(no_mangle)]
extern "C" fn axiom_system_call(number: i64) -> ! {
    stretch::enter_call(number);
    let done = match number {
        syscall::SEND => fast::send(Core, node().current()),
        syscall::NB_WAIT => fast::poll(node().current()),
        _ => false,
    };
    if done {
        resume()
    }
    axiom_slow_system_call(number)
}

#[inline(never)]
extern "C" fn axiom_slow_system_call(number: i64) -> ! {
    entry::system_call(Core, number);
    leave()
}

#[unsafe(no_mangle)]
extern "C" fn axiom_interrupt() -> ! {
    stretch::enter_interrupt();
    entry::interrupt(Core);
    print::drain();
    leave()
}

#[unsafe(no_mangle)]
extern "C" fn axiom_serror(esr: u64, far: u64) -> ! {
    stretch::enter_fault();
    let tcb = node().current();
    print::report(format_args!(
        "axiom: asynchronous external abort, esr {esr:#x} far {far:#x}, in thread '{}'",
        tcb.name()
    ));
    entry::user_fault(Core, Fault::UserException { number: esr, code: 0 });
    leave()
}

/// Exception classes (ESR_EL1.EC).
mod class {
    pub const FPU: u64 = 0x07;
    pub const INSTRUCTION_ABORT: u64 = 0x20;
    pub const DATA_ABORT: u64 = 0x24;
}

#[unsafe(no_mangle)]
extern "C" fn axiom_exception(esr: u64, far: u64) -> ! {
    stretch::enter_fault();
    match esr >> 26 & 0x3f {
        class::FPU => entry::fpu_trap(Core, Fault::UserException { number: esr, code: 0 }),
        class::INSTRUCTION_ABORT => {
            let addr = node().current().regs.get(FAULT_PC);
            entry::user_fault(Core, Fault::Vm { addr, fsr: esr, instruction: true });
        }
        class::DATA_ABORT => entry::user_fault(Core, Fault::Vm { addr: far, fsr: esr, instruction: false }),
        _ => entry::user_fault(Core, Fault::UserException { number: esr, code: 0 }),
    }
    leave()
}

#[unsafe(no_mangle)]
extern "C" fn axiom_kernel_exception(esr: u64, far: u64, elr: u64, fp: u64, sp: u64, lr: u64) -> ! {
    print::wait();
    println!("\naxiom: KERNEL FAULT: esr {esr:#x} far {far:#x} pc {elr:#x} lr {lr:#x} sp {sp:#x}");
    panic::backtrace(fp);
    panic::stop()
}
