//! A server that misbehaves, for the system tests: `args = { mode = "..." }` names one attack, made with exactly the rights that
//! the test's manifest gives; nobody trusts anything that this crate says.
//!
//! Every try prints what came of it. A try that succeeds is a failure of the system and ends the run as one, where the manifest
//! lets this server end runs; `loop`, `crash` and `panic` try nothing: they do what their name says, and others must notice.
#![no_std]
#![no_main]
extern crate alloc;
use axiom_heap as _;

mod caps;
mod debugger;
mod greed;
mod host;
mod interrupts;
mod limits;
mod malformed;
mod programs;
mod sensors;
mod supervisor;
mod uploads;

use alloc::string::String;
use axiom_runtime::{
    Bit, Bits, Buffer, Class, Endpoint, Notification, Runtime, Slots, Timer, call, plain, proto, time,
};

axiom_runtime::entry!(main);
axiom_runtime::takes!(include_str!("../takes.toml"));

fn main(rt: Runtime) -> ! {
    let mode = rt.arg("mode");
    if mode == Some("crash") {
        // Not even ready: the next life begins at once.
        axiom_runtime::arch::undefined();
    }
    if mode == Some("panic") {
        panic!("the manifest asks for it");
    }
    rt.ready();
    let mut tries =
        Tries { rt, slots: Slots::new(rt.env()), bits: Bits::new(), failure: String::new(), made: 0 };
    match mode {
        Some("malformed") => malformed::run(&mut tries),
        Some("host") => host::run(&mut tries),
        Some("programs") => programs::others(&mut tries),
        Some("greed-timer") => greed::timer(&mut tries),
        Some("greed-sensor") => greed::sensor(&mut tries),
        Some("hoard") => uploads::hoard(&mut tries),
        Some("uploads") => uploads::honest(&mut tries),
        Some("rates") => programs::rates(&mut tries),
        Some("sizes") => programs::sizes(&mut tries),
        Some("limits") => limits::run(&mut tries),
        Some("spellings") => programs::spellings(&mut tries),
        Some("victim") => programs::victim(&mut tries),
        Some("reload") => programs::reload(&mut tries),
        Some("down") => supervisor::down(&mut tries),
        Some("debug-calls") => supervisor::debug_calls(&mut tries),
        Some("sensors") => sensors::run(&mut tries),
        Some("two-caps") => caps::two(&mut tries),
        Some("interrupts") => interrupts::run(&mut tries),
        Some("endpoint") => caps::endpoint(&mut tries),
        Some("debugger") => debugger::run(&mut tries),
        Some("finish") => supervisor::finish(&mut tries),
        Some("forge") => supervisor::forge(&mut tries),
        Some("idle") => idle(),
        _ => spin(),
    }
    tries.end()
}

fn spin() -> ! {
    loop {
        core::hint::spin_loop();
    }
}

fn idle() -> ! {
    loop {
        Notification::OWN.wait();
    }
}

/// The attempts of a mode, and what this server has to make them with.
struct Tries {
    rt: Runtime,
    slots: Slots,
    bits: Bits,
    /// The first try that succeeded.
    failure: String,
    made: u32,
}

impl Tries {
    /// A try: `refused` is whether it came to nothing, as it should.
    fn refused(&mut self, what: &str, refused: bool) {
        self.made += 1;
        if refused {
            plain!("  refused: {what}");
        } else {
            plain!("  ATTACK SUCCEEDED: {what}");
            if self.failure.is_empty() {
                self.failure = String::from(what);
            }
        }
    }

    /// Something that must work for everybody.
    fn works(&mut self, what: &str, works: bool) {
        self.made += 1;
        if !works {
            plain!("  DOES NOT WORK: {what}");
            if self.failure.is_empty() {
                self.failure = String::from(what);
            }
        }
    }

    /// What sets a bit of this server's notification, to hand out; and the bit.
    fn doorbell(&mut self) -> (Notification, Bit) {
        let made = self
            .slots
            .take()
            .zip(self.bits.take(Class::Doorbell))
            .and_then(|(slot, bit)| Notification::OWN.signaller(slot, bit).ok().map(|bell| (bell, bit)));
        made.unwrap_or_else(|| panic!("no slot or bit is left for a notification to hand out"))
    }

    fn channel(&self, name: &str) -> Option<Endpoint> {
        self.rt.channel(name)
    }

    /// The timer that the manifest gives, if it gives one.
    fn timer(&self) -> Option<Timer> {
        self.rt.timer("sleep").map(|t| t.0)
    }

    /// Sleeps; without a timer, by looking at the clock.
    fn sleep(&self, ms: u64) {
        let until = time::ticks() + time::from_nanoseconds(ms * 1_000_000);
        let armed = self.timer().is_some_and(|t| t.arm(until, 0).is_ok());
        while time::ticks() < until {
            if armed {
                Notification::OWN.wait();
            } else {
                core::hint::spin_loop();
            }
        }
    }

    /// Says how it went, and ends the run if that is this server's right.
    fn end(self) -> ! {
        plain!(
            "hostile: {} tries, {}",
            self.made,
            if self.failure.is_empty() { "none succeeded" } else { "SOME SUCCEEDED" }
        );
        if let Some(init) = self.rt.channel("init") {
            let request = proto::supervisor::Request::Finish { failure: &self.failure };
            // Refused to those who may not end runs; else there is nobody left to report a failure to.
            let _ = call::<_, proto::supervisor::Reply<'_>>(
                init,
                proto::supervisor::INTERFACE,
                &request,
                &mut Buffer::new(),
            );
        }
        idle()
    }
}
