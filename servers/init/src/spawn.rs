//! Building a server: its address space, capability space, memory and thread, from what the manifest grants.
use crate::arch::{self, Table};
use crate::devices;
use crate::memory::{Memory, Object, Pool};
use crate::permanent::{self, Permanent};
use crate::sys::{self, Unmapped};
use alloc::vec::Vec;
use axiom_layout::{Badge as Who, CNODE_BITS, Class, address};
use axiom_proto::Values;
use axiom_proto::bundle::{ADDRESS as PAYLOAD, Segment, Server};
use axiom_proto::env::{
    self, Bar, Blob, Channel, Client, Device, Dma, Env, Grant, Host, Interrupt, Part, Range, Setting, Shared,
    Signal, Thread, Timer, Window, slot,
};
use sel4_sys::ext::AxiomInfo;
use sel4_sys::object::{self as o, vm_attributes};
use sel4_sys::{Badge, CNodeCapData, CPtr, CapRights, Error};

const GUARD: CNodeCapData = CNodeCapData::new(0, 64 - CNODE_BITS as u64);

/// Where init fills a server's pages.
const FILL_AT: u64 = address::INIT_FILL;

const NO_EXECUTE: u64 = vm_attributes::DEFAULT | vm_attributes::EXECUTE_NEVER;

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

/// Maps a frame into init's own space.
pub fn map_own(memory: &mut Memory, frame: CPtr, vaddr: u64, rights: CapRights) -> Result<(), Error> {
    loop {
        match sys::map(frame, devices::OWN, vaddr, rights, NO_EXECUTE) {
            Ok(()) => return Ok(()),
            Err(Unmapped::Table(table)) => {
                let made = memory.make(Object::table(table))?;
                match sys::map_table(table, made, devices::OWN, vaddr) {
                    Ok(()) => {}
                    Err(Unmapped::Table(_)) => return Err(Error::FailedLookup),
                    Err(Unmapped::Other(error)) => return Err(error),
                }
            }
            Err(Unmapped::Other(error)) => return Err(error),
        }
    }
}

/// Whether something is in a frame that came empty.
pub fn is_touched(memory: &mut Memory, frame: CPtr) -> Result<bool, Error> {
    let copy = CPtr(memory.slot()?);
    let looked = sys::copy(copy.0, frame, CapRights::READ).and_then(|()| {
        map_own(memory, copy, FILL_AT, CapRights::READ)?;
        // SAFETY: a page is mapped readable at FILL_AT; its owner may write it meanwhile, but nobody runs while init does.
        let words = unsafe { core::slice::from_raw_parts(FILL_AT as *const u64, 512) };
        Ok(words.iter().any(|word| *word != 0))
    });
    memory.release(copy);
    looked
}

/// A server under construction.
struct Build<'a> {
    memory: &'a mut Memory,
    pool: &'a mut Pool,
    vspace: CPtr,
    cnode: CPtr,
    next_named: u64,
    shared_bytes: u64,
}

