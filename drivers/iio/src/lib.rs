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
mod stamps;
#[cfg(test)]
mod tests;

/// The examples of README.md are tests, too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use embedded_hal::delay::DelayNs;

pub use buffer::{Buffer, CAPACITY, CHANNELS, FORMAT, RING_BYTES, SCAN_BYTES, Scan};
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
///
/// What a driver owes its users: never a plausible number that nobody measured. Probing sets every register whose value it
/// relies on, whoever ran before; reading looks at the chip's ready, overflow and error marks and answers a [`Fault`] rather than
/// a value; [`Sensor::check`] tells whether the chip still has what probing gave it. `axiom-iio-kit` tries all that.
pub trait Sensor<B: embedded_hal::i2c::I2c> {
    /// The chip's name, as Linux has it.
    fn name(&self) -> &'static str;
    /// Its channels.
    fn channels(&self) -> &'static [Channel];
    /// The rates at which it can measure, millihertz, rising. A chip that measures by itself, without a choice, or at each reading has one:
    /// the fastest at which each sample is a new measurement. Empty only for a chip that has a new value whenever it is read.
    fn rates(&self) -> &'static [u32] {
        &[]
    }
    /// Looks whether it is there, and makes it ready to be read, whatever state it was left in. `delay` is for chips that need
    /// time; a driver waits for no longer than its data sheet says.
    ///
    /// # Errors
    /// [`Fault::Bus`], [`Fault::WrongChip`], [`Fault::NotReady`] for a chip that is still starting, [`Fault::Unsupported`] for a
    /// mode that cannot be served.
    fn probe(&mut self, bus: &mut B, delay: &mut dyn DelayNs) -> Result<(), Fault<B::Error>>;
    /// Chooses the slowest of the chip's rates that is not below `hz`. The rate that it really has, millihertz; for a chip
    /// without a choice, how often it may be read: what was asked for.
    ///
    /// # Errors
    /// [`Fault::Rate`] above the fastest and for 0; [`Fault::Bus`].
    fn set_rate(&mut self, bus: &mut B, hz: u32) -> Result<u64, Fault<B::Error>>;
    /// Reads all channels, in one transfer where the chip can.
    ///
    /// # Errors
    /// Any [`Fault`]; then nothing of `raw` counts.
    fn read(&mut self, bus: &mut B, raw: &mut [i32]) -> Result<(), Fault<B::Error>>;
    /// Whether the chip still has the configuration that this driver gave it: after a dip of its power it answers, but
    /// measures nothing. A read or two.
    ///
    /// # Errors
    /// [`Fault::Bus`].
    fn check(&mut self, bus: &mut B) -> Result<bool, Fault<B::Error>>;
    /// Lets the chip keep its samples at `hz` and raise its interrupt line when so many are there; `None` ends that. The
    /// rate that the chip really has, millihertz; `None` for chips that cannot.
    ///
    /// # Errors
    /// As [`Sensor::set_rate`].
    fn store(&mut self, bus: &mut B, wanted: Option<Store>) -> Result<Option<u64>, Fault<B::Error>> {
        let _ = (bus, wanted);
        Ok(None)
    }
    /// Takes the samples that the chip has kept, oldest first, until it has fewer than its watermark.
    ///
    /// # Errors
    /// [`Fault::Bus`].
    fn drain(&mut self, bus: &mut B, each: &mut dyn FnMut(&[i32])) -> Result<Drained, Fault<B::Error>> {
        let _ = (bus, each);
        Ok(Drained::default())
    }
}

/// The place in a chip's table of rates (millihertz, rising) of the slowest that is not below `hz`.
///
/// # Errors
/// [`Fault::Rate`] with the table's ends for 0 and for more than the fastest.
pub fn slowest_rate<E>(rates: &[u32], hz: u32) -> Result<usize, Fault<E>> {
    let found = rates.iter().position(|&rate| u64::from(rate) >= u64::from(hz) * 1000);
    found.filter(|_| hz > 0).ok_or(Fault::Rate {
        slowest: rates.first().copied().unwrap_or(0),
        fastest: rates.last().copied().unwrap_or(0),
    })
}

/// Puts values where the caller wants them; there may be fewer places.
pub fn fill(raw: &mut [i32], values: &[i32]) {
    for (to, value) in raw.iter_mut().zip(values) {
        *to = *value;
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
    /// The chip had to give up others before: at least so many. A chip that only says that there were some counts one.
    pub lost: u32,
}

/// Why a chip could not be used, or gave no sample.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault<E> {
    /// The transfer failed.
    Bus(E),
    /// Something answers, but it is not this chip: its identification.
    WrongChip(u8),
    /// The chip has not measured yet: it is starting, or the last sample was taken already.
    NotReady,
    /// A value is outside what the chip can measure.
    Overflow,
    /// What arrived does not match its checksum.
    Crc,
    /// The chip cannot measure at this rate; the ends of what it can, millihertz.
    Rate {
        /// The slowest.
        slowest: u32,
        /// The fastest.
        fastest: u32,
    },
    /// The chip is in a mode, or of a kind, that this driver does not serve: which.
    Unsupported(&'static str),
}

impl<E: core::fmt::Display> core::fmt::Display for Fault<E> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Fault::Bus(error) => error.fmt(f),
            Fault::WrongChip(id) => {
                write!(f, "another chip answers at its address, with identification {id:#04x}")
            }
            Fault::NotReady => f.write_str("it has not measured yet"),
            Fault::Overflow => f.write_str("a value is outside what it can measure"),
            Fault::Crc => f.write_str("what arrived does not match its checksum"),
            Fault::Rate { slowest, fastest } => write!(
                f,
                "it measures {}.{:03} to {}.{:03} times a second",
                slowest / 1000,
                slowest % 1000,
                fastest / 1000,
                fastest % 1000
            ),
            Fault::Unsupported(what) => write!(f, "{what}, which this driver does not serve"),
        }
    }
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
