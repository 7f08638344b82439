//! The loader's platform on Axiom.

use crate::memory::Pool;
use alloc::string::String;
use alloc::vec::Vec;
use axiom_bpf_isa::ProgramKind;
use axiom_bpf_server::buddy::SMALLEST;
use axiom_bpf_server::{Access, Client, HostId, Loader, Platform, Rights, Stage, Token};
use axiom_layout::Badge;
use axiom_runtime::proto::Error;
use axiom_runtime::proto::bpf::{self, Refusal, Reply as Answer};
use axiom_runtime::proto::bpf_host::{TRAY, TRAY_BITS};
use axiom_runtime::proto::env::ClientBadge;
use axiom_runtime::proto::env::{self, Bit, Env, Signals};
use axiom_runtime::proto::supervisor;
use axiom_runtime::proto::{bpf_host, gpio, iio};
use axiom_runtime::sel4::object::kind;
use axiom_runtime::sel4::{CPtr, CapRights};
use axiom_runtime::{
    Buffer, CNode, Endpoint, Frame, Incoming, Pages, Probe, Reply, Runtime, Service, Slots, Trace, Untyped,
    call, call_with_cap, code, count_refused, error, info, serve, time, warn,
};
use core::ops::Range;

axiom_runtime::entry!(main);
axiom_runtime::takes!(include_str!("../takes.toml"));

const PAGE: u64 = 4096;
/// Events of the user class that a load leaves in the trace.
const TRACE_LOAD: u16 = axiom_runtime::sel4::ext::event::USER;

/// Frames in a row, and the untyped memory that they are made of.
struct Run {
    untyped: CPtr,
    bits: usize,
    frames: CPtr,
    pages: u32,
}

/// Frames of one program.
pub struct Memory {
    first: Run,
    /// Those of the maps, if the code is in a page that was made ahead.
    maps: Option<Run>,
    /// Code: first page, number of pages, and their capabilities, which have read rights only.
    sealed: Option<(u32, u32, CPtr)>,
    mapped: Vec<(u64, usize)>,
    /// Made ahead, for all its pages.
    ready: Option<Ready>,
    /// Who has a capability of its first page already, with read rights only, and has it mapped nowhere.
    kept: Option<HostId>,
}

/// What a load needs of memory and takes long: done while nobody waits for it.
struct Ready {
    /// Where the pages are mapped, for whoever asks for all of them first.
    mapped: Option<u64>,
    /// Capabilities of the frames that have read rights only, in a row, for sealing.
    readers: CPtr,
}

/// A server that runs programs.
struct Host {
    name: &'static str,
    /// The first parts of its attach points' names.
    kinds: Vec<&'static str>,
    endpoint: Endpoint,
}

fn hosts(env: &Env<'static>) -> Vec<Host> {
    let mut hosts: Vec<Host> = Vec::new();
    for h in env.hosts {
        match hosts.iter_mut().find(|known| known.name == h.name) {
            Some(known) => known.kinds.push(h.kind),
            None => hosts.push(Host {
                name: h.name,
                kinds: Vec::from([h.kind]),
                endpoint: Endpoint(CPtr(h.slot)),
            }),
        }
    }
    hosts
}

/// The system as bpf-server has it.
pub struct KernelObjects {
    rt: Runtime,
    slots: Slots,
    pages: Pages,
    pool: Pool,
    hosts: Vec<Host>,
    /// By kind of program: who serves its attach points.
    serving: [Option<HostId>; ProgramKind::ALL.len()],
    probe: Option<Probe>,
    trace: Option<Trace>,
    /// Holds a capability with fewer rights while it is sent.
    lent: CPtr,
    /// By host: a CNode for frames that are handed over, made at the first.
    trays: Vec<Option<CPtr>>,
    /// By host: one page, made and mapped ahead, of which the host has a capability, too. Most programs' code needs no more.
    spares: Vec<Option<Memory>>,
}

impl KernelObjects {
    fn new(rt: Runtime) -> Option<KernelObjects> {
        let env = rt.env();
        let mut slots = Slots::new(env);
        let lent = slots.take()?;
        let hosts = hosts(env);
        Some(KernelObjects {
            rt,
            slots,
            pages: Pages::new(env.scratch),
            pool: Pool::new(env),
            trays: hosts.iter().map(|_| None).collect(),
            spares: hosts.iter().map(|_| None).collect(),
            serving: ProgramKind::ALL
                .map(|kind| hosts.iter().position(|h| h.kinds.contains(&kind.first())).map(HostId)),
            hosts,
            probe: rt.probe(),
            trace: rt.trace(),
            lent,
        })
    }

