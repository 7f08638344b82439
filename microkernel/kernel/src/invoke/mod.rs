//! Invocations: arguments, errors, and the dispatch on the invoked capability.
use crate::arch;
use crate::cspace;
use crate::fault;
use crate::ipc::{self, SendOptions};
use crate::message::{self, Buffer};
use crate::node::node;
use crate::notify;
use crate::sched::set_state;
use axiom_objects::cap::Packed;
use axiom_objects::object::{Fault, LookupFailure, Tcb, ThreadState};
use axiom_objects::registers::INFO;
use axiom_objects::{Cap, Ptr, Slot};
use sel4_sys::{CapRights, Error, MessageInfo};

mod cnode;
mod irq;
mod sched;
mod tcb;
mod timer;
mod untyped;

/// The invocation stopped half way because something more urgent waits; the thread makes it again.
#[derive(Clone, Copy, Debug)]
pub struct Preempted;

/// Why an invocation did not happen.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub enum Stop {
    InvalidArgument(u64),
    InvalidCapability(u64),
    IllegalOperation,
    Range { min: u64, max: u64 },
    Alignment,
    FailedLookup { source: bool, failure: LookupFailure },
    Truncated,
    DeleteFirst,
    RevokeFirst,
    NotEnoughMemory { left: u64 },
    Preempted,
}

impl From<Preempted> for Stop {
    fn from(_: Preempted) -> Stop {
        Stop::Preempted
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        match error {
            Error::RevokeFirst => Stop::RevokeFirst,
            Error::DeleteFirst => Stop::DeleteFirst,
            _ => Stop::IllegalOperation,
        }
    }
}

/// What an invocation answers a caller.
pub enum Outcome {
    /// Success without words.
    Done,
    /// Success with up to four words.
    Words([u64; 4], usize),
    /// Success; the message registers are written already.
    Written(usize),
    /// The thread does not return now, or its answer is made later.
    Later,
}

/// The result of an invocation.
pub type Invoked = Result<Outcome, Stop>;

/// The arguments of an invocation: the current thread's message.
pub struct Args {
    /// The invoking thread.
    pub tcb: Ptr<Tcb>,
    /// Label of the message.
    pub label: u64,
    /// The slot of the invoked capability.
    pub slot: Ptr<Slot>,
    length: usize,
    buffer: Option<Buffer>,
    caps: [Option<Ptr<Slot>>; 3],
}

impl Args {
    /// Argument word `index`; the caller checked [`Args::need`].
    pub fn word(&self, index: usize) -> u64 {
        message::mr(self.tcb, self.buffer, index)
    }

    /// Words in the message.
    pub fn words(&self) -> usize {
        self.length
    }

    /// Refuses messages that are too short.
    pub fn need(&self, words: usize, caps: usize) -> Result<(), Stop> {
        if self.length < words || (caps > 0 && self.caps[caps - 1].is_none()) {
            Err(Stop::Truncated)
        } else {
            Ok(())
        }
    }

    /// Capability argument `index`; the caller checked [`Args::need`].
    pub fn cap_slot(&self, index: usize) -> Result<Ptr<Slot>, Stop> {
        self.caps[index].ok_or(Stop::Truncated)
    }

    /// Writes an answer word.
    pub fn answer(&self, index: usize, value: u64) -> bool {
        message::set_mr(self.tcb, message::buffer(self.tcb, true), index, value)
    }
}

/// How a system call invokes.
#[derive(Clone, Copy)]
pub struct Mode {
    /// The caller waits for an answer.
    pub call: bool,
    /// The caller waits for a partner, and hears of faults.
    pub blocking: bool,
    /// Its scheduling context may go along.
    pub can_donate: bool,
    /// A receive follows in the same call: what could stop or change the thread itself is refused.
    pub first_phase: bool,
}

