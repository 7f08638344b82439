//! A chain of calls on one context, A to B to C, cut or answered at each place: who waits, and whose the context is. And where
//! seL4's manual says one thing and its kernel does another: this one does as the kernel.
use axiom_objects::arch::registers::CAP;
use axiom_objects::fake::{FakeWorld, Message};
use axiom_objects::machine::Machine;
use axiom_objects::object::{NotificationState, Reply, ThreadState};
use axiom_objects::{Cap, Ptr, SchedContext, Tcb, notify};
use sel4_sys::{Badge, CapRights, label, syscall};

const SPACE: u64 = 1;
const ENDPOINTS: [u64; 2] = [2, 3];
const REPLIES: [u64; 2] = [4, 5];
const THREADS: [u64; 3] = [6, 7, 8];
const CONTEXT: u64 = 9;

struct Chain {
    world: FakeWorld,
    /// A, B and C, and one that is above them and does things to them.
    threads: [Ptr<Tcb>; 3],
    above: Ptr<Tcb>,
    sc: Ptr<SchedContext>,
    replies: [Ptr<Reply>; 2],
}

/// A called B, which called C; C runs, on A's context.
fn chain() -> Chain {
    let world = FakeWorld::with_memory(18);
    let space = world.cnode(5);
    let threads = [world.thread(10, space), world.passive_thread(10, space), world.passive_thread(10, space)];
    let above = world.thread(20, space);
    let sc = threads[0].sc.get().expect("A has a context");
    world.put(space, SPACE, space);
    for slot in ENDPOINTS {
        let ep = world.endpoint();
        world.put(space, slot, Cap::Endpoint { ep, badge: Badge(0), rights: CapRights::ALL });
    }
    let replies = REPLIES.map(|slot| {
        let reply = world.reply();
        world.put(space, slot, Cap::Reply { reply, can_grant: true });
        reply
    });
    for (slot, tcb) in THREADS.into_iter().zip(threads) {
        world.put(space, slot, Cap::Tcb { tcb });
    }
    world.put(space, CONTEXT, Cap::SchedContext { sc, bits: 8 });
    let slot = |i| world.slot(space, i).packed();
    for (i, server) in threads[1..].iter().enumerate() {
        server.state.set(ThreadState::Running);
        let ((ep, ..), (reply, _)) = (
            slot(ENDPOINTS[i]).as_endpoint().expect("an endpoint is there"),
            slot(REPLIES[i]).as_reply().expect("a reply object is there"),
        );
        axiom_objects::ipc::receive(
            &world,
            *server,
            ep,
            axiom_objects::ipc::ReceiveOptions { can_grant: true, blocking: true, reply: Some(reply) },
        );
    }
    for (i, caller) in threads[..2].iter().enumerate() {
        assert!(world.run(*caller));
        world.set_message(*caller, ENDPOINTS[i], Message::default());
        world.ordinary_system_call(*caller, syscall::CALL);
    }
    let chain = Chain { world, threads, above, sc, replies };
    chain.expect([Some(0), Some(1), None], Some(2), "the chain");
    chain
}

impl Chain {
    fn invoke(&self, cptr: u64, label: u64, words: &[u64], caps: &[u64]) {
        assert!(self.world.run(self.above));
        let answer = self.world.invoke(self.above, cptr, Message { label, words, caps });
        assert_eq!(answer.map(|a| a.label), Some(0));
    }

    fn delete(&self, slot: u64) {
        self.invoke(SPACE, label::CNODE_DELETE, &[slot, 64], &[]);
    }

    /// C or B answers: whoever the reply object keeps waiting goes on.
    fn answer(&self, which: usize) {
        assert!(self.world.run(self.above));
        self.world.set_message(self.above, REPLIES[which], Message::default());
        self.world.system_call(self.above, syscall::SEND);
    }

