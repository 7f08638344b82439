//! Answers by which a root task could tell this kernel from seL4 16: codes, words and their order, each once.
extern crate std;
use crate::arch::interrupts::Route;
use crate::arch::paging::USER_TOP;
use crate::arch::registers::{FAULT_PC, PC, STATUS, SYSCALL_FAULT_ORDER, USER_STATUS};
use crate::arch::tables::TableKind;
use crate::cap::{Cap, FrameSize, VmRights};
use crate::fake::{FakeWorld, Hardware, Message};
use crate::machine::Machine;
use crate::object::{Fault, TCB_CSPACE, TCB_FAULT, Tcb, ThreadState};
use crate::ptr::{PhysAddr, Ptr};
use crate::slot;
use crate::time::MAX_PERIOD_US;
use sel4_sys::object::kind;
use sel4_sys::syscall::CALL;
use sel4_sys::{Badge, CapRights, Error, label};

const CNODE: u64 = 1;
const UNTYPED: u64 = 2;
const TCB: u64 = 3;
const VSPACE: u64 = 4;
const POOL: u64 = 5;
const SC: u64 = 6;
const CONTROL: u64 = 7;
const IRQ_CONTROL: u64 = 8;
const EP: u64 = 9;
const DOMAIN: u64 = 11;
/// Always empty.
const EMPTY: u64 = 10;
const TABLES: u64 = 12;
const FRAME: u64 = 16;
const READ_ONLY: u64 = 17;
const FREE: u64 = 20;
const AT: u64 = 0x4000_0000;

/// A running thread, another one (`TCB`) that never started, and what it takes to map.
struct Root {
    world: FakeWorld,
    tcb: Ptr<Tcb>,
    other: Ptr<Tcb>,
    cnode: Cap,
}

impl Root {
    fn new() -> Root {
        let world = FakeWorld::with_memory(25);
        let cnode = world.cnode(6);
        let tcb = world.thread(100, cnode);
        let other = world.passive_thread(50, cnode);
        other.state.set(ThreadState::Inactive);
        // The fake's capabilities are all the last ones by their own account.
        slot::remove(other.slot(TCB_CSPACE));
        let put = |index, cap| world.put(cnode, index, cap);
        put(CNODE, cnode);
        put(UNTYPED, world.untyped(22));
        put(TCB, Cap::Tcb { tcb: other });
        put(SC, Cap::SchedContext { sc: world.context(1000, 10_000), bits: 8 });
        put(CONTROL, Cap::SchedControl { core: 0 });
        put(IRQ_CONTROL, Cap::IrqControl);
        put(DOMAIN, Cap::Domain);
        put(EP, Cap::Endpoint { ep: world.endpoint(), badge: Badge(0), rights: CapRights::ALL });
        let pool = world.allocate(12);
        (&world).shared().asid_pools[0].set(pool.0);
        put(POOL, Cap::AsidPool { base: pool, first_asid: 0 });
        assert!(world.run(tcb));
        let root = Root { world, tcb, other, cnode };
        root.succeeds(UNTYPED, label::UNTYPED_RETYPE, &[kind::VSPACE, 0, 0, 0, VSPACE, 1], &[CNODE]);
        root
    }

    fn call(&self, cptr: u64, label: u64, words: &[u64], caps: &[u64]) -> (u64, [u64; 4]) {
        let message = Message { label, words, caps };
        let answer = self.world.invoke(self.tcb, cptr, message).expect("it answers at once");
        (answer.label, answer.words)
    }

    fn succeeds(&self, cptr: u64, label: u64, words: &[u64], caps: &[u64]) {
        assert_eq!(self.call(cptr, label, words, caps).0, 0, "label {label} {words:x?} {caps:?}");
    }

    /// The invocation is refused with this error; its first words are these.
    fn refused(&self, cptr: u64, label: u64, words: &[u64], caps: &[u64], error: Error, told: &[u64]) {
        let (code, got) = self.call(cptr, label, words, caps);
        assert_eq!(code, error as u64, "label {label} {words:x?} {caps:?}");
        assert_eq!(&got[..told.len()], told, "label {label} {words:x?} {caps:?}");
    }

