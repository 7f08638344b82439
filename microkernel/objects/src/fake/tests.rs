//! The world itself: what it says of preemption, states and time is so.
use super::*;
use sel4_sys::{Badge, CapRights, label};

/// A thread whose space holds its CNode (1), an untyped (2), a notification (3), and a second thread (4).
fn scene() -> (FakeWorld, Cap, Ptr<Tcb>, Ptr<Tcb>) {
    let world = FakeWorld::with_memory(18);
    let space = world.cnode(6);
    let (first, second) = (world.thread(10, space), world.thread(12, space));
    let ntfn = world.notification();
    world.put(space, 1, space);
    world.put(space, 2, world.untyped(13));
    world.put(space, 3, Cap::Notification { ntfn, badge: Badge(5), rights: CapRights::READ_WRITE });
    world.put(space, 4, Cap::Tcb { tcb: second });
    (world, space, first, second)
}

fn retype(world: &FakeWorld, tcb: Ptr<Tcb>, count: u64) -> Option<Answer> {
    let words = [o::kind::ENDPOINT, 0, 0, 0, 16, count];
    world.run(tcb);
    world.invoke(tcb, 2, Message { label: label::UNTYPED_RETYPE, words: &words, caps: &[1] })
}

#[test]
fn a_preempted_revoke_goes_on_where_it_was() {
    let (world, space, first, second) = scene();
    assert_eq!(retype(&world, first, 5).map(|a| a.label), Some(0));
    world.run(first);
    world.preempt_at(3);
    let revoke = Message { label: label::CNODE_REVOKE, words: &[2, 64], caps: &[] };
    let pc = first.regs.get(PC);
    world.invoke(first, 1, revoke);
    let left = (16..21).filter(|i| !world.slot(space, *i).is_empty()).count();
    assert!(left > 0 && left < 5, "{left} of 5 are left");
    // The more important thread runs meanwhile; then the call is made again, by itself.
    world.run(second);
    assert_eq!(first.regs.get(FAULT_PC), pc);
    world.preempt_never();
    world.run(first);
    assert_eq!(first.regs.get(PC), pc);
    world.system_call(first, syscall::CALL);
    assert!((16..21).all(|i| world.slot(space, i).is_empty()));
}

#[test]
fn a_state_that_is_put_back_goes_on_the_same_way() {
    let (world, space, first, _) = scene();
    let before = world.snapshot();
    let answer = retype(&world, first, 3);
    assert!(!world.slot(space, 18).is_empty());
    world.restore(&before);
    assert!(world.slot(space, 18).is_empty() && world.slot(space, 2).cap().region().is_some());
    assert_eq!(retype(&world, first, 3), answer);
}

/// Who may only read its buffer's frame has nothing written there, however long its call.
#[test]
fn a_long_retype_writes_into_no_frame_that_its_thread_may_only_read() {
    let (world, _, first, _) = scene();
    world.run(first);
    let words = [o::kind::ENDPOINT, 0, 0, 0, 16, 32];
    world.set_message(first, 2, Message { label: label::UNTYPED_RETYPE, words: &words, caps: &[1] });
    let slot = first.slot(TCB_BUFFER);
    let Cap::Frame { base, size, device, mapping, .. } = slot.cap() else { panic!() };
    let rights = VmRights::READ_WRITE.masked(CapRights::READ);
    slot.update(Cap::Frame { base, size, device, rights, mapping });
    assert!(crate::message::buffer(first, true).is_none(), "it may not write");
    let buffer = crate::message::buffer(first, false).unwrap();
    let before: Vec<u64> = buffer.iter().map(|w| w.get()).collect();
    world.system_call(first, syscall::CALL);
    let after: Vec<u64> = buffer.iter().map(|w| w.get()).collect();
    assert_eq!(before, after);
}

#[test]
fn an_interrupt_signals_and_its_line_stays_masked() {
    let (world, space, first, second) = scene();
    world.put(space, 6, Cap::IrqHandler { irq: 40 });
    (&world).shared().irq_active(40).set(true);
    world.run(first);
    let set = Message { label: label::IRQ_SET_HANDLER, words: &[], caps: &[3] };
    assert_eq!(world.invoke(first, 6, set).map(|a| a.label), Some(0));
    world.run(second);
    world.set_message(second, 3, Message::default());
    world.system_call(second, syscall::WAIT);
    assert_eq!(world.node.current(), first);
    world.take_log();
    world.raise(40);
    world.interrupt();
    assert_eq!((world.node.current(), second.regs.get(CAP)), (second, 5));
    assert!(world.take_log().contains(&Hardware::Mask(40)));
    world.raise(40);
    assert!(!(&&world).interrupt_pending());
}

#[test]
fn the_timer_ends_a_turn() {
    let (world, space, first, second) = scene();
    let third = world.thread(12, space);
    world.interrupt();
    let turn = world.node.current();
    assert!(turn == second || turn == third);
    let left = world.deadline() - (&world).now();
    world.advance(left);
    world.interrupt();
    assert!(world.node.current() != turn && world.node.current() != first);
}
