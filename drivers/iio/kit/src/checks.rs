//! The checks.

use crate::bus::{Bus, Condition, Model, Nack};
use axiom_iio::{CHANNELS, DelayNs, Fault, Sensor, Store};

/// More parts of transfers than any operation of a chip needs: a driver that makes more is caught in a loop.
const PATIENCE: u32 = 2000;
/// Longest that a driver may wait in all while it is set up, nanoseconds.
const LONGEST_DELAY_NS: u64 = 10_000_000;

/// What a value of a channel must come out as: integer part and billionths, in the channel's unit.
pub type Expected = (i64, i32);

/// A driver, the model of its chip, and what must come out.
pub struct Subject {
    /// Makes the driver anew.
    pub driver: fn() -> Box<dyn Sensor<Bus>>,
    /// Makes the chip anew.
    pub chip: fn() -> Box<dyn Model>,
    /// For value n of the model, what each channel must give.
    pub values: &'static [&'static [Expected]],
    /// Rates that are asked for (hertz), and what the chip must then have (millihertz); `None` for a refusal.
    pub rates: &'static [(u32, Option<u64>)],
    /// Reads that are needed before a value comes, for chips that are told to measure by each read.
    pub reads: u32,
}

/// How a check ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// As it must.
    Passed,
    /// There is no such thing with this chip.
    DoesNotApply,
    /// What happened instead.
    Failed(String),
}

/// A line of the result.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// The check.
    pub name: &'static str,
    /// Its end.
    pub outcome: Outcome,
}

/// Time that passes at once, and is added up.
#[derive(Default)]
struct Clock {
    waited: u64,
}

impl DelayNs for Clock {
    fn delay_ns(&mut self, ns: u32) {
        self.waited += u64::from(ns);
    }
}

type Check = fn(&Subject) -> Result<bool, String>;

/// The checks, in the order in which they are run.
pub const CHECKS: [(&str, Check); 16] = [
    ("channels have names, points and scales", channels),
    ("found after power-on, and gives a value", found),
    ("values and their signs", values),
    ("absent: a fault, and found when it comes", absent),
    ("no acknowledge at any part of probing", nack_while_probing),
    ("no acknowledge at any part of reading", nack_while_reading),
    ("a stuck bus ends soon", stuck),
    ("another chip is named and not written to", stranger),
    ("what somebody else left is set anew", disturbed),
    ("no value before anything is measured", not_ready),
    ("no value out of range", overflow),
    ("no value from a damaged answer", checksum),
    ("a dip of power is noticed and mended", dip),
    ("rates are the chip's, or refused", rates),
    ("unplugged while it runs, and plugged in again", replug),
    ("kept samples: bounded, and old ones are thrown away", store),
];

/// Runs all checks on a driver.
pub fn run(subject: &Subject) -> Vec<Row> {
    let outcome = |check: Check| match check(subject) {
        Ok(true) => Outcome::Passed,
        Ok(false) => Outcome::DoesNotApply,
        Err(what) => Outcome::Failed(what),
    };
    CHECKS.iter().map(|(name, check)| Row { name, outcome: outcome(*check) }).collect()
}

/// A driver and a bus on which it has found its chip.
struct Bench {
    driver: Box<dyn Sensor<Bus>>,
    bus: Bus,
    clock: Clock,
}

impl Bench {
    fn new(subject: &Subject) -> Bench {
        Bench { driver: (subject.driver)(), bus: Bus::new((subject.chip)()), clock: Clock::default() }
    }

    /// Probed, and with value `n` measured.
    fn ready(subject: &Subject, n: usize) -> Result<Bench, String> {
        let mut bench = Bench::new(subject);
        bench.probe().map_err(|fault| format!("not found after power-on: {fault:?}"))?;
        bench.bus.model.set(Condition::Measured(n));
        Ok(bench)
    }

