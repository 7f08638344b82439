//! A machine in ordinary memory: the rules run on the host, on as many worlds at once as a test wants.
//!
//! A [`FakeWorld`] has memory for objects (one block; a physical address is an address in it), a clock that stands until it
//! is moved, interrupts that are raised by hand, and a say at every preemption point. What the rules ask of the hardware is recorded
//! ([`Hardware`]). Everything that a step can change lies in the block or in a few cells, so a state can be taken and put
//! back ([`FakeWorld::snapshot`]): a search goes on from the same state in different ways.
//!
//! ```
//! use axiom_objects::fake::{FakeWorld, Message};
//! use sel4_sys::{label, syscall};
//!
//! let world = FakeWorld::new();
//! let space = world.cnode(6);
//! let (main, other) = (world.thread(10, space), world.thread(9, space));
//! world.put(space, 1, axiom_objects::Cap::Tcb { tcb: other });
//! world.run(main);
//! world.invoke(main, 1, Message { label: label::TCB_SUSPEND, words: &[], caps: &[] });
//! assert!(!other.is_runnable());
//! ```
extern crate std;

mod calls;
mod hardware;
mod states;

use crate::arch::context::FpuState;
use crate::arch::interrupts::Route;
use crate::arch::ports::Access;
use crate::arch::registers::{CAP, FAULT_PC, INFO, MR0, PC, POINTERS, TLS};
use crate::cap::{Cap, FrameSize, Mapping, VmRights};
use crate::entry;
use crate::fast;
use crate::machine::{CacheOp, Machine};
use crate::message;
use crate::node::{Action, Node, Shared};
use crate::object::{
    Endpoint, Fault, Notification, Reply, SchedContext, Slot, TCB_BUFFER, TCB_CSPACE, Tcb, ThreadState, Timer,
};
use crate::ptr::{PhysAddr, Ptr};
use crate::sched;
use crate::slot;
use crate::thread;
use crate::time::Ticks;
use core::cell::{Cell, RefCell};
use core::fmt;
use core::mem::MaybeUninit;
use sel4_sys::object as o;
use sel4_sys::{MessageInfo, syscall};
use std::alloc::Layout;
use std::boxed::Box;
use std::collections::VecDeque;
use std::string::{String, ToString};
use std::vec::Vec;

/// The clock's frequency, Hz: a tick is a microsecond.
pub const FREQUENCY: u64 = 1_000_000;
/// The interrupt of the CPU timer.
pub const TIMER_IRQ: u32 = 27;
/// The highest interrupt line.
pub const MAX_IRQ: u32 = 63;
/// Budget of threads' scheduling contexts, ticks; they take turns.
pub const BUDGET: Ticks = 5000;

/// What the rules asked of the hardware.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Hardware {
    Deadline(Ticks),
    Complete(u32),
    Mask(u32),
    Unmask(u32),
    Route {
        irq: u32,
        route: Route,
    },
    Port(Access),
    Zero {
        start: PhysAddr,
        bytes: u64,
    },
    /// Zeroes that were written back as well.
    ZeroForUser {
        start: PhysAddr,
        bytes: u64,
    },
    Cache {
        op: CacheOp,
        start: PhysAddr,
        bytes: u64,
    },
    Publish,
    FlushPage(Mapping),
    FlushSpace(u16),
    FlushAll,
    LoadSpace(u64),
    ThreadPointer(u64),
    EnableFpu(bool),
    SaveFpu,
    LoadFpu,
    Printed(String),
    Put(u8),
    DebugCalls(bool),
    PowerOff,
}

/// The words of the memory block. Allocated zeroed, given back when the world goes.
struct Block {
    base: *mut MaybeUninit<u64>,
    layout: Layout,
}

impl Block {
    fn words(&self) -> usize {
        self.layout.size() / 8
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: the block was allocated with this layout, by `FakeWorld::with_memory`.
        unsafe { std::alloc::dealloc(self.base.cast(), self.layout) };
    }
}

/// The cells that are not in memory: what a real core has in registers, and the interrupt controller.
#[derive(Clone)]
struct Registers {
    now: Ticks,
    deadline: Ticks,
    thread_pointer: u64,
    fpu: u64,
    used: usize,
    pending: VecDeque<u32>,
    masked: u64,
}

/// A state of a world, to be put back.
pub struct Snapshot {
    memory: Vec<MaybeUninit<u64>>,
    registers: Registers,
}

