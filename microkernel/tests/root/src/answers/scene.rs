//! The objects of an episode: a CNode with one or more capabilities of each kind, and the thread that calls.
use crate::world::{self as w, Thread, World};
use axiom_root_test::arch;
use axiom_root_test::ops::Kind;
use sel4_sys::cap::init;
use sel4_sys::object::kind;
use sel4_sys::{CNodeCapData, CPtr, CapRights, Error, label};

/// Slots of the scene's CNode, as a power of two.
pub const RADIX: u64 = 7;
/// Slots below this one may be occupied at first.
pub const USED: u64 = 34;
/// The first of eight slots that are empty at first.
pub const EMPTY: u64 = 40;

/// Where what is; a kind may stand in several slots.
pub const PLACES: &[(Kind, u64)] = &[
    (Kind::CNode, 1),
    (Kind::CNode, 1),
    (Kind::CNode, 1),
    (Kind::CNode, 1),
    (Kind::CNode, 1),
    (Kind::CNode, 1),
    (Kind::CNode, 2),
    (Kind::CNode, 3),
    (Kind::Tcb, 4),
    (Kind::Tcb, 5),
    (Kind::Endpoint, 6),
    (Kind::Endpoint, 7),
    (Kind::Endpoint, 8),
    (Kind::Endpoint, 9),
    (Kind::Notification, 10),
    (Kind::Notification, 11),
    (Kind::Reply, 12),
    (Kind::Reply, 13),
    (Kind::Context, 14),
    (Kind::Context, 15),
    (Kind::Untyped, 16),
    (Kind::Untyped, 17),
    (Kind::VSpace, 18),
    (Kind::VSpace, 19),
    (Kind::Table, 20),
    (Kind::Table, 21),
    (Kind::Table, 22),
    (Kind::Table, 23),
    (Kind::Frame, 24),
    (Kind::Frame, 25),
    (Kind::Frame, 26),
    (Kind::AsidControl, 29),
    (Kind::AsidPool, 30),
    (Kind::SchedControl, 28),
    (Kind::Domain, 31),
    (Kind::Irq, 32),
];

/// What stays over the episodes.
pub struct Stage {
    memory: CPtr,
    /// The slot of the episode's CNode in the root task's.
    pub cnode: CPtr,
    caller: Thread,
    entry: extern "C" fn(u64, u64) -> !,
    buffer_frame: CPtr,
    buffer: u64,
    sp: u64,
    sched_control: CPtr,
}

impl Stage {
    /// Its memory, and the thread that calls: its faults go to `handler`.
    pub fn new(
        t: &mut World,
        entry: extern "C" fn(u64, u64) -> !,
        handler: CPtr,
        sched_control: CPtr,
    ) -> Stage {
        let memory = t.make(kind::UNTYPED, 23);
        let cnode = CPtr(t.slots(1));
        let (caller, buffer_frame, buffer, sp) = t.build_with_frame(100, 1_000_000, 1_000_000, handler);
        Stage { memory, cnode, caller, entry, buffer_frame, buffer, sp, sched_control }
    }

    fn retype(&self, kind: u64, bits: u64, at: u64, count: u64) -> Result<(), Error> {
        w::invoke(self.memory, label::UNTYPED_RETYPE, &[self.cnode], &[kind, bits, 0, 0, at, count]).map(drop)
    }

    fn mint(&self, from: CPtr, to: u64, rights: CapRights, data: u64) -> Result<(), Error> {
        let words = [to, RADIX, from.0, 64, rights.0, data];
        w::invoke(self.cnode, label::CNODE_MINT, &[init::CNODE], &words).map(drop)
    }

    fn mint_inside(&self, from: u64, to: u64, rights: CapRights, data: u64) -> Result<(), Error> {
        let words = [to, RADIX, from, RADIX, rights.0, data];
        w::invoke(self.cnode, label::CNODE_MINT, &[self.cnode], &words).map(drop)
    }