/// Invokes the capability at `cptr` with the current thread's message.
#[inline(always)]
pub fn invoke(cptr: u64, mode: Mode) {
    let tcb = node().current();
    let info = MessageInfo(tcb.regs.get(INFO));
    let (slot, cap) = match cspace::lookup(tcb, cptr) {
        Ok(found) => found,
        Err(failure) => return not_found(tcb, mode, cptr, failure),
    };
    let caps = match extra_caps(tcb, info) {
        Ok(caps) => caps,
        Err((addr, failure)) => return lookup_failed(tcb, mode, addr, failure),
    };
    if let Some((ep, badge, rights)) = cap.as_endpoint()
        && rights.contains(CapRights::WRITE)
    {
        ipc::send(
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
        notify::signal(ntfn, badge);
        if mode.call {
            message::set_reply(tcb, 0, &[]);
        }
    } else if let Some((reply, can_grant)) = cap.as_reply() {
        ipc::reply(tcb, reply, can_grant);
        if mode.call && tcb.state.get() == ThreadState::Running {
            message::set_reply(tcb, 0, &[]);
        }
    } else {
        invoke_object(tcb, info, mode, slot, caps);
    }
}

/// [`invoke`], out of line: a combined call that does not begin with an answer.
#[cold]
pub fn invoke_other(cptr: u64, mode: Mode) {
    invoke(cptr, mode);
}

/// An empty slot is an invalid capability; anything else that cannot be resolved is a fault.
#[cold]
fn not_found(tcb: Ptr<Tcb>, mode: Mode, cptr: u64, failure: LookupFailure) {
    if matches!(cspace::lookup_slot(tcb, cptr), Ok(slot) if slot.is_empty()) {
        refuse(tcb, mode, Stop::InvalidCapability(0));
    } else {
        lookup_failed(tcb, mode, cptr, failure);
    }
}

/// The slots that the message's capability pointers name. One that leads nowhere is a fault of the sender, whatever it
/// invokes.
#[inline(always)]
fn extra_caps(tcb: Ptr<Tcb>, info: MessageInfo) -> Result<[Option<Ptr<Slot>>; 3], (u64, LookupFailure)> {
    let mut slots = [None; 3];
    if info.extra_caps() > 0
        && let Some(buffer) = message::buffer(tcb, false)
    {
        for (i, slot) in slots.iter_mut().enumerate().take(info.extra_caps()) {
            let cptr = message::extra_cap(buffer, i);
            *slot = Some(cspace::lookup_slot(tcb, cptr).map_err(|failure| (cptr, failure))?);
        }
    }
    Ok(slots)
}

#[cold]
fn lookup_failed(tcb: Ptr<Tcb>, mode: Mode, addr: u64, failure: LookupFailure) {
    if mode.blocking {
        fault::handle(tcb, Fault::Cap { addr, in_recv_phase: false, failure });
    }
}

#[inline(never)]
fn invoke_object(
    tcb: Ptr<Tcb>,
    info: MessageInfo,
    mode: Mode,
    slot: Ptr<Slot>,
    caps: [Option<Ptr<Slot>>; 3],
) {
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
    let buffer = message::buffer(tcb, false);
    let mut args = Args {
        tcb,
        label: info.label(),
        slot,
        length: info.length().min(sel4_sys::message::MAX_LENGTH),
        buffer,
        caps,
    };
    if buffer.is_none() {
        args.length = args.length.min(sel4_sys::message::FAST_REGISTERS);
    }
    set_state(tcb, ThreadState::Restart);
    match dispatch(&args, cap) {
        Ok(outcome) => {
            // A thread that stopped or deleted itself gets no answer: it makes the call again when it is resumed.
            if tcb.state.get() != ThreadState::Restart {
                return;
            }
            set_state(tcb, ThreadState::Running);
            match outcome {
                Outcome::Later => {}
                _ if !mode.call => {}
                Outcome::Done => message::set_reply(tcb, 0, &[]),
                Outcome::Words(words, n) => message::set_reply(tcb, 0, &words[..n]),
                Outcome::Written(n) => {
                    tcb.regs.set(axiom_objects::registers::CAP, 0);
                    tcb.regs.set(INFO, MessageInfo::new(0, 0, 0, n as u64).0);
                }
            }
        }
        // The state stays `Restart`: the thread makes the invocation again.
        Err(Stop::Preempted) => {}
        Err(stop) => {
            set_state(tcb, ThreadState::Running);
            refuse(tcb, mode, stop);
        }
    }
}

fn dispatch(args: &Args, cap: Cap) -> Invoked {
    match cap {
        Cap::Untyped { .. } => untyped::invoke(args, cap),
        Cap::CNode { .. } => cnode::invoke(args),
        Cap::Tcb { tcb } => tcb::invoke(args, tcb),
        Cap::SchedContext { sc, .. } => sched::invoke_context(args, sc),
        Cap::SchedControl { .. } => sched::invoke_control(args),
        Cap::Domain => sched::invoke_domain(args),
        Cap::IrqControl => irq::invoke_control(args),
        Cap::IrqHandler { irq } => irq::invoke_handler(args, irq),
        Cap::Timer { timer } => timer::invoke_timer(args, timer),
        Cap::Trace => timer::invoke_trace(args),
        Cap::Frame { .. }
        | Cap::PageTable { .. }
        | Cap::VSpace { .. }
        | Cap::AsidControl
        | Cap::AsidPool { .. } => arch::vspace::invoke(args, cap),
        Cap::Endpoint { .. }
        | Cap::Notification { .. }
        | Cap::Reply { .. }
        | Cap::Null
        | Cap::Zombie { .. } => Err(Stop::InvalidCapability(0)),
    }
}

#[cold]
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
            let (lookup, length) = fault::lookup_words(failure);
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

/// The slot at `index`, `depth` bits below `root`.
pub fn target_slot(root: Packed, index: u64, depth: u64, source: bool) -> Result<Ptr<Slot>, Stop> {
    if root.as_cnode().is_none() {
        return Err(Stop::FailedLookup { source, failure: LookupFailure::InvalidRoot });
    }
    if !(1..=64).contains(&depth) {
        return Err(Stop::Range { min: 1, max: 64 });
    }
    match cspace::resolve(root, index, depth as u32) {
        Ok((slot, 0)) => Ok(slot),
        Ok((_, bits_left)) => {
            let failure = LookupFailure::DepthMismatch { bits_left, bits_found: 0 };
            Err(Stop::FailedLookup { source, failure })
        }
        Err(failure) => Err(Stop::FailedLookup { source, failure }),
    }
}

/// Refuses an occupied slot.
pub fn ensure_empty(slot: Ptr<Slot>) -> Result<(), Stop> {
    if slot.is_empty() { Ok(()) } else { Err(Stop::DeleteFirst) }
}

/// The notification in capability argument 0, with the right to signal it.
pub fn signal_argument(args: &Args, argument: u64) -> Result<(Ptr<Slot>, Cap), Stop> {
    args.need(0, 1)?;
    let slot = args.cap_slot(0)?;
    match slot.cap() {
        cap @ Cap::Notification { rights, .. } if rights.contains(CapRights::WRITE) => Ok((slot, cap)),
        _ => Err(Stop::InvalidCapability(argument)),
    }
}
