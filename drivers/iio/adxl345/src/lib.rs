//! ADXL345 three-axis accelerometer over I2C (Analog Devices data sheet, rev. G), full resolution.
//!
//! The FIFO (stream mode) keeps up to 32 samples, with the watermark's interrupt on INT1.
//!
//! A scan is one transfer of six bytes, which the chip keeps consistent. Scale: 3.9 mg per step at every range.
#![no_std]
#[cfg(test)]
extern crate std;

use axiom_iio::{Channel, Drained, Fault, Sensor, Store};
use embedded_hal::i2c::I2c;

/// The address with SDO low.
pub const ADDRESS: u8 = 0x53;

const DEVID: u8 = 0x00;
const BW_RATE: u8 = 0x2c;
const POWER_CTL: u8 = 0x2d;
const INT_ENABLE: u8 = 0x2e;
const INT_SOURCE: u8 = 0x30;
const DATA_FORMAT: u8 = 0x31;
const DATAX0: u8 = 0x32;
const FIFO_CTL: u8 = 0x38;
const FIFO_STATUS: u8 = 0x39;
const STREAM: u8 = 0b10 << 6;
const WATERMARK: u8 = 1 << 1;
const OVERRUN: u8 = 1;
/// More than the FIFO holds twice: a chip that always has more is not to hold up the others.
const MOST: u32 = 66;
const CHIP: u8 = 0xe5;
const MEASURE: u8 = 1 << 3;
const FULL_RES: u8 = 1 << 3;

/// Range of measurement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Range {
    G2 = 0,
    G4 = 1,
    G8 = 2,
    G16 = 3,
}

/// The chip.
pub struct Adxl345 {
    address: u8,
    range: Range,
    watermark: u8,
}

impl Adxl345 {
    /// At this address, with this range.
    pub const fn new(address: u8, range: Range) -> Adxl345 {
        Adxl345 { address, range, watermark: 0 }
    }

    fn sample<B: I2c>(&self, bus: &mut B, raw: &mut [i32]) -> Result<(), B::Error> {
        let mut bytes = [0; 6];
        bus.write_read(self.address, &[DATAX0], &mut bytes)?;
        for (value, pair) in raw.iter_mut().zip(bytes.chunks_exact(2)) {
            *value = i16::from_le_bytes([pair[0], pair[1]]) as i32;
        }
        Ok(())
    }

    fn register<B: I2c>(&self, bus: &mut B, register: u8) -> Result<u8, B::Error> {
        let mut value = [0];
        bus.write_read(self.address, &[register], &mut value)?;
        Ok(value[0])
    }

    /// The BW_RATE code of the slowest output rate that is not below `hz` (3200 Hz at most).
    fn rate_code(hz: u32) -> u8 {
        // Code 15 is 3200 Hz, each one below half of it, down to 0.1 Hz.
        let mut code = 15u8;
        let mut milli = 3_200_000u64;
        while code > 0 && milli / 2 >= hz as u64 * 1000 {
            milli /= 2;
            code -= 1;
        }
        code
    }
}

const fn axis(name: &'static str, point: &'static str) -> Channel {
    Channel { name, point, scale_nano: 38_300_000, offset: 0 }
}

static CHANNELS: [Channel; 3] =
    [axis("in_accel_x", "accel_x"), axis("in_accel_y", "accel_y"), axis("in_accel_z", "accel_z")];

