//! x86-64.
use super::Table;
use crate::devices::{Found, PortRange};
use crate::extra::Extra;
use crate::pci::places::Span;
use crate::sys;
use alloc::vec;
use axiom_fdt::Interrupt;
use axiom_pci::Place;
use axiom_proto::bundle::DeviceRequest;
#[cfg(target_os = "none")]
use core::arch::{asm, global_asm};
use core::cell::Cell;
use sel4_sys::arch::object::USER_VECTORS;
use sel4_sys::cap::init;
use sel4_sys::ext::HpetInfo;
use sel4_sys::object::{kind, vm_attributes};
#[cfg(target_os = "none")]
use sel4_sys::syscall;
use sel4_sys::{CPtr, Error, label};

// A thread without stack and IPC buffer: registers only. r14 is the errand; what it receives is not looked at.
#[cfg(target_os = "none")]
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

/// What the number of a user exception is called.
pub const EXCEPTION: &str = "vector";

/// What a user exception was, by its vector (SDM vol. 3, table 6-1).
pub fn exception(number: u64) -> &'static str {
    match number {
        0 => "a division by zero, or a quotient that is too large",
        6 => "an undefined instruction, as after a panic",
        12 => "a stack address that none can have",
        13 => "an address that none can have, or an instruction that is the kernel's",
        16 | 19 => "an exception of floating-point arithmetic",
        17 => "an address out of alignment",
        _ => "a trap of the debugger's, or an instruction that user space may not run",
    }
}

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
pub fn irq_handler(wanted: Interrupt, slot: u64) -> (u64, [u64; 7]) {
    let pin = u64::from(wanted.id);
    (label::IRQ_ISSUE_HANDLER_IOAPIC, [slot, 64, 0, pin, u64::from(!wanted.edge), 0, pin])
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

/// An edge-triggered interrupt.
fn edge(id: u32) -> Interrupt {
    Interrupt { id, edge: true }
}

/// The HPET (PNP0103), by one interrupt of its first timer: the highest input that it can have beyond ISA's. Inputs below have owners: the
/// interval timer, which no one stops, is at 2.
fn hpet() -> Option<Found> {
    let hpet = HPET.0.get()?;
    let input = (hpet.routes & BEYOND_ISA).checked_ilog2();
    Some(Found {
        phys: hpet.address,
        size: 1024,
        interrupts: input.map(edge).into_iter().collect(),
        ..Found::default()
    })
}

/// Devices in memory that no description names, by what people call them: registers of others must not lie over them.
pub fn devices() -> impl Iterator<Item = (&'static str, Span)> {
    hpet().into_iter().map(|found| ("the HPET", Span::pages(found.phys, found.size)))
}

/// Devices that are where PCs have had them for ever, COM1 and COM2 (PNP0501) by their ports and their interrupts, and the HPET, which the
/// kernel found. Whether something answers there is the driver's to see.
pub fn find(request: &DeviceRequest) -> Option<Found> {
    let (pin, first) = match (request.compatible.as_str(), request.instance) {
        ("pnp,0103", 0) => return hpet(),
        ("pnp,0501", 0) => (4, 0x3f8),
        ("pnp,0501", 1) => (3, 0x2f8),
        _ => return None,
    };
    let ports = Some(PortRange { first, last: first + 7 });
    Some(Found { interrupts: vec![edge(pin)], ports, ..Found::default() })
}

/// Makes the handler of a function's message in `slot` of a CNode of 64 bits; where the function writes, and what. Vectors are taken from the
/// end, since a pin's is its own number.
pub fn message_handler(processor: u64, place: Place, slot: u64) -> Result<(u64, u32), Error> {
    let [bus, device, function] = [place.bus, place.device, place.function].map(u64::from);
    for vector in (0..USER_VECTORS).rev() {
        let words = [slot, 64, bus, device, function, 0, vector];
        match sys::invoke(init::IRQ_CONTROL, label::IRQ_ISSUE_HANDLER_MSI, &[init::CNODE], &words) {
            Ok(_) => return Ok((MESSAGES | (processor & 0xff) << 12, FIRST_USER_VECTOR + vector as u32)),
            // Another handler has it.
            Err(Error::RevokeFirst) => {}
            Err(error) => return Err(error),
        }
    }
    Err(Error::NotEnoughMemory)
}

/// Where writes of devices become interrupts (Intel SDM, volume 3, 11.11), and the processor's vector of the kernel's number 0.
const MESSAGES: u64 = 0xfee0_0000;
const FIRST_USER_VECTOR: u32 = 0x30;

/// A capability to ports, first and last.
pub fn ports(PortRange { first, last }: PortRange, slot: u64) -> Result<CPtr, Error> {
    let words = [first.into(), last.into(), slot, 64];
    sys::invoke(init::IO_PORT_CONTROL, label::IO_PORT_CONTROL_ISSUE, &[init::CNODE], &words)?;
    Ok(CPtr(slot))
}

/// The boot arguments.
pub fn arguments(extra: &Extra) -> &'static str {
    extra.arguments.unwrap_or("")
}

/// The counter that timers use.
#[cfg(target_os = "none")]
pub fn ticks() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reads a counter that the kernel exports; the fence keeps it from being read early.
    unsafe { asm!("lfence", "rdtsc", out("eax") low, out("edx") high, options(nostack, preserves_flags)) };
    u64::from(high) << 32 | u64::from(low)
}
