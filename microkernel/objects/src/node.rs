//! The kernel's state: of a core (who runs, who is ready, who waits for time), and what cores share (interrupt slots, the
//! address spaces' identifiers).
//!
//! Everything that is per core is in one structure, [`Node`]; nothing else in the rules is a static. The kernel runs on one core
//! with interrupts masked, so cells are never used from two places at once.
use crate::account::{Accounts, Emptied};
use crate::arch::context::{BYTES_OF_A_UNIT, UNITS};
use crate::arch::interrupts::Wiring;
use crate::arch::paging::KernelHalf;
use crate::arch::ports::Handed;
use crate::heap::Heap;
use crate::object::{Ends, Link, SchedContext, Slot, Tcb, ThreadState};
use crate::ptr::Ptr;
use crate::queue::Sched;
use crate::time::{self, KERNEL_WCET_US, MIN_BUDGET_US, NEVER, Ticks};
use crate::trace::Trace;
use core::cell::Cell;
use sel4_sys::object::ASID_POOLS;

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
    /// When the CPU timer fires; [`NEVER`] while nobody waits.
    pub armed: Cell<Ticks>,
    /// The address space that is loaded ([`crate::arch::paging::space`]).
    pub space: Cell<u64>,
    /// The first word of the capability that it was found by, or [`NO_CAP`].
    pub space_cap: Cell<u64>,
    /// The one that maps nothing, for threads without an address space of their own.
    pub empty_space: Cell<u64>,
    /// Whose registers are in the FPU.
    pub fpu_owner: Link<Tcb>,
    /// Recorded events.
    pub trace: Trace,
    /// Scheduling contexts that pay for armed timers.
    pub accounts: Accounts,
    /// Threads whose context waits for its refill, by time.
    pub release: Heap<Tcb>,
    /// How many came into the release queue.
    pub released: Cell<u64>,
    /// How many turns ended.
    pub turns: Cell<u64>,
    pub(crate) ready: [Cell<Ends>; PRIORITIES],
    pub(crate) ready_words: Cell<u64>,
    pub(crate) ready_bits: [Cell<u64>; PRIORITIES / 64],
    pub(crate) work: Cell<u32>,
    /// Frequency of the counter, Hz.
    frequency: Cell<u64>,
    /// The interrupt of the CPU timer.
    pub timer_irq: Cell<u32>,
    /// Interrupts that nobody handled.
    pub strays: Cell<u64>,
    /// How far a long zeroing got.
    pub zeroing: Zeroing,
    /// How far a long cancellation of badged sends got.
    pub walk: Walk,
    pub(crate) order: Cell<u64>,
    idle: Ptr<Tcb>,
}

/// No capability's first word: there is no such kind.
pub const NO_CAP: u64 = u64::MAX;

/// How far the zeroing of a large range got when it was preempted. It starts again if any of the range became an object meanwhile,
/// which may be gone again: what that left must not count as zeroed. It goes on only as what it was: what was zeroed for the
/// kernel was zeroed in the caches, which is not enough for a frame.
#[derive(Default)]
pub struct Zeroing {
    start: Cell<u64>,
    end: Cell<u64>,
    done: Cell<u64>,
    for_user: Cell<bool>,
}

impl Zeroing {
    /// Nothing is half zeroed.
    pub const fn new() -> Zeroing {
        Zeroing { start: Cell::new(0), end: Cell::new(0), done: Cell::new(0), for_user: Cell::new(false) }
    }

    /// Nothing is half zeroed any more.
    #[inline]
    pub fn forget(&self) {
        self.end.set(0);
    }

    /// `bytes` from `start` become an object: what was half zeroed there does not count.
    #[inline]
    pub fn used(&self, start: u64, bytes: u64) {
        if start < self.end.get() && self.start.get() < start + bytes {
            self.forget();
        }
    }

    /// Where the zeroing of `start..end` goes on: at its start, unless it is the one that was preempted.
    #[inline]
    pub fn resume(&self, start: u64, end: u64, for_user: bool) -> u64 {
        let same = self.start.get() == start && self.end.get() == end && self.for_user.get() == for_user;
        self.start.set(start);
        self.end.set(end);
        self.for_user.set(for_user);
        if same { self.done.get() } else { start }
    }

    /// It got to here.
    #[inline]
    pub fn reached(&self, at: u64) {
        self.done.set(at);
    }
}

/// How far the walk along an endpoint's senders got when it was preempted. There is one per core: another cancellation
/// takes it over, and then this one walks from the head again, past those that it has seen.
#[derive(Default)]
pub struct Walk {
    /// The cancellation: its `until`, which no other has; 0 for none.
    pub(crate) owner: Cell<u64>,
    /// The sender to look at next.
    at: Link<Tcb>,
}