impl Build<'_> {
    fn map(&mut self, frame: CPtr, vaddr: u64, rights: CapRights, attributes: u64) -> Result<(), Error> {
        loop {
            match sys::map(frame, self.vspace, vaddr, rights, attributes) {
                Ok(()) => return Ok(()),
                Err(Unmapped::Table(table)) => self.add_table(table, vaddr)?,
                Err(Unmapped::Other(error)) => return Err(error),
            }
        }
    }

    /// Adds a table, and those above it that are missing.
    fn add_table(&mut self, table: Table, vaddr: u64) -> Result<(), Error> {
        let made = self.pool.make(self.memory, Object::table(table))?;
        loop {
            match sys::map_table(table, made, self.vspace, vaddr) {
                Ok(()) => return Ok(()),
                Err(Unmapped::Table(above)) => self.add_table(above, vaddr)?,
                Err(Unmapped::Other(error)) => return Err(error),
            }
        }
    }

    /// All levels of tables for a range.
    fn tables(&mut self, from: u64, bytes: u64) -> Result<(), Error> {
        let lowest = arch::missing_table(o::LARGE_PAGE_BITS);
        let mut at = from;
        while at < from + bytes {
            loop {
                match self.add_table(lowest, at) {
                    Ok(()) => {}
                    Err(Error::DeleteFirst) => break,
                    Err(error) => return Err(error),
                }
            }
            at += 1 << o::LARGE_PAGE_BITS;
        }
        Ok(())
    }

    /// Fresh pages, readable and writable.
    fn pages(&mut self, vaddr: u64, bytes: u64) -> Result<Vec<CPtr>, Error> {
        let mut frames = Vec::new();
        let mut left = bytes.div_ceil(4096);
        let mut at = vaddr;
        while left > 0 {
            let (first, count) = self.pool.frames(self.memory, left)?;
            for i in 0..count {
                let frame = CPtr(first.0 + i);
                self.map(frame, at, CapRights::READ_WRITE, NO_EXECUTE)?;
                frames.push(frame);
                at += 4096;
            }
            left -= count;
        }
        Ok(frames)
    }

    /// A page of device registers.
    fn registers(&mut self, page: u64, vaddr: u64, rights: CapRights) -> Result<(), Error> {
        let frame = self.memory.device_frame(page)?;
        let copy = CPtr(self.memory.slot()?);
        sys::copy(copy.0, frame, rights)?;
        self.pool.adopt(copy);
        self.map(copy, vaddr, rights, arch::DEVICE)
    }

    /// A fresh page with contents.
    fn filled_page(&mut self, vaddr: u64, bytes: &[u8], rights: CapRights) -> Result<CPtr, Error> {
        let frame = self.pool.make(self.memory, Object::PAGE)?;
        let copy = CPtr(self.memory.slot()?);
        sys::copy(copy.0, frame, CapRights::ALL)?;
        map_own(self.memory, copy, FILL_AT, CapRights::READ_WRITE)?;
        // SAFETY: a fresh page is mapped writable at FILL_AT, nobody else sees it, and `bytes` are at most a page.
        unsafe {
            core::ptr::copy_nonoverlapping(bytes.as_ptr(), FILL_AT as *mut u8, bytes.len().min(4096));
        }
        self.memory.release(copy);
        self.map(frame, vaddr, rights, NO_EXECUTE)?;
        Ok(frame)
    }

    /// A capability in one of the server's named slots.
    fn name(&mut self, src: CPtr, rights: CapRights, badge: Option<u64>) -> Result<u64, Error> {
        let slot = self.next_named;
        self.next_named += 1;
        self.place(slot, src, rights, badge)?;
        Ok(slot)
    }

    fn place(&self, slot: u64, src: CPtr, rights: CapRights, badge: Option<u64>) -> Result<(), Error> {
        match badge {
            Some(badge) => sys::mint_to(self.cnode, slot, CNODE_BITS, src, rights, badge),
            None => sys::copy_to(self.cnode, slot, CNODE_BITS, src, rights),
        }
    }

    /// Maps a page of the payload where it lies, read-only.
    fn shared_page(&mut self, c: &Context<'_>, offset: u64, vaddr: u64, execute: bool) -> Result<(), Error> {
        let copy = CPtr(self.memory.slot()?);
        sys::copy(copy.0, CPtr(c.payload_frames + offset / 4096), CapRights::READ)?;
        self.pool.adopt(copy);
        self.shared_bytes += 4096;
        let attributes = if execute { vm_attributes::DEFAULT } else { NO_EXECUTE };
        self.map(copy, vaddr, CapRights::READ, attributes)
    }

    fn segment(&mut self, c: &Context<'_>, s: &Segment) -> Result<(), Error> {
        let pages = s.mem_size.div_ceil(4096);
        for page in 0..pages {
            let (at, vaddr) = (page * 4096, s.vaddr + page * 4096);
            if !s.write && at < s.file_size {
                self.shared_page(c, s.offset + at, vaddr, s.execute)?;
            } else if at < s.file_size {
                let length = (s.file_size - at).min(4096) as usize;
                let source = (PAYLOAD as u64 + s.offset + at) as *const u8;
                // SAFETY: compose put the segment's bytes at this offset of the payload, which is mapped as a whole.
                let bytes = unsafe { core::slice::from_raw_parts(source, length) };
                self.filled_page(vaddr, bytes, CapRights::READ_WRITE)?;
            } else {
                return self.pages(vaddr, (pages - page) * 4096).map(drop);
            }
        }
        Ok(())
    }
}

