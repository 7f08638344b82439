//! The extensions: Timer objects and the Trace capability.
use super::args::{Args, Invoked, Outcome, Stop, signal_argument};
use crate::cap::Cap;
use crate::delete;
use crate::machine::{Machine, record};
use crate::ptr::Ptr;
use crate::slot;
use crate::time::MIN_BUDGET_US;
use crate::timer::Timer;
use crate::trace::class_of;
use sel4_sys::ext;

/// Invokes a timer.
pub fn invoke_timer<M: Machine>(m: M, args: &Args, timer: Ptr<Timer>) -> Invoked {
    let n = m.node();
    match args.label {
        ext::TIMER_BIND => {
            let (src, cap) = signal_argument(args, 0)?;
            delete::delete_simple(m, timer.slot());
            slot::insert(cap, src, timer.slot());
        }
        ext::TIMER_UNBIND => delete::delete_simple(m, timer.slot()),
        ext::TIMER_ARM => {
            args.need(2, 0)?;
            // A shorter period would leave no time between two interrupts: its holder could stop the machine.
            let shortest = n.us_to_ticks(MIN_BUDGET_US);
            if (1..shortest).contains(&args.word(1)) {
                return Err(Stop::Range { min: shortest, max: u64::MAX });
            }
            n.timers.remove(timer);
            timer.deadline.set(args.word(0));
            timer.period.set(args.word(1));
            n.timers.insert(timer);
            n.reprogram.set(true);
        }
        ext::TIMER_CANCEL => {
            n.timers.remove(timer);
            n.reprogram.set(true);
        }
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
            record(m, class_of(event as u16) & 63, event as u16, arg0 as u16, arg1);
            Ok(Outcome::Done)
        }
        ext::TRACE_INFO => {
            let [bytes, written, mask] = m.node().trace.info();
            Ok(Outcome::Words([bytes, written, mask, 0], 3))
        }
        _ => Err(Stop::IllegalOperation),
    }
}