    fn probe(&mut self) -> Result<(), Fault<Nack>> {
        let result = self.driver.probe(&mut self.bus, &mut self.clock);
        assert!(self.clock.waited <= LONGEST_DELAY_NS, "probing waits for {} ns", self.clock.waited);
        self.clock.waited = 0;
        result
    }

    /// A read of all channels, after those that only start a measurement.
    fn read(&mut self, subject: &Subject) -> Result<[i32; CHANNELS], Fault<Nack>> {
        let mut raw = [i32::MIN; CHANNELS];
        let channels = self.driver.channels().len();
        let mut result = self.driver.read(&mut self.bus, &mut raw[..channels]);
        for _ in 0..subject.reads {
            if result == Err(Fault::NotReady) {
                result = self.driver.read(&mut self.bus, &mut raw[..channels]);
            }
        }
        result.map(|()| raw)
    }

    /// Whether a read gives value `n`.
    fn gives(&mut self, subject: &Subject, n: usize) -> Result<(), String> {
        let raw = self.read(subject).map_err(|fault| format!("value {n}: {fault:?}"))?;
        for (i, expected) in subject.values[n].iter().enumerate() {
            let channel = &self.driver.channels()[i];
            let got = channel.processed(raw[i]);
            if (got.integer, got.nanos) != *expected {
                return Err(format!("value {n}: {} is {got:?}, not {expected:?}", channel.name));
            }
        }
        Ok(())
    }

    /// Looks for the chip until it is found, at most three times.
    fn find(&mut self) -> Result<(), String> {
        let mut last = Ok(());
        for _ in 0..3 {
            last = self.probe();
            if last.is_ok() {
                return Ok(());
            }
        }
        Err(format!("not found again: {last:?}"))
    }
}

fn must(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}

fn channels(subject: &Subject) -> Result<bool, String> {
    let driver = (subject.driver)();
    let channels = driver.channels();
    must((1..=CHANNELS).contains(&channels.len()), || format!("{} channels", channels.len()))?;
    for (i, channel) in channels.iter().enumerate() {
        must(channel.name.starts_with("in_") && channel.name.len() > 3, || {
            format!("name '{}'", channel.name)
        })?;
        must(!channel.point.is_empty() && channel.name.ends_with(channel.point), || {
            format!("point '{}' of {}", channel.point, channel.name)
        })?;
        must(channel.scale_nano > 0, || format!("{} has no scale", channel.name))?;
        must(channels[..i].iter().all(|c| c.name != channel.name), || format!("{} twice", channel.name))?;
    }
    must(driver.rates().is_sorted() && !driver.rates().contains(&0), || {
        format!("rates {:?}", driver.rates())
    })?;
    // Fewer places than channels are no reason to stop.
    let mut bench = Bench::ready(subject, 0)?;
    let _ = bench.driver.read(&mut bench.bus, &mut []);
    Ok(true)
}

fn found(subject: &Subject) -> Result<bool, String> {
    Bench::ready(subject, 0)?.gives(subject, 0)?;
    Ok(true)
}

fn values(subject: &Subject) -> Result<bool, String> {
    for n in 0..subject.values.len() {
        Bench::ready(subject, n)?.gives(subject, n)?;
    }
    Ok(true)
}

fn absent(subject: &Subject) -> Result<bool, String> {
    let mut bench = Bench::new(subject);
    bench.bus.dead = true;
    let said = bench.probe();
    must(said == Err(Fault::Bus(Nack)), || format!("absent, it said {said:?}"))?;
    bench.bus.dead = false;
    bench.find()?;
    bench.bus.model.set(Condition::Measured(0));
    bench.gives(subject, 0)?;
    Ok(true)
}

/// The parts of transfers that an operation makes.
fn parts(bench: &mut Bench, operation: impl FnOnce(&mut Bench)) -> u32 {
    let before = bench.bus.parts;
    operation(bench);
    bench.bus.parts - before
}

