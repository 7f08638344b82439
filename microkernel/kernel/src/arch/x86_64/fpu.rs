//! The FPU's registers and its trap. When they change hands is decided in `axiom_objects::fpu`, what of them there is in
//! [`axiom_boot::pc::fpu`].
//!
//! XSAVEOPT may leave out what its area has already: what was loaded from there and not written since, and what is in its first state.
//! Both hold here. Nobody writes an area but these instructions; each save follows a load of the same thread's, and ends with a load
//! of the first state from elsewhere, so what the processor remembers is never of another thread's area at the same address.
use super::cpu;
use axiom_boot::pc::fpu::{AREA, Announced, Instructions, Saving};
use axiom_objects::arch::context::FpuState;
use core::arch::asm;
use core::cell::Cell;

struct State {
    /// Whether an access traps: boot leaves it so.
    traps: Cell<bool>,
    saving: Cell<Option<Saving>>,
    /// XCR0; 0 for FXSAVE.
    components: Cell<u32>,
    optimises: Cell<bool>,
}
// SAFETY: one core runs in the kernel at a time.
unsafe impl Sync for State {}
static STATE: State = State {
    traps: Cell::new(true),
    saving: Cell::new(None),
    components: Cell::new(0),
    optimises: Cell::new(false),
};

const _: () = assert!(size_of::<FpuState>() == AREA as usize && align_of::<FpuState>() == 64);

/// The state of a thread that never used the FPU: all exceptions masked, extended precision, no values. Its header names no component:
/// XRSTOR gives each its first state, and takes MXCSR from here.
#[repr(C, align(64))]
struct Initial([u16; AREA as usize / 2]);
static INITIAL: Initial = {
    let mut image = [0; AREA as usize / 2];
    image[0] = 0x37f;
    image[12] = 0x1f80;
    Initial(image)
};

/// Decides what is stored, switches that on, and leaves nothing of firmware's in the registers. An access traps afterwards.
pub fn init() {
    let (basic, first) = (cpu::cpuid(1, 0), cpu::cpuid(XSTATE, 0));
    let avx = cpu::cpuid(XSTATE, 2);
    const XSTATE: u32 = 0xd;
    let announced = Announced {
        basic_ecx: basic.ecx,
        basic_edx: basic.edx,
        components: first.eax,
        variants: cpu::cpuid(XSTATE, 1).eax,
        avx: (avx.eax, avx.ebx),
    };
    let saving = announced.saving(|components| {
        // SAFETY: the processor has XSAVE and these components: that is when this is asked.
        unsafe { cpu::enable_xsave(components) };
        cpu::cpuid(XSTATE, 0).ebx
    });
    STATE.saving.set(saving);
    if let Some(saving) = saving {
        if saving.instructions == Instructions::Fxsave {
            cpu::disable_xsave();
        } else {
            STATE.components.set(saving.components);
            STATE.optimises.set(saving.instructions == Instructions::Xsaveopt);
        }
        cpu::set_fpu_traps(false);
        clear();
        cpu::set_fpu_traps(true);
    }
}

/// What is stored and how; nothing on a processor that this kernel refuses.
pub fn saving() -> Option<Saving> {
    STATE.saving.get()
}

/// Whether user space may use the FPU without a trap.
#[inline(always)]
pub fn set_enabled(on: bool) {
    if STATE.traps.get() == on {
        STATE.traps.set(!on);
        cpu::set_fpu_traps(!on);
    }
}

/// Stores the registers; the FPU is enabled. Nothing is left in them that another thread could find.
pub fn save(state: &FpuState) {
    let area = core::ptr::from_ref(state);
    let components = STATE.components.get();
    // SAFETY: 1. the FPU is enabled, and the processor has the instruction; 2. `state` has the bytes that XCR0's components take, all
    // cells, aligned to 64; its header was zero at first, and only these instructions wrote it.
    unsafe {
        match (components, STATE.optimises.get()) {
            (0, _) => asm!("fxsave64 [{}]", in(reg) area, options(nostack, preserves_flags)),
            (_, false) => {
                asm!("xsave64 [{}]", in(reg) area, in("eax") components, in("edx") 0, options(nostack, preserves_flags));
            }
            (_, true) => {
                asm!("xsaveopt64 [{}]", in(reg) area, in("eax") components, in("edx") 0, options(nostack, preserves_flags));
            }
        }
    }
    state.stored.set(1);
    clear();
}

/// Gives all enabled components their first state; the FPU is enabled.
fn clear() {
    // SAFETY: the FPU is enabled. `fninit` also clears the addresses of the last instruction, which AMD's processors neither store nor
    // load while no exception is pending.
    unsafe { asm!("fninit", options(nomem, nostack, preserves_flags)) };
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
    let components = STATE.components.get();
    // SAFETY: the FPU is enabled; the image was stored by the same kind of instruction, or is the initial one: no reserved bit is set. The
    // kernel itself keeps nothing in the FPU.
    unsafe {
        if components == 0 {
            asm!("fxrstor64 [{}]", in(reg) image, options(nostack, preserves_flags, readonly));
        } else {
            asm!("xrstor64 [{}]", in(reg) image, in("eax") components, in("edx") 0, options(nostack, preserves_flags, readonly));
        }
    }
}