    fn endpoint(&self, host: HostId) -> Option<Endpoint> {
        self.hosts.get(host.0).map(|h| h.endpoint)
    }

    /// After a restart: the hosts forget what an earlier life placed, then its memory is this one's.
    fn reclaim(&mut self) {
        for host in 0..self.hosts.len() {
            let reset = self.call_host(HostId(host), &bpf_host::Request::Reset, None);
            if reset != Some(bpf_host::Reply::Done) {
                warn!("{} does not say that it has forgotten its programs: {reset:?}", self.hosts[host].name);
            }
        }
        let Some(init) = self.rt.channel("init") else { return };
        let request = supervisor::Request::Reclaim;
        let mut buffer = Buffer::new();
        match call::<_, supervisor::Reply<'_>>(init, supervisor::INTERFACE, &request, &mut buffer) {
            Ok(_) => {}
            // Without memory every load is refused with a sentence.
            Err(error) => warn!("init does not give this server its memory back: {error}"),
        }
    }

    /// How often each client was started, or none for one that is down.
    fn lives(&self, clients: &[(ClientBadge, u32)]) -> Vec<(ClientBadge, Option<u32>)> {
        let Some(init) = self.rt.channel("init") else { return Vec::new() };
        let life = |badge: ClientBadge| {
            // A client's badge is its number among the servers.
            let index = match Badge::from_word(badge.word()) {
                Some(Badge::Client(n)) => u32::from(n),
                _ => return None,
            };
            let mut buffer = Buffer::new();
            let request = supervisor::Request::Server { index };
            match call(init, supervisor::INTERFACE, &request, &mut buffer) {
                Ok(supervisor::Reply::Server(s)) if s.state != supervisor::State::Down => Some(s.restarts),
                _ => None,
            }
        };
        clients.iter().map(|c| (c.0, life(c.0))).collect()
    }

    fn make(&mut self, pages: u32) -> Option<Memory> {
        let first = self.make_run(pages)?;
        Some(Memory { first, maps: None, sealed: None, mapped: Vec::new(), ready: None, kept: None })
    }

    fn make_run(&mut self, pages: u32) -> Option<Run> {
        let bits = 12 + pages.next_power_of_two().trailing_zeros() as usize;
        let frames = self.slots.take_row(pages.into())?;
        let Some(untyped) = self.pool.take(bits, &mut self.slots) else {
            self.slots.give_row(frames, pages.into());
            return None;
        };
        if Untyped(untyped).frames(frames, pages as u64).is_err() {
            self.slots.give_row(frames, pages.into());
            self.pool.give(untyped, bits, &mut self.slots);
            return None;
        }
        Some(Run { untyped, bits, frames, pages })
    }

    /// Makes a host's spare page, if it has none, and gives it to the host to keep. Without one, loads take a little longer; nothing else
    /// depends on it.
    fn prepare(&mut self, host: HostId) {
        if self.spares.get(host.0).is_none_or(Option::is_some) {
            return;
        }
        let Some(mut memory) = self.make(1) else { return };
        let mapped = self.map(&mut memory, 0, 1).map(|at| at as u64);
        memory.mapped.clear();
        let Some(readers) = self.readers(&memory, 0, 1) else {
            memory.mapped.extend(mapped.map(|at| (at, 1)));
            return self.release(memory);
        };
        memory.ready = Some(Ready { mapped, readers });
        if let Some(endpoint) = self.endpoint(host) {
            let (request, mut buffer) = (bpf_host::Request::Keep, Buffer::new());
            let reply = call_with_cap(endpoint, bpf_host::INTERFACE, &request, Some(readers), &mut buffer);
            memory.kept = matches!(reply, Ok((bpf_host::Reply::Done, _))).then_some(host);
        }
        self.spares[host.0] = Some(memory);
    }

    /// Copies of frames' capabilities in a row, with read rights only.
    fn readers(&mut self, memory: &Memory, first: u32, pages: u32) -> Option<CPtr> {
        let row = self.slots.take_row(pages.into())?;
        let copied = (0..pages).all(|i| {
            CNode::OWN.copy(CPtr(row.0 + i as u64), memory.frame(first + i).0, CapRights::READ).is_ok()
        });
        if copied {
            return Some(row);
        }
        for i in 0..pages {
            let _ = CNode::OWN.delete(CPtr(row.0 + i as u64)); // an empty slot stays empty
        }
        self.slots.give_row(row, pages.into());
        None
    }

    /// Takes memory back from everybody: here, the host, whoever consumes a ring.
    fn release(&mut self, memory: Memory) {
        for (address, count) in &memory.mapped {
            self.pages.give(*address, *count);
        }
        let pages = memory.first.pages;
        if let Some(address) = memory.ready.as_ref().and_then(|r| r.mapped) {
            self.pages.give(address, pages as usize);
        }
        let maps_went = memory.maps.is_none_or(|maps| self.release_run(maps));
        let code_went = self.release_run(memory.first);
        if !maps_went || !code_went {
            warn!("a program's memory could not be revoked; it stays taken");
        }
        if !code_went {
            return;
        }
        if let Some((_, pages, row)) = memory.sealed {
            self.slots.give_row(row, pages.into());
        }
        if let Some(ready) = memory.ready {
            self.slots.give_row(ready.readers, pages.into());
        }
    }

    /// False if it could not be revoked, and stays taken.
    fn release_run(&mut self, run: Run) -> bool {
        let revoked = CNode::OWN.revoke(run.untyped).is_ok();
        if revoked {
            self.slots.give_row(run.frames, run.pages.into());
            self.pool.give(run.untyped, run.bits, &mut self.slots);
        }
        revoked
    }

    /// A host's tray. The host has a copy of its capability, and may have put something of its own there: nothing in it is ever used
    /// here.
    fn tray(&mut self, host: HostId) -> Option<CNode> {
        if let Some(tray) = *self.trays.get(host.0)? {
            return Some(CNode(tray));
        }
        let tray = self.slots.take()?;
        let Some(untyped) = self.pool.take(SMALLEST, &mut self.slots) else {
            self.slots.give(tray);
            return None;
        };
        if Untyped(untyped).retype(kind::CNODE, TRAY_BITS.into(), tray, 1).is_err() {
            self.slots.give(tray);
            self.pool.give(untyped, SMALLEST, &mut self.slots);
            return None;
        }
        self.trays[host.0] = Some(tray);
        Some(CNode(tray))
    }

    /// Puts a copy of a frame's capability into a slot of a tray.
    fn put(tray: CNode, slot: u32, frame: CPtr, access: Access) -> Option<()> {
        let rights = if access == Access::Write { CapRights::READ_WRITE } else { CapRights::READ };
        let (slot, bits) = (slot.into(), TRAY_BITS.into());
        if tray.copy_into(slot, bits, frame, rights).is_ok() {
            return Some(());
        }
        // Something was left there by a load that failed, or by the host.
        tray.delete_in(slot, bits).ok()?;
        tray.copy_into(slot, bits, frame, rights).ok()
    }

    /// A capability for a frame with these rights; one with fewer rights than ours lies in the `lent` slot.
    fn lend(&mut self, frame: CPtr, access: Access) -> Option<CPtr> {
        if access == Access::Write {
            return Some(frame);
        }
        let _ = CNode::OWN.delete(self.lent);
        CNode::OWN.copy(self.lent, frame, CapRights::READ).ok()?;
        Some(self.lent)
    }
}

