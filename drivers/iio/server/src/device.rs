//! A sensor in this server: its trigger, its programs, its counts.
//!
//! A chip that was just set up is not read before it has had the time for one measurement. From time to time this server asks the chip
//! whether it still has its configuration, whatever makes the server read it: a timer, the chip's own interrupt, or a client. A chip that
//! lost its configuration raises no interrupt; so where there is one, the timer that watches over it asks as well.

use crate::bus::{Bus, BusError, Delay};
use crate::line::Interrupt;
use crate::sink::Sink;
use axiom_bpf_host::{Clock, Host, PointId, Stream};
use axiom_iio::{Buffer, CHANNELS, Fault, Health, Sensor, Stamps, Step, Store};
use axiom_runtime::proto::bpf_host::{Overload, PointName};
use axiom_runtime::proto::iio::Counts;
use axiom_runtime::{Bit, Doorbell, Signals, Timer, info, time, warn};
use core::fmt::Write;
use heapless::Vec;

/// How long an absent chip is left alone.
const LOOK_AGAIN_NS: u64 = 500_000_000;
/// How often a chip is asked whether it still has its configuration.
const CHECK_NS: u64 = 500_000_000;
/// Fastest trigger.
const MAX_HZ: u32 = 3200;
/// Slowest: once a second, in thousandths of a hertz.
const SLOWEST: u64 = 1000;
/// A chip raises at most so many interrupts per second. If samples come faster, it keeps several and raises one for all.
const MAX_INTERRUPTS: u32 = 100;
/// A chip keeps at most so many samples before it raises its interrupt.
const MAX_WATERMARK: u32 = 16;
/// How long the chip's interrupt is waited for, in batches of samples; at least [`SHORTEST_WATCH_NS`].
const WATCH_BATCHES: u64 = 4;
/// The watch over it looks this often at least, so that a lost configuration is noticed soon after [`CHECK_NS`].
const LONGEST_WATCH_NS: u64 = 250_000_000;
/// If its interrupts are served in time, a chip has kept at most so many batches when it is read; programs see them one after the
/// other. It has kept more only if something else has kept this server from running.
const BACKLOG: u32 = 2;
const SHORTEST_WATCH_NS: u64 = 50_000_000;
/// Samples that are taken out of a chip at once: drivers end a batch before (the ADXL345's, of three times what the chip keeps).
const MOST_KEPT: usize = 128;

/// What makes this server read the chip.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trigger {
    /// Nothing.
    Stopped,
    /// The device's timer: its period and next deadline, ticks.
    Timer { period: u64, next: u64 },
    /// The chip's interrupt; the timer only watches. Nanoseconds between samples, how often the timer may look in vain, and how often it
    /// has.
    DataReady { interval: u64, patience: u64, in_vain: u64 },
}

/// Why a rate cannot be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoRate {
    /// These can, millihertz.
    OutOfRange {
        /// The slowest.
        slowest: u64,
        /// The fastest.
        fastest: u64,
    },
    /// The device's programs have no time for it.
    Overload(Overload),
}

/// A sensor.
pub struct Device {
    /// Its number.
    pub index: u32,
    /// The chip.
    pub sensor: &'static mut dyn Sensor<Bus>,
    /// Whether it answers.
    pub health: Health,
    /// What happened to its samples.
    pub counts: Counts,
    /// What was accepted.
    pub buffer: Buffer,
    /// Who is told of the watermark.
    pub doorbell: Option<Doorbell>,
    /// Samples per second that were asked for; 0: stopped.
    hz: u32,
    /// Samples per thousand seconds that come.
    pub millihertz: u64,
    /// The bit of its timer.
    pub bit: Bit,
    /// The chip's interrupt line, where it is wired.
    pub interrupt: Option<Interrupt>,
    timer: Timer,
    trigger: Trigger,
    points: [PointId; CHANNELS],
    raw: [i32; CHANNELS],
    /// Whether `raw` is a sample that the chip kept, since it was told to.
    kept: bool,
    /// The newest timestamp of samples that the chip kept; at first, when it was told to.
    newest: u64,
    /// When the chip's configuration is looked at next, ticks.
    check_at: u64,
    /// When the chip has had the time for a measurement since it was set up, ticks.
    settled_at: u64,
}

