//! Scheduling contexts, SchedControl and the domain capability.
use super::args::{Args, Invoked, Outcome, Stop};
use crate::cap::Cap;
use crate::node::Node;
use crate::object::{Place, SchedContext};
use crate::owner;
use crate::ptr::Ptr;
use crate::sched;
use crate::thread;
use crate::time::{MAX_PERIOD_US, MIN_BUDGET_US};
use sel4_sys::label;

/// Invokes a scheduling context.
pub fn invoke_context(n: &Node, args: &Args, sc: Ptr<SchedContext>) -> Invoked {
    match args.label {
        label::SCHED_CONTEXT_BIND => bind(n, args, sc),
        label::SCHED_CONTEXT_UNBIND_OBJECT => unbind_object(n, args, sc),
        label::SCHED_CONTEXT_UNBIND => {
            if sc.tcb.get() == Some(n.current()) {
                return Err(Stop::IllegalOperation);
            }
            sched::unbind_tcb(n, sc);
            owner::unbind_thread(sc);
            owner::unbind_ntfn(sc);
            if let Some(reply) = sc.reply.take() {
                reply.sc.set(None);
            }
            Ok(Outcome::Done)
        }
        label::SCHED_CONTEXT_CONSUMED => Ok(Outcome::Words([n.take_consumed(sc), 0, 0, 0], 1)),
        label::SCHED_CONTEXT_YIELD_TO => yield_to(n, sc),
        _ => Err(Stop::IllegalOperation),
    }
}

fn bind(n: &Node, args: &Args, sc: Ptr<SchedContext>) -> Invoked {
    args.need(0, 1)?;
    // A context may serve a thread and a notification at once: each kind is refused only by its own.
    match args.cap_slot(0)?.cap() {
        Cap::Tcb { tcb } => {
            if sc.tcb.get().is_some()
                || tcb.sc.get().is_some()
                || (tcb.is_blocked() && !sched::is_released(n, sc))
            {
                return Err(Stop::IllegalOperation);
            }
            sched::bind_tcb(n, sc, tcb);
        }
        Cap::Notification { ntfn, .. } => {
            if sc.ntfn().is_some() || ntfn.sc.get().is_some() {
                return Err(Stop::IllegalOperation);
            }
            owner::bind_ntfn(sc, ntfn);
        }
        _ => return Err(Stop::InvalidCapability(1)),
    }
    Ok(Outcome::Done)
}

fn unbind_object(n: &Node, args: &Args, sc: Ptr<SchedContext>) -> Invoked {
    args.need(0, 1)?;
    match args.cap_slot(0)?.cap() {
        Cap::Tcb { tcb } if sc.tcb.get() == Some(tcb) && tcb != n.current() => {
            sched::unbind_tcb(n, sc);
            Ok(Outcome::Done)
        }
        Cap::Notification { ntfn, .. } if sc.ntfn() == Some(ntfn) => {
            owner::unbind_ntfn(sc);
            Ok(Outcome::Done)
        }
        Cap::Tcb { .. } | Cap::Notification { .. } => Err(Stop::IllegalOperation),
        _ => Err(Stop::InvalidCapability(1)),
    }
}

fn yield_to(n: &Node, sc: Ptr<SchedContext>) -> Invoked {
    let current = n.current();
    let Some(target) = sc.tcb.get() else { return Err(Stop::IllegalOperation) };
    if target == current || target.priority.get() > current.mcp.get() {
        return Err(Stop::IllegalOperation);
    }
    if let Some(yielder) = sc.yield_from.get() {
        thread::complete_yield(n, yielder);
    }
    if target.is_schedulable() {
        n.dequeue(target);
        if target.priority.get() >= current.priority.get() {
            current.yield_to.set(Some(sc));
            sc.yield_from.set(Some(current));
            n.enqueue(current, true);
            n.enqueue(target, true);
            sched::reschedule(n);
            return Ok(Outcome::Later);
        }
        n.enqueue(target, true);
    }
    Ok(Outcome::Words([n.take_consumed(sc), 0, 0, 0], 1))
}