    /// Gives the address space its identifier, and maps a read-write page at [`AT`] and a read-only one behind it.
    fn mapped(&self) {
        self.succeeds(POOL, label::ASID_POOL_ASSIGN, &[], &[VSPACE]);
        let retype = |kind, slot, count| {
            self.succeeds(UNTYPED, label::UNTYPED_RETYPE, &[kind, 0, 0, 0, slot, count], &[CNODE]);
        };
        retype(kind::PAGE_TABLE, TABLES, 3);
        retype(kind::SMALL_PAGE, FRAME, 2);
        for table in TABLES..TABLES + 3 {
            self.succeeds(table, label::PAGE_TABLE_MAP, &[AT, 3], &[VSPACE]);
        }
        self.succeeds(FRAME, label::PAGE_MAP, &[AT, 3, 3], &[VSPACE]);
        self.succeeds(READ_ONLY, label::PAGE_MAP, &[AT + 4096, 2, 3], &[VSPACE]);
    }
}

#[test]
fn bad_times_come_before_a_bad_capability() {
    let root = Root::new();
    let configure = |budget, period, cap, error, told: &[u64]| {
        let words = [budget, period, 0, 0, 0];
        root.refused(CONTROL, label::SCHED_CONTROL_CONFIGURE_FLAGS, &words, &[cap], error, told);
    };
    assert_eq!(MAX_PERIOD_US, 0x218def416bdb);
    for (budget, period) in [(19, 100), (100, 19), (MAX_PERIOD_US + 1, 100), (100, u64::MAX)] {
        configure(budget, period, EP, Error::RangeError, &[20, MAX_PERIOD_US]);
    }
    configure(101, 100, EP, Error::RangeError, &[20, 100]);
    configure(100, 100, EP, Error::InvalidCapability, &[1]);
    let longest = [MAX_PERIOD_US, MAX_PERIOD_US, 0, 0, 0];
    root.succeeds(CONTROL, label::SCHED_CONTROL_CONFIGURE_FLAGS, &longest, &[SC]);
    let many = [100, 200, u64::MAX, 0, 0];
    root.refused(CONTROL, label::SCHED_CONTROL_CONFIGURE_FLAGS, &many, &[SC], Error::RangeError, &[0, 8]);
}

#[test]
fn every_trigger_but_zero_is_an_edge() {
    for (irq, trigger, edge) in [(40, 0, false), (41, 1, true), (42, 2, true), (43, 1 << 63, true)] {
        let root = Root::new();
        root.world.take_log();
        let words = [irq, trigger, FREE, 64];
        root.succeeds(IRQ_CONTROL, label::IRQ_ISSUE_HANDLER_TRIGGER, &words, &[CNODE]);
        let set = Hardware::Route { irq: irq as u32, route: Route { edge } };
        assert!(root.world.take_log().contains(&set), "trigger {trigger:#x}");
    }
}

#[test]
fn a_space_whose_last_capability_the_thread_holds_is_not_replaced() {
    let root = Root::new();
    root.succeeds(POOL, label::ASID_POOL_ASSIGN, &[], &[VSPACE]);
    let own = root.other.slot(TCB_CSPACE);
    let last = root.world.cnode(2);
    slot::insert_root(last, own);
    let spaces = [CNODE, VSPACE, EMPTY];
    root.refused(TCB, label::TCB_CONFIGURE, &[0, 0, 0], &spaces, Error::IllegalOperation, &[]);
    let spaces = [EMPTY, CNODE, VSPACE];
    root.refused(TCB, label::TCB_SET_SPACE, &[0, 0], &spaces, Error::IllegalOperation, &[]);
    // With another capability to it, it goes.
    let copy = root.world.slot(root.cnode, FREE);
    slot::insert(last, own, copy);
    root.succeeds(TCB, label::TCB_SET_SPACE, &[0, 0], &spaces);
    assert!(matches!(own.cap(), Cap::CNode { base, .. } if Some(base.0) != last.region().map(|r| r.0)));
}

