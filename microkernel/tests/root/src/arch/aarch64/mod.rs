//! aarch64.
use core::arch::{asm, global_asm};
use sel4_sys::ext::AxiomInfo;
use sel4_sys::object::{kind, vm_attributes};
use sel4_sys::{label, syscall};

pub mod answers;
pub mod checks;
pub mod device;

global_asm!(
    ".global _start",
    "_start:",
    "adrp x9, {stack}",
    "add x9, x9, #:lo12:{stack}",
    "add sp, x9, #{size}",
    "mov x29, xzr",
    "bl root_main",
    "b .",
    stack = sym crate::STACK,
    size = const crate::STACK_SIZE,
);

/// The board's name in results.
pub const BOARD: &str = "qemu-aarch64";
/// What BootInfo says of an IOMMU's tables: there are none.
pub const IO_PAGE_TABLE_LEVELS: u64 = 0;
/// What counts instructions.
pub const INSTRUCTION_COUNTER: &str = "PMCCNTR_EL0";
/// Words of a user context that read back as they were written.
pub const KEPT_WORDS: core::ops::Range<usize> = 4..36;
/// Words of a user context.
pub const WORDS: usize = 36;
/// The word of a user context with the capability of a system call.
pub const CAP_WORD: usize = 3;
/// The word with its tag.
pub const INFO_WORD: usize = 4;
/// The word with its number.
pub const NUMBER_WORD: usize = 10;
/// Bytes of the instruction in [`load`] that faults.
pub const LOAD_BYTES: u64 = 4;
/// Attributes of a page of data.
pub const DATA: u64 = vm_attributes::DEFAULT | vm_attributes::EXECUTE_NEVER;
/// The tables below a root, from the top: each as often as it can be mapped.
pub const TABLES: &[(u64, u64)] = &[(kind::PAGE_TABLE, label::PAGE_TABLE_MAP)];
/// Their numbers for debugging.
pub const TABLE_NUMBERS: &[u64] = &[3];

/// What BootInfo says of the machine.
pub fn learn(_: Option<&AxiomInfo>) {}

/// TPIDR_EL0.
#[inline(always)]
pub fn thread_pointer() -> u64 {
    let value: u64;
    // SAFETY: the register is the user's own.
    unsafe { asm!("mrs {}, tpidr_el0", out(reg) value, options(nomem, nostack)) };
    value
}

/// Sets it.
pub fn set_thread_pointer(at: u64) {
    // SAFETY: the register is the user's own.
    unsafe { asm!("msr tpidr_el0, {}", in(reg) at, options(nomem, nostack)) };
}

/// This thread's buffer: its address is the thread pointer.
#[inline(always)]
pub fn buffer() -> u64 {
    thread_pointer()
}

/// CNTVCT_EL0.
pub fn counter() -> u64 {
    let value: u64;
    // SAFETY: reads a counter that the kernel exports.
    unsafe { asm!("isb", "mrs {}, cntvct_el0", out(reg) value, options(nomem, nostack)) };
    value
}

/// CNTFRQ_EL0.
pub fn frequency() -> u64 {
    let value: u64;
    // SAFETY: reads a constant.
    unsafe { asm!("mrs {}, cntfrq_el0", out(reg) value, options(nomem, nostack)) };
    value
}

/// PMCCNTR_EL0.
#[inline(always)]
pub fn cycles() -> u64 {
    let value: u64;
    // SAFETY: reads a counter that the kernel exports.
    unsafe { asm!("mrs {}, pmccntr_el0", out(reg) value, options(nomem, nostack)) };
    value
}

/// Two instructions, so many times.
#[inline(always)]
pub fn count_down(times: u64) {
    // SAFETY: two instructions per iteration on one register, no memory.
    unsafe { asm!("2:", "subs {n}, {n}, #1", "b.ne 2b", n = inout(reg) times => _, options(nomem, nostack)) };
}

/// An exception of this thread's own.
#[inline(always)]
pub fn undefined() {
    // SAFETY: an undefined instruction has no effect but the fault.
    unsafe { asm!("udf #0", options(nostack)) };
}

/// Loads from an address, by an instruction of [`LOAD_BYTES`] bytes.
#[inline(always)]
pub fn load(at: u64) {
    // SAFETY: what is loaded is dropped; a fault is what the caller asks for.
    unsafe { asm!("ldr xzr, [{}]", in(reg) at, options(nostack)) };
}

/// SetTLSBase.
pub fn set_tls_base(base: u64) {
    // SAFETY: sets the thread pointer; the call changes x0 alone.
    unsafe {
        asm!("svc #0", inout("x0") base => _, in("x7") syscall::SET_TLS_BASE, lateout("x1") _, options(nostack));
    }
}

/// A thread's first registers, as a user context: how many words count.
pub fn first_registers(entry: u64, sp: u64, args: [u64; 2], buffer: u64) -> ([u64; WORDS], usize) {
    let mut words = [0; WORDS];
    words[0] = entry;
    words[1] = sp;
    [words[3], words[4]] = args;
    words[34] = buffer;
    (words, 35)
}
