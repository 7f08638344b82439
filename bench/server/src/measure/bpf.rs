//! Programs: what loading costs, whole and by stage, and how long after a timer's deadline a program's first instruction runs.
use super::memory::{NoMemory, Series, Text, push, room};
use super::report::Report;
use super::threads::Resources;
use crate::text;
use alloc::vec::Vec;
use axiom_bpf_client::{BpfServer, ring};
use axiom_bpf_maps::Consumer;
use axiom_runtime::{Notification, Runtime, time};

const LOADS: usize = 10;
/// Objects that are measured, and their names in the report.
const OBJECTS: &[(&str, &str)] = &[
    ("straight_2.o", "2"),
    ("straight_100.o", "100"),
    ("straight_1000.o", "1000"),
    // The same, with the proof in the object: it is only checked.
    ("proved_2.o", "2_proved"),
    ("proved_100.o", "100_proved"),
    ("proved_1000.o", "1000_proved"),
    ("iio_filter.o", "iio_filter"),
    ("moving_average.o", "moving_average"),
    ("hysteresis.o", "hysteresis"),
];
const STAGES: [&str; 6] = ["receive", "parse", "verify", "compile", "map", "attach"];

fn server(rt: &Runtime, report: &mut Report) -> Option<BpfServer> {
    let server = rt.serving(axiom_proto::bpf::INTERFACE).map(BpfServer);
    if server.is_none() {
        report.missing("bpf", "the manifest gives this server no channel to bpf-server");
    }
    server
}

/// Loads each object ten times: from the client's first call to the reply, attached; then it is unloaded, untimed.
pub fn load(rt: &Runtime, report: &mut Report) {
    let Some(server) = server(rt, report) else { return };
    for (file, name) in OBJECTS {
        let Some(object) = rt.blob(file) else {
            report.missing(&text!("bpf.load.{name}"), "the manifest gives this server no such file");
            continue;
        };
        let mut totals = Series::<_, LOADS>::new();
        let mut stages = [const { Series::<u64, LOADS>::new() }; 6];
        for _ in 0..LOADS {
            let start = time::ticks();
            let loaded = server.load_bytes(object, true);
            let end = time::ticks();
            match loaded {
                Ok(loaded) => {
                    totals.push(end - start);
                    if let Some(s) = server.stages() {
                        let ticks = [s.receive, s.parse, s.verify, s.compile, s.map, s.attach];
                        stages.iter_mut().zip(ticks).for_each(|(all, t)| all.push(t));
                    }
                    if let Err(failure) = server.unload(loaded.id) {
                        report.missing(&text!("bpf.unload.{name}"), &text!("{failure:?}"));
                    }
                }
                Err(failure) => {
                    report.missing(&text!("bpf.load.{name}"), &text!("{failure:?}"));
                    break;
                }
            }
        }
        if totals.len() == LOADS {
            report.ticks(&text!("bpf.load.{name}.total"), totals.iter().copied(), true);
            for (stage, samples) in STAGES.iter().zip(&stages) {
                report.ticks(&text!("bpf.load.{name}.{stage}"), samples.iter().copied(), false);
            }
        }
    }
}

/// Attaches the latency program to a 100 Hz timer for a while and reads what its first instruction saw.
pub fn latency(rt: &Runtime, resources: &mut Resources, report: &mut Report) {
    const NAME: &str = "timer.deadline_to_first_bpf_instruction";
    match deadlines(rt, resources, report, "timer_latency.o", 1100) {
        // The first event may come before the program is attached everywhere; it is still a deadline that was met.
        Ok(pairs) => report.nanos(NAME, pairs.iter().map(Deadline::late)),
        Err(why) => report.missing(NAME, &why),
    }
}

/// A deadline, and when its program's first instruction ran, nanoseconds.
pub struct Deadline {
    at: u64,
    entered: u64,
}

impl Deadline {
    /// How late the program was.
    pub fn late(&self) -> u64 {
        self.entered.saturating_sub(self.at)
    }

    /// How long after an earlier program.
    pub fn after(&self, earlier: &Deadline) -> u64 {
        self.entered.saturating_sub(earlier.entered)
    }
}

/// Lets a program that reports its deadlines run for so many milliseconds.
pub fn deadlines(
    rt: &Runtime,
    resources: &mut Resources,
    report: &mut Report,
    file: &str,
    ms: u64,
) -> Result<Vec<Deadline>, Text> {
    let server = server(rt, report).ok_or("no channel to bpf-server")?;
    let object = rt.blob(file).ok_or_else(|| text!("no {file}"))?;
    let loaded = server.load_bytes(object, true).map_err(|failure| text!("{failure:?}"))?;
    let mapped = ring::map(server, loaded.id, "latencies", &mut resources.slots, &mut resources.pages);
    let mut ring = mapped.ok_or("the ring buffer could not be mapped")?;
    sleep_ms(rt, ms);
    let pairs = drain(&mut ring.consumer);
    ring.unmap(&mut resources.slots, &mut resources.pages);
    if let Err(failure) = server.unload(loaded.id) {
        report.missing(&text!("bpf.unload.{file}"), &text!("{failure:?}"));
    }
    Ok(pairs?)
}

/// What the program has reported.
fn drain(consumer: &mut Consumer) -> Result<Vec<Deadline>, NoMemory> {
    let mut pairs = room(128)?;
    while let Some(pair) = consumer.next(|record| {
        let word = |i: usize| {
            record.bytes.get(i * 8..i * 8 + 8).and_then(|b| b.try_into().ok()).map(u64::from_le_bytes)
        };
        word(0).zip(word(1))
    }) {
        if let Some((at, entered)) = pair {
            push(&mut pairs, Deadline { at, entered })?;
        }
    }
    Ok(pairs)
}

fn sleep_ms(rt: &Runtime, ms: u64) {
    let Some((timer, bit)) = rt.timer("tick") else { return };
    if timer.arm(time::ticks() + time::from_nanoseconds(ms * 1_000_000), 0).is_ok() {
        let own = Notification::OWN;
        while !own.wait().has(bit) {}
    }
}
