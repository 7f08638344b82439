//! SHTC3 (temperature and relative humidity, Sensirion data sheet version 4) by the crates.io driver `shtcx` 1.0, unchanged: the
//! example of how such a driver implements IIO's [`Sensor`].
//!
//! That crate's driver owns its bus, so it is made anew around the borrowed bus for each operation, which costs nothing. It checks the
//! checksums. A measurement takes 12.1 ms, and nobody waits for it here: each read fetches the measurement that the previous read
//! started, and starts the next one.

use axiom_iio::{Channel, DelayNs, Fault, Sensor, fill};
use embedded_hal::i2c::I2c;
use shtcx::{Error, LowPower, PowerMode};

/// The chip's only address.
pub const ADDRESS: u8 = 0x70;
/// The bits of the identification that say SHTC3 (data sheet, section 5.9).
const IDENTITY: (u16, u16) = (0x083f, 0x0807);
/// Measurements last 12.1 ms at most.
static RATES: [u32; 1] = [80_000];

/// The chip.
#[derive(Default)]
pub struct Shtc3 {
    measuring: bool,
}

static CHANNELS: [Channel; 2] = [
    Channel { name: "in_temp", point: "temp", scale_nano: 1_000_000_000, offset: 0 },
    Channel { name: "in_humidityrelative", point: "humidityrelative", scale_nano: 1_000_000_000, offset: 0 },
];

fn fault<E: embedded_hal::i2c::Error>(error: Error<E>) -> Fault<E> {
    match error {
        Error::I2c(error) => Fault::Bus(error),
        Error::Crc => Fault::Crc,
    }
}

impl<B: I2c> Sensor<B> for Shtc3 {
    fn name(&self) -> &'static str {
        "shtc3"
    }
    fn channels(&self) -> &'static [Channel] {
        &CHANNELS
    }
    fn rates(&self) -> &'static [u32] {
        &RATES
    }
    fn probe(&mut self, bus: &mut B, mut delay: &mut dyn DelayNs) -> Result<(), Fault<B::Error>> {
        self.measuring = false;
        let mut chip = shtcx::shtc3(bus);
        // Whoever ran before may have sent it to sleep; 240 us.
        chip.wakeup(&mut delay).map_err(fault)?;
        let id = chip.raw_id_register().map_err(fault)?;
        if id & IDENTITY.0 == IDENTITY.1 { Ok(()) } else { Err(Fault::WrongChip(id as u8)) }
    }
    fn set_rate(&mut self, _bus: &mut B, hz: u32) -> Result<u64, Fault<B::Error>> {
        axiom_iio::slowest_rate(&RATES, hz).map(|_| u64::from(hz) * 1000)
    }
    fn read(&mut self, bus: &mut B, raw: &mut [i32]) -> Result<(), Fault<B::Error>> {
        let mut chip = shtcx::shtc3(bus);
        let result = core::mem::take(&mut self.measuring).then(|| chip.get_measurement_result());
        chip.start_measurement(PowerMode::NormalMode).map_err(fault)?;
        self.measuring = true;
        let measured = result.ok_or(Fault::NotReady)?.map_err(fault)?;
        fill(raw, &[measured.temperature.as_millidegrees_celsius(), measured.humidity.as_millipercent()]);
        Ok(())
    }
    fn check(&mut self, _bus: &mut B) -> Result<bool, Fault<B::Error>> {
        // There is no configuration to lose: each measurement is a command of its own.
        Ok(true)
    }
}
