//! CNode invocations: copy, mint, move, mutate, rotate, delete, revoke, cancel badged sends.
use super::{Args, Invoked, Outcome, Stop, ensure_empty, target_slot};
use crate::delete;
use crate::ipc;
use axiom_objects::object::LookupFailure;
use axiom_objects::{Cap, Ptr, Slot, slot};
use sel4_sys::{Badge, CNodeCapData, CapRights, label};

/// Invokes a CNode capability.
pub fn invoke(args: &Args) -> Invoked {
    if !(label::CNODE_REVOKE..=label::CNODE_ROTATE).contains(&args.label) {
        return Err(Stop::IllegalOperation);
    }
    args.need(2, 0)?;
    let dest = target_slot(args.slot.packed(), args.word(0), args.word(1), false)?;
    match args.label {
        label::CNODE_COPY | label::CNODE_MINT | label::CNODE_MOVE | label::CNODE_MUTATE => {
            transfer(args, dest)
        }
        label::CNODE_REVOKE => delete::revoke(dest).map(|()| Outcome::Done).map_err(Stop::from),
        label::CNODE_DELETE => delete::delete(dest).map(|()| Outcome::Done).map_err(Stop::from),
        label::CNODE_CANCEL_BADGED_SENDS => cancel_badged(dest),
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
            (delete::derive(src, mask_rights(cap, CapRights(args.word(4))))?, false)
        }
        label::CNODE_MINT => {
            args.need(6, 1)?;
            let masked = mask_rights(cap, CapRights(args.word(4)));
            (delete::derive(src, with_data(masked, args.word(5), false))?, false)
        }
        label::CNODE_MOVE => (cap, true),
        _ => {
            args.need(5, 1)?;
            (with_data(cap, args.word(4), true), true)
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
    let pivot = target_slot(args.cap_slot(0)?.packed(), args.word(3), args.word(4), false)?;
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
    let src_cap = with_data(src.cap(), src_data, true);
    let pivot_cap = with_data(pivot.cap(), pivot_data, true);
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

fn cancel_badged(dest: Ptr<Slot>) -> Invoked {
    let all = CapRights::READ_WRITE.union(CapRights::GRANT).union(CapRights::GRANT_REPLY);
    match dest.cap() {
        Cap::Endpoint { ep, badge, rights } if rights.contains(all) => {
            if badge.0 != 0 {
                ipc::cancel_badged(ep, badge.0)?;
            }
            Ok(Outcome::Done)
        }
        _ => Err(Stop::IllegalOperation),
    }
}

/// The capability with at most these rights.
pub fn mask_rights(cap: Cap, mask: CapRights) -> Cap {
    match cap {
        Cap::Endpoint { ep, badge, rights } => {
            Cap::Endpoint { ep, badge, rights: CapRights(rights.0 & mask.0) }
        }
        Cap::Notification { ntfn, badge, rights } => {
            Cap::Notification { ntfn, badge, rights: CapRights(rights.0 & mask.0) }
        }
        Cap::Reply { reply, can_grant } => {
            Cap::Reply { reply, can_grant: can_grant && mask.contains(CapRights::GRANT) }
        }
        Cap::Frame { base, size, device, rights, mapping } => {
            Cap::Frame { base, size, device, rights: rights.masked(mask), mapping }
        }
        other => other,
    }
}

/// The capability with a badge or a guard; null where that is not allowed.
pub fn with_data(cap: Cap, data: u64, preserve: bool) -> Cap {
    match cap {
        // A badge is given once, when the capability is minted, and never changes.
        Cap::Endpoint { ep, badge: Badge(0), rights } if !preserve => {
            Cap::Endpoint { ep, badge: Badge(data), rights }
        }
        Cap::Notification { ntfn, badge: Badge(0), rights } if !preserve => {
            Cap::Notification { ntfn, badge: Badge(data), rights }
        }
        Cap::Endpoint { .. } | Cap::Notification { .. } => Cap::Null,
        Cap::CNode { base, radix, .. } => {
            let data = CNodeCapData(data);
            let guard_size = data.guard_size() as u32;
            if guard_size + radix > 64 {
                return Cap::Null;
            }
            let mask = if guard_size == 0 { 0 } else { u64::MAX >> (64 - guard_size) };
            Cap::CNode { base, radix, guard: data.guard() & mask, guard_size }
        }
        other => other,
    }
}
