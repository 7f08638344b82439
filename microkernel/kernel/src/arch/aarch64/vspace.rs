//! User address spaces: frames, page tables, VSpaces, ASIDs, and their invocations.
use super::cpu::{self, CacheOp, write};
use super::paging::{self, Entry, Table, UserAttributes};
use crate::invoke::{Args, Invoked, Outcome, Stop, ensure_empty, target_slot};
use axiom_objects::cap::{FrameSize, Mapping};
use axiom_objects::object::{LookupFailure, TCB_VSPACE, Tcb};
use axiom_objects::{Cap, PhysAddr, Ptr, slot};
use core::arch::asm;
use core::cell::Cell;
use sel4_sys::object::{ASID_POOL_BITS, ASID_POOL_ENTRIES, ASID_POOLS, vm_attributes};
use sel4_sys::{CapRights, label};

/// First address that user space cannot map.
pub const USER_TOP: u64 = 0x0000_ffff_ffff_f000;

struct Asids {
    pools: [Cell<u64>; ASID_POOLS],
    current: Cell<u64>,
    empty_root: Cell<u64>,
}
// SAFETY: one core runs in the kernel at a time.
unsafe impl Sync for Asids {}
static ASIDS: Asids =
    Asids { pools: [const { Cell::new(0) }; ASID_POOLS], current: Cell::new(0), empty_root: Cell::new(0) };

/// Remembers the root for threads without an address space, and the root task's pool.
pub fn init(empty_root: PhysAddr, pool: PhysAddr) {
    ASIDS.empty_root.set(empty_root.0);
    ASIDS.pools[0].set(pool.0);
}

fn pool(asid: u16) -> Option<&'static Table> {
    let pool = ASIDS.pools[asid as usize / ASID_POOL_ENTRIES].get();
    // SAFETY: a pool is a page of RAM that is a pool as long as it is in this list.
    (pool != 0).then(|| unsafe { paging::table_at(PhysAddr(pool)) })
}

fn root_of(asid: u16) -> Option<PhysAddr> {
    let root = pool(asid)?.0[asid as usize % ASID_POOL_ENTRIES].get();
    (root != 0).then_some(PhysAddr(root))
}

/// Gives an address space its identifier.
pub fn assign(asid: u16, root: PhysAddr) {
    if let Some(pool) = pool(asid) {
        pool.0[asid as usize % ASID_POOL_ENTRIES].set(root.0);
    }
}

/// A new root has no kernel part: that is in the upper half's own table.
pub fn init_root(_root: PhysAddr) {
    paging::publish();
}

/// The thread runs next: its address space and thread pointers are loaded.
#[inline(always)]
pub fn switch_to(tcb: Ptr<Tcb>) {
    let ttbr = match tcb.slot(TCB_VSPACE).packed().as_mapped_vspace() {
        Some((base, asid)) if root_of(asid) == Some(base) => base.0 | u64::from(asid) << 48,
        _ => ASIDS.empty_root.get(),
    };
    if ASIDS.current.replace(ttbr) != ttbr {
        // SAFETY: a valid root with its own identifier; the kernel does not run from the lower half.
        unsafe {
            write!("ttbr0_el1", ttbr);
            asm!("isb", options(nostack, preserves_flags));
        }
    }
    use axiom_objects::registers::{TPIDR, TPIDRRO};
    let old = crate::node::node().current();
    if old != tcb {
        old.regs.set(TPIDR, cpu::read!("tpidr_el0"));
        // SAFETY: the registers are the user's own.
        unsafe {
            write!("tpidr_el0", tcb.regs.get(TPIDR));
            write!("tpidrro_el0", tcb.regs.get(TPIDRRO));
        }
    }
}

// ---- walking ----

const fn shift(level: u32) -> u32 {
    39 - 9 * level
}

const fn frame_level(size: FrameSize) -> u32 {
    match size {
        FrameSize::Huge => 1,
        FrameSize::Large => 2,
        FrameSize::Small => 3,
    }
}

