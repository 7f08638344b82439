//! The kernel's own translation tables: its image, the window to physical memory, device pages.
use super::cpu::write;
use super::translation::publish;
use axiom_objects::arch::paging::{
    ACCESSED, ADDRESS, DEVICE, ENTRIES, INNER, NORMAL, PXN, READ_ONLY, TABLE, UXN, table_entry,
};
use axiom_objects::ptr::PhysAddr;
use core::arch::asm;
use core::cell::Cell;

/// A page of kernel code.
pub const KERNEL_TEXT: u64 = TABLE | ACCESSED | INNER | NORMAL | READ_ONLY | UXN;
/// A page of kernel constants.
pub const KERNEL_RODATA: u64 = KERNEL_TEXT | PXN;
/// A page of kernel data.
pub const KERNEL_DATA: u64 = TABLE | ACCESSED | INNER | NORMAL | UXN | PXN;
const KERNEL_DEVICE: u64 = TABLE | ACCESSED | DEVICE | UXN | PXN;

/// A table of the kernel. User tables are the same, in memory that user space provided.
#[repr(C, align(4096))]
pub struct Table(pub [Cell<u64>; ENTRIES]);
// SAFETY: one core runs in the kernel at a time; the hardware walker reads single words.
unsafe impl Sync for Table {}

impl Table {
    const fn empty() -> Self {
        Table([const { Cell::new(0) }; ENTRIES])
    }
}

/// Root of the upper half.
pub static HIGH_L0: Table = Table::empty();
/// The image's gigabyte.
pub static IMAGE_L1: Table = Table::empty();
/// The image's 2 MiB blocks; entry 256 is the kernel's device pages.
pub static IMAGE_L2: Table = Table::empty();
/// The image's pages.
pub static IMAGE_L3: Table = Table::empty();
/// The window during the first instructions.
pub static BOOT_WINDOW_L1: Table = Table::empty();
/// A root that maps nothing: for the idle thread. During the first instructions it holds the identity block.
pub static EMPTY_L0: Table = Table::empty();
/// The identity block's table during the first instructions.
pub static IDENTITY_L1: Table = Table::empty();
static DEVICE_L3: Table = Table::empty();
static WINDOW_L1: Table = Table::empty();
/// Tables for gigabytes and 2 MiB blocks of the window that are not RAM as a whole, or hold the image.
static SPARE: [Table; 6] = [const { Table::empty() }; 6];
static SPARES_USED: Counter = Counter(Cell::new(0));

struct Counter(Cell<usize>);
// SAFETY: used at boot only, on one core.
unsafe impl Sync for Counter {}

const IMAGE_BASE: usize = 0xffff_ffff_8000_0000;
const DEVICE_BASE: usize = IMAGE_BASE + (256 << 21);
static DEVICES_USED: Counter = Counter(Cell::new(0));

fn virt_to_phys(table: &'static Table, image: u64) -> PhysAddr {
    let offset = core::ptr::from_ref(table) as usize - IMAGE_BASE;
    PhysAddr(image + offset as u64)
}

fn spare(image: u64) -> Option<(&'static Table, PhysAddr)> {
    let used = SPARES_USED.0.get();
    let table = SPARE.get(used)?;
    SPARES_USED.0.set(used + 1);
    Some((table, virt_to_phys(table, image)))
}

/// The kernel's final map: the window over all RAM, without the image's text and constants being writable in it.
/// `ram` are page-aligned ranges; `image` and `image_end` the image's physical place; `rodata_end` the end of what must
/// not be written; tables are the image's own. False if RAM is more scattered than there are tables for.
pub fn build_window(
    ram: &[(u64, u64)],
    image: u64,
    image_read_only: u64,
    _: impl FnMut() -> Option<PhysAddr>,
) -> bool {
    for &(start, end) in ram {
        if !map_range(start, end, image, image_read_only) {
            return false;
        }
    }
    HIGH_L0.0[0].set(table_entry(virt_to_phys(&WINDOW_L1, image)));
    EMPTY_L0.0.iter().chain(&IDENTITY_L1.0).for_each(|e| e.set(0));
    IMAGE_L2.0[256].set(table_entry(virt_to_phys(&DEVICE_L3, image)));
    // SAFETY: the new tables map everything that the kernel uses (its image, its stack inside it, all RAM).
    unsafe {
        write!("ttbr0_el1", virt_to_phys(&EMPTY_L0, image).0);
        asm!("dsb ishst", "isb", "tlbi vmalle1", "dsb ish", "isb", options(nostack));
    }
    true
}

