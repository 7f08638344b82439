//! Priorities and budgets: what a new priority moves, what new parameters mean, and what becomes of an answer to a thread without time.
use axiom_objects::arch::registers::MR0;
use axiom_objects::fake::{BUDGET, FakeWorld, Message};
use axiom_objects::machine::Machine;
use axiom_objects::object::{Fault, TCB_TIMEOUT, ThreadState};
use axiom_objects::{Cap, Ptr, SchedContext, Tcb, entry, ipc, notify, sched, thread};
use sel4_sys::{Badge, CapRights, Error, label};

/// The threads of a queue, from its head.
fn members(head: Option<Ptr<Tcb>>) -> Vec<Ptr<Tcb>> {
    std::iter::successors(head, |tcb| tcb.ep_next.get()).collect()
}

/// Where threads wait.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Waits {
    ToReceive,
    ToSend,
    ForSignal,
}

#[test]
fn a_new_priority_is_a_new_place_in_every_queue() {
    for waits in [Waits::ToReceive, Waits::ToSend, Waits::ForSignal] {
        for which in 0..4usize {
            for priority in 0..9u8 {
                let world = FakeWorld::with_memory(17);
                let machine = &world;
                let (ep, ntfn) = (world.endpoint(), world.notification());
                // By arrival: 3, 5, 5, 7.
                let threads = [3, 5, 5, 7].map(|priority| world.passive_thread(priority, Cap::Null));
                for tcb in threads {
                    match waits {
                        Waits::ToReceive => ipc::receive(
                            machine,
                            tcb,
                            ep,
                            ipc::ReceiveOptions { can_grant: true, blocking: true, reply: None },
                        ),
                        Waits::ForSignal => notify::wait(machine.node(), tcb, ntfn, true),
                        Waits::ToSend => {
                            let options = ipc::SendOptions {
                                blocking: true,
                                call: false,
                                badge: 0,
                                can_grant: false,
                                can_grant_reply: false,
                                can_donate: false,
                            };
                            ipc::send(machine, tcb, ep, options);
                        }
                    }
                }
                thread::set_priority(machine.node(), threads[which], priority);
                assert_eq!(threads[which].priority.get(), priority);
                // Behind all of its priority and above; the others as they were.
                let mut expected: Vec<Ptr<Tcb>> =
                    [3, 1, 2, 0].iter().filter(|i| **i != which).map(|i| threads[*i]).collect();
                let place = expected.iter().filter(|tcb| tcb.priority.get() >= priority).count();
                expected.insert(place, threads[which]);
                let head = if waits == Waits::ForSignal { ntfn.head.get() } else { ep.queue().head };
                assert_eq!(members(head), expected, "{waits:?}: thread {which} to {priority}");
                let tail = if waits == Waits::ForSignal { ntfn.tail.get() } else { ep.queue().tail };
                assert_eq!(tail, expected.last().copied());
            }
        }
    }
    // Ready ones move as well, and who runs is compared with them again.
    for (own, other, runs_own) in
        [(10, 9, true), (10, 10, true), (10, 11, false), (8, 9, false), (9, 9, true)]
    {
        let world = FakeWorld::with_memory(17);
        let [first, second] = [10, 5].map(|priority| world.thread(priority, Cap::Null));
        world.run(first);
        let machine = &world;
        thread::set_priority(machine.node(), second, other);
        thread::set_priority(machine.node(), first, own);
        entry::leave(machine);
        assert_eq!(world.current(), if runs_own { first } else { second }, "{own} and {other}");
        let waiting = if runs_own { second } else { first };
        assert_eq!(machine.node().first_ready(waiting.priority.get()), Some(waiting));
    }
}

const SC: u64 = 1;
const CONTROL: u64 = 2;
const RANGE: u64 = Error::RangeError as u64;
const LONGEST: u64 = 0x218d_ef41_6bdb;

struct Control {
    world: FakeWorld,
    caller: Ptr<Tcb>,
    sc: Ptr<SchedContext>,
    bits: u32,
}

fn control(bits: u32) -> Control {
    let world = FakeWorld::with_memory(17);
    let space = world.cnode(4);
    let caller = world.thread(10, space);
    let sc = world.context(1000, 10_000);
    world.put(space, SC, Cap::SchedContext { sc, bits });
    world.put(space, CONTROL, Cap::SchedControl { core: 0 });
    world.run(caller);
    Control { world, caller, sc, bits }
}

