//! x86-64. Copies are the compiler's own: `rep movsb` and `rep stosb`, which processors of the last ten years do by the cache line.
use core::arch::asm;

mod code;
mod ports;

pub use code::publish;
pub use ports::Ports;

/// The first instructions of a program; the stack pointer is set by init, rdi is the environment page. No thread-local storage: the base of
/// FS stays as init set it.
#[doc(hidden)]
#[macro_export]
macro_rules! first_instructions {
    () => {
        core::arch::global_asm!(
            ".pushsection .text.start, \"ax\"",
            ".global _start",
            "_start:",
            "xor ebp, ebp",
            // Calls want the stack at a multiple of 16 before they push.
            "and rsp, -16",
            "call axiom_start",
            "ud2",
            ".popsection",
        );
    };
}

/// What the kernel reads of the machine: its firmware's tables: a PC has no device tree. A row of the report is named after it.
pub const MACHINE_READ: &str = "boot.entry_to_firmware_tables_read";

/// The counter, in ticks: the time stamp counter.
#[inline(always)]
pub fn ticks() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reads a counter that the kernel exports; the fence keeps it from being read early.
    unsafe { asm!("lfence", "rdtsc", out("eax") low, out("edx") high, options(nostack, preserves_flags)) };
    u64::from(high) << 32 | u64::from(low)
}

/// The same, unordered (instructions under an emulator that counts them).
#[inline(always)]
pub fn cycles() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reads a counter that the kernel exports.
    unsafe { asm!("rdtsc", out("eax") low, out("edx") high, options(nostack, preserves_flags)) };
    u64::from(high) << 32 | u64::from(low)
}

/// Ticks per second, where a register says it: nowhere. The kernel measures it, and init tells.
pub fn frequency() -> Option<u64> {
    None
}

/// Two instructions, so many times.
#[inline(always)]
pub fn count_down(times: u64) {
    // SAFETY: two instructions per iteration on one register, no memory.
    unsafe { asm!("2:", "dec {n}", "jnz 2b", n = inout(reg) times => _, options(nomem, nostack)) };
}

/// Instructions of a pass of [`mixed`].
pub const MIXED: u64 = 10;

/// A division, a multiplication, loads, stores and a branch, so many times (at least once).
pub fn mixed(words: &mut [u64; 2], passes: u64) {
    // SAFETY: reads and writes the two words; all registers that it uses are named. The quotient of a number by another that is not 0
    // fits, since the upper half is 0.
    unsafe {
        asm!(
            "2: mov rax, [{words}]",
            "add rax, {left}",
            "mov [{words} + 8], rax",
            "imul rax, {left}",
            "xor edx, edx",
            "div {left}",
            "xor rax, [{words} + 8]",
            "mov [{words}], rax",
            "dec {left}",
            "jnz 2b",
            words = in(reg) words.as_mut_ptr(),
            left = inout(reg) passes.max(1) => _,
            out("rax") _,
            out("rdx") _,
            options(nostack)
        );
    }
}

/// Passes a moment of the processor's time that nobody else wants. Not by `pause`: an emulator that counts instructions leaves its
/// translated code at each, and a second of such a loop takes it minutes.
#[inline(always)]
pub fn idle() {
    count_down(64);
}

/// An exception of this thread's own; its address space's owner is told.
#[inline(always)]
pub fn undefined() {
    // SAFETY: an undefined instruction has no effect but the fault.
    unsafe { asm!("ud2") };
}

/// Words of a thread's first registers.
pub const FIRST_REGISTERS: usize = 9;

/// A thread's first registers, rip, rsp, flags, rax, rbx, rcx, rdx, rsi, rdi, as after a call: a return address below the stack's end.
pub fn first_registers(pc: u64, sp: u64, argument: u64) -> [u64; FIRST_REGISTERS] {
    [pc, sp - 8, 0, 0, 0, 0, 0, 0, argument]
}
