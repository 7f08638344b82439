//! Invocations of the address space kinds: frames, page tables, VSpaces, identifiers.
use super::args::{Args, Invoked, Outcome, Stop, ensure_empty, target_slot};
use crate::arch::paging::{self, Entry, UserAttributes};
use crate::cap::{Cap, Mapping};
use crate::machine::{CacheOp, Machine};
use crate::object::LookupFailure;
use crate::preempt::preemption_point;
use crate::ptr::PhysAddr;
use crate::slot;
use crate::space;
use sel4_sys::object::{ASID_POOL_BITS, ASID_POOL_ENTRIES, vm_attributes};
use sel4_sys::{CapRights, label};

/// Invokes a capability of the address space kinds.
pub fn invoke<M: Machine>(m: M, args: &Args, cap: Cap) -> Invoked {
    match cap {
        Cap::Frame { .. } => invoke_frame(m, args, cap),
        Cap::PageTable { base, mapping } => invoke_table(m, args, base, mapping),
        Cap::VSpace { base, asid } => invoke_vspace(m, args, base, asid),
        Cap::AsidControl => make_pool(m, args),
        Cap::AsidPool { base, first_asid } => assign_asid(m, args, base, first_asid),
        _ => Err(Stop::InvalidCapability(0)),
    }
}

/// The root and identifier of the address space in capability argument 0; whether it lives is to be asked ([`live`]).
fn vspace_argument(args: &Args) -> Result<(PhysAddr, u16), Stop> {
    args.cap_slot(0)?.packed().as_mapped_vspace().ok_or(Stop::InvalidCapability(1))
}

/// Refuses an address space whose identifier has gone, or names another now; `argument` is its place among the capabilities.
fn live<M: Machine>(m: M, (base, asid): (PhysAddr, u16), argument: u64) -> Result<(), Stop> {
    match space::root_of(m.shared(), asid) {
        Some(root) if root == base => Ok(()),
        Some(_) => Err(Stop::InvalidCapability(argument)),
        None => Err(Stop::FailedLookup { source: false, failure: LookupFailure::InvalidRoot }),
    }
}

fn invoke_frame<M: Machine>(m: M, args: &Args, cap: Cap) -> Invoked {
    let Cap::Frame { base, size, device, rights, mapping } = cap else { return Err(Stop::IllegalOperation) };
    match args.label {
        label::PAGE_MAP => map_frame(m, args, cap),
        label::PAGE_UNMAP => {
            if let Some(mapping) = mapping {
                space::unmap_frame(m, base, size, mapping);
                args.slot.update(Cap::Frame { base, size, device, rights, mapping: None });
            }
            Ok(Outcome::Done)
        }
        label::PAGE_GET_ADDRESS => Ok(Outcome::Words([base.0, 0, 0, 0], 1)),
        label::PAGE_CLEAN | label::PAGE_INVALIDATE | label::PAGE_CLEAN_INVALIDATE | label::PAGE_UNIFY => {
            args.need(2, 0)?;
            let Some(mapping) = mapping else { return Err(Stop::IllegalOperation) };
            let Some(root) = space::root_of(m.shared(), mapping.asid) else {
                return Err(Stop::FailedLookup { source: false, failure: LookupFailure::InvalidRoot });
            };
            let (start, end) = (args.word(0), args.word(1));
            if end <= start {
                return Err(Stop::InvalidArgument(1));
            }
            let bytes = 1u64 << size.bits();
            if start >= bytes || end > bytes {
                return Err(Stop::InvalidArgument(0));
            }
            // What the capability says of its mapping may be old.
            let (entry, level) = space::walk(root, mapping.vaddr, 3);
            if level != paging::frame_level(size) || paging::decode(entry.get(), level) != Entry::Leaf(base) {
                return Err(Stop::InvalidCapability(0));
            }
            if args.label == label::PAGE_INVALIDATE && !paging::user_writes(entry.get()) {
                return Err(Stop::IllegalOperation);
            }
            maintain(m, args, PhysAddr(base.0 + start), device)
        }
        _ => Err(Stop::IllegalOperation),
    }
}

/// Bytes between two looks for something more urgent.
const PIECE: u64 = 32 << 10;