/// A word of a state that was taken from zeroed memory.
fn word(word: &MaybeUninit<u64>) -> u64 {
    // SAFETY: the memory was zeroed, and what was written since has bits on every machine that this runs on (not under Miri).
    unsafe { word.assume_init() }
}

/// Who decides at preemption points.
type Oracle = Box<dyn FnMut() -> bool>;

/// A machine in ordinary memory; `&FakeWorld` is a [`Machine`].
pub struct FakeWorld {
    block: Block,
    node: Ptr<Node>,
    shared: Ptr<Shared>,
    registers: RefCell<Registers>,
    log: RefCell<Vec<Hardware>>,
    recording: Cell<bool>,
    oracle: RefCell<Option<Oracle>>,
    points: Cell<u64>,
    preempting: Cell<bool>,
    late: Cell<Option<Late>>,
    /// How long a look at the clock takes: the kernel's own time.
    cost: Cell<Ticks>,
    second_clock: Cell<Option<u32>>,
}

/// Time that passes inside of a call, up to one of its preemption points.
#[derive(Clone, Copy)]
struct Late {
    at: u64,
    ticks: Ticks,
    pending: bool,
}

impl Default for FakeWorld {
    fn default() -> Self {
        Self::new()
    }
}

/// A message: what an invocation says.
#[derive(Clone, Copy, Debug, Default)]
pub struct Message<'a> {
    /// Label.
    pub label: u64,
    /// Words; beyond the fourth they go into the thread's buffer.
    pub words: &'a [u64],
    /// Capability pointers, at most three.
    pub caps: &'a [u64],
}

/// What a thread finds in its registers: the label and the words that fit into registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Label: an error number, or what the partner said.
    pub label: u64,
    /// Badge.
    pub badge: u64,
    /// Words.
    pub words: [u64; 4],
}

impl FakeWorld {
    /// A world with 1 MiB.
    pub fn new() -> FakeWorld {
        Self::with_memory(20)
    }

    /// The machine has a second clock, which shows this.
    pub fn show_second_clock(&self, steps: u32) {
        self.second_clock.set(Some(steps));
    }

    /// A world with 2^`bits` bytes, at least 2^16: 32 KiB are the core's own state.
    pub fn with_memory(bits: u32) -> FakeWorld {
        assert!((16..=32).contains(&bits), "a world has 2^16 to 2^32 bytes, not 2^{bits}");
        // An architecture whose cores share more gets that on top.
        const OWN: usize = (size_of::<Shared>() + 64 + size_of::<Node>()).next_multiple_of(1 << 15);
        let (size, align) = ((1usize << bits) + OWN - (1 << 15), 1 << bits);
        let layout = Layout::from_size_align(size, align).expect("a power of two is an alignment");
        // SAFETY: the layout is not empty.
        let base = unsafe { std::alloc::alloc_zeroed(layout) };
        assert!(!base.is_null(), "no memory for a world of 2^{bits} bytes");
        let address = base.expose_provenance();
        let block = Block { base: base.cast(), layout };
        let at = [0, size_of::<Shared>().next_multiple_of(64), OWN].map(|offset| address + offset);
        assert!(
            at[1] + size_of::<Node>() <= at[2],
            "what cores share and a node fit before the first object"
        );
        // SAFETY: the three lie apart in zeroed memory of this block, which lives as long as the world; all-zero bytes are a
        // valid TCB, and the other two are written before they are used.
        let (shared, node, idle): (Ptr<Shared>, Ptr<Node>, Ptr<Tcb>) = unsafe {
            core::ptr::with_exposed_provenance_mut::<Shared>(at[0]).write(Shared::new());
            let idle = Ptr::new(at[2]);
            core::ptr::with_exposed_provenance_mut::<Node>(at[1]).write(Node::new(idle));
            (Ptr::new(at[0]), Ptr::new(at[1]), idle)
        };
        node.init(FREQUENCY, TIMER_IRQ);
        let registers = Registers {
            now: 0,
            deadline: crate::time::NEVER,
            thread_pointer: 0,
            fpu: 0,
            used: idle.addr() - address + (1 << o::TCB_BITS),
            pending: VecDeque::new(),
            masked: 0,
        };
        let world = FakeWorld {
            block,
            node,
            shared,
            registers: RefCell::new(registers),
            log: RefCell::default(),
            recording: Cell::new(true),
            oracle: RefCell::default(),
            points: Cell::new(0),
            preempting: Cell::new(false),
            late: Cell::new(None),
            cost: Cell::new(0),
            second_clock: Cell::new(None),
        };
        world.node.empty_space.set(u64::MAX >> 1);
        world
    }

