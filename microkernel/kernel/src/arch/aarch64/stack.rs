//! The kernel's stacks: one for everything, one for reporting its own faults.

/// Bytes of the kernel's stack.
pub const STACK_SIZE: usize = 8192;
/// Bytes of the stack for reporting a fault in the kernel.
pub const PANIC_STACK_SIZE: usize = 4096;

/// A stack.
#[repr(C, align(4096))]
pub struct Stack<const N: usize>(core::cell::UnsafeCell<[u8; N]>);
// SAFETY: only the stack pointer uses it; one core runs in the kernel at a time.
unsafe impl<const N: usize> Sync for Stack<N> {}

/// The kernel's stack.
pub static STACK: Stack<STACK_SIZE> = Stack(core::cell::UnsafeCell::new([0; STACK_SIZE]));
/// The stack for reporting a fault in the kernel.
pub static PANIC_STACK: Stack<PANIC_STACK_SIZE> = Stack(core::cell::UnsafeCell::new([0; PANIC_STACK_SIZE]));
