//! The sensors: what there is, how they are sampled, what their buffers hold.

use alloc::string::String;
use alloc::vec::Vec;
use axiom_iio_client::{Scans, Wanted};
use axiom_runtime::proto::iio::{INTERFACE, Reply, Request};
use axiom_runtime::{Buffer, Endpoint, Pages, Slots, call, plain};
use core::fmt::Write;

const HZ: u32 = 100;
/// Scans of a buffer, and how many are worth telling.
const LENGTH: u32 = 256;
const WATERMARK: u32 = 16;
/// Channels that a scan has at most.
const CHANNELS: usize = 8;

/// What was found.
#[derive(Default)]
pub struct Found {
    /// An accelerometer answers.
    pub accelerometer: bool,
    /// A thermometer answers.
    pub thermometer: bool,
    /// How many things went wrong.
    pub failures: u32,
    /// Their buffers, by device.
    pub buffers: Buffers,
}

/// When a sample is taken.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    /// A timer's time.
    Timer,
    /// The chip's interrupt, where it keeps samples until then; else a timer's time.
    DataReady,
}

/// What a sensor is that does not answer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Absent {
    /// A failure of the run.
    Failure,
    /// As it may be on this board.
    Expected,
}

impl Absent {
    /// How many failures it is when something of a sensor could not be started.
    fn failures(self, present: bool) -> u32 {
        u32::from(present || self == Absent::Failure)
    }
}

/// Lists the sensors, starts their samples and buffers.
pub fn start(
    server: Endpoint,
    trigger: Trigger,
    absent: Absent,
    slots: &mut Slots,
    space: &mut Pages,
) -> Found {
    let mut found = Found::default();
    let mut buffer = Buffer::new();
    for device in 0.. {
        let Ok(Reply::Device { name, present, channels }) =
            call(server, INTERFACE, &Request::Device { device }, &mut buffer)
        else {
            break;
        };
        plain!("{name}: {}{}", plural(channels), if present { "" } else { ", NOT PRESENT" });
        found.accelerometer |= present && name == "adxl345";
        found.thermometer |= present && name == "lm75";
        let channels = (1u16 << channels) - 1;
        let wanted = Wanted { device, channels: channels as u8, length: LENGTH, watermark: WATERMARK };
        let scans = axiom_iio_client::start(server, wanted, None, slots, space);
        if let Err(failure) = &scans {
            found.failures += absent.failures(present);
            plain!("  its buffer could not be started: {failure}");
        }
        found.buffers.add(scans.ok());
        let by_chip = trigger == Trigger::DataReady;
        if let Some(millihertz) =
            by_chip.then(|| rate(server, &Request::DataReady { device, hz: HZ })).flatten()
        {
            let (whole, rest) = (millihertz / 1000, millihertz % 1000);
            plain!("  {whole}.{rest:03} samples a second, kept by the chip until its interrupt");
        } else if rate(server, &Request::Sample { device, hz: HZ }).is_none() {
            found.failures += absent.failures(present);
            plain!("  its samples could not be started");
        }
    }
    found
}

/// `1 channel`, `3 channels`.
fn plural(channels: u32) -> String {
    alloc::format!("{channels} channel{}", if channels == 1 { "" } else { "s" })
}

/// The rate that the device answers, millihertz.
fn rate(server: Endpoint, request: &Request<'_>) -> Option<u64> {
    match call(server, INTERFACE, request, &mut Buffer::new()) {
        Ok(Reply::Rate { millihertz }) => Some(millihertz),
        Ok(Reply::OutOfRange { fastest, .. }) => {
            // A slow chip is sampled as fast as it can.
            let hz = (fastest / 1000) as u32;
            let Request::Sample { device, .. } = *request else { return None };
            match call(server, INTERFACE, &Request::Sample { device, hz }, &mut Buffer::new()) {
                Ok(Reply::Rate { millihertz }) => Some(millihertz),
                _ => None,
            }
        }
        _ => None,
    }
}

/// A device's scans as they were read.
struct Read {
    /// None where its buffer could not be started.
    ring: Option<Scans>,
    scans: u32,
    /// Time and values of the newest.
    newest: u64,
    last: [i32; CHANNELS],
}

