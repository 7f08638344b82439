//! Loading, attaching, replacing, unloading, listing.

use crate::place::Windows;
use crate::rights::{Rights, Subject};
use crate::verify;
use crate::{Access, HostId, Platform, Stage, Token};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use axiom_bpf_isa::{Insn, MapDef, MapType, ProgramKind, opcode, pseudo};
use axiom_bpf_jit as jit;
use axiom_bpf_maps::{Map, PAGE, bytes_needed};
use axiom_bpf_object::{Contents, Entry, Object};
use axiom_bpf_verifier::Verifier;
use axiom_proto::bpf::{
    Info, MAX_OBJECT, MAX_TEXT, MAX_VALUE, ProgramId, Refusal, Reply, Request, Setting, Source, Stages,
};
use axiom_proto::bpf_host::{self, MAP_WINDOW};
use axiom_proto::gpio::{Grants, ProgramGrants};

/// Code is compiled into a buffer of this size first; it grows for larger programs.
const CODE_BUFFER: usize = 16 << 10;
/// Programs of one client: a host has places for four times as many.
pub const PROGRAMS_PER_CLIENT: usize = 8;
/// Rates that one client may ask for: a timer each.
pub const RATES_PER_CLIENT: usize = 2;
/// Programs of one client on one attach point: others have room beside them.
pub const PER_POINT: usize = 2;

/// An answer, and the frame that goes with it.
pub struct Outcome<'a> {
    /// The answer.
    pub reply: Reply<'a>,
    /// Which program's memory, page of it, and rights.
    pub frame: Option<(ProgramId, u32, Access)>,
}

/// Why something was not done: the kind for programs, the sentence for people.
struct Failure {
    refusal: Refusal,
    text: String,
}

#[cold]
fn fail(refusal: Refusal, text: String) -> Failure {
    Failure { refusal, text }
}

#[cold]
fn no_share(point: &str, here: bool) -> Failure {
    let text = match here {
        true => format!("a client has at most {PER_POINT} programs at one attach point: '{point}' has them"),
        false => format!("a client has at most {PROGRAMS_PER_CLIENT} programs: unload one first"),
    };
    fail(Refusal::Resources, text)
}

struct LoadedMap {
    name: String,
    def: MapDef,
    slot: u32,
    page: u32,
    pages: u32,
    /// Its first page in the program's memory.
    first: u32,
    /// As mapped here.
    map: Option<Map>,
    /// Who is told of its records.
    doorbell: Option<Token>,
}

struct Loaded<M> {
    id: ProgramId,
    name: String,
    point: String,
    host: HostId,
    attached: bool,
    compiled: bool,
    insns: u32,
    code_bytes: u32,
    code_page: u32,
    code_pages: u32,
    maps: Vec<LoadedMap>,
    worst_case: u64,
    memory: Option<M>,
    grants: Grants,
    /// Whose it is: a badge, or 0 if the owner that the manifest names is no client.
    owner: u64,
    /// It stays when its owner is gone.
    pinned: bool,
    /// Pages of its memory.
    pages: u32,
}

impl<M> Loaded<M> {
    fn slots(&self) -> u32 {
        if self.compiled { 0 } else { self.code_bytes / 8 }
    }
}

#[derive(Default)]
struct Client {
    badge: u64,
    upload: Vec<u8>,
    verdict: String,
}

/// The server's state.
pub struct Loader<P: Platform> {
    platform: P,
    verifier: Verifier,
    compiler: jit::Compiler,
    /// Programs are interpreted instead (where the machine is not the compiler's target).
    interpret_only: bool,
    code: Vec<u8>,
    windows: Vec<Windows>,
    /// What each host said it is, when it was asked last.
    generations: Vec<Option<u64>>,
    /// Hosts whose restart was noticed and not told yet.
    restarted: Vec<(HostId, usize, usize)>,
    programs: Vec<Loaded<P::Memory>>,
    next_id: u32,
    clients: Vec<Client>,
    stages: Stages,
    value: [u8; MAX_VALUE],
    rights: Rights,
}

impl<P: Platform> Loader<P> {
    /// A loader without programs.
    pub fn new(platform: P, features: jit::Features, interpret_only: bool) -> Loader<P> {
        let hosts = platform.hosts();
        Loader {
            platform,
            verifier: Verifier::new(),
            compiler: jit::Compiler::new(features),
            interpret_only,
            code: vec![0; CODE_BUFFER],
            windows: vec![Windows::new(); hosts],
            generations: vec![None; hosts],
            restarted: Vec::new(),
            programs: Vec::new(),
            next_id: 1,
            clients: Vec::new(),
            stages: Stages::default(),
            value: [0; MAX_VALUE],
            rights: Rights::default(),
        }
    }

    /// What the manifest grants to programs; without it they may use no line, channel or motor.
    pub fn set_rights(&mut self, rights: Rights) {
        self.rights = rights;
    }

