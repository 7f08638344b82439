//! A model of the LM75: a temperature that wanders between 21 and 27 degrees, an eighth of a degree per ten reads.

use crate::Chip;

/// The chip.
#[derive(Default)]
pub struct Lm75 {
    pointer: u8,
    config: u8,
    reads: u32,
}

impl Lm75 {
    /// Eighths of a degree.
    fn temperature(&self) -> i16 {
        let phase = (self.reads / 10 % 96) as i16;
        21 * 8 + if phase < 48 { phase } else { 96 - phase }
    }
}

impl Chip for Lm75 {
    fn address(&self) -> u8 {
        0x48
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(&register) = bytes.first() {
            self.pointer = register & 3;
        }
        if let (1, Some(&value)) = (self.pointer, bytes.get(1)) {
            self.config = value;
        }
    }

    fn read(&mut self, bytes: &mut [u8]) {
        let value = match self.pointer {
            0 => {
                self.reads += 1;
                self.temperature() << 5
            }
            1 => (self.config as i16) << 8,
            2 => 75 << 8,
            _ => 80 << 8,
        };
        for (byte, v) in bytes.iter_mut().zip(value.to_be_bytes().into_iter().cycle()) {
            *byte = v;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_starts_at_21_degrees_and_rises() {
        let mut chip = Lm75::default();
        let mut bytes = [0; 2];
        chip.write(&[0]);
        chip.read(&mut bytes);
        assert_eq!(i16::from_be_bytes(bytes) >> 5, 21 * 8);
        for _ in 0..100 {
            chip.read(&mut bytes);
        }
        assert_eq!(i16::from_be_bytes(bytes) >> 5, 22 * 8 + 2);
    }
}