/// Maintains the caches for the range that message registers 0 and 1 span, whose first byte is at `at`. A device's frame
/// has no cache lines, and is not in the kernel's window: nothing is to be done.
///
/// If something more urgent waits half way, register 0 says how far it got: made again, the invocation goes on there.
#[inline(never)]
fn maintain<M: Machine>(m: M, args: &Args, at: PhysAddr, device: bool) -> Invoked {
    if device {
        return Ok(Outcome::Done);
    }
    let op = cache_op(args.label);
    let (start, end) = (args.word(0), args.word(1));
    let mut done = 0;
    while start + done < end {
        let bytes = PIECE.min(end - start - done);
        m.cache(op, PhysAddr(at.0 + done), bytes);
        done += bytes;
        if start + done < end {
            m.node().add_work(bytes);
            if let Err(preempted) = preemption_point(m) {
                args.set_word(0, start + done);
                return Err(preempted.into());
            }
        }
    }
    Ok(Outcome::Done)
}

fn cache_op(label: u64) -> CacheOp {
    match label {
        label::PAGE_CLEAN | label::VSPACE_CLEAN => CacheOp::Clean,
        // The manual lets the kernel clean as well: other users' data in the same lines must not be lost.
        label::PAGE_INVALIDATE | label::VSPACE_INVALIDATE => CacheOp::Invalidate,
        label::PAGE_CLEAN_INVALIDATE | label::VSPACE_CLEAN_INVALIDATE => CacheOp::CleanInvalidate,
        _ => CacheOp::Unify,
    }
}

fn map_frame<M: Machine>(m: M, args: &Args, cap: Cap) -> Invoked {
    let Cap::Frame { base, size, device, rights, mapping } = cap else { return Err(Stop::IllegalOperation) };
    args.need(3, 1)?;
    let (vaddr, mask, attributes) = (args.word(0), CapRights(args.word(1)), args.word(2));
    let allowed = rights.masked(mask);
    let (root, asid) = vspace_argument(args)?;
    live(m, (root, asid), 1)?;
    let bytes = 1u64 << size.bits();
    if !vaddr.is_multiple_of(bytes) {
        return Err(Stop::Alignment);
    }
    match mapping {
        Some(old) if old.asid != asid => return Err(Stop::InvalidCapability(1)),
        Some(old) if old.vaddr != vaddr => return Err(Stop::InvalidArgument(0)),
        Some(_) => {}
        None => {
            if vaddr.checked_add(bytes - 1).is_none_or(|last| last > paging::USER_TOP) {
                return Err(Stop::InvalidArgument(0));
            }
        }
    }
    let level = paging::frame_level(size);
    let (entry, found) = space::walk(root, vaddr, 3);
    if found != level {
        return Err(missing(found));
    }
    let new = paging::user_entry(
        base,
        level,
        UserAttributes {
            read: allowed.read,
            write: allowed.write,
            execute: attributes & vm_attributes::EXECUTE_NEVER == 0 && !device,
            cacheable: attributes & vm_attributes::CACHEABLE != 0 && !device,
            device,
        },
    );
    let mapping = Mapping { asid, vaddr };
    args.slot.update(Cap::Frame { base, size, device, rights, mapping: Some(mapping) });
    if entry.replace(new) != 0 {
        m.flush_page(mapping);
    } else {
        m.publish();
    }
    Ok(Outcome::Done)
}

fn missing(level: u32) -> Stop {
    Stop::FailedLookup { source: false, failure: LookupFailure::Missing { bits_left: paging::shift(level) } }
}

fn invoke_table<M: Machine>(m: M, args: &Args, base: PhysAddr, mapping: Option<Mapping>) -> Invoked {
    match args.label {
        label::PAGE_TABLE_UNMAP => {
            if !slot::is_final(args.slot) {
                return Err(Stop::RevokeFirst);
            }
            if let Some(mapping) = mapping {
                space::unmap_table(m, base, mapping);
                m.zero(base, 4096);
                args.slot.update(Cap::PageTable { base, mapping: None });
            }
            Ok(Outcome::Done)
        }
        label::PAGE_TABLE_MAP => {
            args.need(2, 1)?;
            if mapping.is_some() {
                return Err(Stop::InvalidCapability(0));
            }
            let vaddr = args.word(0);
            let (root, asid) = vspace_argument(args)?;
            if vaddr > paging::USER_TOP {
                return Err(Stop::InvalidArgument(0));
            }
            live(m, (root, asid), 1)?;
            let (entry, level) = space::walk(root, vaddr, 3);
            if level == 3 || paging::decode(entry.get(), level) != Entry::Invalid {
                return Err(Stop::DeleteFirst);
            }
            let vaddr = vaddr & !((1 << paging::shift(level)) - 1);
            args.slot.update(Cap::PageTable { base, mapping: Some(Mapping { asid, vaddr }) });
            entry.set(paging::table_entry(base));
            m.publish();
            Ok(Outcome::Done)
        }
        _ => Err(Stop::IllegalOperation),
    }
}

