//! What the rules need from a machine: one narrow trait.
//!
//! The kernel's machine has no size, so code for it is what it would be without the trait; on the host it is a reference to a
//! world in ordinary memory ([`crate::fake`]), so that several can exist. Whatever is decided is decided in the rules; a
//! method here only does what its first line says.
use crate::arch::context::FpuState;
use crate::arch::interrupts::Route;
use crate::arch::ports::Access;
use crate::cap::Mapping;
use crate::node::{Node, Shared};
use crate::object::Tcb;
use crate::ptr::{PhysAddr, Ptr};
use crate::time::Ticks;
use crate::trace::class;
use core::fmt;
use sel4_sys::ext::event;

/// What to do with the cache lines of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheOp {
    /// Write back to the point of coherency.
    Clean,
    /// Drop.
    Invalidate,
    /// Write back and drop.
    CleanInvalidate,
    /// Make written instructions visible to fetches.
    Unify,
}

/// A core and what is around it. The kernel runs on it with interrupts masked.
pub trait Machine: Copy {
    /// This core's state.
    fn node(&self) -> &Node;
    /// What all cores share.
    fn shared(&self) -> &Shared;

    // ---- time ----

    /// The counter.
    fn now(&self) -> Ticks;
    /// Interrupts at `deadline`, at once if it has passed, and forgets the deadline before; [`crate::time::NEVER`] is never.
    fn set_deadline(&self, deadline: Ticks);

    // ---- interrupts ----

    /// Takes the most urgent pending interrupt.
    fn acknowledge(&self) -> Option<u32>;
    /// The kernel has dealt with an acknowledged interrupt.
    fn complete(&self, irq: u32);
    /// Keeps a line from interrupting.
    fn mask(&self, irq: u32);
    /// Lets a line interrupt.
    fn unmask(&self, irq: u32);
    /// The same after it interrupted, until its handler acknowledges. A line whose edge would be lost is left alone.
    #[inline(always)]
    fn hold(&self, irq: u32) {
        self.mask(irq);
    }
    /// Wires an interrupt, masked.
    fn route(&self, irq: u32, route: Route);
    /// Reads or writes an I/O port: what was read.
    fn port(&self, access: Access) -> u64;
    /// Highest interrupt number that can be handed out.
    fn max_irq(&self) -> u32;
    /// Whether an interrupt waits to be taken.
    fn interrupt_pending(&self) -> bool;
    /// At a preemption point: whether to look for something more urgent now. A test may answer otherwise than by counting.
    #[inline(always)]
    fn looks_up(&self) -> bool {
        self.node().work_done()
    }

    // ---- memory ----

    /// Zeroes RAM that belongs to nobody.
    fn zero(&self, start: PhysAddr, bytes: u64);
    /// The same for RAM that user space is going to map: whoever looks past the caches (a device, a mapping without them) sees
    /// the zeroes too, and never what the former owner left there.
    fn zero_for_user(&self, start: PhysAddr, bytes: u64);
    /// Maintains the caches for a range of RAM.
    fn cache(&self, op: CacheOp, start: PhysAddr, bytes: u64);

    // ---- address spaces: the tables are memory, which the rules write; translations are the machine's ----

    /// What was written to tables before is seen from now on.
    fn publish(&self);
    /// Forgets the translation of one page.
    fn flush_page(&self, mapping: Mapping);
    /// Forgets the translations of one address space.
    fn flush_space(&self, asid: u16);
    /// Forgets the translations of all address spaces.
    fn flush_all(&self);
    /// User space is this one from now on: [`crate::arch::paging::space`] of a live root, or of the empty one.
    fn load_space(&self, space: u64);

    // ---- registers that are not in the register file ----

    /// Puts the user-written thread pointer into `from`'s register file, and `to`'s into the machine.
    fn switch_thread_pointers(&self, from: Ptr<Tcb>, to: Ptr<Tcb>);
    /// Sets the thread pointer of the running thread.
    fn set_thread_pointer(&self, value: u64);
    /// Loads the running thread's pointers, all that a user can write, from its registers.
    fn load_thread_pointers(&self, tcb: Ptr<Tcb>);
    /// Whether user space may use the FPU without a trap.
    fn enable_fpu(&self, on: bool);
    /// Stores the FPU's registers; it is enabled.
    fn save_fpu(&self, state: &FpuState);
    /// Loads the FPU's registers; it is enabled.
    fn load_fpu(&self, state: &FpuState);

    // ---- whoever watches ----

    /// The second clock that the counter was measured by: the counter, and that clock's steps since its start
    /// ([`crate::trace::Trace::set_reference`]) at the same moment. None where there is no such clock, or its steps would not fit.
    fn reference(&self) -> Option<(Ticks, u32)>;

    /// A line for the console, about something that threads can cause as often as they like.
    fn print(&self, line: fmt::Arguments<'_>);
    /// A thread's byte for the console; false if it has no room now.
    fn put(&self, byte: u8) -> bool;
    /// Whether debugging calls are there from now on.
    fn allow_debug_calls(&self, on: bool);
    /// Turns the machine off.
    fn power_off(&self);
    /// Serves a debugging call of the running thread; false if `number` is none, or not allowed.
    fn debug_call(&self, tcb: Ptr<Tcb>, number: i64) -> bool;
}

/// Records a phase of boot, and what the second clock says.
pub fn record_phase<M: Machine>(m: M, phase: u16, arg0: u16, arg1: u32) {
    record(m, class::BOOT, phase, arg0, arg1);
    if let Some((counter, steps)) = m.reference() {
        m.node().trace.record_at(counter, event::BOOT_REFERENCE, phase, steps);
    }
}

/// Records an event, if its class ([`crate::trace::class`]) is on.
#[inline(always)]
pub fn record<M: Machine>(m: M, class: u32, event: u16, arg0: u16, arg1: u32) {
    let trace = &m.node().trace;
    if trace.is_on(class) {
        trace.record_at(m.now(), event, arg0, arg1);
    }
}
