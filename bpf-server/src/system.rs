//! The loader's platform on Axiom.

use crate::memory::Pool;
use alloc::vec::Vec;
use axiom_bpf_server::{Access, HostId, Loader, Platform, Rights, Stage, Token};
use axiom_runtime::proto::Error;
use axiom_runtime::proto::bpf::{self, Refusal, Reply as Answer};
use axiom_runtime::proto::bpf_host;
use axiom_runtime::proto::env::NOTIFIED;
use axiom_runtime::proto::env::PEER_RESTARTED;
use axiom_runtime::sel4::{CPtr, CapRights};
use axiom_runtime::{
    Buffer, CNode, Endpoint, Frame, Incoming, Pages, Reply, Runtime, Service, Slots, Trace, Untyped,
    call_with_cap, code, info, serve, time, warn,
};

axiom_runtime::entry!(main);

const PAGE: u64 = 4096;
/// Events of the user class that a load leaves in the trace.
const TRACE_LOAD: u16 = 0x1000;
/// Kinds of attach point, in the order of host numbers.
const KINDS: [&str; 3] = ["iio", "timer", "gpio"];

/// Frames of one program, and the untyped memory that they are made of.
pub struct Memory {
    untyped: CPtr,
    bits: usize,
    frames: CPtr,
    pages: u32,
    /// Code: first page, number of pages, and their capabilities, which have read rights only.
    sealed: Option<(u32, u32, CPtr)>,
    mapped: Vec<(u64, usize)>,
    /// Mapped already, from the first page, when the memory was made.
    ready: Option<(u64, u32)>,
}

/// The system as bpf-server has it.
pub struct System {
    rt: Runtime,
    slots: Slots,
    /// Rows of slots of unloaded programs: first, length.
    rows: Vec<(CPtr, u32)>,
    pages: Pages,
    pool: Pool,
    hosts: Vec<(&'static str, Endpoint)>,
    trace: Option<Trace>,
    /// Holds a capability with fewer rights while it is sent.
    lent: CPtr,
    /// One page, made and mapped ahead: most programs without maps need no more.
    spare: Option<Memory>,
}

impl System {
    fn new(rt: Runtime) -> Option<System> {
        let env = rt.env();
        let mut slots = Slots::new(env);
        let lent = slots.take()?;
        let mut hosts = Vec::new();
        for kind in KINDS {
            let channel = env.channels.iter().find(|c| c.name.starts_with(kind));
            if let Some(c) = channel {
                hosts.push((kind, Endpoint(CPtr(c.slot))));
            }
        }
        Some(System {
            rt,
            slots,
            rows: Vec::new(),
            pages: Pages::new(env.scratch),
            pool: Pool::new(env),
            hosts,
            trace: rt.trace(),
            lent,
            spare: None,
        })
    }

    fn row(&mut self, pages: u32) -> Option<CPtr> {
        if let Some(at) = self.rows.iter().position(|r| r.1 == pages) {
            return Some(self.rows.swap_remove(at).0);
        }
        self.slots.take_row(pages as u64)
    }

    fn make(&mut self, pages: u32) -> Option<Memory> {
        let bits = 12 + pages.next_power_of_two().trailing_zeros() as usize;
        let frames = self.row(pages)?;
        let Some(untyped) = self.pool.take(bits, &mut self.slots) else {
            self.rows.push((frames, pages));
            return None;
        };
        if Untyped(untyped).frames(frames, pages as u64).is_err() {
            self.rows.push((frames, pages));
            self.pool.give(untyped, bits);
            return None;
        }
        Some(Memory {
            untyped,
            bits,
            frames,
            pages,
            sealed: None,
            mapped: Vec::with_capacity(1),
            ready: None,
        })
    }

    /// Makes the spare page, if there is none. Without one, loads take a little longer; nothing else depends on it.
    fn prepare(&mut self) {
        if self.spare.is_some() {
            return;
        }
        let Some(mut memory) = self.make(1) else { return };
        match self.map(&mut memory, 0, 1) {
            Some(at) => {
                memory.mapped.clear();
                memory.ready = Some((at as u64, 1));
                self.spare = Some(memory);
            }
            None => self.release(memory),
        }
    }

    /// Takes memory back from everybody: here, the host, whoever consumes a ring.
    fn release(&mut self, memory: Memory) {
        for (address, count) in &memory.mapped {
            self.pages.give(*address, *count);
        }
        if let Some((address, count)) = memory.ready {
            self.pages.give(address, count as usize);
        }
        if CNode::OWN.revoke(memory.untyped).is_err() {
            warn!("a program's memory could not be revoked; it stays taken");
            return;
        }
        self.rows.push((memory.frames, memory.pages));
        if let Some((_, pages, row)) = memory.sealed {
            self.rows.push((row, pages));
        }
        self.pool.give(memory.untyped, memory.bits);
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
            _ => Frame(CPtr(self.frames.0 + page as u64)),
        }
    }
}

