//! Each operation is the invocation that the kernel knows, of the capability that it is about.
use crate::{Obedient, Slots};
use axiom_fake_kernel::{Invocation, World};
use axiom_layout::{Bit, Class, Signals};
use axiom_proto::env::{Env, Range, slot};
use axiom_runtime::cap::{AsidPool, Expirations, SchedContext, SchedControl, Tcb};
use axiom_runtime::sel4::object::{kind, vm_attributes};
use axiom_runtime::sel4::{CPtr, CapRights, Error, ext, label, syscall};
use axiom_runtime::{
    CNode, Doorbell, Endpoint, Frame, IrqHandler, Notification, PageTable, Pages, Runtime, Timer, Trace,
    Untyped, VSpace, serve,
};

const A: CPtr = CPtr(61);
const B: CPtr = CPtr(62);
const C: CPtr = CPtr(63);

fn everything(rt: Runtime) -> ! {
    let bit = Class::Peer.nth(1).expect("a bit");
    assert_eq!(Notification::OWN.signaller(B, bit), Ok(Notification(B)));
    Notification(A).signal();
    assert_eq!(Notification(A).poll(), Signals::NONE);
    Doorbell(A).ring();
    assert_eq!(Untyped(A).retype(kind::ENDPOINT, 4, B, 5), Ok(()));
    assert_eq!(Untyped(A).retype_into(kind::CNODE, 6, CNode(B), C, 2), Ok(()));
    assert_eq!(Untyped(A).frames(B, 3), Ok(()));
    assert_eq!(CNode(A).copy(B, C, CapRights::READ), Ok(()));
    assert_eq!(CNode(A).mint(B, C, CapRights::WRITE, 77), Ok(()));
    assert_eq!(CNode(A).move_to(B, C), Ok(()));
    assert_eq!(CNode(A).copy_into(5, 4, C, CapRights::ALL), Ok(()));
    assert_eq!(CNode(A).take_out(5, 4, C), Ok(()));
    assert_eq!(CNode(A).delete_in(5, 4), Ok(()));
    assert_eq!((CNode(A).delete(B), CNode(A).revoke(B)), (Ok(()), Ok(())));
    assert_eq!(PageTable(A).map(VSpace(B), 0x4000), Ok(()));
    assert_eq!(Frame(A).map_data(0x3200_0000, true), Ok(()));
    assert_eq!(Frame(A).map_data(0x3200_1000, false), Ok(()));
    assert_eq!(Frame(A).map_code(0x3200_2000), Ok(()));
    assert_eq!((Frame(A).unmap(), Frame(A).physical()), (Ok(()), Ok(0x1234)));
    assert_eq!((IrqHandler(A).ack(), IrqHandler(A).set_notification(Notification(B))), (Ok(()), Ok(())));
    assert_eq!(AsidPool(A).assign(VSpace(B)), Ok(()));
    assert_eq!(SchedControl(A).configure(SchedContext(B), 100, 200, 3, 4), Ok(()));
    assert_eq!(SchedContext(A).consumed(), Ok(9));
    assert_eq!(Tcb(A).configure(CNode(B), 7, VSpace(C), 0x5000, Frame(B)), Ok(()));
    assert_eq!(Tcb(A).schedule(Tcb(B), 10, 9, SchedContext(C), Endpoint(B)), Ok(()));
    assert_eq!(Tcb(A).bind_notification(Notification(B)), Ok(()));
    assert_eq!(Tcb(A).start(0x10, 0x20, 0x30), Ok(()));
    assert_eq!((Tcb(A).suspend(), Tcb(A).resume()), (Ok(()), Ok(())));
    assert_eq!((Timer(A).bind(Notification(B)), Timer(A).unbind()), (Ok(()), Ok(())));
    assert_eq!((Timer(A).arm(50, 60), Timer(A).cancel()), (Ok(()), Ok(())));
    assert_eq!(Timer(A).read(), Expirations { expirations: 8, overruns: 0, deadline: 0, entry: 0 });
    Trace(A).emit(1, 2, 3);
    assert_eq!((Trace(A).set_mask(6), Trace(A).state()), (Ok(()), Ok((5, 0, 0))));
    let slots = Slots::new(rt.env());
    serve(&mut Obedient { rt, slots, signals: Signals::NONE })
}

