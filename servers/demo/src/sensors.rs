//! The sensors: what there is, how they are sampled, what their buffers hold.

use alloc::string::String;
use axiom_runtime::proto::iio::{INTERFACE, Reply, Request};
use axiom_runtime::{Buffer, Endpoint, call, plain};
use core::fmt::Write;

const HZ: u32 = 100;
/// Scans of a buffer, and how many are worth telling.
const LENGTH: u32 = 256;
const WATERMARK: u32 = 16;

/// What was found.
#[derive(Clone, Copy, Default)]
pub struct Found {
    /// An accelerometer answers.
    pub accelerometer: bool,
    /// A thermometer answers.
    pub thermometer: bool,
    /// How many things went wrong.
    pub failures: u32,
}

/// Lists the sensors, starts their samples and buffers. What `optional` sensors that are absent cannot do is no failure.
pub fn start(server: Endpoint, by_chip: bool, optional: bool) -> Found {
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
        let kept = Request::Buffer { device, channels: channels as u8, length: LENGTH, watermark: WATERMARK };
        if !done(server, &kept) {
            found.failures += u32::from(present || !optional);
            plain!("  its buffer could not be started");
        }
        let by_chip = by_chip.then(|| rate(server, &Request::DataReady { device, hz: HZ })).flatten();
        if let Some(millihertz) = by_chip {
            let (whole, rest) = (millihertz / 1000, millihertz % 1000);
            plain!("  {whole}.{rest:03} samples a second, kept by the chip until its interrupt");
        } else if rate(server, &Request::Sample { device, hz: HZ }).is_none() {
            found.failures += u32::from(present || !optional);
            plain!("  its samples could not be started");
        }
    }
    found
}

/// `1 channel`, `3 channels`.
fn plural(channels: u32) -> String {
    alloc::format!("{channels} channel{}", if channels == 1 { "" } else { "s" })
}

fn done(server: Endpoint, request: &Request<'_>) -> bool {
    matches!(call(server, INTERFACE, request, &mut Buffer::new()), Ok(Reply::Done))
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

/// Devices that the demo reads the buffers of.
const DEVICES: usize = 8;

/// What was read out of a device's buffer.
#[derive(Default)]
struct Taken {
    scans: u32,
    /// Values and time of the newest.
    last: String,
}

/// What was read out of the sensors' buffers: often enough that none of them is ever full.
#[derive(Default)]
pub struct Scans {
    taken: [Taken; DEVICES],
    failures: u32,
}

impl Scans {
    /// Empties every buffer.
    pub fn take(&mut self, server: Endpoint) {
        let mut buffer = Buffer::new();
        for (device, taken) in (0..).zip(&mut self.taken) {
            let Ok(Reply::Buffer { channels, available, scan_bytes, .. }) =
                call(server, INTERFACE, &Request::BufferState { device }, &mut buffer)
            else {
                break;
            };
            let (mut left, mut newest) = (available, 0);
            while left > 0 {
                let Ok(Reply::Scans { count, bytes, .. }) =
                    call(server, INTERFACE, &Request::ReadScans { device }, &mut buffer)
                else {
                    self.failures += 1;
                    break;
                };
                if !rises(bytes, scan_bytes as usize, &mut newest) {
                    self.failures += 1;
                    plain!("  timestamps do not rise");
                }
                taken.scans += count;
                left = if count > 0 { left.saturating_sub(count) } else { 0 };
                if let Some(last) = bytes.chunks_exact(scan_bytes as usize).next_back() {
                    taken.last = told(channels.count_ones() as usize, last);
                }
            }
        }
    }

    /// Says what was read, and what the driver counts. How many things went wrong.
    pub fn show(&self, server: Endpoint) -> u32 {
        let mut buffer = Buffer::new();
        for (device, taken) in (0..).zip(&self.taken) {
            let Ok(Reply::Device { name, channels, .. }) =
                call(server, INTERFACE, &Request::Device { device }, &mut buffer)
            else {
                break;
            };
            let (name, channels) = (String::from(name), channels);
            let state = call(server, INTERFACE, &Request::BufferState { device }, &mut buffer);
            let lost = if let Ok(Reply::Buffer { lost, .. }) = state { lost } else { 0 };
            let Ok(Reply::Counts(c)) = call(server, INTERFACE, &Request::Counts { device }, &mut buffer)
            else {
                continue;
            };
            plain!("{name}: {} channel samples, {} passed their programs", c.samples, c.accepted);
            // A scan with a value that a program dropped is no scan for the buffer.
            let whole = if channels > 1 { " with every channel passed" } else { "" };
            match taken.scans {
                0 => plain!("  its buffer: no scan{whole}"),
                n => plain!("  its buffer: {n} scans{whole}, all read; the last: {}", taken.last),
            }
            let troubles = [
                (lost, "scans lost: nobody read them in time"),
                (c.overruns, "not taken: their trigger came during the one before, as it may on a busy host"),
                (c.late, "late"),
                (c.not_ready, "not ready"),
                (c.overflow, "out of range"),
                (c.errors, "errors on the bus"),
                (c.reconfigured, "times set up again"),
            ];
            for (count, what) in troubles.iter().filter(|t| t.0 > 0) {
                plain!("  {count} {what}");
            }
        }
        self.failures
    }
}

fn timestamp(scan: &[u8]) -> u64 {
    scan.last_chunk().map_or(0, |t| u64::from_le_bytes(*t))
}

fn rises(bytes: &[u8], size: usize, last: &mut u64) -> bool {
    bytes.chunks_exact(size).all(|scan| core::mem::replace(last, timestamp(scan)) < timestamp(scan))
}

/// A scan's values and its time.
fn told(channels: usize, scan: &[u8]) -> String {
    let mut text = String::new();
    for element in scan.chunks_exact(4).take(channels) {
        let value = element.first_chunk().map_or(0, |e| i32::from_le_bytes(*e));
        // A text grows without failing.
        let _ = write!(text, "{value} ");
    }
    let time = timestamp(scan);
    let _ = write!(text, "at {}.{:03} s", time / 1_000_000_000, time % 1_000_000_000 / 1_000_000);
    text
}
