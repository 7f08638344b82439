//! Sensors, in the words of Linux's Industrial I/O: devices, channels, attributes.
use serde::{Deserialize, Serialize};

/// The interface's number.
pub const INTERFACE: u16 = 0x40;

/// A request to the IIO server.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Request<'a> {
    /// Device number `device`. Answered by [`Reply::Device`] or [`Reply::End`].
    Device {
        /// From 0.
        device: u32,
    },
    /// A channel of a device. Answered by [`Reply::Channel`] or [`Reply::End`].
    Channel {
        /// The device.
        device: u32,
        /// From 0.
        channel: u32,
    },
    /// Reads an attribute (`raw`, `scale`, `offset`, `sampling_frequency`). Answered by [`Reply::Value`].
    Read {
        /// The device.
        device: u32,
        /// The channel.
        channel: u32,
        /// The attribute.
        attribute: &'a str,
    },
    /// Starts (`hz` > 0) or stops sampling.
    Sample {
        /// The device.
        device: u32,
        /// Samples per second.
        hz: u32,
    },
    /// Counts of a device. Answered by [`Reply::Counts`].
    Counts {
        /// The device.
        device: u32,
    },
}

/// What happened to a device's samples.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Channel samples read from the chip.
    pub samples: u64,
    /// Accepted (or no program attached).
    pub accepted: u64,
    /// Dropped by a program.
    pub dropped: u64,
    /// Transfers that failed.
    pub errors: u64,
    /// Triggers that came while a sample was being taken.
    pub overruns: u64,
}

/// An answer of the IIO server.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Reply<'a> {
    /// Done.
    Done,
    /// A device.
    Device {
        /// Its name.
        name: &'a str,
        /// Whether it answers now.
        present: bool,
        /// Number of channels.
        channels: u32,
    },
    /// A channel.
    Channel {
        /// `in_accel_x`, `in_temp`...
        name: &'a str,
    },
    /// An attribute's value: `integer + nanos / 10^9`.
    Value {
        /// Integer part.
        integer: i64,
        /// Billionths, of the same sign.
        nanos: i32,
    },
    /// Counts.
    Counts(Counts),
    /// The list ends.
    End,
    /// No such device, channel or attribute.
    NotFound,
    /// The device does not answer.
    Absent,
}