#[test]
fn bad_spaces_come_before_a_bad_handler() {
    let root = Root::new();
    root.succeeds(POOL, label::ASID_POOL_ASSIGN, &[], &[VSPACE]);
    let set = |caps: &[u64], error, told: &[u64]| {
        root.refused(TCB, label::TCB_SET_SPACE, &[0, 0], caps, error, told);
    };
    set(&[CNODE, EP, VSPACE], Error::IllegalOperation, &[]);
    set(&[CNODE, CNODE, EP], Error::IllegalOperation, &[]);
    set(&[CNODE, CNODE, VSPACE], Error::InvalidCapability, &[1]);
    assert!(root.other.slot(TCB_FAULT).is_empty());
}

#[test]
fn a_pivot_in_a_bad_root_is_told_as_a_source() {
    let root = Root::new();
    let words = [FREE, 64, 0, EP, 64, 0, TCB, 64];
    root.refused(CNODE, label::CNODE_ROTATE, &words, &[EP, CNODE], Error::FailedLookup, &[1, 1]);
    let empty = [FREE, 64, 0, EMPTY, 64, 0, TCB, 64];
    root.refused(CNODE, label::CNODE_ROTATE, &empty, &[CNODE, CNODE], Error::FailedLookup, &[0, 2, 64]);
}

#[test]
fn a_yield_that_is_cut_short_answers_success_without_words() {
    let root = Root::new();
    let target = root.world.thread(100, root.cnode);
    let Some(sc) = target.sc.get() else { panic!("a thread of its own time") };
    root.world.put(root.cnode, FREE, Cap::SchedContext { sc, bits: 8 });
    let message = Message { label: label::SCHED_CONTEXT_YIELD_TO, words: &[7, 8], caps: &[] };
    root.world.set_message(root.tcb, FREE, message);
    root.world.system_call(root.tcb, CALL);
    assert_eq!((&root.world).node().current(), target, "the other one runs");
    crate::thread::suspend((&root.world).node(), root.tcb);
    crate::thread::restart((&root.world).node(), root.tcb);
    let answer = root.world.answer(root.tcb);
    assert_eq!((answer.label, answer.badge), (0, 0));
    assert_eq!(root.tcb.regs.get(crate::arch::registers::INFO), 0, "no words");
}

#[test]
fn user_threads_run_with_fast_interrupts_masked() {
    let root = Root::new();
    assert_eq!(USER_STATUS, 0x40);
    let flags = [0, 3, 0x1000, 0x2000, u64::MAX];
    root.succeeds(TCB, label::TCB_WRITE_REGISTERS, &flags, &[]);
    assert_eq!(root.other.regs.get(STATUS), 0xf000_0040);
    // Without registers the next instruction is that of the fault.
    root.other.regs.set(PC, 0x77);
    root.succeeds(TCB, label::TCB_WRITE_REGISTERS, &[0, 0], &[]);
    assert_eq!(root.other.regs.get(PC), 0x1000);
}

#[test]
fn an_unknown_system_call_tells_the_link_register_of_the_exception() {
    assert_eq!(SYSCALL_FAULT_ORDER[10], PC);
    let root = Root::new();
    let handler = root.world.thread(120, root.cnode);
    root.other.fault.set(Fault::UnknownSyscall { number: 99 });
    let numbered = |register: usize| 1000 + register as u64;
    for register in [30, PC, FAULT_PC] {
        root.other.regs.set(register, numbered(register));
    }
    let reply = Message { label: 0, words: &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0], caps: &[] };
    root.world.set_message(handler, EP, reply);
    assert!(crate::fault_message::take_reply(root.other, handler));
    assert_eq!(root.other.regs.get(30), numbered(30), "X30 is left alone");
    assert_eq!((root.other.regs.get(FAULT_PC), root.other.regs.get(PC)), (8, 10));
}