/// What a server is told, in the making.
#[derive(Default)]
struct World<'a> {
    head: Env<'a>,
    channels: Vec<Channel<'a>>,
    clients: Vec<Client<'a>>,
    grants: Vec<Grant<'a>>,
    devices: Vec<Device<'a>>,
    interrupts: Vec<Interrupt>,
    windows: Vec<Window>,
    bars: Vec<Bar>,
    timers: Vec<Timer<'a>>,
    blobs: Vec<Blob<'a>>,
    signals: Vec<Signal<'a>>,
    threads: Vec<Thread<'a>>,
    hosts: Vec<Host<'a>>,
}

impl World<'_> {
    /// As bytes.
    fn encode(&self, server: &Server) -> Option<Vec<u8>> {
        let parts = server.parts.iter().map(|p| Part { interface: p.interface, bytes: &p.bytes });
        let args = server.args.iter().map(|(key, value)| Setting { key, value });
        let (channels, clients, grants) =
            (Values::of(&self.channels)?, Values::of(&self.clients)?, Values::of(&self.grants)?);
        let (devices, interrupts, windows) =
            (Values::of(&self.devices)?, Values::of(&self.interrupts)?, Values::of(&self.windows)?);
        let (timers, blobs, signals) =
            (Values::of(&self.timers)?, Values::of(&self.blobs)?, Values::of(&self.signals)?);
        let bars = Values::of(&self.bars)?;
        let (hosts, parts, args) = (Values::of(&self.hosts)?, Values::of(parts)?, Values::of(args)?);
        let threads = Values::of(&self.threads)?;
        let env = Env {
            channels: channels.list(),
            clients: clients.list(),
            grants: grants.list(),
            parts: parts.list(),
            devices: devices.list(),
            interrupts: interrupts.list(),
            windows: windows.list(),
            bars: bars.list(),
            timers: timers.list(),
            blobs: blobs.list(),
            signals: signals.list(),
            threads: threads.list(),
            hosts: hosts.list(),
            args: args.list(),
            ..self.head.clone()
        };
        postcard::to_allocvec(&env).ok()
    }
}

/// What a built server is.
pub struct Running {
    /// Bytes that it shares with the bundle.
    pub shared_bytes: u64,
    /// Its thread.
    pub tcb: CPtr,
    /// The frames of its stack, by address.
    pub stack: Vec<CPtr>,
    /// Those of its heap.
    pub heap: Vec<CPtr>,
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

fn channels<'a>(
    b: &mut Build<'_>,
    c: &Context<'a>,
    index: usize,
    world: &mut World<'a>,
) -> Result<(), Error> {
    let badge = Who::Client(index as u16).word();
    let call = CapRights::WRITE.union(CapRights::GRANT).union(CapRights::GRANT_REPLY);
    let slot = b.name(c.endpoint, call, Some(badge))?;
    world.channels.push(Channel { name: "init", slot, serves: c.supervises.list() });
    for &peer in &c.servers[index].calls {
        let slot = b.name(c.permanent[peer as usize].endpoint, call, Some(badge))?;
        let peer = &c.servers[peer as usize];
        world.channels.push(Channel { name: &peer.name, slot, serves: peer.serves.list() });
    }
    for &peer in &c.servers[index].signals {
        // The signallers of a server have a bit each, by their order.
        let before = c.servers[..index].iter().filter(|s| s.signals.contains(&peer)).count();
        let badge = Class::Peer.nth(before).ok_or(Error::RangeError)?.badge();
        let slot = b.name(c.permanent[peer as usize].notification, CapRights::WRITE, Some(badge))?;
        world.signals.push(Signal { name: &c.servers[peer as usize].name, slot });
    }
    for &peer in &c.servers[index].debugs {
        let Some(thread) = c.threads[usize::from(peer)] else { continue };
        let slot = b.name(thread, CapRights::ALL, None)?;
        world.threads.push(Thread { name: &c.servers[usize::from(peer)].name, slot });
    }
    for host in c.servers.iter().filter(|s| s.loader == Some(index as u16)) {
        let Some(slot) = world.channels.iter().find(|k| k.name == host.name).map(|k| k.slot) else {
            continue;
        };
        world.hosts.extend(host.hosts.iter().map(|kind| Host { name: &host.name, kind, slot }));
    }
    for (i, peer) in c.servers.iter().enumerate() {
        if peer.calls.contains(&(index as u16)) {
            let badge = Who::client(i as u16);
            let loader = c.servers[index].loader == Some(i as u16);
            world.clients.push(Client { name: &peer.name, badge, loader });
            let here = peer.grants.iter().filter(|g| usize::from(g.at) == index);
            world.grants.extend(here.map(|g| Grant { badge, interface: g.interface, bytes: &g.bytes }));
        }
    }
    Ok(())
}

