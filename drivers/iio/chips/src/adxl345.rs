//! ADXL345 three-axis accelerometer over I2C (Analog Devices data sheet, rev. G), full resolution.
//!
//! The FIFO (stream mode) keeps up to 32 samples, with the watermark's interrupt on INT1.
//!
//! A scan is one transfer of six bytes, which the chip keeps consistent. Scale: 3.9 mg per step at every range.
use axiom_iio::{Channel, DelayNs, Drained, Fault, Sensor, Store, slowest_rate};
use embedded_hal::i2c::I2c;

/// The address with SDO low.
pub const ADDRESS: u8 = 0x53;

const DEVID: u8 = 0x00;
/// OFSX, OFSY, OFSZ: added to each sample.
const OFFSETS: [u8; 3] = [0x1e, 0x1f, 0x20];
const BW_RATE: u8 = 0x2c;
const POWER_CTL: u8 = 0x2d;
const INT_ENABLE: u8 = 0x2e;
const INT_MAP: u8 = 0x2f;
const INT_SOURCE: u8 = 0x30;
const DATA_FORMAT: u8 = 0x31;
const DATAX0: u8 = 0x32;
const FIFO_CTL: u8 = 0x38;
const FIFO_STATUS: u8 = 0x39;
const STREAM: u8 = 0b10 << 6;
const BYPASS: u8 = 0;
const DATA_READY: u8 = 1 << 7;
const WATERMARK: u8 = 1 << 1;
const OVERRUN: u8 = 1;
/// After so many samples, two full FIFOs, reading ends: a broken chip that always says that it has more must not keep other sensors
/// waiting.
const MOST: u32 = 66;
const CHIP: u8 = 0xe5;
const STANDBY: u8 = 0;
const MEASURE: u8 = 1 << 3;
const FULL_RES: u8 = 1 << 3;
/// Output rates of BW_RATE's codes 0 to 15, millihertz (table 7 of the data sheet, not rounded).
static RATES: [u32; 16] = [
    97, 195, 390, 781, 1562, 3125, 6250, 12_500, 25_000, 50_000, 100_000, 200_000, 400_000, 800_000,
    1_600_000, 3_200_000,
];
/// 100 Hz, the code after power-on.
const USUAL: u8 = 10;

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
    /// What BW_RATE and FIFO_CTL are to hold.
    rate: u8,
    fifo: u8,
    /// A sample has been measured since the chip was set up.
    measured: bool,
}

impl Adxl345 {
    /// At this address, with this range.
    pub const fn new(address: u8, range: Range) -> Adxl345 {
        Adxl345 { address, range, watermark: 0, rate: USUAL, fifo: BYPASS, measured: false }
    }

