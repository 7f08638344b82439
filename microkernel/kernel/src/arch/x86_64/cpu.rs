//! Instructions that have no Rust name: what the processor can do, control registers, the counter, thread pointers, the way out.
use super::port;
use super::trap::sites;
use axiom_objects::arch::registers::{GS_BASE, Registers, TLS};
use axiom_objects::machine::CacheOp;
use axiom_objects::ptr::PhysAddr;
use core::arch::x86_64::{__cpuid, __cpuid_count, CpuidResult};
use core::arch::{asm, global_asm};
use core::cell::Cell;

/// What a root task is built for.
pub const ARCHITECTURE: axiom_boot::elf::Architecture = axiom_boot::elf::X86_64;

/// Model-specific registers. Reading or writing one that a processor does not have faults, so each is asked for by CPUID, or is
/// part of 64-bit mode.
pub mod msr {
    /// The local APIC's base and state.
    pub const APIC_BASE: u32 = 0x1b;
    /// What this processor says of its faults.
    pub const ARCH_CAPABILITIES: u32 = 0x10a;
    /// What is speculated.
    pub const SPECULATION_CONTROL: u32 = 0x48;
    /// Barriers to prediction.
    pub const PREDICTION_COMMAND: u32 = 0x49;
    /// Extended features.
    pub const EFER: u32 = 0xc000_0080;
    /// What SYSENTER loads.
    pub const SYSENTER_CS: u32 = 0x174;
    /// The page attribute table.
    pub const PAT: u32 = 0x277;
    /// The counter's next deadline.
    pub const TSC_DEADLINE: u32 = 0x6e0;
    /// Segments of SYSCALL and SYSRET.
    pub const STAR: u32 = 0xc000_0081;
    /// Where SYSCALL goes.
    pub const LSTAR: u32 = 0xc000_0082;
    /// The flags that SYSCALL clears.
    pub const SFMASK: u32 = 0xc000_0084;
    /// Base of FS.
    pub const FS_BASE: u32 = 0xc000_0100;
    /// Base of GS.
    pub const GS_BASE: u32 = 0xc000_0101;
}

/// Reads a model-specific register that this processor has.
pub fn read_msr(register: u32) -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: the register exists (the callers ask CPUID); reading it has no effect.
    unsafe {
        asm!("rdmsr", in("ecx") register, out("eax") low, out("edx") high, options(nomem, nostack, preserves_flags))
    };
    u64::from(high) << 32 | u64::from(low)
}

/// Writes a model-specific register.
///
/// # Safety
/// The processor has the register, and the value keeps what the kernel relies on.
pub unsafe fn write_msr(register: u32, value: u64) {
    // SAFETY: this function's condition.
    unsafe {
        asm!("wrmsr", in("ecx") register, in("eax") value as u32, in("edx") (value >> 32) as u32, options(nostack, preserves_flags));
    }
}

/// What CPUID says; zeroes for a leaf that does not exist.
pub fn cpuid(leaf: u32, subleaf: u32) -> CpuidResult {
    let last = __cpuid(leaf & 0xc000_0000).eax;
    if leaf > last {
        return CpuidResult { eax: 0, ebx: 0, ecx: 0, edx: 0 };
    }
    __cpuid_count(leaf, subleaf)
}

/// What of the processor is used, and what it says of its faults.
pub struct Features {
    /// Pages of 1 GiB.
    pub huge_pages: Cell<bool>,
    /// Instructions for the bases of FS and GS.
    pub fsgsbase: Cell<bool>,
    /// The timer compares with the counter.
    pub tsc_deadline: Cell<bool>,
    /// Supervisor mode does not execute user pages.
    pub smep: Cell<bool>,
    /// Supervisor mode does not touch user pages.
    pub smap: Cell<bool>,
    /// User mode does not read descriptor tables.
    pub umip: Cell<bool>,
    /// Page attribute table.
    pub pat: Cell<bool>,
    /// The counter's rate never changes.
    pub invariant_tsc: Cell<bool>,
    /// The port that ends an emulated machine, or 0.
    exit_port: Cell<u16>,
}
// SAFETY: written at boot; one core runs in the kernel at a time.
unsafe impl Sync for Features {}

/// This processor's.
pub static FEATURES: Features = Features {
    huge_pages: Cell::new(false),
    fsgsbase: Cell::new(false),
    tsc_deadline: Cell::new(false),
    smep: Cell::new(false),
    smap: Cell::new(false),
    umip: Cell::new(false),
    pat: Cell::new(false),
    invariant_tsc: Cell::new(false),
    exit_port: Cell::new(0),
};

