//! What the demonstration does, step by step, and what it says about each.

use crate::sensors;
use crate::sensors::{Absent, Trigger};
use axiom_bpf_client::{BpfServer, Failure, Loaded, ring};
use axiom_runtime::proto::bpf::{ProgramId, Refusal, Setting};
use axiom_runtime::proto::{bench, bpf, iio, supervisor};
use axiom_runtime::{Buffer, Endpoint, Notification, Pages, Runtime, Slots, Timer, call, form, plain, time};

axiom_runtime::entry!(main);
axiom_runtime::takes!(include_str!("../takes.toml"));

/// The three programs that must not pass, and why.
const REFUSED: [(&str, &str); 3] = [
    ("bad_bounds.o", "an index that comes from the sensor, unbounded"),
    ("bad_loop.o", "a loop that may never end"),
    ("bad_uninit.o", "a record that was only half written"),
];

/// A story about one sensor.
struct Story {
    /// The filter on its live samples.
    filter: &'static str,
    /// Programs beside it.
    others: &'static [&'static str],
    /// The filter's channel.
    channel: &'static str,
    /// What passes, unless the manifest says otherwise.
    range: (i64, i64),
    /// How long samples come before they are counted: a few of the sensor's, also if its server has just been started again.
    settle_ms: u64,
}

const MOTION: Story = Story {
    filter: "iio_filter.o",
    others: &["moving_average.o", "hysteresis.o"],
    channel: "accel_x",
    range: (-100, 100),
    settle_ms: 500,
};
/// -50 to 30 degrees, three times a second.
const WARMTH: Story =
    Story { filter: "temp_filter.o", others: &[], channel: "temp", range: (-800, 480), settle_ms: 1000 };

const ROUNDS: u32 = 3;
/// How long others may take to start before this goes on without them, and how often it looks.
const START_MS: u64 = 2000;
const START_STEP_MS: u64 = 5;

struct Demo {
    rt: Runtime,
    server: BpfServer,
    timer: Timer,
    slots: Slots,
    space: Pages,
    /// The sensors' buffers.
    buffers: sensors::Buffers,
    sensors: Option<Endpoint>,
    failures: u32,
}

fn main(rt: Runtime) -> ! {
    rt.ready();
    let failure = run(rt);
    finish(rt, failure);
    loop {
        Notification::OWN.wait();
    }
}

fn run(rt: Runtime) -> &'static str {
    let Some(server) = rt.serving(bpf::INTERFACE) else {
        return "the manifest gives the demo no channel to bpf-server";
    };
    let Some((timer, _)) = rt.timer("sleep") else { return "the manifest gives the demo no timer" };
    let (slots, space) = (Slots::new(rt.env()), Pages::new(rt.env().scratch));
    let sensors = rt.serving(iio::INTERFACE);
    let mut demo = Demo {
        rt,
        server: BpfServer(server),
        timer,
        slots,
        space,
        buffers: sensors::Buffers::default(),
        sensors,
        failures: 0,
    };
    demo.others_start();
    demo.refusals();
    if let Some(story) = demo.sensor() {
        demo.filters(&story);
    }
    demo.benchmark();
    if demo.failures > 0 { "the demo met something that it did not expect; see above" } else { "" }
}

impl Demo {
    fn sleep(&self, ms: u64) {
        let until = time::ticks() + time::from_nanoseconds(ms * 1_000_000);
        if self.timer.arm(until, 0).is_ok() {
            while time::ticks() < until {
                Notification::OWN.wait();
            }
        }
    }

    /// Waits until nobody else is starting, so that what they say of it comes before what this says; not for one that never gets there.
    fn others_start(&self) {
        let Some(init) = self.rt.channel("init") else { return };
        let mut buffer = Buffer::new();
        for _ in 0..START_MS / START_STEP_MS {
            let mut states = (0..).map_while(|index| {
                match call(init, supervisor::INTERFACE, &supervisor::Request::Server { index }, &mut buffer) {
                    Ok(supervisor::Reply::Server(server)) => Some(server.state),
                    _ => None,
                }
            });
            if !states.any(|state| state == supervisor::State::Starting) {
                return;
            }
            self.sleep(START_STEP_MS);
        }
    }

