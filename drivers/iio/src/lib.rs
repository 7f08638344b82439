//! The core of the IIO server: sensors, channels and attributes in the units and names of Linux's Industrial I/O, the event
//! that programs see, a buffer of scans, and the policy for chips that stop answering.
//!
//! Chips are [`Sensor`]s: they borrow the bus for each operation, so many of them share one. Nothing here knows the
//! system; the server adds timers, programs and messages.
#![no_std]
#[cfg(test)]
extern crate std;

mod buffer;
mod health;
pub mod lm75;
mod stamps;
#[cfg(test)]
mod tests;

pub use buffer::{Buffer, CAPACITY, CHANNELS, FORMAT, SCAN_BYTES, Scan};
pub use health::{Health, Step};
pub use stamps::Stamps;

/// A channel of a sensor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Channel {
    /// Linux's name: `in_accel_x`.
    pub name: &'static str,
    /// Last part of its attach point: `accel_x`.
    pub point: &'static str,
    /// Units per raw step (m/s^2, milli degrees Celsius...), in billionths.
    pub scale_nano: u64,
    /// Added to the raw value before scaling.
    pub offset: i32,
}

/// A chip with channels that are sampled together.
pub trait Sensor<B: embedded_hal::i2c::I2c> {
    /// The chip's name, as Linux has it.
    fn name(&self) -> &'static str;
    /// Its channels.
    fn channels(&self) -> &'static [Channel];
    /// Looks whether it is there, and makes it ready to be read.
    fn probe(&mut self, bus: &mut B) -> Result<(), Fault<B::Error>>;
    /// Chooses the chip's rate for samples taken at `hz`.
    fn set_rate(&mut self, bus: &mut B, hz: u32) -> Result<(), Fault<B::Error>>;
    /// Reads all channels, in one transfer where the chip can.
    fn read(&mut self, bus: &mut B, raw: &mut [i32]) -> Result<(), Fault<B::Error>>;
    /// Lets the chip keep its samples at `hz` and raise its interrupt line when so many are there; `None` ends that. The
    /// rate that the chip really has, millihertz; `None` for chips that cannot.
    fn store(&mut self, bus: &mut B, wanted: Option<Store>) -> Result<Option<u64>, Fault<B::Error>> {
        let _ = (bus, wanted);
        Ok(None)
    }
    /// Takes the samples that the chip has kept, oldest first, until it has fewer than its watermark.
    fn drain(&mut self, bus: &mut B, each: &mut dyn FnMut(&[i32])) -> Result<Drained, Fault<B::Error>> {
        let _ = (bus, each);
        Ok(Drained::default())
    }
}

/// How a chip shall keep samples.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Store {
    /// Samples per second, at least.
    pub hz: u32,
    /// Samples that are worth an interrupt.
    pub watermark: u8,
}

/// What was taken out of a chip.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Drained {
    /// Samples.
    pub samples: u32,
    /// The chip had to give up others before.
    pub overrun: bool,
}

/// Why a chip could not be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault<E> {
    /// The transfer failed.
    Bus(E),
    /// Something answers, but it is not this chip: its identification.
    WrongChip(u8),
}

impl<E> From<E> for Fault<E> {
    fn from(e: E) -> Fault<E> {
        Fault::Bus(e)
    }
}

/// A sample as programs see it: `struct iio_event`.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Event {
    /// Nanoseconds of the machine's counter.
    pub timestamp: u64,
    /// The device's number.
    pub device: u32,
    /// The channel's number.
    pub channel: u32,
    /// The raw value.
    pub value: i32,
    /// Billionths of a unit per raw step, cut to 32 bits.
    pub scale: u32,
    /// Added to the raw value before scaling.
    pub offset: i32,
    /// Zero.
    pub padding: u32,
}

/// A value as IIO prints it: integer part and billionths of the same sign.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Decimal {
    /// Integer part.
    pub integer: i64,
    /// Billionths.
    pub nanos: i32,
}

impl Decimal {
    /// From billionths.
    pub fn from_nano(nano: i128) -> Decimal {
        Decimal { integer: (nano / 1_000_000_000) as i64, nanos: (nano % 1_000_000_000) as i32 }
    }
}

impl Channel {
    /// An attribute that needs no chip; `None` for those that do, and for unknown ones.
    pub fn attribute(&self, name: &str) -> Option<Decimal> {
        match name {
            "scale" => Some(Decimal::from_nano(self.scale_nano as i128)),
            "offset" => Some(Decimal { integer: self.offset as i64, nanos: 0 }),
            _ => None,
        }
    }

    /// A raw value in the channel's unit.
    pub fn processed(&self, raw: i32) -> Decimal {
        Decimal::from_nano((raw as i128 + self.offset as i128) * self.scale_nano as i128)
    }
}