/// The sensors' buffers: read often enough that none of them is ever full.
#[derive(Default)]
pub struct Buffers {
    devices: Vec<Read>,
    failures: u32,
}

impl Buffers {
    fn add(&mut self, ring: Option<Scans>) {
        self.devices.push(Read { ring, scans: 0, newest: 0, last: [0; CHANNELS] });
    }

    /// Empties every buffer.
    pub fn take(&mut self) {
        for device in &mut self.devices {
            let Read { ring: Some(ring), scans, newest, last } = device else { continue };
            let mut rises = true;
            while ring
                .next(|scan| {
                    rises &= core::mem::replace(newest, scan.timestamp()) < scan.timestamp();
                    for (to, value) in last.iter_mut().zip((0..).map_while(|n| scan.value(n))) {
                        *to = value;
                    }
                })
                .is_some()
            {
                *scans += 1;
            }
            if !rises {
                self.failures += 1;
                plain!("  timestamps do not rise");
            }
        }
    }

    /// Says what was read, and what the driver counts; then nobody reads any more. How many things went wrong.
    pub fn show(self, server: Endpoint, slots: &mut Slots, space: &mut Pages) -> u32 {
        let mut buffer = Buffer::new();
        plain!("-- the sensors' buffers; a scan: one sample of each channel, kept if all passed --");
        for (device, read) in (0..).zip(self.devices) {
            let Ok(Reply::Device { name, channels, .. }) =
                call(server, INTERFACE, &Request::Device { device }, &mut buffer)
            else {
                break;
            };
            let (name, channels) = (String::from(name), channels);
            let state = call(server, INTERFACE, &Request::BufferState { device }, &mut buffer);
            let lost = if let Ok(Reply::Buffer { lost, .. }) = state { lost } else { 0 };
            if let Some(ring) = read.ring {
                ring.stop(slots, space);
            }
            let Ok(Reply::Counts(c)) = call(server, INTERFACE, &Request::Counts { device }, &mut buffer)
            else {
                continue;
            };
            let s = if c.samples == 1 { "" } else { "s" };
            plain!("{name}: {} channel sample{s}, {} passed their programs", c.samples, c.accepted);
            // A scan with a value that a program dropped is no scan for the buffer.
            let whole = if channels > 1 { " with every channel passed" } else { "" };
            match read.scans {
                0 => plain!("  its buffer: no scan{whole}"),
                1 => plain!("  its buffer: 1 scan{whole}, read:"),
                n => plain!("  its buffer: {n} scans{whole}, all read; the last:"),
            }
            if read.scans > 0 {
                plain!("    {}", values(server, device, channels, read.newest, read.last));
            }
            let troubles = [
                ("scans lost in the buffer, as nobody read in time", lost),
                ("triggers that came during the scan before, as they may on a busy host", c.overruns),
                ("interrupts that came late", c.late),
                ("triggers at which the chip was not ready", c.not_ready),
                ("values out of range", c.overflow),
                ("transfers that failed on the bus", c.errors),
                ("times that the chip was without its configuration and was set up again", c.reconfigured),
            ];
            for (what, count) in troubles.iter().filter(|t| t.1 > 0) {
                plain!("  {what}: {count}");
            }
        }
        self.failures
    }
}

/// The newest scan: its values by channel, as the chip has them, and its time.
fn values(server: Endpoint, device: u32, channels: u32, time: u64, last: [i32; CHANNELS]) -> String {
    let (mut text, mut buffer) = (String::new(), Buffer::new());
    for (channel, value) in (0..channels).zip(last) {
        let name = match call(server, INTERFACE, &Request::Channel { device, channel }, &mut buffer) {
            Ok(Reply::Channel { name }) => name.strip_prefix("in_").unwrap_or(name),
            _ => "unnamed",
        };
        // A text grows without failing.
        let _ = write!(text, "{name} {value}, ");
    }
    let _ = write!(text, "raw, at {}.{:03} s", time / 1_000_000_000, time % 1_000_000_000 / 1_000_000);
    text
}
