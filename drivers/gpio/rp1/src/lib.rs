//! RP1's bank 0: the 28 lines of the Raspberry Pi 5's header.
//!
//! A line is left as it is until somebody drives, releases or watches it: I2C, SPI and UART lines keep their functions. An edge is
//! latched by the chip, rising and falling apart; a line that changes while its latch is being cleared is noticed by its level, so
//! that no change of level is lost, though a pulse may be.
#![no_std]
#[cfg(test)]
extern crate std;

use axiom_gpio::{Chip, Edges, Seen};
use bcm2712_pac::rp1::gpio::{
    Control, IoBank, LINES as BANK_LINES, NO_FUNCTION, PCIE_INTE, PCIE_INTS, Pad, Pads, SYS_RIO, control,
    pad, status,
};
use bcm2712_pac::rp1::rio::{self, Rio};
use bcm2712_pac::{Block, Io};

/// Lines of the bank.
pub const LINES: u8 = BANK_LINES[0];

/// Header lines that a channel of PWM0 can come out at, with the function that leads it there: channel, line, FUNCSEL.
/// Source: Linux's `drivers/pinctrl/pinctrl-rp1.c`, table of functions.
pub const PWM0_LINES: [(u8, u8, u32); 6] =
    [(0, 12, 0), (1, 13, 0), (2, 14, 0), (3, 15, 0), (2, 18, 3), (3, 19, 3)];

/// What holds an undriven line at a level.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pull {
    /// Nothing.
    None = 0,
    /// Low.
    Down = 1,
    /// High.
    Up = 2,
}

impl Pull {
    /// By its name in a manifest.
    pub fn from_name(name: &str) -> Option<Pull> {
        match name {
            "none" => Some(Pull::None),
            "down" => Some(Pull::Down),
            "up" => Some(Pull::Up),
            _ => None,
        }
    }
}

/// The bank.
pub struct Rp1Gpio<I> {
    bank: Block<IoBank, I>,
    rio: Block<Rio, I>,
    pads: Block<Pads, I>,
    /// Lines that this driver drives.
    outputs: u32,
    /// Edges that are watched for.
    rising: u32,
    falling: u32,
}

impl<I: Io> Rp1Gpio<I> {
    /// Takes the bank's interrupts over; lines stay as they are.
    pub fn new(bank: Block<IoBank, I>, rio: Block<Rio, I>, pads: Block<Pads, I>) -> Rp1Gpio<I> {
        bank.write(PCIE_INTE, 0);
        Rp1Gpio { bank, rio, pads, outputs: 0, rising: 0, falling: 0 }
    }

    /// Leads a channel of PWM0 to a line; false if it does not come out there.
    pub fn route_pwm0(&mut self, channel: u8, line: u8) -> bool {
        let found = PWM0_LINES.iter().find(|(c, l, _)| (*c, *l) == (channel, line));
        let Some((_, _, function)) = found else { return false };
        self.outputs &= !(1 << line);
        self.rio.clear(rio::OE, 1 << line);
        self.pads.clear(pad(line), Pad(0).with_output_disable(true).0);
        self.bank.modify(control(line), |c: Control| c.with_function(*function));
        true
    }

    /// Connects a pull to a line, or none: an input that nothing drives floats without one. False if there is no such line.
    pub fn set_pull(&mut self, line: u8, pull: Pull) -> bool {
        if line >= LINES {
            return false;
        }
        self.pads.modify(pad(line), |p: Pad| p.with_pull(pull as u32));
        true
    }

    fn input_enable(&mut self, line: u8) {
        self.pads.set(pad(line), Pad(0).with_input_enable(true).0);
    }
}

impl<I: Io> Chip for Rp1Gpio<I> {
    fn lines(&self) -> u8 {
        LINES
    }

    fn is_output(&self, line: u8) -> bool {
        self.outputs >> line & 1 != 0
    }

    #[inline]
    fn level(&self, line: u8) -> bool {
        self.rio.read(rio::IN).0 >> line & 1 != 0
    }

    #[inline]
    fn drive(&mut self, line: u8, level: bool) {
        let bit = 1 << line;
        // The level first: a line that becomes an output begins with it.
        if level {
            self.rio.set(rio::OUT, bit)
        } else {
            self.rio.clear(rio::OUT, bit)
        }
        if self.outputs & bit == 0 {
            self.outputs |= bit;
            self.input_enable(line);
            self.pads.clear(pad(line), Pad(0).with_output_disable(true).0);
            self.rio.set(rio::OE, bit);
            self.bank.modify(control(line), |c: Control| c.with_function(SYS_RIO));
        }
    }

    fn release(&mut self, line: u8) {
        self.outputs &= !(1 << line);
        self.rio.clear(rio::OE, 1 << line);
        self.input_enable(line);
        self.bank.modify(control(line), |c: Control| c.with_function(SYS_RIO));
    }

    fn watch(&mut self, line: u8, edges: Option<Edges>) {
        let bit = 1 << line;
        self.bank.clear(PCIE_INTE, bit);
        let both = Control(0).with_irq_falling(true).with_irq_rising(true);
        self.bank.clear(control(line), both.0);
        (self.rising, self.falling) = (self.rising & !bit, self.falling & !bit);
        let Some(edges) = edges else { return };
        if self.bank.read(control(line)).function() == NO_FUNCTION {
            self.release(line);
        }
        self.input_enable(line);
        self.rising |= u32::from(edges.rising()) << line;
        self.falling |= u32::from(edges.falling()) << line;
        let wanted = Control(0).with_irq_falling(edges.falling()).with_irq_rising(edges.rising());
        // What was before is no edge.
        self.bank.set(control(line), Control(0).with_irq_reset(true).0);
        self.bank.set(control(line), wanted.0);
        self.bank.set(PCIE_INTE, bit);
    }

    #[inline]
    fn take_edges(&mut self) -> Seen {
        let (mut rising, mut falling) = (0, 0);
        let mut lines = self.bank.read(PCIE_INTS);
        // Off until the end: whatever is raised meanwhile is then a new edge of the interrupt, which may be a message.
        let watched = self.rising | self.falling;
        self.bank.clear(PCIE_INTE, watched);
        while lines != 0 {
            let line = lines.trailing_zeros() as u8;
            let bit = 1 << line;
            lines &= !bit;
            let state = self.bank.read(status(line));
            self.bank.set(control(line), Control(0).with_irq_reset(true).0);
            let (mut rose, mut fell) = (state.rose(), state.fell());
            // Between the two the line may have changed again, and the latch with it was cleared: the level tells.
            if rose != fell {
                let high = self.level(line);
                (rose, fell) = (rose || high, fell || !high);
            }
            rising |= u32::from(rose) << line;
            falling |= u32::from(fell) << line;
        }
        self.bank.set(PCIE_INTE, watched);
        Seen { rising: u64::from(rising & self.rising), falling: u64::from(falling & self.falling) }
    }
}

#[cfg(test)]
mod tests;
