//! The kernel's other operations: signals, switching threads, mapping pages.
use super::memory::Series;
use super::report::Report;
use super::threads::Resources;
use crate::text;
use axiom_runtime::sel4::object::kind;
use axiom_runtime::sel4::{CPtr, Error, stubs};
use axiom_runtime::{Frame, Notification, Runtime, time};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

const SAMPLES: usize = 100;

/// Measures them.
pub fn measure(_rt: &Runtime, resources: &mut Resources, report: &mut Report) {
    for (name, result) in [
        ("notification", signals(resources, report)),
        ("context_switch", switches(resources, report)),
        ("page", pages(resources, report)),
    ] {
        if let Err(error) = result {
            report.missing(name, &text!("{error:?}"));
        }
    }
}

static WOKEN: AtomicU64 = AtomicU64::new(0);

extern "C" fn waiter(ntfn: u64) -> ! {
    loop {
        stubs::wait(CPtr(ntfn));
        WOKEN.store(time::cycles(), Relaxed);
    }
}

fn signals(resources: &mut Resources, report: &mut Report) -> Result<(), Error> {
    let ntfn = Notification(resources.make(kind::NOTIFICATION, 0)?);
    let (mut signal, mut poll) = (Series::<_, SAMPLES>::new(), Series::<_, SAMPLES>::new());
    for _ in 0..SAMPLES {
        let a = time::cycles();
        ntfn.signal();
        let b = time::cycles();
        ntfn.poll();
        let c = time::cycles();
        signal.push(b.wrapping_sub(a));
        poll.push(c.wrapping_sub(b));
    }
    report.cycles("notification.signal", signal.iter().copied());
    report.cycles("notification.poll", poll.iter().copied());
    let priority = resources.priority().ok_or(Error::InvalidArgument)?;
    resources.set_own_priority(priority - 1)?;
    let thread = resources.thread(priority, waiter, ntfn.0.0)?;
    ntfn.signal();
    let mut samples = Series::<_, SAMPLES>::new();
    for _ in 0..SAMPLES {
        let start = time::cycles();
        ntfn.signal();
        samples.push(WOKEN.load(Relaxed).wrapping_sub(start));
    }
    thread.tcb.suspend()?;
    resources.set_own_priority(priority)?;
    report.cycles("notification.signal_to_higher_priority_waiter", samples.iter().copied());
    Ok(())
}

static YIELDS: [AtomicU64; SAMPLES] = [const { AtomicU64::new(0) }; SAMPLES];
static DONE: AtomicU64 = AtomicU64::new(0);
static NEVER: AtomicU64 = AtomicU64::new(0);
static THROUGH: AtomicU64 = AtomicU64::new(0);

/// Yields, timed. Runs as a thread whose budget is its period: yielding gives up a turn, not the rest of a period's time.
extern "C" fn timed_yielder(_: u64) -> ! {
    stubs::yield_now();
    for sample in &YIELDS {
        sample.store(timed(stubs::yield_now), Relaxed);
    }
    THROUGH.store(1, Relaxed);
    stubs::signal(CPtr(DONE.load(Relaxed)));
    stay()
}

/// The partner yields until the other is through: it runs above the thread that waits for the result.
extern "C" fn yielder(_: u64) -> ! {
    while THROUGH.load(Relaxed) == 0 {
        stubs::yield_now();
    }
    stay()
}

/// Waits for a signal that nobody sends, until the thread is suspended.
fn stay() -> ! {
    loop {
        stubs::wait(CPtr(NEVER.load(Relaxed)));
    }
}

fn switches(resources: &mut Resources, report: &mut Report) -> Result<(), Error> {
    let priority = resources.priority().ok_or(Error::InvalidArgument)?;
    for (name, others, switches) in [("yield.nobody_else_ready", 0, 1), ("context_switch.by_yield", 1, 2)] {
        let done = Notification(resources.make(kind::NOTIFICATION, 0)?);
        DONE.store(done.0.0, Relaxed);
        NEVER.store(resources.make(kind::NOTIFICATION, 0)?.0, Relaxed);
        THROUGH.store(0, Relaxed);
        // Both threads run above this one, which goes on when the first is through.
        resources.set_own_priority(priority - 1)?;
        let partner = if others > 0 { Some(resources.thread(priority - 1, yielder, 0)?) } else { None };
        let thread = resources.thread(priority - 1, timed_yielder, 0)?;
        resources.set_own_priority(priority - 2)?;
        done.wait();
        thread.tcb.suspend()?;
        if let Some(partner) = partner {
            partner.tcb.suspend()?;
        }
        resources.set_own_priority(priority)?;
        // With a partner each yield is two switches: to it, and back.
        report.cycles(name, YIELDS.iter().map(|s| s.load(Relaxed) / switches));
    }
    Ok(())
}

fn timed(f: impl FnOnce()) -> u64 {
    let start = time::cycles();
    f();
    time::cycles().wrapping_sub(start)
}

fn pages(resources: &mut Resources, report: &mut Report) -> Result<(), Error> {
    let frame = Frame(resources.make(kind::SMALL_PAGE, 0)?);
    let at = resources.pages.take(1).ok_or(Error::NotEnoughMemory)?;
    let (mut map, mut unmap) = (Series::<_, SAMPLES>::new(), Series::<_, SAMPLES>::new());
    for _ in 0..SAMPLES {
        let a = time::cycles();
        frame.map_data(at, true)?;
        let b = time::cycles();
        frame.unmap()?;
        let c = time::cycles();
        map.push(b.wrapping_sub(a));
        unmap.push(c.wrapping_sub(b));
    }
    report.cycles("page.map", map.iter().copied());
    report.cycles("page.unmap", unmap.iter().copied());
    Ok(())
}
