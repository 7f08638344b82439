//! The format of translation tables, and walking them: four levels of 512 entries, 4 KiB pages, blocks of 2 MiB and 1 GiB.
use crate::cap::{FrameSize, VmRights};
use crate::ptr::{PhysAddr, Ptr};
use core::cell::Cell;
use sel4_sys::object::vm_attributes;

/// Entries of a table.
pub const ENTRIES: usize = 512;
/// Last address of user space (libsel4's `seL4_UserTop`): half of what the lower tables could translate.
pub const USER_TOP: u64 = 0x0000_7fff_ffff_ffff;
/// A descriptor that is valid.
pub const VALID: u64 = 1;
/// A descriptor of a table, or of a page at the last level.
pub const TABLE: u64 = 0b11;
/// Accessed before: no fault to note the first access.
pub const ACCESSED: u64 = 1 << 10;
/// Inner shareable.
pub const INNER: u64 = 3 << 8;
/// Write-back memory.
pub const NORMAL: u64 = 1 << 2;
/// Device memory.
pub const DEVICE: u64 = 0;
/// Not writable.
pub const READ_ONLY: u64 = 1 << 7;
/// User space may use it.
pub const USER: u64 = 1 << 6;
/// Belongs to one address space identifier.
pub const NOT_GLOBAL: u64 = 1 << 11;
/// The kernel does not execute it.
pub const PXN: u64 = 1 << 53;
/// User space does not execute it.
pub const UXN: u64 = 1 << 54;
/// A frame of a device: the kernel's window does not have it. The hardware leaves this bit to software.
pub const OUTSIDE_WINDOW: u64 = 1 << 55;
/// The address in a descriptor.
pub const ADDRESS: u64 = 0x0000_ffff_ffff_f000;

/// A table, in memory that user space provided.
pub type Table = [Cell<u64>; ENTRIES];

/// Whether the checks of a mapping that exists come before those of the address space that it is to be in.
pub const MAPPING_FIRST: bool = false;

/// What all roots share: nothing, since the kernel's half has a root of its own.
pub struct KernelHalf;

impl KernelHalf {
    /// Nothing.
    pub const fn new() -> KernelHalf {
        KernelHalf
    }

    /// Puts it into a new root.
    #[inline(always)]
    pub fn put(&self, _: PhysAddr) {}
}

impl Default for KernelHalf {
    #[inline]
    fn default() -> Self {
        Self::new()
    }
}

/// What a descriptor is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// Nothing.
    Invalid,
    /// A table of the next level.
    Table(PhysAddr),
    /// A page or block.
    Leaf(PhysAddr),
}

/// Decodes a descriptor of a level (0 is the root, 3 holds pages).
pub fn decode(descriptor: u64, level: u32) -> Entry {
    let address = PhysAddr(descriptor & ADDRESS);
    match descriptor & 3 {
        3 if level < 3 => Entry::Table(address),
        3 => Entry::Leaf(address),
        1 if level == 1 || level == 2 => Entry::Leaf(address),
        _ => Entry::Invalid,
    }
}

/// A descriptor for a table.
pub fn table_entry(table: PhysAddr) -> u64 {
    table.0 | TABLE
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
    /// Normal memory; otherwise device.
    pub cacheable: bool,
    /// The frame is a device's.
    pub device: bool,
}

impl UserAttributes {
    /// RAM that can be read.
    pub const fn ram(write: bool, execute: bool) -> UserAttributes {
        UserAttributes { read: true, write, execute, cacheable: true, device: false }
    }

    /// What an invocation asks for.
    #[inline(always)]
    pub const fn asked(allowed: VmRights, attributes: u64, device: bool) -> UserAttributes {
        UserAttributes {
            read: allowed.read,
            write: allowed.write,
            execute: attributes & vm_attributes::EXECUTE_NEVER == 0 && !device,
            cacheable: attributes & vm_attributes::CACHEABLE != 0 && !device,
            device,
        }
    }
}

/// A descriptor for a user page (level 3) or block.
pub fn user_entry(frame: PhysAddr, level: u32, a: UserAttributes) -> u64 {
    let mut entry = frame.0 | VALID | ACCESSED | NOT_GLOBAL | PXN;
    if level == 3 {
        entry |= TABLE;
    }
    if a.read || a.write {
        entry |= USER;
    }
    if !a.write {
        entry |= READ_ONLY;
    }
    if !a.execute {
        entry |= UXN;
    }
    if a.device {
        entry |= OUTSIDE_WINDOW;
    }
    entry | if a.cacheable { NORMAL | INNER } else { DEVICE }
}

/// Whether user space may write through a descriptor of a leaf.
pub const fn user_writes(descriptor: u64) -> bool {
    descriptor & (USER | READ_ONLY) == USER
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

/// What the machine loads to run in an address space: its root with its identifier.
#[inline(always)]
pub const fn space(root: PhysAddr, asid: u16) -> u64 {
    root.0 | (asid as u64) << 48
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