/// Physical address of the root that maps nothing.
pub fn empty_root(image: u64) -> PhysAddr {
    virt_to_phys(&EMPTY_L0, image)
}

fn map_range(start: u64, end: u64, image: u64, read_only_end: u64) -> bool {
    let holds_image = |from: u64, size: u64| from < read_only_end && from + size > image;
    let mut at = start;
    while at < end {
        let l1 = &WINDOW_L1.0[(at >> 30) as usize & 511];
        if at >> 39 != 0 {
            return false;
        }
        if at.is_multiple_of(1 << 30) && end - at >= 1 << 30 && !holds_image(at, 1 << 30) {
            l1.set(at | (KERNEL_DATA & !2));
            at += 1 << 30;
            continue;
        }
        let Some(l2) = next_table(l1, image) else { return false };
        let l2 = &l2.0[(at >> 21) as usize & 511];
        if at.is_multiple_of(1 << 21) && end - at >= 1 << 21 && !holds_image(at, 1 << 21) {
            l2.set(at | (KERNEL_DATA & !2));
            at += 1 << 21;
            continue;
        }
        let Some(l3) = next_table(l2, image) else { return false };
        let kind = if holds_image(at, 4096) { KERNEL_RODATA } else { KERNEL_DATA };
        l3.0[(at >> 12) as usize & 511].set(at | kind);
        at += 4096;
    }
    true
}

/// The table below an entry, made if it is not there. Tables of the window are all statics of the image.
fn next_table(entry: &Cell<u64>, image: u64) -> Option<&'static Table> {
    if entry.get() & 3 == TABLE {
        let offset = (entry.get() & ADDRESS) - image;
        return SPARE.iter().find(|t| core::ptr::from_ref(*t) as u64 - IMAGE_BASE as u64 == offset);
    }
    let (table, phys) = spare(image)?;
    entry.set(table_entry(phys));
    Some(table)
}

/// Takes a page of the image out of the kernel's map.
pub fn unmap_image_page(at: usize) {
    IMAGE_L3.0[(at - IMAGE_BASE) / 4096].set(0);
    // SAFETY: forgets a mapping that nothing may use.
    unsafe { asm!("dsb ishst", "tlbi vmalle1", "dsb ish", "isb", options(nostack, preserves_flags)) };
}

/// The last of the device pages is for a look at a register of a device that may not stay mapped.
const PEEK: usize = ENTRIES - 1;

/// Reads a 64-bit device register without keeping it mapped.
pub fn peek_device(phys: u64) -> u64 {
    let at = DEVICE_BASE + PEEK * 4096;
    DEVICE_L3.0[PEEK].set((phys & !4095) | KERNEL_DEVICE);
    publish();
    // SAFETY: the page of the register was just mapped, as device memory; the callers' registers may always be read.
    let value = unsafe { ((at + (phys & 4088) as usize) as *const u64).read_volatile() };
    DEVICE_L3.0[PEEK].set(0);
    // SAFETY: forgets a mapping that nothing uses any more.
    unsafe { asm!("dsb ishst", "tlbi vmalle1", "dsb ish", "isb", options(nostack, preserves_flags)) };
    value
}

/// Maps device registers for the kernel; the virtual address of `phys`. `None` when the pages are used up.
pub fn map_device(phys: u64, size: u64) -> Option<usize> {
    let first = phys & !4095;
    let end = phys.checked_add(size).and_then(|end| end.checked_next_multiple_of(4096))?;
    let pages = (end - first) / 4096;
    let used = DEVICES_USED.0.get();
    if pages > (PEEK - used) as u64 {
        return None;
    }
    for i in 0..pages as usize {
        DEVICE_L3.0[used + i].set((first + 4096 * i as u64) | KERNEL_DEVICE);
    }
    DEVICES_USED.0.set(used + pages as usize);
    publish();
    Some(DEVICE_BASE + used * 4096 + (phys & 4095) as usize)
}

/// [`map_device`] before the final map exists: the pages go where the final map will find them.
pub fn map_boot_device(phys: u64, size: u64, image: u64) -> Option<usize> {
    IMAGE_L2.0[256].set(table_entry(virt_to_phys(&DEVICE_L3, image)));
    map_device(phys, size)
}