    /// For tests that change what the manifest says.
    #[cfg(test)]
    pub(crate) fn rights_mut(&mut self) -> &mut Rights {
        &mut self.rights
    }

    /// For tests: no page or number of any host is taken.
    #[cfg(test)]
    pub(crate) fn windows_are_free(&self) -> bool {
        self.windows.iter().all(Windows::is_free)
    }

    /// The system underneath.
    pub fn platform(&mut self) -> &mut P {
        &mut self.platform
    }

    /// The memory of a program, for handing out a frame.
    pub fn memory(&mut self, id: ProgramId) -> Option<(&mut P, &mut P::Memory)> {
        let index = self.programs.iter().position(|p| p.id == id)?;
        let memory = self.programs[index].memory.as_mut()?;
        Some((&mut self.platform, memory))
    }

    /// Answers a request of the client with this badge. `arrived` is the counter (ticks, cycles) at its arrival.
    pub fn handle(&mut self, badge: u64, request: &Request<'_>, arrived: (u64, u64)) -> Outcome<'_> {
        let mut frame = None;
        let result = match *request {
            Request::Upload { offset, bytes } => self.upload(badge, offset, bytes).map(|()| Reply::Done),
            Request::Load { source, program, point, attach, replaces, ref settings } => {
                let wanted = Wanted { program, point, attach, replaces, settings };
                self.load(badge, source, &wanted, arrived)
            }
            Request::Attach { program } => {
                self.owned(badge, program).and_then(|_| self.attach(program)).map(|()| Reply::Done)
            }
            Request::Detach { program } => {
                self.owned(badge, program).and_then(|_| self.detach(program)).map(|()| Reply::Done)
            }
            Request::Unload { program } => {
                self.owned(badge, program).and_then(|_| self.unload(program)).map(|()| Reply::Done)
            }
            Request::List { after } => return Outcome { reply: self.list(after), frame: None },
            Request::Verdict { offset } => {
                return Outcome { reply: Reply::Text(self.verdict(badge, offset as usize)), frame: None };
            }
            Request::MapRead { program, map, key } => match self.map_read(badge, program, map, key) {
                Ok(size) => return Outcome { reply: Reply::Value(&self.value[..size]), frame: None },
                Err(f) => Err(f),
            },
            Request::MapFrame { program, map, page } => {
                self.map_frame(badge, program, map, page).map(|(reply, f)| {
                    frame = Some(f);
                    reply
                })
            }
            Request::Notify { program, map } => self.notify(badge, program, map).map(|()| Reply::Done),
            Request::Stages => Ok(Reply::Stages(self.stages)),
        };
        let reply = match result {
            Ok(reply) => reply,
            Err(failure) => {
                self.client(badge).verdict = failure.text;
                Reply::Refused(failure.refusal)
            }
        };
        Outcome { reply, frame }
    }

    /// Asks every host which start it is; those that were restarted get their programs again. Returns for each of them how
    /// many programs it has, and how many could not be placed.
    pub fn check_hosts(&mut self) -> Vec<(HostId, usize, usize)> {
        let mut restarted = core::mem::take(&mut self.restarted);
        restarted.extend(self.find_restarted());
        restarted
    }

    /// Whether a host was restarted since it was asked last; the next [`Loader::check_hosts`] tells of it.
    fn was_restarted(&mut self, host: HostId) -> bool {
        let found = self.find_restarted();
        self.restarted.extend(&found);
        found.iter().any(|r| r.0 == host)
    }

    fn find_restarted(&mut self) -> Vec<(HostId, usize, usize)> {
        let mut restarted = Vec::new();
        for host in 0..self.generations.len() {
            let reply = self.platform.call_host(HostId(host), &bpf_host::Request::Hello, None);
            let Some(bpf_host::Reply::Generation(now)) = reply else { continue };
            let before = self.generations[host].replace(now);
            if before.is_some_and(|b| b != now) {
                let (all, failed) = self.host_restarted(HostId(host));
                restarted.push((HostId(host), all, failed));
            }
        }
        restarted
    }

    /// A hosting server was started anew: everything of its goes there again. Returns how many programs, and how many of
    /// them could not be placed.
    pub fn host_restarted(&mut self, host: HostId) -> (usize, usize) {
        let (mut all, mut failed) = (0, 0);
        for program in self.programs.iter_mut().filter(|p| p.host == host) {
            all += 1;
            let attached = core::mem::take(&mut program.attached);
            // A program that was being loaded when its host died may be on the new one already, in part or whole: the host
            // forgets what it has of it. What it does not have, it refuses to forget, which is as good.
            self.platform.call_host(host, &bpf_host::Request::Detach { program: program.id }, None);
            for map in &program.maps {
                self.platform.call_host(host, &bpf_host::Request::RemoveMap { slot: map.slot }, None);
            }
            let code = bpf_host::Request::RemoveCode { page: program.code_page, pages: program.code_pages };
            self.platform.call_host(host, &code, None);
            let placed = place_maps(&mut self.platform, program)
                .and_then(|()| place_code(&mut self.platform, program, attached, None));
            failed += placed.is_err() as usize;
        }
        (all, failed)
    }

    fn client(&mut self, badge: u64) -> &mut Client {
        let index = match self.clients.iter().position(|c| c.badge == badge) {
            Some(index) => index,
            None => {
                // One for each badge that init gave out, so nobody's upload makes room for another's.
                self.clients.push(Client { badge, ..Client::default() });
                self.clients.len() - 1
            }
        };
        &mut self.clients[index]
    }

    fn upload(&mut self, badge: u64, offset: u32, bytes: &[u8]) -> Result<(), Failure> {
        let client = self.client(badge);
        if offset == 0 {
            client.upload.clear();
        }
        if client.upload.try_reserve(bytes.len()).is_err() {
            let text = "bpf-server's heap has no room for this upload: others are under way".into();
            return Err(fail(Refusal::Resources, text));
        }
        if offset as usize != client.upload.len() || client.upload.len() + bytes.len() > MAX_OBJECT {
            let text = format!(
                "an upload goes on at byte {}, not at {offset}, and ends at {MAX_OBJECT} bytes",
                client.upload.len()
            );
            return Err(fail(Refusal::BadRequest, text));
        }
        client.upload.extend_from_slice(bytes);
        Ok(())
    }

    fn verdict(&mut self, badge: u64, offset: usize) -> &str {
        let text = self.client(badge).verdict.as_str();
        let Some(rest) = text.get(offset..) else { return "" };
        let mut end = rest.len().min(MAX_TEXT);
        while !rest.is_char_boundary(end) {
            end -= 1;
        }
        &rest[..end]
    }

    fn load(
        &mut self,
        badge: u64,
        source: Source<'_>,
        wanted: &Wanted<'_>,
        arrived: (u64, u64),
    ) -> Result<Reply<'static>, Failure> {
        let mut clock = StageClock { last: arrived, stages: Stages::default(), index: 0 };
        self.platform.trace(Stage::Begin, 0);
        match source {
            Source::Inline(bytes) => self.load_bytes(badge, bytes, None, wanted, &mut clock),
            Source::Uploaded => {
                let bytes = core::mem::take(&mut self.client(badge).upload);
                self.load_bytes(badge, &bytes, None, wanted, &mut clock)
            }
            Source::Blob(name) => {
                let bytes = self.platform.blob(name).ok_or_else(|| {
                    fail(
                        Refusal::NotFound,
                        format!("no object '{name}' was given to bpf-server by the manifest"),
                    )
                })?;
                self.load_bytes(badge, bytes, Some(name), wanted, &mut clock)
            }
        }
    }

