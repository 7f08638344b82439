//! Sensors, in the words of Linux's Industrial I/O: devices, channels, attributes.
//!
//! Every client may ask what there is and read values. Samples, buffers and doorbells of a device belong to the clients whom the
//! manifest gives it; others are answered with [`Reply::NotGranted`].
use crate::MAX_NAME;
use crate::bpf_host::Overload;
use crate::largest::message;
use serde::{Deserialize, Serialize};

/// The interface's number.
pub const INTERFACE: u16 = 0x40;
/// Devices of a server.
pub const DEVICES: usize = 8;

/// What a client may start, stop and read out: names of devices.
pub type Grants<'a> = crate::List<'a, &'a str>;

message! {
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
            attribute: &'a str = MAX_NAME,
        },
        /// A rate at which the device's chip can measure (Linux's `sampling_frequency_available`). Answered by [`Reply::Rate`] or
        /// [`Reply::End`]; a chip without a choice has none.
        Rate {
            /// The device.
            device: u32,
            /// From 0, rising.
            index: u32,
        },
        /// Starts (`hz` > 0) or stops sampling: one scan at each period of a timer. Answered by [`Reply::Rate`] with the rate that it
        /// really is, by [`Reply::OutOfRange`], or by [`Reply::Overload`].
        Sample {
            /// The device.
            device: u32,
            /// Samples per second.
            hz: u32,
        },
        /// Starts sampling by the chip itself: it keeps samples and raises its interrupt line. Answered by [`Reply::Rate`] with the
        /// chip's rate, by [`Reply::OutOfRange`], by [`Reply::Overload`], or by [`Reply::NotFound`] where the chip or its wiring cannot.
        DataReady {
            /// The device.
            device: u32,
            /// Samples per second, at least.
            hz: u32,
        },
        /// Starts or stops the buffer of accepted scans, a ring that the client maps ([`Request::BufferFrame`]); what was in it, and the
        /// pages that were given before, are gone. A notification that comes along (a capability with the right to send) is signalled when
        /// the watermark is reached. A device has one buffer and one reader: [`Reply::Taken`] while another one has it.
        Buffer {
            /// The device.
            device: u32,
            /// Bit n: channel n is part of a scan. 0: off.
            channels: u8,
            /// Scans that it holds at most (Linux's `length`); those that find no room are lost.
            length: u32,
            /// Scans that are worth telling.
            watermark: u32,
        },
        /// The buffer's state. Answered by [`Reply::Buffer`].
        BufferState {
            /// The device.
            device: u32,
        },
        /// A page of the buffer's ring, from 0 to [`RING_PAGES`]. Answered by [`Reply::Frame`] with a capability: page 0 for writing, since
        /// the reader's position lies there, the others for reading.
        BufferFrame {
            /// The device.
            device: u32,
            /// Which page.
            page: u32,
        },
        /// Counts of a device. Answered by [`Reply::Counts`].
        Counts {
            /// The device.
            device: u32,
        },
    }
}

message! {
    /// What happened to a device's samples.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
    pub struct Counts {
        /// Channel samples read from the chip.
        pub samples: u64,
        /// Accepted (or no program attached).
        pub accepted: u64,
        /// Dropped by a program.
        pub dropped: u64,
        /// Transfers that failed, or arrived with a wrong checksum.
        pub errors: u64,
        /// Scans that were lost: their trigger came while another was being taken, or the chip had to give them up (by its rate and
        /// the time that passed, where it only says that there were some).
        pub overruns: u64,
        /// Interrupts of the chip that did not come in time: it was asked anyway.
        pub late: u64,
        /// Triggers at which the chip had measured nothing new: no scan.
        pub not_ready: u64,
        /// Triggers at which a value was outside what the chip can measure: no scan.
        pub overflow: u64,
        /// How often the chip was found without its configuration, and set up again.
        pub reconfigured: u64,
    }
}

/// Pages of a buffer's ring: the reader's position, the writer's, and [`DATA_PAGES`].
pub const RING_PAGES: u32 = 2 + DATA_PAGES;
/// Pages of a ring that hold scans.
pub const DATA_PAGES: u32 = 4;

message! {
    /// An answer of the IIO server.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
    pub enum Reply<'a> {
        /// Done.
        Done,
        /// A device.
        Device {
            /// Its name.
            name: &'a str = MAX_NAME,
            /// Whether it answers now.
            present: bool,
            /// Number of channels.
            channels: u32,
        },
        /// A channel.
        Channel {
            /// `in_accel_x`, `in_temp`...
            name: &'a str = MAX_NAME,
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
        /// The buffer.
        Buffer {
            /// The chosen channels; 0: it is off.
            channels: u8,
            /// Scans that it holds at most.
            length: u32,
            /// Scans that are worth telling.
            watermark: u32,
            /// Scans that can be read (Linux's `data_available`).
            available: u32,
            /// Scans that found no room, as nobody read in time.
            lost: u64,
            /// Bytes of a scan.
            scan_bytes: u32,
        },
        /// A page of the ring comes along. Each record in it is a scan: an element of four bytes for each chosen channel
        /// (`le:s32/32>>0`), padding to eight, the timestamp (`le:s64/64>>0`, nanoseconds).
        Frame {
            /// It may be mapped for writing.
            writable: bool,
        },
        /// Another client reads the buffer.
        Taken,
        /// A rate, thousandths of a hertz; 0: sampling has stopped.
        Rate {
            /// Millihertz.
            millihertz: u64,
        },
        /// The rate that was asked for cannot be: these can, thousandths of a hertz. Nothing has changed.
        OutOfRange {
            /// The slowest.
            slowest: u64,
            /// The fastest.
            fastest: u64,
        },
        /// The programs on the device's channels have no time at this rate. Nothing has changed.
        Overload(Overload),
        /// The list ends.
        End,
        /// The chip has not measured what was asked for, or it is outside its range.
        NoValue,
        /// No such device, channel or attribute.
        NotFound,
        /// The device does not answer.
        Absent,
        /// The manifest does not give the client this device (`iio = [...]`).
        NotGranted,
    }
}
