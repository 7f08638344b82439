//! The sensors: what there is, how they are sampled, what their buffers hold.

use alloc::string::String;
use alloc::vec::Vec;
use axiom_iio_client::{Scans, Wanted};
use axiom_runtime::proto::iio::{INTERFACE, Reply, Request};
use axiom_runtime::{Buffer, Endpoint, Pages, Slots, call, plain};
use core::fmt::Write;

const HZ: u32 = 100;
/// Scans of a buffer, and how many are worth telling.
const LENGTH: u32 = 64;
const WATERMARK: u32 = 16;

/// What was found.
#[derive(Default)]
pub struct Found {
    /// An accelerometer answers.
    pub accelerometer: bool,
    /// A thermometer answers.
    pub thermometer: bool,
    /// How many things went wrong.
    pub failures: u32,
    /// Their scans, by device.
    pub scans: Vec<Option<Scans>>,
}

/// Lists the sensors, starts their samples and buffers. What `optional` sensors that are absent cannot do is no failure.
pub fn start(server: Endpoint, by_chip: bool, optional: bool, slots: &mut Slots, space: &mut Pages) -> Found {
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
        let wanted = Wanted { device, channels: channels as u8, length: LENGTH, watermark: WATERMARK };
        let scans = axiom_iio_client::start(server, wanted, None, slots, space);
        if let Err(failure) = &scans {
            found.failures += u32::from(present || !optional);
            plain!("  its buffer could not be started: {failure:?}");
        }
        found.scans.push(scans.ok());
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

/// Shows what each sensor's buffer holds, and counts; then nobody reads it any more. How many things went wrong.
pub fn show(server: Endpoint, scans: Vec<Option<Scans>>, slots: &mut Slots, space: &mut Pages) -> u32 {
    let mut failures = 0;
    let mut buffer = Buffer::new();
    for (device, scans) in (0..).zip(scans) {
        let Ok(Reply::Buffer { channels, available, lost, scan_bytes, .. }) =
            call(server, INTERFACE, &Request::BufferState { device }, &mut buffer)
        else {
            break;
        };
        plain!(
            "buffer {device}: {available} scans wait, {scan_bytes} bytes each; {lost} later ones found no room, as nobody read them"
        );
        // One that could not be started was counted then.
        if let Some(mut scans) = scans {
            failures += read(&mut scans, channels.count_ones() as usize);
            scans.stop(slots, space);
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

/// Takes all scans that wait.
fn read(scans: &mut Scans, channels: usize) -> u32 {
    let (mut count, mut last, mut rises) = (0, 0, true);
    let mut values = String::new();
    while let Some(timestamp) = scans.next(|scan| {
        values.clear();
        for value in (0..channels).filter_map(|n| scan.value(n)) {
            // A text grows without failing.
            let _ = write!(values, "{value} ");
        }
        scan.timestamp()
    }) {
        rises &= core::mem::replace(&mut last, timestamp) < timestamp;
        count += 1;
    }
    if !rises {
        plain!("  timestamps do not rise");
    }
    if count > 0 {
        plain!(
            "  {count} taken; the last: {values}at {}.{:09} s",
            last / 1_000_000_000,
            last % 1_000_000_000
        );
    }
    u32::from(!rises)
}
