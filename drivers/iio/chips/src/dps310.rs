//! DPS310: pressure and temperature (Infineon data sheet, revision 1.2). What is called raw here is compensated, as Linux does it.

use crate::fill;
use axiom_iio::{Channel, Fault, Sensor};
use embedded_hal::i2c::I2c;

const DATA: u8 = 0x00;
const PRESSURE_CONFIG: u8 = 0x06;
const TEMPERATURE_CONFIG: u8 = 0x07;
const MEASURE: u8 = 0x08;
const ID: u8 = 0x0d;
const COEFFICIENTS: u8 = 0x10;
const COEFFICIENT_SOURCE: u8 = 0x28;
const CHIP: u8 = 0x10;
/// QEMU's model of the chip leaves its identification out; what is left to know it by are the ready bits.
const NO_IDENTIFICATION: u8 = 0xff;
/// Coefficients and sensor are ready, 40 ms after power came.
const READY: u8 = 1 << 7 | 1 << 6;
/// Pressure and temperature, all the time.
const CONTINUOUS: u8 = 7;
/// Full scale of a measurement without oversampling, as a power of two.
const SCALE: u32 = 19;
/// Fractional bits of the compensation.
const FRACTION: u32 = 16;
/// Fastest rate: 128 measurements of each in a second.
const FASTEST: u8 = 7;

/// The chip's coefficients, by the names of the data sheet.
#[derive(Clone, Copy, Default)]
pub(crate) struct Coefficients {
    c0: i64,
    c1: i64,
    c00: i64,
    c10: i64,
    c01: i64,
    c11: i64,
    c20: i64,
    c21: i64,
    c30: i64,
}

/// A two's complement number of so many bits.
fn signed(value: u32, bits: u32) -> i64 {
    i64::from((value << (32 - bits)) as i32 >> (32 - bits))
}

impl Coefficients {
    pub(crate) fn new(b: &[u8; 18]) -> Coefficients {
        let at = |i: usize| u32::from(b[i]);
        let sixteen = |i: usize| signed(at(i) << 8 | at(i + 1), 16);
        Coefficients {
            c0: signed(at(0) << 4 | at(1) >> 4, 12),
            c1: signed((at(1) & 0xf) << 8 | at(2), 12),
            c00: signed(at(3) << 12 | at(4) << 4 | at(5) >> 4, 20),
            c10: signed((at(5) & 0xf) << 16 | at(6) << 8 | at(7), 20),
            c01: sixteen(8),
            c11: sixteen(10),
            c20: sixteen(12),
            c21: sixteen(14),
            c30: sixteen(16),
        }
    }

    /// Thousandths of a degree, hundredths of a pascal, from the six bytes of data.
    pub(crate) fn values(&self, d: &[u8; 6]) -> [i32; 2] {
        let measured =
            |i: usize| signed(u32::from(d[i]) << 16 | u32::from(d[i + 1]) << 8 | u32::from(d[i + 2]), 24);
        let (p, t) = (measured(0), measured(3));
        let c = |coefficient: i64| coefficient << FRACTION;
        let times = |x: i64, y: i64| (x * y) >> SCALE;
        let temperature = self.c0 * 500 + times(self.c1 * 1000, t);
        let by_pressure = times(c(self.c10) + times(c(self.c20) + times(c(self.c30), p), p), p);
        let by_temperature = times(c(self.c01) + times(c(self.c11) + times(c(self.c21), p), p), t);
        let pressure = c(self.c00) + by_pressure + by_temperature;
        [temperature as i32, ((pressure * 100) >> FRACTION) as i32]
    }
}

/// The chip.
pub struct Dps310 {
    address: u8,
    coefficients: Coefficients,
    /// Which of the two temperature sensors the coefficients are for, as its bit of TMP_CFG.
    source: u8,
}

impl Dps310 {
    /// At this address: 0x77, or 0x76 with SDO low.
    pub fn new(address: u8) -> Dps310 {
        Dps310 { address, coefficients: Coefficients::default(), source: 0 }
    }

    fn rate<B: I2c>(&self, bus: &mut B, code: u8) -> Result<(), Fault<B::Error>> {
        bus.write(self.address, &[PRESSURE_CONFIG, code << 4])?;
        bus.write(self.address, &[TEMPERATURE_CONFIG, code << 4 | self.source])?;
        bus.write(self.address, &[MEASURE, CONTINUOUS])?;
        Ok(())
    }

    /// The code of the slowest rate that is not below `hz`.
    pub(crate) fn rate_code(hz: u32) -> u8 {
        (0..FASTEST).find(|code| 1 << code >= hz).unwrap_or(FASTEST)
    }
}

static CHANNELS: [Channel; 2] = [
    // Milli degrees and kilopascal, as IIO has them.
    Channel { name: "in_temp", point: "temp", scale_nano: 1_000_000_000, offset: 0 },
    Channel { name: "in_pressure", point: "pressure", scale_nano: 10_000, offset: 0 },
];

impl<B: I2c> Sensor<B> for Dps310 {
    fn name(&self) -> &'static str {
        "dps310"
    }
    fn channels(&self) -> &'static [Channel] {
        &CHANNELS
    }
    fn probe(&mut self, bus: &mut B) -> Result<(), Fault<B::Error>> {
        let mut byte = [0];
        bus.write_read(self.address, &[ID], &mut byte)?;
        let id = byte[0];
        bus.write_read(self.address, &[MEASURE], &mut byte)?;
        let ready = byte[0] != u8::MAX && byte[0] & READY == READY;
        let known = match id {
            CHIP => ready,
            // The model forgets its ready bits when it is told to measure.
            NO_IDENTIFICATION => ready || byte[0] == CONTINUOUS,
            _ => false,
        };
        if !known {
            return Err(Fault::WrongChip(id));
        }
        let mut coefficients = [0; 18];
        bus.write_read(self.address, &[COEFFICIENTS], &mut coefficients)?;
        self.coefficients = Coefficients::new(&coefficients);
        bus.write_read(self.address, &[COEFFICIENT_SOURCE], &mut byte)?;
        self.source = byte[0] & 0x80;
        self.rate(bus, FASTEST)
    }
    fn set_rate(&mut self, bus: &mut B, hz: u32) -> Result<(), Fault<B::Error>> {
        self.rate(bus, Dps310::rate_code(hz))
    }
    fn read(&mut self, bus: &mut B, raw: &mut [i32]) -> Result<(), Fault<B::Error>> {
        let mut data = [0; 6];
        bus.write_read(self.address, &[DATA], &mut data)?;
        fill(raw, &self.coefficients.values(&data));
        Ok(())
    }
}
