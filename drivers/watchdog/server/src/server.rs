//! Sets the watchdog up, then feeds it for ever, several times in each of its periods.
use axiom_mmio::Block;
use axiom_runtime::{Notification, Runtime, form, info, time, warn};
use axiom_watchdog::{BadTimeout, Timeout, Watchdog};
use core::fmt;
use core::time::Duration;

axiom_runtime::entry!(main);
axiom_runtime::takes!(TAKES);

/// What this program takes.
const TAKES: &str = include_str!("../takes.toml");
// What compose lets through is what the watchdog can count.
const _: () =
    assert!(form::bound(TAKES, "timeout_ms", "most") as u128 == axiom_watchdog::LONGEST.as_millis());
const _: () = assert!(form::bound(TAKES, "timeout_ms", "least") == 1);

/// How often it is fed within its time.
const FEEDINGS: u64 = 4;

fn main(rt: Runtime) -> ! {
    rt.ready();
    if let Err(why) = feed_for_ever(rt) {
        warn!("the watchdog does not watch: {why}");
    }
    // Without a watchdog there is nothing to do.
    loop {
        Notification::OWN.wait();
    }
}

/// Why nothing is fed.
enum Idle {
    /// What the manifest or the machine does not have.
    Without(&'static str),
    /// A time that the watchdog cannot watch.
    Timeout(BadTimeout),
    /// Its timer cannot be armed.
    Timer(axiom_runtime::sel4::Error),
}

impl fmt::Display for Idle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Idle::Without(what) => f.write_str(what),
            Idle::Timeout(error) => error.fmt(f),
            Idle::Timer(error) => write!(f, "its timer cannot be armed: {error:?}"),
        }
    }
}

fn feed_for_ever(rt: Runtime) -> Result<(), Idle> {
    let ms = rt.arg_number("timeout_ms").ok_or(Idle::Without("the manifest's args say no timeout_ms"))?;
    let timeout = Timeout::new(Duration::from_millis(ms)).map_err(Idle::Timeout)?;
    let registers = rt.registers("watchdog", axiom_watchdog::REGISTER_BYTES);
    let registers = registers.ok_or(Idle::Without("the machine has no device 'watchdog'"))?;
    let (timer, _) = rt.timer("feed").ok_or(Idle::Without("it has no timer"))?;
    let mut watchdog = Watchdog::new(Block::new(registers), timeout);
    let cause =
        if watchdog.was_reset() { "the watchdog's, or one that software asked for" } else { "another" };
    info!("the last reset was {cause}; from now on {ms} ms without a feeding reset the board");
    let period = time::frequency() * ms / 1000 / FEEDINGS;
    timer.arm(time::ticks() + period, period).map_err(Idle::Timer)?;
    watchdog.start();
    loop {
        Notification::OWN.wait();
        watchdog.feed();
    }
}
