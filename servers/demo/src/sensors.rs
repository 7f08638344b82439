//! The sensors: what there is, how they are sampled, what their buffers hold.

use alloc::string::String;
use axiom_runtime::proto::iio::{INTERFACE, Reply, Request};
use axiom_runtime::{Buffer, Endpoint, call, plain};
use core::fmt::Write;

const HZ: u32 = 100;
/// Scans of a buffer, and how many are worth telling.
const LENGTH: u32 = 64;
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
        plain!("{name}: {channels} channels{}", if present { "" } else { ", NOT PRESENT" });
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

/// Shows what each sensor's buffer holds, and counts. How many things went wrong.
pub fn show(server: Endpoint) -> u32 {
    let mut failures = 0;
    let mut buffer = Buffer::new();
    for device in 0.. {
        let Ok(Reply::Buffer { channels, available, lost, scan_bytes, .. }) =
            call(server, INTERFACE, &Request::BufferState { device }, &mut buffer)
        else {
            break;
        };
        plain!(
            "buffer {device}: the newest {available} scans, {scan_bytes} bytes each; {lost} older ones gave way to them, as nobody \
             read them"
        );
        match call(server, INTERFACE, &Request::ReadScans { device }, &mut buffer) {
            Ok(Reply::Scans { count, bytes, .. }) => {
                if !rises(bytes, scan_bytes as usize) {
                    failures += 1;
                    plain!("  timestamps do not rise");
                }
                if let Some(last) = bytes.chunks_exact(scan_bytes as usize).next_back() {
                    print_scan(count, channels.count_ones() as usize, last);
                }
            }
            _ => failures += 1,
        }
        if let Ok(Reply::Counts(c)) = call(server, INTERFACE, &Request::Counts { device }, &mut buffer) {
            plain!(
                "  {} channel samples, {} accepted, {} dropped; scans: {} lost, {} late, {} not ready, {} out of range; {} errors, {} times set up \
                 again",
                c.samples,
                c.accepted,
                c.dropped,
                c.overruns,
                c.late,
                c.not_ready,
                c.overflow,
                c.errors,
                c.reconfigured
            );
        }
    }
    failures
}

fn timestamp(scan: &[u8]) -> u64 {
    scan.last_chunk().map_or(0, |t| u64::from_le_bytes(*t))
}

fn rises(bytes: &[u8], size: usize) -> bool {
    let mut last = 0;
    bytes.chunks_exact(size).all(|scan| core::mem::replace(&mut last, timestamp(scan)) < timestamp(scan))
}

fn print_scan(count: u32, channels: usize, scan: &[u8]) {
    let mut values = String::new();
    for element in scan.chunks_exact(4).take(channels) {
        let value = element.first_chunk().map_or(0, |e| i32::from_le_bytes(*e));
        // A text grows without failing.
        let _ = write!(values, "{value} ");
    }
    let time = timestamp(scan);
    plain!("  {count} taken; the last: {values}at {}.{:09} s", time / 1_000_000_000, time % 1_000_000_000);
}