impl Memory {
    fn is_sealed(&self, page: u32) -> bool {
        self.sealed.is_some_and(|(first, pages, _)| page >= first && page - first < pages)
    }

    fn frame(&self, page: u32) -> Frame {
        match self.sealed {
            Some((first, _, row)) if self.is_sealed(page) => Frame(CPtr(row.0 + (page - first) as u64)),
            _ => match &self.maps {
                Some(maps) if page >= self.first.pages => {
                    Frame(CPtr(maps.frames.0 + (page - self.first.pages) as u64))
                }
                _ => Frame(CPtr(self.first.frames.0 + page as u64)),
            },
        }
    }
}

impl Platform for KernelObjects {
    type Memory = Memory;

    fn host(&self, kind: ProgramKind) -> Option<HostId> {
        self.serving[kind as usize]
    }

    fn host_name(&self, host: HostId) -> &str {
        self.hosts.get(host.0).map_or("the hosting server", |h| h.name)
    }

    fn hosts(&self) -> usize {
        self.hosts.len()
    }

    fn pages(&self) -> u32 {
        self.pool.pages()
    }

    fn allocate(&mut self, host: HostId, code: u32, maps: u32) -> Option<Memory> {
        if code == 1
            && let Some(mut spare) = self.spares[host.0].take()
        {
            if maps > 0 {
                spare.maps = self.make_run(maps);
            }
            if maps == 0 || spare.maps.is_some() {
                return Some(spare);
            }
            self.spares[host.0] = Some(spare);
        }
        if let Some(memory) = self.make(code + maps) {
            return Some(memory);
        }
        // The last pages that there are may be those kept ready.
        for host in 0..self.spares.len() {
            if let Some(spare) = self.spares[host].take() {
                self.release(spare);
            }
        }
        self.make(code + maps)
    }