impl Device {
    /// A device that nobody has looked for yet; its channels become attach points.
    pub fn new(
        index: u32,
        sensor: &'static mut dyn Sensor<Bus>,
        timer: (Timer, Bit),
        interrupt: Option<Interrupt>,
        host: &mut Host,
    ) -> Device {
        let mut points = [PointId::NOWHERE; CHANNELS];
        for (point, channel) in points.iter_mut().zip(sensor.channels()) {
            let mut name = PointName::new();
            let added = write!(name, "iio/{}/{}", sensor.name(), channel.point)
                .ok()
                .and_then(|()| host.add_point(&name));
            match added {
                Some(added) => *point = added,
                None => {
                    warn!("{}: no program can be attached to it: there is no room for its name", channel.name)
                }
            }
        }
        Device {
            index,
            sensor,
            health: Health::missing(),
            counts: Counts::default(),
            buffer: Buffer::default(),
            doorbell: None,
            hz: 0,
            millihertz: 0,
            bit: timer.1,
            interrupt,
            timer: timer.0,
            trigger: Trigger::Stopped,
            points,
            raw: [0; CHANNELS],
            kept: false,
            newest: 0,
            check_at: 0,
            settled_at: 0,
        }
    }

    /// Looks for the chip, and sets it up for what it is to do.
    pub fn probe(&mut self, bus: &mut Bus) -> bool {
        let name = self.sensor.name();
        let mut found = self.sensor.probe(bus, &mut Delay);
        if found.is_ok() && self.hz > 0 {
            found = match &mut self.trigger {
                Trigger::DataReady { in_vain, .. } => {
                    *in_vain = 0;
                    self.store(bus).map(drop)
                }
                _ => self.sensor.set_rate(bus, self.hz).map(drop),
            };
        }
        let measurement = self.sensor.rates().last().map_or(0, |rate| 1_000_000_000_000 / u64::from(*rate));
        let now = time::ticks();
        self.settled_at = now + time::from_nanoseconds(measurement);
        self.check_at = now + time::from_nanoseconds(CHECK_NS);
        match found {
            Ok(()) => {
                if self.health.good() {
                    let channels = self.sensor.channels().len();
                    info!("{name}: found, {channels} channel{}", if channels == 1 { "" } else { "s" });
                }
                true
            }
            Err(fault) => {
                self.counts.errors += 1;
                // Said once: it is looked for again and again.
                match fault {
                    _ if self.counts.errors > 1 => {}
                    Fault::Bus(error) => warn!("{name}: not found: {error}"),
                    other => warn!("{name}: {other}"),
                }
                self.health.bad(time::ticks(), time::from_nanoseconds(LOOK_AGAIN_NS));
                false
            }
        }
    }

    /// Tells the chip to keep samples: its rate, millihertz. What it kept before is gone.
    fn store(&mut self, bus: &mut Bus) -> Result<Option<u64>, Fault<BusError>> {
        // By the clock that later batches are held against.
        (self.kept, self.newest) = (false, Clock::new(time::frequency()).nanoseconds(time::ticks()));
        self.sensor.store(bus, Some(store(self.hz)))
    }

