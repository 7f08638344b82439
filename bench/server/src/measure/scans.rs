//! What a scan costs its reader, out of the ring that the IIO server shares.

use super::memory::{Series, Text};
use super::report::Report;
use super::sample::{accelerometer, kernel};
use super::threads::Resources;
use crate::text;
use axiom_iio_client::{Wanted, start};
use axiom_proto::iio;
use axiom_runtime::sel4::CapRights;
use axiom_runtime::sel4::object::kind;
use axiom_runtime::{Buffer, CNode, Notification, Runtime, call, time};

const NAME: &str = "sample.ring.scan";
/// Scans that are waited for, and read in a row.
const SCANS: u32 = 32;
const HZ: u32 = 100;

/// Adds the row.
pub fn measure(rt: &Runtime, resources: &mut Resources, report: &mut Report) {
    match run(rt, resources) {
        Ok(samples) if samples.len() as u32 >= SCANS => report.cycles(NAME, samples.iter().copied()),
        Ok(samples) => report.missing(NAME, &text!("only {} scans came", samples.len())),
        Err(why) => report.missing(NAME, &why),
    }
}

fn run(rt: &Runtime, resources: &mut Resources) -> Result<Series<u64, { SCANS as usize }>, Text> {
    let sensors = rt.serving(iio::INTERFACE).ok_or("no channel to the sensors")?;
    let device = accelerometer(sensors).ok_or("there is no accelerometer")?;
    let told = resources.make(kind::NOTIFICATION, 0).map_err(kernel)?;
    let doorbell = resources.slots.take().ok_or("no slot is left")?;
    CNode::OWN.mint(doorbell, told, CapRights::WRITE, 1).map_err(kernel)?;
    let wanted = Wanted { device, channels: 0b111, length: 2 * SCANS, watermark: SCANS };
    let (slots, space) = (&mut resources.slots, &mut resources.pages);
    let mut scans = start(sensors, wanted, Some(doorbell), slots, space).map_err(|f| text!("{f:?}"))?;
    let request = iio::Request::Sample { device, hz: HZ };
    let mut buffer = Buffer::new();
    let sampled = call::<_, iio::Reply<'_>>(sensors, iio::INTERFACE, &request, &mut buffer);
    let mut samples = Series::new();
    if matches!(sampled, Ok(iio::Reply::Rate { .. })) {
        Notification(told).wait();
        let mut sum = 0i64;
        while (samples.len() as u32) < SCANS {
            let begin = time::cycles();
            // What a reader does at least: the time and a value.
            let scan = scans.next(|scan| (scan.timestamp(), scan.value(0)));
            let end = time::cycles();
            let Some((timestamp, value)) = scan else { break };
            sum = sum.wrapping_add(timestamp as i64).wrapping_add(value.unwrap_or(0).into());
            samples.push(end - begin);
        }
        core::hint::black_box(sum);
    }
    scans.stop(&mut resources.slots, &mut resources.pages);
    Ok(samples)
}