fn give_devices<'a>(
    b: &mut Build<'_>,
    permanent: &Permanent,
    server: &'a Server,
    world: &mut World<'a>,
) -> Result<(), Error> {
    let mut handlers = permanent.handlers.iter();
    let mut at = address::DEVICES;
    let behind = permanent.windows.iter().zip(&permanent.messages).zip(&permanent.ports);
    let devices = server.devices.iter().zip(&permanent.devices).zip(behind);
    for (device, ((request, found), ((blocks, handlers_of_messages), ports))) in (0u8..).zip(devices) {
        let name = request.name.as_str();
        let Some(found) = found else {
            world.devices.push(Device { name, index: device, ..Device::default() });
            continue;
        };
        let mut registers = Range::default();
        for row in found.rows() {
            // Of a function's configuration space, servers only read.
            let rights = match (row.bar, &found.function) {
                (None, Some(_)) => CapRights::READ,
                _ => CapRights::READ_WRITE,
            };
            for page in (0..row.pages.bytes()).step_by(4096) {
                b.registers(row.pages.from + page, at + page, rights)?;
            }
            let (first, len) = row.registers;
            let here = Range { start: at + (first - row.pages.from), len };
            match row.bar {
                None => registers = here,
                Some((index, offset)) => world.bars.push(Bar { device, index, offset, registers: here }),
            }
            at += row.room();
        }
        if request.interrupts {
            let messages = found.function.as_ref().map_or(0, |function| function.messages());
            let own = found.interrupts.iter().map(|(irq, _)| (false, *irq));
            let kinds = own.chain(found.pins.iter().map(|(irq, _)| (true, *irq)));
            // A message has no input's number.
            let kinds = kinds.chain((0..messages).map(|_| (false, 0)));
            for ((pin, number), (handler, bit)) in kinds.zip(&mut handlers) {
                let slot = b.name(*handler, CapRights::ALL, None)?;
                world.interrupts.push(Interrupt { device, pin, slot, bit: *bit, number });
                sys::irq_ack(*handler)?;
            }
        }
        for (base, bits, untyped) in blocks {
            // An earlier life of the server, and whoever it gave frames to, loses them.
            sys::revoke(*untyped)?;
            let slot = b.name(*untyped, CapRights::ALL, None)?;
            world.windows.push(Window { device, slot, base: *base, bits: *bits as u8 });
        }
        let messages = (b.next_named, handlers_of_messages.len() as u32);
        for handler in handlers_of_messages {
            b.name(*handler, CapRights::ALL, None)?;
        }
        let ports = match ports {
            Some(cap) => b.name(*cap, CapRights::ALL, None)?,
            None => 0,
        };
        world.devices.push(Device { name, index: device, registers, messages, ports });
    }
    for (name, &bit) in server.timers.iter().zip(&permanent.timer_bits) {
        let timer = b.pool.make(b.memory, Object::TIMER)?;
        let signal = CPtr(b.memory.slot()?);
        sys::mint(signal.0, permanent.notification, CapRights::WRITE, Badge(bit.badge()))?;
        sys::timer_bind(timer, signal)?;
        b.pool.adopt(signal);
        let slot = b.name(timer, CapRights::ALL, None)?;
        world.timers.push(Timer { name, slot, bit });
    }
    Ok(())
}

