//! The server's loop: rates that programs ask for get a timer, and each expiry runs their programs.

use axiom_bpf_host::system::{self, Frames, Points};
use axiom_bpf_host::{Clock, Host, PointId, Stream};
use axiom_runtime::proto::point::rate;
use axiom_runtime::proto::{Error, bpf_host};
use axiom_runtime::{
    Bit, Class, Incoming, Place, Reply, Runtime, Service, Signals, Slots, Timer, info, serve, time, warn,
};
use heapless::Vec;

use crate::second::Second;
use crate::series::Series;

axiom_runtime::entry!(main);
axiom_runtime::takes!(include_str!("../takes.toml"));

/// Rates: a server's timers have a bit each.
const RATES: usize = Class::Timer.room();
// Each rate is there for a program, so that a timer taken for one finds its place.
const _: () = assert!(RATES >= bpf_host::PROGRAMS as usize);

/// What a program gets.
#[repr(C)]
struct Context {
    now: u64,
    expirations: u64,
    deadline: u64,
}

/// What a rate's deadlines come by.
enum Base {
    /// One of the kernel's timers, in ticks of the counter.
    Kernel { timer: Timer, bit: Bit, period: u64, next: u64 },
    /// The HPET, in its steps: the series, and the number of the deadline to come.
    Second { series: Series, next: u64 },
}

struct Rate {
    /// Its attach point is `timer/<n>hz`, or `timer/<n>hz/hpet`.
    hz: u64,
    point: Option<PointId>,
    base: Base,
    armed: bool,
}

impl Rate {
    fn is(&self, named: Named) -> bool {
        self.hz == named.hz && matches!(self.base, Base::Second { .. }) == named.second
    }
}

struct Rates {
    rates: Vec<Rate, RATES>,
    /// Timers without a rate.
    free: Vec<(Timer, Bit), RATES>,
    frequency: u64,
    second: Option<Second>,
}

/// What an attach point's name says.
#[derive(Clone, Copy)]
struct Named {
    hz: u64,
    /// By the second time base.
    second: bool,
}

fn rate_of(name: &str) -> Option<Named> {
    let (hz, second) = rate(name)?;
    Some(Named { hz, second })
}

impl Rates {
    /// Arms the HPET for the earliest deadline; false if it has passed.
    fn arm_second(&mut self) -> bool {
        let Some(second) = &mut self.second else { return true };
        let deadlines = self.rates.iter().filter(|r| r.armed).filter_map(|r| match &r.base {
            Base::Second { series, next } => Some(series.deadline(*next)),
            Base::Kernel { .. } => None,
        });
        second.arm(deadlines.min())
    }
}

impl Points for Rates {
    fn stream(&self, name: &str) -> Stream {
        rate_of(name).map_or(Stream::Silent, |named| Stream::Periodic(1_000_000_000 / named.hz))
    }

    fn open_point(&mut self, name: &str) -> bool {
        let Some(Named { hz, second }) = rate_of(name) else { return false };
        // Who asks is told; a line each time would let a client fill the console.
        let base = if second {
            let Some(second) = &self.second else { return false };
            let series = Series { first: 0, hz, step: second.period().femtoseconds() };
            Base::Second { series, next: 0 }
        } else {
            let Some((timer, bit)) = self.free.pop() else { return false };
            Base::Kernel { timer, bit, period: self.frequency / hz, next: 0 }
        };
        self.rates.push(Rate { hz, point: None, base, armed: false }).is_ok()
    }

    fn point_changed(&mut self, name: &str, point: PointId, programs: usize) {
        let start = self.second.as_mut().map(Second::now);
        // One that was opened a moment ago has no point yet.
        let known = self.rates.iter().position(|r| r.point == Some(point));
        let Some(at) = known.or_else(|| self.rates.iter().position(|r| r.point.is_none())) else { return };
        let Some(rate) = self.rates.get_mut(at) else { return };
        rate.point = Some(point);
        match &mut rate.base {
            Base::Kernel { timer, period, next, .. } => {
                if programs > 0 && !rate.armed {
                    *next = time::ticks() + *period;
                    rate.armed = timer.arm(*next, *period).is_ok();
                    if !rate.armed {
                        warn!("the timer of {name} could not be armed");
                    }
                } else if programs == 0 && rate.armed {
                    let _ = timer.cancel();
                    rate.armed = false;
                }
            }
            Base::Second { series, next } => {
                if programs > 0 && !rate.armed {
                    // The first deadline is a period away.
                    (series.first, *next) = (start.unwrap_or(0), 1);
                }
                rate.armed = programs > 0;
                if !self.arm_second()
                    && let Some(second) = &mut self.second
                {
                    // What is due is served at its interrupt.
                    second.arm_soon();
                }
            }
        }
    }

