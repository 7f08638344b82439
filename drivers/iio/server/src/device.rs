//! A sensor in this server: its trigger, its programs, its counts.

use crate::bus::Bus;
use crate::line::Interrupt;
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use axiom_bpf_host::{Clock, Host, PointId};
use axiom_iio::{Buffer, CHANNELS, Event, Fault, Health, Scan, Sensor, Stamps, Step, Store};
use axiom_runtime::proto::iio::Counts;
use axiom_runtime::sel4::CPtr;
use axiom_runtime::{Notification, Timer, info, time, warn};

/// How long an absent chip is left alone.
const LOOK_AGAIN_NS: u64 = 500_000_000;
/// Fastest trigger.
pub const MAX_HZ: u32 = 3200;
/// Interrupts per second that a chip shall raise at most; above that it keeps more samples.
const MAX_INTERRUPTS: u32 = 100;
/// Samples that a chip shall keep at most.
const MAX_WATERMARK: u32 = 16;
/// How long the chip's interrupt is waited for, in batches of samples; at least [`SHORTEST_WATCH_NS`].
const WATCH_BATCHES: u64 = 4;
const SHORTEST_WATCH_NS: u64 = 50_000_000;

/// What makes this server read the chip.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trigger {
    /// Nothing.
    Stopped,
    /// The device's timer: its period and next deadline, ticks.
    Timer { period: u64, next: u64 },
    /// The chip's interrupt; the timer only watches. Nanoseconds between samples, and whether the interrupt came since the
    /// timer last asked.
    DataReady { interval: u64, came: bool },
}

/// What programs and consumers get of a scan.
struct Sink<'a> {
    index: u32,
    host: &'a mut Host,
    points: &'a [PointId],
    channels: &'static [axiom_iio::Channel],
    counts: &'a mut Counts,
    buffer: &'a mut Buffer,
    /// The watermark was reached.
    told: bool,
}

/// A sensor.
pub struct Device {
    /// Its number.
    pub index: u32,
    /// The chip.
    pub sensor: Box<dyn Sensor<Bus>>,
    /// Whether it answers.
    pub health: Health,
    /// What happened to its samples.
    pub counts: Counts,
    /// What was accepted.
    pub buffer: Box<Buffer>,
    /// Who is told of the watermark.
    pub doorbell: Option<CPtr>,
    /// Samples per second; 0: stopped.
    pub hz: u32,
    /// The bit of its timer.
    pub bit: u64,
    /// The chip's interrupt line, where it is wired.
    pub interrupt: Option<Interrupt>,
    timer: Timer,
    trigger: Trigger,
    points: Vec<PointId>,
    raw: Vec<i32>,
    /// The newest timestamp of samples that the chip kept.
    newest: u64,
}

impl Device {
    /// A device that nobody has looked for yet; its channels become attach points.
    pub fn new(
        index: u32,
        sensor: Box<dyn Sensor<Bus>>,
        timer: (Timer, u64),
        interrupt: Option<Interrupt>,
        host: &mut Host,
    ) -> Device {
        let name = sensor.name();
        let points = sensor
            .channels()
            .iter()
            .map(|c| host.add_point(&alloc::format!("iio/{name}/{}", c.point)))
            .collect();
        let raw = vec![0; sensor.channels().len()];
        Device {
            index,
            sensor,
            health: Health::missing(),
            counts: Counts::default(),
            buffer: Box::default(),
            doorbell: None,
            hz: 0,
            bit: timer.1,
            interrupt,
            timer: timer.0,
            trigger: Trigger::Stopped,
            points,
            raw,
            newest: 0,
        }
    }

    /// Whether each of its channels has a program.
    pub fn filtered(&self, host: &Host) -> bool {
        self.points.iter().all(|&point| host.attached(point) > 0)
    }