    fn load_bytes(
        &mut self,
        owner: u64,
        bytes: &[u8],
        blob: Option<&str>,
        wanted: &Wanted<'_>,
        clock: &mut StageClock,
    ) -> Result<Reply<'static>, Failure> {
        clock.lap(&self.platform);
        let object = Object::parse(bytes).map_err(|e| fail(Refusal::Object, e.to_string()))?;
        let entry = *choose(&object, wanted.program)?;
        let point = if wanted.point.is_empty() { entry.section } else { wanted.point };
        let nobody = || fail(Refusal::NoSuchPoint, format!("nobody serves attach points like '{point}'"));
        let kind = ProgramKind::from_section(point).ok_or_else(nobody)?;
        let host = self.platform.host(point).ok_or_else(nobody)?;
        let program = object.program(&entry).map_err(|e| fail(Refusal::Object, e.to_string()))?;
        let (defs, contents) = shapes(&object, wanted.settings)?;
        let replaced = self.replaced(owner, wanted.replaces, host, point)?;
        self.has_room(owner, point, replaced.is_some())?;
        clock.lap(&self.platform);
        self.platform.trace(Stage::Parsed, program.insns.len() as u32);

        let known = verify::read_only_contents(&defs, &contents);
        let proof = verify::verify(&mut self.verifier, &object, &program, &defs, &known, kind.layout())
            .map_err(|text| fail(Refusal::Verifier, text))?;
        let lines = verify::Source { object: &object, program: &program };
        let who = Subject { client: owner, object: blob, program: entry.name, point, lines: &lines };
        let grants =
            self.rights.check(&who, &proof.own_calls).map_err(|text| fail(Refusal::NotGranted, text))?;
        clock.lap(&self.platform);
        self.platform.trace(Stage::Verified, proof.worst_case.min(u32::MAX as u64) as u32);

