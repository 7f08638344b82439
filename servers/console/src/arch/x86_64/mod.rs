//! x86-64: a 16550 that is reached by I/O ports.
mod uart;

use crate::server::PORT;
use axiom_runtime::Runtime;
use axiom_runtime::arch::Ports;
use axiom_runtime::sel4::CPtr;
use core::fmt::Write;
use heapless::String;
pub use uart::Uart;

/// The port that init gave, if it did.
pub fn open(rt: Runtime) -> Option<Uart> {
    let device = rt.env().device(PORT)?;
    (device.ports != 0).then(|| Uart::new(Ports(CPtr(device.ports))))
}

/// What firmware set up.
pub fn facts(uart: &Uart) -> String<96> {
    let (line, interrupts) = uart.settings();
    let mut text = String::new();
    // Two numbers of 32 bits fit.
    let _ = write!(text, "facts: 16550, LCR {line:#04x}, IIR {interrupts:#04x}, as firmware set them");
    text
}
