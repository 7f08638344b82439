//! AArch64: a PL011.
mod uart;

use crate::server::PORT;
use axiom_runtime::Runtime;
use core::fmt::Write;
use heapless::String;
pub use uart::Uart;

/// The port that init gave, if it did.
pub fn open(rt: Runtime) -> Option<Uart> {
    rt.registers(PORT, uart::REGISTER_BYTES).map(Uart::new)
}

/// What firmware set up.
pub fn facts(uart: &Uart) -> String<96> {
    let (whole, fraction) = uart.divisors();
    let mut text = String::new();
    // Two numbers of 32 bits fit.
    let _ = write!(text, "facts: PL011, IBRD {whole}, FBRD {fraction}, as firmware set them");
    text
}
