//! The server's loop: requests of clients, triggers that take samples, and programs that bpf-server places.

use crate::bus::{self, Bus};
use crate::device::{Absent, Device, NoRate};
use crate::line::Interrupt;
use crate::rings::{Refusal, Rings};
use crate::sensors;
use axiom_bpf_host::system::{self, Frames, Points};
use axiom_bpf_host::{Clock, Host, PointId, Stream};
use axiom_iio::Decimal;
use axiom_runtime::proto::env::ClientBadge;
use axiom_runtime::proto::iio::{DEVICES, Grants, INTERFACE, Reply as Answer, Request};
use axiom_runtime::proto::{Error, bpf_host};
use axiom_runtime::{
    Bits, Incoming, Pages, Place, Reply, Runtime, Service, Signals, Slots, count_refused, info, serve, time,
    warn,
};
use heapless::Vec;

axiom_runtime::entry!(main);

/// Points are the channels; no others appear later.
struct Fixed;

impl Points for Fixed {
    fn open_point(&mut self, _: &str) -> bool {
        false
    }
    fn stream(&self, _: &str) -> Stream {
        Stream::Silent
    }
    fn point_changed(&mut self, _: &str, _: PointId, _: usize) {}
    fn close_point(&mut self, _: &str) {}
}

struct Server {
    rt: Runtime,
    bus: Option<Bus>,
    devices: Vec<Device, DEVICES>,
    rings: Rings,
    host: &'static mut Host,
    frames: Frames,
    clock: Clock,
    refill_at: u64,
}

impl Server {
    fn triggers(&mut self, signals: Signals) {
        let mut signals = signals;
        loop {
            let Some(bus) = &mut self.bus else { return };
            if bus.waiter().is_among(signals) {
                bus.stray();
            }
            for device in &mut self.devices {
                device.triggered(signals, bus, self.host, self.clock);
            }
            self.frames.ring(self.host.take_produced());
            signals = bus.waiter().take_pending();
            if signals.is_empty() {
                break;
            }
        }
        let now = time::ticks();
        if now >= self.refill_at {
            self.refill_at = now + time::frequency();
            self.host.refill_log();
        }
    }

