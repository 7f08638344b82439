//! Typed capabilities: a slot of this server's CNode and the operations of what lies there.

use crate::ipc::{self, buffer, set_cap};
use axiom_proto::env::{Bit, Signals, slot};
use sel4_sys::object::{kind, vm_attributes};
use sel4_sys::{CPtr, CapRights, Error, MessageInfo, ext, label, stubs};

/// Invokes a capability: arguments in message registers, capabilities beside them; returns MR0..MR3.
pub fn invoke(cap: CPtr, label: u64, args: &[u64], caps: &[CPtr]) -> Result<[u64; 4], Error> {
    let mut mrs = [0; 4];
    for (i, &a) in args.iter().enumerate() {
        match mrs.get_mut(i) {
            Some(m) => *m = a,
            // SAFETY: the buffer is ours; messages of the kernel have fewer than 120 words.
            None => unsafe { (*buffer()).msg[i] = a },
        }
    }
    for (i, &c) in caps.iter().enumerate() {
        set_cap(i, c);
    }
    let got = stubs::call(cap, MessageInfo::new(label, 0, caps.len() as u64, args.len() as u64), mrs);
    match Error::from_label(got.info.label()) {
        Some(Error::NoError) => Ok(got.mrs),
        Some(e) => Err(e),
        None => Err(Error::IllegalOperation),
    }
}

