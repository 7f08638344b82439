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