/// Follows tables from `root` towards `vaddr`, at most to `limit`: the entry where they end, and its level.
fn walk(root: PhysAddr, vaddr: u64, limit: u32) -> (&'static Cell<u64>, u32) {
    let mut table = root;
    let mut level = 0;
    loop {
        // SAFETY: `root` is a live VSpace (its capability or ASID was checked), and entries of kind table are
        // written only by `map_table` with live page tables, and cleared before those go.
        let entry = unsafe { &paging::table_at(table).0[(vaddr >> shift(level)) as usize & 511] };
        match paging::decode(entry.get(), level) {
            Entry::Table(next) if level < limit => {
                table = next;
                level += 1;
            }
            _ => return (entry, level),
        }
    }
}

fn flush_asid(asid: u16) {
    // SAFETY: invalidating translations is always allowed.
    unsafe {
        asm!("dsb ishst", "tlbi aside1, {}", "dsb ish", "isb", in(reg) u64::from(asid) << 48, options(nostack));
    }
}

fn flush_page(mapping: Mapping) {
    let operand = u64::from(mapping.asid) << 48 | mapping.vaddr >> 12 & ((1 << 44) - 1);
    // SAFETY: invalidating translations is always allowed.
    unsafe { asm!("dsb ishst", "tlbi vae1, {}", "dsb ish", "isb", in(reg) operand, options(nostack)) };
}

/// Takes a frame's mapping away, if it is still there.
pub fn unmap_frame(frame: PhysAddr, size: FrameSize, mapping: Mapping) {
    let Some(root) = root_of(mapping.asid) else { return };
    let level = frame_level(size);
    let (entry, found) = walk(root, mapping.vaddr, level);
    if found == level && paging::decode(entry.get(), level) == Entry::Leaf(frame) {
        entry.set(0);
        flush_page(mapping);
    }
}

/// Takes a page table out of its address space, if it is still there.
pub fn unmap_table(table: PhysAddr, mapping: Mapping) {
    let Some(root) = root_of(mapping.asid) else { return };
    for level in 0..3 {
        let (entry, found) = walk(root, mapping.vaddr, level);
        if found == level && paging::decode(entry.get(), level) == Entry::Table(table) {
            entry.set(0);
            flush_asid(mapping.asid);
            return;
        }
    }
}

/// An address space goes away.
pub fn delete_asid(asid: u16, root: PhysAddr) {
    if root_of(asid) == Some(root) {
        assign(asid, PhysAddr(0));
        flush_asid(asid);
        forget_current();
    }
}

/// A pool goes away with all its address spaces.
pub fn delete_pool(first_asid: u16, base: PhysAddr) {
    let entry = &ASIDS.pools[first_asid as usize / ASID_POOL_ENTRIES];
    if entry.get() == base.0 {
        entry.set(0);
        // SAFETY: invalidating translations is always allowed.
        unsafe { asm!("dsb ishst", "tlbi vmalle1", "dsb ish", "isb", options(nostack)) };
        forget_current();
    }
}

/// Whatever runs next loads its root again.
fn forget_current() {
    ASIDS.current.set(u64::MAX);
    switch_to(crate::node::node().current());
}

// ---- invocations ----

/// Invokes a capability of the address space kinds.
pub fn invoke(args: &Args, cap: Cap) -> Invoked {
    match cap {
        Cap::Frame { .. } => invoke_frame(args, cap),
        Cap::PageTable { base, mapping } => invoke_table(args, base, mapping),
        Cap::VSpace { base, asid } => invoke_vspace(args, base, asid),
        Cap::AsidControl => make_pool(args),
        Cap::AsidPool { base, first_asid } => assign_asid(args, base, first_asid),
        _ => Err(Stop::InvalidCapability(0)),
    }
}

/// The address space in capability argument 0.
fn vspace_argument(args: &Args) -> Result<(PhysAddr, u16), Stop> {
    let Some((base, asid)) = args.cap_slot(0)?.packed().as_mapped_vspace() else {
        return Err(Stop::InvalidCapability(1));
    };
    match root_of(asid) {
        Some(root) if root == base => Ok((base, asid)),
        Some(_) => Err(Stop::InvalidCapability(1)),
        None => Err(Stop::FailedLookup { source: false, failure: LookupFailure::InvalidRoot }),
    }
}

