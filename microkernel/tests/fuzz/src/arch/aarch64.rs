//! aarch64.
use crate::arena::State;
use core::arch::asm;
use sel4_sys::label;
use sel4_sys::object::kind;

/// Words of a user context, and of its first part.
pub const CONTEXT: [u64; 2] = [36, 17];
/// Where the kernel has RAM.
pub const WINDOW: u64 = 0xffff_0000_0000_0000;

/// A system call: what is in the registers of badge, tag and first word afterwards.
#[inline(always)]
pub fn raw(number: u64, cap: u64, info: u64, mrs: [u64; 4], reply: u64, dest: u64) -> [u64; 3] {
    let (mut x0, mut x1) = (cap, info);
    let [mut m0, mut m1, mut m2, mut m3] = mrs;
    let (mut x6, mut x7, mut x8) = (reply, number, dest);
    // SAFETY: whatever the kernel does to the registers is part of the test; those that a fault's answer can set are named, and
    // a worker that loses more dies, or starts again.
    unsafe {
        asm!("svc #0",
            inout("x0") x0, inout("x1") x1, inout("x2") m0, inout("x3") m1, inout("x4") m2, inout("x5") m3,
            inout("x6") x6, inout("x7") x7, inout("x8") x8, options(nostack));
    }
    let _ = (m1, m2, m3, x6, x7, x8);
    [x0, x1, m0]
}

/// A fault of some kind, 0 to 4; 0 loads from an address.
pub fn fault(kind: u64, at: u64) {
    match kind {
        // SAFETY: none is meant: the worker faults, or reads what it may.
        0 => unsafe { asm!("ldr xzr, [{}]", in(reg) at, options(nostack, readonly)) },
        // SAFETY: an undefined instruction has no effect but the fault.
        1 => unsafe { asm!("udf #7", options(nostack)) },
        // SAFETY: a breakpoint has no effect but the fault.
        2 => unsafe { asm!("brk #7", options(nostack)) },
        // SAFETY: a register that user space may not read: no effect but the fault.
        3 => unsafe { asm!("mrs {}, sctlr_el1", out(reg) _, options(nostack)) },
        // SAFETY: floating-point registers that no compiled code here uses.
        _ => unsafe { asm!(".arch_extension fp", "fmov d0, xzr", ".arch_extension nofp", options(nostack)) },
    }
}

/// Puts a worker's registers into a user context: where it begins, its stack, its number, and that of the system call that it seems to
/// be in.
pub fn place(words: &mut [u64], entry: u64, sp: u64, number: u64, call: u64) {
    [words[0], words[1], words[3], words[10]] = [entry, sp, number, call];
}

/// A type of table.
pub fn table(_: &State) -> u64 {
    kind::PAGE_TABLE
}

/// The labels that map and unmap a table.
pub fn table_labels(_: &State) -> [u64; 2] {
    [label::PAGE_TABLE_MAP, label::PAGE_TABLE_UNMAP]
}

/// The first of four labels of a frame, and of an address space.
pub const CACHES: [u64; 2] = [label::PAGE_CLEAN, label::VSPACE_CLEAN];

/// A request for an interrupt's handler: label, words, and how many; with a trigger or without.
pub fn interrupt(
    _: &State,
    line: u64,
    trigger: Option<u64>,
    index: u64,
    depth: u64,
) -> (u64, [u64; 7], usize) {
    match trigger {
        None => (label::IRQ_ISSUE_HANDLER, [line, index, depth, 0, 0, 0, 0], 3),
        Some(trigger) => (label::IRQ_ISSUE_HANDLER_TRIGGER, [line, trigger, index, depth, 0, 0, 0], 4),
    }
}