#[test]
fn cache_operations_answer_as_the_twins_do() {
    let root = Root::new();
    let all =
        [label::VSPACE_CLEAN, label::VSPACE_INVALIDATE, label::VSPACE_CLEAN_INVALIDATE, label::VSPACE_UNIFY];
    for label in all {
        root.refused(VSPACE, label, &[AT, AT + 64], &[], Error::InvalidCapability, &[0]);
    }
    root.mapped();
    for label in all {
        root.succeeds(VSPACE, label, &[AT, AT + 64], &[]);
        root.succeeds(VSPACE, label, &[AT + 8192, AT + 8256], &[]);
        root.refused(VSPACE, label, &[AT + 8, AT], &[], Error::InvalidArgument, &[1]);
        let across = [AT + 16, AT + 4097];
        root.refused(VSPACE, label, &across, &[], Error::RangeError, &[AT + 16, AT + 4095]);
        let above = [AT, USER_TOP + 1];
        root.refused(VSPACE, label, &above, &[], Error::IllegalOperation, &[]);
        // Up to the last byte it is user space, where nothing is mapped.
        root.succeeds(VSPACE, label, &[USER_TOP - 64, USER_TOP], &[]);
        let read_only = [AT + 4096, AT + 4160];
        if label == label::VSPACE_INVALIDATE {
            root.refused(VSPACE, label, &read_only, &[], Error::IllegalOperation, &[]);
        } else {
            root.succeeds(VSPACE, label, &read_only, &[]);
        }
    }
    root.succeeds(FRAME, label::PAGE_INVALIDATE, &[0, 64], &[]);
    root.refused(READ_ONLY, label::PAGE_INVALIDATE, &[0, 64], &[], Error::IllegalOperation, &[]);
    root.succeeds(READ_ONLY, label::PAGE_CLEAN_INVALIDATE, &[0, 64], &[]);
    // The table that held the mapping goes: the capability's memory of it is old.
    root.succeeds(TABLES + 2, label::PAGE_TABLE_UNMAP, &[], &[]);
    root.refused(FRAME, label::PAGE_CLEAN, &[0, 64], &[], Error::InvalidCapability, &[0]);
}

#[test]
fn user_space_ends_at_half_of_the_lower_tables() {
    assert_eq!(USER_TOP, (1 << 47) - 1);
    let root = Root::new();
    root.mapped();
    let page = Cap::Frame {
        base: PhysAddr(0x900_0000),
        size: FrameSize::Small,
        device: true,
        rights: VmRights::READ_WRITE,
        mapping: None,
    };
    root.world.put(root.cnode, FREE, page);
    let table = Cap::PageTable { base: root.world.allocate(12), mapping: None, kind: TableKind::LAST };
    root.world.put(root.cnode, FREE + 1, table);
    for at in [1 << 47, 1 << 48, !4095] {
        root.refused(FREE, label::PAGE_MAP, &[at, 3, 0], &[VSPACE], Error::InvalidArgument, &[0]);
        root.refused(FREE + 1, label::PAGE_TABLE_MAP, &[at, 3], &[VSPACE], Error::InvalidArgument, &[0]);
    }
    // Below, a table is missing; its level is told.
    root.refused(
        FREE,
        label::PAGE_MAP,
        &[(1 << 47) - 4096, 3, 0],
        &[VSPACE],
        Error::FailedLookup,
        &[0, 2, 39],
    );
    root.succeeds(FREE + 1, label::PAGE_TABLE_MAP, &[(1 << 47) - 4096, 3], &[VSPACE]);
}

#[test]
fn a_block_where_a_table_is_meets_the_tables_level() {
    let root = Root::new();
    root.mapped();
    root.succeeds(UNTYPED, label::UNTYPED_RETYPE, &[kind::LARGE_PAGE, 0, 0, 0, FREE, 1], &[CNODE]);
    root.refused(FREE, label::PAGE_MAP, &[AT, 3, 3], &[VSPACE], Error::FailedLookup, &[0, 2, 12]);
}