impl Control {
    fn configure(&self, words: [u64; 5]) -> Result<(), (u64, [u64; 2])> {
        self.world.run(self.caller);
        let message = Message { label: label::SCHED_CONTROL_CONFIGURE_FLAGS, words: &words, caps: &[SC] };
        let answer = self.world.invoke(self.caller, CONTROL, message).expect("it goes on");
        let told = [0, 1].map(|i| self.caller.regs.get(MR0 + i));
        if answer.label == 0 { Ok(()) } else { Err((answer.label, told)) }
    }
}

#[test]
fn parameters_are_in_their_ranges_to_the_last() {
    let whole = Err((RANGE, [20, LONGEST]));
    for (budget, period, expected) in [
        (19, 1000, whole),
        (20, 1000, Ok(())),
        (0, 0, whole),
        (20, 19, whole),
        (20, 20, Ok(())),
        (1000, 1000, Ok(())),
        (1001, 1000, Err((RANGE, [20, 1000]))),
        (20, LONGEST, Ok(())),
        (20, LONGEST + 1, whole),
        (LONGEST, LONGEST, Ok(())),
        (LONGEST + 1, LONGEST + 1, whole),
        (u64::MAX, 1000, whole),
    ] {
        let s = control(8);
        assert_eq!(s.configure([budget, period, 0, 0, 0]), expected, "{budget} of {period}");
        let changed = s.sc.total() != 1000 || s.sc.period.get() != 10_000;
        assert_eq!(changed, expected.is_ok());
    }
    // Two refills, and so many more as the object has room for: 16 bytes each behind 128.
    for (bits, room) in [(7, 2), (8, 10), (9, 26), (10, 58)] {
        for extra in [0, 1, room - 3u64.min(room), room - 2, room - 1, room, u64::MAX - 2, u64::MAX] {
            let s = control(bits);
            let allowed = extra <= room - 2;
            let expected = if allowed { Ok(()) } else { Err((RANGE, [0, room - 2])) };
            assert_eq!(s.configure([100, 1000, extra, 0, 0]), expected, "{extra} more in 2^{}", s.bits);
            if allowed {
                assert_eq!(u64::from(s.sc.refill_max.get()), extra + 2);
            }
        }
    }
}

#[test]
fn parameters_mean_what_they_say() {
    for flags in 0..4u64 {
        for (budget, period) in [(100, 100), (100, 1000)] {
            for badge in [0, u64::MAX] {
                let s = control(8);
                assert_eq!(s.configure([budget, period, 3, badge, flags]), Ok(()));
                let round_robin = budget == period;
                assert_eq!((s.sc.badge.get(), s.sc.sporadic.get()), (badge, flags & 1 != 0));
                assert_eq!(
                    (s.sc.period.get(), s.sc.is_round_robin()),
                    (if round_robin { 0 } else { period }, round_robin)
                );
                assert_eq!((s.sc.total(), s.sc.refill_max.get()), (budget, if round_robin { 2 } else { 5 }));
            }
        }
    }
    // Of a context whose thread runs, or would: what was used stays used. Of any other: all at once.
    for (bound, state) in
        [(false, ThreadState::Inactive), (true, ThreadState::Inactive), (true, ThreadState::Running)]
    {
        let s = control(8);
        let tcb = s.world.passive_thread(5, Cap::Null);
        tcb.state.set(state);
        if bound {
            tcb.sc.set(Some(s.sc));
            s.sc.tcb.set(Some(tcb));
        }
        assert!(!s.sc.charge(700, 20));
        s.world.advance(700);
        assert_eq!(s.configure([500, 2000, 0, 0, 0]), Ok(()));
        let keeps = state == ThreadState::Running;
        assert_eq!(s.sc.head_refill().amount, if keeps { 300 } else { 500 }, "bound {bound}, {state:?}");
        assert_eq!((s.sc.total(), tcb.in_ready_queue.get()), (500, keeps));
    }
    // The caller's own: the time until now is charged to the old parameters.
    let s = control(8);
    let own = s.caller.sc.get().expect("the caller has a context");
    s.world.slot(s.caller.slot(0).cap(), SC).update(Cap::SchedContext { sc: own, bits: 8 });
    s.world.advance(60);
    assert_eq!(s.configure([500, 2000, 0, 0, 0]), Ok(()));
    assert_eq!((own.consumed.get(), own.total()), (60, 500));
    // A thread that waited for its refill need not, or waits for another.
    for (used, later) in [(1000, true), (500, false)] {
        let s = control(8);
        let tcb = s.world.passive_thread(5, Cap::Null);
        tcb.state.set(ThreadState::Running);
        tcb.sc.set(Some(s.sc));
        s.sc.tcb.set(Some(tcb));
        assert_eq!(s.sc.charge(used, 20), later);
        s.world.advance(used);
        entry::interrupt(&s.world);
        let machine = &s.world;
        sched::settle(machine.node(), s.sc);
        assert_eq!(tcb.in_release_queue.get(), later);
        assert_eq!(s.configure([100, 100, 0, 0, 0]), Ok(()));
        assert!(!tcb.in_release_queue.get() && tcb.in_ready_queue.get(), "it takes turns now");
    }
}

