//! Invocations: arguments, errors, and the dispatch on the invoked capability.
use crate::arch::registers::{CAP, INFO};
use crate::cap::Cap;
use crate::cspace;
use crate::fault;
use crate::fault_message;
use crate::ipc::{self, SendOptions};
use crate::machine::Machine;
use crate::message;
use crate::notify;
use crate::object::{Fault, LookupFailure, Slot, Tcb, ThreadState};
use crate::ptr::Ptr;
use crate::sched::set_state;
use sel4_sys::{CapRights, Error, MessageInfo, label};

mod arch;
pub mod args;
mod cnode;
mod debug;
mod irq_handler;
#[cfg(test)]
mod new_memory_tests;
mod sched_context;
mod tcb;
mod timer;
mod untyped;
mod vspace;

use args::{Args, CapSlots, Invoked, Mode, Outcome, Stop, extra_caps};

/// Invokes the capability at `cptr` with the current thread's message.
#[inline(always)]
pub fn invoke<M: Machine>(m: M, cptr: u64, mode: Mode) {
    let n = m.node();
    let tcb = n.current();
    let info = MessageInfo(tcb.regs.get(INFO));
    let (slot, cap) = match cspace::lookup(tcb, cptr) {
        Ok(found) => found,
        Err(failure) => return not_found(m, tcb, mode, cptr, failure),
    };
    let caps = match extra_caps(tcb, info) {
        Ok(caps) => caps,
        Err((addr, failure)) => return lookup_failed(m, tcb, mode, addr, failure),
    };
    if let Some((ep, badge, rights)) = cap.as_endpoint()
        && rights.contains(CapRights::WRITE)
    {
        ipc::send(
            m,
            tcb,
            ep,
            SendOptions {
                blocking: mode.blocking,
                call: mode.call,
                badge,
                can_grant: rights.contains(CapRights::GRANT),
                can_grant_reply: rights.contains(CapRights::GRANT_REPLY),
                can_donate: mode.can_donate,
            },
        );
    } else if let Some((ntfn, badge, rights)) = cap.as_notification()
        && rights.contains(CapRights::WRITE)
    {
        notify::signal(m, ntfn, badge);
        if mode.call {
            message::set_reply(tcb, 0, &[]);
        }
    } else if let Some((reply, can_grant)) = cap.as_reply() {
        ipc::reply(m, tcb, reply, can_grant);
        if mode.call && tcb.state.get() == ThreadState::Running {
            message::set_reply(tcb, 0, &[]);
        }
    } else {
        invoke_object(m, tcb, info, mode, slot, caps);
    }
}

/// [`invoke`], out of line: a combined call that does not begin with an answer.
#[cold]
pub fn invoke_other<M: Machine>(m: M, cptr: u64, mode: Mode) {
    invoke(m, cptr, mode);
}

/// An empty slot is an invalid capability; anything else that cannot be resolved is a fault.
#[cold]
fn not_found<M: Machine>(m: M, tcb: Ptr<Tcb>, mode: Mode, cptr: u64, failure: LookupFailure) {
    if !matches!(cspace::lookup_slot(tcb, cptr), Ok(slot) if slot.is_empty()) {
        return lookup_failed(m, tcb, mode, cptr, failure);
    }
    // As with any capability, a capability argument that leads nowhere comes first.
    match extra_caps(tcb, MessageInfo(tcb.regs.get(INFO))) {
        Ok(_) => refuse(tcb, mode, Stop::InvalidCapability(0)),
        Err((addr, failure)) => lookup_failed(m, tcb, mode, addr, failure),
    }
}

#[cold]
fn lookup_failed<M: Machine>(m: M, tcb: Ptr<Tcb>, mode: Mode, addr: u64, failure: LookupFailure) {
    if mode.blocking {
        fault::handle(m, tcb, Fault::Cap { addr, in_recv_phase: false, failure });
    }
}

