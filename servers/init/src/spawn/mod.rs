//! Building a server: its address space, capability space, memory and thread, from what the manifest grants.
mod build;
mod world;

pub use build::{is_touched, map_own};

use crate::memory::{Memory, Object, Pool};
use crate::permanent::Permanent;
use crate::rows::SlotRows;
use crate::sys;
use axiom_layout::{Badge as Who, CNODE_BITS, address};
use axiom_proto::Values;
use axiom_proto::bundle::Server;
use axiom_proto::env::{self, Env, Range, slot};
use build::Build;
use sel4_sys::ext::AxiomInfo;
use sel4_sys::{Badge, CNodeCapData, CPtr, CapRights, Error};
use world::{World, channels, give_devices, give_memory, give_trace, write_env};

const GUARD: CNodeCapData = CNodeCapData::new(0, 64 - CNODE_BITS as u64);

/// What all servers are built from.
pub struct Context<'a> {
    /// Where frames of the payload are.
    pub payload_frames: u64,
    /// SchedControl.
    pub sched_control: CPtr,
    /// init's endpoint, for faults and requests.
    pub endpoint: CPtr,
    /// init's notification, for readiness.
    pub ready: CPtr,
    /// The extensions.
    pub axiom: Option<AxiomInfo>,
    /// What init serves.
    pub supervises: &'a Values,
    /// All servers.
    pub servers: &'a [Server],
    /// Their permanent objects.
    pub permanent: &'a [Permanent],
    /// Their threads, of those that live.
    pub threads: &'a [Option<CPtr>],
    /// The kernel's debug system calls stay.
    pub debug_calls: bool,
}

/// What a built server is.
pub struct Running {
    /// Bytes that it shares with the bundle.
    pub shared_bytes: u64,
    /// Its thread.
    pub tcb: CPtr,
    /// The frames of its stack, by address.
    pub stack: SlotRows,
    /// Those of its heap.
    pub heap: SlotRows,
    /// Its CNode, and the slot that its untyped memory comes to when it asks for it.
    pub reclaim: Option<(CPtr, u64)>,
}

impl Running {
    /// Puts untyped memory that is empty into the slot that waits for it.
    pub fn give_untyped(cnode: CPtr, slot: u64, untyped: CPtr) -> Result<(), Error> {
        sys::copy_to(cnode, slot, CNODE_BITS, untyped, CapRights::ALL)
    }
}

/// Builds server `index` and starts it.
pub fn spawn(
    c: &Context<'_>,
    memory: &mut Memory,
    pool: &mut Pool,
    index: usize,
    restarts: u32,
    last_life: bool,
) -> Result<Running, Error> {
    let server = &c.servers[index];
    let permanent = &c.permanent[index];
    let vspace = pool.make(memory, Object::VSPACE)?;
    sys::assign_asid(vspace)?;
    let cnode = pool.make(memory, Object::cnode(CNODE_BITS))?;
    let tcb = pool.make(memory, Object::TCB)?;
    let mut b = Build { memory, pool, vspace, cnode, next_named: slot::FIRST, shared_bytes: 0 };

    for s in &server.segments {
        b.segment(c, s)?;
    }
    let stack = u64::from(server.stack_kib) * 1024;
    let stack = b.pages(address::STACK_TOP - stack, stack)?;
    let heap = u64::from(server.heap_kib) * 1024;
    let heap_frames = b.pages(address::HEAP, heap)?;
    let buffer = b.filled_page(address::IPC_BUFFER, &[], CapRights::READ_WRITE)?;
    if server.hosts_bpf() {
        use axiom_proto::bpf_host as h;
        b.tables(h::CODE_WINDOW as u64, u64::from(h::CODE_PAGES) * 4096)?;
        b.tables(h::MAP_WINDOW as u64, u64::from(h::MAP_PAGES) * 4096)?;
    }
    let scratch = u64::from(server.scratch_kib) * 1024;
    b.tables(address::SCRATCH, scratch)?;

    well_known(&mut b, c, server, permanent, tcb)?;
    let head = Env {
        name: &server.name,
        index: index as u16,
        restarts,
        last_life,
        // Budget and period are the same in the background.
        budget_us: (server.budget_us < server.period_us).then_some((server.budget_us, server.period_us)),
        scratch: Range { start: address::SCRATCH, len: scratch },
        counter_frequency: c.axiom.map_or(0, |a| a.counter_frequency),
        debug_calls: c.debug_calls,
        ..Env::default()
    };
    let mut world = World { head, ..World::default() };
    channels(&mut b, c, index, &mut world)?;
    give_devices(&mut b, permanent, server, &mut world)?;
    let reclaim = give_memory(&mut b, c, permanent, server, &mut world)?;
    give_trace(&mut b, c, server, &mut world)?;
    world.head.ready = b.name(c.ready, CapRights::WRITE, Some(Who::ready(index as u16).word()))?;
    if c.axiom.is_some() && server.takes_notifications {
        // Tells notifications from what else clients may hand over.
        let probe = b.pool.make(b.memory, Object::TIMER)?;
        world.head.probe = b.name(probe, CapRights::ALL, None)?;
    }
    world.head.free_slots = (b.next_named, 1 << CNODE_BITS);
    write_env(&mut b, &world, server, heap)?;

    let shared_bytes = b.shared_bytes;
    let memory = b.memory;
    let fault = CPtr(memory.slot()?);
    let rights = CapRights::WRITE.union(CapRights::GRANT_REPLY);
    sys::mint(fault.0, c.endpoint, rights, Badge(Who::Fault(index as u16).word()))?;
    pool.adopt(fault);
    sys::configure(tcb, cnode, GUARD, vspace, address::IPC_BUFFER, buffer)?;
    sys::set_sched_params(tcb, server.priority, permanent.sc, fault)?;
    sys::bind_notification(tcb, permanent.notification)?;
    sys::name_thread(tcb, &server.name)?;
    sys::start(tcb, server.entry, address::STACK_TOP, env::ADDRESS as u64)?;
    Ok(Running { shared_bytes, tcb, stack, heap: heap_frames, reclaim: reclaim.map(|slot| (cnode, slot)) })
}

fn well_known(
    b: &mut Build<'_>,
    c: &Context<'_>,
    server: &Server,
    permanent: &Permanent,
    tcb: CPtr,
) -> Result<(), Error> {
    sys::mint_to(b.cnode, slot::CNODE, CNODE_BITS, b.cnode, CapRights::ALL, GUARD.0)?;
    b.place(slot::REPLY, permanent.reply, CapRights::ALL, None)?;
    b.place(slot::ENDPOINT, permanent.endpoint, CapRights::READ.union(CapRights::GRANT), None)?;
    b.place(slot::NOTIFICATION, permanent.notification, CapRights::READ_WRITE, None)?;
    if server.hosts_bpf() || server.scratch_kib > 0 || server.makes_threads {
        b.place(slot::VSPACE, b.vspace, CapRights::ALL, None)?;
    }
    if server.makes_threads {
        b.place(slot::TCB, tcb, CapRights::ALL, None)?;
        b.place(slot::SCHED_CONTROL, c.sched_control, CapRights::ALL, None)?;
    }
    Ok(())
}