fn invoke_frame(args: &Args, cap: Cap) -> Invoked {
    let Cap::Frame { base, size, device, rights, mapping } = cap else { return Err(Stop::IllegalOperation) };
    match args.label {
        label::PAGE_MAP => map_frame(args, cap),
        label::PAGE_UNMAP => {
            if let Some(mapping) = mapping {
                unmap_frame(base, size, mapping);
                args.slot.update(Cap::Frame { base, size, device, rights, mapping: None });
            }
            Ok(Outcome::Done)
        }
        label::PAGE_GET_ADDRESS => Ok(Outcome::Words([base.0, 0, 0, 0], 1)),
        label::PAGE_CLEAN | label::PAGE_INVALIDATE | label::PAGE_CLEAN_INVALIDATE | label::PAGE_UNIFY => {
            args.need(2, 0)?;
            if mapping.is_none() {
                return Err(Stop::IllegalOperation);
            }
            let (start, end) = (args.word(0), args.word(1));
            if end <= start {
                return Err(Stop::InvalidArgument(1));
            }
            let bytes = 1u64 << size.bits();
            if start >= bytes || end > bytes {
                return Err(Stop::InvalidArgument(0));
            }
            if !device {
                cpu::cache(cache_op(args.label), base.kernel() + start as usize, (end - start) as usize);
            }
            Ok(Outcome::Done)
        }
        _ => Err(Stop::IllegalOperation),
    }
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

fn map_frame(args: &Args, cap: Cap) -> Invoked {
    let Cap::Frame { base, size, device, rights, mapping } = cap else { return Err(Stop::IllegalOperation) };
    args.need(3, 1)?;
    let (vaddr, mask, attributes) = (args.word(0), CapRights(args.word(1)), args.word(2));
    let allowed = rights.masked(mask);
    let (root, asid) = vspace_argument(args)?;
    let bytes = 1u64 << size.bits();
    if !vaddr.is_multiple_of(bytes) {
        return Err(Stop::Alignment);
    }
    match mapping {
        Some(old) if old.asid != asid => return Err(Stop::InvalidCapability(1)),
        Some(old) if old.vaddr != vaddr => return Err(Stop::InvalidArgument(0)),
        Some(_) => {}
        None => {
            if vaddr.checked_add(bytes - 1).is_none_or(|last| last > USER_TOP) {
                return Err(Stop::InvalidArgument(0));
            }
        }
    }
    let level = frame_level(size);
    let (entry, found) = walk(root, vaddr, level);
    if found != level || matches!(paging::decode(entry.get(), level), Entry::Table(_)) {
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
        },
    );
    let mapping = Mapping { asid, vaddr };
    args.slot.update(Cap::Frame { base, size, device, rights, mapping: Some(mapping) });
    if entry.replace(new) != 0 {
        flush_page(mapping);
    } else {
        paging::publish();
    }
    Ok(Outcome::Done)
}

fn missing(level: u32) -> Stop {
    Stop::FailedLookup { source: false, failure: LookupFailure::Missing { bits_left: shift(level) } }
}

