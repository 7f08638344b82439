//! The two stories, step by step: what should happen is checked and said, and what does not ends the run as a failure.

use crate::latency;
use crate::lines::{Failure, Lines};
use alloc::format;
use alloc::string::String;
use axiom_bpf_client::{BpfServer, Failure as BpfFailure, Loaded};
use axiom_runtime::proto::bpf::{ProgramId, Setting};
use axiom_runtime::proto::gpio::{Channel, Edges, FULL_DUTY, Line, Refusal, Request};
use axiom_runtime::proto::{bpf, gpio, supervisor};
use axiom_runtime::{
    Bit, Bits, Buffer, Class, Notification, Runtime, Signals, Slots, Timer, call, plain, time,
};

use core::cell::Cell;

axiom_runtime::entry!(main);
axiom_runtime::takes!(include_str!("../takes.toml"));

/// Trace class of interrupts.
const TRACE_IRQ: u64 = 1 << axiom_runtime::sel4::ext::class::IRQ;
/// How long an edge may take to come where the manifest says nothing (`patience_s`), seconds.
const PATIENCE_S: u64 = 30;
const LOOK_MS: u64 = 10;
/// How often to look for a signal.
const SIGNAL_LOOKS: u32 = 20;
const ECANCELED: i64 = -125;
const EPERM: i64 = -1;
/// Lines that `greedy.c` tries.
const GREEDY_LINES: u32 = 32;

struct Demo {
    rt: Runtime,
    bpf: BpfServer,
    lines: Lines,
    timer: Timer,
    slots: Slots,
    failures: u32,
    chip: &'static str,
    /// Bits of the notification that came while the demo slept.
    signalled: Cell<Signals>,
    /// The bit that a subscription sets.
    bell: Bit,
}

/// What a program left in its map `seen`.
struct Seen {
    edges: u64,
    timestamp: u64,
    done: u64,
    result: i64,
}

fn main(rt: Runtime) -> ! {
    rt.ready();
    let failure = run(rt);
    if let Some(init) = rt.channel("init") {
        let request = supervisor::Request::Finish { failure };
        // init does not answer this one.
        let _ = call::<_, supervisor::Reply>(init, supervisor::INTERFACE, &request, &mut Buffer::new());
    }
    loop {
        Notification::OWN.wait();
    }
}

fn run(rt: Runtime) -> &'static str {
    let (Some(bpf), Some(lines), Some((timer, _))) =
        (rt.serving(bpf::INTERFACE), rt.serving(gpio::INTERFACE), rt.timer("sleep"))
    else {
        return "the manifest gives the demo no channel to bpf-server or gpio-server, or no timer";
    };
    let Some(bell) = Bits::new().take(Class::Doorbell) else { return "no bit of the notification is left" };
    let chip = rt.arg("chip").unwrap_or("pl061");
    let mut demo = Demo {
        rt,
        bpf: BpfServer(bpf),
        lines: Lines(lines),
        timer,
        slots: Slots::new(rt.env()),
        failures: 0,
        chip,
        signalled: Cell::new(Signals::NONE),
        bell,
    };
    if let Some(trace) = rt.trace()
        && trace.set_mask(TRACE_IRQ).is_err()
    {
        demo.wrong("the trace's mask could not be set");
    }
    plain!("");
    plain!("-- lines --");
    demo.lines.show();
    match rt.arg("story") {
        Some("button") => demo.button(),
        Some("limit") => demo.limit(),
        _ => return "the manifest names no story: story = \"button\" or \"limit\"",
    }
    if demo.failures > 0 { "the demo met something that it did not expect; see above" } else { "" }
}

