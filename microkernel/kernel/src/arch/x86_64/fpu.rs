//! The FPU's registers and its trap. When they change hands is decided in `axiom_objects::fpu`.
use super::cpu;
use axiom_objects::arch::context::FpuState;
use core::arch::asm;
use core::cell::Cell;

struct State(Cell<bool>);
// SAFETY: one core runs in the kernel at a time.
unsafe impl Sync for State {}
/// Whether an access traps: boot leaves it so.
static TRAPS: State = State(Cell::new(true));

/// The state of a thread that never used the FPU: all exceptions masked, extended precision, no values.
#[repr(C, align(16))]
struct Initial([u16; 256]);
static INITIAL: Initial = {
    let mut image = [0; 256];
    image[0] = 0x37f;
    image[12] = 0x1f80;
    Initial(image)
};

/// Whether user space may use the FPU without a trap.
#[inline(always)]
pub fn set_enabled(on: bool) {
    if TRAPS.0.get() == on {
        TRAPS.0.set(!on);
        cpu::set_fpu_traps(!on);
    }
}

/// Stores the registers; the FPU is enabled. Nothing is left in them that another thread could find.
pub fn save(state: &FpuState) {
    // SAFETY: the FPU is enabled; `state` has 512 bytes of cells, aligned to 16. `fninit` also clears the addresses of the last
    // instruction, which AMD's FXSAVE leaves.
    unsafe {
        asm!("fxsave64 [{}]", "fninit", in(reg) core::ptr::from_ref(state), options(nostack, preserves_flags));
    }
    state.stored.set(1);
    restore(core::ptr::from_ref(&INITIAL).cast());
}

/// Loads the registers; the FPU is enabled.
pub fn load(state: &FpuState) {
    restore(if state.stored.get() == 0 {
        core::ptr::from_ref(&INITIAL).cast()
    } else {
        core::ptr::from_ref(state).cast()
    });
}

fn restore(image: *const u8) {
    // SAFETY: the FPU is enabled; the image was stored by FXSAVE, or is the initial one: no reserved bit is set. The kernel itself
    // keeps nothing in the FPU.
    unsafe { asm!("fxrstor64 [{}]", in(reg) image, options(nostack, preserves_flags, readonly)) };
}