    fn format(&self) -> u8 {
        FULL_RES | self.range as u8
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

    /// Chooses the slowest rate that is not below `hz`, with the chip's full power: the rate, millihertz.
    fn choose<B: I2c>(&mut self, bus: &mut B, hz: u32) -> Result<u64, Fault<B::Error>> {
        let code = slowest_rate(&RATES, hz)?;
        self.rate = code as u8;
        bus.write(self.address, &[BW_RATE, self.rate])?;
        Ok(RATES[code].into())
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
    fn rates(&self) -> &'static [u32] {
        &RATES
    }
    fn probe(&mut self, bus: &mut B, _delay: &mut dyn DelayNs) -> Result<(), Fault<B::Error>> {
        let mut id = [0];
        bus.write_read(self.address, &[DEVID], &mut id)?;
        if id[0] != CHIP {
            return Err(Fault::WrongChip(id[0]));
        }
        // Whoever ran before may have left anything: link and sleep modes (POWER_CTL), offsets, low power (BW_RATE), interrupts,
        // their pins and their sense (DATA_FORMAT), a FIFO full of old samples. Changes are made in standby.
        (self.fifo, self.measured) = (BYPASS, false);
        bus.write(self.address, &[POWER_CTL, STANDBY])?;
        for register in OFFSETS {
            bus.write(self.address, &[register, 0])?;
        }
        for (register, value) in [
            (INT_ENABLE, 0),
            (INT_MAP, 0),
            (DATA_FORMAT, self.format()),
            (BW_RATE, self.rate),
            (FIFO_CTL, BYPASS),
            (POWER_CTL, MEASURE),
        ] {
            bus.write(self.address, &[register, value])?;
        }
        Ok(())
    }
    fn set_rate(&mut self, bus: &mut B, hz: u32) -> Result<u64, Fault<B::Error>> {
        self.choose(bus, hz)
    }
    fn read(&mut self, bus: &mut B, raw: &mut [i32]) -> Result<(), Fault<B::Error>> {
        if !self.measured {
            // The output still holds what somebody else measured, until the first sample comes.
            if self.register(bus, INT_SOURCE)? & DATA_READY == 0 {
                return Err(Fault::NotReady);
            }
            self.measured = true;
        }
        self.sample(bus, raw)?;
        // Nothing on every axis is what the chip gives after its power dipped; an honest free fall is hardly so exact.
        if raw.iter().all(|value| *value == 0) && self.register(bus, POWER_CTL)? != MEASURE {
            self.measured = false;
            return Err(Fault::NotReady);
        }
        Ok(())
    }
    fn check(&mut self, bus: &mut B) -> Result<bool, Fault<B::Error>> {
        let mut now = [0; 2];
        bus.write_read(self.address, &[BW_RATE], &mut now)?;
        let [rate, power] = now;
        Ok(rate == self.rate
            && power == MEASURE
            && self.register(bus, DATA_FORMAT)? == self.format()
            && self.register(bus, FIFO_CTL)? == self.fifo)
    }
    fn store(&mut self, bus: &mut B, wanted: Option<Store>) -> Result<Option<u64>, Fault<B::Error>> {
        bus.write(self.address, &[INT_ENABLE, 0])?;
        // Bypass empties the FIFO.
        self.fifo = BYPASS;
        bus.write(self.address, &[FIFO_CTL, BYPASS])?;
        let Some(Store { hz, watermark }) = wanted else { return Ok(None) };
        let rate = self.choose(bus, hz)?;
        self.watermark = watermark.clamp(1, 31);
        self.fifo = STREAM | self.watermark;
        bus.write(self.address, &[FIFO_CTL, self.fifo])?;
        bus.write(self.address, &[INT_ENABLE, WATERMARK])?;
        Ok(Some(rate))
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
        Ok(Drained { samples, lost: overrun.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use embedded_hal::i2c::{ErrorKind, ErrorType, Operation};
    use std::vec::Vec;

    struct Now;
    impl DelayNs for Now {
        fn delay_ns(&mut self, _ns: u32) {}
    }

    struct Bus {
        registers: [u8; 64],
        pointer: usize,
        writes: Vec<(u8, u8)>,
    }
    #[derive(Clone, Copy, Debug, PartialEq)]
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
                            self.registers[self.pointer] = *b;
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
        registers[0x30] = DATA_READY;
        registers[0x32..0x38].copy_from_slice(&[0x10, 0, 0xff, 0xff, 0x00, 0x01]);
        Bus { registers, pointer: 0, writes: Vec::new() }
    }

    #[test]
    fn it_is_probed_set_up_and_read() {
        let (mut bus, mut chip) = (bus(), Adxl345::new(ADDRESS, Range::G16));
        chip.probe(&mut bus, &mut Now).unwrap();
        chip.set_rate(&mut bus, 100).unwrap();
        let zeroed = [(0x2d, 0), (0x1e, 0), (0x1f, 0), (0x20, 0), (0x2e, 0), (0x2f, 0)];
        let set = [(0x31, 0x0b), (0x2c, 10), (0x38, 0), (0x2d, 0x08), (0x2c, 10)];
        assert_eq!(bus.writes, [&zeroed[..], &set].concat());
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
        assert_eq!((drained, got.len()), (Drained { samples: 66, lost: 1 }, 66));
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
        assert_eq!(Adxl345::new(ADDRESS, Range::G2).probe(&mut other, &mut Now), Err(Fault::WrongChip(0x42)));
        assert_eq!(Adxl345::new(0x1d, Range::G2).probe(&mut other, &mut Now), Err(Fault::Bus(Nack)));
    }

    #[test]
    fn rates_are_the_next_that_the_chip_has_or_refused() {
        let (mut bus, mut chip) = (bus(), Adxl345::new(ADDRESS, Range::G16));
        for (hz, code, millihertz) in [
            (3200, 15, 3_200_000),
            (1601, 15, 3_200_000),
            (1600, 14, 1_600_000),
            (60, 10, 100_000),
            (1, 4, 1562),
        ] {
            assert_eq!(chip.set_rate(&mut bus, hz), Ok(millihertz), "{hz} Hz");
            assert_eq!(bus.registers[0x2c], code, "{hz} Hz");
            assert_eq!(
                chip.store(&mut bus, Some(Store { hz, watermark: 1 })),
                Ok(Some(millihertz)),
                "{hz} Hz"
            );
        }
        for hz in [0, 3201, 5000, u32::MAX] {
            let refused = Fault::Rate { slowest: 97, fastest: 3_200_000 };
            assert_eq!(chip.set_rate(&mut bus, hz), Err(refused), "{hz} Hz");
            assert_eq!(chip.store(&mut bus, Some(Store { hz, watermark: 1 })), Err(refused), "{hz} Hz");
            assert_eq!(bus.registers[0x2c], 4, "{hz} Hz: the rate stays");
        }
    }

    #[test]
    fn an_old_sample_and_a_dip_of_power_give_no_values() {
        let (mut bus, mut chip) = (bus(), Adxl345::new(ADDRESS, Range::G16));
        bus.registers[0x30] = 0;
        chip.probe(&mut bus, &mut Now).unwrap();
        let mut raw = [0; 3];
        assert_eq!(chip.read(&mut bus, &mut raw), Err(Fault::NotReady), "the output is somebody else's");
        bus.registers[0x30] = DATA_READY;
        chip.read(&mut bus, &mut raw).unwrap();
        assert_eq!(chip.check(&mut bus), Ok(true));
        for register in [0x2c, 0x2d, 0x31, 0x38] {
            let kept = bus.registers[register];
            bus.registers[register] ^= 1;
            assert_eq!(chip.check(&mut bus), Ok(false), "register {register:#x}");
            bus.registers[register] = kept;
        }
        bus.registers[0x32..0x38].fill(0);
        chip.read(&mut bus, &mut raw).unwrap();
        assert_eq!(raw, [0; 3], "a free fall");
        bus.registers[0x2d] = 0;
        assert_eq!(chip.read(&mut bus, &mut raw), Err(Fault::NotReady), "it stands by");
    }
}
