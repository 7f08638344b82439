//! The thread above all others: it wakes in time, or the machine is not alive; and it sees that a revocation ends.
use crate::options::Options;
use crate::supervisor;
use axiom_root_test::world::{self as world, World};
use axiom_root_test::{end, say};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use sel4_sys::cap::init;
use sel4_sys::object::kind;
use sel4_sys::{CPtr, ext, label, stubs};

/// How late the watchdog may wake, microseconds.
const LATE_US: u64 = 500;
/// How long taking a whole world back may last while nothing stands above it, microseconds.
pub const REVOKE_US: u64 = 100_000;
/// How long the supervisor is left below the workers while it takes a world back, microseconds.
const BELOW_US: u64 = 4_000;

static LATEST: AtomicU64 = AtomicU64::new(0);
static TIMER: AtomicU64 = AtomicU64::new(0);
/// When the supervisor began to take a world back; 0 while it does not.
static SINCE: AtomicU64 = AtomicU64::new(0);
/// When it was put above the workers for that.
static ABOVE: AtomicU64 = AtomicU64::new(0);
static LONGEST: AtomicU64 = AtomicU64::new(0);

/// Ticks as microseconds.
pub fn us(ticks: u64) -> u64 {
    (u128::from(ticks) * 1_000_000 / u128::from(world::frequency())) as u64
}

/// The latest that the watchdog woke, microseconds.
pub fn latest_us() -> u64 {
    us(LATEST.load(Relaxed))
}

/// The longest that taking a world back lasted with nothing above, microseconds.
pub fn longest_us() -> u64 {
    us(LONGEST.load(Relaxed))
}

/// Starts it; it wakes every millisecond.
pub fn start(t: &mut World) {
    let (timer, ntfn) = (t.make(ext::TIMER_TYPE, 0), t.make(kind::NOTIFICATION, 0));
    if world::invoke(timer, ext::TIMER_BIND, &[ntfn], &[]).is_err() {
        end(Some(format_args!("the watchdog's timer cannot be bound")));
    }
    TIMER.store(timer.0, Relaxed);
    t.thread(255, watch, ntfn.0, 0);
}

/// The supervisor begins to take a world back, from below the workers or not.
pub fn begins(below: bool) {
    let now = world::counter();
    ABOVE.store(if below { 0 } else { now }, Relaxed);
    SINCE.store(now, Relaxed);
}

/// It has succeeded.
pub fn ends() {
    SINCE.store(0, Relaxed);
    let above = ABOVE.swap(0, Relaxed);
    if above != 0 {
        LONGEST.fetch_max(world::counter() - above, Relaxed);
    }
}

extern "C" fn watch(ntfn: u64, _: u64) -> ! {
    let mut told = 0;
    let period = world::frequency() / 1000;
    // It arms the timer itself: expiries are served at the priority of whoever pays for them.
    let armed = [world::counter() + period, period];
    if world::invoke(CPtr(TIMER.load(Relaxed)), ext::TIMER_ARM, &[], &armed).is_err() {
        end(Some(format_args!("the watchdog's timer cannot be armed")));
    }
    loop {
        stubs::wait(CPtr(ntfn));
        let now = world::counter();
        if let Ok(read) = world::invoke(CPtr(TIMER.load(Relaxed)), ext::TIMER_READ, &[], &[]) {
            let late = now.saturating_sub(read.mrs[2]);
            if late > LATEST.fetch_max(late, Relaxed) && us(late) > LATE_US && told < 10 {
                told += 1;
                say!("fuzz: the watchdog woke {} us late after {} calls", us(late), crate::arena::counted());
                if Options::get().strict {
                    supervisor::fail(format_args!("the watchdog woke {} us late", us(late)));
                }
            }
        }
        let (since, above) = (SINCE.load(Relaxed), ABOVE.load(Relaxed));
        if since == 0 {
            continue;
        }
        if above == 0 {
            if us(now - since) > BELOW_US {
                ABOVE.store(now, Relaxed);
                if world::invoke(init::TCB, label::TCB_SET_PRIORITY, &[init::TCB], &[254]).is_err() {
                    supervisor::fail(format_args!("the supervisor's priority cannot be set"));
                }
            }
        } else if us(now - above) > REVOKE_US {
            supervisor::fail(format_args!("taking a world back did not end within {REVOKE_US} us"));
        }
    }
}
