//! BME280: temperature, pressure, humidity (Bosch Sensortec data sheet BST-BME280-DS002, compensation formulas of section 4.2.3 and
//! appendix 8). The values that the chip gives need its calibration; what is called raw here is compensated, as Linux does it.

use axiom_iio::{Channel, DelayNs, Fault, Sensor, fill, slowest_rate};
use embedded_hal::i2c::I2c;

const ID: u8 = 0xd0;
const CHIP: u8 = 0x60;
const CALIBRATION: u8 = 0x88;
const CALIBRATION_HUMIDITY: u8 = 0xe1;
const CONTROL_HUMIDITY: u8 = 0xf2;
const STATUS: u8 = 0xf3;
/// The calibration is being copied from its memory.
const UPDATING: u8 = 1;
const CONTROL: u8 = 0xf4;
const CONFIG: u8 = 0xf5;
const DATA: u8 = 0xf7;
/// Each quantity measured once, all the time.
const HUMIDITY_ONCE: u8 = 1;
const TEMPERATURE_AND_PRESSURE_ONCE_NORMAL: u8 = 1 << 5 | 1 << 2 | 3;
/// CONTROL: no measurements. The settings of CONFIG count for sure only when they are made in this mode (section 5.4.6).
const SLEEP: u8 = 0;
/// Half a millisecond between measurements, no filter, four wires of SPI.
const FASTEST: u8 = 0;
/// What stands in the data of a quantity that has not been measured since power came (section 5.4.7 to 5.4.9).
const NEVER_20_BITS: i64 = 0x80000;
const NEVER_16_BITS: i64 = 0x8000;

/// Each quantity once takes up to 9.3 ms (appendix B, section 9.1), and half a millisecond passes before the next time.
static RATES: [u32; 1] = [100_000];

/// The chip's calibration, by the names of the data sheet.
#[derive(Clone, Copy, Default)]
pub(crate) struct Calibration {
    t: [i64; 3],
    p: [i64; 9],
    h: [i64; 6],
}

impl Calibration {
    /// From its registers: 0x88 to 0xa1, 0xe1 to 0xe7.
    pub(crate) fn new(low: &[u8; 26], high: &[u8; 7]) -> Calibration {
        let unsigned = |i: usize| i64::from(u16::from_le_bytes([low[2 * i], low[2 * i + 1]]));
        let signed = |i: usize| i64::from(i16::from_le_bytes([low[2 * i], low[2 * i + 1]]));
        let twelve = |high: u8, low: u8| (i64::from(high as i8) << 4) | i64::from(low & 0xf);
        let mut c = Calibration::default();
        for i in 0..3 {
            c.t[i] = if i == 0 { unsigned(0) } else { signed(i) };
        }
        for i in 0..9 {
            c.p[i] = if i == 0 { unsigned(3) } else { signed(3 + i) };
        }
        c.h = [
            low[25].into(),
            i16::from_le_bytes([high[0], high[1]]).into(),
            high[2].into(),
            twelve(high[3], high[4]),
            twelve(high[5], high[4] >> 4),
            (high[6] as i8).into(),
        ];
        c
    }

    /// The fine temperature that the other formulas need.
    fn fine(&self, adc: i64) -> i64 {
        let coarse = (((adc >> 3) - (self.t[0] << 1)) * self.t[1]) >> 11;
        let off = (adc >> 4) - self.t[0];
        coarse + ((((off * off) >> 12) * self.t[2]) >> 14)
    }

    /// Hundredths of a degree.
    fn temperature(fine: i64) -> i64 {
        (fine * 5 + 128) >> 8
    }

    /// 256ths of a pascal.
    pub(crate) fn pressure(&self, adc: i64, fine: i64) -> i64 {
        let p = &self.p;
        let f = fine - 128_000;
        let offset = f * f * p[5] + ((f * p[4]) << 17) + (p[3] << 35);
        let gain = ((f * f * p[2]) >> 8) + ((f * p[1]) << 12);
        let gain = (((1 << 47) + gain) * p[0]) >> 33;
        if gain == 0 {
            return 0;
        }
        let q = (((1_048_576 - adc) << 31) - offset) * 3125 / gain;
        let square = (p[8] * (q >> 13) * (q >> 13)) >> 25;
        ((q + square + ((p[7] * q) >> 19)) >> 8) + (p[6] << 4)
    }

    /// 1024ths of a percent.
    fn humidity(&self, adc: i64, fine: i64) -> i64 {
        let h = &self.h;
        let f = fine - 76_800;
        let linear = ((adc << 14) - (h[3] << 20) - h[4] * f + 16_384) >> 15;
        let slope = (((f * h[5]) >> 10) * (((f * h[2]) >> 11) + 32_768)) >> 10;
        let v = linear * (((slope + 2_097_152) * h[1] + 8192) >> 14);
        let v = v - (((((v >> 15) * (v >> 15)) >> 7) * h[0]) >> 4);
        v.clamp(0, 419_430_400) >> 12
    }

