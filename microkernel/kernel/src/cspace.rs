//! Capability lookup in guarded page-table-like trees of CNodes (seL4 reference manual, "Capability Space").
use axiom_objects::object::{LookupFailure, TCB_CSPACE, Tcb};
use axiom_objects::{Cap, Ptr, Slot};

const WORD_BITS: u32 = 64;

/// Resolves `depth` bits of `cptr` from `root`: the slot, and the bits that remain when a slot holds no CNode.
pub fn resolve(root: Cap, cptr: u64, depth: u32) -> Result<(Ptr<Slot>, u32), LookupFailure> {
    let mut cap = root;
    let mut bits = depth;
    if !matches!(cap, Cap::CNode { .. }) {
        return Err(LookupFailure::InvalidRoot);
    }
    loop {
        let Cap::CNode { base, radix, guard, guard_size } = cap else {
            unreachable!("the loop goes on with CNodes only");
        };
        let found = if guard_size == 0 || bits == 0 {
            0
        } else {
            let shifted = if bits >= guard_size { cptr >> (bits - guard_size) } else { cptr };
            shifted & mask(guard_size)
        };
        if guard_size > bits || (guard_size > 0 && found != guard) {
            return Err(LookupFailure::GuardMismatch { bits_left: bits, guard, guard_size });
        }
        let level = radix + guard_size;
        if level > bits {
            return Err(LookupFailure::DepthMismatch { bits_left: bits, bits_found: level });
        }
        let index = if radix == 0 { 0 } else { cptr >> (bits - level) & mask(radix) };
        // SAFETY: a CNode's memory is an array of 2^radix slots for as long as its capability exists, and the index
        // is below that.
        let slot: Ptr<Slot> = unsafe { Ptr::new(base.kernel() + index as usize * size_of::<Slot>()) };
        bits -= level;
        if bits == 0 {
            return Ok((slot, 0));
        }
        cap = slot.cap();
        if !matches!(cap, Cap::CNode { .. }) {
            return Ok((slot, bits));
        }
    }
}

const fn mask(bits: u32) -> u64 {
    if bits >= 64 { u64::MAX } else { (1 << bits) - 1 }
}

/// The slot that a thread's capability pointer names.
pub fn lookup_slot(tcb: Ptr<Tcb>, cptr: u64) -> Result<Ptr<Slot>, LookupFailure> {
    let root = tcb.slot(TCB_CSPACE).cap();
    resolve(root, cptr, WORD_BITS).map(|(slot, _)| slot)
}

/// The capability that a thread's pointer names; an empty slot is a failure.
pub fn lookup_cap(tcb: Ptr<Tcb>, cptr: u64) -> Result<(Ptr<Slot>, Cap), LookupFailure> {
    let root = tcb.slot(TCB_CSPACE).cap();
    let (slot, bits_left) = resolve(root, cptr, WORD_BITS)?;
    match slot.cap() {
        Cap::Null => Err(LookupFailure::Missing { bits_left }),
        cap => Ok((slot, cap)),
    }
}
