//! The objects: layouts and sizes. All-zero memory is the initial state of each.
use crate::arch::context::FpuState;
use crate::arch::registers::Registers;
use crate::heap::{Heap, Links, Member};
use crate::ptr::Ptr;
use crate::time::Ticks;
use core::cell::Cell;
use core::fmt;

/// An optional link to another object.
pub type Link<T> = Cell<Option<Ptr<T>>>;

/// A capability as a slot stores it: two words, whose layout only [`crate::cap`] knows. All-zero is the null capability.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Packed(pub u64, pub u64);

/// Word 0 of every capability has the kind from this bit on.
pub(crate) const KIND_SHIFT: u32 = 59;

/// A slot: 32 bytes, a capability and its place in the derivation tree ([`crate::slot`]). All-zero is an empty slot.
#[repr(C, align(32))]
pub struct Slot {
    pub(crate) cap: Cell<Packed>,
    pub(crate) prev: Cell<Option<Ptr<Slot>>>,
    /// Address of the next slot; bit 0 `revocable`, bit 1 `first_badged`.
    pub(crate) next: Cell<usize>,
}

impl Default for Slot {
    fn default() -> Self {
        Self::new()
    }
}

impl Slot {
    /// An empty slot.
    pub const fn new() -> Slot {
        Slot { cap: Cell::new(Packed(0, 0)), prev: Cell::new(None), next: Cell::new(0) }
    }

    /// The capability, packed.
    #[inline(always)]
    pub fn packed(&self) -> Packed {
        self.cap.get()
    }
}

/// The two ends of a queue of threads ([`crate::queue`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ends {
    /// First.
    pub head: Option<Ptr<Tcb>>,
    /// Last.
    pub tail: Option<Ptr<Tcb>>,
}

/// What a thread is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum ThreadState {
    /// Not started, suspended or faulted without a handler.
    #[default]
    Inactive = 0,
    /// Ready or running.
    Running,
    /// Ready; the instruction at its fault address runs again.
    Restart,
    /// Waits for a message.
    BlockedOnReceive,
    /// Waits until its message is taken.
    BlockedOnSend,
    /// Waits for an answer (or for its fault handler).
    BlockedOnReply,
    /// Waits for a notification.
    BlockedOnNotification,
    /// The idle thread.
    Idle,
}

/// Why a capability could not be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum LookupFailure {
    /// The root is not a CNode.
    InvalidRoot,
    /// The slot is empty.
    Missing {
        /// Bits not yet resolved.
        bits_left: u32,
    },
    /// The lookup ended at another depth.
    DepthMismatch {
        /// Bits not yet resolved.
        bits_left: u32,
        /// Bits that the CNode resolves.
        bits_found: u32,
    },
    /// A guard differs.
    GuardMismatch {
        /// Bits not yet resolved.
        bits_left: u32,
        /// The guard.
        guard: u64,
        /// Its size.
        guard_size: u32,
    },
}

/// A cancellation of badged sends that was preempted: which one, and the order of the last senders that it is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cancelling {
    /// Address of the endpoint.
    pub endpoint: usize,
    /// Badge; 0 when nothing is being cancelled.
    pub badge: u64,
    /// Who began to wait later is left alone.
    pub until: u64,
}

/// The fault of a thread that waits for its handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Fault {
    None = 0,
    Cap { addr: u64, in_recv_phase: bool, failure: LookupFailure },
    UnknownSyscall { number: u64 },
    UserException { number: u64, code: u64 },
    Timeout { badge: u64 },
    Vm { addr: u64, fsr: u64, instruction: bool },
}

/// Slots inside a TCB.
pub const TCB_SLOTS: usize = 5;
/// Slot of the capability space's root.
pub const TCB_CSPACE: usize = 0;
/// Slot of the address space's root.
pub const TCB_VSPACE: usize = 1;
/// Slot of the IPC buffer's frame.
pub const TCB_BUFFER: usize = 2;
/// Slot of the fault handler.
pub const TCB_FAULT: usize = 3;
/// Slot of the timeout handler.
pub const TCB_TIMEOUT: usize = 4;