mod cr4 {
    pub const DE: u64 = 1 << 3;
    pub const PAE: u64 = 1 << 5;
    pub const MCE: u64 = 1 << 6;
    pub const PGE: u64 = 1 << 7;
    pub const OSFXSR: u64 = 1 << 9;
    pub const OSXMMEXCPT: u64 = 1 << 10;
    pub const UMIP: u64 = 1 << 11;
    pub const FSGSBASE: u64 = 1 << 16;
    pub const OSXSAVE: u64 = 1 << 18;
    pub const SMEP: u64 = 1 << 20;
    pub const SMAP: u64 = 1 << 21;
}

const CR0_TS: u64 = 1 << 3;
/// Flags that a system call does not bring into the kernel: trap, interrupt, direction, I/O privilege, nested task, resume,
/// alignment check.
const SYSCALL_CLEARS: u64 = 0x100 | 0x200 | 0x400 | 0x3000 | 0x4000 | 0x1_0000 | 0x4_0000;

/// Puts the processor into the state that the kernel runs in. Nothing that it does not announce is switched on: an emulator accepts
/// what hardware refuses. System calls go to `entry`.
pub fn init(entry: u64) {
    let (basic, seven, extended) = (cpuid(1, 0), cpuid(7, 0), cpuid(0x8000_0001, 0));
    let f = &FEATURES;
    f.huge_pages.set(extended.edx >> 26 & 1 != 0);
    f.fsgsbase.set(seven.ebx & 1 != 0);
    f.tsc_deadline.set(basic.ecx >> 24 & 1 != 0);
    f.smep.set(seven.ebx >> 7 & 1 != 0);
    f.smap.set(seven.ebx >> 20 & 1 != 0);
    f.umip.set(seven.ecx >> 2 & 1 != 0);
    f.pat.set(basic.edx >> 16 & 1 != 0);
    f.invariant_tsc.set(cpuid(0x8000_0007, 0).edx >> 8 & 1 != 0);
    let mut value = cr4::PAE | cr4::PGE | cr4::DE;
    for (there, bit) in [
        (basic.edx >> 24 & 1 != 0, cr4::OSFXSR),
        (basic.edx >> 25 & 1 != 0, cr4::OSXMMEXCPT),
        (basic.edx >> 7 & 1 != 0, cr4::MCE),
        (f.fsgsbase.get(), cr4::FSGSBASE),
        (f.smep.get(), cr4::SMEP),
        (f.smap.get(), cr4::SMAP),
        (f.umip.get(), cr4::UMIP),
    ] {
        if there {
            value |= bit;
        }
    }
    /// WB, WT, UC-, UC, WC, WT, UC-, UC: what the invocations' attributes count by.
    const ATTRIBUTES: u64 = 0x0007_0401_0007_0406;
    // SAFETY: 1. each bit is announced by CPUID, or part of 64-bit mode; 2. the kernel's own pages are write-back, whose place in the
    // attribute table stays; 3. no user page is mapped, and the interrupt table is loaded; 4. debug registers are cleared.
    unsafe {
        asm!("mov cr4, {}", in(reg) value, options(nostack, preserves_flags));
        asm!("mov dr7, {}", in(reg) 0x400u64, options(nostack, preserves_flags));
        if f.pat.get() {
            write_msr(msr::PAT, ATTRIBUTES);
        }
        if basic.edx >> 11 & 1 != 0 {
            write_msr(msr::SYSENTER_CS, 0);
        }
        write_msr(msr::STAR, 0x1b << 48 | 0x08 << 32);
        write_msr(msr::SFMASK, SYSCALL_CLEARS);
        write_msr(msr::LSTAR, entry);
        write_msr(msr::FS_BASE, 0);
        write_msr(msr::GS_BASE, 0);
    }
    set_fpu_traps(true);
}

/// Switches XSAVE on, for these components.
///
/// # Safety
/// CPUID announces XSAVE and the components; x87 is one of them, and SSE where AVX is.
pub unsafe fn enable_xsave(components: u32) {
    set_control(cr4::OSXSAVE, true);
    // SAFETY: this function's condition; the kernel keeps nothing in these registers.
    unsafe {
        asm!("xsetbv", in("ecx") 0, in("eax") components, in("edx") 0, options(nostack, preserves_flags))
    };
}

/// Switches XSAVE off: user space then has neither it nor AVX.
pub fn disable_xsave() {
    set_control(cr4::OSXSAVE, false);
}

/// Sets or clears bits of CR4 that are no protection of the kernel's, and that the processor has.
fn set_control(bits: u64, on: bool) {
    let old: u64;
    // SAFETY: the bits are announced by CPUID, or already clear.
    unsafe {
        asm!("mov {}, cr4", out(reg) old, options(nomem, nostack, preserves_flags));
        asm!("mov cr4, {}", in(reg) if on { old | bits } else { old & !bits }, options(nostack, preserves_flags));
    }
}

