//! How long a checked kernel keeps interrupts off.
//!
//! A stretch goes from the first Rust function of an entry to the return, or to a preemption point, in cycles of the PMU:
//! with instructions counted by the emulator they are instructions. The vectors' own (about 70) are not in it. Without the
//! feature `checked` every function here is empty.
use sel4_sys::ext::stretch;

#[cfg(feature = "checked")]
mod on {
    use crate::arch::cpu;
    use crate::node::node;
    use core::cell::Cell;

    struct State {
        since: Cell<u64>,
        cause: Cell<usize>,
    }
    // SAFETY: one core runs in the kernel at a time, with interrupts masked.
    unsafe impl Sync for State {}
    static STATE: State = State { since: Cell::new(0), cause: Cell::new(0) };

    pub fn enter(cause: usize) {
        STATE.cause.set(cause);
        STATE.since.set(cpu::cycles());
    }

    pub fn split() {
        let stretch = cpu::cycles().wrapping_sub(STATE.since.get());
        node().trace.note_stretch(STATE.cause.get(), stretch);
        STATE.since.set(cpu::cycles());
    }
}

/// The kernel was entered for this.
#[inline(always)]
pub fn enter(_cause: usize) {
    #[cfg(feature = "checked")]
    on::enter(_cause);
}

/// The kernel was entered by a system call.
#[inline(always)]
pub fn enter_call(_number: i64) {
    #[cfg(feature = "checked")]
    {
        use axiom_objects::arch::registers::INFO;
        let info = sel4_sys::MessageInfo(crate::node::node().current().regs.get(INFO));
        on::enter(match _number {
            sel4_sys::syscall::CALL => stretch::of_label(info.label()),
            _ => stretch::OTHER_CALL,
        });
    }
}

/// The kernel was entered by an interrupt.
#[inline(always)]
pub fn enter_interrupt() {
    enter(stretch::INTERRUPT);
}

/// The kernel was entered by a fault.
#[inline(always)]
pub fn enter_fault() {
    enter(stretch::FAULT);
}

/// A preemption point: what waits could be served now.
#[inline(always)]
pub fn split() {
    #[cfg(feature = "checked")]
    on::split();
}
