//! The arguments of an invocation, how it can end, and what all kinds of objects check.
use crate::arch::paging;
use crate::cap::Cap;
use crate::cspace;
use crate::machine::Machine;
use crate::message::{self, Buffer};
use crate::object::{LookupFailure, Packed, Slot, Tcb};
use crate::preempt::Preempted;
use crate::ptr::{PhysAddr, Ptr};
use crate::space;
use sel4_sys::message::{FAST_REGISTERS, MAX_LENGTH};
use sel4_sys::{CapRights, Error, MessageInfo};

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
    /// Success; the answer's words are made later, unless that is cut short.
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
    /// The thread waits for an answer.
    pub call: bool,
    length: usize,
    buffer: Option<Buffer>,
    caps: CapSlots,
}

/// The slots of a message's capability arguments.
pub type CapSlots = [Option<Ptr<Slot>>; 3];

impl Args {
    /// The arguments in the message that `info` describes.
    pub fn new(tcb: Ptr<Tcb>, info: MessageInfo, slot: Ptr<Slot>, caps: CapSlots, call: bool) -> Args {
        let buffer = message::buffer(tcb, false);
        let most = if buffer.is_some() { MAX_LENGTH } else { FAST_REGISTERS };
        Args { tcb, label: info.label(), slot, call, length: info.length().min(most), buffer, caps }
    }

    /// Argument word `index`; the caller checked [`Args::need`].
    pub fn word(&self, index: usize) -> u64 {
        message::mr(self.tcb, self.buffer, index)
    }

    /// Changes argument word `index`, for an invocation that goes on later where it stopped.
    pub fn set_word(&self, index: usize, value: u64) {
        message::set_mr(self.tcb, self.buffer, index, value);
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

    /// Writes an answer word, for who waits for one; whether it is there.
    pub fn answer(&self, index: usize, value: u64) -> bool {
        self.call && message::set_mr(self.tcb, message::buffer(self.tcb, true), index, value)
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

/// The slots that the message's capability pointers name. One that leads nowhere is a fault of the sender, whatever it
/// invokes.
#[inline(always)]
pub fn extra_caps(tcb: Ptr<Tcb>, info: MessageInfo) -> Result<CapSlots, (u64, LookupFailure)> {
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

/// Refuses an address space whose identifier has gone, or names another now; `argument` is its place among the capabilities.
#[inline(always)]
pub fn live<M: Machine>(m: M, (base, asid): (PhysAddr, u16), argument: u64) -> Result<(), Stop> {
    match space::root_of(m.shared(), asid) {
        Some(root) if root == base => Ok(()),
        Some(_) => Err(Stop::InvalidCapability(argument)),
        None => Err(Stop::FailedLookup { source: false, failure: LookupFailure::InvalidRoot }),
    }
}

/// The table at this level lacks another below it.
pub fn missing(level: u32) -> Stop {
    Stop::FailedLookup { source: false, failure: LookupFailure::Missing { bits_left: paging::shift(level) } }
}