    /// Starts or stops a device's buffer.
    fn buffer(
        &mut self,
        badge: ClientBadge,
        device: u32,
        has_cap: bool,
        shape: (u8, u32, u32),
    ) -> Answer<'static> {
        let Some(d) = self.devices.get_mut(device as usize) else { return Answer::NotFound };
        let (channels, length, watermark) = shape;
        if u32::from(channels) >> d.sensor.channels().len() != 0 {
            return Answer::NotFound;
        }
        let place = device as usize;
        if channels == 0 && ![ClientBadge::NOBODY, badge].contains(&self.rings.reader(place)) {
            return Answer::Taken;
        }
        // Asking init about the reader comes first: it would take the place of what came along.
        let doorbell = if has_cap { self.frames.keep_received() } else { None };
        let memory = match channels {
            0 => Ok(None),
            _ => self.rings.start(place, badge).map(Some),
        };
        if let Some(old) = memory.map_or(doorbell, |_| core::mem::replace(&mut d.doorbell, doorbell)) {
            self.frames.forget(old);
        }
        match memory {
            Ok(Some(memory)) => {
                // SAFETY: the ring's pages, zeroed, which this server keeps mapped for its life; `Rings` gives only the reader's page for
                // writing.
                unsafe { d.buffer.start(memory, channels, length, watermark) };
                Answer::Done
            }
            Ok(None) => {
                d.buffer.stop();
                self.rings.stop(place);
                Answer::Done
            }
            Err(Refusal::Taken) => Answer::Taken,
            Err(Refusal::NoMemory) => Answer::NotFound,
        }
    }

    /// Whether the manifest gives a device to the client with this badge.
    fn owns(&self, badge: ClientBadge, device: u32) -> bool {
        let Some(d) = self.devices.get(device as usize) else { return true };
        let grants: Grants<'_> = self.rt.env().grant(badge, INTERFACE).unwrap_or_default();
        grants.iter().any(|name| name == d.sensor.name())
    }

    /// A page of the ring, for the client that reads it.
    fn frame(&mut self, badge: ClientBadge, device: u32, page: u32) -> Reply {
        let lent = if self.rings.reader(device as usize) == badge {
            self.rings.lend(device as usize, page)
        } else {
            None
        };
        match lent {
            Some((cap, writable)) => Reply::ok_with_cap(&Answer::Frame { writable }, cap),
            None => Reply::ok(&Answer::NotFound),
        }
    }

    fn iio(&mut self, badge: ClientBadge, request: &Request<'_>, has_cap: bool) -> Answer<'static> {
        match *request {
            Request::Sample { device, .. }
            | Request::DataReady { device, .. }
            | Request::Buffer { device, .. }
            | Request::BufferFrame { device, .. }
                if !self.owns(badge, device) =>
            {
                count_refused();
                Answer::NotGranted
            }
            Request::Device { device } => match self.devices.get(device as usize) {
                Some(d) => Answer::Device {
                    name: d.sensor.name(),
                    present: d.health.present(),
                    channels: d.sensor.channels().len() as u32,
                },
                None => Answer::End,
            },
            Request::Channel { device, channel } => {
                match self
                    .devices
                    .get(device as usize)
                    .and_then(|d| d.sensor.channels().get(channel as usize))
                {
                    Some(c) => Answer::Channel { name: c.name },
                    None => Answer::End,
                }
            }
            Request::Read { device, channel, attribute } => {
                let Some(d) = self.devices.get_mut(device as usize) else { return Answer::NotFound };
                let Some(c) = d.sensor.channels().get(channel as usize) else { return Answer::NotFound };
                let value = match attribute {
                    "sampling_frequency" => Some(Decimal::from_nano(i128::from(d.millihertz) * 1_000_000)),
                    "raw" => match self.bus.as_mut().map(|bus| d.raw(bus, channel as usize)) {
                        Some(Ok(Some(raw))) => Some(Decimal { integer: raw.into(), nanos: 0 }),
                        Some(Ok(None)) => return Answer::NoValue,
                        Some(Err(Absent)) | None => return Answer::Absent,
                    },
                    other => c.attribute(other),
                };
                value.map_or(Answer::NotFound, |v| Answer::Value { integer: v.integer, nanos: v.nanos })
            }
            Request::Rate { device, index } => match self.devices.get(device as usize) {
                Some(d) => {
                    d.sensor.rates().get(index as usize).map_or(Answer::End, |rate| rate_of(u64::from(*rate)))
                }
                None => Answer::NotFound,
            },
            Request::Sample { device, hz } => match self.devices.get_mut(device as usize) {
                Some(d) => d.sample_at(self.bus.as_mut(), self.host, hz).map_or_else(no_rate, rate_of),
                None => Answer::NotFound,
            },
            Request::DataReady { device, hz } => {
                let device = self.devices.get_mut(device as usize).zip(self.bus.as_mut());
                match device.map(|(d, bus)| d.sample_by_chip(bus, self.host, hz)) {
                    Some(Ok(Some(millihertz))) => rate_of(millihertz),
                    Some(Err(why)) => no_rate(why),
                    Some(Ok(None)) | None => Answer::NotFound,
                }
            }
            Request::Buffer { device, channels, length, watermark } => {
                self.buffer(badge, device, has_cap, (channels, length, watermark))
            }
            Request::BufferState { device } => match self.devices.get(device as usize) {
                Some(d) => Answer::Buffer {
                    channels: d.buffer.channels(),
                    length: d.buffer.shape().0,
                    watermark: d.buffer.shape().1,
                    available: d.buffer.len() as u32,
                    lost: d.buffer.lost(),
                    scan_bytes: d.buffer.scan_bytes() as u32,
                },
                None => Answer::NotFound,
            },
            // With a capability: answered before.
            Request::BufferFrame { .. } => Answer::NotFound,
            Request::Counts { device } => {
                self.devices.get(device as usize).map_or(Answer::NotFound, |d| Answer::Counts(d.counts))
            }
        }
    }
}

