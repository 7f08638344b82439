//! Objects and threads that the measurements make from the server's own untyped memory.
use axiom_proto::env::slot;
use axiom_runtime::cap::{SchedContext, SchedControl, Tcb};
use axiom_runtime::sel4::object::kind;
use axiom_runtime::sel4::{CNodeCapData, CPtr, Error, label};
use axiom_runtime::{CNODE_BITS, CNode, Endpoint, Frame, Pages, Runtime, Slots, Untyped, VSpace, cap};

const STACK_PAGES: usize = 4;
/// A turn of a thread that keeps the processor busy. No measured period is a multiple of it: its end would fall on every
/// deadline, and each lateness have the turn's end in it.
const TURN_US: u64 = 7_000;

/// What the manifest gave for experiments.
pub struct Resources {
    untyped: Option<Untyped>,
    /// Free slots.
    pub slots: Slots,
    /// Free addresses with page tables.
    pub pages: Pages,
    guard: u64,
    priority: u64,
}

/// A thread of an experiment.
#[derive(Clone, Copy)]
pub struct Thread {
    /// Its TCB.
    pub tcb: Tcb,
    /// Its scheduling context.
    pub sc: SchedContext,
}

impl Resources {
    /// From the environment.
    pub fn new(rt: &Runtime) -> Resources {
        let env = rt.env();
        Resources {
            untyped: env.untyped.map(|u| Untyped(CPtr(u.slot))),
            slots: Slots::new(env),
            pages: Pages::new(env.scratch),
            guard: CNodeCapData::new(0, 64 - u64::from(CNODE_BITS)).0,
            priority: rt.arg_number("priority").unwrap_or(0),
        }
    }

    /// This server's priority, if the manifest says it.
    pub fn priority(&self) -> Option<u64> {
        (self.priority > 1).then_some(self.priority)
    }

    /// An object.
    pub fn make(&mut self, kind: u64, bits: u64) -> Result<CPtr, Error> {
        let slot = self.slots.take().ok_or(Error::NotEnoughMemory)?;
        self.untyped.ok_or(Error::NotEnoughMemory)?.retype(kind, bits, slot, 1)?;
        Ok(slot)
    }

    /// A mapped page: its frame and address.
    pub fn page(&mut self) -> Result<(Frame, u64), Error> {
        let frame = Frame(self.make(kind::SMALL_PAGE, 0)?);
        let at = self.pages.take(1).ok_or(Error::NotEnoughMemory)?;
        frame.map_data(at, true)?;
        Ok((frame, at))
    }

    /// A thread in this address space that runs `entry(argument)`, with its IPC buffer's address on top of its stack.
    pub fn thread(
        &mut self,
        priority: u64,
        entry: extern "C" fn(u64) -> !,
        argument: u64,
    ) -> Result<Thread, Error> {
        let tcb = Tcb(self.make(kind::TCB, 0)?);
        let sc = SchedContext(self.make(kind::SCHED_CONTEXT, 8)?);
        let (frame, buffer) = self.page()?;
        let stack = self.pages.take(STACK_PAGES).ok_or(Error::NotEnoughMemory)?;
        for i in 0..STACK_PAGES as u64 {
            Frame(self.make(kind::SMALL_PAGE, 0)?).map_data(stack + i * 4096, true)?;
        }
        tcb.configure(CNode::OWN, self.guard, VSpace::OWN, buffer, frame)?;
        SchedControl(CPtr(slot::SCHED_CONTROL)).configure(sc, TURN_US, TURN_US, 0, 0)?;
        tcb.schedule(Tcb(CPtr(slot::TCB)), priority, priority, sc, Endpoint(CPtr::NULL))?;
        tcb.start(entry as usize as u64, stack + (STACK_PAGES * 4096) as u64, argument)?;
        Ok(Thread { tcb, sc })
    }

    /// Changes this server's own priority.
    pub fn set_own_priority(&self, priority: u64) -> Result<(), Error> {
        let own = CPtr(slot::TCB);
        cap::invoke(own, label::TCB_SET_PRIORITY, &[priority], &[own]).map(drop)
    }

    /// Takes a scheduling context from its thread: it becomes passive.
    pub fn make_passive(&self, thread: Thread) -> Result<(), Error> {
        cap::invoke(thread.sc.0, label::SCHED_CONTEXT_UNBIND, &[], &[]).map(drop)
    }
}
