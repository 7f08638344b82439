//! Cancelling badged sends, preempted at every point, with everything in between that others can do to the queue.
#![allow(missing_docs, reason = "a test")]
use axiom_objects::arch::registers::PC;
use axiom_objects::fake::{FakeWorld, Message};
use axiom_objects::machine::Machine;
use axiom_objects::object::{Endpoint, EndpointState, ThreadState};
use axiom_objects::{Cap, Ptr, Tcb, delete, thread};
use sel4_sys::{Badge, CapRights, label, syscall};

const BADGES: [u64; 4] = [7, 9, 7, 7];
const CANCEL: Message<'_> = Message { label: label::CNODE_CANCEL_BADGED_SENDS, words: &[2, 64], caps: &[] };
const CANCEL_OTHER: Message<'_> =
    Message { label: label::CNODE_CANCEL_BADGED_SENDS, words: &[3, 64], caps: &[] };

struct Scene {
    world: FakeWorld,
    ep: Ptr<Endpoint>,
    senders: Vec<Ptr<Tcb>>,
    receiver: Ptr<Tcb>,
    canceller: Ptr<Tcb>,
    other: Ptr<Tcb>,
}

impl Scene {
    fn new() -> Scene {
        let world = FakeWorld::with_memory(17);
        let space = world.cnode(4);
        let ep = world.endpoint();
        let cap = |badge| Cap::Endpoint { ep, badge: Badge(badge), rights: CapRights::ALL };
        world.put(space, 1, space);
        world.put(space, 2, cap(7));
        world.put(space, 3, cap(9));
        world.put(space, 4, cap(0));
        let senders = [5, 5, 6, 5].iter().map(|p| world.thread(*p, space)).collect();
        let [receiver, canceller, other] = [8, 200, 200].map(|p| world.thread(p, space));
        let scene = Scene { world, ep, senders, receiver, canceller, other };
        for i in 0..4 {
            scene.send(i);
        }
        scene
    }

    fn waits(&self, i: usize) -> bool {
        self.senders[i].state.get() == ThreadState::BlockedOnSend
    }

    fn send(&self, i: usize) {
        let sender = self.senders[i];
        if !self.waits(i) {
            thread::restart((&self.world).node(), sender);
            assert!(self.world.run(sender), "a thread that does not wait can run");
            let cptr = if BADGES[i] == 7 { 2 } else { 3 };
            self.world.set_message(sender, cptr, Message::default());
            self.world.system_call(sender, syscall::SEND);
            assert!(self.waits(i) || self.ep.queue().head.is_none());
        }
    }

    /// One step of a cancellation, begun or made again; whether it is done.
    fn step(&self, by: Ptr<Tcb>, message: Message<'_>) -> bool {
        assert!(self.world.run(by));
        self.world.preempt_when(|| true);
        let pc = by.regs.get(PC);
        self.world.set_message(by, 1, message);
        self.world.system_call(by, syscall::CALL);
        self.world.preempt_never();
        by.state.get() == ThreadState::Running && by.regs.get(PC) != pc
    }

    /// What others do in between.
    fn act(&self, action: usize, other_begun: &mut bool) {
        match action {
            0..4 => self.send(action),
            4 if self.ep.queue().head.is_some() && self.world.run(self.receiver) => {
                self.world.set_message(self.receiver, 4, Message::default());
                self.world.system_call(self.receiver, syscall::NB_WAIT);
            }
            5 => thread::set_priority((&self.world).node(), self.senders[3], 7),
            6 => {
                // The very thread that the cancellation would look at next.
                if let Some(next) = (&self.world).node().walk.at() {
                    thread::suspend((&self.world).node(), next);
                }
            }
            7 => *other_begun = !self.step(self.other, CANCEL_OTHER),
            _ => {}
        }
    }
}

/// Runs a cancellation with these actions after its steps; how many steps it took.
fn run(actions: &[usize]) -> usize {
    let scene = Scene::new();
    // Who waited before it began and did nothing else since.
    let mut covered: Vec<bool> = BADGES.iter().map(|b| *b == 7).collect();
    let mut released = [0; 4];
    let mut other_begun = false;
    let mut steps = 0;
    loop {
        let before: Vec<bool> = (0..4).map(|i| scene.waits(i)).collect();
        let done = scene.step(scene.canceller, CANCEL);
        steps += 1;
        for i in (0..4).filter(|i| before[*i] && !scene.waits(*i)) {
            assert!(covered[i], "{actions:?}: sender {i} came after the beginning, or has another badge");
            assert!(matches!(scene.senders[i].state.get(), ThreadState::Running | ThreadState::Restart));
            released[i] += 1;
            covered[i] = false;
        }
        if done {
            break;
        }
        assert!(steps < 60, "{actions:?}: no end");
        // After the listed actions, whoever was released sends again at once, every time.
        let listed = actions.get(steps - 1).copied();
        let again = (0..4).find(|i| !scene.waits(*i)).unwrap_or(8);
        let waited: Vec<bool> = (0..4).map(|i| scene.waits(i)).collect();
        scene.act(listed.unwrap_or(again), &mut other_begun);
        for i in (0..4).filter(|i| waited[*i] && !scene.waits(*i)) {
            covered[i] = false;
        }
    }
    for (i, covered) in covered.iter().enumerate() {
        assert!(!covered, "{actions:?}: sender {i} was missed");
        assert!(released[i] <= 1, "{actions:?}: sender {i} was released {} times", released[i]);
    }
    steps
}

