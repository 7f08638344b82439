//! Address spaces: identifiers, their pools, and the entries of tables.
use super::rules::{Broken, Caps, address, holds};
use crate::arch::paging::{self, Entry};
use crate::cap::{Cap, Mapping};
use crate::machine::Machine;
use crate::node::NO_CAP;
use crate::object::Packed;
use crate::ptr::PhysAddr;
use crate::space;
use sel4_sys::object::ASID_POOL_ENTRIES;

/// Tables are walked on machines with no more capabilities than this: each entry is looked up among them.
const MOST: usize = 512;

pub fn check<M: Machine>(m: M, caps: Caps) -> Result<(), Broken> {
    for (i, pool) in m.shared().asid_pools.iter().enumerate().filter(|(_, pool)| pool.get() != 0) {
        let base = PhysAddr(pool.get());
        let at = base.kernel();
        let first_asid = (i * ASID_POOL_ENTRIES) as u16;
        caps.requires(Cap::AsidPool { base, first_asid }, "a pool of identifiers is alive", at)?;
        let asids = (0..ASID_POOL_ENTRIES).map(|k| first_asid + k as u16);
        for (asid, root) in asids.filter_map(|asid| Some((asid, space::root_of(m.shared(), asid)?))) {
            holds(asid != 0, "identifier 0 is nobody's", at)?;
            let owned = caps
                .all()
                .any(|cap| matches!(cap, Cap::VSpace { base, asid: Some(a) } if base == root && a == asid));
            holds(owned, "the root that has an identifier is alive and knows it", root.kernel())?;
        }
    }
    for cap in caps.objects() {
        if let Cap::AsidPool { base, first_asid } = cap {
            let listed = m.shared().asid_pools[first_asid as usize / ASID_POOL_ENTRIES].get();
            holds(listed == base.0, "a pool of identifiers is in the list", base.kernel())?;
        }
    }
    loaded(m, caps)?;
    if caps.all().take(MOST + 1).count() > MOST {
        return Ok(());
    }
    for cap in caps.objects() {
        if let Cap::VSpace { base, asid: Some(asid) } = cap
            && space::root_of(m.shared(), asid) == Some(base)
        {
            table(caps, base, Mapping { asid, vaddr: 0 }, 0)?;
        }
    }
    Ok(())
}

/// The address space that the machine has loaded is alive, or the empty one.
fn loaded<M: Machine>(m: M, caps: Caps) -> Result<(), Broken> {
    let n = m.node();
    let alive = n.space.get() == n.empty_space.get()
        || n.space.get() == 0
        || caps.all().any(|cap| match cap {
            Cap::VSpace { base, asid: Some(asid) } => {
                space::root_of(m.shared(), asid) == Some(base) && paging::space(base, asid) == n.space.get()
            }
            _ => false,
        });
    holds(alive, "the address space that is loaded is alive", address(n.space.get()))?;
    let found_by = n.space_cap.get();
    let remembered = found_by == NO_CAP
        || Packed(found_by, 0).as_mapped_vspace().is_some_and(|(base, asid)| {
            space::root_of(m.shared(), asid) == Some(base) && paging::space(base, asid) == n.space.get()
        });
    holds(
        remembered,
        "the capability that is remembered names the address space that is loaded",
        address(found_by),
    )
}

/// Every entry of a table that is reached stands for a capability that knows where it is mapped.
fn table(caps: Caps, base: PhysAddr, covers: Mapping, level: u32) -> Result<(), Broken> {
    // What is above user space is the kernel's own.
    let own = if level == 0 { (paging::USER_TOP >> paging::shift(0)) + 1 } else { paging::ENTRIES as u64 };
    for i in 0..own {
        let vaddr = covers.vaddr | i << paging::shift(level);
        let here = Mapping { vaddr, ..covers };
        // SAFETY: the table is a root that has an identifier, or is reached from one by an entry that was found to be of a live table.
        let entry = unsafe { paging::table_at(base) }[i as usize].get();
        match paging::decode(entry, level) {
            Entry::Invalid => {}
            Entry::Leaf(frame) => {
                let known = caps.all().any(|cap| {
                    matches!(cap, Cap::Frame { base, mapping, size, .. }
                        if base == frame && mapping == Some(here) && paging::frame_level(size) == level)
                });
                holds(known, "a page that is mapped is a frame whose capability knows that", frame.kernel())?;
            }
            Entry::Table(next) => {
                let known = caps
                    .all()
                    .any(|cap| matches!(cap, Cap::PageTable { base, mapping, .. } if base == next && mapping == Some(here)));
                holds(known, "a table that is mapped is one whose capability knows that", next.kernel())?;
                table(caps, next, here, level + 1)?;
            }
        }
    }
    Ok(())
}