    /// In which reply object each thread waits, and who has the context.
    fn expect(&self, waits: [Option<usize>; 3], has: Option<usize>, what: &str) {
        for (i, tcb) in self.threads.iter().enumerate() {
            let reply = waits[i].map(|which| self.replies[which]);
            assert_eq!(tcb.state.get() == ThreadState::BlockedOnReply, reply.is_some(), "{what}: thread {i}");
            assert_eq!(tcb.reply.get(), reply, "{what}: thread {i}");
            assert_eq!(tcb.sc.get(), (has == Some(i)).then_some(self.sc), "{what}: thread {i}'s context");
        }
        for (which, reply) in self.replies.iter().enumerate() {
            let waiting = waits.iter().position(|w| *w == Some(which)).map(|i| self.threads[i]);
            assert_eq!(reply.tcb.get(), waiting, "{what}: reply object {which}");
        }
        assert_eq!(self.sc.tcb.get(), has.map(|i| self.threads[i]), "{what}");
    }

    /// The newest reply object in which the context hangs, and how many are on its stack.
    fn stack(&self) -> (Option<usize>, usize) {
        let newest = self.sc.reply.get();
        let count = std::iter::successors(newest, |reply| reply.prev.get()).count();
        (newest.and_then(|newest| self.replies.iter().position(|reply| *reply == newest)), count)
    }
}

#[test]
fn an_answer_takes_the_context_back_one_step() {
    let c = chain();
    assert_eq!(c.stack(), (Some(1), 2));
    c.answer(1);
    c.expect([Some(0), None, None], Some(1), "C answered");
    assert_eq!((c.stack(), c.threads[1].state.get()), ((Some(0), 1), ThreadState::Running));
    c.answer(0);
    c.expect([None; 3], Some(0), "B answered");
    assert_eq!((c.stack(), c.threads[0].state.get()), ((None, 0), ThreadState::Running));
    c.answer(0);
    c.expect([None; 3], Some(0), "there is nobody to answer");
}

#[test]
fn what_goes_from_a_chain_cuts_it_there() {
    // The newest reply object goes: the context goes back, as with an answer, but its caller stays stopped.
    let c = chain();
    c.delete(REPLIES[1]);
    c.expect([Some(0), None, None], Some(1), "C's reply object is gone");
    assert_eq!((c.stack(), c.threads[1].state.get()), ((Some(0), 1), ThreadState::Inactive));
    // One in the middle: the context stays where it is, and comes back to B only.
    let c = chain();
    c.delete(REPLIES[0]);
    c.expect([None, Some(1), None], Some(2), "B's reply object is gone");
    assert_eq!((c.stack(), c.threads[0].state.get()), ((Some(1), 1), ThreadState::Inactive));
    c.answer(1);
    c.expect([None; 3], Some(1), "then C answers");
    assert_eq!(c.stack(), (None, 0));
    // An answer in the middle: A goes on without a context, and the others are a chain still.
    let c = chain();
    c.answer(0);
    c.expect([None, Some(1), None], Some(2), "B's call is answered first");
    assert_eq!((c.stack(), c.threads[0].state.get()), ((Some(1), 1), ThreadState::Running));
    // A caller is stopped, or deleted: its call is nobody's.
    for deletes in [false, true] {
        for (which, left, stack) in
            [(0, [None, Some(1), None], (Some(1), 1)), (1, [Some(0), None, None], (None, 0))]
        {
            let c = chain();
            if deletes {
                c.delete(THREADS[which]);
            } else {
                c.invoke(THREADS[which], label::TCB_SUSPEND, &[], &[]);
            }
            c.expect(left, Some(2), &format!("caller {which} is gone, deleted {deletes}"));
            assert_eq!((c.stack(), c.threads[which].state.get()), (stack, ThreadState::Inactive));
            // Whoever is left is answered, and has no context unless it comes along.
            let other = 1 - which;
            c.answer(other);
            let has = if which == 0 { 1 } else { 2 };
            c.expect([None; 3], Some(has), "the other call is answered");
        }
    }
    // The server is stopped: its callers wait. It is deleted: the context is nobody's, until an answer takes it back.
    let c = chain();
    c.invoke(THREADS[2], label::TCB_SUSPEND, &[], &[]);
    c.expect([Some(0), Some(1), None], Some(2), "C is stopped");
    let c = chain();
    c.delete(THREADS[2]);
    c.expect([Some(0), Some(1), None], None, "C is gone");
    assert_eq!(c.stack(), (Some(1), 2));
    c.answer(1);
    c.expect([Some(0), None, None], Some(1), "and its call is answered");
    // The context goes: nobody has it, and answers bring nothing.
    let c = chain();
    c.delete(CONTEXT);
    c.expect([Some(0), Some(1), None], None, "the context is gone");
    assert_eq!(c.stack(), (None, 0));
    c.answer(1);
    c.answer(0);
    c.expect([None; 3], None, "answers without a context");
    let c = chain();
    c.invoke(CONTEXT, label::SCHED_CONTEXT_UNBIND, &[], &[]);
    c.expect([Some(0), Some(1), None], None, "the context is taken from all");
    assert_eq!(c.stack(), (None, 0));
}