#[test]
fn a_capability_argument_that_leads_nowhere_comes_before_an_empty_slot() {
    let root = Root::new();
    let nowhere = 1 << 40;
    let message = Message { label: label::TCB_SUSPEND, words: &[], caps: &[nowhere] };
    root.world.set_message(root.tcb, EMPTY, message);
    root.world.system_call(root.tcb, CALL);
    assert_eq!(root.tcb.state.get(), ThreadState::Inactive, "a fault without a handler");
    let root = Root::new();
    root.refused(EMPTY, label::TCB_SUSPEND, &[], &[EP], Error::InvalidCapability, &[0]);
}

#[test]
fn a_frame_that_may_not_be_read_may_not_be_written() {
    let root = Root::new();
    root.mapped();
    let (read, write) = (2, 1);
    // As the mask of a mapping, and as that of a copy.
    root.succeeds(FRAME, label::PAGE_MAP, &[AT, write, 3], &[VSPACE]);
    root.refused(FRAME, label::PAGE_INVALIDATE, &[0, 64], &[], Error::IllegalOperation, &[]);
    root.succeeds(CNODE, label::CNODE_COPY, &[FREE, 64, FRAME, 64, write], &[CNODE]);
    let rights = |slot| match root.world.slot(root.cnode, slot).cap() {
        Cap::Frame { rights, .. } => (rights.read, rights.write),
        cap => panic!("{cap:?} is no frame"),
    };
    assert_eq!((rights(FRAME), rights(FREE)), ((true, true), (false, false)));
    root.succeeds(CNODE, label::CNODE_COPY, &[FREE + 1, 64, FRAME, 64, read], &[CNODE]);
    assert_eq!(rights(FREE + 1), (true, false));
    root.succeeds(FRAME, label::PAGE_MAP, &[AT, read | write, 3], &[VSPACE]);
    root.succeeds(FRAME, label::PAGE_INVALIDATE, &[0, 64], &[]);
}

#[test]
fn receiving_from_an_empty_slot_leaves_no_bits_however_early_it_was_met() {
    for (cptr, reply) in [(EMPTY << 56, 0), (EMPTY, 0), (EP, EMPTY << 56), (EP, EMPTY)] {
        // The slots are those of the first six bits: behind them, bits are left.
        let root = Root::new();
        let early = cptr > 63 || reply > 63;
        if early {
            let wide = Cap::CNode { base: PhysAddr(0), radix: 6, guard: 0, guard_size: 2 };
            let Cap::CNode { base, .. } = root.cnode else { panic!("a CNode") };
            let Cap::CNode { radix, guard, guard_size, .. } = wide else { panic!("a CNode") };
            root.tcb.slot(TCB_CSPACE).update(Cap::CNode { base, radix, guard, guard_size });
        }
        let cptr = if early && cptr == EP { EP << 56 } else { cptr };
        let handler = root.world.endpoint();
        let cap = Cap::Endpoint { ep: handler, badge: Badge(0), rights: CapRights::ALL };
        root.world.original(cap, root.tcb.slot(TCB_FAULT));
        root.world.set_message(root.tcb, cptr, Message::default());
        root.tcb.regs.set(crate::arch::registers::REPLY, reply);
        root.world.system_call(root.tcb, sel4_sys::syscall::RECV);
        let Fault::Cap { addr, in_recv_phase, failure } = root.tcb.fault.get() else {
            panic!("{cptr:#x} {reply:#x}: {:?}", root.tcb.fault.get());
        };
        let named = if cptr & 0x3f == EP || cptr >> 56 == EP { reply } else { cptr };
        assert_eq!((addr, in_recv_phase), (named, true));
        assert_eq!(failure, crate::object::LookupFailure::Missing { bits_left: 0 }, "{cptr:#x} {reply:#x}");
    }
}

#[test]
fn registers_that_nobody_waits_for_are_not_written_into_the_message() {
    let root = Root::new();
    root.other.regs.set(FAULT_PC, 0x7777);
    let words = [0, 3, 11, 12];
    let read = Message { label: label::TCB_READ_REGISTERS, words: &words, caps: &[] };
    for number in [sel4_sys::syscall::SEND, sel4_sys::syscall::NB_SEND] {
        root.world.set_message(root.tcb, TCB, read);
        root.world.system_call(root.tcb, number);
        let kept: [u64; 4] = core::array::from_fn(|i| root.tcb.regs.get(crate::arch::registers::MR0 + i));
        assert_eq!(kept, words);
    }
    assert_eq!(root.call(TCB, label::TCB_READ_REGISTERS, &words, &[]).1[0], 0x7777);
}

