//! In and out: system calls, interrupts, exceptions.
//!
//! While a thread runs, the task state names the end of its register file, which is the first field of its TCB: the processor
//! pushes an interrupt's frame straight into it, and the entry stores the rest. A system call has no frame; its entry writes what
//! matters of one. Then the kernel's one stack is taken, a Rust function decides, and the register file that it returns is loaded:
//! by SYSRET if that restores all of it, which is so if rcx and r11 are where the thread goes on and its flags, as they are after a
//! system call that nobody meddled with ([`Registers::in_call`](r::Registers::in_call)); else by IRET.
//! Neither is ever given an address that is not canonical, which would fault with the user's stack. There is no SWAPGS: no segment
//! is the kernel's. Exceptions in the kernel itself are bugs: they end in a report with registers and a backtrace. An interrupt in
//! the kernel comes where it waits, and is only noted.
use super::irq::TAKEN;
use super::stack::{GUARD_SIZE, PANIC_STACK, PANIC_STACK_SIZE, STACK, STACK_SIZE};
use super::{cpu, irq};
use crate::checked;
use crate::machine::Core;
use crate::node::node;
use crate::panic;
use crate::print::{self, println};
use crate::stretch;
use axiom_objects::arch::registers as r;
use axiom_objects::entry;
use axiom_objects::fast;
use axiom_objects::object::{Fault, ThreadState};
use core::arch::{asm, global_asm};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use sel4_sys::syscall;

mod descriptors;
pub mod sites;

/// The user's stack pointer, for the first instructions of a system call.
static SCRATCH: AtomicU64 = AtomicU64::new(0);

