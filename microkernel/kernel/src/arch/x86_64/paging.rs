//! The kernel's own translation tables: its image, the window to physical memory, device pages.
use super::cpu::{self, FEATURES};
use super::translation::publish;
use axiom_objects::arch::paging::{
    ACCESSED, ADDRESS, CACHE_DISABLED, DIRTY, ENTRIES, GLOBAL, KERNEL_ENTRIES, KernelHalf, LARGE, NO_EXECUTE,
    VALID, WRITE, WRITE_THROUGH,
};
use axiom_objects::ptr::PhysAddr;
use core::arch::asm;
use core::cell::Cell;

/// A page of kernel code.
pub const KERNEL_TEXT: u64 = VALID | ACCESSED | GLOBAL;
/// A page of kernel constants.
pub const KERNEL_RODATA: u64 = KERNEL_TEXT | NO_EXECUTE;
/// A page of kernel data.
pub const KERNEL_DATA: u64 = KERNEL_RODATA | WRITE | DIRTY;
/// A page of a device's registers: not cached.
const KERNEL_DEVICE: u64 = KERNEL_DATA | CACHE_DISABLED | WRITE_THROUGH;
const TABLE: u64 = VALID | WRITE | ACCESSED;

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

/// The kernel's root: it maps nothing of user space, so the idle thread has it too.
pub static HIGH_L0: Table = Table::empty();
/// The image's gigabyte.
pub static IMAGE_L1: Table = Table::empty();
/// The image's 2 MiB; entry 256 is the kernel's device pages.
pub static IMAGE_L2: Table = Table::empty();
/// The image's pages.
pub static IMAGE_L3: Table = Table::empty();
/// Pages of devices.
pub static DEVICE_L3: Table = Table::empty();
/// The window during boot.
pub static BOOT_WINDOW_L1: Table = Table::empty();
/// Its four gigabytes.
pub static BOOT_WINDOW_L2: [Table; 4] = [const { Table::empty() }; 4];
/// Where the first instructions run.
pub static IDENTITY_L1: Table = Table::empty();
/// The same.
pub static IDENTITY_L2: Table = Table::empty();
static WINDOW_L1: Table = Table::empty();

struct Counter(Cell<usize>);
// SAFETY: used at boot only, on one core.
unsafe impl Sync for Counter {}

/// Virtual minus physical address of the image, which lies where it was linked to be loaded.
pub const IMAGE_OFFSET: u64 = 0xffff_ffff_8000_0000;
const IMAGE_BASE: usize = 0xffff_ffff_8020_0000;
const DEVICE_BASE: usize = IMAGE_OFFSET as usize + (256 << 21);
static DEVICES_USED: Counter = Counter(Cell::new(0));

fn phys_of(table: &'static Table) -> PhysAddr {
    PhysAddr((core::ptr::from_ref(table) as u64).wrapping_sub(IMAGE_OFFSET))
}

/// The kernel's final map: the window over all RAM, without the image's text and constants being writable in it.
/// `ram` are page-aligned ranges; `image` and `read_only_end` the image's part that must not be written; tables come from `table`, zeroed,
/// in the first 4 GiB. False if there are no more, or RAM lies too high.
pub fn build_window(
    ram: &[(u64, u64)],
    image: u64,
    read_only_end: u64,
    mut table: impl FnMut() -> Option<PhysAddr>,
) -> bool {
    for &(start, end) in ram {
        if !map_range(start, end, (image, read_only_end), &mut table) {
            return false;
        }
    }
    HIGH_L0.0[KERNEL_ENTRIES].set(phys_of(&WINDOW_L1).0 | TABLE);
    HIGH_L0.0[0].set(0);
    forget_everything();
    true
}

/// Forgets also the kernel's own translations.
fn forget_everything() {
    const PGE: u64 = 1 << 7;
    // SAFETY: the tables map everything that the kernel uses (its image, its stack inside it, all RAM); global translations are
    // forgotten by switching them off and on.
    unsafe {
        asm!("mov {t}, cr4", "btr {t}, 7", "mov cr4, {t}", "or {t}, {pge}", "mov cr4, {t}",
            t = out(reg) _, pge = const PGE, options(nostack));
        asm!("mov cr3, {}", in(reg) cpu::root(), options(nostack, preserves_flags));
    }
}

/// What every address space has of the kernel's.
pub fn share(half: &KernelHalf) {
    half.take(&HIGH_L0.0);
}

/// Physical address of the root that maps nothing of user space.
pub fn empty_root(_: u64) -> PhysAddr {
    phys_of(&HIGH_L0)
}

fn map_range(
    start: u64,
    end: u64,
    read_only: (u64, u64),
    table: &mut impl FnMut() -> Option<PhysAddr>,
) -> bool {
    let holds_image = |from: u64, size: u64| from < read_only.1 && from + size > read_only.0;
    let mut at = start;
    while at < end {
        if at >> 39 != 0 {
            return false;
        }
        let fits = |size: u64| at.is_multiple_of(size) && end - at >= size && !holds_image(at, size);
        let l1 = &WINDOW_L1.0[(at >> 30) as usize & 511];
        if FEATURES.huge_pages.get() && fits(1 << 30) {
            l1.set(at | KERNEL_DATA | LARGE);
            at += 1 << 30;
            continue;
        }
        let Some(l2) = next_table(l1, table) else { return false };
        let l2 = &l2[(at >> 21) as usize & 511];
        if fits(1 << 21) {
            l2.set(at | KERNEL_DATA | LARGE);
            at += 1 << 21;
            continue;
        }
        let Some(l3) = next_table(l2, table) else { return false };
        let kind = if holds_image(at, 4096) { KERNEL_RODATA } else { KERNEL_DATA };
        l3[(at >> 12) as usize & 511].set(at | kind);
        at += 4096;
    }
    true
}

/// The table below an entry, made if it is not there.
fn next_table(
    entry: &Cell<u64>,
    table: &mut impl FnMut() -> Option<PhysAddr>,
) -> Option<&'static [Cell<u64>; ENTRIES]> {
    if entry.get() & VALID == 0 {
        entry.set(table()?.0 | TABLE);
    }
    let at = PhysAddr(entry.get() & ADDRESS).kernel();
    // SAFETY: the entry was made here, from zeroed memory that is this table's for ever; boot's window reaches it.
    Some(unsafe { &*core::ptr::with_exposed_provenance(at) })
}

/// Takes a page of the image out of the kernel's map.
pub fn unmap_image_page(at: usize) {
    IMAGE_L3.0[(at - IMAGE_BASE) / 4096].set(0);
    // SAFETY: forgets a mapping that nothing may use.
    unsafe { asm!("invlpg [{}]", in(reg) at, options(nostack, preserves_flags)) };
}

/// Maps device registers for the kernel; the virtual address of `phys`. `None` when the pages are used up.
pub fn map_device(phys: u64, size: u64) -> Option<usize> {
    let first = phys & !4095;
    let end = phys.checked_add(size).and_then(|end| end.checked_next_multiple_of(4096))?;
    let pages = (end - first) / 4096;
    let used = DEVICES_USED.0.get();
    if pages > (ENTRIES - used) as u64 || end > 1 << cpu::physical_bits() {
        return None;
    }
    for i in 0..pages as usize {
        DEVICE_L3.0[used + i].set((first + 4096 * i as u64) | KERNEL_DEVICE);
    }
    DEVICES_USED.0.set(used + pages as usize);
    publish();
    Some(DEVICE_BASE + used * 4096 + (phys & 4095) as usize)
}