/// Invokes SchedControl.
pub fn invoke_control(n: &Node, args: &Args) -> Invoked {
    if args.label != label::SCHED_CONTROL_CONFIGURE_FLAGS {
        return Err(Stop::IllegalOperation);
    }
    args.need(5, 1)?;
    let [budget, period, extra, badge, flags] = core::array::from_fn(|i| args.word(i));
    let range = |max| Stop::Range { min: MIN_BUDGET_US, max };
    if !(MIN_BUDGET_US..=MAX_PERIOD_US).contains(&budget)
        || !(MIN_BUDGET_US..=MAX_PERIOD_US).contains(&period)
    {
        return Err(range(MAX_PERIOD_US));
    }
    if budget > period {
        return Err(range(period));
    }
    let Cap::SchedContext { sc, bits } = args.cap_slot(0)?.cap() else {
        return Err(Stop::InvalidCapability(1));
    };
    let most = SchedContext::capacity(bits);
    if extra.saturating_add(2) > u64::from(most) {
        return Err(Stop::Range { min: 0, max: u64::from(most) - 2 });
    }
    configure(n, sc, budget, period, extra as u32 + 2, badge, flags & 1 != 0);
    Ok(Outcome::Done)
}

fn configure(
    n: &Node,
    sc: Ptr<SchedContext>,
    budget: u64,
    period: u64,
    refills: u32,
    badge: u64,
    sporadic: bool,
) {
    sc.badge.set(badge);
    sc.sporadic.set(sporadic);
    let tcb = sc.tcb.get();
    if n.current_sc.get() == Some(sc) {
        // What was used so far is charged to the old parameters.
        sched::commit_time(n);
    }
    if let Some(tcb) = tcb {
        sched::release_remove(n, tcb);
        n.dequeue(tcb);
    }
    let budget_ticks = n.us_to_ticks(budget);
    let (period_ticks, refills) = if budget == period { (0, 2) } else { (n.us_to_ticks(period), refills) };
    if sc.is_active() && tcb.is_some_and(|t| t.is_runnable()) {
        sc.reconfigure(refills, budget_ticks, period_ticks, n.now.get(), n.min_budget.get());
    } else {
        sc.configure(refills, budget_ticks, period_ticks, n.now.get());
    }
    n.reprogram.set(true);
    if sc.place.get() == Place::Waiting {
        // Timers that waited for a refill may not have to any more.
        n.emptied(n.accounts.leave(sc));
        n.accounts.wait(sc, 0);
    }
    if let Some(tcb) = tcb {
        sched::settle(n, sc);
        if tcb == n.current() {
            sched::reschedule(n);
        } else if tcb.is_schedulable() {
            sched::switch_if_higher(n, tcb);
        }
    }
}

/// Entries of the domain schedule: domain 0 for ever, and the end.
const SCHEDULE: u64 = 2;
/// The longest that an entry can last.
const MAX_DURATION: u64 = u64::MAX >> 8;

/// Invokes the domain capability. There is one domain, which a schedule can only choose again.
pub fn invoke_domain(n: &Node, args: &Args) -> Invoked {
    match args.label {
        label::DOMAIN_SET => set_domain(args),
        label::DOMAIN_SCHEDULE_CONFIGURE => {
            args.need(3, 0)?;
            let (index, domain, duration) = (args.word(0), args.word(1), args.word(2));
            if index > SCHEDULE - 2 {
                return Err(Stop::Range { min: 0, max: SCHEDULE - 2 });
            }
            if domain > 0 {
                return Err(Stop::Range { min: 0, max: 0 });
            }
            // The schedule begins with this entry, so it is not the end.
            if duration > MAX_DURATION || duration == 0 {
                return Err(Stop::InvalidArgument(2));
            }
            Ok(Outcome::Done)
        }
        label::DOMAIN_SCHEDULE_SET_START => {
            args.need(1, 0)?;
            match args.word(0) {
                0 => {
                    sched::reschedule(n);
                    Ok(Outcome::Done)
                }
                index if index < SCHEDULE => Err(Stop::InvalidArgument(0)),
                _ => Err(Stop::Range { min: 0, max: SCHEDULE - 1 }),
            }
        }
        _ => Err(Stop::IllegalOperation),
    }
}

fn set_domain(args: &Args) -> Invoked {
    args.need(1, 0)?;
    if args.word(0) != 0 {
        return Err(Stop::InvalidArgument(0));
    }
    args.need(1, 1)?;
    match args.cap_slot(0)?.cap() {
        Cap::Tcb { .. } => Ok(Outcome::Done),
        _ => Err(Stop::InvalidArgument(1)),
    }
}
