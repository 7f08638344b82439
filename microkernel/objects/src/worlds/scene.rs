//! What the small worlds have in common: threads that share a capability space, the calls that they may make, and a state in
//! which only what matters is left.
extern crate std;
use crate::arch::registers::{CAP, FAULT_PC, INFO, MR0, NB_SEND_DEST, PC, REPLY, SYSCALL};
use crate::cap::Cap;
use crate::entry;
use crate::fake::{FakeWorld, Message, Snapshot};
use crate::fast;
use crate::invariants;
use crate::machine::Machine;
use crate::message;
use crate::node::Node;
use crate::object::{Cancelling, Fault, SchedContext, Tcb, ThreadState};
use crate::ptr::Ptr;
use crate::thread;
use crate::time::NEVER;
use core::ops::Range;
use sel4_sys::{label, object as o, syscall};
use std::boxed::Box;
use std::format;
use std::string::String;
use std::vec::Vec;

/// Where a thread's program is: every thread is at its one system call, or behind it.
const AT_CALL: u64 = 0x1000;
const BEHIND: u64 = AT_CALL + 4;

/// The slot of the shared CNode that holds its own capability.
pub const OWN: u64 = 1;

/// More preemption points than any call in a small world has.
const ENDLESS: u64 = 1000;

/// A system call with its arguments.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    pub number: i64,
    pub cptr: u64,
    pub reply: u64,
    pub label: u64,
    pub words: Vec<u64>,
    pub caps: Vec<u64>,
}

/// A call without arguments.
pub fn plain(number: i64, cptr: u64) -> Call {
    Call { number, cptr, reply: 0, label: 0, words: Vec::new(), caps: Vec::new() }
}

/// An invocation.
pub fn invocation(cptr: u64, label: u64, words: &[u64], caps: &[u64]) -> Call {
    Call { number: syscall::CALL, cptr, reply: 0, label, words: words.to_vec(), caps: caps.to_vec() }
}

/// A place of a capability: below which CNode, index, depth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place(pub u64, pub u64, pub u64);

/// A slot of the shared CNode.
pub const fn here(slot: u64) -> Place {
    Place(OWN, slot, 64)
}

pub fn delete(at: Place) -> Call {
    invocation(at.0, label::CNODE_DELETE, &[at.1, at.2], &[])
}
pub fn revoke(at: Place) -> Call {
    invocation(at.0, label::CNODE_REVOKE, &[at.1, at.2], &[])
}
pub fn copy(to: Place, from: Place) -> Call {
    invocation(to.0, label::CNODE_COPY, &[to.1, to.2, from.1, from.2, 15], &[from.0])
}
pub fn mint(to: Place, from: Place, rights: u64, badge: u64) -> Call {
    invocation(to.0, label::CNODE_MINT, &[to.1, to.2, from.1, from.2, rights, badge], &[from.0])
}
pub fn mv(to: Place, from: Place) -> Call {
    invocation(to.0, label::CNODE_MOVE, &[to.1, to.2, from.1, from.2], &[from.0])
}
/// Exchanges two capabilities.
pub fn swap(a: Place, pivot: Place) -> Call {
    let words = [a.1, a.2, 0, pivot.1, pivot.2, 0, a.1, a.2];
    invocation(a.0, label::CNODE_ROTATE, &words, &[pivot.0, a.0])
}
/// `pivot` goes to `to`, and `from` to where it was.
pub fn rotate(to: Place, pivot: Place, from: Place) -> Call {
    let words = [to.1, to.2, 0, pivot.1, pivot.2, 0, from.1, from.2];
    invocation(to.0, label::CNODE_ROTATE, &words, &[pivot.0, from.0])
}
/// One object from an untyped, into a slot of the shared CNode.
pub fn retype(untyped: u64, kind: u64, bits: u64, slot: u64, count: u64) -> Call {
    invocation(untyped, label::UNTYPED_RETYPE, &[kind, bits, 0, 0, slot, count], &[OWN])
}

/// What happens in one step.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// A thread makes a call of the menu, or the one that it has to make again, and is preempted at this preemption point, if it gets there.
    Call { thread: usize, call: Option<usize>, at: Option<u64> },
    /// Somebody outside of the world starts a thread again.
    Revive(usize),
    /// Time passes, and the CPU timer fires if it is due.
    Time(u64),
    /// Time passes, and then the running thread makes a call.
    Late { time: u64, call: usize },
    /// Time passes during the call of the running thread, which looks up then; another interrupt waits or not.
    Long { call: Option<usize>, at: u64, time: u64, pending: bool },
}