/// Whether an access to the FPU traps.
pub fn set_fpu_traps(on: bool) {
    let old: u64;
    // SAFETY: TS decides only about the FPU, which the kernel uses in `fpu` alone.
    unsafe {
        asm!("mov {}, cr0", out(reg) old, options(nomem, nostack, preserves_flags));
        asm!("mov cr0, {}", in(reg) if on { old | CR0_TS } else { old & !CR0_TS }, options(nostack, preserves_flags));
    }
}

/// The root that is loaded.
pub fn root() -> u64 {
    let value: u64;
    // SAFETY: reading the register has no effect.
    unsafe { asm!("mov {}, cr3", out(reg) value, options(nomem, nostack, preserves_flags)) };
    value
}

unsafe extern "C" {
    /// This core's state; there is one core.
    static axiom_node: u8;
}

/// The address of this core's state.
#[inline(always)]
pub fn own_data() -> usize {
    &raw const axiom_node as usize
}

/// The frame pointer: the chain of frames begins there.
#[inline(always)]
pub fn frame_pointer() -> u64 {
    let frame: u64;
    // SAFETY: reads the frame pointer.
    unsafe { asm!("mov {}, rbp", out(reg) frame, options(nomem, nostack, preserves_flags)) };
    frame
}

/// The core's model and its place: CPUID's signature, the local APIC's identifier.
pub fn identity() -> (u64, u64) {
    let basic = cpuid(1, 0);
    (basic.eax.into(), (basic.ebx >> 24).into())
}

/// The counter; instructions where the emulator counts those.
#[cfg(feature = "checked")]
pub fn cycles() -> u64 {
    counter()
}

/// The time stamp counter.
#[inline(always)]
pub fn counter() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reading the counter has no effect.
    unsafe { asm!("rdtsc", out("eax") low, out("edx") high, options(nomem, nostack, preserves_flags)) };
    u64::from(high) << 32 | u64::from(low)
}

/// The port at which an emulator waits for the end (isa-debug-exit), as the command line says.
pub fn set_exit_port(port: u16) {
    FEATURES.exit_port.set(port);
}

/// Turns an emulated machine off by its exit device, or waits for ever: how a real one is turned off is in tables that only a
/// program can read (ACPI's \_S5).
pub fn power_off() -> ! {
    /// The emulator's status is twice that and one: 33, which no crash can give.
    const DONE: u32 = 0x10;
    match FEATURES.exit_port.get() {
        0 => {}
        exit => port::outl(exit, DONE),
    }
    halt()
}

/// Waits for ever, interrupts masked.
pub fn halt() -> ! {
    loop {
        // SAFETY: `hlt` only waits.
        unsafe { asm!("cli", "hlt", options(nomem, nostack)) };
    }
}

/// Waits until an interrupt comes. It is taken here, and noted (`irq`); afterwards interrupts are off again.
pub fn wait_for_interrupt() {
    // SAFETY: an interrupt from the kernel's own code only notes its vector, and returns with interrupts off; `sti` lets none come
    // before `hlt` has begun to wait.
    unsafe { asm!("sti", "hlt", "cli", options(nostack)) };
}

/// Zeroes physical memory.
pub fn zero(start: PhysAddr, size: u64) {
    let at = start.kernel();
    // SAFETY: the range is RAM that belongs to nobody (the caller is making an object of it).
    unsafe {
        if (start.0 | size) & 7 == 0 {
            asm!("rep stosq", inout("rdi") at => _, inout("rcx") size / 8 => _, in("rax") 0u64, options(nostack, preserves_flags));
        } else {
            core::ptr::write_bytes(core::ptr::with_exposed_provenance_mut::<u8>(at), 0, size as usize);
        }
    }
}

/// Zeroes physical memory past the caches, so that also those see the zeroes who map it without. Whole pages.
pub fn zero_for_user(start: PhysAddr, size: u64) {
    let at = start.kernel();
    // SAFETY: the range is RAM that belongs to nobody (the caller is making an object of it), in pages.
    unsafe {
        asm!(
            "2:",
            "movnti [{a}], {z}", "movnti [{a} + 8], {z}", "movnti [{a} + 16], {z}", "movnti [{a} + 24], {z}",
            "movnti [{a} + 32], {z}", "movnti [{a} + 40], {z}", "movnti [{a} + 48], {z}", "movnti [{a} + 56], {z}",
            "movnti [{a} + 64], {z}", "movnti [{a} + 72], {z}", "movnti [{a} + 80], {z}", "movnti [{a} + 88], {z}",
            "movnti [{a} + 96], {z}", "movnti [{a} + 104], {z}", "movnti [{a} + 112], {z}", "movnti [{a} + 120], {z}",
            "sub {a}, -128",
            "cmp {a}, {end}",
            "jb 2b",
            "sfence",
            a = inout(reg) at => _,
            end = in(reg) at + size as usize,
            z = in(reg) 0u64,
            options(nostack)
        );
    }
}