#[test]
fn every_operation_is_its_invocation() {
    let world = World::default()
        .returning(label::PAGE_GET_ADDRESS, |_| 0x1234)
        .returning(label::SCHED_CONTEXT_CONSUMED, |_| 9)
        .returning(ext::TIMER_READ, |_| 8)
        .returning(ext::TRACE_INFO, |_| 5);
    let mut server = world.start_in(&Env::default(), everything);
    let own = slot::CNODE;
    let peer = Class::Peer.nth(1).map(Bit::badge).expect("a bit");
    let (a, b, c) = (A.0, B.0, C.0);
    let never = vm_attributes::DEFAULT | vm_attributes::EXECUTE_NEVER;
    let (read, write, both) = (CapRights::READ.0, CapRights::WRITE.0, CapRights::READ_WRITE.0);
    let call =
        |cap, label: u64, words: &[u64], caps: &[u64]| (cap, label as i64, words.to_vec(), caps.to_vec());
    let own_space = slot::VSPACE;
    let wanted = [
        call(own, label::CNODE_MINT, &[b, 64, slot::NOTIFICATION, 64, write, peer], &[own]),
        (a, syscall::SEND, vec![], vec![]),
        (a, syscall::NB_SEND, vec![], vec![]),
        call(a, label::UNTYPED_RETYPE, &[kind::ENDPOINT, 4, 0, 0, b, 5], &[own]),
        call(a, label::UNTYPED_RETYPE, &[kind::CNODE, 6, 0, 0, c, 2], &[b]),
        call(a, label::UNTYPED_RETYPE, &[kind::SMALL_PAGE, 0, 0, 0, b, 3], &[own]),
        call(a, label::CNODE_COPY, &[b, 64, c, 64, read], &[own]),
        call(a, label::CNODE_MINT, &[b, 64, c, 64, write, 77], &[own]),
        call(a, label::CNODE_MOVE, &[b, 64, c, 64], &[own]),
        call(a, label::CNODE_COPY, &[5, 4, c, 64, CapRights::ALL.0], &[own]),
        call(own, label::CNODE_MOVE, &[c, 64, 5, 4], &[a]),
        call(a, label::CNODE_DELETE, &[5, 4], &[]),
        call(a, label::CNODE_DELETE, &[b, 64], &[]),
        call(a, label::CNODE_REVOKE, &[b, 64], &[]),
        call(a, label::PAGE_TABLE_MAP, &[0x4000, vm_attributes::DEFAULT], &[b]),
        call(a, label::PAGE_MAP, &[0x3200_0000, both, never], &[own_space]),
        call(a, label::PAGE_MAP, &[0x3200_1000, read, never], &[own_space]),
        call(a, label::PAGE_MAP, &[0x3200_2000, read, vm_attributes::DEFAULT], &[own_space]),
        call(a, label::PAGE_UNMAP, &[], &[]),
        call(a, label::PAGE_GET_ADDRESS, &[], &[]),
        call(a, label::IRQ_ACK, &[], &[]),
        call(a, label::IRQ_SET_HANDLER, &[], &[b]),
        call(a, label::ASID_POOL_ASSIGN, &[], &[b]),
        call(a, label::SCHED_CONTROL_CONFIGURE_FLAGS, &[100, 200, 3, 4, 0], &[b]),
        call(a, label::SCHED_CONTEXT_CONSUMED, &[], &[]),
        call(a, label::TCB_CONFIGURE, &[7, 0, 0x5000], &[b, c, b]),
        call(a, label::TCB_SET_SCHED_PARAMS, &[10, 9], &[b, c, b]),
        call(a, label::TCB_BIND_NOTIFICATION, &[], &[b]),
        call(a, label::TCB_WRITE_REGISTERS, &[1, 3, 0x10, 0x20, 0x30], &[]),
        call(a, label::TCB_SUSPEND, &[], &[]),
        call(a, label::TCB_RESUME, &[], &[]),
        call(a, ext::TIMER_BIND, &[], &[b]),
        call(a, ext::TIMER_UNBIND, &[], &[]),
        call(a, ext::TIMER_ARM, &[50, 60], &[]),
        call(a, ext::TIMER_CANCEL, &[], &[]),
        call(a, ext::TIMER_READ, &[], &[]),
        call(a, ext::TRACE_EMIT, &[1, 2, 3], &[]),
        call(a, ext::TRACE_SET_MASK, &[6], &[]),
        call(a, ext::TRACE_INFO, &[], &[]),
    ];
    let made: Vec<_> =
        server.invocations().into_iter().map(|i: Invocation| (i.cap, i.label, i.words, i.caps)).collect();
    assert_eq!(made.len(), wanted.len());
    for (made, wanted) in made.iter().zip(&wanted) {
        assert_eq!(made, wanted);
    }
}

