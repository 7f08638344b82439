//! AArch64: a PL011.
mod uart;

use axiom_proto::env::Device;
use core::fmt::Write;
use heapless::String;
pub use uart::Uart;

/// The port that init gave, if it did.
pub fn open(device: &Device) -> Option<Uart> {
    let registers = device.registers;
    // SAFETY: init mapped the registers of the device that the manifest calls "uart" (a PL011) for this server alone.
    (registers.len > 0).then(|| unsafe { Uart::new(registers.start as usize) })
}

/// What firmware set up.
pub fn facts(uart: &Uart) -> String<96> {
    let (whole, fraction) = uart.divisors();
    let mut text = String::new();
    // Two numbers of 32 bits fit.
    let _ = write!(text, "facts: PL011, IBRD {whole}, FBRD {fraction}, as firmware set them");
    text
}
