//! A trace in the console log as a picture for Perfetto (ui.perfetto.dev) or chrome://tracing: Chrome's JSON trace format.
//!
//! Servers are processes; the kernel is one too, with boot, interrupts and the core as its threads. A thread's slices are the times
//! that it ran; messages are flows from the sender's slice to the receiver's next one; timers and faults are instants. Times are
//! microseconds since the kernel's first instruction, less what [`crate::cut`] leaves out. What is written is checked first: see [`crate::chrome::check`].
use crate::chrome::{Event, Track};
use crate::cut::{Cut, cut};
use axiom_bench_metrics::trace::{BEGIN, END, FORMAT_VERSION, USER_THREAD};
use axiom_trace::{Record, class, event};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What the kernel does at boot after each of these events.
const BOOT_PHASES: [(u16, &str); 7] = [
    (event::BOOT_ENTRY, "entry, address translation"),
    (event::BOOT_MMU, "device tree"),
    (event::BOOT_DTB, "memory map"),
    (event::BOOT_MEMORY, "interrupt controller"),
    (event::BOOT_IRQ, "root objects"),
    (event::BOOT_ROOT_OBJECTS, "into the root task"),
    (event::BOOT_ROOT_START, "root task starts"),
];

/// A trace as it was printed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trace {
    counter_hz: u64,
    /// Records that the ring had lost to newer ones.
    pub lost: u64,
    servers: Vec<String>,
    ways: Vec<[u64; 3]>,
    /// Boot's records, then the ring's.
    pub records: Vec<Record>,
}

/// Reads the trace in a log; a line that is not one is refused by its number.
pub fn parse(text: &str) -> Result<Trace, String> {
    let mut trace = Trace::default();
    let (mut inside, mut stated, mut ended) = (false, None, false);
    for (index, line) in text.lines().enumerate() {
        let (number, line) = (index + 1, axiom_bench_metrics::said(line.trim_end()));
        match (inside, line) {
            (false, BEGIN) if ended => {
                return Err(format!("{number}: a second trace begins; give a log of one run"));
            }
            (false, BEGIN) => inside = true,
            (false, _) => {}
            (true, END) => (inside, ended) = (false, true),
            (true, _) => {
                let value: Value = serde_json::from_str(line)
                    .map_err(|e| format!("{number}: '{line}' is not JSON ({e}); was the serial log cut?"))?;
                if let Some(count) = value["records"].as_u64() {
                    stated = Some((number, count));
                } else {
                    take(&mut trace, &value)
                        .ok_or_else(|| format!("{number}: '{line}' is no line of a trace"))?;
                }
            }
        }
    }
    match (ended, stated) {
        (false, _) if inside => Err("the log ends inside the trace".into()),
        (false, _) => Err(format!(
            "no line '{BEGIN}': run `just trace` without a log, or a system whose bench has args trace = \"sample\""
        )),
        (true, None) => Err("the trace does not say how many records it has; its end was lost".into()),
        (true, Some((number, count))) if count != trace.records.len() as u64 => Err(format!(
            "{number}: the trace says it has {count} records and {} arrived",
            trace.records.len()
        )),
        _ if trace.counter_hz == 0 => Err("the trace does not say its counter's frequency".into()),
        _ => Ok(trace),
    }
}

fn take(trace: &mut Trace, value: &Value) -> Option<()> {
    if let Some(numbers) = value.as_array() {
        let n: Vec<u64> = numbers.iter().map(Value::as_u64).collect::<Option<_>>()?;
        let [counter, event, arg0, arg1] = n.as_slice() else { return None };
        let record = Record {
            counter: *counter,
            event: u16::try_from(*event).ok()?,
            arg0: u16::try_from(*arg0).ok()?,
            arg1: u32::try_from(*arg1).ok()?,
        };
        trace.records.push(record);
    } else if let Some(version) = value["trace"].as_u64() {
        (version == u64::from(FORMAT_VERSION)).then_some(())?;
        trace.counter_hz = value["counter_hz"].as_u64()?;
        trace.lost = value["lost"].as_u64()?;
    } else if let Some(index) = value["server"].as_u64() {
        (index == trace.servers.len() as u64).then_some(())?;
        trace.servers.push(value["name"].as_str()?.to_owned());
    } else {
        let way: Vec<u64> = value["way"].as_array()?.iter().map(Value::as_u64).collect::<Option<_>>()?;
        trace.ways.push(way.try_into().ok()?);
    }
    Some(())
}