    /// Hundredths of a degree, hundredths of a pascal, thousandths of a percent, from the eight bytes of data; `None` if one of
    /// them was never measured.
    pub(crate) fn values(&self, data: &[u8; 8]) -> Option<[i32; 3]> {
        let twenty =
            |i: usize| i64::from(data[i]) << 12 | i64::from(data[i + 1]) << 4 | i64::from(data[i + 2] >> 4);
        let (pressure, temperature) = (twenty(0), twenty(3));
        let humidity = i64::from(u16::from_be_bytes([data[6], data[7]]));
        if pressure == NEVER_20_BITS || temperature == NEVER_20_BITS || humidity == NEVER_16_BITS {
            return None;
        }
        let fine = self.fine(temperature);
        Some([
            Calibration::temperature(fine) as i32,
            (self.pressure(pressure, fine) * 100 / 256) as i32,
            (self.humidity(humidity, fine) * 1000 / 1024) as i32,
        ])
    }
}

/// The chip.
pub struct Bme280 {
    address: u8,
    calibration: Calibration,
}

impl Bme280 {
    /// At this address: 0x76 with SDO low, 0x77 with SDO high.
    pub fn new(address: u8) -> Bme280 {
        Bme280 { address, calibration: Calibration::default() }
    }

    fn register<B: I2c>(&self, bus: &mut B, register: u8) -> Result<u8, B::Error> {
        let mut byte = [0];
        bus.write_read(self.address, &[register], &mut byte)?;
        Ok(byte[0])
    }
}

static CHANNELS: [Channel; 3] = [
    // Milli degrees, kilopascal, milli percent, as IIO has them.
    Channel { name: "in_temp", point: "temp", scale_nano: 10_000_000_000, offset: 0 },
    Channel { name: "in_pressure", point: "pressure", scale_nano: 10_000, offset: 0 },
    Channel { name: "in_humidityrelative", point: "humidityrelative", scale_nano: 1_000_000_000, offset: 0 },
];

impl<B: I2c> Sensor<B> for Bme280 {
    fn name(&self) -> &'static str {
        "bme280"
    }
    fn channels(&self) -> &'static [Channel] {
        &CHANNELS
    }
    fn rates(&self) -> &'static [u32] {
        &RATES
    }
    fn probe(&mut self, bus: &mut B, _delay: &mut dyn DelayNs) -> Result<(), Fault<B::Error>> {
        let id = self.register(bus, ID)?;
        if id != CHIP {
            return Err(Fault::WrongChip(id));
        }
        if self.register(bus, STATUS)? & UPDATING != 0 {
            return Err(Fault::NotReady);
        }
        let (mut low, mut high) = ([0; 26], [0; 7]);
        bus.write_read(self.address, &[CALIBRATION], &mut low)?;
        bus.write_read(self.address, &[CALIBRATION_HUMIDITY], &mut high)?;
        self.calibration = Calibration::new(&low, &high);
        // The setting of humidity takes effect with the write to CONTROL that follows.
        for (register, value) in [
            (CONTROL, SLEEP),
            (CONTROL_HUMIDITY, HUMIDITY_ONCE),
            (CONFIG, FASTEST),
            (CONTROL, TEMPERATURE_AND_PRESSURE_ONCE_NORMAL),
        ] {
            bus.write(self.address, &[register, value])?;
        }
        Ok(())
    }
    fn set_rate(&mut self, _bus: &mut B, hz: u32) -> Result<u64, Fault<B::Error>> {
        // It measures as fast as it can; samples are taken of that as often as they are asked for.
        slowest_rate(&RATES, hz).map(|_| u64::from(hz) * 1000)
    }
    fn read(&mut self, bus: &mut B, raw: &mut [i32]) -> Result<(), Fault<B::Error>> {
        let mut data = [0; 8];
        bus.write_read(self.address, &[DATA], &mut data)?;
        fill(raw, &self.calibration.values(&data).ok_or(Fault::NotReady)?);
        Ok(())
    }
    fn check(&mut self, bus: &mut B) -> Result<bool, Fault<B::Error>> {
        // 0xf2 to 0xf5 in one transfer; the top bits of 0xf2 and bit 1 of 0xf5 are reserved.
        let mut now = [0; 4];
        bus.write_read(self.address, &[CONTROL_HUMIDITY], &mut now)?;
        let [humidity, _, control, config] = now;
        Ok(humidity & 7 == HUMIDITY_ONCE
            && control == TEMPERATURE_AND_PRESSURE_ONCE_NORMAL
            && config & !2 == FASTEST)
    }
}
