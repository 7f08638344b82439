//! A chip by its registers, from the command line: for a new driver's first run, before anybody has a model of its chip.
//!
//! `0x18=06:0054,05:c1a0` is a chip at address 0x18 whose register 0x06 reads 00 54, and 0x05 reads c1 a0. A write sets the register that is
//! read next, and what follows in the same transfer becomes that register's bytes; a read of more bytes than the register has goes
//! on in the next one, as chips with one byte a register do. A register that was not named reads zero.

use crate::Chip;
use std::collections::BTreeMap;

/// The chip.
#[derive(Debug, PartialEq)]
pub struct Registers {
    address: u8,
    registers: BTreeMap<u8, Vec<u8>>,
    pointer: u8,
}

impl Registers {
    /// Reads the description.
    pub fn parse(text: &str) -> Result<Registers, String> {
        let wrong = |what: &str| {
            format!("--chip {text}: {what}; write ADDRESS=REGISTER:BYTES,... such as 0x18=06:0054,05:c1a0")
        };
        let hex = |digits: &str| u8::from_str_radix(digits.trim_start_matches("0x"), 16);
        let (address, list) = text.split_once('=').ok_or_else(|| wrong("there is no '='"))?;
        let address = hex(address).ok().filter(|a| (0x08..0x78).contains(a));
        let address = address.ok_or_else(|| wrong("the address is not one of 0x08 to 0x77"))?;
        let mut registers = BTreeMap::new();
        for entry in list.split(',') {
            let (number, digits) = entry.split_once(':').ok_or_else(|| wrong("a register has no ':'"))?;
            let number = hex(number).map_err(|_| wrong("a register is not a number of base 16"))?;
            let pairs = digits.as_bytes().as_chunks::<2>();
            let bytes: Option<Vec<u8>> =
                pairs.0.iter().map(|p| hex(std::str::from_utf8(p).ok()?).ok()).collect();
            let bytes = bytes.filter(|b| pairs.1.is_empty() && !b.is_empty());
            registers
                .insert(number, bytes.ok_or_else(|| wrong("a register's bytes are not pairs of digits"))?);
        }
        Ok(Registers { address, registers, pointer: 0 })
    }
}

impl Chip for Registers {
    fn address(&self) -> u8 {
        self.address
    }

    fn write(&mut self, bytes: &[u8]) {
        let Some((register, rest)) = bytes.split_first() else { return };
        self.pointer = *register;
        if !rest.is_empty() {
            self.registers.insert(*register, rest.to_vec());
        }
    }

    fn read(&mut self, bytes: &mut [u8]) {
        let mut register = self.pointer;
        let mut done = 0;
        while done < bytes.len() {
            let value = self.registers.get(&register).map_or(&[0][..], Vec::as_slice);
            let count = value.len().min(bytes.len() - done);
            bytes[done..done + count].copy_from_slice(&value[..count]);
            done += count;
            register = register.wrapping_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_read_as_they_were_named_or_written() {
        let mut chip = Registers::parse("0x18=06:0054,05:c1a0,0x10:01,11:02").unwrap();
        let read = |chip: &mut Registers, register: u8, length: usize| {
            let mut bytes = vec![0xff; length];
            chip.write(&[register]);
            chip.read(&mut bytes);
            bytes
        };
        assert_eq!((chip.address(), read(&mut chip, 5, 2)), (0x18, vec![0xc1, 0xa0]));
        assert_eq!(read(&mut chip, 5, 3), [0xc1, 0xa0, 0x00]);
        assert_eq!(read(&mut chip, 0x10, 3), [1, 2, 0]);
        assert_eq!(read(&mut chip, 0x7f, 2), [0, 0]);
        chip.write(&[1, 0xab, 0xcd]);
        assert_eq!(read(&mut chip, 1, 2), [0xab, 0xcd]);
    }

    #[test]
    fn what_is_no_chip_is_refused_with_the_form() {
        for (text, why) in [
            ("0x18", "there is no '='"),
            ("0x78=00:00", "not one of 0x08 to 0x77"),
            ("0x18=00", "a register has no ':'"),
            ("0x18=xx:00", "a register is not a number"),
            ("0x18=00:0", "not pairs of digits"),
            ("0x18=00:", "not pairs of digits"),
        ] {
            let error = Registers::parse(text).unwrap_err();
            assert!(error.contains(why) && error.contains("such as 0x18=06:0054"), "{error}");
        }
    }
}
