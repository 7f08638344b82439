//! The Arm PL061 GPIO controller: eight lines, interrupts on edges.
//!
//! Source of the registers: Arm DDI 0190, "PrimeCell General Purpose Input/Output (PL061) Technical Reference Manual".
//! A line that is watched for both edges has one interrupt bit for them: the level after it tells which it was, so a pulse
//! that is over before the interrupt is served counts as one edge, back to the level that it has then.
#![no_std]
#[cfg(test)]
extern crate std;

use axiom_gpio::{Chip, Edges, Seen};
use axiom_mmio::{Block, Io, ReadOnly, ReadWrite, Register};

axiom_mmio::block! {
    /// The controller.
    Registers from "Arm DDI 0190";
    /// Which lines are driven.
    DIRECTION @ 0x400: u32, ReadWrite;
    /// Lines whose level interrupts, and not their edges.
    LEVEL_SENSE @ 0x404: u32, ReadWrite;
    /// Lines of which both edges interrupt.
    BOTH_EDGES @ 0x408: u32, ReadWrite;
    /// Of the others, those whose rising edge does.
    RISING @ 0x40c: u32, ReadWrite;
    /// Lines that interrupt.
    ENABLE @ 0x410: u32, ReadWrite;
    /// Lines that interrupt now.
    MASKED_STATUS @ 0x418: u32, ReadOnly;
    /// Ends the interrupts of lines.
    CLEAR @ 0x41c: u32, WriteOnly;
    /// Lines that other hardware drives.
    HARDWARE_CONTROL @ 0x420: u32, ReadWrite;
}

/// The levels: address bits 9:2 are a mask of the lines that an access sees.
const fn data(mask: u32) -> Register<Registers, u32, ReadWrite> {
    Register::at(((mask & 0xff) as usize) << 2)
}

/// A byte of the chip's identification.
const fn identification(byte: usize) -> Register<Registers, u32, ReadOnly> {
    Register::at(0xfe0 + 4 * byte)
}

/// Lines of the chip.
pub const LINES: u8 = 8;
/// Bytes of its registers.
pub const REGISTERS_LEN: usize = 0x1000;

/// The chip.
pub struct Pl061<R> {
    registers: Block<Registers, R>,
    outputs: u32,
}

impl<R: Io> Pl061<R> {
    /// Takes the chip over: no interrupts, lines as they are. The identification when it is another chip.
    pub fn new(registers: R) -> Result<Pl061<R>, u32> {
        let registers: Block<Registers, R> = Block::new(registers);
        let id = (0..4).fold(0, |id, i| id | (registers.read(identification(i)) & 0xff) << (8 * i));
        // Part 0x061 by Arm (0x41); revision and configuration may differ.
        if id & 0xf_ffff != 0x4_1061 {
            return Err(id);
        }
        registers.write(ENABLE, 0);
        registers.write(CLEAR, 0xff);
        registers.write(LEVEL_SENSE, 0);
        registers.write(HARDWARE_CONTROL, 0);
        let outputs = registers.read(DIRECTION) & 0xff;
        Ok(Pl061 { registers, outputs })
    }

    fn change(&self, register: Register<Registers, u32, ReadWrite>, line: u8, on: bool) {
        let bit = 1 << line;
        self.registers.modify(register, |old| if on { old | bit } else { old & !bit });
    }

    fn levels(&self, mask: u32) -> u32 {
        self.registers.read(data(mask))
    }

    fn put(&self, line: u8, level: bool) {
        self.registers.write(data(1 << line), u32::from(level) << line);
    }
}

impl<R: Io> Chip for Pl061<R> {
    fn lines(&self) -> u8 {
        LINES
    }

    fn is_output(&self, line: u8) -> bool {
        self.outputs >> line & 1 != 0
    }

    #[inline]
    fn level(&self, line: u8) -> bool {
        self.levels(1 << line) != 0
    }

    #[inline]
    fn drive(&mut self, line: u8, level: bool) {
        self.put(line, level);
        if !self.is_output(line) {
            self.outputs |= 1 << line;
            self.registers.write(DIRECTION, self.outputs);
            // Some implementations keep no level for a line that is an input.
            self.put(line, level);
        }
    }

    fn release(&mut self, line: u8) {
        self.outputs &= !(1 << line);
        self.registers.write(DIRECTION, self.outputs);
    }

    fn watch(&mut self, line: u8, edges: Option<Edges>) {
        self.change(ENABLE, line, false);
        let Some(edges) = edges else { return };
        self.change(BOTH_EDGES, line, edges == Edges::Both);
        self.change(RISING, line, edges.rising());
        // What the change of settings itself set off is no edge.
        self.registers.write(CLEAR, 1 << line);
        self.change(ENABLE, line, true);
    }

    #[inline]
    fn take_edges(&mut self) -> Seen {
        let seen = self.registers.read(MASKED_STATUS) & 0xff;
        if seen == 0 {
            return Seen::default();
        }
        // Cleared before the levels are read: an edge in between comes again.
        self.registers.write(CLEAR, seen);
        let (both, levels) = (self.registers.read(BOTH_EDGES), self.levels(0xff));
        let rising = both & levels | !both & self.registers.read(RISING);
        Seen { rising: u64::from(seen & rising), falling: u64::from(seen & !rising) }
    }
}

#[cfg(test)]
mod tests;