impl Walk {
    /// Nobody walks.
    pub const fn new() -> Walk {
        Walk { owner: Cell::new(0), at: Cell::new(None) }
    }

    /// Where the cancellation `until` goes on: at `head`, unless it was the last to walk.
    pub fn resume(&self, until: u64, head: Option<Ptr<Tcb>>) -> Option<Ptr<Tcb>> {
        if self.owner.replace(until) != until {
            self.at.set(head);
        }
        self.at.get()
    }

    /// The walk got to here.
    pub fn reached(&self, at: Option<Ptr<Tcb>>) {
        self.at.set(at);
    }

    /// The sender to look at next.
    pub fn at(&self) -> Option<Ptr<Tcb>> {
        self.at.get()
    }

    /// A thread is about to leave a queue of senders: the walk goes on behind it.
    #[inline(always)]
    pub fn passes(&self, tcb: Ptr<Tcb>) {
        if self.at.get() == Some(tcb) {
            self.at.set(tcb.ep_next.get());
        }
    }

    /// Whoever walks begins again at the head: a sender may have gone from before the place to behind it, or back.
    pub fn forget(&self) {
        self.owner.set(0);
        self.at.set(None);
    }
}

/// What all cores share: the notification of each interrupt, and whether a handler was issued; pools of address space
/// identifiers.
pub struct Shared {
    anchor: Slot,
    irq_slots: [Slot; MAX_IRQS],
    pub(crate) irq_active: [Cell<bool>; MAX_IRQS],
    /// Physical addresses of the identifier pools, 0 for none.
    pub asid_pools: [Cell<u64>; ASID_POOLS],
    /// How interrupts are wired.
    pub wiring: Wiring,
    /// The I/O ports that are handed out.
    pub ports: Handed,
    /// What all address spaces share.
    pub kernel_half: KernelHalf,
}

impl Default for Shared {
    #[inline]
    fn default() -> Self {
        Self::new()
    }
}

impl Shared {
    /// No interrupts, no pools.
    pub const fn new() -> Shared {
        Shared {
            anchor: Slot::new(),
            irq_slots: [const { Slot::new() }; MAX_IRQS],
            irq_active: [const { Cell::new(false) }; MAX_IRQS],
            asid_pools: [const { Cell::new(0) }; ASID_POOLS],
            wiring: Wiring::new(),
            ports: Handed::new(),
            kernel_half: KernelHalf::new(),
        }
    }

    /// The empty slot with which the derivation list begins: all capabilities of the machine stand behind it.
    pub fn anchor(&self) -> Ptr<Slot> {
        // SAFETY: as in `irq_slot`.
        unsafe { Ptr::new((&raw const self.anchor).expose_provenance()) }
    }

    /// The slot with the notification of an interrupt.
    #[inline]
    pub fn irq_slot(&self, irq: u32) -> Option<Ptr<Slot>> {
        let slot = self.irq_slots.get(irq as usize)?;
        // SAFETY: the slot is part of the structure that `self` refers to, which lives as long as any capability: it is the
        // kernel's static, or outlives a test's world.
        Some(unsafe { Ptr::new((&raw const *slot).expose_provenance()) })
    }

    /// Whether a handler was issued for the interrupt.
    #[inline]
    pub fn irq_active(&self, irq: u32) -> &Cell<bool> {
        &self.irq_active[irq as usize]
    }
}

impl Node {
    /// A core that has not started; `idle` is a zeroed TCB.
    pub const fn new(idle: Ptr<Tcb>) -> Node {
        Node {
            current: Cell::new(idle),
            current_sc: Cell::new(None),
            action: Cell::new(Action::Resume),
            now: Cell::new(0),
            consumed: Cell::new(0),
            reprogram: Cell::new(false),
            min_budget: Cell::new(0),
            slack: Cell::new(0),
            armed: Cell::new(NEVER),
            space: Cell::new(0),
            space_cap: Cell::new(NO_CAP),
            empty_space: Cell::new(0),
            fpu_owner: Cell::new(None),
            trace: Trace::new(),
            accounts: Accounts::new(),
            release: Heap::new(),
            released: Cell::new(0),
            turns: Cell::new(0),
            ready: [const { Cell::new(Ends { head: None, tail: None }) }; PRIORITIES],
            ready_words: Cell::new(0),
            ready_bits: [const { Cell::new(0) }; PRIORITIES / 64],
            work: Cell::new(0),
            frequency: Cell::new(0),
            timer_irq: Cell::new(0),
            strays: Cell::new(0),
            zeroing: Zeroing::new(),
            walk: Walk::new(),
            order: Cell::new(0),
            idle,
        }
    }

