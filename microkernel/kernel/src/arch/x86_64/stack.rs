//! The kernel's stacks: one for everything, one for reporting its own faults, one each for what may come at any instruction. Below
//! each lies a page that boot takes away: whoever runs over the end of a stack faults, and writes into nothing else.
use super::paging;

/// Bytes of the kernel's stack. Boot takes most of it, for what the firmware left.
pub const STACK_SIZE: usize = 32768;
/// Bytes of the stacks for reporting.
pub const PANIC_STACK_SIZE: usize = 4096;
/// Bytes below a stack that are not mapped.
pub const GUARD_SIZE: usize = 4096;

/// A stack above its guard.
#[repr(C, align(4096))]
pub struct Stack<const N: usize> {
    guard: [u8; GUARD_SIZE],
    stack: core::cell::UnsafeCell<[u8; N]>,
}
// SAFETY: only the stack pointer uses it; one core runs in the kernel at a time.
unsafe impl<const N: usize> Sync for Stack<N> {}

impl<const N: usize> Stack<N> {
    const fn new() -> Self {
        Stack { guard: [0; GUARD_SIZE], stack: core::cell::UnsafeCell::new([0; N]) }
    }

    /// Its lowest address.
    pub fn base(&self) -> usize {
        self.stack.get() as usize
    }

    /// The address behind it, where it begins.
    pub fn top(&self) -> usize {
        self.base() + N
    }

    fn guard(&self) -> usize {
        (&raw const self.guard) as usize
    }
}

/// The kernel's stack.
pub static STACK: Stack<STACK_SIZE> = Stack::new();
/// The stack for reporting a fault in the kernel.
pub static PANIC_STACK: Stack<PANIC_STACK_SIZE> = Stack::new();
/// The stacks of what may come at any instruction, even before the kernel has a stack: non-maskable interrupt, double fault,
/// machine check.
pub static ANYTIME_STACKS: [Stack<PANIC_STACK_SIZE>; 3] = [const { Stack::new() }; 3];

/// Takes the guards away.
pub fn guard() {
    paging::unmap_image_page(STACK.guard());
    paging::unmap_image_page(PANIC_STACK.guard());
    for stack in &ANYTIME_STACKS {
        paging::unmap_image_page(stack.guard());
    }
}