    fn map(&mut self, memory: &mut Memory, first: u32, pages: u32) -> Option<*mut u8> {
        memory.mapped.try_reserve(1).ok()?;
        if (first, pages) == (0, memory.first.pages)
            && let Some(address) = memory.ready.as_mut().and_then(|r| r.mapped.take())
        {
            memory.mapped.push((address, pages as usize));
            return Some(address as *mut u8);
        }
        let address = self.pages.take(pages as usize)?;
        for i in 0..pages {
            if memory.frame(first + i).map_data(address + i as u64 * PAGE, true).is_err() {
                self.pages.give(address, pages as usize);
                return None;
            }
        }
        memory.mapped.push((address, pages as usize));
        Some(address as *mut u8)
    }

    fn seal(&mut self, memory: &mut Memory, first: u32, pages: u32, bytes: usize) -> bool {
        let ahead = memory.ready.take_if(|_| (first, pages) == (0, memory.first.pages)).map(|r| r.readers);
        let Some(row) = ahead.or_else(|| self.readers(memory, first, pages)) else { return false };
        let frames = memory.frame(first).0.0;
        // From here on the row goes with the memory, whatever fails.
        memory.sealed = Some((first, pages, row));
        // The code was mapped last.
        let Some(&(address, count)) = memory.mapped.last() else { return false };
        // SAFETY: 1. `map` put `count` pages there, and they stay mapped until they are unmapped below; 2. no more than them is published.
        unsafe { code::publish(address as *const u8, bytes.min(count * PAGE as usize)) };
        // From here on nobody has the code mapped writable, and nobody will: `Memory::frame` tells of the read-only copies alone. The
        // capabilities that it was written by stay where they are until the revocation, since deleting one takes twice as long.
        if !(0..pages).all(|i| Frame(CPtr(frames + i as u64)).unmap().is_ok()) {
            return false;
        }
        memory.mapped.pop();
        self.pages.give(address, count);
        true
    }

    fn free(&mut self, memory: Memory, host: HostId) {
        self.release(memory);
        self.prepare(host);
    }

    fn call_host(
        &mut self,
        host: HostId,
        request: &bpf_host::Request<'_>,
        mut frame: Option<(&mut Memory, u32, Access)>,
    ) -> Option<bpf_host::Reply> {
        let endpoint = self.endpoint(host)?;
        // What the host keeps need not go again with the message that attaches. This is asked once, before anything else is given to be
        // kept; a host that was started anew since says that it has none.
        let mut kept = match &mut frame {
            Some((memory, 0, Access::Read)) if memory.is_sealed(0) => memory.kept.take() == Some(host),
            _ => false,
        };
        let (mut reply, mut request) = (Buffer::new(), *request);
        loop {
            match &mut request {
                bpf_host::Request::Attach { kept: said, .. } => *said = kept,
                _ => kept = false,
            }
            let cap = match &mut frame {
                _ if kept => None,
                // Sealed code has read rights only: it goes as it is.
                Some((memory, page, Access::Read)) if memory.is_sealed(*page) => Some(memory.frame(*page).0),
                Some((memory, page, access)) => Some(self.lend(memory.frame(*page).0, *access)?),
                None => None,
            };
            match call_with_cap(endpoint, bpf_host::INTERFACE, &request, cap, &mut reply) {
                Ok((bpf_host::Reply::Refused(bpf_host::Refusal::BadFrame), _)) if kept => kept = false,
                Ok((reply, _)) => return Some(reply),
                Err(_) => return None,
            }
        }
    }