/// A thread control block: 2^11 bytes. The register file comes first, so that a pointer to the TCB is a pointer to it.
#[repr(C)]
pub struct Tcb {
    /// User registers.
    pub regs: Registers,
    /// User FPU registers, when they are not in the FPU.
    pub fpu: FpuState,
    pub(crate) slots: [Slot; TCB_SLOTS],
    /// What the thread is doing.
    pub state: Cell<ThreadState>,
    /// Priority.
    pub priority: Cell<u8>,
    /// Highest priority that it may give to others.
    pub mcp: Cell<u8>,
    /// `seL4_TCBFlag` bits.
    pub flags: Cell<u64>,
    /// In a ready queue.
    pub in_ready_queue: Cell<bool>,
    /// In the release queue: its context waits for its refill, whatever the thread does.
    pub in_release_queue: Cell<bool>,
    /// Blocked sender: its capability had the grant right. Blocked receiver: its receive capability had it.
    pub can_grant: Cell<bool>,
    /// Blocked sender: its capability had the grant-reply right.
    pub can_grant_reply: Cell<bool>,
    /// Blocked sender: it calls.
    pub is_call: Cell<bool>,
    /// The endpoint it is blocked on.
    pub blocked_ep: Link<Endpoint>,
    /// The notification it is blocked on.
    pub blocked_ntfn: Link<Notification>,
    /// Blocked sender: the badge of its capability.
    pub sender_badge: Cell<u64>,
    /// Blocked sender: when it began to wait, in [`crate::node::Node::next_order`]'s order.
    pub sender_order: Cell<u64>,
    /// The cancellation of badged sends that its interrupted invocation goes on with.
    pub cancelling: Cell<Cancelling>,
    /// The reply object that it receives with, or that keeps it waiting.
    pub reply: Link<Reply>,
    /// The notification whose signals end its receiving.
    pub bound_ntfn: Link<Notification>,
    /// The scheduling context that it runs on.
    pub sc: Link<SchedContext>,
    /// The scheduling context that is bound to it, whoever runs on that ([`crate::owner`]).
    pub(crate) owned_sc: Link<SchedContext>,
    /// The notification that lends that one as well.
    pub(crate) owned_ntfn: Link<Notification>,
    /// The scheduling context it yielded to.
    pub yield_to: Link<SchedContext>,
    /// Why it waits for its fault handler.
    pub fault: Cell<Fault>,
    /// Address of its IPC buffer in its own space; 0 for none.
    pub ipc_buffer: Cell<u64>,
    /// Ready queue.
    pub sched_prev: Link<Tcb>,
    /// Ready queue.
    pub sched_next: Link<Tcb>,
    /// Release queue.
    pub(crate) release: Links<Tcb>,
    /// Release queue: when the refill comes, and how many had come into the queue before.
    pub(crate) release_at: Cell<(Ticks, u64)>,
    /// Endpoint or notification queue.
    pub ep_prev: Link<Tcb>,
    /// Endpoint or notification queue.
    pub ep_next: Link<Tcb>,
    /// Endpoint or notification queue: at either end of a run of equal priority, the other end.
    pub ep_run: Link<Tcb>,
    /// Diagnostic name, NUL padded.
    pub name: [Cell<u8>; 32],
}

impl Member for Tcb {
    #[inline(always)]
    fn links(&self) -> &Links<Tcb> {
        &self.release
    }
    /// First come, first served among equal times.
    #[inline(always)]
    fn before(&self, other: &Tcb) -> bool {
        self.release_at.get() < other.release_at.get()
    }
}

impl Tcb {
    /// Slot `index` of the TCB.
    pub fn slot(&self, index: usize) -> Ptr<Slot> {
        // SAFETY: the slot is part of the TCB that `self` refers to, which lives as long as any reference to it.
        unsafe { Ptr::new((&raw const self.slots[index]).expose_provenance()) }
    }

    /// Ready to run as far as its state goes (it may lack time).
    #[inline(always)]
    pub fn is_runnable(&self) -> bool {
        matches!(self.state.get(), ThreadState::Running | ThreadState::Restart)
    }

