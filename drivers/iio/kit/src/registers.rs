//! The model of a chip that is a file of registers, from tables: what most chips are.

use crate::bus::{Condition, Model};

/// Contents of registers from an address on.
pub type Contents = &'static [(u8, &'static [u8])];

/// What the tables say of a chip.
pub struct Tables {
    /// Its address.
    pub address: u8,
    /// Registers after power-on; the others are zero.
    pub power_on: Contents,
    /// Registers that can be written and decide what is measured, with the bits that do.
    pub settings: &'static [(u8, u8)],
    /// Bytes of a register: register `r` begins at place `r * width` of the tables here.
    pub width: u8,
    /// This bit of a register's address lets it count up, where the chip has such a bit; without it the same register is read again.
    pub count_up: Option<u8>,
    /// Registers of each value that it is to measure.
    pub values: &'static [Contents],
    /// Registers when nothing (new) was measured; after power-on this holds, too.
    pub not_ready: Contents,
    /// Registers when a value is outside the range.
    pub overflow: Contents,
    /// Registers of another chip.
    pub stranger: Contents,
    /// Whether it measures, by its registers: one that does not has nothing ready, whatever is set.
    pub measures: fn(&[u8; 256]) -> bool,
}

/// The chip.
pub struct Registers {
    tables: &'static Tables,
    file: [u8; 256],
    pointer: u8,
    /// Bytes of the register at the pointer that have passed.
    passed: u8,
}

impl Registers {
    /// By these tables.
    pub fn new(tables: &'static Tables) -> Registers {
        Registers { tables, file: [0; 256], pointer: 0, passed: 0 }
    }

    /// Puts bytes into registers; what is set there stays, unless `power_on`.
    fn put(&mut self, contents: Contents, power_on: bool) {
        for (at, bytes) in contents {
            for (at, byte) in (usize::from(*at)..).zip(*bytes) {
                let setting = self.tables.settings.iter().find(|(r, _)| usize::from(*r) == at);
                let kept = if power_on { 0 } else { setting.map_or(0, |(_, bits)| *bits) };
                self.file[at] = self.file[at] & kept | byte & !kept;
            }
        }
    }

    fn place(&self) -> usize {
        let register = usize::from(self.pointer & !self.tables.count_up.unwrap_or(0));
        (register * usize::from(self.tables.width) + usize::from(self.passed)) % self.file.len()
    }

    fn advance(&mut self) {
        self.passed += 1;
        if self.passed < self.tables.width {
            return;
        }
        self.passed = 0;
        if self.tables.count_up.is_none_or(|bit| self.pointer & bit != 0) {
            self.pointer = self.pointer.wrapping_add(1);
        }
    }
}

impl Model for Registers {
    fn address(&self) -> u8 {
        self.tables.address
    }

    fn write(&mut self, bytes: &[u8]) -> bool {
        let Some((pointer, data)) = bytes.split_first() else { return true };
        (self.pointer, self.passed) = (*pointer, 0);
        for value in data {
            let at = self.place();
            if let Some((_, bits)) = self.tables.settings.iter().find(|(r, _)| usize::from(*r) == at) {
                self.file[at] = self.file[at] & !bits | value & bits;
            }
            self.advance();
        }
        true
    }

    fn read(&mut self, bytes: &mut [u8]) -> bool {
        if !(self.tables.measures)(&self.file) {
            let not_ready = self.tables.not_ready;
            self.put(not_ready, false);
        }
        for byte in bytes {
            *byte = self.file[self.place()];
            self.advance();
        }
        true
    }

    fn power_on(&mut self) {
        self.file = [0; 256];
        self.put(self.tables.not_ready, true);
        self.put(self.tables.power_on, true);
    }

    fn disturb(&mut self, variant: u8) {
        self.power_on();
        for (i, (register, bits)) in self.tables.settings.iter().enumerate() {
            // Each setting alone, then all of them, then patterns.
            let value = match usize::from(variant) {
                v if v == i => u8::MAX,
                v if v == self.tables.settings.len() => u8::MAX,
                v if v == self.tables.settings.len() + 1 => 0x55,
                v if v == self.tables.settings.len() + 2 => 0xaa,
                _ => continue,
            };
            let old = &mut self.file[usize::from(*register)];
            *old = *old & !bits | value & bits;
        }
    }

    fn settings(&self) -> Vec<u8> {
        self.tables.settings.iter().map(|(r, bits)| self.file[usize::from(*r)] & bits).collect()
    }

    fn set(&mut self, condition: Condition) -> bool {
        let contents = match condition {
            Condition::Measured(value) => self.tables.values.get(value).copied().unwrap_or(&[]),
            Condition::NotReady => self.tables.not_ready,
            Condition::Overflow => self.tables.overflow,
            Condition::Stranger => self.tables.stranger,
            Condition::BadChecksum => &[],
        };
        self.put(contents, false);
        !contents.is_empty()
    }
}