#[test]
fn the_domain_schedule_has_one_entry_of_one_domain() {
    let root = Root::new();
    let configure = label::DOMAIN_SCHEDULE_CONFIGURE;
    let longest = u64::MAX >> 8;
    root.succeeds(DOMAIN, configure, &[0, 0, 1], &[]);
    root.succeeds(DOMAIN, configure, &[0, 0, longest], &[]);
    root.refused(DOMAIN, configure, &[0, 0], &[], Error::TruncatedMessage, &[]);
    root.refused(DOMAIN, configure, &[1, 1, 0], &[], Error::RangeError, &[0, 0]);
    root.refused(DOMAIN, configure, &[0, 1, 0], &[], Error::RangeError, &[0, 0]);
    root.refused(DOMAIN, configure, &[0, 0, longest + 1], &[], Error::InvalidArgument, &[2]);
    root.refused(DOMAIN, configure, &[0, 0, 0], &[], Error::InvalidArgument, &[2]);
    let start = label::DOMAIN_SCHEDULE_SET_START;
    root.succeeds(DOMAIN, start, &[0], &[]);
    assert_eq!((&root.world).node().current(), root.tcb);
    root.refused(DOMAIN, start, &[], &[], Error::TruncatedMessage, &[]);
    root.refused(DOMAIN, start, &[1], &[], Error::InvalidArgument, &[0]);
    root.refused(DOMAIN, start, &[2], &[], Error::RangeError, &[0, 1]);
    root.refused(DOMAIN, label::DOMAIN_SET, &[1], &[], Error::InvalidArgument, &[0]);
    root.refused(DOMAIN, label::DOMAIN_SET, &[0], &[], Error::TruncatedMessage, &[]);
    root.refused(DOMAIN, label::DOMAIN_SET, &[0], &[EP], Error::InvalidArgument, &[1]);
    root.succeeds(DOMAIN, label::DOMAIN_SET, &[0], &[TCB]);
    root.refused(DOMAIN, label::DOMAIN_SET - 1, &[0], &[TCB], Error::IllegalOperation, &[]);
}

#[test]
fn an_answer_without_a_buffer_changes_no_more_registers_than_it_has() {
    let root = Root::new();
    let handler = root.world.thread(120, root.cnode);
    slot::remove(handler.slot(crate::object::TCB_BUFFER));
    root.other.fault.set(Fault::UnknownSyscall { number: 99 });
    for register in 0..8 {
        root.other.regs.set(register, 1000 + register as u64);
    }
    root.world.set_message(handler, EP, Message { label: 0, words: &[1, 2, 3, 4], caps: &[] });
    handler.regs.set(crate::arch::registers::INFO, sel4_sys::MessageInfo::new(0, 0, 0, 8).0);
    assert!(crate::fault_message::take_reply(root.other, handler));
    let got: [u64; 8] = core::array::from_fn(|i| root.other.regs.get(i));
    assert_eq!(got, [1, 2, 3, 4, 1004, 1005, 1006, 1007]);
}

#[test]
fn a_timeout_of_a_thread_that_lost_its_context_tells_no_time() {
    let root = Root::new();
    let info = crate::arch::registers::INFO;
    let told = |sc| {
        root.other.fault.set(Fault::Timeout { badge: 77 });
        root.other.sc.set(sc);
        crate::fault_message::transfer((&root.world).node(), root.other, 5, root.tcb);
        root.other.sc.set(None);
        sel4_sys::MessageInfo(root.tcb.regs.get(info)).length()
    };
    assert_eq!((told(None), root.world.answer(root.tcb).words[0]), (1, 77));
    let sc = root.world.context(100, 200);
    sc.consumed.set(33);
    assert_eq!((told(Some(sc)), root.world.answer(root.tcb).words[..2].to_vec()), (2, std::vec![77, 33]));
}
