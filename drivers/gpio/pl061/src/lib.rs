//! The Arm PL061 GPIO controller: eight lines, interrupts on edges.
//!
//! Source of the registers: Arm DDI 0190, "PrimeCell General Purpose Input/Output (PL061) Technical Reference Manual".
//! A line that is watched for both edges has one interrupt bit for them: the level after it tells which it was, so a pulse
//! that is over before the interrupt is served counts as one edge, back to the level that it has then.
#![no_std]
#[cfg(test)]
extern crate std;

use axiom_gpio::{Chip, Edges, Registers, Seen};

mod reg {
    /// Address bits 9:2 are a mask of the lines that an access sees.
    pub const DATA: usize = 0x000;
    pub const DIRECTION: usize = 0x400;
    pub const LEVEL_SENSE: usize = 0x404;
    pub const BOTH_EDGES: usize = 0x408;
    pub const RISING: usize = 0x40c;
    pub const ENABLE: usize = 0x410;
    pub const MASKED_STATUS: usize = 0x418;
    pub const CLEAR: usize = 0x41c;
    pub const HARDWARE_CONTROL: usize = 0x420;
    pub const PERIPHERAL_ID: usize = 0xfe0;
}

/// Lines of the chip.
pub const LINES: u8 = 8;
/// Bytes of its registers.
pub const REGISTERS_LEN: usize = 0x1000;

/// The chip.
pub struct Pl061<R> {
    registers: R,
    outputs: u32,
}

impl<R: Registers> Pl061<R> {
    /// Takes the chip over: no interrupts, lines as they are. The identification when it is another chip.
    pub fn new(mut registers: R) -> Result<Pl061<R>, u32> {
        let id = (0..4).fold(0, |id, i| id | (registers.read(reg::PERIPHERAL_ID + 4 * i) & 0xff) << (8 * i));
        // Part 0x061 by Arm (0x41); revision and configuration may differ.
        if id & 0xf_ffff != 0x4_1061 {
            return Err(id);
        }
        registers.write(reg::ENABLE, 0);
        registers.write(reg::CLEAR, 0xff);
        registers.write(reg::LEVEL_SENSE, 0);
        registers.write(reg::HARDWARE_CONTROL, 0);
        let outputs = registers.read(reg::DIRECTION) & 0xff;
        Ok(Pl061 { registers, outputs })
    }

    fn change(&mut self, offset: usize, line: u8, on: bool) {
        let bit = 1 << line;
        let old = self.registers.read(offset);
        self.registers.write(offset, if on { old | bit } else { old & !bit });
    }

    fn data(&self, mask: u32) -> u32 {
        self.registers.read(reg::DATA + ((mask as usize) << 2))
    }

    fn put(&mut self, line: u8, level: bool) {
        self.registers.write(reg::DATA + (4 << line), u32::from(level) << line);
    }
}

impl<R: Registers> Chip for Pl061<R> {
    fn lines(&self) -> u8 {
        LINES
    }

    fn is_output(&self, line: u8) -> bool {
        self.outputs >> line & 1 != 0
    }

    #[inline]
    fn level(&self, line: u8) -> bool {
        self.data(1 << line) != 0
    }

    #[inline]
    fn drive(&mut self, line: u8, level: bool) {
        self.put(line, level);
        if !self.is_output(line) {
            self.outputs |= 1 << line;
            self.registers.write(reg::DIRECTION, self.outputs);
            // Some implementations keep no level for a line that is an input.
            self.put(line, level);
        }
    }

    fn release(&mut self, line: u8) {
        self.outputs &= !(1 << line);
        self.registers.write(reg::DIRECTION, self.outputs);
    }

    fn watch(&mut self, line: u8, edges: Option<Edges>) {
        self.change(reg::ENABLE, line, false);
        let Some(edges) = edges else { return };
        self.change(reg::BOTH_EDGES, line, edges == Edges::Both);
        self.change(reg::RISING, line, edges.rising());
        // What the change of settings itself set off is no edge.
        self.registers.write(reg::CLEAR, 1 << line);
        self.change(reg::ENABLE, line, true);
    }

    #[inline]
    fn take_edges(&mut self) -> Seen {
        let seen = self.registers.read(reg::MASKED_STATUS) & 0xff;
        if seen == 0 {
            return Seen::default();
        }
        // Cleared before the levels are read: an edge in between comes again.
        self.registers.write(reg::CLEAR, seen);
        let (both, levels) = (self.registers.read(reg::BOTH_EDGES), self.data(0xff));
        let rising = both & levels | !both & self.registers.read(reg::RISING);
        Seen { rising: u64::from(seen & rising), falling: u64::from(seen & !rising) }
    }
}

#[cfg(test)]
mod tests;
