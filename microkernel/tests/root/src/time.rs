//! Checks of time: what timers, and whatever else threads of low priority do, costs those above them, in a run that counts
//! instructions.
use crate::checks::{Check, same};
use axiom_root_test::world::{self as w, Thread, World};
use axiom_root_test::{arch, say};
use core::sync::atomic::{AtomicU64, Ordering::SeqCst};
use sel4_sys::cap::init;
use sel4_sys::object::kind;
use sel4_sys::{CPtr, Error, MessageInfo, ext, label, stubs};

/// All checks, by name.
pub const ALL: &[(&str, Check)] = &[
    ("a timer is paid for by its armer or by who is named", payers),
    ("a thousand timers of the shortest period delay nobody above their owner", hostile_timers),
    ("a holder of timers leaves its equals their turns", turns),
    ("timers that a thread of 1 % arms itself are late, not everybody else", own_timers),
    ("a context with a thousand timers is deleted at once", deleted_context),
    ("calls that need no capability are charged too", uncharged_calls),
];

/// Timers of the hostile holder.
const TIMERS: u64 = 1000;
/// How much later others may be beside it.
const LATE_US: u64 = 20;
const MS: u64 = 1000;

static COUNT: AtomicU64 = AtomicU64::new(0);
static TARGET: AtomicU64 = AtomicU64::new(0);

fn ticks(us: u64) -> u64 {
    us * w::frequency() / 1_000_000
}

extern "C" fn spins(_: u64, _: u64) -> ! {
    loop {
        COUNT.fetch_add(1, SeqCst);
    }
}

/// The first of a thousand timers in a row.
fn thousand(t: &mut World) -> u64 {
    let slots = t.slots(TIMERS);
    for at in (0..TIMERS).step_by(250) {
        let words = [ext::TIMER_TYPE, 0, 0, 0, slots + at, 250];
        if let Err(e) = w::invoke(t.untyped, label::UNTYPED_RETYPE, &[init::CNODE], &words) {
            panic!("cannot make timers: {e:?}");
        }
    }
    slots
}

fn arm(timer: u64, delay: u64, period: u64, payer: &[CPtr]) -> Result<(), Error> {
    w::invoke(CPtr(timer), ext::TIMER_ARM, payer, &[w::counter() + delay, period]).map(drop)
}

fn stop(threads: &[Thread]) {
    for thread in threads {
        let _ = w::invoke(thread.tcb, label::TCB_SUSPEND, &[], &[]);
    }
}

/// The most that this thread, of the highest priority, wakes up after its deadline, in `rounds` periods of a millisecond;
/// microseconds. None if a deadline was missed whole.
fn lateness(t: &mut World, rounds: u64) -> Option<u64> {
    let (timer, ntfn) = (t.make(ext::TIMER_TYPE, 0), t.make(kind::NOTIFICATION, 0));
    w::invoke(timer, ext::TIMER_BIND, &[ntfn], &[]).ok()?;
    // An emulator that has nothing to do waits in the host's time.
    let spinner = t.thread_with_budget(0, spins, 5 * MS, 5 * MS);
    arm(timer.0, ticks(MS), ticks(MS), &[]).ok()?;
    let mut worst = 0;
    for _ in 0..rounds {
        stubs::wait(ntfn);
        let now = w::counter();
        let r = w::invoke(timer, ext::TIMER_READ, &[], &[]).ok()?;
        if r.mrs[1] > 0 {
            return None;
        }
        worst = worst.max(now.saturating_sub(r.mrs[2]));
    }
    w::invoke(timer, ext::TIMER_CANCEL, &[], &[]).ok()?;
    stop(&[spinner]);
    Some(worst * 1_000_000 / w::frequency())
}