fn settings<const N: usize>(list: [(&'static str, i64); N]) -> [Option<Setting<'static>>; 4] {
    let mut out = [None; 4];
    for (to, (name, value)) in out.iter_mut().zip(list) {
        *to = Some(Setting { name, value });
    }
    out
}

impl Demo {
    fn number(&self, name: &str, otherwise: u64) -> u64 {
        self.rt.arg_number(name).unwrap_or(otherwise)
    }

    /// How often to look for an edge, [`LOOK_MS`] apart.
    fn looks(&self) -> u64 {
        self.number("patience_s", PATIENCE_S) * 1000 / LOOK_MS
    }

    fn line(&self, name: &str, otherwise: u64) -> Line {
        Line { chip: 0, line: self.number(name, otherwise) as u8 }
    }

    fn sleep(&self, ms: u64) {
        let until = time::ticks() + time::from_nanoseconds(ms * 1_000_000);
        if self.timer.arm(until, 0).is_ok() {
            while time::ticks() < until {
                let signals = Notification::OWN.wait();
                self.signalled.set(self.signalled.get().and(signals));
            }
        }
    }

    /// A client that is no program sees edges by a notification, of lines that it may read.
    fn subscribe(&mut self, button: u64) {
        let line = |line| Line { chip: 0, line: line as u8 };
        let forbidden = line(self.number("forbidden", 7));
        let refused = self.lines.subscribe(&mut self.slots, forbidden, Edges::Both, self.bell);
        self.check(
            "a subscription to a line that the manifest does not give the demo: refused",
            refused == Err(Failure::Refused(Refusal::NotGranted)),
        );
        let driven = self.lines.set(forbidden, true);
        self.check(
            "driving that line by message: refused",
            driven == Err(Failure::Refused(Refusal::NotGranted)),
        );
        let accepted = self.lines.subscribe(&mut self.slots, line(button), Edges::Rising, self.bell);
        self.check("a subscription to the button's rising edges: accepted", accepted == Ok(()));
    }

    fn wrong(&mut self, what: &str) {
        self.failures += 1;
        plain!("  NOT AS EXPECTED: {what}");
    }

    fn check(&mut self, what: &str, good: bool) {
        if good {
            plain!("  {what}");
        } else {
            self.wrong(what);
        }
    }

    /// Loads what must be accepted.
    fn load(&mut self, blob: &str, point: &str, settings: [Option<Setting<'_>>; 4]) -> Option<Loaded> {
        match self.bpf.load_at(blob, point, settings) {
            Ok(p) => {
                plain!(
                    "{blob}: accepted at {point}: {} instructions, {} bytes of machine code",
                    p.insns,
                    p.code_bytes
                );
                Some(p)
            }
            Err(BpfFailure::Refused(why)) => {
                plain!("{blob}: refused: {why}");
                self.bpf.verdict().lines().for_each(|l| plain!("  | {l}"));
                self.wrong("it should have been accepted");
                None
            }
            Err(_) => {
                self.wrong("bpf-server does not answer");
                None
            }
        }
    }

    /// The program that bpf-server has loaded itself, because the manifest pins it.
    fn pinned(&mut self, name: &str, point: &str) -> Option<ProgramId> {
        let (mut after, mut found) = (0, None);
        while let Some(next) = self.bpf.next(after, |p| {
            if p.name == name && p.point == point && p.attached {
                found = Some(p.id);
            }
            p.id.0
        }) {
            after = next;
        }
        match found {
            Some(_) => plain!("{name}: in its place at {point}, where the manifest pins it"),
            None => self.wrong("the manifest pins no such program there"),
        }
        found
    }

    /// Loads what must be refused, and shows why it is.
    fn refused(&mut self, blob: &str, point: &str, settings: [Option<Setting<'_>>; 4]) {
        match self.bpf.load_at(blob, point, settings) {
            Err(BpfFailure::Refused(why)) => {
                plain!("{blob}: refused: {why}");
                self.bpf.verdict().lines().for_each(|l| plain!("  | {l}"));
            }
            Ok(loaded) => {
                self.wrong("it was ACCEPTED, which is a bug");
                let _ = self.bpf.unload(loaded.id);
            }
            Err(_) => self.wrong("bpf-server does not answer"),
        }
    }

    fn seen(&self, id: ProgramId) -> Option<Seen> {
        let mut bytes = [0; 32];
        if !self.bpf.value(id, "seen", 0, &mut bytes) {
            return None;
        }
        let word = |i: usize| u64::from_le_bytes(core::array::from_fn(|b| bytes[8 * i + b]));
        Some(Seen { edges: word(0), timestamp: word(1), done: word(2), result: word(3) as i64 })
    }

    /// Waits until a program has seen so many edges.
    fn wait_for(&mut self, id: ProgramId, edges: u64) -> Option<Seen> {
        for _ in 0..self.looks() {
            match self.seen(id) {
                Some(seen) if seen.edges >= edges => return Some(seen),
                _ => self.sleep(LOOK_MS),
            }
        }
        self.wrong("no edge came");
        None
    }

    /// The way of an edge, if the trace has its interrupt.
    fn latency(&mut self, seen: &Seen) {
        let server_to_pin = seen.done.saturating_sub(seen.timestamp);
        match latency::interrupt_before(self.rt, seen.timestamp) {
            Some(entry) => plain!(
                "  latency: interrupt entry -> server {} ns -> pin {} ns (with --icount: instructions{})",
                seen.timestamp - entry,
                seen.done - entry,
                // A counter that is faster than that has no steps that could be seen here.
                match time::nanoseconds(1) {
                    0 | 1 => String::new(),
                    step => format!(", in steps of {step}"),
                }
            ),
            None => {
                plain!("  latency: server -> pin {server_to_pin} ns");
                self.wrong("the trace has no interrupt before the edge");
            }
        }
    }

    fn button(&mut self) {
        let (button, led) = (self.number("button", 5), self.number("led", 6));
        let point = format!("gpio/{}/{button}/both", self.chip);
        plain!("");
        plain!("-- a program that wants a pin which the manifest does not give it --");
        self.refused("button_led.o", &point, settings([("led_line", self.number("forbidden", 7) as i64)]));
        plain!("-- the button and the LED --");
        let Some(program) = self.load("button_led.o", &point, settings([("led_line", led as i64)])) else {
            return;
        };
        self.subscribe(button);
        for (edge, word, level) in [(1, "press", true), (2, "release", false)] {
            plain!(
                ">> {word} the button: line {button} of {} {}",
                self.chip,
                if level { "high" } else { "low" }
            );
            let Some(seen) = self.wait_for(program.id, edge) else { return };
            let at = self.lines.get(Line { chip: 0, line: led as u8 });
            self.check(
                &format!("edge {edge}: the LED is {}", if level { "on" } else { "off" }),
                seen.result == 0 && at.map(|l| l.0) == Ok(level),
            );
            // The signal comes after the programs: a server whose budget ended between them gives it in its next period.
            for _ in 0..SIGNAL_LOOKS {
                self.sleep(LOOK_MS);
                if self.signalled.get().has(self.bell) {
                    break;
                }
            }
            let signalled = self.signalled.take().has(self.bell);
            self.check(
                &format!("edge {edge}: the demo was {}signalled", if level { "" } else { "not " }),
                signalled == level,
            );
            self.latency(&seen);
            plain!("<< LED {}", if level { "on" } else { "off" });
            self.sleep(100);
        }
    }

    fn limit(&mut self) {
        let (enable, limit, button) =
            (self.line("enable", 6), self.number("limit", 4), self.number("button", 5));
        let speed = Channel { chip: 0, channel: self.number("speed", 0) as u8 };
        plain!("");
        plain!("-- a motor, its limit switch, and a program that decides on its speed --");
        let Some(stop) = self.pinned("limit_switch", &format!("gpio/{}/{limit}/rising", self.chip)) else {
            return;
        };
        let pwm = self.rt.arg("pwm").unwrap_or("soft-pwm");
        self.load("speed_limit.o", &format!("pwm/{pwm}/{}", speed.channel), settings([("most", 40_000)]));
        let Some(greedy) = self.load(
            "greedy.o",
            &format!("gpio/{}/{button}/rising", self.chip),
            settings([("channel", speed.channel.into())]),
        ) else {
            return;
        };
        let started = self.lines.set(enable, true).is_ok();
        for (asked, applied) in [(20_000, 20_000), (60_000, 40_000)] {
            let done = self.lines.ask(Request::SetDuty { channel: speed, duty: asked });
            let duty = self.lines.duty(speed);
            self.check(
                &format!("duty {asked} asked for, {applied} applied"),
                started && done.is_ok() && duty == Some(applied),
            );
        }
        if let Some(led) = self.rt.arg_number("storm") {
            self.storm(led as u8);
        }
        plain!(">> the motor runs into its limit switch: line {limit} of {} high", self.chip);
        let Some(seen) = self.wait_for(stop, 1) else { return };
        self.check("edge 1: the program has stopped the motors", seen.result == 0);
        self.latency(&seen);
        if self.rt.arg("crash") == Some("yes") {
            // The server is started again and gets its programs back meanwhile.
            self.sleep(1000);
        }
        let held = self.lines.motors();
        self.check("the emergency stop holds", held.is_some_and(|m| m.stopped));
        self.stands(enable, speed);
        plain!("<< motor stopped");
        self.sleep(100);
        self.try_everything(enable, speed, greedy.id, button);
        self.rearm(enable, speed);
    }

    /// A program that answers every edge of a line with another one.
    fn storm(&mut self, line: u8) {
        self.load("oscillator.o", &format!("gpio/{}/{line}/both", self.chip), [None; 4]);
        let line = Line { chip: 0, line };
        let started = self.lines.set(line, true).is_ok();
        self.sleep(500);
        match self.lines.get(line) {
            // More than the server lets pass where programs leave it the least time, and no more than six bursts of the most
            // that it lets pass: its silences take the rest of that half second.
            Ok((_, edges)) => {
                let silenced = (9..=6 * 201).contains(&edges);
                self.check(&format!("a storm on line {}: {edges} edges", line.line), started && silenced)
            }
            Err(_) => self.wrong("the server of lines does not answer"),
        }
    }

    fn stands(&mut self, enable: Line, speed: Channel) {
        let (line, duty) = (self.lines.get(enable), self.lines.duty(speed));
        self.check(
            "the motor stands: its line is low, its duty 0",
            line.map(|l| l.0) == Ok(false) && duty == Some(0),
        );
    }

    /// Every way to drive the motor that user code has.
    fn try_everything(&mut self, enable: Line, speed: Channel, greedy: ProgramId, button: u64) {
        plain!("-- messages and a program try to drive the motor --");
        let held = Err(Failure::Refused(Refusal::Stopped));
        let tries = [
            ("set its line", self.lines.set(enable, true)),
            ("make its line an input", self.lines.ask(Request::Input(enable))),
            ("set its duty", self.lines.ask(Request::SetDuty { channel: speed, duty: FULL_DUTY })),
        ];
        for (what, result) in tries {
            self.check(&format!("message: {what}: refused, the stop holds it"), result == held);
        }
        let stop = self.lines.ask(Request::Stop);
        let unasked = stop == Err(Failure::Refused(Refusal::NotGranted));
        self.check("message: stop the motors without the right to: refused", unasked);
        plain!(">> a program tries every line: line {button} of {} high", self.chip);
        let results = self.greedy_results(greedy);
        let (lines, channel) = results.split_at(GREEDY_LINES as usize);
        self.check(
            "program: its granted line: -ECANCELED, the stop holds it",
            lines.get(enable.line as usize) == Some(&ECANCELED),
        );
        let others = lines.iter().enumerate().filter(|(i, _)| *i != enable.line as usize);
        let refused = others.clone().filter(|(_, r)| **r == EPERM).count();
        self.check(
            &format!("program: {refused} lines that it computed and has no right to: -EPERM"),
            refused == others.count(),
        );
        self.check("program: its granted channel: -ECANCELED", channel.first() == Some(&ECANCELED));
        self.stands(enable, speed);
        plain!("<< motor still stopped");
        self.sleep(100);
    }

    /// What the helpers said to `greedy.c`, read when it has written the last word.
    fn greedy_results(&self, greedy: ProgramId) -> [i64; GREEDY_LINES as usize + 2] {
        let read = |key: u32| {
            let mut bytes = [0; 8];
            self.bpf.value(greedy, "results", key, &mut bytes);
            i64::from_le_bytes(bytes)
        };
        for _ in 0..self.looks() {
            if read(GREEDY_LINES + 1) == 1 {
                break;
            }
            self.sleep(LOOK_MS);
        }
        core::array::from_fn(|key| read(key as u32))
    }

    fn rearm(&mut self, enable: Line, speed: Channel) {
        plain!("-- the motor is rearmed by who may --");
        match self.lines.ask(Request::Rearm) {
            Ok(()) => {}
            Err(why) => {
                let text: String = format!("the motor is not rearmed: {why}");
                self.wrong(&text);
                // Time to look at the pins from outside.
                return self.sleep(200);
            }
        }
        self.stands(enable, speed);
        plain!("<< motor rearmed, and stands");
        self.sleep(100);
        let driven = self.lines.set(enable, true);
        self.check(
            "it may be driven again",
            driven.is_ok() && self.lines.get(enable).map(|l| l.0) == Ok(true),
        );
        plain!("<< motor runs");
        self.sleep(100);
    }
}
