//! When the watchdog's server feeds, and what it says when it does not.
use crate::server::MAIN;
use axiom_fake_kernel::{Lines, World, pages};
use axiom_runtime::proto::env::{Channel, Device, Env, Range, Setting, Timer};
use axiom_runtime::proto::{Values, console};
use axiom_runtime::sel4::{self, ext};
use axiom_runtime::{Bits, Class};

const CONSOLE: u64 = 40;
const FEED: u64 = 41;
/// Registers: what is left, and control, in their order (bcm2712-pac, `soc::pm`).
const WDOG: usize = 0x24;
const RSTC: usize = 0x1c;

struct Rig {
    server: axiom_fake_kernel::Fake,
    lines: Lines,
    registers: *mut u32,
    bit: u64,
}

impl Rig {
    /// With a time, a device and a timer, or without.
    fn new(timeout: Option<&str>, device: bool, timer: bool, refused: bool) -> Rig {
        let registers: *mut u32 = pages(1).as_mut_ptr().cast();
        let args = timeout.map(|value| Setting { key: "timeout_ms", value });
        let args = Values::of(args).expect("a list");
        let there = Range { start: registers as u64, len: 4096 };
        let devices = device.then(|| Device { name: "watchdog", registers: there, ..Device::default() });
        let devices = Values::of(devices).expect("a list");
        let bit = Bits::new().take(Class::Timer).expect("a bit");
        let timers = Values::of(timer.then_some(Timer { name: "feed", slot: FEED, bit })).expect("a list");
        let serves = Values::of([console::INTERFACE]).expect("a list");
        let console = Channel { name: "console", slot: CONSOLE, serves: serves.list() };
        let channels = Values::of([console]).expect("a list");
        let env = Env {
            name: "watchdog",
            args: args.list(),
            devices: devices.list(),
            timers: timers.list(),
            channels: channels.list(),
            counter_frequency: 1_000_000,
            ..Env::default()
        };
        let lines = Lines::default();
        axiom_runtime::arch::set_ticks(500);
        let mut world = World::default().peer(CONSOLE, lines.peer());
        if refused {
            world = world.refusing(ext::TIMER_ARM, sel4::Error::IllegalOperation);
        }
        Rig { server: world.start_in(&env, MAIN), lines, registers, bit: bit.badge() }
    }

    fn register(&self, offset: usize) -> u32 {
        // SAFETY: a word of the page that stands for the registers.
        unsafe { self.registers.byte_add(offset).read_volatile() }
    }

    fn spend(&self) {
        // SAFETY: as for `register`.
        unsafe { self.registers.byte_add(WDOG).write_volatile(1) };
    }
}

#[test]
fn it_feeds_four_times_within_the_time_and_only_then() {
    let mut rig = Rig::new(Some("1000"), true, true, false);
    let armed = rig.server.invocations().into_iter().find(|i| i.cap == FEED).expect("its timer");
    assert_eq!((armed.label as u64, armed.words), (ext::TIMER_ARM, vec![250_500, 250_000]));
    let whole = rig.register(WDOG);
    assert_eq!(whole & 0x00ff_ffff, 0x1_0000, "a second of 65,536 Hz");
    assert_ne!(rig.register(RSTC), 0, "it is started");
    for _ in 0..3 {
        rig.spend();
        assert_eq!(rig.register(WDOG), 1);
        rig.server.signal(rig.bit);
        assert_eq!(rig.register(WDOG), whole);
    }
    assert!(rig.lines.take()[0].contains("1000 ms without a feeding reset the board"));
}

#[test]
fn without_what_it_needs_it_says_so_and_starts_nothing() {
    for (timeout, device, timer, refused, why) in [
        (None, true, true, false, "timeout_ms"),
        (Some("soon"), true, true, false, "timeout_ms"),
        (Some("0"), true, true, false, "the watchdog counts from 1 ms to"),
        (Some("16000"), true, true, false, "the watchdog counts from 1 ms to"),
        (Some("1000"), false, true, false, "no device 'watchdog'"),
        (Some("1000"), true, false, false, "it has no timer"),
        (Some("1000"), true, true, true, "its timer cannot be armed"),
    ] {
        let mut rig = Rig::new(timeout, device, timer, refused);
        rig.server.signal(rig.bit);
        let said = rig.lines.take();
        let last = said.last().expect("a line");
        assert!(last.starts_with("the watchdog does not watch: ") && last.contains(why), "{said:?}");
        assert_eq!((rig.register(WDOG), rig.register(RSTC)), (0, 0), "{why}");
    }
}
