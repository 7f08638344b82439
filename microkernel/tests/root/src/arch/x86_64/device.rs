//! A device that interrupts: COM1 raises its transmit interrupt when it is unmasked while it has nothing to send. Each access is an
//! invocation.
use crate::world::{self as w, World};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use sel4_sys::cap::init;
use sel4_sys::{BootInfo, CPtr, Error, label};

const COM1: u64 = 0x3f8;
const INTERRUPTS: u64 = COM1 + 1;
const IDENTITY: u64 = COM1 + 2;
const MODEM: u64 = COM1 + 4;
const TRANSMIT: u64 = 2;
/// Data terminal ready, request to send, and the output that lets the interrupt out.
const OUT: u64 = 0b1011;
/// Where PCs wire COM1: the fifth pin, edge.
const PIN: u64 = 4;
const VECTOR: u64 = 20;

static PORTS: AtomicU64 = AtomicU64::new(0);

#[inline(always)]
fn out(port: u64, value: u64) {
    if w::invoke(CPtr(PORTS.load(Relaxed)), label::IO_PORT_OUT8, &[], &[port, value]).is_err() {
        panic!("port {port:#x} cannot be written");
    }
}

/// The interrupt is quiet: reading what it was for takes it back.
pub fn quiet() {
    out(INTERRUPTS, 0);
    if w::invoke(CPtr(PORTS.load(Relaxed)), label::IO_PORT_IN8, &[], &[IDENTITY]).is_err() {
        panic!("port {IDENTITY:#x} cannot be read");
    }
}

/// What comes before [`raise`]: nothing.
pub fn arm() {}

/// Raises the line: the interrupt is unmasked.
#[inline(always)]
pub fn raise() {
    out(INTERRUPTS, TRANSMIT);
}

/// Takes the ports; the handler of the device's interrupt.
pub fn prepare(world: &mut World, _: &BootInfo) -> Result<CPtr, Error> {
    let (ports, handler) = (CPtr(world.slots(1)), CPtr(world.slots(1)));
    let words = [COM1, COM1 + 7, ports.0, 64];
    w::invoke(init::IO_PORT_CONTROL, label::IO_PORT_CONTROL_ISSUE, &[init::CNODE], &words)?;
    PORTS.store(ports.0, Relaxed);
    out(MODEM, OUT);
    let words = [handler.0, 64, 0, PIN, 0, 0, VECTOR];
    w::invoke(init::IRQ_CONTROL, label::IRQ_ISSUE_HANDLER_IOAPIC, &[init::CNODE], &words)?;
    Ok(handler)
}
