//! x86-64.
use crate::arena::State;
use core::arch::asm;
use sel4_sys::label;
use sel4_sys::object::kind;

/// Words of a user context, and of its first part.
pub const CONTEXT: [u64; 2] = [20, 18];
/// Where the kernel has RAM.
pub const WINDOW: u64 = 0xffff_8000_0000_0000;

/// A system call: what is in the registers of badge, tag and first word afterwards.
#[inline(always)]
pub fn raw(number: u64, cap: u64, info: u64, mrs: [u64; 4], reply: u64, dest: u64) -> [u64; 3] {
    let (mut cap, mut info) = (cap, info);
    let [mut m0, mut m1, mut m2, mut m3] = mrs;
    // SAFETY: whatever the kernel does to the registers is part of the test; those that a fault's answer can set are named, and
    // a worker that loses more dies, or starts again.
    unsafe {
        asm!("mov r14, rbx", "syscall", "mov rbx, r14",
            inout("rdi") cap, inout("rsi") info, inout("r10") m0, inout("r8") m1, inout("r9") m2, inout("r15") m3,
            inout("r12") reply => _, inout("rdx") number => _, inout("r13") dest => _,
            out("rax") _, out("rcx") _, out("r11") _, out("r14") _, options(nostack));
    }
    let _ = (m1, m2, m3);
    [cap, info, m0]
}

/// A fault of some kind, 0 to 4; 0 loads from an address.
pub fn fault(kind: u64, at: u64) {
    match kind {
        // SAFETY: none is meant: the worker faults, or reads what it may.
        0 => unsafe { asm!("mov {0}, [{0}]", inout(reg) at => _, options(nostack, readonly)) },
        // SAFETY: an undefined instruction has no effect but the fault.
        1 => unsafe { asm!("ud2", options(nostack)) },
        // SAFETY: a breakpoint has no effect but the fault.
        2 => unsafe { asm!("int3", options(nostack)) },
        // SAFETY: a register that user space may not read: no effect but the fault.
        3 => unsafe { asm!("mov {}, cr0", out(reg) _, options(nostack)) },
        // SAFETY: floating-point registers that no compiled code here uses.
        _ => unsafe { asm!("fninit", options(nostack)) },
    }
}

/// Puts a worker's registers into a user context: where it begins, its stack, its number, and that of the system call that it seems to
/// be in.
pub fn place(words: &mut [u64], entry: u64, sp: u64, number: u64, call: u64) {
    // As after a call.
    [words[0], words[1], words[8], words[6]] = [entry, sp.wrapping_sub(8), number, call];
}

/// A type of table.
pub fn table(w: &State) -> u64 {
    w.one_of(&[kind::PAGE_TABLE, kind::PAGE_TABLE, kind::PAGE_DIRECTORY, kind::PDPT])
}

/// The labels that map and unmap a table.
pub fn table_labels(w: &State) -> [u64; 2] {
    match w.below(4) {
        0 => [label::PDPT_MAP, label::PDPT_UNMAP],
        1 => [label::PAGE_DIRECTORY_MAP, label::PAGE_DIRECTORY_UNMAP],
        _ => [label::PAGE_TABLE_MAP, label::PAGE_TABLE_UNMAP],
    }
}

/// The first of four labels of a frame, and of an address space: these have none for caches, so any.
pub const CACHES: [u64; 2] = [label::PAGE_GET_ADDRESS, label::PDPT_MAP];

/// A request for an interrupt's handler: label, words, and how many; a pin of an I/O APIC, or a device's messages.
pub fn interrupt(
    w: &State,
    line: u64,
    trigger: Option<u64>,
    index: u64,
    depth: u64,
) -> (u64, [u64; 7], usize) {
    let vector = w.one_of(&[w.below(108), w.below(8), w.hostile()]);
    match trigger {
        None => (label::IRQ_ISSUE_HANDLER_MSI, [index, depth, line, w.below(32), w.below(8), 0, vector], 7),
        Some(level) => {
            let pin = w.one_of(&[w.below(24), line]);
            (
                label::IRQ_ISSUE_HANDLER_IOAPIC,
                [index, depth, w.one_of(&[0, 0, 1]), pin, level, w.below(2), vector],
                7,
            )
        }
    }
}