        let mut loaded = Loaded {
            id: ProgramId(self.next_id),
            name: String::from(entry.name),
            point: String::from(point),
            host,
            attached: false,
            compiled: true,
            insns: program.insns.len() as u32,
            code_bytes: 0,
            code_page: 0,
            code_pages: 0,
            maps: Vec::with_capacity(defs.len()),
            worst_case: proof.worst_case,
            memory: None,
            grants,
            owner,
            pinned: false,
            pages: 0,
        };
        let mut again = true;
        let zero_stack = proof.zero_stack;
        while let Err(failure) =
            self.finish(&mut loaded, &object, &program.insns, &defs, &contents, zero_stack, wanted, clock)
        {
            self.take_back(&mut loaded);
            // A host that was restarted meanwhile has lost what it was given: once more, to the new one.
            if failure.refusal != Refusal::Host || !core::mem::take(&mut again) || !self.was_restarted(host) {
                return Err(failure);
            }
            clock.rewind();
            loaded.compiled = true;
        }
        self.next_id += 1;
        let reply = Reply::Loaded {
            program: loaded.id,
            insns: loaded.insns,
            code_bytes: if loaded.compiled { loaded.code_bytes } else { 0 },
            worst_case: loaded.worst_case,
        };
        self.programs.push(loaded);
        if let Some(old) = replaced {
            if wanted.attach
                && let Some(p) = self.programs.iter_mut().find(|p| p.id == old)
            {
                p.attached = false; // the host has put the new one in its place
            }
            self.unload(old)?;
        }
        self.stages = clock.stages;
        Ok(reply)
    }

    /// The program to replace, if it is attached to the same point.
    fn replaced(
        &self,
        owner: u64,
        id: Option<ProgramId>,
        host: HostId,
        point: &str,
    ) -> Result<Option<ProgramId>, Failure> {
        let Some(id) = id else { return Ok(None) };
        self.owned(owner, id)?;
        match self.programs.iter().find(|p| p.id == id) {
            Some(p) if p.host == host && p.point == point && p.attached => Ok(Some(id)),
            Some(p) => Err(fail(
                Refusal::BadRequest,
                format!("program {} is not attached to '{point}' but belongs to '{}'", id.0, p.point),
            )),
            None => Err(fail(Refusal::NotFound, format!("there is no program {}", id.0))),
        }
    }

    /// Compiles, makes memory, hands everything over.
    #[allow(clippy::too_many_arguments)]
    fn finish(
        &mut self,
        loaded: &mut Loaded<P::Memory>,
        object: &Object<'_>,
        insns: &[Insn],
        defs: &[MapDef],
        contents: &[Option<Vec<u8>>],
        zero_stack: bool,
        wanted: &Wanted<'_>,
        clock: &mut StageClock,
    ) -> Result<(), Failure> {
        let windows = &mut self.windows[loaded.host.0];
        let mut map_pages = 0;
        for (map, def) in object.maps().iter().zip(defs) {
            let refuse = |text| fail(Refusal::Resources, format!("map '{}': {text}", map.name));
            let bytes = bytes_needed(def).map_err(|e| refuse(e.to_string()))?;
            let pages = bytes.div_ceil(PAGE) as u32;
            let (slot, page) = windows
                .take_map(pages)
                .ok_or_else(|| refuse("the hosting server's map window has no room for it".into()))?;
            let name = String::from(map.name);
            loaded.maps.push(LoadedMap {
                name,
                def: *def,
                slot,
                page,
                pages,
                first: map_pages,
                map: None,
                doorbell: None,
            });
            map_pages += pages;
        }
        self.translate(loaded, insns, zero_stack)?;
        clock.lap(&self.platform);
        self.platform.trace(Stage::Compiled, loaded.code_bytes);

        let pages = (loaded.code_bytes as usize).div_ceil(PAGE) as u32;
        let windows = &mut self.windows[loaded.host.0];
        let no_room = |what: &str| fail(Refusal::Resources, format!("no room for the program: {what}"));
        loaded.code_page =
            windows.take_code(pages).ok_or_else(|| no_room("the hosting server's code window is full"))?;
        loaded.code_pages = pages;
        for map in &mut loaded.maps {
            map.first += pages;
        }
        let (pages_of, most) = (self.pages_of(loaded.owner), self.platform.pages() / 2);
        if pages_of + pages + map_pages > most {
            let text = format!(
                "no room for the program: it needs {} pages of memory, and its client has {pages_of} of the {most} that one may have",
                pages + map_pages
            );
            return Err(fail(Refusal::Resources, text));
        }
        loaded.pages = pages + map_pages;
        let mut memory = self
            .platform
            .allocate(pages + map_pages)
            .ok_or_else(|| no_room("bpf-server's memory is used up"))?;
        let filled = fill(&mut self.platform, &mut memory, loaded, &self.code, contents);
        loaded.memory = Some(memory);
        filled.ok_or_else(|| no_room("frames could not be mapped"))?;
        place_maps(&mut self.platform, loaded)?;
        clock.lap(&self.platform);
        self.platform.trace(Stage::Mapped, pages + map_pages);

        place_code(&mut self.platform, loaded, wanted.attach, wanted.replaces)?;
        clock.lap(&self.platform);
        self.platform.trace(Stage::Attached, loaded.id.0);
        Ok(())
    }

    /// Compiles into the buffer; where the compiler will not, the instructions themselves, with addresses put in.
    fn translate(
        &mut self,
        loaded: &mut Loaded<P::Memory>,
        insns: &[Insn],
        zero_stack: bool,
    ) -> Result<(), Failure> {
        let maps = &loaded.maps;
        let resolve = |src: u8, imm: i32, next: i32| -> Option<u64> {
            let map = maps.get(usize::try_from(imm).ok()?)?;
            match src {
                pseudo::MAP => Some(map.slot as u64),
                pseudo::MAP_VALUE => {
                    Some((MAP_WINDOW + map.page as usize * PAGE) as u64 + next as u32 as u64)
                }
                _ => None,
            }
        };
        if !self.interpret_only {
            self.compiler.set_zero_stack(zero_stack);
            let mut result = self.compiler.compile(insns, &resolve, &mut self.code);
            if let Err(jit::Error::NoRoom { needed }) = result {
                self.code.resize(needed, 0);
                result = self.compiler.compile(insns, &resolve, &mut self.code);
            }
            if let Ok(bytes) = result {
                loaded.code_bytes = bytes as u32;
                return Ok(());
            }
        }
        loaded.compiled = false;
        loaded.code_bytes = insns.len() as u32 * 8;
        if self.code.len() < insns.len() * 8 {
            self.code.resize(insns.len() * 8, 0);
        }
        let mut out = self.code.chunks_exact_mut(8);
        let mut at = 0;
        while at < insns.len() {
            let (mut insn, mut second) = (insns[at], None);
            if insn.op == opcode::LDDW {
                let mut next = insns.get(at + 1).copied().unwrap_or_default();
                if insn.src() != pseudo::IMM64 {
                    let value = resolve(insn.src(), insn.imm, next.imm).ok_or_else(|| {
                        fail(Refusal::Resources, "an address in the program has no map".into())
                    })?;
                    insn = Insn::new(opcode::LDDW, insn.dst(), 0, 0, value as i32);
                    next.imm = (value >> 32) as i32;
                }
                second = Some(next);
            }
            for i in [Some(insn), second].into_iter().flatten() {
                if let Some(slot) = out.next() {
                    slot.copy_from_slice(&i.to_bytes());
                }
                at += 1;
            }
        }
        Ok(())
    }

    /// Undoes a load that failed, or ends a program: the host forgets it, then one revocation frees it all.
    fn take_back(&mut self, p: &mut Loaded<P::Memory>) {
        // The host may be gone; then there is nothing to forget, and the revocation takes the frames anyway.
        if p.attached {
            self.platform.call_host(p.host, &bpf_host::Request::Detach { program: p.id }, None);
            p.attached = false;
        }
        let windows = &mut self.windows[p.host.0];
        for map in p.maps.drain(..) {
            if p.memory.is_some() {
                self.platform.call_host(p.host, &bpf_host::Request::RemoveMap { slot: map.slot }, None);
            }
            if let Some(token) = map.doorbell {
                self.platform.drop_token(token);
            }
            windows.give_map(map.slot, map.page, map.pages);
        }
        if let Some(memory) = p.memory.take() {
            let request = bpf_host::Request::RemoveCode { page: p.code_page, pages: p.code_pages };
            self.platform.call_host(p.host, &request, None);
            self.platform.free(memory);
        }
        windows.give_code(p.code_page, p.code_pages);
        p.code_pages = 0;
    }

    /// The program of this number, if it is the client's.
    fn owned(&self, badge: u64, id: ProgramId) -> Result<usize, Failure> {
        let index = self.find(id)?;
        let program = &self.programs[index];
        if program.owner == badge {
            return Ok(index);
        }
        let pinned = if program.pinned { ", and the manifest pins it" } else { "" };
        let text = format!("program {} belongs to '{}'{pinned}", id.0, self.rights.name(program.owner));
        Err(fail(Refusal::NotOwner, text))
    }

    fn pages_of(&self, owner: u64) -> u32 {
        self.programs.iter().filter(|p| p.owner == owner && !p.pinned).map(|p| p.pages).sum()
    }

    /// Whether a client may have one more program at a point.
    fn has_room(&self, owner: u64, point: &str, replaces: bool) -> Result<(), Failure> {
        if replaces {
            return Ok(());
        }
        let (mut programs, mut here) = (0, 0);
        let (mut rates, mut count) = ([""; RATES_PER_CLIENT], 0);
        for p in self.programs.iter().filter(|p| p.owner == owner && !p.pinned) {
            programs += 1;
            here += usize::from(p.point == point);
            if p.point.starts_with("timer/") && !rates[..count].contains(&p.point.as_str()) {
                rates[count] = &p.point;
                count += 1;
            }
        }
        if programs >= PROGRAMS_PER_CLIENT || here >= PER_POINT {
            return Err(no_share(point, here >= PER_POINT));
        }
        if here == 0 && count == RATES_PER_CLIENT && point.starts_with("timer/") {
            let text = format!(
                "a client's programs run at no more than {RATES_PER_CLIENT} rates, and they do at {}",
                rates.join(" and ")
            );
            return Err(fail(Refusal::Resources, text));
        }
        Ok(())
    }

    /// A client died, or was started anew: its programs go, but for those that the manifest pins, and so does its upload. Returns how
    /// many programs went.
    pub fn forget_client(&mut self, badge: u64) -> usize {
        let gone = |p: &Loaded<P::Memory>| p.owner == badge && !p.pinned;
        let ids: Vec<ProgramId> = self.programs.iter().filter(|p| gone(p)).map(|p| p.id).collect();
        let count = ids.iter().filter(|id| self.unload(**id).is_ok()).count();
        self.clients.retain(|c| c.badge != badge);
        count
    }

    /// Loads what the manifest pins, each at its attach point. Returns each program's name with what went wrong, if something did.
    pub fn load_pinned(&mut self) -> Vec<(String, Option<String>)> {
        let pinned = |p: &ProgramGrants| {
            Some((p.program.clone(), p.object.clone(), p.owner.clone(), p.pinned.clone()?))
        };
        let wanted: Vec<_> = self.rights.programs.iter().filter_map(pinned).collect();
        let mut results = Vec::with_capacity(wanted.len());
        for (program, object, owner, point) in wanted {
            let owner = self.rights.badge(&owner).unwrap_or(0);
            let request =
                Wanted { program: &program, point: &point, attach: true, replaces: None, settings: &[] };
            let result = self.load(owner, Source::Blob(&object), &request, (0, 0));
            let loaded = match &result {
                Ok(Reply::Loaded { program, .. }) => Some(*program),
                _ => None,
            };
            if let Some(p) = self.programs.iter_mut().find(|p| Some(p.id) == loaded) {
                p.pinned = true;
            }
            results.push((program, result.err().map(|failure| failure.text)));
        }
        results
    }

    /// How many programs are loaded.
    pub fn loaded(&self) -> usize {
        self.programs.len()
    }

    fn find(&self, id: ProgramId) -> Result<usize, Failure> {
        let found = self.programs.iter().position(|p| p.id == id);
        found.ok_or_else(|| fail(Refusal::NotFound, format!("there is no program {}", id.0)))
    }

    fn attach(&mut self, id: ProgramId) -> Result<(), Failure> {
        let index = self.find(id)?;
        let program = &mut self.programs[index];
        if program.attached {
            return Err(fail(Refusal::BadRequest, format!("program {} is attached already", id.0)));
        }
        attach_placed(&mut self.platform, program, None, None)
    }

    fn detach(&mut self, id: ProgramId) -> Result<(), Failure> {
        let index = self.find(id)?;
        let program = &mut self.programs[index];
        if !program.attached {
            return Err(fail(Refusal::BadRequest, format!("program {} is not attached", id.0)));
        }
        check(
            self.platform.call_host(program.host, &bpf_host::Request::Detach { program: id }, None),
            &program.point,
        )?;
        program.attached = false;
        Ok(())
    }

    fn unload(&mut self, id: ProgramId) -> Result<(), Failure> {
        let index = self.find(id)?;
        let mut program = self.programs.remove(index);
        self.take_back(&mut program);
        Ok(())
    }

    fn list(&mut self, after: u32) -> Reply<'_> {
        let Some(p) = self.programs.iter().filter(|p| p.id.0 > after).min_by_key(|p| p.id) else {
            return Reply::End;
        };
        let stats = match self.platform.call_host(p.host, &bpf_host::Request::Stats { program: p.id }, None) {
            Some(bpf_host::Reply::Stats { runs, accepted }) => (runs, accepted),
            _ => (0, 0),
        };
        Reply::Info(Info {
            id: p.id,
            name: &p.name,
            point: &p.point,
            attached: p.attached,
            compiled: p.compiled,
            insns: p.insns,
            code_bytes: p.code_bytes,
            map_bytes: p.maps.iter().map(|m| m.pages * PAGE as u32).sum(),
            worst_case: p.worst_case,
            runs: stats.0,
            accepted: stats.1,
        })
    }

    fn map_of(&self, badge: u64, id: ProgramId, name: &str) -> Result<(usize, usize), Failure> {
        let program = self.owned(badge, id)?;
        let map = self.programs[program].maps.iter().position(|m| m.name == name);
        let map =
            map.ok_or_else(|| fail(Refusal::NotFound, format!("program {} has no map '{name}'", id.0)))?;
        Ok((program, map))
    }

    fn map_read(&mut self, badge: u64, id: ProgramId, name: &str, key: &[u8]) -> Result<usize, Failure> {
        let (program, map) = self.map_of(badge, id, name)?;
        let map = &self.programs[program].maps[map];
        let bad = |text: &str| fail(Refusal::BadRequest, format!("map '{name}': {text}"));
        let size = map.def.value_size as usize;
        if map.def.map_type == MapType::RingBuf || size > MAX_VALUE {
            return Err(bad("its values are not read this way"));
        }
        if key.len() != map.def.key_size as usize {
            return Err(bad("the key has the wrong size"));
        }
        let Some(own) = &map.map else { return Err(bad("it is not mapped")) };
        // SAFETY: the key has key_size bytes and the buffer at least value_size, as just checked.
        match unsafe { own.read_shared(key.as_ptr(), self.value.as_mut_ptr()) } {
            0 => Ok(size),
            _ => Err(fail(Refusal::NotFound, format!("map '{name}' has no such key"))),
        }
    }

    /// Gives the client's notification to the program's host, and keeps it for when that one is started anew.
    fn notify(&mut self, badge: u64, id: ProgramId, name: &str) -> Result<(), Failure> {
        let (program, map) = self.map_of(badge, id, name)?;
        let missing = || {
            fail(
                Refusal::BadRequest,
                "no notification came with the request, or bpf-server has no room for it".into(),
            )
        };
        let token = self.platform.take_token().ok_or_else(missing)?;
        let program = &mut self.programs[program];
        let map = &mut program.maps[map];
        let request = bpf_host::Request::Doorbell { slot: map.slot };
        let reply = self.platform.call_host_with_token(program.host, &request, token);
        if let Err(failure) = check(reply, &program.point) {
            self.platform.drop_token(token);
            return Err(failure);
        }
        if let Some(old) = map.doorbell.replace(token) {
            self.platform.drop_token(old);
        }
        Ok(())
    }

    fn map_frame(
        &mut self,
        badge: u64,
        id: ProgramId,
        name: &str,
        page: u32,
    ) -> Result<(Reply<'static>, (ProgramId, u32, Access)), Failure> {
        let (program, map) = self.map_of(badge, id, name)?;
        let map = &self.programs[program].maps[map];
        if page >= map.pages {
            return Err(fail(Refusal::BadRequest, format!("map '{name}' has {} pages", map.pages)));
        }
        // A consumer writes its position, which is a ring's first page, and nothing else.
        let writable = map.def.map_type == MapType::RingBuf && page == 0;
        let access = if writable { Access::Write } else { Access::Read };
        Ok((Reply::Frame { pages: map.pages, writable }, (id, map.first + page, access)))
    }
}