/// Memory for objects, for devices, and files. Returns the slot that untyped memory comes to later, if it does.
fn give_memory<'a>(
    b: &mut Build<'_>,
    c: &Context<'a>,
    permanent: &Permanent,
    server: &'a Server,
    world: &mut World<'a>,
) -> Result<Option<u64>, Error> {
    let mut reclaim = None;
    if let Some(bits) = permanent::untyped_bits(server) {
        let slot = b.next_named;
        b.next_named += 1;
        match permanent.untyped {
            Some(untyped) if world.head.restarts == 0 => b.place(slot, untyped, CapRights::ALL, None)?,
            // What an earlier life made of it is in use, until this one says that it is not.
            Some(_) => reclaim = Some(slot),
            None => {
                let untyped = b.pool.make(b.memory, Object::untyped(bits))?;
                b.place(slot, untyped, CapRights::ALL, None)?;
            }
        }
        // The server's capability must be the only one that is used.
        world.head.untyped = Some(env::Untyped { slot, bits: bits as u8 });
    }
    if server.dma_kib > 0 {
        let pages = u64::from(server.dma_kib).div_ceil(4);
        let first = b.pool.make_row(b.memory, Object::PAGE, pages)?;
        for i in 0..pages {
            b.map(CPtr(first.0 + i), address::DMA + i * 4096, CapRights::READ_WRITE, NO_EXECUTE)?;
        }
        world.head.dma =
            Some(Dma { virt: address::DMA, phys: sys::frame_address(first)?, len: pages * 4096 });
    }
    if !permanent.shared.is_empty() {
        let slot = b.next_named;
        for (i, frame) in (0..).zip(&permanent.shared) {
            let copy = CPtr(b.memory.slot()?);
            sys::copy(copy.0, *frame, CapRights::ALL)?;
            b.pool.adopt(copy);
            b.map(copy, address::SHARED + i * 4096, CapRights::READ_WRITE, NO_EXECUTE)?;
            // The server's own is what clients' are made of: it takes those back by revoking.
            b.name(*frame, CapRights::ALL, None)?;
        }
        let pages = permanent.shared.len() as u32;
        world.head.shared = Some(Shared { slot, address: address::SHARED, pages });
    }
    let mut at = address::FILES;
    for blob in &server.blobs {
        let pages = blob.len.div_ceil(4096);
        for page in 0..pages {
            b.shared_page(c, blob.offset + page * 4096, at + page * 4096, false)?;
        }
        world.blobs.push(Blob { name: &blob.name, bytes: Range { start: at, len: blob.len } });
        at += (pages + 1) * 4096;
    }
    Ok(reclaim)
}

fn give_trace(
    b: &mut Build<'_>,
    c: &Context<'_>,
    server: &Server,
    world: &mut World<'_>,
) -> Result<(), Error> {
    let Some(axiom) = c.axiom.filter(|_| server.trace) else { return Ok(()) };
    for i in 0..axiom.trace_frame_count {
        let copy = CPtr(b.memory.slot()?);
        sys::copy(copy.0, CPtr(axiom.trace_frames + i), CapRights::READ)?;
        b.pool.adopt(copy);
        b.map(copy, address::TRACE + i * 4096, CapRights::READ, NO_EXECUTE)?;
    }
    world.head.trace_ring = Range { start: address::TRACE, len: axiom.trace_frame_count * 4096 };
    world.head.trace = b.name(CPtr(axiom.trace_cap), CapRights::ALL, None)?;
    Ok(())
}

fn write_env(b: &mut Build<'_>, world: &World<'_>, server: &Server, heap: u64) -> Result<(), Error> {
    const HEAD: usize = size_of::<env::Header>();
    let body = world.encode(server).ok_or(Error::NotEnoughMemory)?;
    if HEAD + body.len() > env::MAX_PAGES * 4096 {
        crate::say!(
            "the world of '{}' does not fit into {} pages: give it fewer things",
            server.name,
            env::MAX_PAGES
        );
        return Err(Error::NotEnoughMemory);
    }
    let mut bytes = Vec::with_capacity(HEAD + body.len());
    for word in [env::MAGIC, address::IPC_BUFFER, address::HEAP, heap, body.len() as u64] {
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    bytes.extend_from_slice(&body);
    for (i, page) in bytes.chunks(4096).enumerate() {
        b.filled_page(env::ADDRESS as u64 + 4096 * i as u64, page, CapRights::READ)?;
    }
    Ok(())
}
