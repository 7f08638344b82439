//! DPS310: pressure and temperature (Infineon data sheet, revision 1.2). What is called raw here is compensated, as Linux does it.

use axiom_iio::{Channel, DelayNs, Fault, Sensor, fill, slowest_rate};
use embedded_hal::i2c::I2c;

const DATA: u8 = 0x00;
const PRESSURE_CONFIG: u8 = 0x06;
const TEMPERATURE_CONFIG: u8 = 0x07;
const MEASURE: u8 = 0x08;
const CONFIG: u8 = 0x09;
const ID: u8 = 0x0d;
const COEFFICIENTS: u8 = 0x10;
const COEFFICIENT_SOURCE: u8 = 0x28;
const CHIP: u8 = 0x10;
/// QEMU's model of the chip leaves its identification out; what is left to know it by are the ready bits.
const NO_IDENTIFICATION: u8 = 0xff;
/// Coefficients and sensor are ready, 40 ms after power came.
const READY: u8 = 1 << 7 | 1 << 6;
/// A measurement of each is there that nobody has read.
const MEASURED: u8 = 1 << 5 | 1 << 4;
/// MEASURE: nothing is measured.
const STANDBY: u8 = 0;
/// Pressure and temperature, all the time.
const CONTINUOUS: u8 = 7;
/// CONFIG: no interrupts, no FIFO, results not shifted (right for up to 8 measurements averaged; here it is 1).
const PLAIN: u8 = 0;
/// Register and bit that tell whether the chip's temperature is right without [`CORRECTION`]. Neither is in the data sheet;
/// both are in the manufacturer's driver and in Linux's.
const CORRECT: (u8, u8) = (0x32, 1 << 1);
/// The manufacturer's sequence for chips whose fuses make them read temperatures that are too high.
const CORRECTION: [[u8; 2]; 5] = [[0x0e, 0xa5], [0x0f, 0x96], [0x62, 0x02], [0x0e, 0x00], [0x0f, 0x00]];
/// Full scale of a measurement without oversampling, as a power of two.
const SCALE: u32 = 19;
/// Fractional bits of the compensation.
const FRACTION: u32 = 16;
/// Measurements of each in a second, as powers of two: 1 to 128, in millihertz.
static RATES: [u32; 8] = [1000, 2000, 4000, 8000, 16_000, 32_000, 64_000, 128_000];
/// The code of the fastest.
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
    /// The code of the rate.
    rate: u8,
    /// It is QEMU's model, which has no ready bits once it measures.
    model: bool,
}

impl Dps310 {
    /// At this address: 0x77, or 0x76 with SDO low.
    pub fn new(address: u8) -> Dps310 {
        Dps310 { address, coefficients: Coefficients::default(), source: 0, rate: FASTEST, model: false }
    }

    fn register<B: I2c>(&self, bus: &mut B, register: u8) -> Result<u8, B::Error> {
        let mut byte = [0];
        bus.write_read(self.address, &[register], &mut byte)?;
        Ok(byte[0])
    }

    /// What PRS_CFG and TMP_CFG are to hold.
    fn settings(&self) -> [u8; 2] {
        [self.rate << 4, self.rate << 4 | self.source]
    }

    fn configure<B: I2c>(&self, bus: &mut B) -> Result<(), B::Error> {
        let [pressure, temperature] = self.settings();
        for (register, value) in [
            (MEASURE, STANDBY),
            (CONFIG, PLAIN),
            (PRESSURE_CONFIG, pressure),
            (TEMPERATURE_CONFIG, temperature),
            (MEASURE, CONTINUOUS),
        ] {
            bus.write(self.address, &[register, value])?;
        }
        Ok(())
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
    fn rates(&self) -> &'static [u32] {
        &RATES
    }
    fn probe(&mut self, bus: &mut B, _delay: &mut dyn DelayNs) -> Result<(), Fault<B::Error>> {
        let id = self.register(bus, ID)?;
        let state = self.register(bus, MEASURE)?;
        let ready = state != u8::MAX && state & READY == READY;
        self.model = id == NO_IDENTIFICATION;
        match id {
            CHIP if !ready => return Err(Fault::NotReady),
            CHIP => {}
            // The model forgets its ready bits when it is told to measure.
            NO_IDENTIFICATION if ready || state & !READY == CONTINUOUS || state == STANDBY => {}
            _ => return Err(Fault::WrongChip(id)),
        }
        let mut coefficients = [0; 18];
        bus.write_read(self.address, &[COEFFICIENTS], &mut coefficients)?;
        self.coefficients = Coefficients::new(&coefficients);
        self.source = self.register(bus, COEFFICIENT_SOURCE)? & 0x80;
        let (register, bit) = CORRECT;
        if self.register(bus, register)? & bit == 0 {
            for write in CORRECTION {
                bus.write(self.address, &write)?;
            }
        }
        Ok(self.configure(bus)?)
    }
    fn set_rate(&mut self, bus: &mut B, hz: u32) -> Result<u64, Fault<B::Error>> {
        let code = slowest_rate(&RATES, hz)?;
        self.rate = code as u8;
        self.configure(bus)?;
        Ok(RATES[code].into())
    }
    fn read(&mut self, bus: &mut B, raw: &mut [i32]) -> Result<(), Fault<B::Error>> {
        // Before: reading the results takes the marks away.
        if !self.model && self.register(bus, MEASURE)? & MEASURED != MEASURED {
            return Err(Fault::NotReady);
        }
        let mut data = [0; 6];
        bus.write_read(self.address, &[DATA], &mut data)?;
        fill(raw, &self.coefficients.values(&data));
        Ok(())
    }
    fn check(&mut self, bus: &mut B) -> Result<bool, Fault<B::Error>> {
        let mut now = [0; 4];
        bus.write_read(self.address, &[PRESSURE_CONFIG], &mut now)?;
        let [pressure, temperature, measure, config] = now;
        Ok([pressure, temperature] == self.settings() && measure & 7 == CONTINUOUS && config == PLAIN)
    }
}