global_asm!(
    r#"
    .section .text.vectors, "ax"

    // 16 bytes for each vector; those without an error code push a zero.
    .balign 16
axiom_stubs:
    .set vector, 0
    .rept 256
    .balign 16
    .if vector == 2 || vector == 18
    push 0
    push vector
    jmp axiom_anytime
    .elseif vector == 8
    push vector
    jmp axiom_anytime
    .else
    .if !(vector >= 10 && vector <= 14 || vector == 17 || vector == 21 || vector == 29 || vector == 30)
    push 0
    .endif
    push vector
    jmp axiom_trap
    .endif
    .set vector, vector + 1
    .endr

    .balign 64
axiom_trap:
    test byte ptr [rsp + 24], 3
    jz axiom_from_kernel
    cld
    .global axiom_clac
axiom_clac:
    .byte 0x0f, 0x1f, 0x00          // becomes clac where there is SMAP
    push rdi
    push rsi
    push rdx
    push rcx
    push rax
    push r15
    push r9
    push r8
    push r10
    push r11
    push rbx
    push rbp
    push r12
    push r13
    push r14
    mov rdi, qword ptr [rsp + 8 * {vector}]
    mov rsi, qword ptr [rsp + 8 * {error}]
    mov rax, qword ptr [rsp + 8 * {pc}]
    mov qword ptr [rsp + 8 * {fault_pc}], rax
    lea rsp, [rip + {stack} + {stack_size} - 8]
    xor ebp, ebp
    cmp edi, 32
    jae axiom_interrupt
    mov rdx, cr2
    jmp axiom_exception

    // Vector, error code, and the frame are on the stack.
axiom_from_kernel:
    cmp dword ptr [rsp], 32
    jb axiom_kernel_fault
    push rax
    mov rax, qword ptr [rsp + 8]
    mov qword ptr [rip + {taken}], rax
    pop rax
    and dword ptr [rsp + 32], ~0x200
    add rsp, 16
    iretq

axiom_anytime:
axiom_kernel_fault:
    cld
    mov rdi, qword ptr [rsp]
    mov rsi, qword ptr [rsp + 8]
    mov rdx, qword ptr [rsp + 16]
    mov rcx, cr2
    mov r8, rbp
    mov r9, qword ptr [rsp + 40]
    lea rsp, [rip + {panic_stack} + {panic_stack_size}]
    call axiom_kernel_exception

    .balign 64
axiom_syscall:
    mov qword ptr [rip + {scratch}], rsp
    mov rsp, qword ptr [rip + {task} + {top}]
    mov qword ptr [rsp - {file} + 8 * {pc}], rcx
    mov qword ptr [rsp - {file} + 8 * {status}], r11
    mov qword ptr [rsp - {file} + 8 * {error}], {system_call}
    mov r11, qword ptr [rip + {scratch}]
    mov qword ptr [rsp - {file} + 8 * {sp}], r11
    mov qword ptr [rsp - {file} + 8 * {rdi}], rdi
    mov qword ptr [rsp - {file} + 8 * {rsi}], rsi
    mov qword ptr [rsp - {file} + 8 * {rdx}], rdx
    mov qword ptr [rsp - {file} + 8 * {rax}], rax
    mov qword ptr [rsp - {file} + 8 * {r15}], r15
    mov qword ptr [rsp - {file} + 8 * {r9}], r9
    mov qword ptr [rsp - {file} + 8 * {r8}], r8
    mov qword ptr [rsp - {file} + 8 * {r10}], r10
    mov qword ptr [rsp - {file} + 8 * {rbx}], rbx
    mov qword ptr [rsp - {file} + 8 * {rbp}], rbp
    mov qword ptr [rsp - {file} + 8 * {r12}], r12
    mov qword ptr [rsp - {file} + 8 * {r13}], r13
    mov qword ptr [rsp - {file} + 8 * {r14}], r14
    lea rsp, [rip + {stack} + {stack_size} - 8]
    xor ebp, ebp
    cmp rdx, -1
    je axiom_call
    cmp rdx, -2
    je axiom_reply_recv
    mov rdi, rdx
    jmp axiom_system_call

    // The whole frame, of the register file at r12.
    .balign 64
axiom_return_whole:
    mov rcx, qword ptr [r12 + 8 * {pc}]
    mov rax, rcx
    shl rcx, 16
    sar rcx, 16
    cmp rax, rcx
    je 3f
    mov qword ptr [r12 + 8 * {pc}], 0
3:  mov qword ptr [r12 + 8 * {cs}], 0x2b
    mov qword ptr [r12 + 8 * {ss}], 0x23
    mov rdi, qword ptr [r12 + 8 * {rdi}]
    mov rsi, qword ptr [r12 + 8 * {rsi}]
    mov rdx, qword ptr [r12 + 8 * {rdx}]
    mov rcx, qword ptr [r12 + 8 * {rcx}]
    mov rax, qword ptr [r12 + 8 * {rax}]
    mov r15, qword ptr [r12 + 8 * {r15}]
    mov r9, qword ptr [r12 + 8 * {r9}]
    mov r8, qword ptr [r12 + 8 * {r8}]
    mov r10, qword ptr [r12 + 8 * {r10}]
    mov r11, qword ptr [r12 + 8 * {r11}]
    mov rbx, qword ptr [r12 + 8 * {rbx}]
    mov rbp, qword ptr [r12 + 8 * {rbp}]
    mov r13, qword ptr [r12 + 8 * {r13}]
    mov r14, qword ptr [r12 + 8 * {r14}]
    lea rsp, [r12 + 8 * {pc}]
4:  mov r12, qword ptr [r12 + 8 * {r12}]
5:  iretq
    .pushsection .sites, "a"
    .quad 4b, 5b, axiom_clear_iret, {clearing}
    .popsection

    // The last instructions on a processor whose buffers hold what is not for user space (MDS and its relatives): VERW, in its form with
    // memory and a segment that can be written. It changes the zero flag, and the flags are loaded after it.
axiom_clear_iret:
    verw word ptr [rip + {data_segment}]
    mov r12, qword ptr [r12 + 8 * {r12}]
    iretq
axiom_clear_sysret:
    verw word ptr [rip + {data_segment}]
    mov r12, qword ptr [r12 + 8 * {r12}]
    sysretq
    "#,
    stack = sym STACK,
    stack_size = const GUARD_SIZE + STACK_SIZE,
    panic_stack = sym PANIC_STACK,
    panic_stack_size = const GUARD_SIZE + PANIC_STACK_SIZE,
    taken = sym TAKEN,
    scratch = sym SCRATCH,
    task = sym descriptors::TASK_STATE,
    top = const descriptors::TOP_OFFSET,
    file = const FILE,
    vector = const r::VECTOR,
    system_call = const r::SYSTEM_CALL as i64,
    error = const r::ERROR,
    fault_pc = const r::FAULT_PC,
    pc = const r::PC,
    cs = const r::CS,
    status = const r::STATUS,
    sp = const r::SP,
    ss = const r::SS,
    data_segment = sym descriptors::DATA_SEGMENT,
    clearing = const sites::CLEARING | sites::JUMP,
    rax = const r::RAX,
    rbx = const r::RBX,
    rcx = const r::RCX,
    rdx = const r::RDX,
    rsi = const r::RSI,
    rdi = const r::RDI,
    rbp = const r::RBP,
    r8 = const r::R8,
    r9 = const r::R9,
    r10 = const r::R10,
    r11 = const r::R11,
    r12 = const r::R12,
    r13 = const r::R13,
    r14 = const r::R14,
    r15 = const r::R15,
);

/// Bytes of a register file up to and with what the processor pushes: it aligns the stack to 16 before it does.
const FILE: usize = 8 * (r::SS + 1);
const _: () = assert!(FILE.is_multiple_of(16));
/// The order in which the trap's entry pushes.
const _: () = assert!(
    r::R14 == 0
        && r::R13 == 1
        && r::R12 == 2
        && r::RBP == 3
        && r::RBX == 4
        && r::R11 == 5
        && r::R10 == 6
        && r::R8 == 7
        && r::R9 == 8
        && r::R15 == 9
        && r::RAX == 10
        && r::RCX == 11
        && r::RDX == 12
        && r::RSI == 13
        && r::RDI == 14
        && r::VECTOR == 15
        && r::ERROR == 16
        && r::PC == 17
);

unsafe extern "C" {
    static axiom_stubs: u8;
    static axiom_syscall: u8;
}

/// Loads the segments and the interrupt table.
pub fn init() {
    descriptors::load(&raw const axiom_stubs as u64);
}