fn nack_while_probing(subject: &Subject) -> Result<bool, String> {
    let count = parts(&mut Bench::new(subject), |bench| {
        let _ = bench.probe();
    });
    for at in 0..count {
        let mut bench = Bench::new(subject);
        bench.bus.nack_at = Some(at);
        let said = bench.probe();
        must(matches!(said, Err(Fault::Bus(_))), || {
            format!("part {at} was refused, and probing said {said:?}")
        })?;
        bench.find()?;
        bench.bus.model.set(Condition::Measured(0));
        bench.gives(subject, 0).map_err(|what| format!("after part {at} was refused: {what}"))?;
    }
    Ok(true)
}

fn nack_while_reading(subject: &Subject) -> Result<bool, String> {
    let count = parts(&mut Bench::ready(subject, 0)?, |bench| {
        let _ = bench.read(subject);
    });
    for at in 0..count {
        let mut bench = Bench::ready(subject, 0)?;
        bench.bus.nack_at = Some(at);
        let said = bench.read(subject);
        must(matches!(said, Err(Fault::Bus(_))), || {
            format!("part {at} was refused, and reading said {said:?}")
        })?;
        bench.gives(subject, 0).map_err(|what| format!("after part {at} was refused: {what}"))?;
    }
    Ok(true)
}

fn stuck(subject: &Subject) -> Result<bool, String> {
    let mut bench = Bench::ready(subject, 0)?;
    bench.bus.dead = true;
    let count = parts(&mut bench, |bench| {
        let _ = bench.probe();
        let _ = bench.driver.check(&mut bench.bus);
        let _ = bench.driver.set_rate(&mut bench.bus, 1);
        let _ = bench.driver.store(&mut bench.bus, Some(Store { hz: 1, watermark: 1 }));
        let _ = bench.driver.drain(&mut bench.bus, &mut |_| ());
    });
    must(count <= PATIENCE, || format!("{count} transfers on a bus that never answers"))?;
    let said = bench.driver.check(&mut bench.bus);
    must(!matches!(said, Ok(false)), || "a bus that never answers is no chip without configuration".into())?;
    Ok(true)
}

fn stranger(subject: &Subject) -> Result<bool, String> {
    let mut bench = Bench::new(subject);
    if !bench.bus.model.set(Condition::Stranger) {
        return Ok(false);
    }
    let said = bench.probe();
    must(matches!(said, Err(Fault::WrongChip(_))), || format!("another chip, and it said {said:?}"))?;
    must(bench.bus.writes == 0, || format!("another chip was written to, {} times", bench.bus.writes))?;
    Ok(true)
}

fn disturbed(subject: &Subject) -> Result<bool, String> {
    let fresh = Bench::ready(subject, 0)?.bus.model.settings();
    for variant in 0..=u8::try_from(fresh.len() + 2).unwrap_or(u8::MAX) {
        let mut bench = Bench::new(subject);
        bench.bus.model.disturb(variant);
        bench.find().map_err(|what| format!("variant {variant}: {what}"))?;
        let now = bench.bus.model.settings();
        must(now == fresh, || {
            format!("variant {variant}: settings are {now:02x?}, after power-on {fresh:02x?}")
        })?;
        bench.bus.model.set(Condition::Measured(0));
        bench.gives(subject, 0).map_err(|what| format!("variant {variant}: {what}"))?;
    }
    Ok(!fresh.is_empty())
}

/// In this condition a read gives this fault, and afterwards a value again.
fn no_value(subject: &Subject, condition: Condition, expected: Fault<Nack>) -> Result<bool, String> {
    let mut bench = Bench::ready(subject, 0)?;
    if !bench.bus.model.set(condition) {
        return Ok(false);
    }
    let said = bench.read(subject);
    must(said == Err(expected), || format!("{condition:?}, and reading said {said:?}"))?;
    bench.bus.model.set(Condition::Measured(0));
    bench.gives(subject, 0)?;
    Ok(true)
}

fn not_ready(subject: &Subject) -> Result<bool, String> {
    no_value(subject, Condition::NotReady, Fault::NotReady)
}

