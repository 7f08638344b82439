//! Capability lookup in guarded page-table-like trees of CNodes (seL4 reference manual, "Capability Space").
use crate::cap::{CNodePlace, Cap};
use crate::object::{LookupFailure, Packed, Slot, TCB_CSPACE, Tcb};
use crate::ptr::Ptr;

const WORD_BITS: u32 = 64;

/// Resolves `depth` bits of `cptr` from `root`: the slot, and the bits that remain when a slot holds no CNode.
#[inline(always)]
pub fn resolve_packed(root: Packed, cptr: u64, depth: u32) -> Result<(Ptr<Slot>, u32), LookupFailure> {
    let mut bits = depth;
    // The bits that are left to resolve, at the top: shifts by differences from 64 need no masks.
    let mut rest = cptr.wrapping_shl(WORD_BITS - depth.min(WORD_BITS));
    let Some(mut node) = root.as_cnode() else { return Err(LookupFailure::InvalidRoot) };
    loop {
        let (slot, level) = slot_of(node, rest, bits)?;
        bits -= level;
        if bits == 0 {
            return Ok((slot, 0));
        }
        match slot.packed().as_cnode() {
            Some(next) => (node, rest) = (next, rest << level),
            None => return Ok((slot, bits)),
        }
    }
}

/// The slot in one CNode that the first of the `bits` at the top of `rest` name, and how many those are.
#[inline(always)]
fn slot_of(node: CNodePlace, rest: u64, bits: u32) -> Result<(Ptr<Slot>, u32), LookupFailure> {
    let CNodePlace { base, radix, guard_size, guard } = node;
    if guard_size > 0 && (guard_size > bits || rest >> (WORD_BITS - guard_size) != guard) {
        return Err(LookupFailure::GuardMismatch { bits_left: bits, guard, guard_size });
    }
    let level = radix + guard_size;
    if level > bits {
        return Err(LookupFailure::DepthMismatch { bits_left: bits, bits_found: level });
    }
    // In two steps, so that a CNode of one slot has the index 0.
    let index = rest << guard_size >> 1 >> (WORD_BITS - 1 - radix);
    // SAFETY: a CNode's memory is an array of 2^radix slots for as long as its capability exists, and the index
    // is below that.
    let slot: Ptr<Slot> = unsafe { Ptr::new(base.kernel() + index as usize * size_of::<Slot>()) };
    Ok((slot, level))
}

/// [`resolve_packed`], out of line.
#[inline(never)]
pub fn resolve(root: Packed, cptr: u64, depth: u32) -> Result<(Ptr<Slot>, u32), LookupFailure> {
    resolve_packed(root, cptr, depth)
}

/// The slot that a thread's capability pointer names.
#[inline(never)]
pub fn lookup_slot(tcb: Ptr<Tcb>, cptr: u64) -> Result<Ptr<Slot>, LookupFailure> {
    resolve_packed(tcb.slot(TCB_CSPACE).packed(), cptr, WORD_BITS).map(|(slot, _)| slot)
}

/// The capability that a thread's pointer names, packed, with its slot; an empty slot is a failure, and told with no bits left however
/// early it was met.
#[inline(always)]
pub fn lookup(tcb: Ptr<Tcb>, cptr: u64) -> Result<(Ptr<Slot>, Packed), LookupFailure> {
    let (slot, _) = resolve_packed(tcb.slot(TCB_CSPACE).packed(), cptr, WORD_BITS)?;
    let cap = slot.packed();
    if cap.is_null() { Err(LookupFailure::Missing { bits_left: 0 }) } else { Ok((slot, cap)) }
}

/// What a thread's pointer names, packed: also nothing, which is no capability of any kind. Most pointers name a slot of the first CNode.
#[inline(always)]
pub fn find(tcb: Ptr<Tcb>, cptr: u64) -> Option<Packed> {
    let node = tcb.slot(TCB_CSPACE).packed().as_cnode()?;
    let (slot, level) = slot_of(node, cptr, WORD_BITS).ok()?;
    let cap = slot.packed();
    if level == WORD_BITS || cap.as_cnode().is_none() {
        return Some(cap);
    }
    let (slot, _) = resolve_packed(cap, cptr, WORD_BITS - level).ok()?;
    Some(slot.packed())
}

/// The capability that a thread's pointer names; an empty slot is a failure.
#[inline(never)]
pub fn lookup_cap(tcb: Ptr<Tcb>, cptr: u64) -> Result<(Ptr<Slot>, Cap), LookupFailure> {
    lookup(tcb, cptr).map(|(slot, cap)| (slot, cap.unpack()))
}
