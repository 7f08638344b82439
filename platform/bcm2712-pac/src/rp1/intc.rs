//! The interrupt block (in PCIE_APBS): 61 sources, each with a message (MSI-X vector) of its own, or all over INTA.
//!
//! ```
//! use bcm2712_pac::rp1::{Source, intc};
//! assert_eq!(intc::config(Source(8)).offset(), 0x28);
//! assert_eq!(intc::INTSTATL.offset(), 0x108);
//! assert_eq!((intc::STAT[0].offset(), intc::STAT[1].offset()), (0x108, 0x10c));
//! ```

use super::Source;
use crate::{Atomic, ReadOnly, ReadWrite, Register};

axiom_mmio::value! {
    /// A source's settings.
    Config {
        /// The source raises interrupts.
        enable / with_enable: [0]
        /// Raises one now.
        test / with_test: [1]
        /// A level source was served: if it is still high, it raises another.
        iack / with_iack: [2]
        /// The source is a level: one message, then none until [`Config::iack`].
        iack_enable / with_iack_enable: [3]
    }
}

axiom_mmio::block! {
    /// The interrupt block. SET and CLEAR views of [`config`] are at +0x800 and +0xc00; there is no XOR view.
    Intc from "drivers/mfd/rp1.c, Circle southbridge.cpp";
    /// Sources 0 to 31 as they are now, whatever their settings.
    INTSTATL @ 0x108: u32, ReadOnly;
    /// Sources 32 to 60.
    INTSTATH @ 0x10c: u32, ReadOnly;
}

/// [`INTSTATL`] and [`INTSTATH`].
pub const STAT: [Register<Intc, u32, ReadOnly>; 2] = [INTSTATL, INTSTATH];

impl Atomic for Intc {
    const XOR: usize = 0;
    const SET: usize = 0x800;
    const CLEAR: usize = 0xc00;
}

/// A source's settings. Source: `drivers/mfd/rp1.c`.
pub const fn config(source: Source) -> Register<Intc, Config, ReadWrite> {
    Register::at(8 + 4 * source.0 as usize)
}
