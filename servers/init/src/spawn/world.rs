//! What a server is given, and told of it: who it may call, devices, memory, the trace ring.
use super::Context;
use super::build::{Build, NO_EXECUTE};
use crate::memory::Object;
use crate::permanent::{self, Handler, Permanent};
use crate::sys;
use alloc::vec::Vec;
use axiom_layout::{Badge as Who, Class, address};
use axiom_proto::Values;
use axiom_proto::bundle::Server;
use axiom_proto::env::{
    self, Bar, Blob, Channel, Client, Device, Dma, Env, Grant, Host, Interrupt, Part, Range, Setting, Shared,
    Signal, Thread, Timer, Window,
};
use sel4_sys::{Badge, CPtr, CapRights, Error};

/// What a server is told, in the making.
#[derive(Default)]
pub(super) struct World<'a> {
    pub(super) head: Env<'a>,
    pub(super) channels: Vec<Channel<'a>>,
    pub(super) clients: Vec<Client<'a>>,
    pub(super) grants: Vec<Grant<'a>>,
    pub(super) devices: Vec<Device<'a>>,
    pub(super) interrupts: Vec<Interrupt>,
    pub(super) windows: Vec<Window>,
    pub(super) bars: Vec<Bar>,
    pub(super) timers: Vec<Timer<'a>>,
    pub(super) blobs: Vec<Blob<'a>>,
    pub(super) signals: Vec<Signal<'a>>,
    pub(super) threads: Vec<Thread<'a>>,
    pub(super) hosts: Vec<Host<'a>>,
}

impl World<'_> {
    /// As bytes.
    pub(super) fn encode(&self, server: &Server) -> Option<Vec<u8>> {
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

pub(super) fn channels<'a>(
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

/// Where an interrupt comes in.
struct Input {
    /// At a pin of a bridge.
    pin: bool,
    /// Its number at the interrupt controller.
    number: u32,
}

pub(super) fn give_devices<'a>(
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
            let own = found.interrupts.iter().map(|i| Input { pin: false, number: i.id });
            let inputs = own.chain(found.pins.iter().map(|i| Input { pin: true, number: i.id }));
            // A message has no input's number.
            let inputs = inputs.chain((0..messages).map(|_| Input { pin: false, number: 0 }));
            for (Input { pin, number }, Handler { cap, bit }) in inputs.zip(&mut handlers) {
                let slot = b.name(*cap, CapRights::ALL, None)?;
                world.interrupts.push(Interrupt { device, pin, slot, bit: *bit, number });
                sys::irq_ack(*cap)?;
            }
        }
        for block in blocks {
            // An earlier life of the server, and whoever it gave frames to, loses them.
            sys::revoke(block.cap)?;
            let slot = b.name(block.cap, CapRights::ALL, None)?;
            world.windows.push(Window { device, slot, base: block.base, bits: block.bits as u8 });
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
pub(super) fn give_memory<'a>(
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
    if permanent.shared.count() > 0 {
        let slot = b.next_named;
        for (i, frame) in (0..).zip(permanent.shared.iter()) {
            let copy = CPtr(b.memory.slot()?);
            sys::copy(copy.0, frame, CapRights::ALL)?;
            b.pool.adopt(copy);
            b.map(copy, address::SHARED + i * 4096, CapRights::READ_WRITE, NO_EXECUTE)?;
            // The server's own is what clients' are made of: it takes those back by revoking.
            b.name(frame, CapRights::ALL, None)?;
        }
        let pages = permanent.shared.count() as u32;
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

pub(super) fn give_trace(
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

pub(super) fn write_env(
    b: &mut Build<'_>,
    world: &World<'_>,
    server: &Server,
    heap: u64,
) -> Result<(), Error> {
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