impl Platform for System {
    type Memory = Memory;

    fn host(&self, point: &str) -> Option<HostId> {
        let kind = point.split('/').next()?;
        // Channels belong to the server of lines.
        let kind = if kind == "pwm" { "gpio" } else { kind };
        self.hosts.iter().position(|h| h.0 == kind).map(HostId)
    }

    fn hosts(&self) -> usize {
        self.hosts.len()
    }

    fn allocate(&mut self, pages: u32) -> Option<Memory> {
        if pages == 1
            && let Some(spare) = self.spare.take()
        {
            return Some(spare);
        }
        if let Some(memory) = self.make(pages) {
            return Some(memory);
        }
        // The last page that there is may be the one kept ready.
        let spare = self.spare.take()?;
        self.release(spare);
        self.make(pages)
    }

    fn map(&mut self, memory: &mut Memory, first: u32, pages: u32) -> Option<*mut u8> {
        if first == 0
            && let Some((address, count)) = memory.ready.take_if(|r| r.1 == pages)
        {
            memory.mapped.push((address, count as usize));
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
        // The code was mapped last.
        let Some((address, count)) = memory.mapped.pop() else { return false };
        let Some(row) = self.row(pages) else { return false };
        // SAFETY: mapped here, page after page, until the deletions below.
        unsafe { code::publish(address as *const u8, bytes.min(count * PAGE as usize)) };
        let mut sealed = true;
        for i in 0..pages {
            let frame = memory.frame(first + i).0;
            // From here on this server has no writable capability either: only a read-only copy stays. The mapping goes
            // with the capability that made it.
            sealed &= CNode::OWN.copy(CPtr(row.0 + i as u64), frame, CapRights::READ).is_ok()
                && CNode::OWN.delete(frame).is_ok();
        }
        memory.sealed = Some((first, pages, row));
        self.pages.give(address, count);
        sealed
    }

    fn free(&mut self, memory: Memory) {
        self.release(memory);
        self.prepare();
    }

    fn call_host(
        &mut self,
        host: HostId,
        request: &bpf_host::Request<'_>,
        frame: Option<(&mut Memory, u32, Access)>,
    ) -> Option<bpf_host::Reply> {
        let endpoint = self.hosts.get(host.0)?.1;
        let cap = match frame {
            // Sealed code has read rights only: it goes as it is.
            Some((memory, page, Access::Read)) if memory.is_sealed(page) => Some(memory.frame(page).0),
            Some((memory, page, access)) => Some(self.lend(memory.frame(page).0, access)?),
            None => None,
        };
        let mut reply = Buffer::new();
        call_with_cap(endpoint, bpf_host::INTERFACE, request, cap, &mut reply).ok().map(|(r, _)| r)
    }

    fn take_token(&mut self) -> Option<Token> {
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
        let endpoint = self.hosts.get(host.0)?.1;
        let mut reply = Buffer::new();
        call_with_cap(endpoint, bpf_host::INTERFACE, request, Some(CPtr(token.0)), &mut reply)
            .ok()
            .map(|(r, _)| r)
    }

    fn has_memory(bytes: usize) -> bool {
        axiom_runtime::heap_has(bytes)
    }

    fn blob(&self, name: &str) -> Option<&'static [u8]> {
        self.rt.blob(name)
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
    loader: Loader<System>,
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

    fn notified(&mut self, bits: u64) {
        if bits & PEER_RESTARTED & !NOTIFIED == 0 {
            return;
        }
        for (host, programs, failed) in self.loader.check_hosts() {
            let name = self.loader.platform().hosts.get(host.0).map_or("?", |h| h.0);
            if failed == 0 {
                info!("the {name} host was restarted: its {programs} programs run again");
            } else {
                warn!(
                    "the {name} host was restarted: {failed} of its {programs} programs could not be placed again"
                );
            }
        }
    }
}

fn main(rt: Runtime) -> ! {
    let Some(system) = System::new(rt) else { panic!("the manifest gives bpf-server no free slots") };
    let features = axiom_bpf_server::Features { lse: rt.arg("lse") == Some("1") };
    let mut loader = Loader::new(system, features, rt.arg("interpret") == Some("1"));
    let env = rt.env();
    loader.set_rights(Rights {
        programs: env.programs.clone(),
        gpio_chips: env.gpio_chips.clone(),
        pwm_chips: env.pwm_chips.clone(),
    });
    loader.check_hosts();
    loader.platform().prepare();
    rt.ready();
    serve(&mut Server { loader })
}