    fn close_point(&mut self, name: &str) {
        let Some(named) = rate_of(name) else { return };
        let Some(at) = self.rates.iter().position(|r| r.is(named)) else { return };
        if let Base::Kernel { timer, bit, .. } = self.rates.swap_remove(at).base {
            // It came from there.
            let _ = self.free.push((timer, bit));
        }
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
        for at in 0..self.rates.rates.len() {
            let Rate { armed: true, point: Some(point), base, .. } = &mut self.rates.rates[at] else {
                continue;
            };
            let Base::Kernel { bit, period, next, .. } = base else { continue };
            if !signals.has(*bit) {
                continue;
            }
            let now = time::ticks();
            if now < *next {
                continue; // a signal from before the timer was armed again
            }
            let mut expirations = 1;
            let late = now - *next;
            if late >= *period {
                expirations += late / *period;
            }
            let deadline = *next + (expirations - 1) * *period;
            *next = deadline + *period;
            let context = Context {
                now: self.clock.nanoseconds(now),
                expirations,
                deadline: self.clock.nanoseconds(deadline),
            };
            let point = *point;
            self.run(point, context, now);
        }
        let second = self.rates.second.as_ref();
        if let Some(second) = second.filter(|s| signals.has(s.bit)) {
            second.acknowledge();
            self.second_due();
        }
    }
}

impl Server {
    fn run(&mut self, point: PointId, mut context: Context, now: u64) {
        self.host.run(point, &mut context);
        self.frames.ring(self.host.take_produced());
        if now >= self.refill_at {
            self.refill_at = now + self.rates.frequency;
            self.host.refill_log();
        }
    }

    /// Runs what is due by the HPET, and arms it for what comes next.
    fn second_due(&mut self) {
        /// Deadlines that pass while others are served are served next, but requests come first after so many.
        const ROUNDS: u32 = 4;
        for _ in 0..ROUNDS {
            for at in 0..self.rates.rates.len() {
                self.second_rate(at);
            }
            if self.rates.arm_second() {
                return;
            }
        }
        if let Some(second) = &mut self.rates.second {
            second.arm_soon();
        }
    }

    fn second_rate(&mut self, at: usize) {
        let Rates { rates, second: Some(second), .. } = &mut self.rates else { return };
        let Rate { armed: true, point: Some(point), base: Base::Second { series, next }, .. } =
            &mut rates[at]
        else {
            return;
        };
        // How late it is, the HPET says; what the counter reads then makes it a moment that programs know.
        let steps = second.now();
        let now = time::ticks();
        let Some(last) = series.passed(steps).filter(|last| last >= next) else { return };
        let late = second.period().nanoseconds(steps - series.deadline(last));
        let expirations = last - *next + 1;
        *next = last + 1;
        let point = *point;
        let now_ns = self.clock.nanoseconds(now);
        self.run(point, Context { now: now_ns, expirations, deadline: now_ns.saturating_sub(late) }, now);
    }
}

fn log(text: &str) {
    info!("program: {text}");
}

fn main(rt: Runtime) -> ! {
    let frequency = time::frequency();
    let clock = Clock::new(frequency);
    let free = rt.timers_of("rate").take(RATES).collect();
    let second = Second::open(&rt);
    let rates = Rates { rates: Vec::new(), free, frequency, second };
    let frames = Frames::new(rt, Slots::new(rt.env()));
    static HOST: Place<Host> = Place::new();
    static SERVER: Place<Server> = Place::new();
    let host = HOST.put(|| Host::new(clock, log));
    system::hold_to_budget(rt, host, clock);
    rt.ready();
    serve(SERVER.put(|| Server { host, frames, rates, clock, refill_at: 0 }))
}
