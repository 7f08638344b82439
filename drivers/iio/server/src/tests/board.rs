//! A board for the server: its bus with two chips, a line, timers and a console. Timers and the line fire at their moments.

use super::MODELS;
use super::bus::{Adxl345, Chips, Lm75};
use crate::server::MAIN;
use axiom_fake_kernel::{Fake, Lines, World, answer, pages};
use axiom_iio::RING_BYTES;
use axiom_runtime::proto::env::{Channel, Client, ClientBadge, Env, Grant, Setting, Shared, Timer};
use axiom_runtime::proto::gpio;
use axiom_runtime::proto::iio::{Counts, INTERFACE, RING_PAGES, Reply, Request};
use axiom_runtime::proto::supervisor::{self, State};
use axiom_runtime::proto::{Values, console, wire};
use axiom_runtime::sel4::ext;
use axiom_runtime::{Bits, Class, time};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

const READER: u64 = 1;
const CONSOLE: u64 = 51;
const LINES: u64 = 52;
const INIT: u64 = 53;
const FIRST_TIMER: u64 = 30;
pub const MS: u64 = 1_000_000;
pub const SECOND: u64 = 1000 * MS;
pub const ADXL345: u32 = 0;
pub const LM75: u32 = 1;
/// Bytes of a scan of three channels in the ring, with its header.
const RECORD: usize = 32;

/// A scan as its reader sees it: nanoseconds, the number of the sample, the third axis.
pub type Scan = (u64, i32, i32);

/// The server with its board.
pub struct Board {
    server: Fake,
    pub chips: Arc<Mutex<Chips>>,
    said: Lines,
    rings: *const u8,
    /// Timers by their slot: next deadline and period, nanoseconds.
    timers: BTreeMap<u64, (u64, u64)>,
    badges: BTreeMap<u64, u64>,
    doorbell: u64,
    pub now: u64,
    read: usize,
}

/// What differs between boards.
pub struct Plan<'a> {
    pub sensors: &'a str,
    pub timers: &'a [&'a str],
    pub hz: Option<&'a str>,
    pub restarts: u32,
}

pub const PLAN: Plan<'_> = Plan {
    sensors: "adxl345 lm75",
    timers: &["bus", "sensor/adxl345", "sensor/lm75"],
    hz: None,
    restarts: 0,
};

