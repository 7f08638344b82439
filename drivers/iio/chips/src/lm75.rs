//! LM75, TMP75, TMP102 and their like: a temperature register of two bytes, left-justified, and a configuration register.
//!
//! The register's unused low bits are zero on every chip of the family, so reading all of the twelve bits that the best of them
//! resolve gives each chip's value exactly: 1/16 degree a step (LM75: steps of 8; LM75A and LM75B: steps of 2; TMP1xx: 1). The
//! TMP102's extended mode (13 bits, bit 0 of the value set as its mark) doubles the range, and is served too.
//!
//! crates.io has a driver on the same traits, `lm75` 1.0 (MIT OR Apache-2.0). It is not used because it answers in degrees as
//! `f32`: IIO's channels are the chip's counts with a scale, so that readers lose nothing, and servers here are compiled
//! without floating point. It also reads nine bits unless the chip is named as another type, and owns its bus, which here
//! belongs to several chips. What remains is two registers.

use axiom_iio::{Channel, DelayNs, Fault, Sensor, slowest_rate};
use embedded_hal::i2c::I2c;

const TEMPERATURE: u8 = 0;
const CONFIGURATION: u8 = 1;
/// Shutdown: the chip answers for ever with what it measured last.
const SHUTDOWN: u8 = 1;
/// Everything but shutdown and the read-only or reserved top bits is the alarm's, whose output this driver does not use:
/// comparator mode, active low, one fault, continuous.
const CONTINUOUS: u8 = 0;
/// TMP1xx mark each value of the extended mode.
const EXTENDED: i16 = 1;

/// How often a chip of the family measures, whichever it is: the LM75 needs up to 300 ms, the TMP102 begins four times a second, give or
/// take. What is read more often is the same measurement again.
static RATES: [u32; 1] = [3000];

/// The chip.
pub struct Lm75 {
    address: u8,
}

impl Lm75 {
    /// At this address (0x48 to 0x4f).
    pub const fn new(address: u8) -> Lm75 {
        Lm75 { address }
    }

    fn configuration<B: I2c>(&self, bus: &mut B) -> Result<u8, Fault<B::Error>> {
        let mut byte = [0];
        bus.write_read(self.address, &[CONFIGURATION], &mut byte)?;
        Ok(byte[0])
    }
}

static CHANNELS: [Channel; 1] =
    [Channel { name: "in_temp", point: "temp", scale_nano: 62_500_000_000, offset: 0 }];