/// What a load asks for besides the object.
struct Wanted<'a> {
    program: &'a str,
    point: &'a str,
    attach: bool,
    replaces: Option<ProgramId>,
    settings: &'a [Option<Setting<'a>>],
}

struct StageClock {
    last: (u64, u64),
    stages: Stages,
    index: usize,
}

impl StageClock {
    /// Goes back to the first stage behind verification.
    fn rewind(&mut self) {
        self.index = 3;
    }

    /// Ends a stage.
    fn lap<P: Platform>(&mut self, platform: &P) {
        let now = (platform.ticks(), platform.cycles());
        let s = &mut self.stages;
        let ticks = [&mut s.receive, &mut s.parse, &mut s.verify, &mut s.compile, &mut s.map, &mut s.attach];
        if let Some(t) = ticks.into_iter().nth(self.index) {
            *t = now.0.wrapping_sub(self.last.0);
            s.cycles[self.index] = now.1.wrapping_sub(self.last.1);
        }
        self.index += 1;
        self.last = now;
    }
}

fn choose<'o, 'a>(object: &'o Object<'a>, name: &str) -> Result<&'o Entry<'a>, Failure> {
    let found = object.programs().iter().find(|p| name.is_empty() || p.name == name);
    found.ok_or_else(|| {
        let names: Vec<_> = object.programs().iter().map(|p| p.name).collect();
        fail(Refusal::NotFound, format!("the object has no program '{name}'; it has: {}", names.join(", ")))
    })
}