const KERNEL: u64 = 1;
const INIT: u64 = 2;
const FIRST_SERVER: u64 = 3;
const BOOT: Track = Track { pid: KERNEL, tid: 1 };
const INTERRUPTS: Track = Track { pid: KERNEL, tid: 2 };
const IDLE: Track = Track { pid: KERNEL, tid: 3 };

struct Picture<'a> {
    trace: &'a Trace,
    entry: u64,
    events: Vec<Event>,
    threads: BTreeMap<u32, Track>,
    flows: u64,
}

/// The trace as events, in the order of their times, without long silence between them.
pub fn events(trace: &Trace) -> Result<(Vec<Event>, Vec<Cut>), String> {
    let entry = trace.records.iter().find(|r| r.event == event::BOOT_ENTRY);
    let entry = entry.ok_or("the trace has no record of the kernel's entry")?.counter;
    let mut picture = Picture { trace, entry, events: Vec::new(), threads: BTreeMap::new(), flows: 0 };
    picture.names();
    picture.boot();
    picture.run();
    picture.samples();
    let (mut events, cuts) = cut(picture.events, BOOT);
    events.sort_by(|a, b| a.order().partial_cmp(&b.order()).unwrap_or(std::cmp::Ordering::Equal));
    Ok((events, cuts))
}