fn invoke_vspace<M: Machine>(m: M, args: &Args, base: PhysAddr, asid: Option<u16>) -> Invoked {
    if !(label::VSPACE_CLEAN..=label::VSPACE_UNIFY).contains(&args.label) {
        return Err(Stop::IllegalOperation);
    }
    args.need(2, 0)?;
    let (start, end) = (args.word(0), args.word(1));
    if end <= start {
        return Err(Stop::InvalidArgument(1));
    }
    if end > paging::USER_TOP {
        return Err(Stop::IllegalOperation);
    }
    live(m, (base, asid.ok_or(Stop::InvalidCapability(0))?), 0)?;
    let (entry, level) = space::walk(base, start, 3);
    let descriptor = entry.get();
    let Entry::Leaf(frame) = paging::decode(descriptor, level) else { return Ok(Outcome::Done) };
    let size = 1u64 << paging::shift(level);
    if start & !(size - 1) != (end - 1) & !(size - 1) {
        return Err(Stop::Range { min: start, max: start | (size - 1) });
    }
    if args.label == label::VSPACE_INVALIDATE && !paging::user_writes(descriptor) {
        return Err(Stop::IllegalOperation);
    }
    let device = descriptor & paging::OUTSIDE_WINDOW != 0;
    maintain(m, args, PhysAddr(frame.0 + (start & (size - 1))), device)
}

fn make_pool<M: Machine>(m: M, args: &Args) -> Invoked {
    if args.label != label::ASID_CONTROL_MAKE_POOL {
        return Err(Stop::IllegalOperation);
    }
    args.need(2, 2)?;
    let index = m.shared().asid_pools.iter().position(|p| p.get() == 0).ok_or(Stop::DeleteFirst)?;
    let untyped = args.cap_slot(0)?;
    let Cap::Untyped { base, bits, device: false, .. } = untyped.cap() else {
        return Err(Stop::InvalidCapability(1));
    };
    if bits != ASID_POOL_BITS as u32 {
        return Err(Stop::InvalidCapability(1));
    }
    if slot::first_child(untyped).is_some() {
        return Err(Stop::RevokeFirst);
    }
    let dest = target_slot(args.cap_slot(1)?.packed(), args.word(0), args.word(1), false)?;
    ensure_empty(dest)?;
    untyped.update(Cap::Untyped { base, bits, device: false, free: 1 << bits });
    m.zero(base, 4096);
    m.shared().asid_pools[index].set(base.0);
    let first_asid = (index * ASID_POOL_ENTRIES) as u16;
    slot::insert_new(Cap::AsidPool { base, first_asid }, untyped, dest);
    Ok(Outcome::Done)
}

fn assign_asid<M: Machine>(m: M, args: &Args, base: PhysAddr, first_asid: u16) -> Invoked {
    if args.label != label::ASID_POOL_ASSIGN {
        return Err(Stop::IllegalOperation);
    }
    args.need(0, 1)?;
    let target = args.cap_slot(0)?;
    let Cap::VSpace { base: root, asid: None } = target.cap() else { return Err(Stop::InvalidCapability(1)) };
    let Some(pool) = space::pool(m.shared(), first_asid) else {
        return Err(Stop::FailedLookup { source: false, failure: LookupFailure::InvalidRoot });
    };
    if m.shared().asid_pools[first_asid as usize / ASID_POOL_ENTRIES].get() != base.0 {
        return Err(Stop::InvalidCapability(0));
    }
    // Identifier 0 means "not mapped", so it is never given.
    let free = (0..ASID_POOL_ENTRIES).find(|i| pool[*i].get() == 0 && first_asid as usize + i != 0);
    let asid = first_asid + free.ok_or(Stop::DeleteFirst)? as u16;
    space::assign(m.shared(), asid, root);
    target.update(Cap::VSpace { base: root, asid: Some(asid) });
    Ok(Outcome::Done)
}