/// What a scene is made of.
pub struct Scene {
    pub world: FakeWorld,
    pub space: Cap,
    pub threads: Vec<Ptr<Tcb>>,
    pub contexts: Vec<Ptr<SchedContext>>,
    pub menu: Vec<Call>,
    /// Calls of each thread, by index in the menu; all of them if there are none.
    pub own: Vec<Vec<usize>>,
    /// Each of the threads may be next; otherwise who runs is, as the scheduler says.
    pub any_next: bool,
    /// States differ by when they are as well: there are timers, whose deadlines are times.
    pub keeps_clock: bool,
    /// Time passes in these pieces, if it does.
    pub pieces: Vec<u64>,
    start: Option<Snapshot>,
    /// Words with padding: what the scheduler does next, which is nothing between steps, and faults.
    padded: Vec<Range<u32>>,
}

/// A state of a scene: how the memory differs from its start, and the threads' faults, whose padding has no value.
#[derive(Clone, PartialEq, Debug)]
pub struct State {
    pub words: Box<[(u32, u64)]>,
    pub faults: Vec<(usize, Fault)>,
}

impl Scene {
    /// An empty scene: a CNode of 32 slots, or 64 in a larger world, that holds its own capability.
    pub fn new() -> Scene {
        let scene = Self::with_memory(16);
        scene.world.record_hardware(false);
        scene
    }

    /// The same in a world of another size.
    pub fn with_memory(bits: u32) -> Scene {
        let world = FakeWorld::with_memory(bits);
        let space = world.cnode(if bits > 16 { 6 } else { 5 });
        world.put(space, OWN, space);
        Scene {
            world,
            space,
            threads: Vec::new(),
            contexts: Vec::new(),
            menu: Vec::new(),
            own: Vec::new(),
            any_next: true,
            keeps_clock: false,
            pieces: Vec::new(),
            start: None,
            padded: Vec::new(),
        }
    }

    /// A thread with a context, or without if the period is `None`; its capability and its context's go into two slots.
    pub fn thread(
        &mut self,
        priority: u8,
        budget: Option<(u64, u64)>,
        tcb_slot: u64,
        sc_slot: u64,
    ) -> Ptr<Tcb> {
        let tcb = self.world.passive_thread(priority, self.space);
        tcb.ipc_buffer.set(1024);
        tcb.regs.set(PC, BEHIND);
        tcb.regs.set(FAULT_PC, BEHIND);
        self.world.put(self.space, tcb_slot, Cap::Tcb { tcb });
        if let Some((budget, period)) = budget {
            let sc = self.context(budget, period, sc_slot);
            tcb.state.set(ThreadState::Running);
            tcb.sc.set(Some(sc));
            sc.tcb.set(Some(tcb));
            crate::sched::own(self.m().node(), sc, tcb);
            self.m().node().enqueue(tcb, false);
        }
        self.threads.push(tcb);
        tcb
    }

    pub fn context(&mut self, budget: u64, period: u64, slot: u64) -> Ptr<SchedContext> {
        let sc = self.world.context(budget, period);
        self.world.put(self.space, slot, Cap::SchedContext { sc, bits: 8 });
        self.contexts.push(sc);
        sc
    }

    /// The first thread makes a call, which succeeds, before the scene begins.
    pub fn prepare_by(&mut self, call: Call) {
        let tcb = self.threads[0];
        self.world.run(tcb);
        let message = Message { label: call.label, words: &call.words, caps: &call.caps };
        let answer = self.world.invoke(tcb, call.cptr, message);
        assert!(answer.is_some_and(|answer| answer.label == 0), "{call:?} answers {answer:?}");
    }

    /// A thread waits for a message, as if it had made the call.
    pub fn waits(&mut self, thread: usize, endpoint: u64, reply: u64) {
        let (tcb, m) = (self.threads[thread], &self.world);
        let call = Call { reply, ..plain(syscall::RECV, endpoint) };
        self.menu.push(call);
        self.prepare(tcb, Some(self.menu.len() - 1));
        tcb.regs.set(FAULT_PC, AT_CALL);
        tcb.regs.set(PC, BEHIND);
        let at = |slot| m.slot(self.space, slot).packed();
        let (Some((ep, ..)), Some((reply, _))) = (at(endpoint).as_endpoint(), at(reply).as_reply()) else {
            panic!("slot {endpoint} holds no endpoint, or slot {reply} no reply object");
        };
        let options = crate::ipc::ReceiveOptions { can_grant: true, blocking: true, reply: Some(reply) };
        crate::ipc::receive(m, tcb, ep, options);
    }

