//! A device that interrupts: the PL011 of QEMU's `virt` raises its transmit interrupt when it is unmasked.
use crate::world::{self as w, World};
use sel4_sys::bootinfo::UntypedDesc;
use sel4_sys::cap::init;
use sel4_sys::object::kind;
use sel4_sys::{BootInfo, CPtr, Error, label};

/// The PL011 of QEMU's `virt`, and its interrupt (QEMU, hw/arch/virt.c).
const UART: u64 = 0x900_0000;
const UART_INTERRUPT: u64 = 33;
const AT: u64 = 0x7100_0000;
/// PL011 TRM: data, interrupt mask, interrupt clear.
const DATA: u64 = 0x00;
const MASK: u64 = 0x38;
const CLEAR: u64 = 0x44;
const TRANSMIT: u32 = 1 << 5;

#[inline(always)]
fn register(offset: u64) -> *mut u32 {
    (AT + offset) as *mut u32
}

/// The interrupt is quiet.
#[inline(always)]
pub fn quiet() {
    // SAFETY: the device's page is mapped at AT for as long as this task runs (`prepare`).
    unsafe {
        register(MASK).write_volatile(0);
        register(CLEAR).write_volatile(TRANSMIT);
    }
}

/// What comes before [`raise`]: a byte that was sent latches the transmit interrupt.
#[inline(always)]
pub fn arm() {
    // SAFETY: as for `quiet`.
    unsafe { register(DATA).write_volatile(0) };
}

/// Raises the line: the interrupt is unmasked.
#[inline(always)]
pub fn raise() {
    // SAFETY: as for `quiet`.
    unsafe { register(MASK).write_volatile(TRANSMIT) };
}

/// Maps the device; its interrupt's handler.
pub fn prepare(world: &mut World, info: &BootInfo) -> Result<CPtr, Error> {
    map_uart(world, info)?;
    let handler = CPtr(world.slots(1));
    w::invoke(init::IRQ_CONTROL, label::IRQ_ISSUE_HANDLER, &[init::CNODE], &[UART_INTERRUPT, handler.0, 64])?;
    Ok(handler)
}

/// Maps the UART: pages of its device untyped up to the one that is its.
fn map_uart(world: &mut World, info: &BootInfo) -> Result<(), Error> {
    let count = (info.untyped.end - info.untyped.start) as usize;
    let holds = |u: &UntypedDesc| u.is_device != 0 && u.paddr <= UART && UART - u.paddr < 1 << u.size_bits;
    let index = info.untyped_list[..count].iter().position(holds).ok_or(Error::InvalidArgument)?;
    let untyped = CPtr(info.untyped.start + index as u64);
    let before = (UART - info.untyped_list[index].paddr) / 4096;
    if before > 0 {
        // The rest in front of it, as smaller untypeds: one for each bit of the distance.
        for bit in (0..52).rev().filter(|bit| before & 1 << bit != 0) {
            let slot = world.slots(1);
            let words = [kind::UNTYPED, bit + 12, 0, 0, slot, 1];
            w::invoke(untyped, label::UNTYPED_RETYPE, &[init::CNODE], &words)?;
        }
    }
    let frame = world.slots(1);
    w::invoke(untyped, label::UNTYPED_RETYPE, &[init::CNODE], &[kind::SMALL_PAGE, 0, 0, 0, frame, 1])?;
    world.map_tables(AT);
    // Device memory: no attribute of normal memory.
    w::invoke(CPtr(frame), label::PAGE_MAP, &[init::VSPACE], &[AT, 3, 0]).map(drop)
}