fn payers(t: &mut World) -> bool {
    let (timer, idle) = (t.make(ext::TIMER_TYPE, 0), t.make(kind::SCHED_CONTEXT, 8));
    let thread = t.stopped_thread(1);
    same!("one's own", arm(timer.0, ticks(MS), 0, &[]), Ok(()));
    same!("another's", arm(timer.0, ticks(MS), 0, &[thread.sc]), Ok(()));
    same!("a context without budget", arm(timer.0, ticks(MS), 0, &[idle]), Err(Error::IllegalOperation));
    same!("no context", arm(timer.0, ticks(MS), 0, &[thread.tcb]), Err(Error::InvalidCapability));
    same!("cancel", w::invoke(timer, ext::TIMER_CANCEL, &[], &[]).map(drop), Ok(()));
    true
}

fn hostile_timers(t: &mut World) -> bool {
    let timers = thousand(t);
    let ntfn = t.make(kind::NOTIFICATION, 0);
    let Some(alone) = lateness(t, 10) else { return false };
    let percent = t.thread_with_budget(1, spins, 100, 10 * MS);
    let turns = t.thread_with_budget(254, spins, 5 * MS, 5 * MS);
    let several = [(1, 500, 5 * MS), (2, 5 * MS, 5 * MS), (3, 20, MS), (100, 5 * MS, 5 * MS)];
    let several =
        several.map(|(priority, budget, period)| t.thread_with_budget(priority, spins, budget, period));
    let holders: [(&str, &[Thread]); 3] =
        [("1 % at priority 1", &[percent]), ("turns at priority 254", &[turns]), ("four contexts", &several)];
    for bound in [false, true] {
        for (name, threads) in &holders {
            for i in 0..TIMERS {
                if bound {
                    same!(
                        "bind",
                        w::invoke(CPtr(timers + i), ext::TIMER_BIND, &[ntfn], &[]).map(drop),
                        Ok(())
                    );
                }
                let payer = threads[i as usize % threads.len()].sc;
                same!("arm", arm(timers + i, ticks(500) + i, ticks(20) + 1, &[payer]), Ok(()));
            }
            let late = lateness(t, 20);
            for i in 0..TIMERS {
                same!("cancel", w::invoke(CPtr(timers + i), ext::TIMER_CANCEL, &[], &[]).map(drop), Ok(()));
            }
            let Some(late) = late else {
                say!("root-test:   beside {name}, deadlines were missed");
                return false;
            };
            say!("root-test:   at most {late} us late beside {name}, bound {bound}; alone {alone} us");
            same!("in time", late <= alone + LATE_US, true);
        }
    }
    stop(&[percent, turns]);
    stop(&several);
    true
}

fn turns(t: &mut World) -> bool {
    let timers = thousand(t);
    COUNT.store(0, SeqCst);
    let spinner = t.thread_with_budget(100, spins, 5 * MS, 5 * MS);
    let holder = t.stopped_thread(100);
    t.sleep_us(20 * MS);
    let alone = COUNT.swap(0, SeqCst);
    for i in 0..TIMERS {
        same!("arm", arm(timers + i, i, ticks(20) + 1, &[holder.sc]), Ok(()));
    }
    COUNT.store(0, SeqCst);
    t.sleep_us(40 * MS);
    let beside = COUNT.load(SeqCst);
    for i in 0..TIMERS {
        same!("cancel", w::invoke(CPtr(timers + i), ext::TIMER_CANCEL, &[], &[]).map(drop), Ok(()));
    }
    stop(&[spinner]);
    say!("root-test:   {alone} rounds in 20 ms alone, {beside} in 40 ms beside");
    beside * 10 > alone * 8 && beside * 10 < alone * 12
}

extern "C" fn arms(first: u64, _: u64) -> ! {
    for i in 0..48 {
        if arm(first + i, ticks(2 * MS) + i, ticks(20) + 1, &[]).is_ok() {
            TARGET.fetch_add(1, SeqCst);
        }
    }
    loop {
        core::hint::spin_loop();
    }
}