    /// Every thread that a capability designates.
    pub fn all_threads(&self) -> impl Iterator<Item = Ptr<Tcb>> {
        let slots = std::iter::successors((&self.world).shared().anchor().next(), |slot| slot.next());
        slots.filter_map(|slot| if let Cap::Tcb { tcb } = slot.cap() { Some(tcb) } else { None })
    }

    fn m(&self) -> &FakeWorld {
        &self.world
    }

    /// The scene is set: states are told by how they differ from this one.
    pub fn begin(&mut self) {
        self.world.preempt_when(|| false);
        crate::sched::reschedule(self.m().node());
        entry::leave(self.m());
        self.tidy();
        self.start = Some(self.world.snapshot());
        let first = self.world.extent().0 as usize;
        let words = |at: usize, bytes: usize| {
            let from = (at - first) / 8;
            from as u32..(from + bytes.div_ceil(8)) as u32
        };
        let m = self.m();
        let action = &m.node().action;
        self.padded.push(words((&raw const *action).addr(), size_of_val(action)));
        let faults = self.threads.iter().map(|tcb| &raw const tcb.fault);
        self.padded.extend(faults.map(|fault| words(fault.addr(), size_of::<Fault>())));
    }

    pub fn state(&self) -> State {
        let start = self.start.as_ref().expect("the scene has begun");
        let mut words = Vec::from(self.world.difference(start));
        words.retain(|(i, _)| !self.padded.iter().any(|range| range.contains(i)));
        let faults = self.threads.iter().map(|tcb| tcb.fault.get()).enumerate();
        let faults = faults.filter(|(_, fault)| *fault != Fault::None).collect();
        State { words: words.into_boxed_slice(), faults }
    }

    pub fn load(&self, state: &State) {
        let start = self.start.as_ref().expect("the scene has begun");
        self.world.put_back(start, &self.world.difference(start), &state.words);
        for (i, fault) in &state.faults {
            self.threads[*i].fault.set(*fault);
        }
    }

    pub fn check(&self) -> Result<(), String> {
        invariants::check(self.m()).map_err(|broken| self.told(&broken))
    }

    fn told(&self, broken: &invariants::Broken) -> String {
        format!("{broken}")
    }

    // ---- steps ----

    /// What can happen now; preemptions are added where a call turns out to have preemption points.
    pub fn steps(&self) -> Vec<Step> {
        let current = self.m().node().current();
        if !self.any_next && self.world.deadline() <= self.m().now() {
            return Vec::from([Step::Time(0)]);
        }
        let mut steps = Vec::new();
        let again = |tcb: Ptr<Tcb>| tcb.regs.get(PC) == AT_CALL;
        // Threads that share everything differ only by what they are in the middle of: one fresh call at a time.
        for (i, tcb) in self.threads.iter().enumerate() {
            let may = if self.any_next { tcb.is_schedulable() } else { *tcb == current };
            if !may {
                continue;
            }
            if again(*tcb) {
                steps.push(Step::Call { thread: i, call: None, at: None });
                continue;
            }
            for call in self.calls(i) {
                steps.push(Step::Call { thread: i, call: Some(call), at: None });
                // Up to the deadline, at which the timer would fire before the call.
                let left = self.world.deadline().saturating_sub(self.m().now());
                let pieces = self.pieces.iter().filter(|time| !self.any_next && **time <= left);
                steps.extend(pieces.map(|time| Step::Late { time: *time, call }));
            }
        }
        if !self.any_next && self.world.deadline() != NEVER {
            steps.push(Step::Time(self.world.deadline().saturating_sub(self.m().now())));
        }
        steps.extend(self.pieces.iter().map(|time| Step::Time(*time)));
        steps
    }

    fn calls(&self, thread: usize) -> Vec<usize> {
        match self.own.get(thread) {
            Some(own) => own.clone(),
            None => (0..self.menu.len()).collect(),
        }
    }