fn refused(rt: Runtime) -> ! {
    assert_eq!(Untyped(A).frames(B, 3), Err(Error::NotEnoughMemory));
    assert_eq!(Frame(A).physical(), Err(Error::IllegalOperation));
    assert_eq!(Timer(A).read(), Expirations::default());
    assert_eq!(Trace(A).state(), Err(Error::RangeError));
    let slots = Slots::new(rt.env());
    serve(&mut Obedient { rt, slots, signals: Signals::NONE })
}

#[test]
fn what_the_kernel_refuses_is_an_error_of_its_kind() {
    World::default()
        .refusing(label::UNTYPED_RETYPE, Error::NotEnoughMemory)
        .refusing(label::PAGE_GET_ADDRESS, Error::IllegalOperation)
        .refusing(ext::TIMER_READ, Error::RevokeFirst)
        .refusing(ext::TRACE_INFO, Error::RangeError)
        .start(refused);
}

fn rows(rt: Runtime) -> ! {
    let mut slots = Slots::new(rt.env());
    assert_eq!(
        (slots.take(), slots.take_row(3), slots.take_row(97)),
        (Some(CPtr(100)), Some(CPtr(101)), None)
    );
    slots.give_row(CPtr(101), 2);
    assert_eq!((slots.take_row(3), slots.take()), (Some(CPtr(104)), Some(CPtr(101))));
    slots.give(CPtr(100));
    assert_eq!((slots.take(), slots.take()), (Some(CPtr(100)), Some(CPtr(102))));
    let mut pages = Pages::new(Range { start: 0x3300_0000, len: 4 * 4096 });
    assert_eq!((pages.take(3), pages.take(2), pages.take(1)), (Some(0x3300_0000), None, Some(0x3300_3000)));
    pages.give(0x3300_1000, 2);
    let Ok(registers) = pages.registers(&[Frame(A), Frame(B)]) else { panic!("there is room") };
    use axiom_mmio::Io;
    registers.write(0x1004, 0x55aa);
    assert_eq!((registers.read(0x1004), registers.read(0)), (0x55aa, 0));
    assert!(matches!(pages.registers(&[Frame(C)]), Err(axiom_runtime::pages::Unmapped::NoRoom)));
    serve(&mut Obedient { rt, slots, signals: Signals::NONE })
}

#[test]
fn slots_and_pages_come_in_rows_and_go_back() {
    let env = Env { free_slots: (100, 200), ..Env::default() };
    let mut server = World::default().start_in(&env, rows);
    let maps: Vec<_> = server.invocations().into_iter().map(|i| (i.cap, i.words)).collect();
    let map = |at| vec![at, CapRights::READ_WRITE.0, vm_attributes::EXECUTE_NEVER];
    assert_eq!(maps, [(A.0, map(0x3300_1000)), (B.0, map(0x3300_2000))]);
}
