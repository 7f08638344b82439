//! Invocations of the address space kinds: frames, page tables, VSpaces, identifiers.
use super::arch;
use super::args::{Args, Invoked, Outcome, Stop, ensure_empty, live, target_slot};
use crate::arch::paging::{self, Entry, UserAttributes};
use crate::arch::tables::TableKind;
use crate::cap::{Cap, Mapping};
use crate::machine::Machine;
use crate::object::LookupFailure;
use crate::ptr::PhysAddr;
use crate::slot;
use crate::space;
use sel4_sys::object::{ASID_POOL_BITS, ASID_POOL_ENTRIES};
use sel4_sys::{CapRights, label};

/// Invokes a capability of the address space kinds.
pub fn invoke<M: Machine>(m: M, args: &Args, cap: Cap) -> Invoked {
    match cap {
        Cap::Frame { .. } => invoke_frame(m, args, cap),
        Cap::PageTable { base, mapping, kind } => invoke_table(m, args, base, mapping, kind),
        Cap::VSpace { base, asid } => arch::vspace::space(m, args, base, asid),
        Cap::AsidControl => make_pool(m, args),
        Cap::AsidPool { base, first_asid } => assign_asid(m, args, base, first_asid),
        _ => Err(Stop::InvalidCapability(0)),
    }
}

/// The root and identifier of the address space in capability argument 0; whether it lives is to be asked ([`live`]).
fn vspace_argument(args: &Args) -> Result<(PhysAddr, u16), Stop> {
    args.cap_slot(0)?.packed().as_mapped_vspace().ok_or(Stop::InvalidCapability(1))
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
        _ => arch::vspace::frame(m, args, cap),
    }
}

fn map_frame<M: Machine>(m: M, args: &Args, cap: Cap) -> Invoked {
    let Cap::Frame { base, size, device, rights, mapping } = cap else { return Err(Stop::IllegalOperation) };
    args.need(3, 1)?;
    let (vaddr, mask, attributes) = (args.word(0), CapRights(args.word(1)), args.word(2));
    let allowed = rights.masked(mask);
    let (root, asid) = vspace_argument(args)?;
    let bytes = 1u64 << size.bits();
    if !paging::MAPPING_FIRST {
        reachable(m, (root, asid), vaddr, bytes)?;
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
    if paging::MAPPING_FIRST {
        reachable(m, (root, asid), vaddr, bytes)?;
    }
    let level = paging::frame_level(size);
    let entry = arch::vspace::leaf(m, root, vaddr, level)?;
    let new = paging::user_entry(base, level, UserAttributes::asked(allowed, attributes, device));
    let mapping = Mapping { asid, vaddr };
    args.slot.update(Cap::Frame { base, size, device, rights, mapping: Some(mapping) });
    if entry.replace(new) != 0 {
        m.flush_page(mapping);
    } else {
        m.publish();
    }
    Ok(Outcome::Done)
}

/// Refuses an address space that has gone, and an address that frames of so many bytes do not begin at.
#[inline(always)]
fn reachable<M: Machine>(m: M, space: (PhysAddr, u16), vaddr: u64, bytes: u64) -> Result<(), Stop> {
    live(m, space, 1)?;
    if vaddr.is_multiple_of(bytes) { Ok(()) } else { Err(Stop::Alignment) }
}

fn invoke_table<M: Machine>(
    m: M,
    args: &Args,
    base: PhysAddr,
    mapping: Option<Mapping>,
    kind: TableKind,
) -> Invoked {
    let (map, unmap) = arch::vspace::table_labels(kind);
    match args.label {
        label if label == unmap => {
            if !slot::is_final(args.slot) {
                return Err(Stop::RevokeFirst);
            }
            if let Some(mapping) = mapping {
                space::unmap_table(m, base, mapping);
                m.zero(base, 4096);
                args.slot.update(Cap::PageTable { base, mapping: None, kind });
            }
            Ok(Outcome::Done)
        }
        label if label == map => {
            args.need(2, 1)?;
            if mapping.is_some() {
                return Err(Stop::InvalidCapability(0));
            }
            let vaddr = args.word(0);
            let (root, asid) = vspace_argument(args)?;
            if arch::vspace::table_start(vaddr, kind) > paging::USER_TOP {
                return Err(Stop::InvalidArgument(0));
            }
            live(m, (root, asid), 1)?;
            let (entry, level) = arch::vspace::table_place(root, vaddr, kind)?;
            if level == 3 || paging::decode(entry.get(), level) != Entry::Invalid {
                return Err(Stop::DeleteFirst);
            }
            let vaddr = vaddr & !((1 << paging::shift(level)) - 1);
            args.slot.update(Cap::PageTable { base, mapping: Some(Mapping { asid, vaddr }), kind });
            entry.set(paging::table_entry(base));
            m.publish();
            Ok(Outcome::Done)
        }
        _ => Err(Stop::IllegalOperation),
    }
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
    m.node().zeroing.used(base.0, 4096);
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
