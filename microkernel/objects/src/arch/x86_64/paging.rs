//! The format of translation tables, and walking them: four levels of 512 entries, 4 KiB pages, pages of 2 MiB and 1 GiB.
use crate::cap::{FrameSize, VmRights};
use crate::ptr::{PhysAddr, Ptr};
use core::cell::Cell;
use sel4_sys::object::vm_attributes;

/// Entries of a table.
pub const ENTRIES: usize = 512;
/// Last address of user space. Libsel4's `seL4_UserTop` is the first that is not: the page below the hole in the address space is
/// never mapped, so that no system call goes on at an address that is not canonical.
pub const USER_TOP: u64 = 0x0000_7fff_ffff_efff;
/// An entry that is valid. One that is not is zero: it names no memory that a core could look at all the same (L1TF).
pub const VALID: u64 = 1;
/// Writable.
pub const WRITE: u64 = 1 << 1;
/// User space may use it.
pub const USER: u64 = 1 << 2;
/// Bit 0 of the page attribute table's index.
pub const WRITE_THROUGH: u64 = 1 << 3;
/// Bit 1 of that index.
pub const CACHE_DISABLED: u64 = 1 << 4;
/// Accessed before.
pub const ACCESSED: u64 = 1 << 5;
/// Written before.
pub const DIRTY: u64 = 1 << 6;
/// A page at the levels that also have tables; bit 2 of the attribute table's index at the last level.
pub const LARGE: u64 = 1 << 7;
/// In every address space.
pub const GLOBAL: u64 = 1 << 8;
/// A frame of a device: the kernel's window does not have it. The hardware leaves this bit to software.
pub const OUTSIDE_WINDOW: u64 = 1 << 9;
/// Bit 2 of the attribute table's index, of a large page.
pub const LARGE_ATTRIBUTE: u64 = 1 << 12;
/// Never executed.
pub const NO_EXECUTE: u64 = 1 << 63;
/// The address in an entry.
pub const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
/// The first entry of a root that is the kernel's.
pub const KERNEL_ENTRIES: usize = ENTRIES / 2;

/// Whether the checks of a mapping that exists come before those of the address space that it is to be in.
pub const MAPPING_FIRST: bool = true;

/// A table, in memory that user space provided.
pub type Table = [Cell<u64>; ENTRIES];

/// What an entry is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// Nothing.
    Invalid,
    /// A table of the next level.
    Table(PhysAddr),
    /// A page.
    Leaf(PhysAddr),
}

/// Decodes an entry of a level (0 is the root, 3 holds pages).
pub fn decode(entry: u64, level: u32) -> Entry {
    let address = entry & ADDRESS;
    match (entry & VALID, level) {
        (0, _) => Entry::Invalid,
        (_, 3) => Entry::Leaf(PhysAddr(address)),
        (_, 1 | 2) if entry & LARGE != 0 => Entry::Leaf(PhysAddr(address & !((1 << shift(level)) - 1))),
        _ => Entry::Table(PhysAddr(address)),
    }
}

/// An entry for a table.
pub fn table_entry(table: PhysAddr) -> u64 {
    table.0 | VALID | WRITE | USER | ACCESSED
}

/// What a user mapping allows.
#[derive(Clone, Copy)]
pub struct UserAttributes {
    /// Reading.
    pub read: bool,
    /// Writing.
    pub write: bool,
    /// Executing.
    pub execute: bool,
    /// The memory's type: an index of the page attribute table.
    pub memory: u64,
    /// The frame is a device's.
    pub device: bool,
}

impl UserAttributes {
    /// RAM that can be read.
    pub const fn ram(write: bool, execute: bool) -> UserAttributes {
        UserAttributes { read: true, write, execute, memory: vm_attributes::WRITE_BACK, device: false }
    }