    fn unexpected(&mut self, what: &str, failure: &Failure) {
        self.failures += 1;
        match failure {
            Failure::Refused(why) => plain!("  {what}: {why}: {}", self.server.verdict()),
            Failure::Error(error) => plain!("  {what}: {error}"),
            Failure::Surprise => plain!("  {what}: bpf-server's answer makes no sense"),
        }
    }

    fn refusals(&mut self) {
        plain!("");
        plain!("-- three programs that the verifier refuses --");
        for (blob, about) in REFUSED {
            match self.server.load(blob, None, [None; 4]) {
                Err(Failure::Refused(why)) => {
                    // Without the sensor (as on a PC yet) nobody gets as far as the program's fault.
                    let about = if why == Refusal::NoSuchPoint { "not looked at" } else { about };
                    plain!("{blob}: refused ({about})");
                    self.server.verdict().lines().for_each(|line| plain!("  | {line}"));
                }
                Ok(loaded) => {
                    self.failures += 1;
                    plain!("{blob}: was ACCEPTED, which is a bug");
                    let _ = self.server.unload(loaded.id);
                }
                Err(failure) => self.unexpected(blob, &failure),
            }
        }
    }

    /// Shows the sensors and starts their samples; the story that what is there can tell. Without any, a system whose
    /// sensors are optional has none to tell, and another meets its story's failures.
    fn sensor(&mut self) -> Option<Story> {
        let server = self.sensors?;
        plain!("");
        plain!("-- sensors --");
        let absent = match self.rt.arg("sensors") {
            Some("optional") => Absent::Expected,
            _ => Absent::Failure,
        };
        let trigger = match self.rt.arg("trigger") {
            Some("data-ready") => Trigger::DataReady,
            _ => Trigger::Timer,
        };
        let found = sensors::start(server, trigger, absent, &mut self.slots, &mut self.space);
        self.failures += found.failures;
        self.buffers = found.buffers;
        match (found.accelerometer, found.thermometer) {
            (false, true) => Some(WARMTH),
            (false, false) if absent == Absent::Expected => {
                plain!("no sensor answers: programs on live samples are left out");
                None
            }
            _ => Some(MOTION),
        }
    }