    /// Waits for a partner, an answer or a signal.
    pub fn is_blocked(&self) -> bool {
        use ThreadState as S;
        matches!(
            self.state.get(),
            S::BlockedOnReceive | S::BlockedOnSend | S::BlockedOnReply | S::BlockedOnNotification
        )
    }

    /// Runnable, with a scheduling context whose budget is not awaited.
    #[inline(always)]
    pub fn is_schedulable(&self) -> bool {
        self.is_runnable()
            && self.sc.get().is_some_and(|sc| sc.refill_max.get() > 0)
            && !self.in_release_queue.get()
    }

    /// The diagnostic name.
    pub fn name(&self) -> Name<'_> {
        Name(self)
    }
}

/// A thread's diagnostic name, as it is printed.
pub struct Name<'a>(&'a Tcb);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; 32];
        let mut length = 0;
        for byte in self.0.name.iter().map(Cell::get).take_while(|b| *b != 0) {
            text[length] = if byte.is_ascii_graphic() { byte } else { b'?' };
            length += 1;
        }
        // SAFETY: these bytes are printable ASCII, each a character.
        let text = unsafe { core::str::from_utf8_unchecked(&text[..length]) };
        // In one piece: interrupts wait for it.
        f.write_str(text)
    }
}

/// What an endpoint's queue holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointState {
    /// Nobody waits.
    Idle,
    /// Senders wait.
    Send,
    /// Receivers wait.
    Receive,
}

/// An endpoint: 16 bytes, the queue's ends with the state in the low bits of the head.
#[repr(C)]
pub struct Endpoint {
    head: Cell<usize>,
    tail: Link<Tcb>,
}

impl Default for Endpoint {
    fn default() -> Self {
        Endpoint { head: Cell::new(0), tail: Cell::new(None) }
    }
}

impl Endpoint {
    /// What the queue holds.
    #[inline(always)]
    pub fn state(&self) -> EndpointState {
        match self.head.get() & 3 {
            0 => EndpointState::Idle,
            1 => EndpointState::Send,
            _ => EndpointState::Receive,
        }
    }
    /// The queue.
    #[inline(always)]
    pub fn queue(&self) -> Ends {
        let address = self.head.get() & !3;
        // SAFETY: a non-zero head was stored by `set_queue` from a `Ptr<Tcb>`; a thread leaves the queue before its TCB goes.
        let head = (address != 0).then(|| unsafe { Ptr::new(address) });
        Ends { head, tail: self.tail.get() }
    }
    /// Stores the queue; an empty one makes the endpoint idle.
    #[inline(always)]
    pub fn set_queue(&self, queue: Ends, state: EndpointState) {
        let tag = match (queue.head, state) {
            (None, _) | (_, EndpointState::Idle) => 0,
            (_, EndpointState::Send) => 1,
            (_, EndpointState::Receive) => 2,
        };
        self.head.set(queue.head.map_or(0, |h| h.addr()) | tag);
        self.tail.set(queue.tail);
    }
}

/// What a notification holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum NotificationState {
    /// No signal, nobody waits.
    #[default]
    Idle = 0,
    /// Threads wait.
    Waiting,
    /// A signal is stored.
    Active,
}

/// A notification: 64 bytes.
#[repr(C)]
#[derive(Default)]
pub struct Notification {
    /// What it holds.
    pub state: Cell<NotificationState>,
    /// The stored signal's badges, or-ed.
    pub badge: Cell<u64>,
    /// First waiting thread.
    pub head: Link<Tcb>,
    /// Last waiting thread.
    pub tail: Link<Tcb>,
    /// The thread whose receiving it ends.
    pub bound: Link<Tcb>,
    /// The scheduling context that it lends.
    pub sc: Link<SchedContext>,
}

/// A reply object: 32 bytes, a link of the call stack of a scheduling context.
#[repr(C)]
#[derive(Default)]
pub struct Reply {
    /// The thread that waits for the answer, or that receives with this object.
    pub tcb: Link<Tcb>,
    /// The caller before, further down the stack.
    pub prev: Link<Reply>,
    /// The callee's reply object, further up the stack.
    pub next: Link<Reply>,
    /// The scheduling context, at the head of the stack only.
    pub sc: Link<SchedContext>,
}

