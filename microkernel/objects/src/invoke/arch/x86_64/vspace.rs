//! Address spaces: a kind of table for each level. Caches need no maintenance.
use crate::arch::paging::{self, Entry};
use crate::arch::tables::TableKind;
use crate::cap::Cap;
use crate::invoke::args::{Args, Invoked, Stop, missing};
use crate::machine::Machine;
use crate::ptr::{PhysAddr, Ptr};
use crate::space as spaces;
use core::cell::Cell;
use sel4_sys::label;

/// The labels that map and unmap a table.
#[inline(always)]
pub fn table_labels(kind: TableKind) -> (u64, u64) {
    match kind {
        TableKind::Table => (label::PAGE_TABLE_MAP, label::PAGE_TABLE_UNMAP),
        TableKind::Directory => (label::PAGE_DIRECTORY_MAP, label::PAGE_DIRECTORY_UNMAP),
        TableKind::Pointers => (label::PDPT_MAP, label::PDPT_UNMAP),
    }
}

/// Where a table of this kind begins that spans an address. Only that is held against the end of user space, as in seL4.
pub fn table_start(vaddr: u64, kind: TableKind) -> u64 {
    vaddr & !((1 << paging::shift(kind.parent_level())) - 1)
}

/// Where a table of this kind goes for an address, and the level of that place.
pub fn table_place(root: PhysAddr, vaddr: u64, kind: TableKind) -> Result<(Ptr<Cell<u64>>, u32), Stop> {
    let level = kind.parent_level();
    let (entry, found) = spaces::walk(root, vaddr, level);
    if found == level { Ok((entry, level)) } else { Err(missing(found)) }
}

/// Where a frame of this level goes. What is a table there is not replaced: its capability would not know.
pub fn leaf<M: Machine>(m: M, root: PhysAddr, vaddr: u64, level: u32) -> Result<Ptr<Cell<u64>>, Stop> {
    if level == 1 && !m.shared().wiring.huge_pages.get() {
        return Err(Stop::IllegalOperation);
    }
    let (entry, found) = spaces::walk(root, vaddr, level);
    if found != level {
        return Err(missing(found));
    }
    match paging::decode(entry.get(), level) {
        Entry::Table(_) => Err(Stop::DeleteFirst),
        _ => Ok(entry),
    }
}

/// Invokes a frame with a label that is this architecture's: there is none.
pub fn frame<M: Machine>(_: M, _: &Args, _: Cap) -> Invoked {
    Err(Stop::IllegalOperation)
}

/// Invokes an address space: it does nothing itself.
pub fn space<M: Machine>(_: M, _: &Args, _: PhysAddr, _: Option<u16>) -> Invoked {
    Err(Stop::IllegalOperation)
}