#[test]
fn parameters_that_name_the_context_one_has_change_nothing_about_it() {
    let c = chain();
    c.sc.configure(4, 1000, 10_000, 0);
    c.sc.sporadic.set(true);
    let refills = || c.sc.refills().map(|refill| (refill.time, refill.amount)).collect::<Vec<_>>();
    c.world.advance(500);
    let before = refills();
    const NOTHING: u64 = 30;
    let above = c.world.slot(c.above.slot(0).cap(), NOTHING - 1);
    c.world.original(Cap::Tcb { tcb: c.above }, above);
    c.invoke(THREADS[2], label::TCB_SET_SCHED_PARAMS, &[7, 9], &[NOTHING - 1, CONTEXT, NOTHING]);
    assert_eq!((c.threads[2].mcp.get(), c.threads[2].priority.get()), (7, 9));
    c.expect([Some(0), Some(1), None], Some(2), "parameters of C");
    // It is A's still, which lent it.
    assert_eq!((c.sc.thread(), refills()), (Some(c.threads[0]), before));
}

/// The manual: it goes back to the thread that it was bound to. The kernel: it is nobody's until the call is answered.
#[test]
fn a_context_that_is_taken_from_its_borrower_comes_back_with_the_answer() {
    let c = chain();
    c.invoke(CONTEXT, label::SCHED_CONTEXT_UNBIND_OBJECT, &[], &[THREADS[2]]);
    c.expect([Some(0), Some(1), None], None, "it is taken from C");
    assert_eq!(c.stack(), (Some(1), 2));
    c.answer(1);
    c.expect([Some(0), None, None], Some(1), "C's call is answered");
    c.answer(0);
    c.expect([None; 3], Some(0), "B's call is answered");
}

/// An older manual: a signal through a capability without a badge does nothing if nobody waits. The kernel: the next to wait goes on, with 0.
#[test]
fn a_signal_without_a_badge_is_kept() {
    let world = FakeWorld::with_memory(17);
    let machine = &world;
    let n = machine.node();
    let (tcb, ntfn) = (world.thread(10, Cap::Null), world.notification());
    world.run(tcb);
    tcb.regs.set(CAP, 5);
    notify::signal(machine, ntfn, 0);
    assert_eq!(ntfn.state.get(), NotificationState::Active);
    notify::wait(n, tcb, ntfn, true);
    assert_eq!((tcb.state.get(), tcb.regs.get(CAP)), (ThreadState::Running, 0));
    assert_eq!(ntfn.state.get(), NotificationState::Idle);
    notify::wait(n, tcb, ntfn, true);
    assert_eq!(tcb.state.get(), ThreadState::BlockedOnNotification);
    notify::signal(machine, ntfn, 0);
    assert_eq!((tcb.state.get(), ntfn.state.get()), (ThreadState::Running, NotificationState::Idle));
}
