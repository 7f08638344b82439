//! SYS_RIO: levels of the lines whose function is [`super::gpio::SYS_RIO`], a bit each.
//!
//! ```
//! use bcm2712_pac::{Atomic, rp1::rio};
//! assert_eq!((rio::OUT.offset(), rio::OE.offset(), rio::IN.offset()), (0, 4, 8));
//! assert_eq!((rio::Rio::XOR, rio::Rio::SET, rio::Rio::CLEAR), (0x1000, 0x2000, 0x3000));
//! ```

use crate::Atomic;

axiom_mmio::value! {
    /// A bit for each line of the bank.
    Lines {
    }
}

axiom_mmio::block! {
    /// Levels of a bank. Set and clear bits through the atomic views: other software may own other lines.
    Rio from "drivers/pinctrl/pinctrl-rp1.c";
    /// Levels to drive.
    OUT @ 0x0: Lines, ReadWrite;
    /// Lines that are driven.
    OE @ 0x4: Lines, ReadWrite;
    /// Levels at the pins.
    IN @ 0x8: Lines, ReadOnly;
}

impl Atomic for Rio {
    const XOR: usize = 0x1000;
    const SET: usize = 0x2000;
    const CLEAR: usize = 0x3000;
}
