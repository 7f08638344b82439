//! AArch64: a PL011.
mod uart;

use alloc::string::String;
use axiom_proto::env::Device;
pub use uart::Uart;

/// The port that init gave, if it did.
pub fn open(device: &Device) -> Option<Uart> {
    let registers = device.registers;
    // SAFETY: init mapped the registers of the device that the manifest calls "uart" (a PL011) for this server alone.
    (registers.len > 0).then(|| unsafe { Uart::new(registers.start as usize) })
}

/// What firmware set up.
pub fn facts(uart: &Uart) -> String {
    let (whole, fraction) = uart.divisors();
    alloc::format!("facts: PL011, IBRD {whole}, FBRD {fraction}, as firmware set them")
}