fn invoke_table(args: &Args, base: PhysAddr, mapping: Option<Mapping>) -> Invoked {
    match args.label {
        label::PAGE_TABLE_UNMAP => {
            if !slot::is_final(args.slot) {
                return Err(Stop::RevokeFirst);
            }
            if let Some(mapping) = mapping {
                unmap_table(base, mapping);
                cpu::zero(base, 4096);
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
            if vaddr > USER_TOP {
                return Err(Stop::InvalidArgument(0));
            }
            let (entry, level) = walk(root, vaddr, 3);
            if level == 3 || paging::decode(entry.get(), level) != Entry::Invalid {
                return Err(Stop::DeleteFirst);
            }
            let vaddr = vaddr & !((1 << shift(level)) - 1);
            args.slot.update(Cap::PageTable { base, mapping: Some(Mapping { asid, vaddr }) });
            entry.set(paging::table_entry(base));
            paging::publish();
            Ok(Outcome::Done)
        }
        _ => Err(Stop::IllegalOperation),
    }
}

fn invoke_vspace(args: &Args, base: PhysAddr, asid: Option<u16>) -> Invoked {
    if !(label::VSPACE_CLEAN..=label::VSPACE_UNIFY).contains(&args.label) {
        return Err(Stop::IllegalOperation);
    }
    args.need(2, 0)?;
    let (start, end) = (args.word(0), args.word(1));
    if end <= start {
        return Err(Stop::InvalidArgument(1));
    }
    if end > USER_TOP {
        return Err(Stop::IllegalOperation);
    }
    match asid.and_then(root_of) {
        None => return Err(Stop::FailedLookup { source: false, failure: LookupFailure::InvalidRoot }),
        Some(root) if root != base => return Err(Stop::InvalidCapability(0)),
        Some(_) => {}
    }
    let (entry, level) = walk(base, start, 3);
    let Entry::Leaf(frame) = paging::decode(entry.get(), level) else { return Ok(Outcome::Done) };
    let size = 1u64 << shift(level);
    if start & !(size - 1) != (end - 1) & !(size - 1) {
        return Err(Stop::Range { min: start, max: (start & !(size - 1)) + size });
    }
    cpu::cache(cache_op(args.label), frame.kernel() + (start & (size - 1)) as usize, (end - start) as usize);
    Ok(Outcome::Done)
}

fn make_pool(args: &Args) -> Invoked {
    if args.label != label::ASID_CONTROL_MAKE_POOL {
        return Err(Stop::IllegalOperation);
    }
    args.need(2, 2)?;
    let index = ASIDS.pools.iter().position(|p| p.get() == 0).ok_or(Stop::DeleteFirst)?;
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
    cpu::zero(base, 4096);
    ASIDS.pools[index].set(base.0);
    let first_asid = (index * ASID_POOL_ENTRIES) as u16;
    slot::insert_new(Cap::AsidPool { base, first_asid }, untyped, dest);
    Ok(Outcome::Done)
}

fn assign_asid(args: &Args, base: PhysAddr, first_asid: u16) -> Invoked {
    if args.label != label::ASID_POOL_ASSIGN {
        return Err(Stop::IllegalOperation);
    }
    args.need(0, 1)?;
    let target = args.cap_slot(0)?;
    let Cap::VSpace { base: root, asid: None } = target.cap() else { return Err(Stop::InvalidCapability(1)) };
    let Some(pool) = pool(first_asid) else {
        return Err(Stop::FailedLookup { source: false, failure: LookupFailure::InvalidRoot });
    };
    if ASIDS.pools[first_asid as usize / ASID_POOL_ENTRIES].get() != base.0 {
        return Err(Stop::InvalidCapability(0));
    }
    // Identifier 0 means "not mapped", so it is never given.
    let free = (0..ASID_POOL_ENTRIES).find(|i| pool.0[*i].get() == 0 && first_asid as usize + i != 0);
    let asid = first_asid + free.ok_or(Stop::DeleteFirst)? as u16;
    assign(asid, root);
    target.update(Cap::VSpace { base: root, asid: Some(asid) });
    Ok(Outcome::Done)
}

/// Boot: maps a page or table into the root task's address space; false when a table is missing.
pub fn boot_map(root: PhysAddr, vaddr: u64, frame: PhysAddr, a: UserAttributes) -> bool {
    let (entry, level) = walk(root, vaddr, 3);
    if level == 3 {
        entry.set(paging::user_entry(frame, 3, a));
    }
    level == 3
}

/// Boot: adds a page table where `vaddr` lacks one; the address that it covers from.
pub fn boot_map_table(root: PhysAddr, vaddr: u64, table: PhysAddr) -> u64 {
    let (entry, level) = walk(root, vaddr, 3);
    entry.set(paging::table_entry(table));
    vaddr & !((1 << shift(level)) - 1)
}

/// Boot: whether the tables reach a page.
pub fn boot_has_table(root: PhysAddr, vaddr: u64) -> bool {
    walk(root, vaddr, 3).1 == 3
}