pub fn lock<T>(of: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Board {
    pub fn new() -> Board {
        Board::of(PLAN)
    }

    pub fn of(plan: Plan<'_>) -> Board {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let number = NEXT.fetch_add(1, Ordering::SeqCst);
        let (adxl345, lm75) = (Some(Adxl345::new()), Some(Lm75::new(25 << 8)));
        let chips = Arc::new(Mutex::new(Chips { adxl345, lm75, refused: None }));
        lock(&MODELS).insert(number, chips.clone());
        let number = number.to_string();
        let mut args = vec![
            Setting { key: "sensors", value: plan.sensors },
            Setting { key: "adxl345_int1", value: "board/4" },
            Setting { key: "test_bus", value: &number },
        ];
        args.extend(plan.hz.map(|value| Setting { key: "hz", value }));
        let args = Values::of(args).expect("a list");
        let mut bits = Bits::new();
        let timers: Vec<Timer<'_>> = (FIRST_TIMER..)
            .zip(plan.timers)
            .map(|(slot, name)| Timer { name, slot, bit: bits.take(Class::Timer).expect("a bit") })
            .collect();
        let badges = timers.iter().map(|timer| (timer.slot, timer.bit.badge())).collect();
        let timers = Values::of(timers).expect("a list");
        // The bus of a test takes the first one.
        let doorbell = Class::Doorbell.nth(1).expect("a bit").badge();
        let serves = [supervisor::INTERFACE, console::INTERFACE, gpio::INTERFACE]
            .map(|interface| Values::of([interface]).expect("a list"));
        let channels = [("init", INIT), ("console", CONSOLE), ("gpio-server", LINES)];
        let channels = channels.into_iter().zip(&serves);
        let channels = channels.map(|((name, slot), serves)| Channel { name, slot, serves: serves.list() });
        let channels = Values::of(channels.collect::<Vec<_>>()).expect("a list");
        let names = Values::of(["adxl345", "lm75"]).expect("a list");
        let mut granted = vec![0; 128];
        let length = wire::encode_plain(&names.list::<&str>(), &mut granted).expect("it is short");
        let grants =
            [Grant { badge: ClientBadge::new(READER), interface: INTERFACE, bytes: &granted[..length] }];
        let grants = Values::of(grants).expect("a list");
        let clients = Values::of([Client { name: "reader", badge: ClientBadge::new(READER), loader: false }])
            .expect("a list");
        let address = pages(8 * RING_PAGES as usize).as_ptr() as u64;
        let env = Env {
            name: "iio-server",
            restarts: plan.restarts,
            free_slots: (300, 400),
            grants: grants.list(),
            clients: clients.list(),
            timers: timers.list(),
            channels: channels.list(),
            args: args.list(),
            shared: Some(Shared { slot: 60, address, pages: 8 * RING_PAGES }),
            counter_frequency: SECOND,
            ..Env::default()
        };
        let said = Lines::default();
        let server = World::default()
            .peer(CONSOLE, said.peer())
            .peer(LINES, lines)
            .peer(INIT, init)
            .start_in(&env, MAIN);
        let rings = address as *const u8;
        let (now, timers) = (time::ticks(), BTreeMap::new());
        Board { server, chips, said, rings, timers, badges, doorbell, now, read: 0 }
    }

    pub fn adxl345<T>(&self, look: impl FnOnce(&mut Adxl345) -> T) -> T {
        look(lock(&self.chips).adxl345.as_mut().expect("there is one"))
    }

    pub fn lm75<T>(&self, look: impl FnOnce(&mut Lm75) -> T) -> T {
        look(lock(&self.chips).lm75.as_mut().expect("there is one"))
    }

    /// Timers that the server has armed or stopped since the last look.
    pub fn note_timers(&mut self) {
        for made in self.server.invocations() {
            if made.label == ext::TIMER_ARM as i64 {
                self.timers.insert(made.cap, (made.words[0], made.words[1]));
            } else if made.label == ext::TIMER_CANCEL as i64 {
                self.timers.remove(&made.cap);
            }
        }
    }

    /// What is signalled at `now`: timers that are due, and the line, if it `rose`.
    pub fn signals(&mut self, now: u64, rose: bool) -> u64 {
        let mut badge = if rose { self.doorbell } else { 0 };
        self.timers.retain(|slot, (next, period)| {
            if *next <= now {
                badge |= self.badges[slot];
                *next += (now - *next).checked_div(*period).map_or(0, |missed| (missed + 1) * *period);
            }
            *next > now
        });
        badge
    }

    /// Time passes, and the server is told of everything when it happens.
    pub fn pass(&mut self, ns: u64) {
        let end = self.now + ns;
        loop {
            self.note_timers();
            let rises = self.adxl345(|chip| chip.rises_at());
            let due = self.timers.values().map(|timer| timer.0).chain(rises).min();
            self.now = due.unwrap_or(end).clamp(self.now, end);
            let now = self.now;
            self.server.set_ticks(now);
            self.adxl345(|chip| chip.live(now));
            let badge = self.signals(now, rises == Some(now));
            if badge != 0 {
                self.server.signal(badge);
            } else if now == end {
                return;
            }
        }
    }

    /// Time passes while the server does not run, which is told of all at the end.
    pub fn stall(&mut self, ns: u64) {
        self.note_timers();
        self.now += ns;
        let now = self.now;
        self.server.set_ticks(now);
        let rose = self.adxl345(|chip| {
            let rises = chip.rises_at().is_some_and(|at| at <= now);
            chip.live(now);
            rises
        });
        let badge = self.signals(now, rose);
        self.server.signal(badge);
    }

    pub fn ask(&mut self, request: Request<'_>) -> Reply<'static> {
        self.server.ask(READER, INTERFACE, &request).expect("an answer")
    }

    pub fn counts(&mut self, device: u32) -> Counts {
        let Reply::Counts(counts) = self.ask(Request::Counts { device }) else { panic!("no counts") };
        counts
    }

    pub fn raw(&mut self, device: u32, channel: u32) -> Reply<'static> {
        self.ask(Request::Read { device, channel, attribute: "raw" })
    }

    /// How often the server said a line with these words, since the last question.
    pub fn said(&self, words: &str) -> usize {
        self.said.take().iter().filter(|line| line.contains(words)).count()
    }

    /// Starts a buffer for all of the accelerometer's axes.
    pub fn read_scans(&mut self) {
        let shape = Request::Buffer { device: ADXL345, channels: 7, length: 256, watermark: 256 };
        assert_eq!(self.ask(shape), Reply::Done);
        self.read = 0;
    }

    /// Scans that are new in the buffer.
    pub fn scans(&mut self) -> Vec<Scan> {
        // SAFETY: the position of the writer and the scans of the accelerometer's ring, which the server's thread has written and does not
        // write now: it waits for the next message.
        unsafe {
            let written = self.rings.add(4096).cast::<u64>().read_volatile() as usize;
            let scans = (self.read / RECORD..written / RECORD).map(|at| {
                let scan = self.rings.add(2 * 4096 + at * RECORD % RING_BYTES + 8);
                let value = |n: usize| scan.add(4 * n).cast::<i32>().read_volatile();
                (scan.add(16).cast::<u64>().read_volatile(), value(0), value(2))
            });
            let scans = scans.collect();
            self.read = written;
            self.rings.cast_mut().cast::<u64>().write_volatile(written as u64);
            scans
        }
    }
}

fn lines(_: u16, message: &[u8]) -> Vec<u8> {
    match wire::decode(message) {
        Ok(gpio::Request::Chip { chip: 0 }) => {
            answer(&gpio::Reply::Chip { name: "board", lines: 8, software: false })
        }
        Ok(gpio::Request::Subscribe { .. }) => answer(&gpio::Reply::Done),
        other => panic!("the server asks for {other:?}"),
    }
}

fn init(_: u16, _: &[u8]) -> Vec<u8> {
    let (shared_bytes, own_bytes) = (0, 0);
    let server =
        supervisor::Server { name: "client", state: State::Ready, restarts: 0, shared_bytes, own_bytes };
    answer(&supervisor::Reply::Server(server))
}