/// The maps' shapes and first contents, with settings put in.
#[allow(clippy::type_complexity)]
fn shapes(
    object: &Object<'_>,
    settings: &[Option<Setting<'_>>],
) -> Result<(Vec<MapDef>, Vec<Option<Vec<u8>>>), Failure> {
    let defs: Vec<MapDef> = object.maps().iter().map(|m| m.def).collect();
    let mut contents: Vec<Option<Vec<u8>>> = object
        .maps()
        .iter()
        .map(|m| match m.contents {
            Contents::Data(bytes) => Some(bytes.to_vec()),
            Contents::Zero => None,
        })
        .collect();
    for setting in settings.iter().flatten() {
        let global =
            object.global(setting.name).filter(|g| matches!(g.size, 1 | 2 | 4 | 8)).ok_or_else(|| {
                fail(Refusal::NotFound, format!("the object has no global number '{}' to set", setting.name))
            })?;
        let bytes = contents[global.map].get_or_insert_with(|| vec![0; defs[global.map].value_size as usize]);
        bytes[global.offset..global.offset + global.size]
            .copy_from_slice(&setting.value.to_le_bytes()[..global.size]);
    }
    Ok((defs, contents))
}

/// Fills code and map pages.
fn fill<P: Platform>(
    platform: &mut P,
    memory: &mut P::Memory,
    loaded: &mut Loaded<P::Memory>,
    code: &[u8],
    contents: &[Option<Vec<u8>>],
) -> Option<()> {
    for (map, contents) in loaded.maps.iter_mut().zip(contents) {
        let base = platform.map(memory, map.first, map.pages)?;
        if let Some(bytes) = contents {
            // SAFETY: fresh pages of this program, mapped writable here; the contents are one value, which fits the map.
            unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), base, bytes.len()) };
        }
        // SAFETY: the map's pages, zeroed or just filled, mapped until the program is freed; the descriptor goes with it.
        map.map = unsafe { Map::new(map.def, base) }.ok();
    }
    let base = platform.map(memory, 0, loaded.code_pages)?;
    // SAFETY: fresh pages of this program, at least code_bytes, mapped writable here until `seal`.
    unsafe { core::ptr::copy_nonoverlapping(code.as_ptr(), base, loaded.code_bytes as usize) };
    platform.seal(memory, 0, loaded.code_pages, loaded.code_bytes as usize).then_some(())
}