macro_rules! caps {
    ($($(#[$doc:meta])* $name:ident;)*) => {
        $($(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(transparent)]
        pub struct $name(pub CPtr);)*
    };
}

caps! {
    /// An endpoint.
    Endpoint;
    /// A notification.
    Notification;
    /// Untyped memory.
    Untyped;
    /// A capability node.
    CNode;
    /// An address space.
    VSpace;
    /// A page table.
    PageTable;
    /// A frame.
    Frame;
    /// A thread.
    Tcb;
    /// A scheduling context.
    SchedContext;
    /// The right to give scheduling contexts their time.
    SchedControl;
    /// An interrupt.
    IrqHandler;
    /// A pool of address space numbers.
    AsidPool;
    /// A timer.
    Timer;
    /// The trace.
    Trace;
}

type Done = Result<(), Error>;

fn done(result: Result<[u64; 4], Error>) -> Done {
    result.map(|_| ())
}

/// What a client gave to be told by. It never waits, whatever the capability is: an endpoint without a receiver drops the message,
/// and what is neither refuses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Doorbell(pub CPtr);

impl Doorbell {
    /// Rings it.
    #[inline]
    pub fn ring(self) {
        stubs::nb_send(self.0, MessageInfo::new(0, 0, 0, 0), [0; 4]);
    }
}

/// Tells notifications from other capabilities: a timer can be bound to a notification that may be signalled, and to nothing else. The
/// timer is never armed.
#[derive(Clone, Copy, Debug)]
pub struct Probe(Timer);

impl Probe {
    /// With the timer that init gave for this.
    pub fn new(timer: Timer) -> Probe {
        Probe(timer)
    }

    /// Whether this is a notification with the right to signal it.
    pub fn is_notification(self, cap: CPtr) -> bool {
        let bound = self.0.bind(Notification(cap)).is_ok();
        // Nothing is kept of it; an unbound timer has nothing to unbind, which is as good.
        let _ = self.0.unbind();
        bound
    }
}

impl Notification {
    /// The one that is bound to this server's thread.
    pub const OWN: Notification = Notification(CPtr(slot::NOTIFICATION));

    /// Puts a capability into an empty slot that sets a bit of this notification, and does nothing else: to be given away.
    pub fn signaller(self, to: CPtr, bit: Bit) -> Result<Notification, Error> {
        CNode::OWN.mint(to, self.0, CapRights::WRITE, bit.badge()).map(|()| Notification(to))
    }
    /// Signals it. Only for notifications of this server's own or init's making; what a client gave is a [`Doorbell`].
    #[inline]
    pub fn signal(self) {
        stubs::signal(self.0);
    }
    /// Waits for it; returns the bits that were set.
    #[inline]
    pub fn wait(self) -> Signals {
        Signals::from_badge(stubs::wait(self.0).badge.0).unwrap_or_default()
    }
    /// The bits that were set, if it was signalled.
    #[inline]
    pub fn poll(self) -> Signals {
        Signals::from_badge(stubs::nb_wait(self.0).badge.0).unwrap_or_default()
    }
}

impl Untyped {
    /// Makes `count` objects in a row of slots of this server's CNode.
    pub fn retype(self, object: u64, size_bits: u64, first: CPtr, count: u64) -> Done {
        self.retype_into(object, size_bits, CNode::OWN, first, count)
    }
    /// The same in another CNode (whose slots are addressed directly).
    pub fn retype_into(self, object: u64, size_bits: u64, node: CNode, first: CPtr, count: u64) -> Done {
        let args = [object, size_bits, 0, 0, first.0, count];
        done(invoke(self.0, label::UNTYPED_RETYPE, &args, &[node.0]))
    }
    /// Makes frames of 4 KiB.
    pub fn frames(self, first: CPtr, count: u64) -> Done {
        self.retype(kind::SMALL_PAGE, 0, first, count)
    }
}

impl CNode {
    /// This server's own.
    pub const OWN: CNode = CNode(CPtr(slot::CNODE));

    /// Copies a capability of this server with these rights into `self`.
    pub fn copy(self, to: CPtr, from: CPtr, rights: CapRights) -> Done {
        done(invoke(self.0, label::CNODE_COPY, &[to.0, 64, from.0, 64, rights.0], &[CNode::OWN.0]))
    }
    /// Copies with a badge (or a CNode's guard).
    pub fn mint(self, to: CPtr, from: CPtr, rights: CapRights, badge: u64) -> Done {
        done(invoke(self.0, label::CNODE_MINT, &[to.0, 64, from.0, 64, rights.0, badge], &[CNode::OWN.0]))
    }
    /// Moves.
    pub fn move_to(self, to: CPtr, from: CPtr) -> Done {
        done(invoke(self.0, label::CNODE_MOVE, &[to.0, 64, from.0, 64], &[CNode::OWN.0]))?;
        if from == ipc::received() {
            ipc::set_received(false);
        }
        Ok(())
    }
    /// Copies a capability of this server with these rights into a slot of another CNode, which has so many bits.
    pub fn copy_into(self, slot: u64, bits: u64, from: CPtr, rights: CapRights) -> Done {
        done(invoke(self.0, label::CNODE_COPY, &[slot, bits, from.0, 64, rights.0], &[CNode::OWN.0]))
    }
    /// Moves what lies in a slot of another CNode, which has so many bits, to a slot of this server.
    pub fn take_out(self, slot: u64, bits: u64, to: CPtr) -> Done {
        done(invoke(CNode::OWN.0, label::CNODE_MOVE, &[to.0, 64, slot, bits], &[self.0]))
    }
    /// Empties a slot of another CNode, which has so many bits.
    pub fn delete_in(self, slot: u64, bits: u64) -> Done {
        done(invoke(self.0, label::CNODE_DELETE, &[slot, bits], &[]))
    }
    /// Empties a slot.
    pub fn delete(self, at: CPtr) -> Done {
        done(invoke(self.0, label::CNODE_DELETE, &[at.0, 64], &[]))
    }
    /// Deletes everything that was derived from a slot's capability.
    pub fn revoke(self, at: CPtr) -> Done {
        done(invoke(self.0, label::CNODE_REVOKE, &[at.0, 64], &[]))
    }
}

impl VSpace {
    /// This server's own.
    pub const OWN: VSpace = VSpace(CPtr(slot::VSPACE));
}

impl PageTable {
    /// Puts the table where `address` needs one.
    pub fn map(self, space: VSpace, address: u64) -> Done {
        done(invoke(self.0, label::PAGE_TABLE_MAP, &[address, vm_attributes::DEFAULT], &[space.0]))
    }
}

impl Frame {
    /// Maps it.
    pub fn map(self, space: VSpace, address: u64, rights: CapRights, attributes: u64) -> Done {
        done(invoke(self.0, label::PAGE_MAP, &[address, rights.0, attributes], &[space.0]))
    }
    /// Maps it here: data, never executable.
    pub fn map_data(self, address: u64, writable: bool) -> Done {
        let rights = if writable { CapRights::READ_WRITE } else { CapRights::READ };
        self.map(VSpace::OWN, address, rights, vm_attributes::DEFAULT | vm_attributes::EXECUTE_NEVER)
    }
    /// Maps it here read-and-execute.
    pub fn map_code(self, address: u64) -> Done {
        self.map(VSpace::OWN, address, CapRights::READ, vm_attributes::DEFAULT)
    }
    /// Ends its mapping.
    pub fn unmap(self) -> Done {
        done(invoke(self.0, label::PAGE_UNMAP, &[], &[]))
    }
    /// Its physical address.
    pub fn physical(self) -> Result<u64, Error> {
        invoke(self.0, label::PAGE_GET_ADDRESS, &[], &[]).map(|m| m[0])
    }
}

impl IrqHandler {
    /// Lets the interrupt come again.
    pub fn ack(self) -> Done {
        done(invoke(self.0, label::IRQ_ACK, &[], &[]))
    }
    /// Sets the notification that it signals.
    pub fn set_notification(self, n: Notification) -> Done {
        done(invoke(self.0, label::IRQ_SET_HANDLER, &[], &[n.0]))
    }
}

impl AsidPool {
    /// Gives an address space its number.
    pub fn assign(self, space: VSpace) -> Done {
        done(invoke(self.0, label::ASID_POOL_ASSIGN, &[], &[space.0]))
    }
}

impl SchedControl {
    /// Gives a scheduling context its budget and period, in microseconds.
    pub fn configure(
        self,
        sc: SchedContext,
        budget_us: u64,
        period_us: u64,
        refills: u64,
        badge: u64,
    ) -> Done {
        let args = [budget_us, period_us, refills, badge, 0];
        done(invoke(self.0, label::SCHED_CONTROL_CONFIGURE_FLAGS, &args, &[sc.0]))
    }
}

impl SchedContext {
    /// Microseconds consumed since the last question.
    pub fn consumed(self) -> Result<u64, Error> {
        invoke(self.0, label::SCHED_CONTEXT_CONSUMED, &[], &[]).map(|m| m[0])
    }
}

impl Tcb {
    /// Sets spaces and the IPC buffer. `cnode_data` is the guard.
    pub fn configure(
        self,
        cnode: CNode,
        cnode_data: u64,
        space: VSpace,
        ipc_address: u64,
        ipc_frame: Frame,
    ) -> Done {
        let args = [cnode_data, 0, ipc_address];
        done(invoke(self.0, label::TCB_CONFIGURE, &args, &[cnode.0, space.0, ipc_frame.0]))
    }
    /// Sets priorities, scheduling context and fault endpoint; `authority` is a thread that may give that priority.
    pub fn schedule(
        self,
        authority: Tcb,
        mcp: u64,
        priority: u64,
        sc: SchedContext,
        fault: Endpoint,
    ) -> Done {
        let args = [mcp, priority];
        done(invoke(self.0, label::TCB_SET_SCHED_PARAMS, &args, &[authority.0, sc.0, fault.0]))
    }
    /// Binds a notification.
    pub fn bind_notification(self, n: Notification) -> Done {
        done(invoke(self.0, label::TCB_BIND_NOTIFICATION, &[], &[n.0]))
    }
    /// Starts it: program counter, stack pointer (the end of its stack, at a multiple of 16), first argument of an `extern "C" fn`.
    pub fn start(self, pc: u64, sp: u64, argument: u64) -> Done {
        let registers = crate::arch::first_registers(pc, sp, argument);
        // Flags: resume the target; then how many, then the registers.
        let mut words = [0; 2 + crate::arch::FIRST_REGISTERS];
        words[0] = 1;
        words[1] = registers.len() as u64;
        words[2..].copy_from_slice(&registers);
        done(invoke(self.0, label::TCB_WRITE_REGISTERS, &words, &[]))
    }
    /// Stops it.
    pub fn suspend(self) -> Done {
        done(invoke(self.0, label::TCB_SUSPEND, &[], &[]))
    }
    /// Lets it run again.
    pub fn resume(self) -> Done {
        done(invoke(self.0, label::TCB_RESUME, &[], &[]))
    }
}

/// What a timer did since it was read last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expirations {
    /// How often it expired.
    pub expirations: u64,
    /// Deadlines that were missed whole.
    pub overruns: u64,
    /// The last deadline that expired, in ticks.
    pub deadline: u64,
    /// The counter as the timer interrupt's entry saw it.
    pub entry: u64,
}

impl Timer {
    /// Binds the notification that it signals.
    pub fn bind(self, n: Notification) -> Done {
        done(invoke(self.0, ext::TIMER_BIND, &[], &[n.0]))
    }
    /// Ends that.
    pub fn unbind(self) -> Done {
        done(invoke(self.0, ext::TIMER_UNBIND, &[], &[]))
    }
    /// Starts it: first deadline (ticks, absolute), period in ticks or 0.
    pub fn arm(self, first: u64, period: u64) -> Done {
        done(invoke(self.0, ext::TIMER_ARM, &[first, period], &[]))
    }
    /// Stops it.
    pub fn cancel(self) -> Done {
        done(invoke(self.0, ext::TIMER_CANCEL, &[], &[]))
    }
    /// Reads and clears its counts.
    #[inline]
    pub fn read(self) -> Expirations {
        match invoke(self.0, ext::TIMER_READ, &[], &[]) {
            Ok([expirations, overruns, deadline, entry]) => {
                Expirations { expirations, overruns, deadline, entry }
            }
            Err(_) => Expirations::default(),
        }
    }
}

impl Trace {
    /// Records a user event.
    #[inline]
    pub fn emit(self, event: u16, arg0: u16, arg1: u32) {
        let _ = invoke(self.0, ext::TRACE_EMIT, &[event as u64, arg0 as u64, arg1 as u64], &[]);
    }
    /// Chooses the classes that are recorded.
    pub fn set_mask(self, mask: u64) -> Done {
        done(invoke(self.0, ext::TRACE_SET_MASK, &[mask], &[]))
    }
    /// Bytes of the ring, records written, mask.
    pub fn state(self) -> Result<(u64, u64, u64), Error> {
        invoke(self.0, ext::TRACE_INFO, &[], &[]).map(|m| (m[0], m[1], m[2]))
    }
}