    // ---- memory and objects ----

    /// 2^`bits` bytes, zeroed and aligned to their size.
    pub fn allocate(&self, bits: u32) -> PhysAddr {
        let mut registers = self.registers.borrow_mut();
        let start = registers.used.next_multiple_of(1 << bits);
        let end = start + (1 << bits);
        assert!(end <= self.block.layout.size(), "the world's memory is used up: give it more (with_memory)");
        registers.used = end;
        PhysAddr::of_kernel(self.block.base.expose_provenance() + start)
    }

    fn object<T>(&self, bits: u64) -> Ptr<T> {
        let at = self.allocate(bits as u32).kernel();
        // SAFETY: zeroed memory of this world, of the object's size and alignment, used for nothing else; all-zero bytes are a valid
        // object of each kind. Tests do not use objects of a world that is gone.
        unsafe { Ptr::new(at) }
    }

    /// An untyped of 2^`bits` bytes.
    pub fn untyped(&self, bits: u32) -> Cap {
        Cap::Untyped { base: self.allocate(bits), bits, device: false, free: 0 }
    }
    /// A CNode of 2^`radix` slots, whose guard makes a capability pointer the index of a slot.
    pub fn cnode(&self, radix: u32) -> Cap {
        let base = self.allocate(radix + o::SLOT_BITS as u32);
        Cap::CNode { base, radix, guard: 0, guard_size: 64 - radix }
    }
    /// An endpoint.
    pub fn endpoint(&self) -> Ptr<Endpoint> {
        self.object(o::ENDPOINT_BITS)
    }
    /// A notification.
    pub fn notification(&self) -> Ptr<Notification> {
        self.object(o::NOTIFICATION_BITS)
    }
    /// A reply object.
    pub fn reply(&self) -> Ptr<Reply> {
        self.object(o::REPLY_BITS)
    }
    /// A timer.
    pub fn timer(&self) -> Ptr<Timer> {
        self.object(sel4_sys::ext::TIMER_BITS)
    }
    /// A scheduling context with a full budget; period 0 takes turns.
    pub fn context(&self, budget: Ticks, period: Ticks) -> Ptr<SchedContext> {
        let sc: Ptr<SchedContext> = self.object(8);
        sc.configure(SchedContext::capacity(8), budget, period, self.now());
        sc
    }
    /// A page of RAM, not mapped.
    pub fn frame(&self) -> Cap {
        let base = self.allocate(12);
        Cap::Frame {
            base,
            size: FrameSize::Small,
            device: false,
            rights: VmRights::READ_WRITE,
            mapping: None,
        }
    }

    /// A ready thread of this priority and maximum priority, with capability space, IPC buffer and a context of its own.
    pub fn thread(&self, priority: u8, cspace: Cap) -> Ptr<Tcb> {
        let tcb = self.passive_thread(priority, cspace);
        let sc = self.context(BUDGET, 0);
        tcb.state.set(ThreadState::Running);
        tcb.sc.set(Some(sc));
        sc.tcb.set(Some(tcb));
        sched::own(&self.node, sc, tcb);
        self.node.enqueue(tcb, false);
        sched::reschedule(&self.node);
        tcb
    }

    /// A stopped thread without a scheduling context.
    pub fn passive_thread(&self, priority: u8, cspace: Cap) -> Ptr<Tcb> {
        let tcb: Ptr<Tcb> = self.object(o::TCB_BITS);
        tcb.priority.set(priority);
        tcb.mcp.set(priority);
        self.original(cspace, tcb.slot(TCB_CSPACE));
        self.original(self.frame(), tcb.slot(TCB_BUFFER));
        tcb
    }

    /// The slot `index` of a CNode.
    pub fn slot(&self, cnode: Cap, index: u64) -> Ptr<Slot> {
        let Some((base, count)) = cnode.slots_inside() else { panic!("{cnode:?} holds no slots") };
        assert!(index < count, "{cnode:?} has {count} slots: {index} is none");
        // SAFETY: the object's memory is an array of `count` slots.
        unsafe { Ptr::new(base.addr() + index as usize * size_of::<Slot>()) }
    }

    /// Puts a capability without a parent into slot `index` of a CNode.
    pub fn put(&self, cnode: Cap, index: u64, cap: Cap) -> Ptr<Slot> {
        let slot = self.slot(cnode, index);
        assert!(slot.is_empty(), "slot {index} is taken");
        self.original(cap, slot);
        slot
    }