#[inline(never)]
fn invoke_object<M: Machine>(
    m: M,
    tcb: Ptr<Tcb>,
    info: MessageInfo,
    mode: Mode,
    slot: Ptr<Slot>,
    caps: CapSlots,
) {
    let n = m.node();
    let cap = slot.cap();
    if mode.first_phase
        && matches!(
            cap,
            Cap::Tcb { .. }
                | Cap::CNode { .. }
                | Cap::Domain
                | Cap::SchedContext { .. }
                | Cap::SchedControl { .. }
        )
    {
        return;
    }
    let args = Args::new(tcb, info, slot, caps, mode.call);
    if args.label != label::CNODE_CANCEL_BADGED_SENDS {
        // Whatever was interrupted before is not made again.
        tcb.cancelling.take();
    }
    set_state(n, tcb, ThreadState::Restart);
    match dispatch(m, &args, cap) {
        Ok(outcome) => {
            // A thread that stopped or deleted itself gets no answer: it makes the call again when it is resumed.
            if tcb.state.get() != ThreadState::Restart {
                return;
            }
            set_state(n, tcb, ThreadState::Running);
            match outcome {
                _ if !mode.call => {}
                // A caller whose answer is made later, and cut short, finds success without words.
                Outcome::Done | Outcome::Later => message::set_reply(tcb, 0, &[]),
                Outcome::Words(words, n) => message::set_reply(tcb, 0, &words[..n]),
                Outcome::Written(n) => {
                    tcb.regs.set(CAP, 0);
                    tcb.regs.set(INFO, MessageInfo::new(0, 0, 0, n as u64).0);
                }
            }
        }
        // The state stays `Restart`: the thread makes the invocation again.
        Err(Stop::Preempted) => {}
        Err(stop) => {
            set_state(n, tcb, ThreadState::Running);
            refuse(tcb, mode, stop);
        }
    }
}

#[inline(always)]
fn dispatch<M: Machine>(m: M, args: &Args, cap: Cap) -> Invoked {
    let n = m.node();
    match cap {
        Cap::Untyped { .. } => untyped::invoke(m, args, cap),
        Cap::CNode { .. } => cnode::invoke(m, args),
        Cap::Tcb { tcb } => tcb::invoke(m, args, tcb),
        Cap::SchedContext { sc, .. } => sched_context::invoke_context(n, args, sc),
        Cap::SchedControl { .. } => sched_context::invoke_control(n, args),
        Cap::Domain => sched_context::invoke_domain(n, args),
        Cap::IrqControl => irq_handler::invoke_control(m, args),
        Cap::IrqHandler { irq } => irq_handler::invoke_handler(m, args, irq),
        Cap::Timer { timer } => timer::invoke_timer(m, args, timer),
        Cap::Trace => timer::invoke_trace(m, args),
        Cap::Debug => debug::invoke(m, args),
        Cap::Ports(ports) => arch::ports::invoke(m, args, ports),
        Cap::Frame { .. }
        | Cap::PageTable { .. }
        | Cap::VSpace { .. }
        | Cap::AsidControl
        | Cap::AsidPool { .. } => vspace::invoke(m, args, cap),
        Cap::Endpoint { .. } | Cap::Notification { .. } | Cap::Reply { .. } | Cap::Null | Cap::Zombie(_) => {
            Err(Stop::InvalidCapability(0))
        }
    }
}

#[cold]
#[inline(never)]
fn refuse(tcb: Ptr<Tcb>, mode: Mode, stop: Stop) {
    if !mode.call {
        return;
    }
    let mut words = [0; 5];
    let (error, count) = match stop {
        Stop::InvalidArgument(n) => (Error::InvalidArgument, one(&mut words, n)),
        Stop::InvalidCapability(n) => (Error::InvalidCapability, one(&mut words, n)),
        Stop::IllegalOperation | Stop::Preempted => (Error::IllegalOperation, 0),
        Stop::Range { min, max } => {
            words[..2].copy_from_slice(&[min, max]);
            (Error::RangeError, 2)
        }
        Stop::Alignment => (Error::AlignmentError, 0),
        Stop::FailedLookup { source, failure } => {
            let (lookup, length) = fault_message::lookup_words(failure);
            words[0] = source.into();
            words[1..=length].copy_from_slice(&lookup[..length]);
            (Error::FailedLookup, 1 + length)
        }
        Stop::Truncated => (Error::TruncatedMessage, 0),
        Stop::DeleteFirst => (Error::DeleteFirst, 0),
        Stop::RevokeFirst => (Error::RevokeFirst, 0),
        Stop::NotEnoughMemory { left } => (Error::NotEnoughMemory, one(&mut words, left)),
    };
    message::set_reply(tcb, error as u64, &words[..count]);
}

fn one(words: &mut [u64; 5], value: u64) -> usize {
    words[0] = value;
    1
}