impl Picture<'_> {
    fn us(&self, counter: u64) -> f64 {
        counter.saturating_sub(self.entry) as f64 * 1e6 / self.trace.counter_hz as f64
    }

    fn slice(&mut self, track: Track, name: &str, from: u64, to: u64) {
        let (from, to) = (self.us(from), self.us(to));
        self.events.push(Event::slice(track, name, from, to - from));
    }

    fn names(&mut self) {
        self.events.extend(Event::process(KERNEL, "kernel", 0));
        for (track, name) in [(BOOT, "boot"), (INTERRUPTS, "interrupts"), (IDLE, "idle")] {
            self.events.push(Event::thread(track, name));
        }
        self.events.extend(Event::process(INIT, "init", 1));
        self.events.push(Event::thread(Track { pid: INIT, tid: 1 }, "init"));
        for (index, name) in (0..).zip(&self.trace.servers) {
            self.events.extend(Event::process(FIRST_SERVER + index, name, 2 + index));
            self.events.push(Event::thread(Track { pid: FIRST_SERVER + index, tid: 1 }, name));
        }
        // A restarted server has a thread of its own again; the newest holds for what the ring shows.
        for r in &self.trace.records {
            match r.event {
                event::BOOT_INIT => {
                    self.threads.insert(r.arg1, Track { pid: INIT, tid: 1 });
                }
                event::BOOT_SPAWNED => {
                    let pid = FIRST_SERVER + u64::from(r.arg0);
                    self.threads.insert(r.arg1, Track { pid, tid: 1 });
                }
                USER_THREAD => {
                    let bench = self.trace.servers.iter().position(|s| s == "bench").unwrap_or_default();
                    let track = Track { pid: FIRST_SERVER + bench as u64, tid: 2 };
                    self.threads.insert(r.arg1, track);
                    self.events.push(Event::thread(track, "bench: keeps the core busy"));
                }
                _ => {}
            }
        }
    }

    fn boot(&mut self) {
        let boot: Vec<Record> =
            self.trace.records.iter().copied().filter(|r| class::of(r.event) == class::BOOT).collect();
        let at = |wanted: u16| boot.iter().find(|r| r.event == wanted).map(|r| r.counter);
        for (index, (number, name)) in BOOT_PHASES.iter().enumerate() {
            let next = BOOT_PHASES.get(index + 1).map_or(event::BOOT_INIT, |p| p.0);
            if let (Some(from), Some(to)) = (at(*number), at(next)) {
                self.slice(BOOT, name, from, to);
            }
        }
        let mut spawned_before = at(event::BOOT_INIT);
        for r in boot.iter().filter(|r| r.event == event::BOOT_SPAWNED) {
            let name =
                self.trace.servers.get(usize::from(r.arg0)).cloned().unwrap_or_else(|| "a server".into());
            if let Some(from) = spawned_before.replace(r.counter) {
                self.slice(Track { pid: INIT, tid: 1 }, &format!("builds {name}"), from, r.counter);
            }
            let ready = boot.iter().find(|other| {
                other.event == event::BOOT_READY && other.arg0 == r.arg0 && other.counter >= r.counter
            });
            if let Some(ready) = ready {
                let track = Track { pid: FIRST_SERVER + u64::from(r.arg0), tid: 1 };
                self.slice(track, "starts", r.counter, ready.counter);
            }
        }
        if let Some(all) = at(event::BOOT_ALL_READY) {
            let at = self.us(all);
            self.events.push(Event::instant(BOOT, "all servers are ready", at));
        }
    }

    fn track(&mut self, thread: u32) -> Track {
        if let Some(track) = self.threads.get(&thread) {
            return *track;
        }
        // The first thread without a name is the idle one as a rule; others get a track each.
        let unnamed = self.threads.values().filter(|t| t.pid == KERNEL).count() as u64;
        let track = Track { pid: KERNEL, tid: IDLE.tid + unnamed };
        if unnamed > 0 {
            self.events.push(Event::thread(track, &format!("thread {thread:#x}")));
        }
        self.threads.insert(thread, track);
        track
    }

    /// What the ring shows: who ran when, who sent to whom, interrupts.
    fn run(&mut self) {
        let ring: Vec<Record> =
            self.trace.records.iter().copied().filter(|r| class::of(r.event) != class::BOOT).collect();
        let mut running: Option<(Track, u64)> = None;
        let mut interrupt: Option<Record> = None;
        // Messages and signals on their way: from where, when, what, and to which thread (any, for a signal).
        let mut pending: Vec<(Track, u64, &str, Option<u32>)> = Vec::new();
        for r in &ring {
            match r.event {
                event::SWITCH => {
                    let to = self.track(r.arg1);
                    if let Some((track, since)) = running.replace((to, r.counter)) {
                        self.slice(track, "runs", since, r.counter);
                    }
                    let (arrived, still) = pending.drain(..).partition(|p| p.3.is_none_or(|t| t == r.arg1));
                    pending = still;
                    for (from, at, what, _) in Vec::<(Track, u64, &str, Option<u32>)>::from_iter(arrived) {
                        if from != to {
                            self.flow(from, at, to, r.counter, what);
                        }
                    }
                }
                event::IPC | event::SIGNAL => {
                    let source = if interrupt.is_some() { Some(INTERRUPTS) } else { running.map(|r| r.0) };
                    if let Some(source) = source {
                        let (what, to) =
                            if r.event == event::IPC { ("message", Some(r.arg1)) } else { ("signal", None) };
                        pending.push((source, r.counter, what, to));
                    }
                }
                event::IRQ_ENTRY => interrupt = Some(*r),
                event::IRQ_EXIT => {
                    if let Some(entry) = interrupt.take() {
                        self.slice(INTERRUPTS, &format!("interrupt {}", r.arg0), entry.counter, r.counter);
                    }
                }
                event::TIMER | event::FAULT => {
                    let at = self.us(r.counter);
                    let name = if r.event == event::TIMER { "a timer expires" } else { "a fault" };
                    self.events.push(Event::instant(INTERRUPTS, name, at));
                }
                _ => {}
            }
        }
        if let (Some((track, since)), Some(last)) = (running, ring.last()) {
            self.slice(track, "runs", since, last.counter);
        }
    }

    fn flow(&mut self, from: Track, at: u64, to: Track, arrives: u64, what: &str) {
        self.flows += 1;
        let (at, arrives) = (self.us(at), self.us(arrives));
        self.events.push(Event::flow_start(from, what, at, self.flows));
        self.events.push(Event::flow_end(to, what, arrives, self.flows));
    }

    /// The samples' ways as slices of a process of their own.
    fn samples(&mut self) {
        if self.trace.ways.is_empty() {
            return;
        }
        let pid = FIRST_SERVER + self.trace.servers.len() as u64;
        let track = Track { pid, tid: 1 };
        self.events.extend(Event::process(pid, "samples", pid));
        self.events.push(Event::thread(track, "a sample's way"));
        let ticks = |ns: u64| (u128::from(ns) * u128::from(self.trace.counter_hz) / 1_000_000_000) as u64;
        for [trigger, program, consumer] in self.trace.ways.clone() {
            let (trigger, program, consumer) = (ticks(trigger), ticks(program), ticks(consumer));
            self.slice(track, "sample", trigger, consumer);
            self.slice(track, "bus and driver", trigger, program);
            self.slice(track, "program, ring buffer, doorbell", program, consumer);
        }
    }
}

