//! Lazy FPU switching: the registers stay with their last user until somebody else touches the FPU. On a core that looks at them
//! before it asks whether it may ([`FPU_LEAKS`]), they are saved and cleared as soon as somebody else runs; only fetching them is lazy.
use crate::arch::context::FPU_LEAKS;
use crate::machine::Machine;
use crate::object::Tcb;
use crate::ptr::Ptr;

/// `tcb` runs next: it has the FPU only if its registers are there. While nobody's are, an access traps.
#[inline(always)]
pub fn switch_to<M: Machine>(m: M, tcb: Ptr<Tcb>) {
    let n = m.node();
    if !FPU_LEAKS {
        m.enable_fpu(n.fpu_owner.get() == Some(tcb));
    } else if let Some(owner) = n.fpu_owner.get().filter(|owner| *owner != tcb) {
        take_away(m, owner);
    }
}

/// The owner's registers go into its TCB, and nobody's are there.
#[inline(never)]
fn take_away<M: Machine>(m: M, owner: Ptr<Tcb>) {
    m.save_fpu(&owner.fpu);
    leave_to_nobody(m, owner);
}

/// The current thread touched the FPU; false if it may not use it.
pub fn trap<M: Machine>(m: M) -> bool {
    let n = m.node();
    let tcb = n.current();
    if tcb.flags.get() & 1 != 0 {
        return false;
    }
    m.enable_fpu(true);
    if let Some(owner) = n.fpu_owner.get() {
        m.save_fpu(&owner.fpu);
    }
    m.load_fpu(&tcb.fpu);
    n.fpu_owner.set(Some(tcb));
    true
}

/// The thread goes away: its registers need not be kept, but on a leaking core they must not stay; saving clears them.
pub fn discard<M: Machine>(m: M, tcb: Ptr<Tcb>) {
    if FPU_LEAKS {
        release(m, tcb);
    } else {
        leave_to_nobody(m, tcb);
    }
}

fn leave_to_nobody<M: Machine>(m: M, tcb: Ptr<Tcb>) {
    let n = m.node();
    if n.fpu_owner.get() == Some(tcb) {
        n.fpu_owner.set(None);
        m.enable_fpu(false);
    }
}

/// Puts the thread's registers into its TCB.
pub fn release<M: Machine>(m: M, tcb: Ptr<Tcb>) {
    if m.node().fpu_owner.get() == Some(tcb) {
        m.enable_fpu(true);
        take_away(m, tcb);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{FakeWorld, Hardware};

    /// On a core that looks at registers it may not (CVE-2018-3665), nothing of a thread's is left there when another one runs; on any
    /// other they stay until they are asked for.
    #[test]
    fn registers_leave_a_leaking_core_with_their_thread() {
        let world = FakeWorld::new();
        let space = world.cnode(2);
        let (first, second) = (world.thread(10, space), world.thread(10, space));
        world.run(first);
        assert!(trap(&world));
        world.take_log();
        world.run(second);
        let stored = world.take_log().contains(&Hardware::SaveFpu);
        assert_eq!((stored, (&world).node().fpu_owner.get().is_none()), (FPU_LEAKS, FPU_LEAKS));
        world.run(first);
        assert_eq!(world.take_log().contains(&Hardware::EnableFpu(true)), !FPU_LEAKS, "back without a trap");
    }

    /// A thread that goes away leaves nothing there either: on a leaking core the registers are cleared, which is what saving does.
    #[test]
    fn registers_leave_a_leaking_core_with_a_thread_that_is_deleted() {
        let world = FakeWorld::new();
        let space = world.cnode(2);
        let thread = world.thread(10, space);
        world.run(thread);
        assert!(trap(&world));
        world.take_log();
        discard(&world, thread);
        let log = world.take_log();
        assert_eq!(log.contains(&Hardware::SaveFpu), FPU_LEAKS, "{log:?}");
        assert_eq!(log.last(), Some(&Hardware::EnableFpu(false)));
        assert!((&world).node().fpu_owner.get().is_none());
    }
}