    /// Looks for the chip.
    pub fn probe(&mut self, bus: &mut Bus) -> bool {
        let name = self.sensor.name();
        let mut found = self.sensor.probe(bus);
        if found.is_ok() && self.hz > 0 {
            found = match self.trigger {
                Trigger::DataReady { .. } => self.sensor.store(bus, Some(store(self.hz))).map(drop),
                _ => self.sensor.set_rate(bus, self.hz),
            };
        }
        match found {
            Ok(()) => {
                if self.health.good() {
                    info!("{name}: found, {} channels", self.sensor.channels().len());
                }
                true
            }
            Err(fault) => {
                self.counts.errors += 1;
                // Said once: it is looked for again and again.
                match fault {
                    _ if self.counts.errors > 1 => {}
                    Fault::WrongChip(id) => {
                        warn!("{name}: another chip answers at its address, with identification {id:#04x}");
                    }
                    Fault::Bus(error) => warn!("{name}: not found: {error}"),
                }
                self.health.bad(time::ticks(), time::from_nanoseconds(LOOK_AGAIN_NS));
                false
            }
        }
    }

    fn arm(&mut self, period: u64) -> u64 {
        let next = time::ticks() + period;
        if self.timer.arm(next, period).is_err() {
            warn!("{}: its timer could not be armed", self.sensor.name());
        }
        next
    }

    /// Starts or stops sampling by the timer.
    pub fn sample_at(&mut self, bus: Option<&mut Bus>, hz: u32) {
        let by_chip = matches!(self.trigger, Trigger::DataReady { .. });
        self.hz = hz.min(MAX_HZ);
        self.trigger = Trigger::Stopped;
        // What cannot be cancelled is not armed.
        let _ = self.timer.cancel();
        if let Some(bus) = bus
            && self.health.present()
        {
            let stopped = if by_chip { self.sensor.store(bus, None).map(drop) } else { Ok(()) };
            let set = if self.hz > 0 { self.sensor.set_rate(bus, self.hz) } else { Ok(()) };
            self.counts.errors += u64::from(stopped.is_err()) + u64::from(set.is_err());
        }
        if self.hz > 0 {
            let period = time::frequency() / u64::from(self.hz);
            let next = self.arm(period);
            self.trigger = Trigger::Timer { period, next };
        }
    }

    /// Starts sampling by the chip's interrupt; false where that cannot be.
    pub fn sample_by_chip(&mut self, bus: &mut Bus, hz: u32) -> bool {
        let hz = hz.clamp(1, MAX_HZ);
        if self.interrupt.is_none() || !self.health.present() {
            return false;
        }
        let Ok(Some(millihertz)) = self.sensor.store(bus, Some(store(hz))) else { return false };
        let interval = 1_000_000_000_000 / millihertz.max(1);
        let batch = interval * u64::from(store(hz).watermark);
        self.hz = hz;
        self.arm(time::from_nanoseconds((batch * WATCH_BATCHES).max(SHORTEST_WATCH_NS)));
        self.trigger = Trigger::DataReady { interval, came: false };
        // The line may be high already, which makes no edge.
        true
    }

    /// Some of this server's bits were signalled: whether this device's trigger is among them, and what follows.
    pub fn triggered(&mut self, bits: u64, bus: &mut Bus, host: &mut Host, clock: Clock) {
        let now = time::ticks();
        let interrupted = self.interrupt.as_ref().is_some_and(|i| bits & i.bit() != 0);
        match &mut self.trigger {
            Trigger::Timer { period, next } if bits & self.bit != 0 && now >= *next => {
                let missed = (now - *next) / *period;
                self.counts.overruns += missed;
                *next += (missed + 1) * *period;
                match self.health.step(now) {
                    Step::Skip => {}
                    Step::Probe => drop(self.probe(bus)),
                    Step::Read => self.read(bus, host, clock, now),
                }
            }
            Trigger::DataReady { interval, came } if interrupted => {
                *came = true;
                let interval = *interval;
                if self.health.present() {
                    self.drain(bus, host, clock, interval, now);
                }
            }
            Trigger::DataReady { interval, came } if bits & self.bit != 0 => {
                let (interval, came) = (*interval, core::mem::take(came));
                if !came {
                    self.watch(bus, host, clock, interval, now);
                }
            }
            _ => {}
        }
    }

    /// The chip's interrupt has not come for too long.
    fn watch(&mut self, bus: &mut Bus, host: &mut Host, clock: Clock, interval: u64, now: u64) {
        match self.health.step(now) {
            Step::Skip => {}
            Step::Probe => drop(self.probe(bus)),
            Step::Read => {
                self.counts.late += 1;
                // The line's server may have been restarted, and has forgotten who waits.
                if let Some(interrupt) = &self.interrupt {
                    interrupt.subscribe();
                }
                self.drain(bus, host, clock, interval, now);
            }
        }
    }