    /// Takes the last episode's objects away and makes new ones.
    pub fn set(&self) -> Result<(), Error> {
        w::invoke(self.caller.tcb, label::TCB_SUSPEND, &[], &[])?;
        w::revoke(self.memory)?;
        let words = [kind::CNODE, RADIX, 0, 0, self.cnode.0, 1];
        w::invoke(self.memory, label::UNTYPED_RETYPE, &[init::CNODE], &words)?;
        self.mint(self.cnode, 1, CapRights::ALL, CNodeCapData::new(0, 64 - RADIX).0)?;
        self.mint(self.cnode, 2, CapRights::ALL, 0)?;
        self.retype(kind::CNODE, 3, 3, 1)?;
        self.retype(kind::TCB, 0, 4, 2)?;
        self.retype(kind::ENDPOINT, 0, 6, 1)?;
        self.mint_inside(6, 7, CapRights::ALL, 5)?;
        self.mint_inside(6, 8, CapRights::READ, 0)?;
        self.mint_inside(6, 9, CapRights::WRITE, 6)?;
        self.retype(kind::NOTIFICATION, 0, 10, 1)?;
        self.mint_inside(10, 11, CapRights::WRITE, 3)?;
        self.retype(kind::REPLY, 0, 12, 2)?;
        self.retype(kind::SCHED_CONTEXT, 8, 14, 2)?;
        self.retype(kind::UNTYPED, 13, 16, 1)?;
        self.retype(kind::UNTYPED, 5, 17, 1)?;
        self.retype(kind::VSPACE, 0, 18, 2)?;
        arch::answers::retype_tables(|kind, at| self.retype(kind, 0, at, 1))?;
        self.retype(kind::SMALL_PAGE, 0, 24, 1)?;
        self.mint_inside(24, 25, CapRights::READ, 0)?;
        self.retype(kind::LARGE_PAGE, 0, 26, 1)?;
        self.mint(self.sched_control, 28, CapRights::ALL, 0)?;
        self.mint(init::ASID_CONTROL, 29, CapRights::ALL, 0)?;
        self.mint(init::ASID_POOL, 30, CapRights::ALL, 0)?;
        self.mint(init::DOMAIN, 31, CapRights::ALL, 0)?;
        arch::answers::interrupt(self.cnode, 32, RADIX)?;
        self.make_ready()
    }

    /// Sets the two threads' limits and an address space up. The root task invokes what it moves into its own CNode and back.
    fn make_ready(&self) -> Result<(), Error> {
        let spare = |i: u64| CPtr((1 << 13) - 8 + i);
        let fetch = |from: u64, i: u64| {
            let words = [spare(i).0, 64, from, RADIX];
            w::invoke(init::CNODE, label::CNODE_MOVE, &[self.cnode], &words).map(drop)
        };
        let put_back = |i: u64, to: u64| {
            let words = [to, RADIX, spare(i).0, 64];
            w::invoke(self.cnode, label::CNODE_MOVE, &[init::CNODE], &words).map(drop)
        };
        for (tcb, most) in [(4, 120), (5, 50)] {
            fetch(tcb, 0)?;
            w::invoke(spare(0), label::TCB_SET_MC_PRIORITY, &[init::TCB], &[most])?;
            put_back(0, tcb)?;
        }
        fetch(18, 0)?;
        w::invoke(init::ASID_POOL, label::ASID_POOL_ASSIGN, &[spare(0)], &[])?;
        for (table, map) in arch::answers::TABLES_AT_FIRST {
            fetch(*table, 1)?;
            let words = [0, sel4_sys::object::vm_attributes::DEFAULT];
            w::invoke(spare(1), *map, &[spare(0)], &words)?;
            put_back(1, *table)?;
        }
        put_back(0, 18)?;
        let guard = CNodeCapData::new(0, 64 - RADIX).0;
        let caps = [self.cnode, init::VSPACE, self.buffer_frame];
        w::invoke(self.caller.tcb, label::TCB_CONFIGURE, &caps, &[guard, 0, self.buffer]).map(drop)
    }

    /// Starts the episode `number`.
    pub fn start(&self, t: &mut World, seed: u64, number: u64) {
        t.start(self.caller, self.entry, [seed, number], self.buffer, self.sp);
    }
}
