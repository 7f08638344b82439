//! A model of the ADXL345 (data sheet rev. G): identification, rate, range and resolution, measurement mode, data ready, and the
//! FIFO's status in bypass mode.
//!
//! Each read of the data registers delivers the recording's next sample, whatever the clock says: so a run of the guest is
//! the same however fast the emulator is.

use crate::Chip;
use crate::recording::Recording;

const DEVID: usize = 0x00;
const BW_RATE: usize = 0x2c;
const POWER_CTL: usize = 0x2d;
const INT_SOURCE: usize = 0x30;
const DATA_FORMAT: usize = 0x31;
const DATAX0: usize = 0x32;
const FIFO_CTL: usize = 0x38;
const FIFO_STATUS: usize = 0x39;
const MEASURE: u8 = 1 << 3;
const FULL_RES: u8 = 1 << 3;
const JUSTIFY: u8 = 1 << 2;

/// The chip.
pub struct Adxl345 {
    registers: [u8; 0x3a],
    pointer: usize,
    recording: Recording,
    next: usize,
}

impl Adxl345 {
    /// After power-on.
    pub fn new(recording: Recording) -> Adxl345 {
        let mut registers = [0; 0x3a];
        registers[DEVID] = 0xe5;
        registers[BW_RATE] = 0x0a;
        Adxl345 { registers, pointer: 0, recording, next: 0 }
    }

    /// The data register's value of an acceleration.
    fn raw(&self, g: f64) -> i16 {
        let format = self.registers[DATA_FORMAT];
        let range = 2 << (format & 3);
        let (scale, bits) = if format & FULL_RES != 0 {
            (256.0, 10 + (format & 3) as u32)
        } else {
            (512.0 / range as f64, 10)
        };
        let limit = 1i32 << (bits - 1);
        let value = ((g * scale).round() as i32).clamp(-limit, limit - 1);
        let shift = if format & JUSTIFY != 0 { 16 - bits } else { 0 };
        (value << shift) as i16
    }

    fn sample(&mut self) {
        if self.registers[POWER_CTL] & MEASURE == 0 {
            return;
        }
        let sample = self.recording.at(self.next);
        self.next += 1;
        for (axis, g) in sample.into_iter().enumerate() {
            let bytes = self.raw(g).to_le_bytes();
            self.registers[DATAX0 + axis * 2..DATAX0 + axis * 2 + 2].copy_from_slice(&bytes);
        }
    }
}

impl Chip for Adxl345 {
    fn address(&self) -> u8 {
        0x53
    }

    fn write(&mut self, bytes: &[u8]) {
        let Some((&register, data)) = bytes.split_first() else { return };
        self.pointer = register as usize;
        for &value in data {
            // Identification, tap and interrupt status, data and FIFO status are read-only.
            let writable = matches!(self.pointer, 0x1d..=0x2a | 0x2c..=0x2f | DATA_FORMAT | FIFO_CTL);
            if writable {
                self.registers[self.pointer] = value;
            }
            self.pointer += 1;
        }
    }

    fn read(&mut self, bytes: &mut [u8]) {
        let measuring = self.registers[POWER_CTL] & MEASURE != 0;
        for byte in bytes {
            if self.pointer == DATAX0 {
                self.sample();
            }
            self.registers[INT_SOURCE] = if measuring { 0x80 } else { 0 };
            self.registers[FIFO_STATUS] = measuring as u8;
            *byte = self.registers.get(self.pointer).copied().unwrap_or(0);
            self.pointer += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chip() -> Adxl345 {
        Adxl345::new(Recording::built_in().unwrap())
    }

    fn read(chip: &mut Adxl345, register: u8, n: usize) -> Vec<u8> {
        let mut bytes = vec![0; n];
        chip.write(&[register]);
        chip.read(&mut bytes);
        bytes
    }

    #[test]
    fn it_identifies_itself_and_sleeps_until_told_to_measure() {
        let mut c = chip();
        assert_eq!(read(&mut c, 0x00, 1), [0xe5]);
        assert_eq!(read(&mut c, 0x32, 6), [0; 6]);
        c.write(&[0x2d, 0x08]);
        assert_eq!(read(&mut c, 0x30, 1), [0x80]);
        assert_ne!(read(&mut c, 0x32, 6), [0; 6]);
        c.write(&[0x00, 0x11]);
        assert_eq!(read(&mut c, 0x00, 1), [0xe5], "identification is read-only");
    }

    #[test]
    fn ranges_and_resolutions_scale_and_clip() {
        let mut c = chip();
        for (format, g, raw) in [
            (0x08, 1.0, 256),
            (0x0b, 1.0, 256),
            (0x0b, 20.0, 4095),
            (0x08, -20.0, -512),
            (0x00, 1.0, 256),
            (0x03, 1.0, 32),
            (0x04, 1.0, 256 << 6),
        ] {
            c.registers[DATA_FORMAT] = format;
            assert_eq!(c.raw(g), raw, "format {format:#x}, {g} g");
        }
    }

    #[test]
    fn every_read_of_the_data_is_the_next_sample() {
        let mut c = chip();
        c.write(&[0x31, 0x0b]);
        c.write(&[0x2d, 0x08]);
        let expected: Vec<i16> = (0..3).map(|i| c.raw(c.recording.at(i)[2])).collect();
        let got: Vec<i16> =
            (0..3).map(|_| read(&mut c, 0x32, 6)).map(|b| i16::from_le_bytes([b[4], b[5]])).collect();
        assert_eq!(got, expected);
    }
}
