//! LM75 and TMP1xx temperature sensors: one register, eleven bits, an eighth of a degree each.
//!
//! crates.io has a driver on the same traits, `lm75` 1.0 (MIT OR Apache-2.0). It is not used because it answers in degrees as
//! `f32`: IIO's channels are the chip's counts with a scale, so that readers lose nothing, and servers here are compiled
//! without floating point. It also reads nine bits unless the chip is named as another type, and owns its bus, which here
//! belongs to several chips. What remains is one register.

use crate::{Channel, Fault, Sensor};
use embedded_hal::i2c::I2c;

const TEMPERATURE: u8 = 0;

/// The chip.
pub struct Lm75 {
    address: u8,
}

impl Lm75 {
    /// At this address (0x48 to 0x4f).
    pub const fn new(address: u8) -> Lm75 {
        Lm75 { address }
    }
}

static CHANNELS: [Channel; 1] =
    [Channel { name: "in_temp", point: "temp", scale_nano: 125_000_000_000, offset: 0 }];

impl<B: I2c> Sensor<B> for Lm75 {
    fn name(&self) -> &'static str {
        "lm75"
    }
    fn channels(&self) -> &'static [Channel] {
        &CHANNELS
    }
    fn probe(&mut self, bus: &mut B) -> Result<(), Fault<B::Error>> {
        // The chip has no identification; that it answers is all that can be known.
        self.read(bus, &mut [0])
    }
    fn set_rate(&mut self, _bus: &mut B, _hz: u32) -> Result<(), Fault<B::Error>> {
        Ok(())
    }
    fn read(&mut self, bus: &mut B, raw: &mut [i32]) -> Result<(), Fault<B::Error>> {
        let mut bytes = [0; 2];
        bus.write_read(self.address, &[TEMPERATURE], &mut bytes)?;
        if let Some(first) = raw.first_mut() {
            *first = (i16::from_be_bytes(bytes) >> 5) as i32;
        }
        Ok(())
    }
}
