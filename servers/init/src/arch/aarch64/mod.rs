//! AArch64.
use super::Table;
use crate::devices::{Found, PortRange};
use crate::extra::Extra;
use crate::pci::places::Span;
use axiom_fdt::{Fdt, Interrupt};
use axiom_pci::Place;
use axiom_proto::bundle::DeviceRequest;
#[cfg(target_os = "none")]
use core::arch::{asm, global_asm};
use sel4_sys::object::{self as o, kind, vm_attributes};
#[cfg(target_os = "none")]
use sel4_sys::syscall;
use sel4_sys::{CPtr, Error, label};

// A thread without stack and IPC buffer: registers only. x19 is the errand; what it receives is not looked at.
#[cfg(target_os = "none")]
global_asm!(
    ".global axiom_down",
    "axiom_down:",
    "mov x19, x0",
    "ldp x0, x6, [x19]",
    "mov x7, #{recv}",
    "svc #0",
    "1:",
    "ldp x0, x6, [x19]",
    "ldp x1, x2, [x19, #16]",
    "mov x7, #{reply_recv}",
    "svc #0",
    "b 1b",
    recv = const syscall::RECV,
    reply_recv = const syscall::REPLY_RECV,
);

/// What the number of a user exception is called.
pub const EXCEPTION: &str = "esr";

/// What a user exception was, by its number: ESR_EL1, whose class is in the bits from 26 (Arm ARM, D17.2.37).
pub fn exception(number: u64) -> &'static str {
    match number >> 26 & 0x3f {
        0x00 => "an undefined instruction",
        0x22 => "a jump to an address that is no multiple of 4",
        0x26 => "a stack pointer that is no multiple of 16",
        0x3c => "`brk`, as after a panic",
        _ => "an instruction that user space may not run, or a trap of the debugger's",
    }
}

/// Attributes of device registers.
pub const DEVICE: u64 = vm_attributes::EXECUTE_NEVER;

/// The table that a mapping lacks: the invocation takes whichever level is missing.
pub fn missing_table(_bits_left: u64) -> Table {
    Table { kind: kind::PAGE_TABLE, bits: o::PAGE_TABLE_BITS as u32, label: label::PAGE_TABLE_MAP }
}

/// Words of a thread's first registers: pc, sp, spsr, x0.
pub fn first_registers(pc: u64, sp: u64, argument: u64) -> [u64; 4] {
    [pc, sp, 0, argument]
}

/// Label and words of the invocation that makes an interrupt's handler in `slot` of a CNode of 64 bits.
pub fn irq_handler(wanted: Interrupt, slot: u64) -> (u64, [u64; 4]) {
    (label::IRQ_ISSUE_HANDLER_TRIGGER, [wanted.id.into(), wanted.edge.into(), slot, 64])
}

/// What the kernel said that devices are found by: nothing but the device tree.
pub fn remember(_extra: &Extra) {}

/// Devices that every machine of this architecture has: none; the device tree names them all.
pub fn find(_request: &DeviceRequest) -> Option<Found> {
    None
}

/// Devices that no description names: none.
pub fn devices() -> impl Iterator<Item = (&'static str, Span)> {
    core::iter::empty()
}

/// Messages need a translator (GICv3's ITS), which the kernel has no driver for.
pub fn message_handler(_processor: u64, _place: Place, _slot: u64) -> Result<(u64, u32), Error> {
    Err(Error::IllegalOperation)
}

/// There are no ports.
pub fn ports(_range: PortRange, _slot: u64) -> Result<CPtr, Error> {
    Err(Error::IllegalOperation)
}

/// The boot arguments.
pub fn arguments(extra: &Extra) -> &'static str {
    let fdt = extra.fdt.and_then(|bytes| Fdt::new(bytes).ok());
    fdt.and_then(|fdt| fdt.at_path("/chosen")).and_then(|node| node.text("bootargs")).unwrap_or("")
}

/// The counter that timers use.
#[cfg(target_os = "none")]
pub fn ticks() -> u64 {
    let v: u64;
    // SAFETY: reads a counter that the kernel exports; `isb` keeps it from being read early.
    unsafe { asm!("isb", "mrs {}, cntvct_el0", out(reg) v, options(nostack, preserves_flags)) };
    v
}