#[test]
fn everybody_who_waited_is_released_once_and_nobody_else() {
    let (mut runs, mut longest) = (0, 0);
    let mut actions = [0; 4];
    loop {
        longest = longest.max(run(&actions));
        runs += 1;
        // The next sequence of nine actions.
        let Some(at) = actions.iter().position(|a| *a < 8) else { break };
        actions[at] += 1;
        actions[..at].fill(0);
    }
    println!("{runs} sequences of actions; the longest cancellation had {longest} steps");
    assert_eq!(runs, 9usize.pow(4));
}

/// A cancellation that somebody else's instructions replaced does not go on later.
#[test]
fn a_cancellation_that_is_not_made_again_is_forgotten() {
    let scene = Scene::new();
    assert!(!scene.step(scene.canceller, CANCEL));
    // Another invocation comes first: then the cancellation is a new one, for all who wait by now.
    scene.send(2);
    assert!(scene.world.run(scene.canceller));
    scene.world.invoke(
        scene.canceller,
        1,
        Message { label: label::CNODE_REVOKE, words: &[2, 64], caps: &[] },
    );
    scene.world.run(scene.canceller);
    scene.world.invoke(scene.canceller, 1, CANCEL);
    assert_eq!([0, 1, 2, 3].map(|i| scene.waits(i)), [false, true, false, false]);
}

/// The last capability goes: every step releases one thread, in between the queue can change, and then the endpoint is free.
#[test]
fn an_endpoint_goes_thread_by_thread() {
    let scene = Scene::new();
    let world = &scene.world;
    // Its capabilities have no common parent here, so all but one are taken away first.
    let space = scene.canceller.slot(axiom_objects::object::TCB_CSPACE).cap();
    for index in [2, 3] {
        let slot = world.slot(space, index);
        axiom_objects::slot::remove(slot);
    }
    let slot = world.slot(space, 4);
    let waiting = || (0..4).filter(|i| scene.waits(*i)).count();
    world.preempt_when(|| true);
    assert!(delete::delete(world, slot).is_err());
    assert!(matches!(slot.cap(), Cap::Zombie(_)) && waiting() == 4);
    assert!(delete::delete(world, slot).is_err());
    assert_eq!((waiting(), scene.waits(2)), (3, false));
    // A waiting thread is stopped, another one gets another place: neither is lost or released twice.
    thread::suspend((&scene.world).node(), scene.senders[0]);
    thread::set_priority((&scene.world).node(), scene.senders[3], 9);
    assert!(delete::delete(world, slot).is_err());
    assert!(!scene.waits(3) && scene.waits(1));
    assert!(delete::delete(world, slot).is_err());
    assert!(delete::delete(world, slot).is_ok());
    assert!(slot.is_empty() && scene.ep.queue().head.is_none());
    assert_eq!(scene.senders[0].state.get(), ThreadState::Inactive);
    assert!(delete::delete(world, slot).is_ok());
}

/// Ten thousand threads wait: every step of deletion releases one, every step of a cancellation looks at one.
#[test]
fn long_queues_go_in_short_steps() {
    const THREADS: usize = 10_000;
    let world = FakeWorld::with_memory(25);
    let space = world.cnode(4);
    let canceller = world.thread(200, space);
    let ep = world.endpoint();
    world.put(space, 1, space);
    world.put(space, 2, Cap::Endpoint { ep, badge: Badge(7), rights: CapRights::ALL });
    let fill = |badge| {
        for _ in 0..THREADS / 2 {
            // SAFETY: fresh zeroed memory of a TCB's size and alignment, which is a valid TCB.
            let tcb: Ptr<Tcb> = unsafe { Ptr::new(world.allocate(11).kernel()) };
            tcb.state.set(ThreadState::BlockedOnSend);
            tcb.blocked_ep.set(Some(ep));
            tcb.sender_badge.set(badge);
            ep.set_queue(ep.queue().insert_by_priority(tcb), EndpointState::Send);
        }
    };
    fill(7);
    fill(9);
    let waiting = || std::iter::successors(ep.queue().head, |t| t.ep_next.get()).count();
    let mut steps = 0;
    let preempted = |steps: usize| {
        assert!(steps <= THREADS + 2, "a step does nothing");
        world.preempt_when(|| true);
    };
    while {
        preempted(steps);
        assert!(world.run(canceller));
        let pc = canceller.regs.get(PC);
        world.set_message(canceller, 1, CANCEL);
        world.system_call(canceller, syscall::CALL);
        canceller.regs.get(PC) == pc
    } {
        steps += 1;
    }
    assert_eq!((steps, waiting()), (THREADS, THREADS / 2));
    let slot = world.slot(space, 2);
    steps = 0;
    while delete::delete(&world, slot).is_err() {
        steps += 1;
        preempted(steps);
        assert_eq!(waiting(), THREADS / 2 + 1 - steps);
    }
    assert!(slot.is_empty());
}
