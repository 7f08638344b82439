//! Rates, their timers, and the loop.

use axiom_bpf_host::system::{self, Frames, Points};
use axiom_bpf_host::{Clock, Host, PointId, Stream};
use axiom_runtime::proto::{Error, bpf_host, number};
use axiom_runtime::{
    Bit, Class, Incoming, Place, Reply, Runtime, Service, Signals, Slots, Timer, info, serve, time, warn,
};
use heapless::Vec;

axiom_runtime::entry!(main);
axiom_runtime::takes!(include_str!("../takes.toml"));

/// Fastest rate that programs may ask for.
const MAX_HZ: u64 = 10_000;
/// Rates: a server's timers have a bit each.
const RATES: usize = Class::Timer.room();

/// What a program gets.
#[repr(C)]
struct Context {
    now: u64,
    expirations: u64,
    deadline: u64,
}

struct Rate {
    /// Its attach point is `timer/<n>hz`.
    hz: u64,
    point: Option<PointId>,
    timer: Timer,
    bit: Bit,
    period: u64,
    /// The deadline to come, in ticks.
    next: u64,
    armed: bool,
}

struct Rates {
    rates: Vec<Rate, RATES>,
    /// Timers without a rate.
    free: Vec<(Timer, Bit), RATES>,
    frequency: u64,
}

/// The rate of an attach point's name.
fn rate_of(name: &str) -> Option<u64> {
    let hz = name.strip_prefix("timer/")?.strip_suffix("hz").and_then(number);
    hz.filter(|hz| (1..=MAX_HZ).contains(hz))
}

impl Rates {
    fn of(&mut self, name: &str) -> Option<&mut Rate> {
        let hz = rate_of(name)?;
        self.rates.iter_mut().find(|r| r.hz == hz)
    }
}

impl Points for Rates {
    fn stream(&self, name: &str) -> Stream {
        rate_of(name).map_or(Stream::Silent, |hz| Stream::Periodic(1_000_000_000 / hz))
    }

    fn open_point(&mut self, name: &str) -> bool {
        let Some(hz) = rate_of(name) else { return false };
        // Who asks is told; a line each time would let a client fill the console.
        let Some((timer, bit)) = self.free.pop() else { return false };
        let period = self.frequency / hz;
        let rate = Rate { hz, point: None, timer, bit, period, next: 0, armed: false };
        self.rates.push(rate).is_ok()
    }

    fn point_changed(&mut self, name: &str, point: PointId, programs: usize) {
        let Some(rate) = self.of(name) else { return };
        rate.point = Some(point);
        if programs > 0 && !rate.armed {
            rate.next = time::ticks() + rate.period;
            rate.armed = rate.timer.arm(rate.next, rate.period).is_ok();
            if !rate.armed {
                warn!("the timer of {name} could not be armed");
            }
        } else if programs == 0 && rate.armed {
            let _ = rate.timer.cancel();
            rate.armed = false;
        }
    }

    fn close_point(&mut self, name: &str) {
        let hz = rate_of(name);
        let Some(at) = self.rates.iter().position(|r| Some(r.hz) == hz) else { return };
        let rate = self.rates.swap_remove(at);
        // It came from there.
        let _ = self.free.push((rate.timer, rate.bit));
    }
}

struct Server {
    host: &'static mut Host,
    frames: Frames,
    rates: Rates,
    clock: Clock,
    refill_at: u64,
}

impl Service for Server {
    fn request(&mut self, message: &Incoming<'_>) -> Reply {
        match message.interface {
            bpf_host::INTERFACE => self.frames.serve(self.host, &mut self.rates, message),
            _ => Reply::error(Error::NoSuchInterface),
        }
    }

    fn notified(&mut self, signals: Signals) {
        for rate in self.rates.rates.iter_mut().filter(|r| signals.has(r.bit) && r.armed) {
            let Some(point) = rate.point else { continue };
            let now = time::ticks();
            if now < rate.next {
                continue; // a signal from before the timer was armed again
            }
            let mut expirations = 1;
            let late = now - rate.next;
            if late >= rate.period {
                expirations += late / rate.period;
            }
            let deadline = rate.next + (expirations - 1) * rate.period;
            rate.next = deadline + rate.period;
            let mut context = Context {
                now: self.clock.nanoseconds(now),
                expirations,
                deadline: self.clock.nanoseconds(deadline),
            };
            self.host.run(point, &mut context);
            self.frames.ring(self.host.take_produced());
            if now >= self.refill_at {
                self.refill_at = now + rate.period * rate.hz;
                self.host.refill_log();
            }
        }
    }
}

fn log(text: &str) {
    info!("program: {text}");
}

fn main(rt: Runtime) -> ! {
    let frequency = time::frequency();
    let clock = Clock::new(frequency);
    let free = rt.timers_of("rate").take(RATES).collect();
    let rates = Rates { rates: Vec::new(), free, frequency };
    let frames = Frames::new(rt, Slots::new(rt.env()));
    static HOST: Place<Host> = Place::new();
    static SERVER: Place<Server> = Place::new();
    let host = HOST.put(|| Host::new(clock, log));
    system::hold_to_budget(rt, host, clock);
    rt.ready();
    serve(SERVER.put(|| Server { host, frames, rates, clock, refill_at: 0 }))
}
