//! Faults as messages: which words each has, where a handler's answer goes, and what an answer cannot set.
use axiom_objects::arch::registers::{CAP, FAULT_PC, INFO, MR0, PC, SP, STATUS, TLS, TPIDRRO};
use axiom_objects::fake::{BUDGET, FakeWorld, Hardware};
use axiom_objects::fault_message::{kind, lookup_words, take_reply, transfer};
use axiom_objects::machine::Machine;
use axiom_objects::message;
use axiom_objects::object::{Fault, LookupFailure, TCB_FAULT, ThreadState};
use axiom_objects::{Cap, Ptr, Tcb, entry, fpu, sched};
use sel4_sys::{Badge, CapRights, MessageInfo};

const REGISTERS: usize = 38;

/// A thread whose registers all differ, and another.
fn two(world: &FakeWorld) -> [Ptr<Tcb>; 2] {
    let space = world.cnode(4);
    let threads = [world.thread(10, space), world.thread(12, space)];
    (0..REGISTERS).for_each(|i| threads[0].regs.set(i, 500 + i as u64));
    threads
}

const MISSING: LookupFailure = LookupFailure::Missing { bits_left: 17 };

#[test]
fn a_lookup_failure_has_a_number_and_its_words() {
    let guard = LookupFailure::GuardMismatch { bits_left: 9, guard: 77, guard_size: 5 };
    for (failure, words) in [
        (LookupFailure::InvalidRoot, vec![1]),
        (MISSING, vec![2, 17]),
        (LookupFailure::DepthMismatch { bits_left: 8, bits_found: 6 }, vec![3, 8, 6]),
        (guard, vec![4, 9, 77, 5]),
    ] {
        let (told, length) = lookup_words(failure);
        assert_eq!(told[..length], words);
    }
}

#[test]
fn every_fault_has_its_label_and_its_words() {
    let world = FakeWorld::with_memory(18);
    let [faulted, handler] = two(&world);
    let register = |i: usize| 500 + i as u64;
    let pc = register(FAULT_PC);
    let user = [0, 1, 2, 3, 4, 5, 6, 7, FAULT_PC, SP, PC, STATUS].map(register);
    let exception = [FAULT_PC, SP, STATUS].map(register);
    let sc = faulted.sc.get().expect("the thread has a context");
    for (fault, label, words) in [
        (Fault::Cap { addr: 8, in_recv_phase: true, failure: MISSING }, 1, vec![pc, 8, 1, 2, 17]),
        (
            Fault::Cap { addr: 8, in_recv_phase: false, failure: LookupFailure::InvalidRoot },
            1,
            vec![pc, 8, 0, 1],
        ),
        (Fault::UnknownSyscall { number: 99 }, 2, [&user[..], &[99]].concat()),
        (Fault::UserException { number: 4, code: 6 }, 3, [&exception[..], &[4, 6]].concat()),
        (Fault::Timeout { badge: 3 }, 5, vec![3, 41]),
        (Fault::Vm { addr: 1, fsr: 2, instruction: true }, 6, vec![pc, 1, 1, 2]),
        (Fault::Vm { addr: 1, fsr: 2, instruction: false }, 6, vec![pc, 1, 0, 2]),
        (Fault::None, 0, vec![]),
    ] {
        assert_eq!(kind(&fault), label);
        faulted.fault.set(fault);
        sc.consumed.set(41);
        transfer((&&world).node(), faulted, 33, handler);
        assert_eq!(handler.regs.get(INFO), MessageInfo::new(label, 0, 0, words.len() as u64).0, "{fault:?}");
        assert_eq!(handler.regs.get(CAP), 33);
        let buffer = message::buffer(handler, false);
        let told: Vec<u64> = (0..words.len()).map(|i| message::mr(handler, buffer, i)).collect();
        assert_eq!(told, words, "{fault:?}");
        assert_eq!(sc.consumed.get(), if label == 5 { 0 } else { 41 });
    }
    // Without a buffer only what fits into registers arrives.
    handler.slot(axiom_objects::object::TCB_BUFFER).update(Cap::Null);
    transfer((&&world).node(), faulted, 0, handler);
    faulted.fault.set(Fault::UnknownSyscall { number: 99 });
    transfer((&&world).node(), faulted, 0, handler);
    assert_eq!(MessageInfo(handler.regs.get(INFO)).length(), 4);
}

