//! A sample's way through the system: from the driver's trigger over the bus and a program to the thread that waits for the
//! program's ring buffer.
use super::memory::{Series, Text};
use super::report::Report;
use super::threads::Resources;
use super::trace;
use crate::text;
use axiom_bpf_client::{BpfServer, Failure, Loaded, ring};
use axiom_proto::{bpf, iio};
use axiom_runtime::cap::Tcb;
use axiom_runtime::sel4::object::kind;
use axiom_runtime::sel4::{CPtr, Error, ext};
use axiom_runtime::{Bit, Bits, Buffer, Class, Endpoint, Notification, Runtime, Timer, call, time};

const SAMPLES: usize = 100;
const HZ: u32 = 100;
/// Longest wait for a sample.
const PATIENCE_NS: u64 = 500_000_000;
/// The three distances, from the trigger's timestamp, the program's first instruction, and the trigger again.
const NAMES: [&str; 3] = ["sample.trigger_to_program", "sample.program_to_consumer", "sample.to_consumer"];

/// Samples whose ways go into the trace, where it is asked for: the ring holds about that many.
pub const TRACED: usize = 3;

/// Adds the rows; then, where the manifest asks for it, the trace of a few more samples.
pub fn measure(
    rt: &Runtime,
    resources: &mut Resources,
    report: &mut Report,
    busy: Option<Tcb>,
) -> Option<trace::Copy> {
    match run(rt, resources, report, busy) {
        Ok(trace) => trace,
        Err(why) => {
            NAMES.iter().for_each(|name| report.missing(name, &why));
            None
        }
    }
}

/// A refusal of the kernel in words.
pub fn kernel(error: Error) -> Text {
    text!("the kernel refused an object: {error:?}")
}

fn run(
    rt: &Runtime,
    resources: &mut Resources,
    report: &mut Report,
    busy: Option<Tcb>,
) -> Result<Option<trace::Copy>, Text> {
    let server = rt.serving(bpf::INTERFACE).map(BpfServer).ok_or("no channel to bpf-server")?;
    let sensors = rt.serving(iio::INTERFACE).ok_or("no channel to the sensors")?;
    let object = rt.blob("sample_latency.o").ok_or("no sample_latency.o")?;
    let device = accelerometer(sensors).ok_or("there is no accelerometer")?;
    let waiting = Waiting::new(resources).map_err(kernel)?;
    let loaded = server.load_bytes(object, true).map_err(|f| text!("{f:?}"))?;
    let result = consume(server, sensors, device, loaded, &waiting, resources, SAMPLES);
    let mut traced = None;
    if trace::wanted(rt) && result.is_ok() {
        let more = || consume(server, sensors, device, loaded, &waiting, resources, TRACED);
        let (more, copy) = trace::during(rt, busy, report, more);
        traced = copy;
        if let (Some(copy), Ok(ways)) = (&mut traced, &more) {
            ways.iter().for_each(|w| copy.ways.push([w.triggered, w.entered, w.consumed]));
        }
    }
    if let Err(failure) = server.unload(loaded.id) {
        report.missing("bpf.unload.sample_latency", &text!("{failure:?}"));
    }
    let ways = result.map_err(|f| text!("{f:?}"))?;
    if ways.len() < SAMPLES {
        return Err(text!("only {} samples came in time", ways.len()));
    }
    let distances: [fn(&Way) -> u64; 3] =
        [|w| w.entered - w.triggered, |w| w.consumed - w.entered, |w| w.consumed - w.triggered];
    for (name, distance) in NAMES.iter().zip(distances) {
        report.nanos(name, ways.iter().map(distance));
    }
    Ok(traced)
}

/// The moments of a sample, nanoseconds of the counter.
struct Way {
    triggered: u64,
    entered: u64,
    consumed: u64,
}

/// A notification for the doorbell and a timer that ends the patience.
struct Waiting {
    notification: Notification,
    doorbell: CPtr,
    /// The bit that it sets.
    rung: Bit,
    timer: Timer,
}

impl Waiting {
    fn new(resources: &mut Resources) -> Result<Waiting, Error> {
        let notification = resources.make(kind::NOTIFICATION, 0)?;
        let timer = Timer(resources.make(ext::TIMER_TYPE, 0)?);
        let mut bits = Bits::new();
        let mut given = |class| {
            let slot = resources.slots.take().ok_or(Error::NotEnoughMemory)?;
            let bit = bits.take(class).ok_or(Error::NotEnoughMemory)?;
            Notification(notification).signaller(slot, bit).map(|given| (given, bit))
        };
        let ((doorbell, rung), (timeout, _)) = (given(Class::Doorbell)?, given(Class::Timer)?);
        timer.bind(timeout)?;
        Ok(Waiting { notification: Notification(notification), doorbell: doorbell.0, rung, timer })
    }

    /// When the doorbell rang; `None` when patience ended.
    fn wait(&self) -> Option<u64> {
        self.timer.arm(time::ticks() + time::from_nanoseconds(PATIENCE_NS), 0).ok()?;
        let signals = self.notification.wait();
        let now = time::ticks();
        signals.has(self.rung).then_some(now)
    }
}

/// The accelerometer's number.
pub fn accelerometer(sensors: Endpoint) -> Option<u32> {
    let mut buffer = Buffer::new();
    for device in 0.. {
        match call(sensors, iio::INTERFACE, &iio::Request::Device { device }, &mut buffer) {
            Ok(iio::Reply::Device { name: "adxl345", present: true, .. }) => return Some(device),
            Ok(iio::Reply::Device { .. }) => {}
            _ => return None,
        }
    }
    None
}

fn consume(
    server: BpfServer,
    sensors: Endpoint,
    device: u32,
    loaded: Loaded,
    waiting: &Waiting,
    resources: &mut Resources,
    samples: usize,
) -> Result<Series<Way, SAMPLES>, Failure> {
    server.notify(loaded.id, "ways", waiting.doorbell)?;
    let mapped = ring::map(server, loaded.id, "ways", &mut resources.slots, &mut resources.pages);
    let mut ring = mapped.ok_or(Failure::Surprise)?;
    let sample = iio::Request::Sample { device, hz: HZ };
    let mut buffer = Buffer::new();
    let started = call::<_, iio::Reply>(sensors, iio::INTERFACE, &sample, &mut buffer);
    let mut ways = Series::new();
    while started.is_ok() && ways.len() < samples {
        let Some(now) = waiting.wait() else { break };
        let consumed = time::nanoseconds(now);
        let mut records = 0;
        let mut last = None;
        while let Some(pair) = ring.consumer.next(|record| {
            let word = |i: usize| {
                record.bytes.get(i * 8..i * 8 + 8).and_then(|b| b.try_into().ok()).map(u64::from_le_bytes)
            };
            word(0).zip(word(1))
        }) {
            records += 1;
            last = pair;
        }
        // Two records at once: the consumer was late, and the first one's moment of arrival is not known.
        if let Some((triggered, entered)) = last.filter(|_| records == 1) {
            ways.push(Way { triggered, entered, consumed });
        }
    }
    ring.unmap(&mut resources.slots, &mut resources.pages);
    Ok(ways)
}
