//! CNode invocations: copy, mint, move, mutate, rotate, delete, revoke, cancel badged sends.
use super::args::{Args, Invoked, Outcome, Stop, ensure_empty, target_slot};
use crate::cap::Cap;
use crate::delete;
use crate::derive::{Giving, derive, mask_rights, with_data};
use crate::machine::Machine;
use crate::object::{LookupFailure, Slot};
use crate::preempt::preemption_point;
use crate::ptr::Ptr;
use crate::slot;
use crate::waiting;
use sel4_sys::{CapRights, label};

/// Invokes a CNode capability.
pub fn invoke<M: Machine>(m: M, args: &Args) -> Invoked {
    if !(label::CNODE_REVOKE..=label::CNODE_ROTATE).contains(&args.label) {
        return Err(Stop::IllegalOperation);
    }
    args.need(2, 0)?;
    let dest = target_slot(args.slot.packed(), args.word(0), args.word(1), false)?;
    match args.label {
        label::CNODE_COPY | label::CNODE_MINT | label::CNODE_MOVE | label::CNODE_MUTATE => {
            transfer(args, dest)
        }
        label::CNODE_REVOKE => delete::revoke(m, dest).map(|()| Outcome::Done).map_err(Stop::from),
        label::CNODE_DELETE => delete::delete(m, dest).map(|()| Outcome::Done).map_err(Stop::from),
        label::CNODE_CANCEL_BADGED_SENDS => cancel_badged(m, args, dest),
        _ => rotate(args, dest),
    }
}

fn source(args: &Args, cap: usize, index: usize) -> Result<Ptr<Slot>, Stop> {
    let depth = args.word(index + 1);
    let slot = target_slot(args.cap_slot(cap)?.packed(), args.word(index), depth, true)?;
    if slot.is_empty() {
        let failure = LookupFailure::Missing { bits_left: depth as u32 };
        return Err(Stop::FailedLookup { source: true, failure });
    }
    Ok(slot)
}

fn transfer(args: &Args, dest: Ptr<Slot>) -> Invoked {
    args.need(4, 1)?;
    ensure_empty(dest)?;
    let src = source(args, 0, 2)?;
    let cap = src.cap();
    let (cap, moves) = match args.label {
        label::CNODE_COPY => {
            args.need(5, 1)?;
            (derive(src, mask_rights(cap, CapRights(args.word(4))))?, false)
        }
        label::CNODE_MINT => {
            args.need(6, 1)?;
            let masked = mask_rights(cap, CapRights(args.word(4)));
            (derive(src, with_data(masked, args.word(5), Giving::Mint))?, false)
        }
        label::CNODE_MOVE => (cap, true),
        _ => {
            args.need(5, 1)?;
            (with_data(cap, args.word(4), Giving::Mutate), true)
        }
    };
    if cap == Cap::Null {
        return Err(Stop::IllegalOperation);
    }
    if moves {
        slot::move_to(cap, src, dest);
    } else {
        slot::insert(cap, src, dest);
    }
    Ok(Outcome::Done)
}

fn rotate(args: &Args, dest: Ptr<Slot>) -> Invoked {
    args.need(8, 2)?;
    let (pivot_data, src_data) = (args.word(2), args.word(5));
    let src = target_slot(args.cap_slot(1)?.packed(), args.word(6), args.word(7), true)?;
    let pivot = target_slot(args.cap_slot(0)?.packed(), args.word(3), args.word(4), true)?;
    if pivot == src || pivot == dest {
        return Err(Stop::IllegalOperation);
    }
    if src != dest {
        ensure_empty(dest)?;
    }
    let missing = |source, depth: u64| Stop::FailedLookup {
        source,
        failure: LookupFailure::Missing { bits_left: depth as u32 },
    };
    if src.is_empty() {
        return Err(missing(true, args.word(7)));
    }
    if pivot.is_empty() {
        return Err(missing(false, args.word(4)));
    }
    let src_cap = with_data(src.cap(), src_data, Giving::Mutate);
    let pivot_cap = with_data(pivot.cap(), pivot_data, Giving::Mutate);
    if src_cap == Cap::Null || pivot_cap == Cap::Null {
        return Err(Stop::IllegalOperation);
    }
    if src == dest {
        slot::swap(src_cap, src, pivot_cap, pivot);
    } else {
        slot::move_to(pivot_cap, pivot, dest);
        slot::move_to(src_cap, src, pivot);
    }
    Ok(Outcome::Done)
}

fn cancel_badged<M: Machine>(m: M, args: &Args, dest: Ptr<Slot>) -> Invoked {
    let all = CapRights::READ_WRITE.union(CapRights::GRANT).union(CapRights::GRANT_REPLY);
    match dest.cap() {
        Cap::Endpoint { ep, badge, rights } if rights.contains(all) => {
            if badge.0 != 0 {
                let cancelling = waiting::cancellation(m.node(), args.tcb.cancelling.take(), ep, badge.0);
                while waiting::cancel_next_badged(m.node(), ep, cancelling) {
                    preemption_point(m).inspect_err(|_| args.tcb.cancelling.set(cancelling))?;
                }
            }
            Ok(Outcome::Done)
        }
        _ => Err(Stop::IllegalOperation),
    }
}
