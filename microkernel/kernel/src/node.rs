//! The state of a core: who runs, who is ready, who waits for time, and the interrupt slots.
//!
//! Everything that would be per core is in one structure, [`Node`]. The kernel runs on one core with interrupts
//! masked, so a static of cells is never used from two places at once.
use axiom_objects::object::{Link, SchedContext, Tcb, ThreadState};
use axiom_objects::queue::Ends;
use axiom_objects::timer::TimerHeap;
use axiom_objects::{Ptr, Slot, Ticks};
use core::cell::Cell;

/// Interrupt numbers that the kernel can hand out. The boards that are supported have at most 320 lines.
pub const MAX_IRQS: usize = 512;
const PRIORITIES: usize = 256;

/// What the scheduler does when the kernel is about to leave.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// The current thread goes on.
    Resume,
    /// The ready queues decide.
    ChooseNew,
    /// This thread runs, unless a higher one is ready.
    SwitchTo(Ptr<Tcb>),
}

/// A core's state. What every system call touches comes first.
#[repr(C)]
pub struct Node {
    /// The running thread.
    current: Cell<Ptr<Tcb>>,
    /// The scheduling context that time is charged to; none while idle.
    pub current_sc: Link<SchedContext>,
    /// What to do on the way out.
    pub action: Cell<Action>,
    /// The counter at kernel entry.
    pub now: Cell<Ticks>,
    /// Time used since the current context was last charged.
    pub consumed: Cell<Ticks>,
    /// The CPU timer must be set again.
    pub reprogram: Cell<bool>,
    /// Smallest budget, ticks.
    pub min_budget: Cell<Ticks>,
    /// How much too early a refill may be used, ticks.
    pub slack: Cell<Ticks>,
    /// Armed timers.
    pub timers: TimerHeap,
    /// Whose registers are in the FPU.
    pub fpu_owner: Link<Tcb>,
    /// Threads that wait for their refill, by time.
    pub release: Cell<Ends>,
    ready: [Cell<Ends>; PRIORITIES],
    ready_words: Cell<u64>,
    ready_bits: [Cell<u64>; PRIORITIES / 64],
    work: Cell<u32>,
}

/// The machine's interrupts: the notification of each, and whether a handler was issued.
struct Interrupts {
    slots: [Slot; MAX_IRQS],
    active: [Cell<bool>; MAX_IRQS],
}

// SAFETY: one core runs in the kernel at a time, with interrupts masked; see the module's documentation.
unsafe impl Sync for Interrupts {}

static INTERRUPTS: Interrupts =
    Interrupts { slots: [const { Slot::new() }; MAX_IRQS], active: [const { Cell::new(false) }; MAX_IRQS] };

#[repr(align(2048))]
struct IdleTcb(core::mem::MaybeUninit<Tcb>);

// SAFETY: one core runs in the kernel at a time, with interrupts masked; see the module's documentation.
unsafe impl Sync for IdleTcb {}

static IDLE: IdleTcb = IdleTcb(core::mem::MaybeUninit::zeroed());

/// The idle thread.
// SAFETY: all-zero bytes are a valid TCB.
const IDLE_THREAD: Ptr<Tcb> = Ptr::from_static(unsafe { IDLE.0.assume_init_ref() });

// SAFETY: one core runs in the kernel at a time, with interrupts masked; see the module's documentation.
unsafe impl Sync for Node {}

/// The state of the one core. Its address is in the core's own register (`arch::cpu::own_data`) before the first Rust
/// function runs.
pub static NODE: Node = Node {
    current: Cell::new(IDLE_THREAD),
    current_sc: Cell::new(None),
    action: Cell::new(Action::Resume),
    now: Cell::new(0),
    consumed: Cell::new(0),
    reprogram: Cell::new(false),
    min_budget: Cell::new(0),
    slack: Cell::new(0),
    timers: TimerHeap::new(),
    fpu_owner: Cell::new(None),
    release: Cell::new(Ends { head: None, tail: None }),
    ready: [const { Cell::new(Ends { head: None, tail: None }) }; PRIORITIES],
    ready_words: Cell::new(0),
    ready_bits: [const { Cell::new(0) }; PRIORITIES / 64],
    work: Cell::new(0),
};

/// This core's state.
#[inline(always)]
pub fn node() -> &'static Node {
    // SAFETY: boot put the address of this core's node there, and nothing else is ever put there.
    unsafe { &*(crate::arch::cpu::own_data() as *const Node) }
}

impl Node {
    /// The running thread.
    #[inline(always)]
    pub fn current(&self) -> Ptr<Tcb> {
        self.current.get()
    }

    /// Makes `tcb` the running thread.
    pub fn set_current(&self, tcb: Ptr<Tcb>) {
        self.current.set(tcb);
    }

    /// The idle thread.
    pub fn idle(&self) -> Ptr<Tcb> {
        IDLE_THREAD
    }

    /// Prepares the idle thread.
    pub fn init(&self) {
        self.idle().state.set(ThreadState::Idle);
    }

    /// The slot with the notification of an interrupt.
    pub fn irq_slot(&self, irq: u32) -> Option<Ptr<Slot>> {
        INTERRUPTS.slots.get(irq as usize).map(Ptr::from_static)
    }

    /// Whether a handler was issued for the interrupt.
    pub fn irq_active(&self, irq: u32) -> &Cell<bool> {
        &INTERRUPTS.active[irq as usize]
    }

    /// Puts a thread into its ready queue, at its head or tail.
    pub fn enqueue(&self, tcb: Ptr<Tcb>, at_head: bool) {
        if tcb.in_ready_queue.replace(true) {
            return;
        }
        let priority = tcb.priority.get() as usize;
        let queue = &self.ready[priority];
        let ends = queue.get();
        let at = if at_head { ends.head } else { None };
        queue.set(ends.insert_before::<axiom_objects::queue::Sched>(tcb, at));
        let word = priority / 64;
        self.ready_bits[word].set(self.ready_bits[word].get() | 1 << (priority % 64));
        self.ready_words.set(self.ready_words.get() | 1 << word);
    }

    /// Takes a thread out of its ready queue, if it is in it.
    pub fn dequeue(&self, tcb: Ptr<Tcb>) {
        if !tcb.in_ready_queue.replace(false) {
            return;
        }
        let priority = tcb.priority.get() as usize;
        let queue = &self.ready[priority];
        let ends = queue.get().remove::<axiom_objects::queue::Sched>(tcb);
        queue.set(ends);
        if ends.head.is_none() {
            let word = priority / 64;
            let bits = self.ready_bits[word].get() & !(1 << (priority % 64));
            self.ready_bits[word].set(bits);
            if bits == 0 {
                self.ready_words.set(self.ready_words.get() & !(1 << word));
            }
        }
    }

    /// The highest priority that has a ready thread.
    #[inline(always)]
    pub fn highest_ready(&self) -> Option<u8> {
        let words = self.ready_words.get();
        if words == 0 {
            return None;
        }
        let word = 63 - words.leading_zeros() as usize;
        let bit = 63 - self.ready_bits[word].get().leading_zeros() as usize;
        Some((word * 64 + bit) as u8)
    }

    /// The first ready thread of the highest priority.
    pub fn first_ready(&self) -> Option<Ptr<Tcb>> {
        self.ready[self.highest_ready()? as usize].get().head
    }

    /// Every hundredth unit of long work asks whether something more urgent waits.
    pub fn work_done(&self) -> bool {
        let work = self.work.get() + 1;
        self.work.set(if work >= 100 { 0 } else { work });
        work >= 100
    }
}