impl<B: I2c> Sensor<B> for Adxl345 {
    fn name(&self) -> &'static str {
        "adxl345"
    }
    fn channels(&self) -> &'static [Channel] {
        &CHANNELS
    }
    fn probe(&mut self, bus: &mut B) -> Result<(), Fault<B::Error>> {
        let mut id = [0];
        bus.write_read(self.address, &[DEVID], &mut id)?;
        if id[0] != CHIP {
            return Err(Fault::WrongChip(id[0]));
        }
        bus.write(self.address, &[DATA_FORMAT, FULL_RES | self.range as u8])?;
        bus.write(self.address, &[POWER_CTL, MEASURE])?;
        Ok(())
    }
    fn set_rate(&mut self, bus: &mut B, hz: u32) -> Result<(), Fault<B::Error>> {
        bus.write(self.address, &[BW_RATE, Adxl345::rate_code(hz)])?;
        Ok(())
    }
    fn read(&mut self, bus: &mut B, raw: &mut [i32]) -> Result<(), Fault<B::Error>> {
        Ok(self.sample(bus, raw)?)
    }
    fn store(&mut self, bus: &mut B, wanted: Option<Store>) -> Result<Option<u64>, Fault<B::Error>> {
        bus.write(self.address, &[INT_ENABLE, 0])?;
        // Bypass empties the FIFO.
        bus.write(self.address, &[FIFO_CTL, 0])?;
        let Some(Store { hz, watermark }) = wanted else { return Ok(None) };
        self.watermark = watermark.clamp(1, 31);
        let code = Adxl345::rate_code(hz);
        bus.write(self.address, &[BW_RATE, code])?;
        bus.write(self.address, &[FIFO_CTL, STREAM | self.watermark])?;
        bus.write(self.address, &[INT_ENABLE, WATERMARK])?;
        Ok(Some(3_200_000 >> (15 - code)))
    }
    fn drain(&mut self, bus: &mut B, each: &mut dyn FnMut(&[i32])) -> Result<Drained, Fault<B::Error>> {
        let overrun = self.register(bus, INT_SOURCE)? & OVERRUN != 0;
        let mut samples = 0;
        while samples < MOST {
            let kept = self.register(bus, FIFO_STATUS)? & 0x3f;
            if kept < self.watermark {
                break;
            }
            for _ in 0..kept {
                let mut raw = [0; 3];
                self.sample(bus, &mut raw)?;
                each(&raw);
            }
            samples += u32::from(kept);
        }
        Ok(Drained { samples, overrun })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use embedded_hal::i2c::{ErrorKind, ErrorType, Operation};
    use std::vec::Vec;

    struct Bus {
        registers: [u8; 64],
        pointer: usize,
        writes: Vec<(u8, u8)>,
    }
    #[derive(Debug, PartialEq)]
    struct Nack;
    impl embedded_hal::i2c::Error for Nack {
        fn kind(&self) -> ErrorKind {
            ErrorKind::Other
        }
    }
    impl ErrorType for Bus {
        type Error = Nack;
    }
    impl I2c for Bus {
        fn transaction(&mut self, address: u8, operations: &mut [Operation<'_>]) -> Result<(), Nack> {
            if address != ADDRESS {
                return Err(Nack);
            }
            for o in operations {
                match o {
                    Operation::Write(bytes) => {
                        self.pointer = bytes[0] as usize;
                        for b in &bytes[1..] {
                            self.writes.push((self.pointer as u8, *b));
                            self.pointer += 1;
                        }
                    }
                    Operation::Read(bytes) => {
                        for b in bytes.iter_mut() {
                            *b = self.registers[self.pointer];
                            self.pointer += 1;
                        }
                    }
                }
            }
            Ok(())
        }
    }

    fn bus() -> Bus {
        let mut registers = [0; 64];
        registers[0] = CHIP;
        registers[0x32..0x38].copy_from_slice(&[0x10, 0, 0xff, 0xff, 0x00, 0x01]);
        Bus { registers, pointer: 0, writes: Vec::new() }
    }

    #[test]
    fn it_is_probed_set_up_and_read() {
        let (mut bus, mut chip) = (bus(), Adxl345::new(ADDRESS, Range::G16));
        chip.probe(&mut bus).unwrap();
        chip.set_rate(&mut bus, 100).unwrap();
        assert_eq!(bus.writes, [(0x31, 0x0b), (0x2d, 0x08), (0x2c, 10)]);
        let mut raw = [0; 3];
        chip.read(&mut bus, &mut raw).unwrap();
        assert_eq!(raw, [16, -1, 256]);
    }

    #[test]
    fn its_fifo_is_set_up_and_drained() {
        let (mut bus, mut chip) = (bus(), Adxl345::new(ADDRESS, Range::G16));
        let wanted = Store { hz: 400, watermark: 40 };
        assert_eq!(chip.store(&mut bus, Some(wanted)).unwrap(), Some(400_000));
        assert_eq!(bus.writes, [(0x2e, 0), (0x38, 0), (0x2c, 12), (0x38, 0x80 | 31), (0x2e, 2)]);
        // The model's registers stand still: 33 samples are always there, and the drain ends all the same.
        (bus.registers[0x39], bus.registers[0x30]) = (33, 1);
        let mut got = Vec::new();
        let drained = chip.drain(&mut bus, &mut |raw| got.push(raw.to_vec())).unwrap();
        assert_eq!((drained, got.len()), (Drained { samples: 66, overrun: true }, 66));
        assert_eq!(got[0], [16, -1, 256]);
        (bus.registers[0x39], bus.registers[0x30]) = (30, 0);
        let drained = chip.drain(&mut bus, &mut |_| panic!("below the watermark")).unwrap();
        assert_eq!(drained, Drained::default());
        assert_eq!(chip.store(&mut bus, None).unwrap(), None);
    }

    #[test]
    fn another_chip_or_none_is_told_apart() {
        let mut other = bus();
        other.registers[0] = 0x42;
        assert_eq!(Adxl345::new(ADDRESS, Range::G2).probe(&mut other), Err(Fault::WrongChip(0x42)));
        assert_eq!(Adxl345::new(0x1d, Range::G2).probe(&mut other), Err(Fault::Bus(Nack)));
    }

    #[test]
    fn rates_are_never_below_what_is_asked_for() {
        for (hz, code) in
            [(3200, 15), (5000, 15), (1601, 15), (1600, 14), (100, 10), (101, 11), (50, 9), (1, 4), (0, 0)]
        {
            assert_eq!(Adxl345::rate_code(hz), code, "{hz} Hz");
        }
    }
}
