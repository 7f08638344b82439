//! Which lines of the header a peripheral uses, and the function that they are switched to when it is opened.

use axiom_proto::rp1::Peripheral;
use bcm2712_pac::rp1::gpio::{self, FUNCTION_I2C, FUNCTION_SPI0, IoBank, Pad, Pads};
use bcm2712_pac::{Block, Io};

/// Pull of a pad: none, or up, which I2C's lines need where the board has no resistors.
const NO_PULL: u32 = 0;
const PULL_UP: u32 = 2;

/// The usual lines of a peripheral, their function, their pull. Peripherals that are not named here, or that have several places on
/// the header, are left as firmware set them.
fn lines(peripheral: Peripheral) -> (&'static [u8], u32, u32) {
    match peripheral.name() {
        "i2c0" => (&[0, 1], FUNCTION_I2C, PULL_UP),
        "i2c1" => (&[2, 3], FUNCTION_I2C, PULL_UP),
        "i2c2" => (&[4, 5], FUNCTION_I2C, PULL_UP),
        // MISO, MOSI, SCLK; chip selects are GPIO's.
        "spi0" => (&[9, 10, 11], FUNCTION_SPI0, NO_PULL),
        _ => (&[], 0, 0),
    }
}

/// The header's lines that a peripheral's owner gets switched to it.
pub fn header_lines(peripheral: Peripheral) -> &'static [u8] {
    lines(peripheral).0
}

/// Switches the peripheral's lines to it; which they are.
pub fn switch<I: Io>(
    peripheral: Peripheral,
    bank: &Block<IoBank, I>,
    pads: &Block<Pads, I>,
) -> &'static [u8] {
    let (lines, function, pull) = lines(peripheral);
    for line in lines {
        let electrical =
            |p: Pad| p.with_pull(pull).with_input_enable(true).with_output_disable(false).with_schmitt(true);
        pads.modify(gpio::pad(*line), electrical);
        bank.modify(gpio::control(*line), |c| c.with_function(function).with_out_over(0).with_oe_over(0));
    }
    lines
}