    /// Does a step; how many preemption points it passed. The short way and the ordinary one end in the same state.
    pub fn take(&self, step: &Step) -> Result<u64, String> {
        let before = self.world.points();
        match *step {
            Step::Call { thread, call, at } => {
                let tcb = self.threads[thread];
                if self.any_next {
                    self.world.run(tcb);
                }
                let number = self.prepare(tcb, call);
                let counter = self.world.points();
                match at {
                    Some(at) => self.world.preempt_at(at),
                    None => self.preempt_endless(),
                }
                debug_assert_eq!(counter, before);
                self.system_call(tcb, number, at.is_none())?;
            }
            Step::Revive(thread) => {
                thread::restart(self.m().node(), self.threads[thread]);
                entry::leave(self.m());
            }
            Step::Time(time) => self.pass(time),
            Step::Late { time, call } => {
                self.world.advance(time);
                let tcb = self.m().node().current();
                let number = self.prepare(tcb, Some(call));
                self.world.preempt_when(|| false);
                self.world.trap(tcb);
                if !fast::system_call(self.m(), number) {
                    entry::system_call(self.m(), number);
                }
            }
            Step::Long { call, at, time, pending } => {
                let tcb = self.m().node().current();
                let number = self.prepare(tcb, call);
                self.world.late_at(at, time, pending);
                self.world.trap(tcb);
                entry::system_call(self.m(), number);
            }
        }
        let passed = self.world.points() - before;
        self.world.preempt_when(|| false);
        self.tidy();
        if passed >= ENDLESS {
            return Err(format!("the call does not end: {ENDLESS} preemption points were passed"));
        }
        Ok(passed)
    }

    /// Nothing preempts a call, unless it does not end.
    fn preempt_endless(&self) {
        let mut left = ENDLESS;
        self.world.preempt_when(move || {
            left = left.saturating_sub(1);
            left == 0
        });
    }

    fn pass(&self, time: u64) {
        self.world.advance(time);
        if self.world.deadline() <= self.m().now() {
            self.world.interrupt();
        }
    }

    /// The thread's registers as they are when it traps; the number of its call.
    fn prepare(&self, tcb: Ptr<Tcb>, call: Option<usize>) -> i64 {
        let Some(call) = call else { return tcb.regs.get(SYSCALL) as i64 };
        self.begin_call(tcb, &self.menu[call])
    }

    /// A thread's registers are those of a call; its number.
    pub fn begin_call(&self, tcb: Ptr<Tcb>, call: &Call) -> i64 {
        tcb.regs.set(PC, AT_CALL);
        self.world.set_message(
            tcb,
            call.cptr,
            Message { label: call.label, words: &call.words, caps: &call.caps },
        );
        tcb.regs.set(REPLY, call.reply);
        tcb.regs.set(NB_SEND_DEST, call.reply);
        tcb.regs.set(SYSCALL, call.number as u64);
        call.number
    }

    fn system_call(&self, tcb: Ptr<Tcb>, number: i64, compare: bool) -> Result<(), String> {
        let before = compare.then(|| self.state());
        self.world.trap(tcb);
        if !fast::system_call(self.m(), number) {
            entry::system_call(self.m(), number);
            return Ok(());
        }
        let Some(before) = before else { return Ok(()) };
        // The short way leaves the time that was used to whoever asks for it next.
        crate::sched::update_timestamp(self.m());
        self.tidy();
        let short = self.state();
        self.load(&before);
        self.world.ordinary_system_call(tcb, number);
        crate::sched::update_timestamp(self.m());
        self.tidy();
        if self.state() == short {
            return Ok(());
        }
        let ordinary = self.state();
        let differs = |a: &State, b: &State| {
            a.words.iter().copied().filter(|x| !b.words.contains(x)).collect::<Vec<_>>()
        };
        Err(format!(
            "the short way of call {number} and the ordinary one end in different states: {:x?} or {:x?}",
            differs(&short, &ordinary),
            differs(&ordinary, &short)
        ))
    }

    /// Leaves in the state only what later steps depend on.
    pub fn tidy(&self) {
        let m = self.m();
        let n = m.node();
        for tcb in &self.threads {
            // An answer that was read is forgotten, and so is who will not be resumed where it was.
            if tcb.state.get() == ThreadState::Running && tcb.regs.get(PC) != AT_CALL {
                self.forget_message(*tcb);
            }
            let (sends, receives) = match tcb.state.get() {
                ThreadState::BlockedOnSend => (true, false),
                ThreadState::BlockedOnReceive => (false, true),
                _ => (false, false),
            };
            if !sends && !receives {
                tcb.blocked_ep.set(None);
                tcb.can_grant.set(false);
            }
            if !sends {
                tcb.sender_badge.set(0);
                tcb.can_grant_reply.set(false);
                tcb.is_call.set(false);
            }
            if tcb.state.get() != ThreadState::BlockedOnNotification {
                tcb.blocked_ntfn.set(None);
            }
        }
        for sc in &self.contexts {
            sc.consumed.set(0);
        }
        // Who looks up is the world's to say, whatever was counted.
        n.work.set(0);
        self.forget_orders(n);
        if self.keeps_clock {
            return;
        }
        if self.any_next {
            self.order(n);
        } else {
            self.turn_back(n);
        }
        self.forget_turns(n);
    }

