//! IO_BANK and PADS: functions, interrupts and electrical settings of lines. Levels are in [`super::rio`].
//!
//! ```
//! use bcm2712_pac::rp1::gpio;
//! assert_eq!(gpio::status(17).offset(), 0x88);
//! assert_eq!(gpio::control(17).offset(), 0x8c);
//! assert_eq!(gpio::PCIE_INTE.offset(), 0x11c);
//! assert_eq!(gpio::pad(17).offset(), 0x48);
//! let c = gpio::Control(0x1f).with_function(gpio::SYS_RIO).with_irq_rising(true);
//! assert_eq!(c.0, 5 | 1 << 21);
//! ```

use crate::{Atomic, ReadOnly, ReadWrite, Register};

/// FUNCSEL: the line is software's, through SYS_RIO. Source: `pinctrl-rp1.c`.
pub const SYS_RIO: u32 = 5;
/// FUNCSEL: nobody's. Source: `pinctrl-rp1.c`.
pub const NO_FUNCTION: u32 = 0x1f;
/// FUNCSEL of GPIO2 and GPIO3 for I2C1 (and of the other header lines for their I2C). Source: `pinctrl-rp1.c`.
pub const FUNCTION_I2C: u32 = 3;
/// FUNCSEL of GPIO7 to GPIO11 for SPI0. Source: `pinctrl-rp1.c`.
pub const FUNCTION_SPI0: u32 = 0;
/// Lines of banks 0, 1 and 2. Source: `pinctrl-rp1.c`.
pub const LINES: [u8; 3] = [28, 6, 20];

axiom_mmio::value! {
    /// A line's state.
    Status {
        /// The level towards the pad, after overrides.
        out_to_pad / with_out_to_pad: [9]
        /// Whether the pad is driven.
        oe_to_pad / with_oe_to_pad: [13]
        /// The level at the pad.
        in_from_pad / with_in_from_pad: [17]
        /// Went low, since [`Control::irq_reset`].
        fell / with_fell: [20]
        /// Went high, since [`Control::irq_reset`].
        rose / with_rose: [21]
        /// Is low.
        low / with_low: [22]
        /// Is high.
        high / with_high: [23]
    }
    /// A line's function and interrupts.
    Control {
        /// Who has it: [`SYS_RIO`], a peripheral, or [`NO_FUNCTION`].
        function / with_function: [4:0]
        /// Override of the output.
        out_over / with_out_over: [13:12]
        /// Override of the output enable.
        oe_over / with_oe_over: [15:14]
        /// Interrupt when it falls.
        irq_falling / with_irq_falling: [20]
        /// Interrupt when it rises.
        irq_rising / with_irq_rising: [21]
        /// Interrupt while it is low.
        irq_low / with_irq_low: [22]
        /// Interrupt while it is high.
        irq_high / with_irq_high: [23]
        /// Forgets the edges seen. Clears itself.
        irq_reset / with_irq_reset: [28]
    }
    /// A line's electrical settings.
    Pad {
        /// Fast slew rate.
        slew_fast / with_slew_fast: [0]
        /// Schmitt trigger.
        schmitt / with_schmitt: [1]
        /// Pull: 0 none, 1 down, 2 up.
        pull / with_pull: [3:2]
        /// Drive: 2, 4, 8, 12 mA.
        drive / with_drive: [5:4]
        /// The input is connected.
        input_enable / with_input_enable: [6]
        /// The output is disconnected.
        output_disable / with_output_disable: [7]
    }
}

axiom_mmio::block! {
    /// Functions and interrupts of a bank. Each line has [`status`] and [`control`].
    IoBank from "drivers/pinctrl/pinctrl-rp1.c";
    /// Lines whose events reach the processor, a bit each.
    PCIE_INTE @ 0x11c: u32, ReadWrite;
    /// Lines with an event that reaches the processor.
    PCIE_INTS @ 0x124: u32, ReadOnly;
}

impl Atomic for IoBank {
    const XOR: usize = 0x1000;
    const SET: usize = 0x2000;
    const CLEAR: usize = 0x3000;
}

/// State of a line of the bank. Source: `pinctrl-rp1.c`.
pub const fn status(line: u8) -> Register<IoBank, Status, ReadOnly> {
    Register::at(line as usize * 8)
}

/// Function and interrupts of a line of the bank. Source: `pinctrl-rp1.c`.
pub const fn control(line: u8) -> Register<IoBank, Control, ReadWrite> {
    Register::at(line as usize * 8 + 4)
}

/// Electrical settings of a bank. Each line has [`pad`].
///
/// Source: `pinctrl-rp1.c`.
pub struct Pads;

impl Atomic for Pads {
    const XOR: usize = 0x1000;
    const SET: usize = 0x2000;
    const CLEAR: usize = 0x3000;
}

/// Voltage of the bank: 0 is 3.3 V. Source: `pinctrl-rp1.c` (layout as on RP2040; the meaning is unverified).
pub const VOLTAGE: Register<Pads, u32, ReadWrite> = Register::at(0);

/// Settings of a line of the bank. Source: `pinctrl-rp1.c`.
pub const fn pad(line: u8) -> Register<Pads, Pad, ReadWrite> {
    Register::at(4 + line as usize * 4)
}
