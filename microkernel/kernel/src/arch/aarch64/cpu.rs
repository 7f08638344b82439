//! Instructions that have no Rust name: counters, cache maintenance, the way to firmware.
use axiom_objects::arch::registers::{Registers, TLS, TPIDRRO};
use axiom_objects::machine::CacheOp;
use axiom_objects::ptr::PhysAddr;
use core::arch::asm;
use core::cell::Cell;

/// Reads a system register.
macro_rules! read {
    ($name:literal) => {{
        let value: u64;
        // SAFETY: reading this register has no effect besides its value.
        unsafe { core::arch::asm!(concat!("mrs {}, ", $name), out(reg) value, options(nomem, nostack, preserves_flags)) };
        value
    }};
}
/// Writes a system register. The caller's SAFETY comment says why the value is right.
macro_rules! write {
    ($name:literal, $value:expr) => {{
        let value: u64 = $value;
        core::arch::asm!(concat!("msr ", $name, ", {}"), in(reg) value, options(nostack, preserves_flags))
    }};
}
pub(crate) use {read, write};

/// The address in this core's own register, which boot set to the core's state.
#[inline(always)]
pub fn own_data() -> usize {
    let address: usize;
    // SAFETY: reading the register has no effect; its value never changes after boot, so readings may be shared.
    unsafe { asm!("mrs {}, tpidr_el1", out(reg) address, options(pure, nomem, nostack, preserves_flags)) };
    address
}

/// What a root task is built for.
pub const ARCHITECTURE: axiom_boot::elf::Architecture = axiom_boot::elf::AARCH64;

/// The frame pointer: the chain of frames begins there.
#[inline(always)]
pub fn frame_pointer() -> u64 {
    let frame: u64;
    // SAFETY: reads the frame pointer.
    unsafe { asm!("mov {}, x29", out(reg) frame, options(nomem, nostack)) };
    frame
}

/// The core's model and its place: MIDR, MPIDR.
pub fn identity() -> (u64, u64) {
    (read!("midr_el1"), read!("mpidr_el1"))
}

/// Cycles of the PMU; instructions where the emulator counts those.
#[cfg(feature = "checked")]
pub fn cycles() -> u64 {
    read!("pmccntr_el0")
}

/// How the firmware is called.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Conduit {
    /// No PSCI.
    None,
    /// Secure monitor call.
    Smc,
    /// Hypervisor call.
    Hvc,
}

struct Firmware(Cell<Conduit>);
// SAFETY: written once at boot; one core runs in the kernel at a time.
unsafe impl Sync for Firmware {}
static FIRMWARE: Firmware = Firmware(Cell::new(Conduit::None));

/// Stores how PSCI is called.
pub fn set_conduit(conduit: Conduit) {
    FIRMWARE.0.set(conduit);
}

/// Turns the machine off, or waits for ever where the firmware cannot.
pub fn power_off() -> ! {
    const SYSTEM_OFF: u64 = 0x8400_0008;
    // SAFETY: PSCI SYSTEM_OFF takes no arguments and does not return; the conduit is the device tree's.
    unsafe {
        match FIRMWARE.0.get() {
            Conduit::Smc => asm!("smc #0", inout("x0") SYSTEM_OFF => _, options(nostack)),
            Conduit::Hvc => asm!("hvc #0", inout("x0") SYSTEM_OFF => _, options(nostack)),
            Conduit::None => {}
        }
    }
    halt()
}

/// Waits for ever, interrupts masked.
pub fn halt() -> ! {
    loop {
        // SAFETY: `wfi` only waits.
        unsafe { asm!("msr daifset, #15", "wfi", options(nomem, nostack)) };
    }
}

/// Waits until an interrupt is pending, which stays masked.
pub fn wait_for_interrupt() {
    // SAFETY: `wfi` wakes for a pending interrupt although it is masked, and takes none.
    unsafe { asm!("dsb sy", "wfi", options(nomem, nostack)) };
}

/// Zeroes physical memory with the cache-line zeroing instruction.
#[inline(never)]
pub fn zero(start: PhysAddr, size: u64) {
    // DC ZVA is allowed at this level and covers 64 bytes on every core that we know (DCZID_EL0.BS = 4); otherwise words.
    let address = start.kernel();
    if read!("dczid_el0") & 0x1f == 4 && (start.0 | size) & 63 == 0 {
        let mut at = address;
        let end = address + size as usize;
        while at + 256 <= end {
            // SAFETY: the range is RAM that belongs to nobody (the caller is making an object of it), mapped normal.
            unsafe {
                asm!(
                    "dc zva, {at}",
                    "add {at}, {at}, #64",
                    "dc zva, {at}",
                    "add {at}, {at}, #64",
                    "dc zva, {at}",
                    "add {at}, {at}, #64",
                    "dc zva, {at}",
                    "add {at}, {at}, #64",
                    at = inout(reg) at,
                    options(nostack, preserves_flags)
                )
            };
        }
        while at < end {
            // SAFETY: as above.
            unsafe { asm!("dc zva, {}", in(reg) at, options(nostack, preserves_flags)) };
            at += 64;
        }
        // SAFETY: a barrier: page table walks and other observers see the zeroes.
        unsafe { asm!("dsb ish", options(nostack, preserves_flags)) };
    } else {
        // SAFETY: as above.
        unsafe {
            core::ptr::write_bytes(core::ptr::with_exposed_provenance_mut::<u8>(address), 0, size as usize)
        };
    }
}

