//! x86-64.
use core::arch::{asm, global_asm};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use sel4_sys::ext::AxiomInfo;
use sel4_sys::object::{kind, vm_attributes};
use sel4_sys::{label, stubs, syscall};

pub mod answers;
pub mod checks;
pub mod device;

global_asm!(
    ".global _start",
    "_start:",
    "lea rsp, [rip + {stack} + {size}]",
    "xor ebp, ebp",
    "call root_main",
    "ud2",
    stack = sym crate::STACK,
    size = const crate::STACK_SIZE,
);

/// The board's name in results.
pub const BOARD: &str = "qemu-x86_64";
/// What BootInfo says of the levels of an IOMMU's tables: pc99's word for a kernel that has none.
pub const IO_PAGE_TABLE_LEVELS: u64 = u64::MAX;
/// What counts instructions.
pub const INSTRUCTION_COUNTER: &str = "the time stamp counter";
/// Words of a user context that read back as they were written: not the flags.
pub const KEPT_WORDS: core::ops::Range<usize> = 4..20;
/// Words of a user context.
pub const WORDS: usize = 20;
/// The word of a user context with the capability of a system call: rdi.
pub const CAP_WORD: usize = 8;
/// The word with its tag: rsi.
pub const INFO_WORD: usize = 7;
/// The word with its number: rdx.
pub const NUMBER_WORD: usize = 6;
/// Bytes of the instruction in [`load`] that faults.
pub const LOAD_BYTES: u64 = 3;
/// Attributes of a page of data.
pub const DATA: u64 = vm_attributes::DEFAULT | vm_attributes::EXECUTE_NEVER;
/// The tables below a root, from the top.
pub const TABLES: &[(u64, u64)] = &[
    (kind::PDPT, label::PDPT_MAP),
    (kind::PAGE_DIRECTORY, label::PAGE_DIRECTORY_MAP),
    (kind::PAGE_TABLE, label::PAGE_TABLE_MAP),
];
/// Their numbers for debugging.
pub const TABLE_NUMBERS: &[u64] = &[7, 5, 3];

static FREQUENCY: AtomicU64 = AtomicU64::new(1);

/// What BootInfo says of the machine: the counter's frequency, which no register has.
pub fn learn(info: Option<&AxiomInfo>) {
    FREQUENCY.store(info.map_or(1, |info| info.counter_frequency), Relaxed);
}

/// The user's word of a buffer, bytes from its start.
const USER_WORD: usize = 8 * 121;

/// The base of FS, which is this thread's buffer or 8 bytes on. Not every processor has an instruction that reads it, but every
/// buffer holds its own address.
pub fn thread_pointer() -> u64 {
    let (here, before): (u64, u64);
    // SAFETY: every thread here has its buffer at the base of FS, or 8 bytes below; both words are in it.
    unsafe {
        asm!("mov {}, fs:[{n}]", "mov {}, fs:[{n} - 8]", out(reg) here, out(reg) before, n = const USER_WORD,
            options(nostack, preserves_flags, readonly));
    }
    // A capability pointer, which stands behind the user's word, is no address of a page.
    if here.is_multiple_of(1024) && here >= 1 << 20 { here } else { before + 8 }
}

/// Sets it.
pub fn set_thread_pointer(at: u64) {
    set_tls_base(at);
}

/// This thread's buffer: the user's word in it is its address.
#[inline(always)]
pub fn buffer() -> u64 {
    let value: u64;
    // SAFETY: every thread here has its buffer at the base of FS, and the word holds its address (`world::set_buffer`).
    unsafe {
        asm!("mov {}, fs:[{}]", out(reg) value, const USER_WORD, options(nostack, preserves_flags, readonly))
    };
    value
}

/// The time stamp counter.
pub fn counter() -> u64 {
    cycles()
}

/// The counter's frequency, Hz.
pub fn frequency() -> u64 {
    FREQUENCY.load(Relaxed)
}

/// The time stamp counter, which counts instructions where the emulator does.
#[inline(always)]
pub fn cycles() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reads a counter that the kernel exports.
    unsafe { asm!("rdtsc", out("eax") low, out("edx") high, options(nomem, nostack, preserves_flags)) };
    u64::from(high) << 32 | u64::from(low)
}

/// Two instructions, so many times.
#[inline(always)]
pub fn count_down(times: u64) {
    // SAFETY: two instructions per iteration on one register, no memory.
    unsafe { asm!("2:", "dec {n}", "jnz 2b", n = inout(reg) times => _, options(nomem, nostack)) };
}

/// An exception of this thread's own.
#[inline(always)]
pub fn undefined() {
    // SAFETY: an undefined instruction has no effect but the fault.
    unsafe { asm!("ud2", options(nostack)) };
}

/// Loads from an address, by an instruction of [`LOAD_BYTES`] bytes.
#[inline(always)]
pub fn load(at: u64) {
    // SAFETY: what is loaded is dropped; a fault is what the caller asks for.
    unsafe { asm!("mov rax, [rax]", inout("rax") at => _, options(nostack)) };
}

/// SetTLSBase.
pub fn set_tls_base(base: u64) {
    stubs::debug_call(syscall::SET_TLS_BASE, base);
}

/// A thread's first registers, as a user context: how many words count.
pub fn first_registers(entry: u64, sp: u64, args: [u64; 2], buffer: u64) -> ([u64; WORDS], usize) {
    let mut words = [0; WORDS];
    words[0] = entry;
    // As after a call.
    words[1] = sp - 8;
    [words[8], words[7]] = args;
    words[18] = buffer;
    (words, WORDS)
}