    /// Prepares the idle thread, and the constants in ticks, once the counter's frequency (Hz) and its interrupt are known.
    #[inline]
    pub fn init(&self, frequency: u64, timer_irq: u32) {
        self.idle.state.set(ThreadState::Idle);
        self.frequency.set(frequency);
        self.timer_irq.set(timer_irq);
        self.min_budget.set(self.us_to_ticks(MIN_BUDGET_US));
        self.slack.set(self.us_to_ticks(KERNEL_WCET_US));
    }

    /// Microseconds as ticks.
    #[inline(always)]
    pub fn us_to_ticks(&self, us: u64) -> Ticks {
        time::us_to_ticks(us, self.frequency.get())
    }

    /// Reads and clears the time that a context used, microseconds.
    #[inline]
    pub fn take_consumed(&self, sc: Ptr<SchedContext>) -> u64 {
        time::ticks_to_us(sc.consumed.replace(0), self.frequency.get())
    }

    /// The running thread.
    #[inline(always)]
    pub fn current(&self) -> Ptr<Tcb> {
        self.current.get()
    }

    /// Makes `tcb` the running thread.
    #[inline(always)]
    pub fn set_current(&self, tcb: Ptr<Tcb>) {
        self.current.set(tcb);
    }

    /// The idle thread.
    #[inline]
    pub fn idle(&self) -> Ptr<Tcb> {
        self.idle
    }

    /// Puts a thread into its ready queue, at its head or tail.
    #[inline]
    pub fn enqueue(&self, tcb: Ptr<Tcb>, at_head: bool) {
        if tcb.in_ready_queue.replace(true) {
            return;
        }
        let priority = tcb.priority.get() as usize;
        let queue = &self.ready[priority];
        let ends = queue.get();
        let at = if at_head { ends.head } else { None };
        queue.set(ends.insert_before::<Sched>(tcb, at));
        self.mark(priority);
    }

    /// Somebody is ready at this priority: a thread, or an account that is due.
    #[inline]
    fn mark(&self, priority: usize) {
        let word = priority / 64;
        self.ready_bits[word].set(self.ready_bits[word].get() | 1 << (priority % 64));
        self.ready_words.set(self.ready_words.get() | 1 << word);
    }

    /// No thread is ready at this priority, or no account is due, any more.
    #[inline]
    fn unmark(&self, priority: usize) {
        if self.ready[priority].get().head.is_some() || self.accounts.is_due(priority as u8) {
            return;
        }
        let word = priority / 64;
        let bits = self.ready_bits[word].get() & !(1 << (priority % 64));
        self.ready_bits[word].set(bits);
        if bits == 0 {
            self.ready_words.set(self.ready_words.get() & !(1 << word));
        }
    }

    /// An account that is nowhere waits to be served, at a priority.
    pub fn make_due(&self, sc: Ptr<SchedContext>, priority: u8) {
        self.accounts.make_due(sc, priority);
        self.mark(priority as usize);
    }

    /// Hears of a priority at which no account is due any more.
    #[inline]
    pub fn emptied(&self, emptied: Emptied) {
        if let Emptied(Some(priority)) = emptied {
            self.unmark(priority as usize);
        }
    }

    /// Takes a thread out of its ready queue, if it is in it.
    #[inline]
    pub fn dequeue(&self, tcb: Ptr<Tcb>) {
        if !tcb.in_ready_queue.replace(false) {
            return;
        }
        let priority = tcb.priority.get() as usize;
        let queue = &self.ready[priority];
        let ends = queue.get().remove::<Sched>(tcb);
        queue.set(ends);
        if ends.head.is_none() {
            self.unmark(priority);
        }
    }

    /// The ready threads of a priority.
    pub fn ready(&self, priority: u8) -> Ends {
        self.ready[priority as usize].get()
    }

    /// The highest priority at which a thread is ready or an account is due.
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

    /// The first ready thread of a priority.
    #[inline]
    pub fn first_ready(&self, priority: u8) -> Option<Ptr<Tcb>> {
        self.ready[priority as usize].get().head
    }

    /// Counts work on so many bytes of memory.
    #[inline]
    pub fn add_work(&self, bytes: u64) {
        self.work.set(self.work.get().saturating_add((bytes / BYTES_OF_A_UNIT) as u32));
    }

    /// Counts work that is as much as so many units, besides the one that its preemption point counts.
    #[inline(always)]
    pub fn add_units(&self, units: u32) {
        self.work.set(self.work.get() + units);
    }

    /// A number above all before.
    #[inline]
    pub fn next_order(&self) -> u64 {
        let order = self.order.get() + 1;
        self.order.set(order);
        order
    }

    /// Every so many units of long work it is asked whether something more urgent waits. A unit is up to 50 instructions.
    #[inline]
    pub fn work_done(&self) -> bool {
        let work = self.work.get() + 1;
        self.work.set(if work >= UNITS { 0 } else { work });
        work >= UNITS
    }
}
