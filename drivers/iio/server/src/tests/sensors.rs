//! Sensors on a bus of the test's: what the server does when a chip loses its configuration, overruns its FIFO, is asked for rates that it
//! does not have, or has no timer. Timers and the interrupt line are the rig's, and fire at their moments.

use super::MODELS;
use super::bus::{Adxl345, Chips, Lm75};
use crate::server::MAIN;
use axiom_fake_kernel::{Fake, Lines, World, answer, pages};
use axiom_iio::RING_BYTES;
use axiom_runtime::proto::env::{Channel, Client, Env, Grant, Setting, Shared, Timer};
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
const MS: u64 = 1_000_000;
const SECOND: u64 = 1000 * MS;
const ADXL345: u32 = 0;
const LM75: u32 = 1;
/// Bytes of a scan of three channels in the ring, with its header.
const RECORD: usize = 32;

/// A scan as its reader sees it: nanoseconds, the number of the sample, the third axis.
type Scan = (u64, i32, i32);

/// The server with its board.
struct Board {
    server: Fake,
    chips: Arc<Mutex<Chips>>,
    said: Lines,
    rings: *const u8,
    /// Timers by their slot: next deadline and period, nanoseconds.
    timers: BTreeMap<u64, (u64, u64)>,
    badges: BTreeMap<u64, u64>,
    doorbell: u64,
    now: u64,
    read: usize,
}

/// What differs between boards.
struct Plan<'a> {
    sensors: &'a str,
    timers: &'a [&'a str],
    hz: Option<&'a str>,
    restarts: u32,
}

const PLAN: Plan<'_> = Plan {
    sensors: "adxl345 lm75",
    timers: &["bus", "sensor/adxl345", "sensor/lm75"],
    hz: None,
    restarts: 0,
};

