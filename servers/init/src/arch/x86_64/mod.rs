//! x86-64.
use super::Table;
use crate::Extra;
use crate::devices::Found;
use crate::sys;
use alloc::vec;
use alloc::vec::Vec;
use axiom_proto::bundle::DeviceRequest;
use core::arch::{asm, global_asm};
use core::cell::Cell;
use sel4_sys::cap::init;
use sel4_sys::ext::HpetInfo;
use sel4_sys::object::{kind, vm_attributes};
use sel4_sys::{CPtr, Error, label, syscall};

global_asm!(
    ".global _start",
    "_start:",
    "lea rsp, [rip + {stack} + {size}]",
    "xor ebp, ebp",
    "call init_main",
    "ud2",
    stack = sym crate::STACK,
    size = const crate::STACK_SIZE,
);

// A thread without stack and IPC buffer: registers only. r14 is the errand; what it receives is not looked at.
global_asm!(
    ".global axiom_down",
    "axiom_down:",
    "mov r14, rdi",
    "mov rdi, [r14]",
    "mov r12, [r14 + 8]",
    "mov rdx, {recv}",
    "syscall",
    "2:",
    "mov rdi, [r14]",
    "mov r12, [r14 + 8]",
    "mov rsi, [r14 + 16]",
    "mov r10, [r14 + 24]",
    "mov rdx, {reply_recv}",
    "syscall",
    "jmp 2b",
    recv = const syscall::RECV,
    reply_recv = const syscall::REPLY_RECV,
);

/// Attributes of device registers.
pub const DEVICE: u64 = vm_attributes::UNCACHEABLE | vm_attributes::EXECUTE_NEVER;

/// The table that a mapping lacks, by the bits of the address that are left to translate where it ended.
pub fn missing_table(bits_left: u64) -> Table {
    let (kind, label) = match bits_left {
        39.. => (kind::PDPT, label::PDPT_MAP),
        30.. => (kind::PAGE_DIRECTORY, label::PAGE_DIRECTORY_MAP),
        _ => (kind::PAGE_TABLE, label::PAGE_TABLE_MAP),
    };
    Table { kind, bits: 12, label }
}

/// Words of a thread's first registers, up to rdi: as after a call.
pub fn first_registers(pc: u64, sp: u64, argument: u64) -> [u64; 9] {
    [pc, sp, 0, 0, 0, 0, 0, 0, argument]
}

/// Label and words of the invocation that makes an interrupt's handler in `slot` of a CNode of 64 bits: the pin of the first I/O APIC with
/// this number, active high as ISA's are and QEMU's, by the vector of the same number.
pub fn irq_handler(irq: u32, edge: bool, slot: u64) -> (u64, [u64; 7]) {
    let pin = u64::from(irq);
    (label::IRQ_ISSUE_HANDLER_IOAPIC, [slot, 64, 0, pin, u64::from(!edge), 0, pin])
}

/// The HPET, where the kernel found one.
struct Hpet(Cell<Option<HpetInfo>>);
// SAFETY: init has one thread.
unsafe impl Sync for Hpet {}
static HPET: Hpet = Hpet(Cell::new(None));

/// What the kernel said that devices are found by.
pub fn remember(extra: &Extra) {
    HPET.0.set(extra.hpet);
}

/// Inputs of the I/O APIC that ISA's interrupts do not use (PCI's do, where a device has no messages).
const BEYOND_ISA: u64 = 0xff_0000;

/// The HPET (PNP0103), by one interrupt of its first timer: the highest input that it can have beyond ISA's. Inputs below have owners: the
/// interval timer, which no one stops, is at 2.
fn hpet() -> Option<Found> {
    let hpet = HPET.0.get()?;
    let input = (hpet.routes & BEYOND_ISA).checked_ilog2();
    Some(Found {
        phys: hpet.address,
        size: 1024,
        interrupts: input.map(|input| (input, true)).into_iter().collect(),
        windows: Vec::new(),
        pins: Vec::new(),
        messages: None,
        ports: None,
    })
}

/// Devices that are where PCs have had them for ever, COM1 (PNP0501) by its ports and its interrupt, and the HPET, which the kernel found.
pub fn find(request: &DeviceRequest) -> Option<Found> {
    if request.compatible == "pnp,0103" && request.instance == 0 {
        return hpet();
    }
    let com1 = request.compatible == "pnp,0501" && request.instance == 0;
    com1.then(|| Found {
        phys: 0,
        size: 0,
        interrupts: vec![(4, true)],
        windows: Vec::new(),
        pins: Vec::new(),
        messages: None,
        ports: Some((0x3f8, 0x3ff)),
    })
}

/// A capability to ports, first and last.
pub fn ports((first, last): (u16, u16), slot: u64) -> Result<CPtr, Error> {
    let words = [first.into(), last.into(), slot, 64];
    sys::invoke(init::IO_PORT_CONTROL, label::IO_PORT_CONTROL_ISSUE, &[init::CNODE], &words)?;
    Ok(CPtr(slot))
}

/// The boot arguments.
pub fn arguments(extra: &Extra) -> &'static str {
    extra.arguments.unwrap_or("")
}

/// The counter that timers use.
pub fn ticks() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reads a counter that the kernel exports; the fence keeps it from being read early.
    unsafe { asm!("lfence", "rdtsc", out("eax") low, out("edx") high, options(nostack, preserves_flags)) };
    u64::from(high) << 32 | u64::from(low)
}