fn own_timers(t: &mut World) -> bool {
    let timers = t.slots(48);
    let words = [ext::TIMER_TYPE, 0, 0, 0, timers, 48];
    same!("retype", w::invoke(t.untyped, label::UNTYPED_RETYPE, &[init::CNODE], &words).map(drop), Ok(()));
    TARGET.store(0, SeqCst);
    let Some(alone) = lateness(t, 10) else { return false };
    let thread = t.thread_with_args(1, arms, timers, 100, 10 * MS);
    let Some(late) = lateness(t, 60) else { return false };
    let read = w::invoke(CPtr(timers), ext::TIMER_READ, &[], &[]).map_or((0, 0), |r| (r.mrs[0], r.mrs[1]));
    say!(
        "root-test:   at most {late} us late, alone {alone} us; of its own timer {} expiries, {} missed",
        read.0,
        read.1
    );
    for i in 0..48 {
        same!("cancel", w::invoke(CPtr(timers + i), ext::TIMER_CANCEL, &[], &[]).map(drop), Ok(()));
    }
    stop(&[thread]);
    same!("armed", TARGET.load(SeqCst), 48);
    late <= alone + LATE_US && read.0 > 0 && read.1 > read.0
}

fn deleted_context(t: &mut World) -> bool {
    let timers = thousand(t);
    let holder = t.stopped_thread(1);
    for i in 0..TIMERS {
        same!("arm", arm(timers + i, ticks(MS), ticks(MS), &[holder.sc]), Ok(()));
    }
    let start = w::counter();
    same!("delete", w::delete(holder.sc), Ok(()));
    let us = (w::counter() - start) * 1_000_000 / w::frequency();
    t.sleep_us(3 * MS);
    for i in [0, 1, 500, TIMERS - 1] {
        let read = w::invoke(CPtr(timers + i), ext::TIMER_READ, &[], &[]).map_or(1, |r| r.mrs[0] + r.mrs[1]);
        same!("expiries", read, 0);
    }
    // They are as good as new.
    same!("arm", arm(timers + 500, 0, 0, &[]), Ok(()));
    same!("delete", w::delete(CPtr(timers + 1)), Ok(()));
    let read = w::invoke(CPtr(timers + 500), ext::TIMER_READ, &[], &[]).map_or(0, |r| r.mrs[0]);
    say!("root-test:   deleting it took {us} us");
    same!("expired", read, 1);
    us <= LATE_US
}

extern "C" fn sets_tls(_: u64, _: u64) -> ! {
    let own = w::thread_pointer();
    loop {
        arch::set_tls_base(own);
        COUNT.fetch_add(1, SeqCst);
    }
}

extern "C" fn suspends(tcb: u64, _: u64) -> ! {
    let call = |label| stubs::call(CPtr(tcb), MessageInfo::new(label, 0, 0, 0), [0; 4]);
    loop {
        call(label::TCB_SUSPEND);
        call(label::TCB_RESUME);
        TARGET.fetch_add(1, SeqCst);
        stubs::yield_now();
    }
}

fn uncharged_calls(t: &mut World) -> bool {
    COUNT.store(0, SeqCst);
    TARGET.store(0, SeqCst);
    // Turns that are charged in small parts, and a thread that stops and starts it in the middle of them.
    let caller = t.thread_with_args(100, sets_tls, 0, 100, 100);
    let stopper = t.thread_with_args(101, suspends, caller.tcb.0, 100, 1013);
    for _ in 0..100 {
        t.sleep_us(2 * MS);
    }
    stop(&[stopper, caller]);
    let r = w::invoke(caller.sc, label::SCHED_CONTEXT_CONSUMED, &[], &[]);
    let used = r.map_or(0, |r| r.mrs[0]);
    let (calls, rounds) = (COUNT.load(SeqCst), TARGET.load(SeqCst));
    say!("root-test:   {calls} calls and {rounds} stops in 200 ms, {used} us charged");
    calls > 1000 && rounds > 100 && used > 150 * MS
}