fn check(reply: Option<bpf_host::Reply>, point: &str) -> Result<(), Failure> {
    let text = match reply {
        Some(bpf_host::Reply::Refused(bpf_host::Refusal::NoSuchPoint)) => {
            return Err(fail(
                Refusal::NoSuchPoint,
                format!("the server of '{point}' has no such attach point"),
            ));
        }
        Some(bpf_host::Reply::Refused(bpf_host::Refusal::Full)) => {
            format!("'{point}' has as many programs as it can run")
        }
        Some(bpf_host::Reply::Refused(why)) => format!("the server of '{point}' refused: {why:?}"),
        Some(_) => return Ok(()),
        None => format!("the server of '{point}' does not answer: it is being restarted"),
    };
    Err(fail(Refusal::Host, text))
}

/// Hands a program's maps to its host.
fn place_maps<P: Platform>(platform: &mut P, p: &mut Loaded<P::Memory>) -> Result<(), Failure> {
    for map in &p.maps {
        for i in 0..map.pages {
            let writable = !map.def.read_only;
            let access = if writable { Access::Write } else { Access::Read };
            let request = bpf_host::Request::MapPage { page: map.page + i, writable };
            let frame = p.memory.as_mut().map(|m| (m, map.first + i, access));
            check(platform.call_host(p.host, &request, frame), &p.point)?;
        }
        let request = bpf_host::Request::Map {
            slot: map.slot,
            map_type: map.def.map_type as u32,
            key_size: map.def.key_size,
            value_size: map.def.value_size,
            max_entries: map.def.max_entries,
            page: map.page,
        };
        check(platform.call_host(p.host, &request, None), &p.point)?;
        if let Some(token) = map.doorbell {
            let request = bpf_host::Request::Doorbell { slot: map.slot };
            check(platform.call_host_with_token(p.host, &request, token), &p.point)?;
        }
    }
    Ok(())
}

