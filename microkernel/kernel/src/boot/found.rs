//! What boot finds out, and what its parts share: the machine's description, the image's place and sizes.
pub use crate::arch::firmware::Fatal;
use crate::arch::firmware::{CONTROLLER_BLOCKS, Entry, Firmware};
use axiom_objects::trace;

/// What boot found out about the machine.
pub struct Machine {
    /// What describes it.
    pub firmware: Firmware,
    /// The initial RAM disk: start and end.
    pub initrd: (u64, u64),
    /// Where the kernel image is.
    pub image: (u64, u64),
    /// The kernel's devices, which are not handed out: start and end.
    pub kernel_devices: [(u64, u64); CONTROLLER_BLOCKS],
    /// How the kernel was entered.
    pub entry: Entry,
}

unsafe extern "C" {
    static __image_start: u8;
    static __text_end: u8;
    static __rodata_end: u8;
    static __data_end: u8;
    static __image_end: u8;
}

/// Sizes of the image's parts, bytes: text, constants, data, zeroed data.
pub fn image_sizes() -> [u64; 4] {
    let at = |s: *const u8| s as u64;
    let ends = [
        at(&raw const __image_start),
        at(&raw const __text_end),
        at(&raw const __rodata_end),
        at(&raw const __data_end),
        at(&raw const __image_end),
    ];
    core::array::from_fn(|i| ends[i + 1] - ends[i])
}

#[repr(C, align(4096))]
/// Memory of the trace ring.
pub struct RingMemory(core::mem::MaybeUninit<trace::Ring>);
// SAFETY: used only through the reference that tracing gets, on one core.
unsafe impl Sync for RingMemory {}
/// The trace ring.
pub static RING: RingMemory = RingMemory(core::mem::MaybeUninit::zeroed());

/// Physical address of the trace ring.
pub fn ring_phys(image: u64) -> u64 {
    image + (&raw const RING as u64 - &raw const __image_start as u64)
}