fn overflow(subject: &Subject) -> Result<bool, String> {
    no_value(subject, Condition::Overflow, Fault::Overflow)
}

fn checksum(subject: &Subject) -> Result<bool, String> {
    no_value(subject, Condition::BadChecksum, Fault::Crc)
}

fn dip(subject: &Subject) -> Result<bool, String> {
    let mut bench = Bench::ready(subject, 0)?;
    bench.gives(subject, 0)?;
    let (set, said) = (bench.bus.model.settings(), bench.driver.check(&mut bench.bus));
    must(said == Ok(true), || format!("nothing was lost, and it said {said:?}"))?;
    bench.bus.model.power_on();
    if bench.bus.model.settings() == set {
        return Ok(false);
    }
    let said = bench.driver.check(&mut bench.bus);
    must(said == Ok(false), || format!("the configuration is gone, and it said {said:?}"))?;
    bench.find()?;
    let now = bench.bus.model.settings();
    must(now == set, || format!("after the dip its settings are {now:02x?}, not {set:02x?}"))?;
    Ok(true)
}

fn rates(subject: &Subject) -> Result<bool, String> {
    let mut bench = Bench::ready(subject, 0)?;
    let offered = bench.driver.rates();
    for (hz, expected) in subject.rates {
        let before = bench.bus.model.settings();
        let said = bench.driver.set_rate(&mut bench.bus, *hz);
        let agrees = match expected {
            Some(millihertz) => said == Ok(*millihertz),
            None => matches!(said, Err(Fault::Rate { .. })) && bench.bus.model.settings() == before,
        };
        must(agrees, || format!("{hz} Hz: it said {said:?}, not {expected:?}"))?;
        let said = bench.driver.check(&mut bench.bus);
        must(said == Ok(true), || format!("after {hz} Hz it calls its own configuration lost: {said:?}"))?;
    }
    for hz in [0, u32::MAX] {
        let said = bench.driver.set_rate(&mut bench.bus, hz);
        must(offered.is_empty() || matches!(said, Err(Fault::Rate { .. })), || format!("{hz} Hz: {said:?}"))?;
    }
    Ok(!offered.is_empty())
}

fn replug(subject: &Subject) -> Result<bool, String> {
    let mut bench = Bench::ready(subject, 0)?;
    bench.gives(subject, 0)?;
    bench.bus.dead = true;
    for _ in 0..3 {
        let said = bench.read(subject);
        must(said == Err(Fault::Bus(Nack)), || format!("unplugged, and reading said {said:?}"))?;
    }
    bench.bus.dead = false;
    bench.bus.model.power_on();
    bench.find()?;
    bench.bus.model.set(Condition::Measured(0));
    bench.gives(subject, 0)?;
    Ok(true)
}

fn store(subject: &Subject) -> Result<bool, String> {
    let mut bench = Bench::ready(subject, 0)?;
    match bench.driver.store(&mut bench.bus, Some(Store { hz: 1, watermark: 1 })) {
        Ok(Some(_)) => {}
        Ok(None) => return Ok(false),
        Err(fault) => return Err(format!("a store could not be started: {fault:?}")),
    }
    let said = bench.driver.check(&mut bench.bus);
    must(said == Ok(true), || format!("with its store on it calls its configuration lost: {said:?}"))?;
    let with_store = bench.bus.model.settings();
    let mut drained = Ok(axiom_iio::Drained::default());
    let count = parts(&mut bench, |bench| drained = bench.driver.drain(&mut bench.bus, &mut |_| ()));
    must(drained.is_ok(), || format!("draining said {drained:?}"))?;
    must(count <= PATIENCE, || format!("draining takes {count} transfers"))?;
    // Probing throws old samples away: the store is off again.
    bench.find()?;
    must(bench.bus.model.settings() != with_store, || "probing leaves the store and its old samples".into())?;
    Ok(true)
}
