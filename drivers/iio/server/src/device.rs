//! A sensor in this server: its trigger, its programs, its counts.

use crate::bus::Bus;
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use axiom_bpf_host::{Clock, Host, PointId};
use axiom_iio::{Buffer, Event, Fault, Health, Scan, Sensor, Step};
use axiom_runtime::proto::iio::Counts;
use axiom_runtime::{Timer, info, time, warn};

/// How long an absent chip is left alone.
const LOOK_AGAIN_NS: u64 = 500_000_000;
/// Fastest trigger.
pub const MAX_HZ: u32 = 3200;

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
    pub buffer: Box<Buffer<64>>,
    /// Samples per second; 0: stopped.
    pub hz: u32,
    /// The bit of its timer.
    pub bit: u64,
    timer: Timer,
    period: u64,
    next: u64,
    points: Vec<PointId>,
    raw: Vec<i32>,
}

impl Device {
    /// A device that nobody has looked for yet; its channels become attach points.
    pub fn new(index: u32, sensor: Box<dyn Sensor<Bus>>, timer: (Timer, u64), host: &mut Host) -> Device {
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
            hz: 0,
            bit: timer.1,
            timer: timer.0,
            period: 0,
            next: 0,
            points,
            raw,
        }
    }

    /// Looks for the chip.
    pub fn probe(&mut self, bus: &mut Bus) -> bool {
        let name = self.sensor.name();
        let rate = self.hz;
        let mut found = self.sensor.probe(bus);
        if found.is_ok() && rate > 0 {
            found = self.sensor.set_rate(bus, rate);
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
                if let Fault::WrongChip(id) = fault {
                    warn!("{name}: another chip answers at its address, with identification {id:#04x}");
                }
                self.health.bad(time::ticks(), time::from_nanoseconds(LOOK_AGAIN_NS));
                false
            }
        }
    }

    /// Starts or stops sampling.
    pub fn sample_at(&mut self, bus: Option<&mut Bus>, hz: u32) {
        self.hz = hz.min(MAX_HZ);
        let _ = self.timer.cancel();
        if self.hz == 0 {
            return;
        }
        if let Some(bus) = bus
            && self.health.present()
            && self.sensor.set_rate(bus, self.hz).is_err()
        {
            self.counts.errors += 1;
        }
        self.period = time::frequency() / self.hz as u64;
        self.next = time::ticks() + self.period;
        if self.timer.arm(self.next, self.period).is_err() {
            warn!("{}: its timer could not be armed", self.sensor.name());
        }
    }

    /// The trigger.
    pub fn triggered(&mut self, bus: &mut Bus, host: &mut Host, clock: Clock) {
        let now = time::ticks();
        if self.hz == 0 || now < self.next {
            return;
        }
        let missed = (now - self.next) / self.period;
        self.counts.overruns += missed;
        self.next += (missed + 1) * self.period;
        match self.health.step(now) {
            Step::Skip => {}
            Step::Probe => {
                self.probe(bus);
            }
            Step::Read => self.read(bus, host, clock, now),
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
            self.counts.errors += 1;
            if self.health.bad(now, time::from_nanoseconds(LOOK_AGAIN_NS)) {
                warn!(
                    "{}: does not answer any more ({fault:?}); it is looked for twice a second",
                    self.sensor.name()
                );
            }
            return;
        }
        self.health.good();
        let timestamp = clock.nanoseconds(now);
        let mut scan = Scan { timestamp, ..Scan::default() };
        let channels = self.sensor.channels();
        for (i, (channel, point)) in channels.iter().zip(&self.points).enumerate() {
            let mut event = Event {
                timestamp,
                device: self.index,
                channel: i as u32,
                value: self.raw[i],
                scale: channel.scale_nano.min(u32::MAX as u64) as u32,
                offset: channel.offset,
                padding: 0,
            };
            self.counts.samples += 1;
            if host.run(*point, &mut event) {
                self.counts.accepted += 1;
                scan.valid |= 1 << i;
                scan.raw[i] = self.raw[i];
            } else {
                self.counts.dropped += 1;
            }
        }
        if scan.valid != 0 {
            self.buffer.push(scan);
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