/// Hands a program's code to its host and attaches it if asked to; the first page goes with the attach message.
fn place_code<P: Platform>(
    platform: &mut P,
    p: &mut Loaded<P::Memory>,
    attach: bool,
    replaces: Option<ProgramId>,
) -> Result<(), Failure> {
    let first = attach as u32;
    for i in first..p.code_pages {
        let frame = p.memory.as_mut().map(|m| (m, i, Access::Read));
        check(
            platform.call_host(p.host, &bpf_host::Request::Code { page: p.code_page + i }, frame),
            &p.point,
        )?;
    }
    if attach {
        return attach_placed(platform, p, Some(0), replaces);
    }
    Ok(())
}

fn attach_placed<P: Platform>(
    platform: &mut P,
    p: &mut Loaded<P::Memory>,
    frame: Option<u32>,
    replaces: Option<ProgramId>,
) -> Result<(), Failure> {
    let request = bpf_host::Request::Attach {
        program: p.id,
        page: p.code_page,
        pages: p.code_pages,
        slots: p.slots(),
        point: &p.point,
        replaces,
        grants: p.grants,
    };
    let frame = frame.and_then(|i| p.memory.as_mut().map(|m| (m, i, Access::Read)));
    check(platform.call_host(p.host, &request, frame), &p.point)?;
    p.attached = true;
    Ok(())
}
