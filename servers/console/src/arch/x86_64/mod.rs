//! x86-64: a 16550 behind I/O ports.
mod uart;

use alloc::string::String;
use axiom_proto::env::Device;
use axiom_runtime::arch::Ports;
use axiom_runtime::sel4::CPtr;
pub use uart::Uart;

/// The port that init gave, if it did.
pub fn open(device: &Device) -> Option<Uart> {
    (device.ports != 0).then(|| Uart::new(Ports(CPtr(device.ports))))
}

/// What firmware set up.
pub fn facts(uart: &Uart) -> String {
    let (line, interrupts) = uart.settings();
    alloc::format!("facts: 16550, LCR {line:#04x}, IIR {interrupts:#04x}, as firmware set them")
}
