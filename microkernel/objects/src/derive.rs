//! Capabilities made from others: copies, with fewer rights, with a badge or a guard.
use crate::cap::Cap;
use crate::object::Slot;
use crate::ptr::Ptr;
use crate::slot;
use sel4_sys::{Badge, CNodeCapData, CapRights, Error};

/// The capability that a copy of `cap` in `from` would be; some kinds cannot be copied, or not now.
pub fn derive(from: Ptr<Slot>, cap: Cap) -> Result<Cap, Error> {
    Ok(match cap {
        Cap::Untyped { .. } if slot::first_child(from).is_some() => return Err(Error::RevokeFirst),
        Cap::Zombie { .. } | Cap::IrqControl => Cap::Null,
        Cap::Frame { base, size, device, rights, .. } => {
            Cap::Frame { base, size, device, rights, mapping: None }
        }
        // Copies of an unmapped table or address space would be mappable twice.
        Cap::PageTable { mapping: None, .. } | Cap::VSpace { asid: None, .. } => {
            return Err(Error::IllegalOperation);
        }
        other => other,
    })
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

/// How a capability comes by a badge or a guard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Giving {
    /// A copy of it is minted.
    Mint,
    /// It is moved, and keeps the badge that it has.
    Mutate,
}

/// The capability with a badge or a guard; null where that is not allowed.
pub fn with_data(cap: Cap, data: u64, giving: Giving) -> Cap {
    match cap {
        // A badge is given once, when the capability is minted, and never changes.
        Cap::Endpoint { ep, badge: Badge(0), rights } if giving == Giving::Mint => {
            Cap::Endpoint { ep, badge: Badge(data), rights }
        }
        Cap::Notification { ntfn, badge: Badge(0), rights } if giving == Giving::Mint => {
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