/// The file's content.
pub fn chrome_json(trace: &Trace, events: &[Event], cuts: &[Cut]) -> Value {
    let cuts: Vec<Value> = cuts.iter().map(|c| json!({ "at us": c.at, "left out us": c.length })).collect();
    json!({
        "displayTimeUnit": "ns",
        "otherData": { "records": trace.records.len(), "lost from the ring": trace.lost, "counter_hz": trace.counter_hz, "left out": cuts },
        "traceEvents": events.iter().map(Event::json).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chrome;

    fn log(lines: &str, count: usize) -> String {
        format!(
            "boot\n{BEGIN}\n{{\"trace\":1,\"counter_hz\":1000000,\"lost\":4}}\n{{\"server\":0,\"name\":\"console\"}}\n{{\"server\":1,\"name\":\"bench\"}}\n\
             {lines}{{\"records\":{count}}}\n{END}\n"
        )
    }

    // Entry, MMU, init (thread 9), console spawned (thread 10) and ready; then 10 runs, sends to 11, an interrupt signals.
    const RUN: &str = "{\"way\":[210000,220000,240000]}\n[100,256,0,0]\n[110,257,0,0]\n[120,272,0,9]\n[130,273,0,10]\n[140,274,0,0]\n[150,273,1,11]\n\
        [300,1280,0,10]\n[310,512,0,11]\n[311,1280,0,11]\n[320,1024,27,0]\n[321,1792,0,0]\n[322,768,0,77]\n[323,1025,27,0]\n\
        [324,1280,0,10]\n[330,1280,0,5]\n[340,1280,0,10]\n";

    #[test]
    fn a_run_becomes_slices_flows_and_instants_that_pass_the_check() {
        let trace = parse(&log(RUN, 16)).unwrap();
        let (events, cuts) = events(&trace).unwrap();
        let value = chrome_json(&trace, &events, &cuts);
        assert_eq!(chrome::check(&value), Ok(events.len()));
        let text = value.to_string();
        for expected in [
            "builds console",
            "starts",
            "interrupt 27",
            "a timer expires",
            "a sample's way",
            "\"message\"",
            "\"signal\"",
        ] {
            assert!(text.contains(expected), "{expected}: {text}");
        }
        // The message left at 210 us and arrived at 211 us.
        let start = events.iter().find(|e| e.json()["ph"] == "s").unwrap().json();
        assert_eq!((start["ts"].as_f64(), start["pid"].as_u64()), (Some(210.0), Some(FIRST_SERVER)));
    }

    #[test]
    fn damage_is_refused_with_its_line() {
        for (text, expected) in [
            (log(RUN, 17), "23: the trace says it has 17 records and 16 arrived"),
            (log("[1,2,3]\n", 1), "6: '[1,2,3]' is no line of a trace"),
            (log("[1,70000,3,4]\n", 1), "6: "),
            (log("[1,2,\n", 1), "6: '[1,2,' is not JSON"),
            (log("{\"server\":7,\"name\":\"x\"}\n", 0), "6: "),
            (log(RUN, 16).replace(END, "x"), "24: 'x' is not JSON"),
            (log(RUN, 16) + &log(RUN, 16), "26: a second trace begins"),
            ("nothing".into(), "no line '-----BEGIN AXIOM TRACE-----'"),
        ] {
            let error = parse(&text).unwrap_err();
            assert!(error.contains(expected), "{error} instead of {expected}");
        }
        let without_entry = parse(&log("[110,257,0,0]\n", 1)).unwrap();
        assert!(events(&without_entry).unwrap_err().contains("no record of the kernel's entry"));
    }
}
