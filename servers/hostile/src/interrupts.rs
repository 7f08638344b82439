//! A device's interrupt, triggered by edges and raised from outside: its handler hears of each edge, also of one that comes before the last
//! one was acknowledged, which would be lost otherwise. Nothing is attacked here.

use crate::Tries;
use axiom_runtime::sel4::CPtr;
use axiom_runtime::{Bit, IrqHandler, Notification, plain, time};

/// How long an interrupt may take to come.
const PATIENCE_MS: u64 = 20_000;
/// How long none may come.
const SILENCE_MS: u64 = 100;

/// Waits for the interrupt of the first device four times; the fourth comes before the third is acknowledged.
pub fn run(tries: &mut Tries) {
    let env = tries.rt.env();
    let interrupt = env.devices.first().and_then(|device| env.interrupts_of(&device, false).next());
    let Some(interrupt) = interrupt else {
        tries.works("it has a device with an interrupt", false);
        return;
    };
    for n in 1..=3 {
        plain!(">> interrupt {n}");
        let came = waited(tries, interrupt.bit, PATIENCE_MS);
        tries.works("the interrupt comes", came);
        if n == 3 {
            plain!(">> interrupt 4");
            let next = waited(tries, interrupt.bit, PATIENCE_MS);
            tries.works("the next comes before the acknowledgement", next);
        }
        tries.works("it is acknowledged", IrqHandler(CPtr(interrupt.slot)).ack().is_ok());
        tries.works("it comes once", !waited(tries, interrupt.bit, SILENCE_MS));
        plain!("interrupt {n} came: {came}");
    }
}

/// Whether a bit is signalled in time.
fn waited(tries: &Tries, bit: Bit, ms: u64) -> bool {
    let until = time::ticks() + time::from_nanoseconds(ms * 1_000_000);
    if tries.timer().is_none_or(|timer| timer.arm(until, 0).is_err()) {
        return false;
    }
    while time::ticks() < until {
        if Notification::OWN.wait().has(bit) {
            return true;
        }
    }
    false
}