    /// What an invocation asks for. A device's frame is cached at most as write combining, and never executed.
    pub const fn asked(allowed: VmRights, attributes: u64, device: bool) -> UserAttributes {
        let memory = match attributes & 7 {
            vm_attributes::WRITE_COMBINING => vm_attributes::WRITE_COMBINING,
            _ if device => vm_attributes::UNCACHEABLE,
            index @ vm_attributes::WRITE_BACK..=vm_attributes::UNCACHEABLE => index,
            _ => vm_attributes::UNCACHEABLE,
        };
        UserAttributes {
            read: allowed.read,
            write: allowed.write,
            execute: attributes & vm_attributes::EXECUTE_NEVER == 0 && !device,
            memory,
            device,
        }
    }
}

/// An entry for a user page of a level.
pub fn user_entry(frame: PhysAddr, level: u32, a: UserAttributes) -> u64 {
    let mut entry = frame.0 | VALID | ACCESSED | DIRTY;
    if level < 3 {
        entry |= LARGE;
    }
    if a.read || a.write {
        entry |= USER;
    }
    if a.write {
        entry |= WRITE;
    }
    if !a.execute {
        entry |= NO_EXECUTE;
    }
    if a.device {
        entry |= OUTSIDE_WINDOW;
    }
    if a.memory & 1 != 0 {
        entry |= WRITE_THROUGH;
    }
    if a.memory & 2 != 0 {
        entry |= CACHE_DISABLED;
    }
    if a.memory & 4 != 0 {
        entry |= if level < 3 { LARGE_ATTRIBUTE } else { LARGE };
    }
    entry
}

/// Bits of a virtual address below those that a level's index takes.
pub const fn shift(level: u32) -> u32 {
    39 - 9 * level
}

/// The level whose entries map frames of this size.
pub const fn frame_level(size: FrameSize) -> u32 {
    match size {
        FrameSize::Huge => 1,
        FrameSize::Large => 2,
        FrameSize::Small => 3,
    }
}

/// What the machine loads to run in an address space: its root. Without identifiers in the hardware, loading it forgets the old
/// one's translations.
#[inline(always)]
pub const fn space(root: PhysAddr, _: u16) -> u64 {
    root.0
}

/// What all roots share: the kernel's entries.
pub struct KernelHalf([Cell<u64>; ENTRIES - KERNEL_ENTRIES]);

impl KernelHalf {
    /// Nothing yet.
    pub const fn new() -> KernelHalf {
        KernelHalf([const { Cell::new(0) }; ENTRIES - KERNEL_ENTRIES])
    }

    /// Takes the kernel's entries from its root; they stay as they are from then on.
    pub fn take(&self, root: &Table) {
        self.0.iter().zip(&root[KERNEL_ENTRIES..]).for_each(|(to, from)| to.set(from.get()));
    }

    /// Puts them into a new root.
    pub fn put(&self, root: PhysAddr) {
        // SAFETY: the root is becoming an address space, in memory that nobody else has.
        let table = unsafe { table_at(root) };
        table[KERNEL_ENTRIES..].iter().zip(&self.0).for_each(|(to, from)| to.set(from.get()));
    }
}

impl Default for KernelHalf {
    #[inline]
    fn default() -> Self {
        Self::new()
    }
}

/// The table at an address.
///
/// # Safety
/// `at` is a table object, or memory that is becoming one, and stays that while the reference is used.
pub unsafe fn table_at(at: PhysAddr) -> Ptr<Table> {
    // SAFETY: tables are page-aligned RAM, and all bytes are valid cells; the rest is this function's condition.
    unsafe { Ptr::new(at.kernel()) }
}

/// Follows tables from `root` towards `vaddr`, at most to `limit`: the entry where they end, and its level.
///
/// # Safety
/// `root` is a live VSpace.
pub unsafe fn walk(root: PhysAddr, vaddr: u64, limit: u32) -> (Ptr<Cell<u64>>, u32) {
    let mut table = root;
    let mut level = 0;
    loop {
        let index = (vaddr >> shift(level)) as usize & (ENTRIES - 1);
        // SAFETY: `root` is a live VSpace, and entries of kind table are written only with live page tables and cleared before
        // those go; the index is below the number of entries.
        let entry: Ptr<Cell<u64>> = unsafe { Ptr::new(table.kernel() + index * 8) };
        match decode(entry.get(), level) {
            Entry::Table(next) if level < limit => {
                table = next;
                level += 1;
            }
            _ => return (entry, level),
        }
    }
}
