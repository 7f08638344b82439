//! PWM: four channels a block.
//!
//! ```
//! use bcm2712_pac::rp1::pwm;
//! assert_eq!(pwm::GLOBAL_CTRL.offset(), 0);
//! assert_eq!(pwm::control(2).offset(), 0x34);
//! assert_eq!(pwm::range(2).offset(), 0x38);
//! assert_eq!(pwm::duty(3).offset(), 0x50);
//! ```

use crate::{ReadWrite, Register};

/// Channels of a block. Source: Circle `pwmoutput-rp1.cpp`.
pub const CHANNELS: u8 = 4;
/// MODE: the output is high for [`duty`] clocks from the period's start (trailing-edge mark-space). Source: `drivers/pwm/pwm-rp1.c`.
pub const MODE_TRAILING_EDGE: u32 = 1;

axiom_mmio::value! {
    /// Which channels run.
    GlobalControl {
        /// A bit for each channel.
        enable / with_enable: [3:0]
        /// Makes the channels take their settings over; reads as 0. Without it new settings wait (not verified on a board).
        update / with_update: [31]
    }
    /// A channel's mode.
    Control {
        /// 0 off, [`MODE_TRAILING_EDGE`], and others.
        mode / with_mode: [1:0]
        /// The output is inverted.
        invert / with_invert: [3]
        /// Duty comes from the FIFO.
        use_fifo / with_use_fifo: [5]
        /// Empties the FIFO when a value was taken (set by Linux's driver in every mode).
        fifo_pop_mask / with_fifo_pop_mask: [8]
    }
}

axiom_mmio::block! {
    /// A PWM block.
    Pwm from "Circle pwmoutput-rp1.cpp, drivers/pwm/pwm-rp1.c";
    /// Which channels run.
    GLOBAL_CTRL @ 0x0: GlobalControl, ReadWrite;
    /// The FIFO's settings and state.
    FIFO_CTRL @ 0x4: u32, ReadWrite;
}

/// A channel's mode. Source: Circle `pwmoutput-rp1.cpp`.
pub const fn control(channel: u8) -> Register<Pwm, Control, ReadWrite> {
    Register::at(0x14 + 0x10 * channel as usize)
}

/// Clocks of a channel's period. Source: Circle `pwmoutput-rp1.cpp`.
pub const fn range(channel: u8) -> Register<Pwm, u32, ReadWrite> {
    Register::at(0x18 + 0x10 * channel as usize)
}

/// Clocks by which a channel's period is shifted. Source: Circle `pwmoutput-rp1.cpp`.
pub const fn phase(channel: u8) -> Register<Pwm, u32, ReadWrite> {
    Register::at(0x1c + 0x10 * channel as usize)
}

/// Clocks of a channel's period that the output is high. Source: Circle `pwmoutput-rp1.cpp`.
pub const fn duty(channel: u8) -> Register<Pwm, u32, ReadWrite> {
    Register::at(0x20 + 0x10 * channel as usize)
}