#[test]
fn an_answer_to_a_thread_without_time_is_a_timeout_or_a_wait() {
    for (has_handler, time, was_timeout, goes_on) in
        (0..24).map(|i| (i & 1 != 0, i / 2 % 3, i / 6 % 2 != 0, i / 12 != 0))
    {
        let world = FakeWorld::with_memory(17);
        let machine = &world;
        let space = world.cnode(4);
        let (server, client, reply) =
            (world.thread(10, space), world.passive_thread(12, space), world.reply());
        let ep = world.endpoint();
        if has_handler {
            let cap = Cap::Endpoint { ep, badge: Badge(4), rights: CapRights::ALL };
            world.original(cap, client.slot(TCB_TIMEOUT));
        }
        // Its refill: there, there but too small, or later.
        let sc = world.context(1000, 10_000);
        sc.badge.set(9);
        client.sc.set(Some(sc));
        sc.tcb.set(Some(client));
        match time {
            0 => {}
            1 => sc.configure(4, 10, 10_000, world.time()),
            _ => sc.configure(4, 1000, 10_000, world.time() + 5000),
        }
        reply.tcb.set(Some(client));
        client.reply.set(Some(reply));
        client.state.set(ThreadState::BlockedOnReply);
        if was_timeout {
            client.fault.set(Fault::Timeout { badge: 0 });
        }
        world.run(server);
        world.set_message(server, 0, Message { label: u64::from(!goes_on), words: &[], caps: &[] });
        ipc::reply(machine, server, reply, true);
        let what =
            format!("handler {has_handler}, time {time}, after a timeout {was_timeout}, goes on {goes_on}");
        let runnable = goes_on || !was_timeout;
        if !runnable {
            assert_eq!(
                (client.state.get(), client.in_release_queue.get()),
                (ThreadState::Inactive, false),
                "{what}"
            );
        } else if time == 0 {
            assert!(client.is_schedulable(), "{what}");
            entry::leave(machine);
            assert_eq!(world.current(), client, "{what}");
        } else if has_handler && !was_timeout {
            assert_eq!(client.state.get(), ThreadState::BlockedOnSend, "{what}");
            assert_eq!(
                (client.fault.get(), client.sender_badge.get()),
                (Fault::Timeout { badge: 9 }, 4),
                "{what}"
            );
        } else {
            assert!(client.is_runnable() && client.in_release_queue.get(), "{what}");
        }
    }
}

#[test]
fn whoever_is_chosen_has_time_or_waits_for_it() {
    for period in [0, 20_000] {
        let world = FakeWorld::with_memory(17);
        let [first, second] = [10, 10].map(|priority| world.thread(priority, Cap::Null));
        let sc = first.sc.get().expect("it has a context");
        sc.configure(4, BUDGET, period, world.time());
        world.run(first);
        for used in [BUDGET - 21, 1, 1] {
            world.advance(used);
            world.interrupt();
        }
        // Less than the smallest budget is left: the turn is over.
        assert_eq!(world.current(), second, "period {period}");
        assert_eq!((first.in_release_queue.get(), first.in_ready_queue.get()), (period != 0, period == 0));
    }
    // A context whose head is too small when its thread is chosen is not left with.
    let world = FakeWorld::with_memory(17);
    let [first, second] = [10, 5].map(|priority| world.thread(priority, Cap::Null));
    world.run(second);
    let sc = first.sc.get().expect("it has a context");
    sc.configure(4, BUDGET, 20_000, world.time() + 300);
    let machine = &world;
    sched::reschedule(machine.node());
    entry::leave(machine);
    assert_eq!((world.current(), first.in_release_queue.get()), (second, true));
}