    fn load(
        &mut self,
        blob: &str,
        replaces: Option<ProgramId>,
        settings: [Option<Setting<'_>>; 4],
    ) -> Option<Loaded> {
        match self.server.load(blob, replaces, settings) {
            Ok(p) => {
                plain!(
                    "{blob}: accepted as program {}: {} instructions, at most {} run; {} bytes of code",
                    p.id.0,
                    p.insns,
                    p.worst_case,
                    p.code_bytes
                );
                Some(p)
            }
            Err(failure) => {
                self.unexpected(blob, &failure);
                None
            }
        }
    }

    fn filters(&mut self, story: &Story) {
        plain!("");
        plain!("-- programs on the live samples --");
        let (low, high) = (self.number("minimum", story.range.0), self.number("maximum", story.range.1));
        let range = |low, high| {
            [
                Some(Setting { name: "minimum", value: low }),
                Some(Setting { name: "maximum", value: high }),
                None,
                None,
            ]
        };
        let filter = self.load(story.filter, None, range(low, high));
        for other in story.others {
            self.load(other, None, [None; 4]);
        }
        // What the manifest adds: `args = { programs = "mine.o yours.o" }`.
        for other in self.rt.arg("programs").unwrap_or("").split_ascii_whitespace() {
            self.load(other, None, [None; 4]);
        }
        let Some(filter) = filter else { return };
        let mut ring = ring::map(self.server, filter.id, "events", &mut self.slots, &mut self.space);
        if ring.is_none() {
            self.failures += 1;
            plain!("the filter's ring buffer could not be mapped");
        }
        let mut buffers = core::mem::take(&mut self.buffers);
        for _ in 0..ROUNDS {
            self.sleep(story.settle_ms);
            let mut got = (0u64, 0i32);
            if let Some(ring) = &mut ring {
                while let Some(value) = ring.consumer.next(|r| value_of(r.bytes)) {
                    got = (got.0 + 1, value);
                }
            }
            self.show(story, filter.id);
            match got {
                (0, _) => plain!("  the filter's ring buffer: no new event"),
                (1, last) => plain!("  the filter's ring buffer: 1 new event, the last value {last}"),
                (events, last) => {
                    plain!("  the filter's ring buffer: {events} new events, the last value {last}")
                }
            }
            buffers.take();
        }
        if let Some(server) = self.sensors {
            self.failures += buffers.show(server, &mut self.slots, &mut self.space);
        }
        plain!("-- the filter is replaced between two samples: {} to {} --", low / 2, high / 2);
        if let Some(ring) = ring {
            ring.unmap(&mut self.slots, &mut self.space);
        }
        if let Some(narrow) = self.load(story.filter, Some(filter.id), range(low / 2, high / 2)) {
            self.sleep(story.settle_ms);
            self.show(story, narrow.id);
        }
        plain!("-- loaded programs --");
        let mut after = 0;
        while let Some(next) = self.server.next(after, |p| {
            plain!(
                "{:>3} {:<15} {:<20} ran {:>5}, accepted {:>5}; code {:>4} B, maps {:>5} B",
                p.id.0,
                p.name,
                p.point,
                p.runs,
                p.accepted,
                p.code_bytes,
                p.map_bytes
            );
            p.id.0
        }) {
            after = next;
        }
        // Leave nothing of its own behind: the benchmark starts from an empty system.
        let mut after = 0;
        while let Some(id) = self.server.next(after, |p| p.id) {
            after = id.0;
            match self.server.unload(id) {
                Ok(()) | Err(Failure::Refused(Refusal::NotOwner)) => {}
                Err(failure) => self.unexpected("unload", &failure),
            }
        }
    }

    fn show(&mut self, story: &Story, id: ProgramId) {
        let channel = story.channel;
        match self.server.counts(id) {
            Some((runs, accepted)) => {
                plain!(
                    "{channel}: {runs} sample{} since the filter was loaded: {accepted} passed the filter, {} did not",
                    if runs == 1 { "" } else { "s" },
                    runs - accepted
                );
                if runs == 0 {
                    self.failures += 1;
                    plain!("  no sample has arrived");
                }
            }
            None => {
                self.failures += 1;
                plain!("{channel}: the filter is gone");
            }
        }
    }

    fn number(&self, name: &str, otherwise: i64) -> i64 {
        self.rt.arg(name).and_then(form::signed).unwrap_or(otherwise)
    }

    fn benchmark(&mut self) {
        let Some(server) = self.rt.serving(bench::INTERFACE) else { return };
        plain!("");
        let mut buffer = Buffer::new();
        match call(server, bench::INTERFACE, &bench::Request::Run, &mut buffer) {
            Ok(bench::Reply::Done { metrics }) => plain!("the benchmark measured {metrics} metrics"),
            Ok(_) => self.failures += 1,
            Err(error) => {
                self.failures += 1;
                plain!("the benchmark failed: {error}");
            }
        }
    }
}

/// The value field of an IIO event in a ring buffer record.
fn value_of(event: &[u8]) -> i32 {
    event.get(16..20).and_then(|b| b.try_into().ok()).map_or(0, i32::from_le_bytes)
}

fn finish(rt: Runtime, failure: &str) {
    if let Some(init) = rt.channel("init") {
        let request = supervisor::Request::Finish { failure };
        let _ = call::<_, supervisor::Reply>(init, supervisor::INTERFACE, &request, &mut Buffer::new());
    }
}