fn rate_of(millihertz: u64) -> Answer<'static> {
    Answer::Rate { millihertz }
}

fn no_rate(why: NoRate) -> Answer<'static> {
    match why {
        NoRate::OutOfRange { slowest, fastest } => Answer::OutOfRange { slowest, fastest },
        NoRate::Overload(why) => Answer::Overload(why),
    }
}

impl Service for Server {
    fn request(&mut self, message: &Incoming<'_>) -> Reply {
        match message.interface {
            bpf_host::INTERFACE => self.frames.serve(self.host, &mut Fixed, message),
            INTERFACE => {
                let answer = match message.decode::<Request>() {
                    Ok(Request::BufferFrame { device, page }) if self.owns(message.badge, device) => {
                        return self.frame(message.badge, device, page);
                    }
                    Ok(request) => self.iio(message.badge, &request, message.has_cap),
                    Err(error) => return Reply::error(error),
                };
                // The bus may have been used: triggers that came meanwhile are served before the answer is written.
                let pending = self.bus.as_mut().map_or(Signals::NONE, |b| b.waiter().take_pending());
                if !pending.is_empty() {
                    self.triggers(pending);
                }
                Reply::ok(&answer)
            }
            _ => Reply::error(Error::NoSuchInterface),
        }
    }

    fn notified(&mut self, signals: Signals) {
        self.triggers(signals);
    }
}

fn log(text: &str) {
    info!("program: {text}");
}

fn main(rt: Runtime) -> ! {
    static HOST: Place<Host> = Place::new();
    static SERVER: Place<Server> = Place::new();
    let clock = Clock::new(time::frequency());
    let host = HOST.put(|| Host::new(clock, log));
    system::hold_to_budget(rt, host, clock);
    let mut slots = Slots::new(rt.env());
    let mut bits = Bits::new();
    let mut pages = Pages::new(rt.env().scratch);
    let mut bus = bus::open(rt, &mut slots, &mut pages, &mut bits);
    let mut devices: Vec<Device, DEVICES> = Vec::new();
    for (word, sensor) in sensors::wanted(rt.arg("sensors")) {
        let i = devices.len();
        let Some(timer) = rt.timer_of("sensor", word) else {
            warn!("{word}: left out: it has no timer");
            continue;
        };
        let interrupt = Interrupt::open(rt, sensor.name(), &mut bits, &mut slots);
        let mut device = Device::new(i as u32, sensor, timer, interrupt, host);
        if let Some(bus) = &mut bus {
            device.probe(bus);
        }
        if let Err(device) = devices.push(device) {
            warn!("{}: left out: this server serves {DEVICES} sensors", device.sensor.name());
        }
    }
    // After a restart samples go on by themselves; at the first start somebody asks for them, or the manifest does.
    let again = if rt.env().restarts > 0 { Some(100) } else { None };
    if let Some(hz) = rt.arg_number("hz").or(again) {
        let hz = u32::try_from(hz).unwrap_or(u32::MAX);
        for device in &mut devices {
            // No program is there yet that could have no time.
            let Err(NoRate::OutOfRange { fastest, .. }) = device.sample_at(bus.as_mut(), host, hz) else {
                continue;
            };
            if again.is_none() {
                warn!(
                    "{}: it cannot be sampled {hz} times a second as the manifest asks; at most {}.{:03} times, which it is",
                    device.sensor.name(),
                    fastest / 1000,
                    fastest % 1000
                );
            }
            // In range, since it is the fastest of whole hertz.
            let _ = device.sample_at(bus.as_mut(), host, (fastest / 1000) as u32);
        }
    }
    let rings = Rings::new(rt, &mut slots);
    let frames = Frames::new(rt, slots);
    rt.ready();
    serve(SERVER.put(|| Server { rt, bus, devices, rings, host, frames, clock, refill_at: 0 }))
}