    /// Puts a capability without a parent into an empty slot.
    pub fn original(&self, cap: Cap, slot: Ptr<Slot>) {
        slot::insert_original(self.shared.anchor(), cap, slot);
    }

    /// The memory: its first address, and its bytes.
    pub fn extent(&self) -> (u64, u64) {
        (self.block.base.expose_provenance() as u64, self.block.layout.size() as u64)
    }

    /// A line asks to be served, once.
    pub fn raise(&self, irq: u32) {
        self.registers.borrow_mut().pending.push_back(irq);
    }

    /// Moves the clock on.
    pub fn advance(&self, ticks: Ticks) {
        self.registers.borrow_mut().now += ticks;
    }

    /// Each look at the clock takes this long from now on: so does what the kernel does between two.
    pub fn kernel_takes(&self, ticks: Ticks) {
        self.cost.set(ticks);
    }

    /// The time, for whoever only watches.
    pub fn time(&self) -> Ticks {
        self.registers.borrow().now
    }

    /// When the CPU timer fires.
    pub fn deadline(&self) -> Ticks {
        self.registers.borrow().deadline
    }

    /// Sets the clock, and moves the deadline along; for states that differ only by when they were.
    pub fn set_clock(&self, now: Ticks, shift: impl Fn(Ticks) -> Ticks) {
        let mut registers = self.registers.borrow_mut();
        registers.now = now;
        if registers.deadline != crate::time::NEVER {
            registers.deadline = shift(registers.deadline);
        }
    }

    /// The CPU timer does not fire until it is set again.
    pub fn forget_deadline(&self) {
        self.registers.borrow_mut().deadline = crate::time::NEVER;
    }

    // ---- preemption points ----

    /// At each preemption point from now on `oracle` says whether something more urgent waits.
    pub fn preempt_when(&self, oracle: impl FnMut() -> bool + 'static) {
        *self.oracle.borrow_mut() = Some(Box::new(oracle));
        self.late.set(None);
    }

    /// Preempts once, at the `nth` preemption point from now (0 is the next).
    pub fn preempt_at(&self, nth: u64) {
        let at = self.points.get() + nth;
        let mut left = at - self.points.get();
        self.preempt_when(move || {
            let now = left == 0;
            left = left.wrapping_sub(1);
            now
        });
    }

    /// At the `nth` preemption point from now (0 is the next) so much time has passed, and an interrupt waits or not.
    pub fn late_at(&self, nth: u64, ticks: Ticks, pending: bool) {
        self.preempt_when(|| false);
        self.late.set(Some(Late { at: self.points.get() + nth + 1, ticks, pending }));
    }

    /// Nothing preempts: as the machine does it, by counting and by raised interrupts.
    pub fn preempt_never(&self) {
        *self.oracle.borrow_mut() = None;
    }

    /// Preemption points passed so far.
    pub fn points(&self) -> u64 {
        self.points.get()
    }

    // ---- states and records ----

    /// A word of the memory, for whoever compares states bit by bit. Not for Miri: an object's padding has no value.
    #[inline(always)]
    fn word(&self, index: usize) -> &Cell<u64> {
        debug_assert!(index < self.block.words());
        // SAFETY: inside the block, which was allocated zeroed and lives as long as `self`; only cells refer to it.
        unsafe { &*self.block.base.add(index).cast::<Cell<u64>>() }
    }

    /// Whether hardware calls are recorded; a long search turns it off.
    pub fn record_hardware(&self, on: bool) {
        self.recording.set(on);
    }

    /// What was asked of the hardware since this was asked last.
    pub fn take_log(&self) -> Vec<Hardware> {
        self.log.take()
    }

    fn fill_with_zeroes(&self, start: PhysAddr, bytes: u64) {
        let (from, size) = (start.kernel() - self.block.base.expose_provenance(), bytes as usize);
        assert!(
            from + size <= self.block.layout.size(),
            "{start:?} and {bytes} bytes is not this world's memory"
        );
        // SAFETY: inside the block, which is the world's; nothing refers to it but cells.
        unsafe { self.block.base.cast::<u8>().add(from).write_bytes(0, size) };
    }

    fn log(&self, what: Hardware) {
        if self.recording.get() {
            self.log.borrow_mut().push(what);
        }
    }
}

#[cfg(test)]
mod tests;