    fn give_pages(
        &mut self,
        host: HostId,
        memory: &mut Memory,
        first: u32,
        pages: Range<u32>,
        access: Access,
    ) -> Option<bpf_host::Reply> {
        let start = pages.start;
        let tray = if pages.len() > 1 { self.tray(host) } else { None };
        let Some(tray) = tray else {
            // One by one.
            for page in pages {
                let request = bpf_host::Request::MapPage { page, writable: access == Access::Write };
                match self.call_host(host, &request, Some((memory, first + (page - start), access)))? {
                    bpf_host::Reply::Done => {}
                    refused => return Some(refused),
                }
            }
            return Some(bpf_host::Reply::Done);
        };
        for page in pages.clone().step_by(TRAY as usize) {
            let count = TRAY.min(pages.end - page);
            for i in 0..count {
                Self::put(tray, i, memory.frame(first + (page - start) + i).0, access)?;
            }
            let request = bpf_host::Request::MapPages { page, count, writable: access == Access::Write };
            let mut reply = self.call_host(host, &request, None)?;
            if reply == bpf_host::Reply::Refused(bpf_host::Refusal::NoTray) {
                self.give_tray(host).filter(|given| *given == bpf_host::Reply::Done)?;
                reply = self.call_host(host, &request, None)?;
            }
            if reply != bpf_host::Reply::Done {
                return Some(reply);
            }
        }
        Some(bpf_host::Reply::Done)
    }

    fn fill_tray(&mut self, host: HostId, memory: &mut Memory, frames: &[(u32, u32, Access)]) -> bool {
        let Some(tray) = self.tray(host) else { return false };
        let pages = frames
            .iter()
            .flat_map(|&(first, count, access)| (first..first + count).map(move |p| (p, access)));
        let mut slots = 0..TRAY;
        pages.into_iter().all(|(page, access)| {
            slots.next().and_then(|slot| Self::put(tray, slot, memory.frame(page).0, access)).is_some()
        })
    }

    fn give_tray(&mut self, host: HostId) -> Option<bpf_host::Reply> {
        let (endpoint, tray, mut buffer) = (self.endpoint(host)?, self.tray(host)?, Buffer::new());
        let request = bpf_host::Request::Tray;
        let given = call_with_cap(endpoint, bpf_host::INTERFACE, &request, Some(tray.0), &mut buffer);
        given.ok().map(|(reply, _)| reply)
    }

    fn take_token(&mut self) -> Option<Token> {
        if self.probe.is_some_and(|p| !p.is_notification(axiom_runtime::ipc::received())) {
            count_refused();
            return None;
        }
        let kept = self.slots.take()?;
        if CNode::OWN.move_to(kept, axiom_runtime::ipc::received()).is_ok() {
            return Some(Token(kept.0));
        }
        self.slots.give(kept);
        None
    }

    fn drop_token(&mut self, token: Token) {
        let _ = CNode::OWN.delete(CPtr(token.0));
        self.slots.give(CPtr(token.0));
    }

    fn call_host_with_token(
        &mut self,
        host: HostId,
        request: &bpf_host::Request<'_>,
        token: Token,
    ) -> Option<bpf_host::Reply> {
        let endpoint = self.endpoint(host)?;
        let mut reply = Buffer::new();
        call_with_cap(endpoint, bpf_host::INTERFACE, request, Some(CPtr(token.0)), &mut reply)
            .ok()
            .map(|(r, _)| r)
    }

    fn has_memory(bytes: usize) -> bool {
        axiom_heap::has(bytes)
    }

    fn blob(&self, name: &str) -> Option<&'static [u8]> {
        self.rt.blob(name)
    }

    fn milliseconds(&self) -> u64 {
        time::ticks() / (time::frequency() / 1000).max(1)
    }

    #[inline]
    fn ticks(&self) -> u64 {
        time::ticks()
    }

    #[inline]
    fn cycles(&self) -> u64 {
        time::cycles()
    }

    fn trace(&mut self, stage: Stage, argument: u32) {
        if let Some(trace) = self.trace {
            trace.emit(TRACE_LOAD + stage as u16, 0, argument);
        }
    }
}