    /// Of the numbers that tell for which senders a cancellation is, only the order matters.
    fn forget_orders(&self, n: &Node) {
        let sends = |tcb: &Ptr<Tcb>| tcb.state.get() == ThreadState::BlockedOnSend;
        let senders = self.threads.iter().filter(|tcb| sends(tcb)).map(|tcb| tcb.sender_order.get());
        let cancelling = self.threads.iter().map(|tcb| tcb.cancelling.get()).filter(|which| which.badge != 0);
        let numbers = senders.chain(cancelling.map(|which| which.until)).chain([n.walk.owner.get()]);
        let mut all: Vec<u64> = numbers.filter(|number| *number != 0).collect();
        all.sort_unstable();
        all.dedup();
        let rank = |number: u64| all.iter().position(|other| *other == number).map_or(0, |i| i as u64 + 1);
        for tcb in &self.threads {
            tcb.sender_order.set(if sends(tcb) { rank(tcb.sender_order.get()) } else { 0 });
            let which = tcb.cancelling.get();
            let until = if which.badge != 0 { rank(which.until) } else { 0 };
            tcb.cancelling.set(Cancelling { until, ..which });
        }
        n.walk.owner.set(rank(n.walk.owner.get()));
        n.order.set(all.len() as u64);
    }

    /// Of what is counted to tell who came first, only the order matters.
    fn forget_turns(&self, n: &Node) {
        let rank = |all: &mut Vec<u64>, own: u64| {
            all.sort_unstable();
            all.dedup();
            1 + all.iter().position(|turn| *turn == own).unwrap_or(0) as u64
        };
        let turns: Vec<u64> = self.contexts.iter().map(|sc| sc.turn.get()).collect();
        for sc in &self.contexts {
            sc.turn.set(rank(&mut turns.clone(), sc.turn.get()));
        }
        n.turns.set(self.contexts.len() as u64 + 1);
        let waits = |tcb: &&Ptr<Tcb>| tcb.in_release_queue.get();
        let arrived: Vec<u64> = self.threads.iter().filter(waits).map(|tcb| tcb.release_at.get().1).collect();
        for tcb in &self.threads {
            let (time, turn) = tcb.release_at.get();
            let waits = tcb.in_release_queue.get();
            tcb.release_at.set(if waits { (time, rank(&mut arrived.clone(), turn)) } else { (0, 0) });
        }
        n.released.set(self.threads.len() as u64 + 1);
    }

    fn forget_message(&self, tcb: Ptr<Tcb>) {
        tcb.regs.set(PC, BEHIND);
        tcb.regs.set(FAULT_PC, BEHIND);
        for register in [CAP, INFO, REPLY, NB_SEND_DEST, SYSCALL, MR0, MR0 + 1, MR0 + 2, MR0 + 3] {
            tcb.regs.set(register, 0);
        }
        if let Some(buffer) = message::buffer(tcb, true) {
            buffer[..16].iter().chain(&buffer[120..]).for_each(|word| word.set(0));
        }
    }

    /// Any thread may be next, so who runs and in which order the others are ready does not matter: it is always the same.
    fn order(&self, n: &Node) {
        if let Some(first) = self.threads.iter().find(|tcb| tcb.is_schedulable()) {
            self.world.run(*first);
            for tcb in &self.threads {
                if tcb.in_ready_queue.get() {
                    n.dequeue(*tcb);
                    n.enqueue(*tcb, false);
                }
            }
        }
        n.armed.set(NEVER);
        n.reprogram.set(false);
        self.world.forget_deadline();
    }

    /// The clock goes back to where it began, and all times with it: only their differences matter.
    fn turn_back(&self, n: &Node) {
        const START: u64 = 1 << 20;
        let now = self.m().now();
        let shift = |time: u64| time.wrapping_add(START).wrapping_sub(now);
        n.now.set(shift(n.now.get()));
        if n.armed.get() != NEVER {
            n.armed.set(shift(n.armed.get()));
        }
        for tcb in self.threads.iter().filter(|tcb| tcb.in_release_queue.get()) {
            let (time, turn) = tcb.release_at.get();
            tcb.release_at.set((shift(time), turn));
        }
        for sc in self.contexts.iter().filter(|sc| sc.is_active()) {
            for i in 0..sc.count.get() {
                sc.move_refill(i, shift);
            }
        }
        self.world.set_clock(START, shift);
    }
}

/// A size of the kind, as `Untyped_Retype` counts it.
pub const CNODE: (u64, u64) = (o::kind::CNODE, 1);