impl Reply {
    /// Whether it is on no call stack: no context travelled with the call that it answers.
    #[inline(always)]
    pub fn is_alone(&self) -> bool {
        self.prev.get().is_none() && self.next.get().is_none() && self.sc.get().is_none()
    }
}

/// A piece of budget: `amount` may be used from `time` on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Refill {
    /// When it is available.
    pub time: Ticks,
    /// How much.
    pub amount: Ticks,
}

/// A scheduling context: 128 bytes and more; the refills follow the structure up to the object's size.
#[repr(C)]
pub struct SchedContext {
    /// Period; equal to the budget's for a thread that may always run (round robin), then stored as 0.
    pub period: Cell<Ticks>,
    /// Time used since it was last read.
    pub consumed: Cell<Ticks>,
    /// The thread that runs on it.
    pub tcb: Link<Tcb>,
    /// Head of the call stack.
    pub reply: Link<Reply>,
    /// Whose it is ([`crate::owner`]).
    pub(crate) owner: Cell<usize>,
    /// The thread that yielded to it.
    pub yield_from: Link<Tcb>,
    /// Badge of timeout faults.
    pub badge: Cell<u64>,
    /// Refills that are configured; 0 for an inactive context.
    pub refill_max: Cell<u32>,
    /// Index of the head refill.
    pub head: Cell<u32>,
    /// Number of refills in use.
    pub count: Cell<u32>,
    /// Sporadic server rules also while blocked.
    pub sporadic: Cell<bool>,
    /// Where its timers wait.
    pub place: Cell<Place>,
    /// The priority at which its timers are served: that of the thread that it is bound to, if it is ([`crate::sched::own`]).
    pub served_at: Cell<u8>,
    /// The timers that it pays for.
    pub timers: Timers,
    /// When its last turn ended, in turns of the core.
    pub turn: Cell<u64>,
    pub(crate) refills: [Cell<Refill>; 2],
}

/// Where the timers that a scheduling context pays for are ([`crate::account`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Place {
    /// In no heap of the node: it has no timers, or is being served.
    #[default]
    Nowhere = 0,
    /// Its time has not come.
    Waiting,
    /// It waits to be served, at its `served_at`.
    Due,
}

/// The timers that a scheduling context pays for ([`crate::account`]).
#[repr(C)]
#[derive(Default)]
pub struct Timers {
    /// The earliest.
    pub(crate) first: Link<Timer>,
    /// The others, by deadline.
    pub(crate) rest: Heap<Timer>,
}

/// A Timer object: 128 bytes ([`crate::timer`]).
#[repr(C)]
pub struct Timer {
    pub(crate) slot: Slot,
    /// The next deadline.
    pub deadline: Cell<Ticks>,
    /// Period, or 0 for one shot.
    pub period: Cell<Ticks>,
    /// Expirations since the last read.
    pub expirations: Cell<u64>,
    /// Deadlines that were missed whole since the last read.
    pub overruns: Cell<u64>,
    /// The last deadline that expired.
    pub last_deadline: Cell<Ticks>,
    /// The counter as whoever served it saw it.
    pub last_seen: Cell<Ticks>,
    pub(crate) links: Links<Timer>,
    /// What the heap that it is in goes by.
    pub(crate) key: Cell<u64>,
    /// Who pays: known of an account's first timer, and of the root of the heap of the others.
    pub(crate) account: Link<SchedContext>,
}

const _: () = {
    use sel4_sys::object as o;
    assert!(size_of::<Slot>() == 1 << o::SLOT_BITS);
    assert!(size_of::<Tcb>() <= 1 << o::TCB_BITS);
    assert!(size_of::<Endpoint>() == 1 << o::ENDPOINT_BITS);
    assert!(size_of::<Notification>() <= 1 << o::NOTIFICATION_BITS);
    assert!(size_of::<Reply>() == 1 << o::REPLY_BITS);
    assert!(size_of::<SchedContext>() <= 1 << o::MIN_SCHED_CONTEXT_BITS);
    assert!(size_of::<Timer>() <= 1 << sel4_sys::ext::TIMER_BITS);
};