    /// Whether the chip measures: after a dip of its power it answers, but not with anything new. If it does not, it is
    /// set up again, and nothing is read this time, nor before it has had the time for a measurement.
    ///
    /// # Errors
    /// [`Absent`]: it does not answer.
    fn measures(&mut self, bus: &mut Bus, now: u64) -> Result<bool, Absent> {
        if now < self.check_at {
            let settled = now >= self.settled_at;
            self.counts.not_ready += u64::from(!settled);
            return Ok(settled);
        }
        self.check_at = now + time::from_nanoseconds(CHECK_NS);
        match self.sensor.check(bus) {
            Ok(true) => Ok(true),
            Ok(false) => {
                self.counts.reconfigured += 1;
                warn!(
                    "{}: it has lost its configuration (a dip of its power?) and is set up again",
                    self.sensor.name()
                );
                self.probe(bus);
                Ok(false)
            }
            Err(fault) => {
                self.failed(&fault, now);
                Err(Absent)
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

    /// Whether the device can be asked for a rate: in the timer's range, cut where the chip measures no faster.
    fn in_range(&self, hz: u32, least: u32) -> Result<(), NoRate> {
        let chip = self.sensor.rates().last().map_or(u64::MAX, |rate| u64::from(*rate));
        let fastest = chip.min(u64::from(MAX_HZ) * 1000);
        if hz < least || u64::from(hz) * 1000 > fastest {
            return Err(NoRate::OutOfRange { slowest: SLOWEST, fastest });
        }
        Ok(())
    }

    /// Asks whether the programs on its channels have time for as many samples as these.
    fn admit(&self, host: &mut Host, stream: Stream) -> Result<(), NoRate> {
        host.set_stream(&self.points, stream).map_err(NoRate::Overload)
    }

    /// Samples that a chip takes and keeps at `hz`: at the slowest of its rates that is not below.
    fn kept(&self, hz: u32) -> Stream {
        let hz_milli = u64::from(hz) * 1000;
        let rates = self.sensor.rates().iter().map(|rate| u64::from(*rate));
        let millihertz = rates.filter(|rate| *rate >= hz_milli).min().unwrap_or(hz_milli);
        let spacing = 1_000_000_000_000 / millihertz.max(1);
        let batch = u32::from(store(hz).watermark);
        Stream::Batches { spacing, batch, backlog: BACKLOG * batch }
    }

    /// Starts or stops sampling by the timer: the rate, millihertz.
    pub fn sample_at(&mut self, bus: Option<&mut Bus>, host: &mut Host, hz: u32) -> Result<u64, NoRate> {
        self.in_range(hz, 0)?;
        let spacing = 1_000_000_000u64.checked_div(hz.into());
        self.admit(host, spacing.map_or(Stream::Silent, Stream::Periodic))?;
        let by_chip = matches!(self.trigger, Trigger::DataReady { .. });
        self.hz = hz;
        self.millihertz = u64::from(hz) * 1000;
        self.trigger = Trigger::Stopped;
        // What cannot be cancelled is not armed.
        let _ = self.timer.cancel();
        if let Some(bus) = bus
            && self.health.present()
        {
            let stopped = if by_chip { self.sensor.store(bus, None).map(drop) } else { Ok(()) };
            let set = if hz > 0 { self.sensor.set_rate(bus, hz).map(drop) } else { Ok(()) };
            self.counts.errors += u64::from(stopped.is_err()) + u64::from(set.is_err());
        }
        if hz > 0 {
            let period = time::frequency() / u64::from(hz);
            let next = self.arm(period);
            self.trigger = Trigger::Timer { period, next };
        }
        Ok(self.millihertz)
    }

    /// Starts sampling by the chip's interrupt: the chip's rate, millihertz; `None` where that cannot be.
    pub fn sample_by_chip(&mut self, bus: &mut Bus, host: &mut Host, hz: u32) -> Result<Option<u64>, NoRate> {
        self.in_range(hz, 1)?;
        if self.interrupt.is_none() || !self.health.present() {
            return Ok(None);
        }
        let before = self.points.first().map_or(Stream::Silent, |point| host.stream(*point));
        self.admit(host, self.kept(hz))?;
        let hz_before = core::mem::replace(&mut self.hz, hz);
        let stored = self.store(bus);
        let Ok(Some(millihertz)) = stored else {
            // It goes on as before, for which there was time; the chip may have heard half of what it was told.
            self.hz = hz_before;
            if let Err(fault) = stored {
                self.failed(&fault, time::ticks());
                self.probe(bus);
            }
            return self.admit(host, before).map(|()| None);
        };
        let interval = 1_000_000_000_000 / millihertz.max(1);
        let batch = interval * u64::from(store(hz).watermark);
        self.millihertz = millihertz;
        let patience_ns = (batch * WATCH_BATCHES).max(SHORTEST_WATCH_NS);
        let patience = patience_ns.div_ceil(LONGEST_WATCH_NS);
        self.arm(time::from_nanoseconds(patience_ns / patience));
        self.trigger = Trigger::DataReady { interval, patience, in_vain: 1 };
        // The line may be high already, which makes no edge.
        Ok(Some(millihertz))
    }

    /// Something was signalled: whether this device's trigger is among them, and what follows.
    pub fn triggered(&mut self, signals: Signals, bus: &mut Bus, host: &mut Host, clock: Clock) {
        let now = time::ticks();
        let interrupted = self.interrupt.as_ref().is_some_and(|i| signals.has(i.bit));
        match &mut self.trigger {
            Trigger::Timer { period, next } if signals.has(self.bit) && now >= *next => {
                let missed = (now - *next) / *period;
                self.counts.overruns += missed;
                *next += (missed + 1) * *period;
                match self.health.step(now) {
                    Step::Skip => {}
                    Step::Probe => drop(self.probe(bus)),
                    Step::Read if self.measures(bus, now) == Ok(true) => self.read(bus, host, clock, now),
                    Step::Read => {}
                }
            }
            Trigger::DataReady { interval, in_vain, .. } if interrupted => {
                *in_vain = 0;
                let interval = *interval;
                if self.health.present() && self.measures(bus, now) == Ok(true) {
                    self.drain(bus, host, clock, interval, now);
                }
            }
            Trigger::DataReady { interval, patience, in_vain } if signals.has(self.bit) => {
                let late = *in_vain >= *patience;
                *in_vain = if late { 1 } else { *in_vain + 1 };
                let interval = *interval;
                self.watch(bus, host, clock, interval, now, late);
            }
            _ => {}
        }
    }

    /// Looks after a chip that samples by itself; `late`: its interrupt has not come for too long.
    fn watch(&mut self, bus: &mut Bus, host: &mut Host, clock: Clock, interval: u64, now: u64, late: bool) {
        match self.health.step(now) {
            Step::Skip => {}
            Step::Probe => drop(self.probe(bus)),
            Step::Read => {
                // The line's server may have been restarted, and has forgotten who waits.
                if let Some(interrupt) = self.interrupt.as_ref().filter(|_| late) {
                    interrupt.subscribe();
                }
                self.counts.late += u64::from(late);
                if self.measures(bus, now) == Ok(true) && late {
                    self.drain(bus, host, clock, interval, now);
                }
            }
        }
    }

    /// Reads the samples that the chip has kept, and gives each its time. If there are as many as the chip raised its interrupt for, the
    /// newest was taken at the interrupt. If there are more, they came after it, and the newest was taken just now. Each sample before
    /// the newest is one interval older than the next, but none is as old as the last sample of the batch before.
    fn drain(&mut self, bus: &mut Bus, host: &mut Host, clock: Clock, interval: u64, now: u64) {
        let mut batch: Vec<[i32; CHANNELS], MOST_KEPT> = Vec::new();
        let mut without_room = 0;
        let drained = self.sensor.drain(bus, &mut |raw| {
            let mut values = [0; CHANNELS];
            for (to, from) in values.iter_mut().zip(raw) {
                *to = *from;
            }
            without_room += u64::from(batch.push(values).is_err());
        });
        self.counts.overruns += without_room;
        let count = batch.len() as u64;
        match drained {
            Ok(drained) => {
                self.health.good();
                if drained.lost > 0 {
                    // The chip tells at most that there were some: the time that passed tells how many.
                    let due = clock.nanoseconds(now).saturating_sub(self.newest) / interval.max(1);
                    self.counts.overruns += due.saturating_sub(count).max(drained.lost.into());
                    // Counted up to now, also if nothing else was there.
                    if count == 0 {
                        self.newest = clock.nanoseconds(now).max(self.newest);
                    }
                }
            }
            Err(fault) => self.failed(&fault, now),
        }
        let more = count > u64::from(store(self.hz).watermark);
        let newest = clock.nanoseconds(if more { time::ticks() } else { now });
        let stamps = Stamps::new(self.newest, newest, interval, count);
        if let Some(last) = batch.last() {
            (self.raw, self.kept) = (*last, true);
            self.newest = newest.max(self.newest);
        }
        let mut sink = self.sink(host);
        for (i, raw) in (1..).zip(batch) {
            sink.deliver(stamps.of(i), raw);
        }
        let told = sink.told;
        self.tell(told);
    }

    /// Nothing was read. A chip that answers has no value now; one that does not is given up after a while.
    fn failed(&mut self, fault: &Fault<BusError>, now: u64) {
        match fault {
            Fault::NotReady => self.counts.not_ready += 1,
            Fault::Overflow => self.counts.overflow += 1,
            _ => {
                self.counts.errors += 1;
                if self.health.bad(now, time::from_nanoseconds(LOOK_AGAIN_NS)) {
                    warn!(
                        "{}: does not answer any more ({fault}); it is looked for twice a second",
                        self.sensor.name()
                    );
                }
            }
        }
    }

    fn read(&mut self, bus: &mut Bus, host: &mut Host, clock: Clock, now: u64) {
        // One failure may be noise: once more at once.
        let channels = self.sensor.channels().len().min(CHANNELS);
        let mut result = self.sensor.read(bus, &mut self.raw[..channels]);
        if matches!(result, Err(Fault::Bus(_) | Fault::Crc)) {
            self.counts.errors += 1;
            result = self.sensor.read(bus, &mut self.raw[..channels]);
        }
        if let Err(fault) = result {
            return self.failed(&fault, now);
        }
        self.health.good();
        let raw = self.raw;
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
            doorbell.ring();
        }
    }

    /// The raw value of a channel, read now, or the newest of those that the chip keeps by itself, from which nothing is taken;
    /// `Ok(None)` for a chip that has none now.
    ///
    /// # Errors
    /// [`Absent`]: the chip does not answer.
    pub fn raw(&mut self, bus: &mut Bus, channel: usize) -> Result<Option<i32>, Absent> {
        let now = time::ticks();
        match self.health.step(now) {
            Step::Read => {}
            Step::Probe if self.probe(bus) => {}
            // It was looked for lately: whoever asks again and again must not keep the bus from others.
            Step::Probe | Step::Skip => return Err(Absent),
        }
        if !self.measures(bus, now)? {
            return Ok(None);
        }
        let channels = self.sensor.channels().len().min(CHANNELS);
        if let Trigger::DataReady { .. } = self.trigger {
            return Ok(self.raw[..channels].get(channel).copied().filter(|_| self.kept));
        }
        match self.sensor.read(bus, &mut self.raw[..channels]) {
            Ok(()) => {
                self.health.good();
                Ok(self.raw[..channels].get(channel).copied())
            }
            Err(fault) => {
                self.failed(&fault, now);
                if matches!(fault, Fault::NotReady | Fault::Overflow) { Ok(None) } else { Err(Absent) }
            }
        }
    }
}

/// The chip does not answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Absent;

/// What a chip that keeps its samples is asked for.
fn store(hz: u32) -> Store {
    Store { hz, watermark: (hz / MAX_INTERRUPTS).clamp(1, MAX_WATERMARK) as u8 }
}
