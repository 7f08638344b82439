//! The extensions: Timer objects and the Trace capability.
use super::args::{Args, Invoked, Outcome, Stop, signal_argument};
use crate::cap::Cap;
use crate::delete;
use crate::machine::{Machine, record, record_phase};
use crate::node::Node;
use crate::object::{SchedContext, Timer};
use crate::ptr::Ptr;
use crate::sched;
use crate::slot;
use crate::time::MIN_BUDGET_US;
use crate::trace::{class, is_phase};
use sel4_sys::ext;

/// Invokes a timer.
pub fn invoke_timer<M: Machine>(m: M, args: &Args, timer: Ptr<Timer>) -> Invoked {
    let n = m.node();
    match args.label {
        ext::TIMER_BIND => {
            let (src, cap) = signal_argument(args, 0)?;
            delete::delete(m, timer.slot())?;
            slot::insert(cap, src, timer.slot());
        }
        ext::TIMER_UNBIND => delete::delete(m, timer.slot())?,
        ext::TIMER_ARM => {
            args.need(2, 0)?;
            // A shorter period would leave no time between two interrupts: its holder could stop the machine.
            let shortest = n.us_to_ticks(MIN_BUDGET_US);
            if (1..shortest).contains(&args.word(1)) {
                return Err(Stop::Range { min: shortest, max: u64::MAX });
            }
            let sc = payer(n, args)?;
            n.emptied(n.accounts.arm(timer, sc, args.word(0), args.word(1)));
            n.reprogram.set(true);
        }
        ext::TIMER_CANCEL => n.emptied(n.accounts.disarm(timer)),
        ext::TIMER_READ => {
            let words = [
                timer.expirations.replace(0),
                timer.overruns.replace(0),
                timer.last_deadline.get(),
                timer.last_seen.get(),
            ];
            return Ok(Outcome::Words(words, 4));
        }
        _ => return Err(Stop::IllegalOperation),
    }
    Ok(Outcome::Done)
}

/// Who pays for a timer's expiries: the context in capability argument 0, or the one that the calling thread runs on. One that is bound to
/// no thread is served at the priority of whoever arms a timer at its cost, but for who borrows it by a call.
fn payer(n: &Node, args: &Args) -> Result<Ptr<SchedContext>, Stop> {
    let sc = match args.cap_slot(0).map(|slot| slot.cap()) {
        Ok(Cap::SchedContext { sc, .. }) if sc.is_active() => sc,
        Ok(Cap::SchedContext { .. }) => return Err(Stop::IllegalOperation),
        Ok(_) => return Err(Stop::InvalidCapability(1)),
        Err(_) => args.tcb.sc.get().ok_or(Stop::IllegalOperation)?,
    };
    let is_free = sc.tcb.get().is_none_or(|tcb| tcb == n.current()) && sc.reply.get().is_none();
    if is_free && sc.thread().is_none() {
        sched::serve_at(n, sc, n.current().priority.get());
    }
    Ok(sc)
}

/// Invokes the Trace capability.
pub fn invoke_trace<M: Machine>(m: M, args: &Args) -> Invoked {
    match args.label {
        ext::TRACE_SET_MASK => {
            args.need(1, 0)?;
            m.node().trace.set_mask(args.word(0));
            Ok(Outcome::Done)
        }
        ext::TRACE_EMIT => {
            args.need(3, 0)?;
            let (event, arg0, arg1) = (args.word(0), args.word(1), args.word(2));
            if event > 0xffff || arg0 > 0xffff {
                return Err(Stop::Range { min: 0, max: 0xffff });
            }
            // A thread given along is named as context switches name it, which its capability does not tell.
            let arg1 = match args.cap_slot(0).map(|slot| slot.cap()) {
                Ok(Cap::Tcb { tcb }) => tcb.addr() as u32,
                Ok(_) => return Err(Stop::InvalidCapability(1)),
                Err(_) => arg1 as u32,
            };
            let (event, arg0) = (event as u16, arg0 as u16);
            if is_phase(event) {
                record_phase(m, event, arg0, arg1);
            } else {
                record(m, class::of(event) & 63, event, arg0, arg1);
            }
            Ok(Outcome::Done)
        }
        ext::TRACE_INFO => {
            let [bytes, written, mask] = m.node().trace.info();
            Ok(Outcome::Words([bytes, written, mask, 0], 3))
        }
        _ => Err(Stop::IllegalOperation),
    }
}