impl<B: I2c> Sensor<B> for Lm75 {
    fn name(&self) -> &'static str {
        "lm75"
    }
    fn channels(&self) -> &'static [Channel] {
        &CHANNELS
    }
    fn rates(&self) -> &'static [u32] {
        &RATES
    }
    fn probe(&mut self, bus: &mut B, _delay: &mut dyn DelayNs) -> Result<(), Fault<B::Error>> {
        // The chip has no identification: what answers, and keeps what is written to its configuration, has to do. One byte
        // only: TMP1xx keep their second, with the extended mode in it.
        bus.write(self.address, &[CONFIGURATION, CONTINUOUS])?;
        let kept = self.configuration(bus)?;
        // The resolution bits of TMP75 and TMP102 (6 and 5) may read as set; an alarm's state may, too.
        if kept & 0b1_1111 != CONTINUOUS {
            return Err(Fault::WrongChip(kept));
        }
        Ok(())
    }
    fn set_rate(&mut self, _bus: &mut B, hz: u32) -> Result<u64, Fault<B::Error>> {
        // It measures by itself; samples are taken of that as often as they are asked for.
        slowest_rate(&RATES, hz).map(|_| u64::from(hz) * 1000)
    }
    fn read(&mut self, bus: &mut B, raw: &mut [i32]) -> Result<(), Fault<B::Error>> {
        let mut bytes = [0; 2];
        bus.write_read(self.address, &[TEMPERATURE], &mut bytes)?;
        let value = i16::from_be_bytes(bytes);
        if let Some(first) = raw.first_mut() {
            *first = i32::from(if value & EXTENDED != 0 { value >> 3 } else { value >> 4 });
        }
        Ok(())
    }
    fn check(&mut self, bus: &mut B) -> Result<bool, Fault<B::Error>> {
        // Power-on is continuous conversion, so a dip costs nothing; only somebody else's shutdown would.
        Ok(self.configuration(bus)? & SHUTDOWN == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axiom_iio::Decimal;
    use embedded_hal::i2c::{ErrorKind, ErrorType, Operation};

    /// A bus with a chip of the LM75's family at 0x48: temperature, configuration.
    struct Bus {
        temperature: [u8; 2],
        configuration: u8,
        /// Bits of the configuration that cannot be changed.
        fixed: u8,
        pointer: u8,
    }

    impl Bus {
        fn new(temperature: [u8; 2]) -> Bus {
            Bus { temperature, configuration: 0, fixed: 0, pointer: 0 }
        }
    }

    struct Now;
    impl DelayNs for Now {
        fn delay_ns(&mut self, _ns: u32) {}
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
            if address != 0x48 {
                return Err(Nack);
            }
            for o in operations {
                match o {
                    Operation::Write(bytes) => {
                        self.pointer = bytes[0];
                        if let (1, Some(value)) = (bytes[0], bytes.get(1)) {
                            self.configuration = value & !self.fixed | self.configuration & self.fixed;
                        }
                    }
                    Operation::Read(bytes) if self.pointer == 0 => {
                        bytes.copy_from_slice(&self.temperature[..bytes.len()]);
                    }
                    Operation::Read(bytes) => bytes.fill(self.configuration),
                }
            }
            Ok(())
        }
    }

    #[test]
    fn each_chip_of_the_lm75s_family_gives_what_it_resolves() {
        let mut raw = [0];
        // Twelve bits of TMP1xx, nine of the LM75, and TMP102's extended mode.
        for (bytes, milli, nanos) in [
            ([0x19, 0x00], 25_000, 0),
            ([0xe7, 0x00], -25_000, 0),
            ([0x00, 0x20], 125, 0),
            ([0x00, 0x10], 62, 500_000_000),
            ([0xff, 0xf0], -62, -500_000_000),
            ([0x7f, 0xf0], 127_937, 500_000_000),
            ([0x80, 0x00], -128_000, 0),
            ([0x80, 0x80], -127_500, 0),
            ([0x4b, 0x01], 150_000, 0),
            ([0xff, 0xf9], -62, -500_000_000),
        ] {
            let mut chip = Lm75::new(0x48);
            chip.read(&mut Bus::new(bytes), &mut raw).unwrap();
            let channel = Sensor::<Bus>::channels(&chip)[0];
            assert_eq!(channel.processed(raw[0]), Decimal { integer: milli, nanos }, "{bytes:02x?}");
        }
    }

    #[test]
    fn a_thermometer_that_sleeps_is_woken_and_a_stranger_is_told() {
        let mut chip = Lm75::new(0x48);
        let mut bus = Bus { configuration: 0x61 | 0b1_0110, fixed: 0x60, ..Bus::new([0, 0]) };
        chip.probe(&mut bus, &mut Now).unwrap();
        assert_eq!(bus.configuration, 0x60, "TMP102's resolution bits stay");
        assert_eq!(chip.check(&mut bus), Ok(true));
        bus.configuration |= 1;
        assert_eq!(chip.check(&mut bus), Ok(false), "shut down by somebody");
        let mut other = Bus { configuration: 0x0f, fixed: 0xff, ..Bus::new([0, 0]) };
        assert_eq!(chip.probe(&mut other, &mut Now), Err(Fault::WrongChip(0x0f)));
        assert_eq!(Lm75::new(0x49).probe(&mut Bus::new([0, 0]), &mut Now), Err(Fault::Bus(Nack)));
    }
}
