//! Where the kernel's state is: the one core's node, what cores share, and the idle thread.
//!
//! The kernel runs on one core with interrupts masked, so a static of cells is never used from two places at once.
use crate::arch::cpu;
use axiom_objects::node::{Node, Shared};
use axiom_objects::object::Tcb;
use axiom_objects::ptr::Ptr;
use core::mem::MaybeUninit;

/// A static of the one core.
#[repr(transparent)]
pub struct OneCore<T>(T);
// SAFETY: one core runs in the kernel at a time, with interrupts masked; see the module's documentation.
unsafe impl<T> Sync for OneCore<T> {}

#[repr(align(2048))]
struct IdleTcb(MaybeUninit<Tcb>);
static IDLE: OneCore<IdleTcb> = OneCore(IdleTcb(MaybeUninit::zeroed()));

/// The idle thread.
// SAFETY: all-zero bytes are a valid TCB.
const IDLE_THREAD: Ptr<Tcb> = Ptr::from_static(unsafe { IDLE.0.0.assume_init_ref() });

/// The state of the one core. Its address is in the core's own register ([`cpu::own_data`]) before the first Rust
/// function runs, or known to the linker.
#[unsafe(export_name = "axiom_node")]
pub static NODE: OneCore<Node> = OneCore(Node::new(IDLE_THREAD));

static SHARED: OneCore<Shared> = OneCore(Shared::new());

/// This core's state.
#[inline(always)]
pub fn node() -> &'static Node {
    // SAFETY: boot put the address of this core's node there, and nothing else is ever put there.
    unsafe { &*(cpu::own_data() as *const Node) }
}

/// What cores share.
#[inline(always)]
pub fn shared() -> &'static Shared {
    &SHARED.0
}