fn lock<T>(of: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Board {
    fn new() -> Board {
        Board::of(PLAN)
    }

    fn of(plan: Plan<'_>) -> Board {
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
        let grants = [Grant { badge: READER, interface: INTERFACE, bytes: &granted[..length] }];
        let grants = Values::of(grants).expect("a list");
        let clients = Values::of([Client { name: "reader", badge: READER, loader: false }]).expect("a list");
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

    fn adxl345<T>(&self, look: impl FnOnce(&mut Adxl345) -> T) -> T {
        look(lock(&self.chips).adxl345.as_mut().expect("there is one"))
    }

    fn lm75<T>(&self, look: impl FnOnce(&mut Lm75) -> T) -> T {
        look(lock(&self.chips).lm75.as_mut().expect("there is one"))
    }

    /// Timers that the server has armed or stopped since the last look.
    fn note_timers(&mut self) {
        for made in self.server.invocations() {
            if made.label == ext::TIMER_ARM as i64 {
                self.timers.insert(made.cap, (made.words[0], made.words[1]));
            } else if made.label == ext::TIMER_CANCEL as i64 {
                self.timers.remove(&made.cap);
            }
        }
    }

    /// What is signalled at `now`: timers that are due, and the line, if it `rose`.
    fn signals(&mut self, now: u64, rose: bool) -> u64 {
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
    fn pass(&mut self, ns: u64) {
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
    fn stall(&mut self, ns: u64) {
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

    fn ask(&mut self, request: Request<'_>) -> Reply<'static> {
        self.server.ask(READER, INTERFACE, &request).expect("an answer")
    }

    fn counts(&mut self, device: u32) -> Counts {
        let Reply::Counts(counts) = self.ask(Request::Counts { device }) else { panic!("no counts") };
        counts
    }

    fn raw(&mut self, device: u32, channel: u32) -> Reply<'static> {
        self.ask(Request::Read { device, channel, attribute: "raw" })
    }

    /// How often the server said a line with these words, since the last question.
    fn said(&self, words: &str) -> usize {
        self.said.take().iter().filter(|line| line.contains(words)).count()
    }

    /// Starts a buffer for all of the accelerometer's axes.
    fn read_scans(&mut self) {
        let shape = Request::Buffer { device: ADXL345, channels: 7, length: 256, watermark: 256 };
        assert_eq!(self.ask(shape), Reply::Done);
        self.read = 0;
    }

    /// Scans that are new in the buffer.
    fn scans(&mut self) -> Vec<Scan> {
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

fn rate(millihertz: u64) -> Reply<'static> {
    Reply::Rate { millihertz }
}

/// All of them are samples that the chip took, one after the other, none of them twice.
fn honest(scans: &[Scan]) {
    for pair in scans.windows(2) {
        assert!(pair[0].0 < pair[1].0 && pair[0].1 < pair[1].1, "{pair:?}");
    }
    assert!(scans.iter().all(|scan| scan.2 == 256), "a sample that nobody measured: {scans:?}");
}

#[test]
fn a_dip_of_power_is_noticed_within_a_second_by_a_timers_stream() {
    for (hz, phase) in [1, 2, 3, 10, 100].into_iter().flat_map(|hz| [(hz, 0), (hz, 7), (hz, 430)]) {
        let mut board = Board::new();
        board.read_scans();
        assert_eq!(board.ask(Request::Sample { device: ADXL345, hz }), rate(u64::from(hz) * 1000));
        board.pass(2 * SECOND + phase * MS);
        let before = board.scans();
        assert!(before.len() >= 2 * hz as usize - 1, "{hz} Hz: {} scans", before.len());
        honest(&before);
        let set = board.adxl345(|chip| chip.rate());
        assert_eq!(board.said("lost its configuration"), 0);
        board.adxl345(Adxl345::dip);
        board.pass(SECOND);
        let counts = board.counts(ADXL345);
        assert_eq!((counts.reconfigured, board.said("lost its configuration")), (1, 1), "{hz} Hz {phase}");
        assert_eq!(board.adxl345(|chip| chip.rate()), set, "{hz} Hz: its rate");
        let period = SECOND / u64::from(hz);
        board.pass(period);
        let after = board.scans();
        assert!(!after.is_empty(), "{hz} Hz {phase}: no sample a period after it was set up again");
        honest(&after);
        assert_eq!((counts.errors, counts.samples / 3), (0, (before.len() + after.len()) as u64 - 1));
        board.pass(2 * SECOND);
        assert_eq!(board.counts(ADXL345).reconfigured, 1, "{hz} Hz: once is enough");
    }
}

#[test]
fn a_dip_of_power_is_noticed_within_a_second_where_the_chip_itself_samples() {
    for (hz, phase) in [1, 3, 7, 100, 800].into_iter().flat_map(|hz| [(hz, 0), (hz, 90), (hz, 430)]) {
        let mut board = Board::new();
        board.read_scans();
        let Reply::Rate { millihertz } = board.ask(Request::DataReady { device: ADXL345, hz }) else {
            panic!("{hz} Hz: refused")
        };
        board.pass(3 * SECOND + phase * MS);
        let counts = board.counts(ADXL345);
        assert_eq!((counts.late, counts.overruns, counts.reconfigured), (0, 0, 0), "{hz} Hz {phase}");
        honest(&board.scans());
        board.adxl345(Adxl345::dip);
        board.pass(SECOND);
        let counts = board.counts(ADXL345);
        assert_eq!((counts.reconfigured, board.said("lost its configuration")), (1, 1), "{hz} Hz {phase}");
        // A batch later there are values again.
        let batch = u64::from((hz / 100).max(1));
        board.pass(batch * 1_000_000_000_000 / millihertz);
        let after = board.scans();
        assert!(after.iter().any(|scan| scan.0 > board.now - SECOND), "{hz} Hz {phase}: no sample since");
        honest(&after);
        board.pass(2 * SECOND);
        let counts = board.counts(ADXL345);
        assert_eq!((counts.reconfigured, counts.overruns, counts.errors), (1, 0, 0), "{hz} Hz {phase}");
    }
}

#[test]
fn a_dip_of_power_is_noticed_by_a_single_reading() {
    let mut board = Board::new();
    board.pass(SECOND);
    assert_eq!(board.raw(ADXL345, 2), Reply::Value { integer: 256, nanos: 0 });
    for wait in [0, 400, 3000] {
        board.adxl345(Adxl345::dip);
        board.pass(wait * MS);
        // Never the zeros of a chip that stands by.
        assert_eq!(board.raw(ADXL345, 2), Reply::NoValue, "after {wait} ms");
        board.pass(SECOND - wait.min(1000) * MS);
        board.raw(ADXL345, 2);
        assert_eq!(board.said("lost its configuration"), 1, "after {wait} ms");
        board.pass(20 * MS);
        assert_eq!(board.raw(ADXL345, 2), Reply::Value { integer: 256, nanos: 0 }, "after {wait} ms");
        board.pass(SECOND);
    }
    let counts = board.counts(ADXL345);
    // The first two answers came of a chip that nobody had looked at yet.
    assert_eq!((counts.reconfigured, counts.not_ready, counts.errors, counts.samples), (3, 2, 0, 0));
}

#[test]
fn a_thermometer_that_somebody_sent_to_sleep_gives_no_old_value() {
    let mut board = Board::new();
    let degrees = |n: i64| Reply::Value { integer: 16 * n, nanos: 0 };
    assert_eq!(board.raw(LM75, 0), Reply::NoValue, "its power has just come: it reads 0 degrees");
    board.pass(SECOND);
    assert_eq!(board.raw(LM75, 0), degrees(25));
    board.lm75(|chip| (chip.configuration, chip.temperature) = (1, 90 << 8));
    board.pass(SECOND);
    for wait in [0, 50, 200] {
        board.pass(wait * MS);
        assert_eq!(board.raw(LM75, 0), Reply::NoValue, "what it measured before it slept");
    }
    board.pass(100 * MS);
    assert_eq!(board.raw(LM75, 0), degrees(90));
    assert_eq!((board.counts(LM75).reconfigured, board.said("lm75: it has lost")), (1, 1));
    assert_eq!(board.lm75(|chip| chip.configuration), 0);
}

#[test]
fn what_a_fifo_had_to_give_up_is_counted_in_samples() {
    for (hz, away, pause) in
        [(100, 1000, 0), (100, 400, 10_000), (800, 250, 3000), (3200, 50, 1), (1, 60_000, 9000)]
    {
        let mut board = Board::new();
        // A stream that ended before must not count, nor the time since.
        assert!(matches!(board.ask(Request::DataReady { device: ADXL345, hz }), Reply::Rate { .. }));
        board.pass(SECOND);
        assert_eq!(board.ask(Request::Sample { device: ADXL345, hz: 0 }), rate(0));
        board.pass(pause * MS);
        assert!(matches!(board.ask(Request::DataReady { device: ADXL345, hz }), Reply::Rate { .. }));
        board.stall(away * MS);
        let lost = board.adxl345(|chip| chip.given_up as u64);
        assert!(lost > 1, "{hz} Hz: the FIFO has room for {away} ms");
        // The last one may be due just now.
        let counted = board.counts(ADXL345).overruns;
        assert!(counted.abs_diff(lost) <= 1, "{hz} Hz, {away} ms: {counted} counted, {lost} lost");
        board.pass(SECOND);
        assert_eq!(board.counts(ADXL345).overruns, counted, "{hz} Hz: nothing more is lost");
    }
}

#[test]
fn a_stream_that_could_not_be_changed_goes_on_as_it_was() {
    // The last thing that the chip is told of a stream of its own, and the first ones.
    for refused in [(0x2e, 2), (0x38, 0x80 | 1), (0x2c, 10), (0x38, 0), (0x2e, 0)] {
        let mut board = Board::new();
        assert_eq!(board.ask(Request::Sample { device: ADXL345, hz: 800 }), rate(800_000));
        board.read_scans();
        board.pass(SECOND / 10);
        let interval = board.adxl345(|chip| chip.interval());
        lock(&board.chips).refused = Some(refused);
        assert_eq!(
            board.ask(Request::DataReady { device: ADXL345, hz: 100 }),
            Reply::NotFound,
            "{refused:x?}"
        );
        assert_eq!(
            board.adxl345(|chip| (chip.interval(), chip.rises_at())),
            (interval, None),
            "{refused:x?}"
        );
        assert_eq!(board.counts(ADXL345).errors, 1, "{refused:x?}");
        board.pass(SECOND / 10);
        let scans = board.scans();
        // Being set up again takes as long as a few samples.
        assert!(scans.len() > 140, "{refused:x?}: {} scans", scans.len());
        honest(&scans);
    }
}

#[test]
fn a_reading_takes_nothing_out_of_a_stream() {
    let mut board = Board::new();
    board.read_scans();
    assert_eq!(board.ask(Request::DataReady { device: ADXL345, hz: 800 }), rate(800_000));
    assert_eq!(board.raw(ADXL345, 2), Reply::NoValue, "nothing has come yet");
    for _ in 0..100 {
        board.pass(3 * MS);
        assert!(matches!(board.raw(ADXL345, 2), Reply::Value { integer: 256, .. } | Reply::NoValue));
    }
    let scans = board.scans();
    let taken: Vec<i32> = scans.iter().map(|scan| scan.1).collect();
    let first = taken[0];
    assert_eq!(taken, (first..first + taken.len() as i32).collect::<Vec<_>>(), "one is missing");
    assert!(taken.len() >= 230, "{} samples", taken.len());
}

#[test]
fn a_rate_that_cannot_be_is_refused_and_every_answer_is_the_real_one() {
    let mut board = Board::new();
    let frequency = |device| Request::Read { device, channel: 0, attribute: "sampling_frequency" };
    let value = |integer, nanos| Reply::Value { integer, nanos };
    let out = |fastest| Reply::OutOfRange { slowest: 1000, fastest };
    for (hz, answer, told) in [
        (60, rate(100_000), value(100, 0)),
        (0, out(3_200_000), value(100, 0)),
        (5000, out(3_200_000), value(100, 0)),
        (u32::MAX, out(3_200_000), value(100, 0)),
        (1, rate(1562), value(1, 562_000_000)),
        (3200, rate(3_200_000), value(3200, 0)),
    ] {
        assert_eq!(board.ask(Request::DataReady { device: ADXL345, hz }), answer, "{hz} Hz");
        assert_eq!(board.ask(frequency(ADXL345)), told, "{hz} Hz");
        let interval = board.adxl345(|chip| chip.interval());
        let Reply::Value { integer, nanos } = told else { unreachable!() };
        let nanohertz = i128::from(integer) * 1_000_000_000 + i128::from(nanos);
        let chips = 1_000_000_000_000_000_000 / i128::from(interval);
        assert!((nanohertz - chips).abs() <= 1_000_000, "{hz} Hz: the chip samples at {chips} nHz");
    }
    for (hz, answer) in [(60, rate(60_000)), (3201, out(3_200_000)), (u32::MAX, out(3_200_000)), (0, rate(0))]
    {
        assert_eq!(board.ask(Request::Sample { device: ADXL345, hz }), answer, "{hz} Hz by a timer");
    }
    // A thermometer measures three times a second.
    for (hz, answer) in [(3, rate(3000)), (4, out(3000)), (100, out(3000)), (0, rate(0))] {
        assert_eq!(board.ask(Request::Sample { device: LM75, hz }), answer, "{hz} Hz by a timer");
    }
    assert_eq!(board.ask(Request::DataReady { device: LM75, hz: 1 }), Reply::NotFound, "it has no wire");
}

#[test]
fn the_rates_that_a_chip_has_are_a_list() {
    let mut board = Board::new();
    let mut list = |device| {
        let rates = (0..).map_while(|index| match board.ask(Request::Rate { device, index }) {
            Reply::Rate { millihertz } => Some(millihertz),
            other => {
                assert_eq!(other, if device < 2 { Reply::End } else { Reply::NotFound });
                None
            }
        });
        rates.collect::<Vec<_>>()
    };
    let adxl345 = list(ADXL345);
    assert_eq!((adxl345.len(), adxl345[0], adxl345[15]), (16, 97, 3_200_000));
    assert!(adxl345.is_sorted());
    assert_eq!(list(LM75), [3000]);
    assert_eq!(list(2), []);
    // Each that a client can name is one that it gets.
    for millihertz in adxl345.into_iter().filter(|rate| rate % 1000 == 0) {
        let hz = (millihertz / 1000) as u32;
        assert_eq!(board.ask(Request::DataReady { device: ADXL345, hz }), rate(millihertz));
    }
}

#[test]
fn sensors_without_a_timer_or_beyond_the_eighth_are_left_out_and_the_server_lives() {
    let mut board = Board::of(Plan { timers: &["bus", "sensor/lm75"], ..PLAN });
    assert_eq!(board.said("adxl345: left out: it has no timer"), 1);
    assert!(matches!(board.ask(Request::Device { device: 0 }), Reply::Device { name: "lm75", .. }));
    assert_eq!(board.ask(Request::Device { device: 1 }), Reply::End);
    drop(board);
    let mut board = Board::of(Plan { timers: &["bus"], ..PLAN });
    assert_eq!(board.ask(Request::Device { device: 0 }), Reply::End);
    assert_eq!(board.ask(Request::Sample { device: 0, hz: 1 }), Reply::NotFound);
    drop(board);
    let words: Vec<String> = (0x48..0x54).map(|at| format!("lm75@{at:#x}")).collect();
    let timers: Vec<String> = words.iter().map(|word| format!("sensor/{word}")).collect();
    let timers: Vec<&str> = ["bus"].into_iter().chain(timers.iter().map(String::as_str)).collect();
    let mut board = Board::of(Plan { sensors: &words.join(" "), timers: &timers, ..PLAN });
    assert_eq!(board.said("left out: this server serves 8 sensors"), 4);
    assert_eq!(board.ask(Request::Device { device: 8 }), Reply::End);
    board.pass(SECOND);
    assert_eq!(board.raw(0, 0), Reply::Value { integer: 25 * 16, nanos: 0 });
    assert_eq!(board.raw(7, 0), Reply::Absent);
}

#[test]
fn the_manifests_rate_is_each_chips_or_its_fastest() {
    let frequency = |device| Request::Read { device, channel: 0, attribute: "sampling_frequency" };
    let plans = [Plan { hz: Some("50"), ..PLAN }, Plan { restarts: 1, ..PLAN }];
    for (plan, hz, said) in plans.into_iter().zip([50, 100]).zip([1, 0]).map(|((a, b), c)| (a, b, c)) {
        let mut board = Board::of(plan);
        assert_eq!(board.ask(frequency(ADXL345)), Reply::Value { integer: hz, nanos: 0 });
        assert_eq!(board.ask(frequency(LM75)), Reply::Value { integer: 3, nanos: 0 });
        assert_eq!(board.said("lm75: it cannot be sampled 50 times a second"), said);
        board.pass(2 * SECOND);
        assert!(board.counts(LM75).samples >= 5, "{:?}", board.counts(LM75));
    }
}