    /// Takes what the chip has kept. If that is what it told of, the last sample is as old as the interrupt; if more came
    /// meanwhile, it has just come. The others are older by the chip's rate, but never as old as one that was there before.
    fn drain(&mut self, bus: &mut Bus, host: &mut Host, clock: Clock, interval: u64, now: u64) {
        let mut batch = Vec::with_capacity(MAX_WATERMARK as usize);
        let drained = self.sensor.drain(bus, &mut |raw| {
            let mut values = [0; CHANNELS];
            for (to, from) in values.iter_mut().zip(raw) {
                *to = *from;
            }
            batch.push(values);
        });
        match drained {
            Ok(drained) => {
                self.health.good();
                self.counts.overruns += u64::from(drained.overrun);
            }
            Err(fault) => self.failed(&fault, now),
        }
        let count = batch.len() as u64;
        let more = count > u64::from(store(self.hz).watermark);
        let newest = clock.nanoseconds(if more { time::ticks() } else { now });
        let stamps = Stamps::new(self.newest, newest, interval, count);
        self.newest = newest.max(self.newest);
        let mut sink = self.sink(host);
        for (i, raw) in (1..).zip(batch) {
            sink.deliver(stamps.of(i), raw);
        }
        let told = sink.told;
        self.tell(told);
    }

    fn failed(&mut self, fault: &dyn core::fmt::Debug, now: u64) {
        self.counts.errors += 1;
        if self.health.bad(now, time::from_nanoseconds(LOOK_AGAIN_NS)) {
            warn!(
                "{}: does not answer any more ({fault:?}); it is looked for twice a second",
                self.sensor.name()
            );
        }
    }

    fn read(&mut self, bus: &mut Bus, host: &mut Host, clock: Clock, now: u64) {
        // One failure may be noise: once more at once.
        let mut result = self.sensor.read(bus, &mut self.raw);
        if result.is_err() {
            self.counts.errors += 1;
            result = self.sensor.read(bus, &mut self.raw);
        }
        if let Err(fault) = result {
            return self.failed(&fault, now);
        }
        self.health.good();
        let mut raw = [0; CHANNELS];
        for (to, from) in raw.iter_mut().zip(&self.raw) {
            *to = *from;
        }
        let mut sink = self.sink(host);
        sink.deliver(clock.nanoseconds(now), raw);
        let told = sink.told;
        self.tell(told);
    }

    fn sink<'a>(&'a mut self, host: &'a mut Host) -> Sink<'a> {
        Sink {
            index: self.index,
            host,
            points: &self.points,
            channels: self.sensor.channels(),
            counts: &mut self.counts,
            buffer: &mut self.buffer,
            told: false,
        }
    }

    fn tell(&self, told: bool) {
        if let Some(doorbell) = self.doorbell.filter(|_| told) {
            Notification(doorbell).signal();
        }
    }

    /// The last raw value of a channel, read now if nobody samples.
    pub fn raw(&mut self, bus: &mut Bus, channel: usize) -> Option<i32> {
        if !self.health.present() && !self.probe(bus) {
            return None;
        }
        if self.sensor.read(bus, &mut self.raw).is_err() {
            self.counts.errors += 1;
            return None;
        }
        self.raw.get(channel).copied()
    }
}

/// What a chip that keeps its samples is asked for.
fn store(hz: u32) -> Store {
    Store { hz, watermark: (hz / MAX_INTERRUPTS).clamp(1, MAX_WATERMARK) as u8 }
}

impl Sink<'_> {
    /// Runs the programs on each channel of a scan, and keeps it if they accept it.
    fn deliver(&mut self, timestamp: u64, raw: [i32; CHANNELS]) {
        let mut accepted = 0;
        for (i, (channel, point)) in self.channels.iter().zip(self.points).enumerate() {
            let mut event = Event {
                timestamp,
                device: self.index,
                channel: i as u32,
                value: raw[i],
                scale: channel.scale_nano.min(u32::MAX as u64) as u32,
                offset: channel.offset,
                padding: 0,
            };
            self.counts.samples += 1;
            if self.host.run(*point, &mut event) {
                self.counts.accepted += 1;
                accepted |= 1 << i;
            } else {
                self.counts.dropped += 1;
            }
        }
        self.told |= self.buffer.push(Scan { timestamp, raw }, accepted);
    }
}