/// Maintains the caches: they need none here.
pub fn cache(_: CacheOp, _: usize, _: usize) {}

/// Makes the segment selectors null that no code of 64 bits needs; the bases of FS and GS, which some processors zero with them, stay.
#[cold]
pub fn clear_selectors() {
    let (fs, gs) = (read_msr(msr::FS_BASE), read_msr(msr::GS_BASE));
    // SAFETY: in 64-bit mode these segments are nothing but the bases of two, which are put back: they are canonical, as they were read.
    unsafe {
        asm!("mov ds, {0:e}", "mov es, {0:e}", "mov fs, {0:e}", "mov gs, {0:e}", in(reg) 0, options(nomem, nostack, preserves_flags));
        write_msr(msr::FS_BASE, fs);
        write_msr(msr::GS_BASE, gs);
    }
}

/// Sets the user thread pointer of the running thread, an address in canonical form.
pub fn set_tls(value: u64) {
    if FEATURES.fsgsbase.get() {
        // SAFETY: the base is the user's own and has no effect in the kernel; it is canonical.
        unsafe { asm!("wrfsbase {}", in(reg) value, options(nostack, preserves_flags)) };
    } else {
        // SAFETY: as above; the register is part of 64-bit mode.
        unsafe { write_msr(msr::FS_BASE, value) };
    }
}

/// Loads the running thread's bases of FS and GS from its registers.
pub fn load_thread_pointers(registers: &Registers) {
    set_tls(registers.get(TLS));
    let base = registers.get(GS_BASE);
    if FEATURES.fsgsbase.get() {
        // SAFETY: as for FS: the kernel uses neither segment, and what is in a register file is canonical.
        unsafe { asm!("wrgsbase {}", in(reg) base, options(nostack, preserves_flags)) };
    } else {
        // SAFETY: as above; the register is part of 64-bit mode.
        unsafe { write_msr(msr::GS_BASE, base) };
    }
}

global_asm!(
    r#"
    .section .text.pointers, "ax"
    // rdi and rsi as at the place; rax and rcx are its too.
axiom_pointers_by_registers:
    push rdx
    mov ecx, {fs_base}
    rdmsr
    mov dword ptr [rdi + 8 * {tls}], eax
    mov dword ptr [rdi + 8 * {tls} + 4], edx
    mov ecx, {gs_base}
    rdmsr
    mov dword ptr [rdi + 8 * {gs}], eax
    mov dword ptr [rdi + 8 * {gs} + 4], edx
    mov eax, dword ptr [rsi + 8 * {gs}]
    mov edx, dword ptr [rsi + 8 * {gs} + 4]
    wrmsr
    mov ecx, {fs_base}
    mov eax, dword ptr [rsi + 8 * {tls}]
    mov edx, dword ptr [rsi + 8 * {tls} + 4]
    wrmsr
    pop rdx
    ret
    "#,
    fs_base = const msr::FS_BASE,
    gs_base = const msr::GS_BASE,
    tls = const TLS,
    gs = const GS_BASE,
);

/// The thread pointers of `from` go to its registers as far as a user can write them, those of `to` into the machine.
#[inline(always)]
pub fn switch_thread_pointers(from: &Registers, to: &Registers) {
    // SAFETY: 1. CR4.FSGSBASE is set, or boot has led this place to `axiom_pointers_by_registers`, which does the same by registers of 64-bit
    // mode; 2. the bases are the users' own, canonical as all that is in a register file, and have no effect in the kernel, which uses
    // neither segment; 3. both files are live, and their words are cells.
    unsafe {
        asm!(
            "4:  rdfsbase rax",
            "rdgsbase rcx",
            "mov qword ptr [rdi + 8 * {tls}], rax",
            "mov qword ptr [rdi + 8 * {gs}], rcx",
            "mov rax, qword ptr [rsi + 8 * {tls}]",
            "mov rcx, qword ptr [rsi + 8 * {gs}]",
            "wrfsbase rax",
            "wrgsbase rcx",
            "5:",
            ".pushsection .sites, \"a\"",
            ".quad 4b, 5b, axiom_pointers_by_registers, {by_registers}",
            ".popsection",
            in("rdi") from.address(), in("rsi") to.address(), out("rax") _, out("rcx") _,
            tls = const TLS, gs = const GS_BASE, by_registers = const sites::BY_REGISTERS
        );
    }
}

/// Bits of a physical address that this core has, as far as capabilities name them.
pub fn physical_bits() -> u32 {
    match cpuid(0x8000_0008, 0).eax & 0xff {
        0 => 36,
        bits => bits.min(46),
    }
}