struct Server {
    loader: Loader<KernelObjects>,
    /// Each client's badge, and how often it was started when that was asked last.
    clients: Vec<(ClientBadge, u32)>,
}

impl Server {
    /// Clients that died since the last time leave nothing here.
    fn check_clients(&mut self) {
        for (i, (badge, life)) in self.loader.platform().lives(&self.clients).into_iter().enumerate() {
            if life == Some(self.clients[i].1) {
                continue;
            }
            // One that is down stays so.
            self.clients[i].1 = life.unwrap_or(u32::MAX);
            let gone = self.loader.forget_client(badge);
            if gone > 0 {
                let s = if gone == 1 { "" } else { "s" };
                info!("{} is gone, and {gone} program{s} with it", self.loader.platform().rt.client(badge));
            }
        }
    }
}

impl Service for Server {
    fn request(&mut self, message: &Incoming<'_>) -> Reply {
        if message.interface != bpf::INTERFACE {
            return Reply::error(Error::NoSuchInterface);
        }
        let request = match message.decode::<bpf::Request>() {
            Ok(request) => request,
            Err(error) => return Reply::error(error),
        };
        let outcome = self.loader.handle(message.badge, &request, message.arrived);
        let Some((id, page, access)) = outcome.frame else { return Reply::ok(&outcome.reply) };
        let Answer::Frame { pages, writable } = outcome.reply else { return Reply::ok(&outcome.reply) };
        let lent = self.loader.memory(id).and_then(|(system, memory)| {
            let frame = memory.frame(page).0;
            system.lend(frame, access)
        });
        match lent {
            Some(cap) => Reply::ok_with_cap(&Answer::Frame { pages, writable }, cap),
            None => Reply::ok(&Answer::Refused(Refusal::Resources)),
        }
    }

    fn notified(&mut self, signals: Signals) {
        if !signals.has(Bit::RESTARTED) {
            return;
        }
        for (host, programs, failed) in self.loader.check_hosts() {
            let hosts = &self.loader.platform().hosts;
            let name = hosts.get(host.0).and_then(|h| h.kinds.first()).copied().unwrap_or("?");
            if failed == 0 {
                let (s, run) = if programs == 1 { ("", "runs") } else { ("s", "run") };
                info!("the {name} host was restarted: its {programs} program{s} {run} again");
            } else {
                warn!(
                    "the {name} host was restarted: {failed} of its {programs} programs could not be placed again"
                );
            }
        }
        self.check_clients();
    }
}

fn main(rt: Runtime) -> ! {
    let Some(mut system) = KernelObjects::new(rt) else {
        panic!("the manifest gives bpf-server no free slots")
    };
    if rt.env().restarts > 0 {
        system.reclaim();
    }
    let features = axiom_bpf_server::board(rt.arg("lse") == Some("1"), rt.arg("blind") == Some("1"));
    if features.blind.is_some() {
        info!("constants of programs are blinded");
    }
    let mut loader = Loader::new(system, features, rt.arg("interpret") == Some("1"));
    let env = rt.env();
    let gpio::Rights { gpio_chips, pwm_chips, programs } = env.part(gpio::INTERFACE).unwrap_or_default();
    let client = |c: env::Client<'_>| {
        let sensors: iio::Grants<'_> = env.grant(c.badge, iio::INTERFACE).unwrap_or_default();
        Client { badge: c.badge, name: c.name.into(), sensors: sensors.iter().map(String::from).collect() }
    };
    loader.set_rights(Rights {
        programs,
        gpio_chips,
        pwm_chips,
        clients: env.clients.iter().map(client).collect(),
    });
    loader.check_hosts();
    for (name, failed) in loader.load_pinned() {
        match failed {
            None => info!("{name} is in its place, where the manifest pins it"),
            Some(why) => {
                error!("{name} is pinned by the manifest, and could not be loaded:");
                why.lines().for_each(|line| error!("| {line}"));
            }
        }
    }
    (0..loader.platform().hosts.len()).for_each(|host| loader.platform().prepare(HostId(host)));
    let clients = env.clients.iter().map(|c| (c.badge, 0)).collect();
    let mut server = Server { loader, clients };
    server.check_clients();
    rt.ready();
    serve(&mut server)
}
