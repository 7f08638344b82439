//! The kernel's own lines on the debug UART.
use crate::arch::console;
use core::fmt::{self, Write};

struct Uart;

impl Write for Uart {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if byte == b'\n' {
                console::putc(b'\r');
            }
            console::putc(byte);
        }
        Ok(())
    }
}

/// Writes formatted text.
pub fn write(args: fmt::Arguments<'_>) {
    // Writing to the UART cannot fail; a formatting error comes from a Display implementation, and ours return none.
    let _ = Uart.write_fmt(args);
}

/// Prints a line on the debug UART.
macro_rules! println {
    ($($arg:tt)*) => { $crate::print::write(format_args!("{}\n", format_args!($($arg)*))) };
}
pub(crate) use println;
