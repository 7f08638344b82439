//! AArch64.
use core::arch::asm;

mod code;
#[path = "../../mem.rs"]
mod mem;
mod ports;

pub use code::publish;

/// The first instructions of a program; the stack pointer is set by init, x0 is the environment page.
#[doc(hidden)]
#[macro_export]
macro_rules! first_instructions {
    () => {
        core::arch::global_asm!(
            ".pushsection .text.start, \"ax\"",
            ".global _start",
            "_start:",
            "mov x29, xzr",
            "mov x30, xzr",
            "b axiom_start",
            ".popsection",
        );
    };
}

/// What the kernel reads of the machine: a device tree. A row of the report is named after it.
pub const MACHINE_READ: &str = "boot.entry_to_device_tree_read";

/// The counter, in ticks.
#[inline(always)]
pub fn ticks() -> u64 {
    let v: u64;
    // SAFETY: reads a counter that the kernel exports; `isb` keeps it from being read early.
    unsafe { asm!("isb", "mrs {}, cntvct_el0", out(reg) v, options(nostack, preserves_flags)) };
    v
}

/// The cycle counter (instructions under an emulator that counts them).
#[inline(always)]
pub fn cycles() -> u64 {
    let v: u64;
    // SAFETY: reads a counter that the kernel exports.
    unsafe { asm!("mrs {}, pmccntr_el0", out(reg) v, options(nostack, preserves_flags)) };
    v
}

/// Ticks per second, where a register says it.
pub fn frequency() -> Option<u64> {
    let v: u64;
    // SAFETY: reads an identification register that the kernel exports.
    unsafe { asm!("mrs {}, cntfrq_el0", out(reg) v, options(nomem, nostack, preserves_flags)) };
    Some(v)
}

/// Two instructions, so many times.
#[inline(always)]
pub fn count_down(times: u64) {
    // SAFETY: two instructions per iteration on one register, no memory.
    unsafe {
        asm!("2:", "subs {n}, {n}, #1", "b.ne 2b", n = inout(reg) times => _, options(nomem, nostack));
    }
}

/// Instructions of a pass of [`mixed`].
pub const MIXED: u64 = 10;

/// A division, a multiplication, loads, stores and a branch, so many times (at least once).
pub fn mixed(words: &mut [u64; 2], passes: u64) {
    // SAFETY: reads and writes the two words; all registers that it uses are named.
    unsafe {
        asm!(
            "2: ldr {a}, [{words}]",
            "add {a}, {a}, {left}",
            "str {a}, [{words}, #8]",
            "mul {b}, {a}, {left}",
            "ldr {a}, [{words}, #8]",
            "udiv {b}, {b}, {a}",
            "eor {a}, {a}, {b}",
            "str {a}, [{words}]",
            "subs {left}, {left}, #1",
            "b.ne 2b",
            words = in(reg) words.as_mut_ptr(),
            left = inout(reg) passes.max(1) => _,
            a = out(reg) _,
            b = out(reg) _,
            options(nostack)
        );
    }
}

/// Passes a moment of the processor's time that nobody else wants.
#[inline(always)]
pub fn idle() {
    core::hint::spin_loop();
}

/// An exception of this thread's own; its address space's owner is told.
#[inline(always)]
pub fn undefined() {
    // SAFETY: a breakpoint has no effect but the fault.
    unsafe { asm!("brk #0xdead") };
}

/// Words of a thread's first registers.
pub const FIRST_REGISTERS: usize = 4;

/// A thread's first registers: pc, sp, spsr, x0.
pub fn first_registers(pc: u64, sp: u64, argument: u64) -> [u64; FIRST_REGISTERS] {
    [pc, sp, 0, argument]
}
