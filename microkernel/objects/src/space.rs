//! User address spaces: their identifiers, the tables' entries for frames and tables, and which one is loaded.
//!
//! An identifier names a root as long as its pool holds it. Capabilities remember identifiers, not roots: what was mapped into an
//! address space that is gone is found to be gone.
use crate::arch::paging::{self, Entry, Table, UserAttributes};
use crate::arch::tables::TableKind;
use crate::cap::{FrameSize, Mapping};
use crate::machine::Machine;
use crate::node::{NO_CAP, Shared};
use crate::object::{Packed, TCB_VSPACE, Tcb};
use crate::ptr::{PhysAddr, Ptr};
use core::cell::Cell;
use sel4_sys::object::ASID_POOL_ENTRIES;

/// The pool that an identifier belongs to.
pub fn pool(shared: &Shared, asid: u16) -> Option<Ptr<Table>> {
    let pool = shared.asid_pools[asid as usize / ASID_POOL_ENTRIES].get();
    // SAFETY: a pool is a page of RAM, laid out as a table, that is a pool as long as it is in this list.
    (pool != 0).then(|| unsafe { paging::table_at(PhysAddr(pool)) })
}

/// The address space that has the identifier now.
pub fn root_of(shared: &Shared, asid: u16) -> Option<PhysAddr> {
    let root = pool(shared, asid)?[asid as usize % ASID_POOL_ENTRIES].get();
    (root != 0).then_some(PhysAddr(root))
}

/// Gives an address space its identifier; root 0 takes it away.
pub fn assign(shared: &Shared, asid: u16, root: PhysAddr) {
    if let Some(pool) = pool(shared, asid) {
        pool[asid as usize % ASID_POOL_ENTRIES].set(root.0);
    }
}

/// The thread runs next: its address space is loaded.
#[inline(always)]
pub fn switch_to<M: Machine>(m: M, tcb: Ptr<Tcb>) {
    let n = m.node();
    let cap = tcb.slot(TCB_VSPACE).packed();
    // By the same capability, the address space is the one that is loaded: had it gone, nothing would be remembered.
    if cap.0 != n.space_cap.get() {
        load(m, cap);
    }
}

/// Loads the address space that a capability names, or the empty one.
fn load<M: Machine>(m: M, cap: Packed) {
    let n = m.node();
    let named = cap.as_mapped_vspace().filter(|(base, asid)| root_of(m.shared(), *asid) == Some(*base));
    let space = named.map_or(n.empty_space.get(), |(base, asid)| paging::space(base, asid));
    n.space_cap.set(if named.is_some() { cap.0 } else { NO_CAP });
    if n.space.replace(space) != space {
        m.load_space(space);
    }
}

/// Follows tables of a live address space from `root` towards `vaddr`, at most to `limit`: the entry where they end, and its
/// level.
pub fn walk(root: PhysAddr, vaddr: u64, limit: u32) -> (Ptr<Cell<u64>>, u32) {
    // SAFETY: every caller has `root` from a capability to an address space, from a pool that holds it, or is boot, which made
    // it; and none keeps the entry longer than that.
    unsafe { paging::walk(root, vaddr, limit) }
}

/// Takes a frame's mapping away, if it is still there.
pub fn unmap_frame<M: Machine>(m: M, frame: PhysAddr, size: FrameSize, mapping: Mapping) {
    let Some(root) = root_of(m.shared(), mapping.asid) else { return };
    let level = paging::frame_level(size);
    let (entry, found) = walk(root, mapping.vaddr, level);
    if found == level && paging::decode(entry.get(), level) == Entry::Leaf(frame) {
        entry.set(0);
        m.flush_page(mapping);
    }
}

/// Takes a page table out of its address space, if it is still there.
pub fn unmap_table<M: Machine>(m: M, table: PhysAddr, mapping: Mapping) {
    let Some(root) = root_of(m.shared(), mapping.asid) else { return };
    for level in 0..3 {
        let (entry, found) = walk(root, mapping.vaddr, level);
        if found == level && paging::decode(entry.get(), level) == Entry::Table(table) {
            entry.set(0);
            m.flush_space(mapping.asid);
            return;
        }
    }
}

/// An address space goes away.
pub fn delete_asid<M: Machine>(m: M, asid: u16, root: PhysAddr) {
    if root_of(m.shared(), asid) == Some(root) {
        assign(m.shared(), asid, PhysAddr(0));
        m.flush_space(asid);
        forget_current(m);
    }
}

