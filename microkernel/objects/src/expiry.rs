//! Serving timers that are due: at the priority of whose context pays, on its budget, one expiry at a time.
//!
//! An account that is due stands among the ready threads as its own thread would ([`sched::next_account`]). While it is served, time
//! is charged to its context: the first expiry pays for the interrupt that announced it. Between two expiries everything that may be
//! more urgent is looked at: other accounts, threads that became ready, interrupts. So a timer delays nobody above its owner by more
//! than one expiry, however many there are; and an owner without budget gets its expiries late, as overruns.
use crate::interrupt;
use crate::machine::{Machine, record};
use crate::notify;
use crate::object::SchedContext;
use crate::ptr::Ptr;
use crate::sched;
use crate::trace::class;
use sel4_sys::CapRights;
use sel4_sys::ext::event;

/// Serves one expiry of the account that comes before whoever would run otherwise; false if there is none. `again`: not the first
/// in this pass through the kernel.
#[inline(never)]
pub fn serve<M: Machine>(m: M, again: bool) -> bool {
    let n = m.node();
    if again {
        look_around(m);
    }
    let Some(sc) = sched::take_account(n) else { return false };
    // Until here, the time was that of whoever ran, or was served before.
    if n.current_sc.get() != Some(sc) {
        sched::commit_time(n);
        sched::take_over(n, sc);
    }
    if sc.is_ready(n.now.get(), n.slack.get()) && sc.is_sufficient(n.consumed.get(), n.min_budget.get()) {
        expire(m, sc);
    } else {
        sched::commit_time(n);
    }
    sched::place(n, sc);
    true
}

/// Between two expiries: the one before is charged, interrupts are taken, and accounts whose time has come are due.
#[cold]
#[inline(never)]
fn look_around<M: Machine>(m: M) {
    sched::update_timestamp(m);
    if m.interrupt_pending() {
        interrupt::handle_pending(m);
    }
    sched::mark_due(m.node());
}

#[inline(always)]
fn expire<M: Machine>(m: M, sc: Ptr<SchedContext>) {
    let n = m.node();
    let Some(timer) = n.accounts.expire(sc, n.now.get()) else { return };
    record(m, class::TIMER, event::TIMER, 0, timer.addr() as u32);
    if let Some((ntfn, badge, rights)) = timer.slot().packed().as_notification()
        && rights.contains(CapRights::WRITE)
    {
        notify::signal(m, ntfn, badge);
    }
}
