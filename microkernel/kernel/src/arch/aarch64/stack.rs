//! The kernel's stacks: one for everything, one for reporting its own faults. Below each lies a page that boot takes away: whoever
//! runs over the end of a stack faults, and writes into nothing else.
use super::paging;

/// Bytes of the kernel's stack. Boot takes most of it, for copies of the device tree's nodes.
pub const STACK_SIZE: usize = 16384;
/// Bytes of the stack for reporting a fault in the kernel.
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

    fn guard(&self) -> usize {
        (&raw const self.guard) as usize
    }
}

/// The kernel's stack.
pub static STACK: Stack<STACK_SIZE> = Stack::new();
/// The stack for reporting a fault in the kernel.
pub static PANIC_STACK: Stack<PANIC_STACK_SIZE> = Stack::new();

/// Takes the guards away.
pub fn guard() {
    for at in [STACK.guard(), PANIC_STACK.guard()] {
        paging::unmap_image_page(at);
    }
}