/// Where system calls go.
pub fn syscall_entry() -> u64 {
    &raw const axiom_syscall as u64
}

/// Leaves the kernel: to the current thread, once there is one that is not idle. The stack is given up with all that is on
/// it; the next entry starts at its top.
#[inline(always)]
pub fn leave() -> ! {
    while node().current().state.get() == ThreadState::Idle {
        wait();
    }
    resume()
}

/// [`leave`] when the current thread is known not to be idle. The address that SYSRET is given is of the lower half, which is one
/// comparison: its upper 32 bits are at most 0x7fff.
#[inline(always)]
fn resume() -> ! {
    checked::leave();
    let registers = node().current().regs.address();
    // SAFETY: 1. the register file of a live thread; nothing on the stack is used again; 2. the last 5 bytes before SYSRET are a place that
    // boot may have led to `axiom_clear_sysret`, which does the same after VERW.
    unsafe {
        asm!(
            "lea rax, [r12 + {file}]",
            "mov qword ptr [rip + {task} + {top}], rax",
            "cmp qword ptr [r12 + 8 * {error}], {system_call}",
            "jne axiom_return_whole",
            "cmp dword ptr [r12 + 8 * {pc} + 4], 0x7fff",
            "ja axiom_return_whole",
            "mov rcx, qword ptr [r12 + 8 * {pc}]",
            "mov r11, qword ptr [r12 + 8 * {status}]",
            "mov rdi, qword ptr [r12 + 8 * {rdi}]",
            "mov rsi, qword ptr [r12 + 8 * {rsi}]",
            "mov rdx, qword ptr [r12 + 8 * {rdx}]",
            "mov rax, qword ptr [r12 + 8 * {rax}]",
            "mov r15, qword ptr [r12 + 8 * {r15}]",
            "mov r9, qword ptr [r12 + 8 * {r9}]",
            "mov r8, qword ptr [r12 + 8 * {r8}]",
            "mov r10, qword ptr [r12 + 8 * {r10}]",
            "mov rbx, qword ptr [r12 + 8 * {rbx}]",
            "mov rbp, qword ptr [r12 + 8 * {rbp}]",
            "mov r13, qword ptr [r12 + 8 * {r13}]",
            "mov r14, qword ptr [r12 + 8 * {r14}]",
            "mov rsp, qword ptr [r12 + 8 * {sp}]",
            "4:  mov r12, qword ptr [r12 + 8 * {r12}]",
            "5:  sysretq",
            ".pushsection .sites, \"a\"",
            ".quad 4b, 5b, axiom_clear_sysret, {clearing}",
            ".popsection",
            in("r12") registers,
            task = sym descriptors::TASK_STATE,
            top = const descriptors::TOP_OFFSET,
            file = const FILE,
            clearing = const sites::CLEARING | sites::JUMP,
            pc = const r::PC,
            status = const r::STATUS,
            sp = const r::SP,
            rax = const r::RAX,
            rbx = const r::RBX,
            error = const r::ERROR,
            system_call = const r::SYSTEM_CALL as i64,
            rdx = const r::RDX,
            rsi = const r::RSI,
            rdi = const r::RDI,
            rbp = const r::RBP,
            r8 = const r::R8,
            r9 = const r::R9,
            r10 = const r::R10,
            r12 = const r::R12,
            r13 = const r::R13,
            r14 = const r::R14,
            r15 = const r::R15,
            options(noreturn)
        )
    }
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
extern "C" fn axiom_interrupt(vector: u64) -> ! {
    irq::TAKEN.store(vector, Relaxed);
    stretch::enter_interrupt();
    entry::interrupt(Core);
    print::drain();
    leave()
}

const NO_FPU: u64 = 7;
const PAGE_FAULT: u64 = 14;
/// The error code of a page fault: an instruction was fetched.
const FETCH: u64 = 1 << 4;

#[unsafe(no_mangle)]
extern "C" fn axiom_exception(vector: u64, code: u64, address: u64) -> ! {
    stretch::enter_fault();
    match vector {
        NO_FPU => entry::fpu_trap(Core, Fault::UserException { number: vector, code }),
        PAGE_FAULT => {
            let instruction = code & FETCH != 0;
            entry::user_fault(Core, Fault::Vm { addr: address, fsr: code, instruction });
        }
        _ => entry::user_fault(Core, Fault::UserException { number: vector, code }),
    }
    leave()
}

#[unsafe(no_mangle)]
extern "C" fn axiom_kernel_exception(vector: u64, code: u64, pc: u64, address: u64, fp: u64, sp: u64) -> ! {
    print::wait();
    let what = match vector {
        2 => "NON-MASKABLE INTERRUPT",
        8 => "DOUBLE FAULT",
        18 => "MACHINE CHECK",
        _ => "KERNEL FAULT",
    };
    println!(
        "\naxiom: {what}: vector {vector} code {code:#x} address {address:#x} pc {pc:#x} sp {sp:#x}, in thread '{}'",
        node().current().name()
    );
    panic::backtrace(fp);
    panic::stop()
}
