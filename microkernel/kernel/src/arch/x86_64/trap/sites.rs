//! Places in the kernel's code that are other instructions on some processors: rewritten once, at boot, so that nobody asks at each pass.
//!
//! A place is a run of instructions of at least five bytes that begins with whole ones, and what is put over it leads to a routine that does
//! the same work in another way: by a call, which goes on after the place, or by a jump, which does not. The kernel's code is never
//! writable where it runs; boot's window is, until the kernel's final tables are loaded.
use axiom_objects::ptr::PhysAddr;
use core::arch::x86_64::__cpuid;

/// Thread pointers by model-specific registers: the processor has no instructions for them.
pub const BY_REGISTERS: u64 = 1;
/// VERW before user space.
pub const CLEARING: u64 = 2;
/// A barrier to branch prediction with each address space.
pub const BARRIER: u64 = 3;
/// The routine is jumped to.
pub const JUMP: u64 = 0x100;

/// A place, as the linker collects them.
#[repr(C)]
struct Site {
    start: u64,
    end: u64,
    routine: u64,
    kind: u64,
}

unsafe extern "C" {
    static __sites_start: Site;
    static __sites_end: Site;
}

const CALL_OPCODE: u8 = 0xe8;
const JUMP_OPCODE: u8 = 0xe9;
const SHORT_JUMP: u8 = 0xeb;

/// Rewrites the places of a kind, in an image whose virtual addresses are its physical ones plus `offset`.
///
/// # Panics
/// If there is none: the kernel would say that it does what it does nowhere.
///
/// # Safety
/// Boot's window is what is loaded, and none of the places is being run.
pub unsafe fn rewrite(kind: u64, offset: u64) {
    let (start, end) = (&raw const __sites_start, &raw const __sites_end);
    let count = (end as usize - start as usize) / size_of::<Site>();
    // SAFETY: the linker puts the records, and nothing else, between the two.
    let sites = unsafe { core::slice::from_raw_parts(start, count) };
    let mut found = 0;
    for site in sites.iter().filter(|site| site.kind & !JUMP == kind) {
        let (opcode, length) =
            (if site.kind & JUMP != 0 { JUMP_OPCODE } else { CALL_OPCODE }, site.end - site.start);
        let mut bytes = [opcode, 0, 0, 0, 0, SHORT_JUMP, 0];
        let distance = site.routine.wrapping_sub(site.start + 5) as u32;
        bytes[1..5].copy_from_slice(&distance.to_le_bytes());
        let used = match length {
            5 => 5,
            // What is left of the place is jumped over.
            7..=134 => {
                bytes[6] = (length - 7) as u8;
                7
            }
            _ => panic!("a place of {length} bytes at {:#x} cannot be rewritten", site.start),
        };
        let at: *mut u8 =
            core::ptr::with_exposed_provenance_mut(PhysAddr(site.start.wrapping_sub(offset)).kernel());
        // SAFETY: the place is code of this image, which boot's window has writable (condition); `used` bytes of it are the place's.
        unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), at, used) };
        found += 1;
    }
    assert!(found > 0, "the kernel has no place of kind {kind} to rewrite");
    // What was fetched before is fetched again.
    __cpuid(0);
}