#[test]
fn an_answer_sets_what_it_may_and_its_label_says_whether_the_thread_goes_on() {
    let world = FakeWorld::with_memory(18);
    let [faulted, handler] = two(&world);
    let all = [
        FAULT_PC, SP, STATUS, 0, 1, 2, 3, 4, 5, 6, 7, 8, 16, 17, 18, 29, 30, 9, 10, 11, 12, 13, 14, 15, 19,
        20, 21, 22, 23, 24, 25, 26, 27, 28, TLS, TPIDRRO,
    ];
    let none: &[usize] = &[];
    for (fault, order, decides) in [
        (Fault::UnknownSyscall { number: 99 }, &[0, 1, 2, 3, 4, 5, 6, 7, FAULT_PC, SP, PC, STATUS][..], true),
        (Fault::UserException { number: 4, code: 6 }, &[FAULT_PC, SP, STATUS], true),
        (Fault::Timeout { badge: 3 }, &all[..34], true),
        (Fault::Cap { addr: 8, in_recv_phase: true, failure: MISSING }, none, false),
        (Fault::Vm { addr: 1, fsr: 2, instruction: true }, none, false),
    ] {
        for label in [0, 1, 5] {
            for length in [0, 1, 2, 3, 4, 11, 12, 13, 34, 36, 40] {
                (0..REGISTERS).for_each(|i| faulted.regs.set(i, 500 + i as u64));
                faulted.fault.set(fault);
                let (start, target) = (
                    axiom_objects::object::Cancelling { badge: 5, ..Default::default() },
                    &faulted.cancelling,
                );
                target.set(start);
                let buffer = message::buffer(handler, true);
                // Every flag of the program status, so that what may not be set shows.
                (0..40).for_each(|i| assert!(message::set_mr(handler, buffer, i, u64::MAX - i as u64)));
                handler.regs.set(INFO, MessageInfo::new(label, 0, 0, length).0);
                let goes_on = take_reply(faulted, handler);
                assert_eq!(goes_on, !decides || label == 0, "{fault:?}, label {label}");
                let forgets = matches!(fault, Fault::Timeout { .. }) && length > 0;
                assert_eq!(target.get() == start, !forgets, "{fault:?}, {length} words");
                for register in 0..REGISTERS {
                    let set = order.iter().take(length as usize).position(|other| *other == register);
                    let expected = match set {
                        Some(_) if register == STATUS => 0xf000_0040,
                        Some(i) => u64::MAX - i as u64,
                        None => 500 + register as u64,
                    };
                    assert_eq!(
                        faulted.regs.get(register),
                        expected,
                        "{fault:?}, register {register} of {length}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_fault_goes_to_the_handler_or_stops_the_thread() {
    for (rights, answers) in
        [(CapRights::ALL, true), (CapRights(9), true), (CapRights(5), true), (CapRights(1), false)]
    {
        let world = FakeWorld::with_memory(18);
        let [faulted, handler] = two(&world);
        let (ep, reply) = (world.endpoint(), world.reply());
        world.original(Cap::Endpoint { ep, badge: Badge(21), rights }, faulted.slot(TCB_FAULT));
        world.run(handler);
        axiom_objects::ipc::receive(
            &world,
            handler,
            ep,
            axiom_objects::ipc::ReceiveOptions { can_grant: true, blocking: true, reply: Some(reply) },
        );
        entry::leave(&world);
        assert_eq!(world.current(), faulted);
        world.fault(faulted, Fault::UserException { number: 1, code: 2 });
        assert_eq!((world.current(), handler.regs.get(CAP)), (handler, 21));
        assert_eq!(MessageInfo(handler.regs.get(INFO)).label(), 3);
        let expected = if answers { ThreadState::BlockedOnReply } else { ThreadState::Inactive };
        assert_eq!((faulted.state.get(), reply.tcb.get().is_some()), (expected, answers), "{rights:?}");
    }
    let world = FakeWorld::with_memory(18);
    let [faulted, _] = two(&world);
    world.run(faulted);
    world.take_log();
    world.fault(faulted, Fault::Vm { addr: 1, fsr: 2, instruction: true });
    assert_eq!((faulted.state.get(), faulted.fault.get()), (ThreadState::Inactive, Fault::None));
    assert!(world.take_log().iter().any(|asked| matches!(asked, Hardware::Printed(_))));
}

#[test]
fn a_spent_budget_is_told_to_who_hears_of_it() {
    for (has_handler, period, sporadic) in
        (0..8).map(|i| (i & 1 != 0, if i & 2 != 0 { 20_000 } else { 0 }, i & 4 != 0))
    {
        let world = FakeWorld::with_memory(18);
        let [thread, handler] = two(&world);
        let ep = world.endpoint();
        let sc = thread.sc.get().expect("the thread has a context");
        sc.configure(4, BUDGET, period, (&&world).now());
        sc.sporadic.set(sporadic);
        assert!(!sched::has_timeout_handler(thread));
        if has_handler {
            let cap = Cap::Endpoint { ep, badge: Badge(4), rights: CapRights::ALL };
            world.original(cap, thread.slot(axiom_objects::object::TCB_TIMEOUT));
        }
        assert_eq!(sched::has_timeout_handler(thread), has_handler);
        axiom_objects::thread::suspend((&&world).node(), handler);
        world.run(thread);
        world.advance(BUDGET + 1);
        world.interrupt();
        let faulted = has_handler && period != 0;
        let state = if faulted { ThreadState::BlockedOnSend } else { ThreadState::Running };
        assert_eq!(thread.state.get(), state, "handler {has_handler}, period {period}");
        assert_eq!(matches!(thread.fault.get(), Fault::Timeout { badge: 0 }), faulted);
        assert_eq!(thread.in_release_queue.get(), period != 0, "handler {has_handler}, period {period}");
        assert_eq!(world.current() == thread, period == 0);
    }
}

#[test]
fn the_fpu_holds_the_registers_of_who_touched_it_last() {
    let world = FakeWorld::with_memory(18);
    let [a, b] = two(&world);
    let refused = Fault::UserException { number: 7, code: 0 };
    let m = &world;
    let touch = |tcb: Ptr<Tcb>| {
        world.run(tcb);
        world.take_log();
        entry::fpu_trap(m, refused);
        world.take_log()
    };
    let fetched = [Hardware::EnableFpu(true), Hardware::LoadFpu];
    let exchanged = [Hardware::EnableFpu(true), Hardware::SaveFpu, Hardware::LoadFpu];
    assert_eq!(touch(a), fetched);
    assert_eq!(m.node().fpu_owner.get(), Some(a));
    assert_eq!(touch(b), exchanged);
    // Whose registers are there needs no trap when it runs again; others do.
    for (tcb, enabled) in [(a, false), (b, true)] {
        world.run(if tcb == a { b } else { a });
        world.take_log();
        world.run(tcb);
        assert!(world.take_log().contains(&Hardware::EnableFpu(enabled)));
    }
    // Another flag does not take it away; this one does.
    for (flags, allowed) in [(0, true), (2, true), (1, false), (3, false)] {
        a.flags.set(flags);
        a.state.set(ThreadState::Running);
        let asked = touch(a);
        assert_eq!(asked.contains(&Hardware::LoadFpu), allowed, "flags {flags}");
        assert_eq!(a.state.get() == ThreadState::Inactive, !allowed, "flags {flags}");
        assert!(touch(b).contains(&Hardware::LoadFpu));
    }
    fpu::discard(m, a);
    assert_eq!(m.node().fpu_owner.get(), Some(b), "another's registers stay");
    fpu::release(m, a);
    assert!(world.take_log().is_empty());
    fpu::release(m, b);
    assert_eq!(world.take_log(), [Hardware::EnableFpu(true), Hardware::SaveFpu, Hardware::EnableFpu(false)]);
    assert_eq!(m.node().fpu_owner.get(), None);
    assert_eq!(a.regs.get(MR0), 502, "integer registers are another thing");
}