/// Zeroes physical memory as [`zero`], and writes the zeroes back, so that also those see them who look past the caches.
pub fn zero_for_user(start: PhysAddr, size: u64) {
    const STEP: u64 = 256;
    let lines_of_64 = read!("dczid_el0") & 0x1f == 4 && data_line() == 64;
    if !lines_of_64 || !(start.0 | size).is_multiple_of(STEP) {
        zero(start, size);
        return cache(CacheOp::CleanInvalidate, start.kernel(), size as usize);
    }
    let at = start.kernel();
    // SAFETY: the range is RAM that belongs to nobody (the caller is making an object of it), mapped normal; both instructions
    // change nothing outside of it. The barrier waits until the lines have reached memory.
    unsafe {
        asm!(
            "2:",
            "dc zva, {a}",
            "dc zva, {b}",
            "dc zva, {c}",
            "dc zva, {d}",
            "dc civac, {a}",
            "dc civac, {b}",
            "dc civac, {c}",
            "dc civac, {d}",
            "add {a}, {a}, #256",
            "add {b}, {b}, #256",
            "add {c}, {c}, #256",
            "add {d}, {d}, #256",
            "cmp {a}, {end}",
            "b.lo 2b",
            "dsb sy",
            a = inout(reg) at => _,
            b = inout(reg) at + 64 => _,
            c = inout(reg) at + 128 => _,
            d = inout(reg) at + 192 => _,
            end = in(reg) at + size as usize,
            options(nostack)
        )
    };
}

/// Bytes of the smallest data cache line.
fn data_line() -> usize {
    4 << (read!("ctr_el0") >> 16 & 0xf)
}

/// Maintains the caches for a range of the kernel's window.
pub fn cache(op: CacheOp, start: usize, size: usize) {
    let line = data_line();
    let mut at = start & !(line - 1);
    let end = start + size;
    while at < end {
        // SAFETY: cache maintenance by address of mapped RAM; invalidation without write-back is only asked for by the
        // frame's owner, of the owner's frame.
        unsafe {
            match op {
                CacheOp::Clean => asm!("dc cvac, {}", in(reg) at, options(nostack, preserves_flags)),
                CacheOp::Invalidate => asm!("dc ivac, {}", in(reg) at, options(nostack, preserves_flags)),
                CacheOp::CleanInvalidate => {
                    asm!("dc civac, {}", in(reg) at, options(nostack, preserves_flags))
                }
                CacheOp::Unify => asm!("dc cvau, {}", in(reg) at, options(nostack, preserves_flags)),
            }
        }
        at += line;
    }
    // SAFETY: barriers, to whoever looks at memory; instruction cache invalidation of everything is always allowed.
    unsafe {
        asm!("dsb sy", options(nostack, preserves_flags));
        if op == CacheOp::Unify {
            asm!("ic ialluis", "dsb ish", "isb", options(nostack, preserves_flags));
        }
    }
}

/// Sets the user thread pointer of the running thread.
pub fn set_tls(value: u64) {
    // SAFETY: the register is the user's own and has no effect in the kernel.
    unsafe { write!("tpidr_el0", value) };
}

/// Loads the running thread's pointer from its registers.
pub fn load_thread_pointers(registers: &Registers) {
    set_tls(registers.get(TLS));
}

/// The thread pointers of `from` go to its registers as far as a user can write them, those of `to` into the machine.
#[inline(always)]
pub fn switch_thread_pointers(from: &Registers, to: &Registers) {
    from.set(TLS, read!("tpidr_el0"));
    // SAFETY: the registers are the user's own.
    unsafe {
        write!("tpidr_el0", to.get(TLS));
        write!("tpidrro_el0", to.get(TPIDRRO));
    }
}

/// Lets user space read the counters and the cycle counter.
pub fn enable_user_counters() {
    let pmu = read!("id_aa64dfr0_el1") >> 8 & 0xf;
    // SAFETY: these registers only grant EL0 reads of counters; the PMU registers exist (checked by its version field).
    unsafe {
        write!("cntkctl_el1", 0b11);
        if pmu != 0 && pmu != 0xf {
            write!("pmccfiltr_el0", 0);
            write!("pmcntenset_el0", 1 << 31);
            write!("pmuserenr_el0", 0b1101);
            write!("pmcr_el0", 1 | 1 << 2 | 1 << 6);
        }
    }
}

/// Bits of a physical address that this core has.
pub fn physical_bits() -> u32 {
    match read!("id_aa64mmfr0_el1") & 7 {
        0 => 32,
        1 => 36,
        2 => 40,
        3 => 42,
        4 => 44,
        _ => 46,
    }
}