/// A pool goes away with all its address spaces.
pub fn delete_pool<M: Machine>(m: M, first_asid: u16, base: PhysAddr) {
    let entry = &m.shared().asid_pools[first_asid as usize / ASID_POOL_ENTRIES];
    if entry.get() == base.0 {
        entry.set(0);
        m.flush_all();
        forget_current(m);
    }
}

/// The current thread's root is loaded again, or the empty one.
fn forget_current<M: Machine>(m: M) {
    let n = m.node();
    n.space.set(u64::MAX);
    n.space_cap.set(NO_CAP);
    switch_to(m, n.current());
}

/// Boot: maps a page into the root task's address space; false when a table is missing.
pub fn boot_map(root: PhysAddr, vaddr: u64, frame: PhysAddr, a: UserAttributes) -> bool {
    let (entry, level) = walk(root, vaddr, 3);
    if level == 3 {
        entry.set(paging::user_entry(frame, 3, a));
    }
    level == 3
}

/// Boot: adds a page table where `vaddr` lacks one; the address that it covers from, and which level's it is.
pub fn boot_map_table(root: PhysAddr, vaddr: u64, table: PhysAddr) -> (u64, TableKind) {
    let (entry, level) = walk(root, vaddr, 3);
    entry.set(paging::table_entry(table));
    (vaddr & !((1 << paging::shift(level)) - 1), TableKind::below(level))
}

/// Boot: whether the tables reach a page.
pub fn boot_has_table(root: PhysAddr, vaddr: u64) -> bool {
    walk(root, vaddr, 3).1 == 3
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::cap::Cap;
    use crate::fake::{FakeWorld, Hardware};
    use crate::sched;
    use std::vec::Vec;

    const ASID: u16 = 5;

    /// What was loaded since the last look.
    fn loads(world: &FakeWorld) -> Vec<u64> {
        let loaded =
            |event: Hardware| if let Hardware::LoadSpace(space) = event { Some(space) } else { None };
        world.take_log().into_iter().filter_map(loaded).collect()
    }

    /// By a capability that is remembered nothing is looked up again; so nothing may be remembered once the address space, or its whole
    /// pool, has gone: neither the thread that runs goes on in it, nor another that has the same capability, not even when the root got a
    /// new identifier.
    #[test]
    fn an_address_space_that_has_gone_is_not_remembered() {
        type Deletion = fn(&FakeWorld, PhysAddr, PhysAddr);
        let by_space: Deletion = |world, root, _| delete_asid(world, ASID, root);
        let by_pool: Deletion = |world, _, pool| delete_pool(world, 0, pool);
        for delete in [by_space, by_pool] {
            let world = FakeWorld::new();
            let m = &world;
            let n = m.node();
            let (pool, root) = (world.allocate(12), world.allocate(12));
            m.shared().asid_pools[0].set(pool.0);
            assign(m.shared(), ASID, root);
            let cnode = world.cnode(4);
            let [one, two, other] = [10, 10, 10].map(|priority| {
                let tcb = world.thread(priority, cnode);
                tcb.slot(TCB_VSPACE).cap.set(Cap::VSpace { base: root, asid: Some(ASID) }.pack());
                tcb
            });
            other.slot(TCB_VSPACE).cap.set(Cap::Null.pack());
            let (mine, empty) = (paging::space(root, ASID), n.empty_space.get());
            loads(&world);
            sched::run(m, one);
            sched::run(m, two);
            assert_eq!(loads(&world), [mine], "once for both");
            sched::run(m, other);
            assert_eq!(loads(&world), [empty]);
            sched::run(m, two);
            assert_eq!(loads(&world), [mine]);
            delete(&world, root, pool);
            assert_eq!(
                (loads(&world), n.space.get()),
                (Vec::from([empty]), empty),
                "the thread that runs leaves it"
            );
            sched::run(m, one);
            assert_eq!((loads(&world), n.space.get()), (Vec::new(), empty), "and nobody comes into it");
            m.shared().asid_pools[0].set(pool.0);
            assign(m.shared(), ASID, PhysAddr(0));
            assign(m.shared(), ASID + 1, root);
            sched::run(m, two);
            assert_eq!((loads(&world), n.space.get()), (Vec::new(), empty), "nor by its new identifier");
        }
    }
}
