//! Loading, attaching, replacing, unloading, listing.

use crate::failure::{Failure, fail, no_memory, no_room_for_map, nobody_serves, shown};
use crate::place::Windows;
use crate::placing::{Loaded, LoadedMap, attach_placed, check, fill, place_code, place_maps};
use crate::rights::{Rights, Subject};
use crate::{Access, HostId, Platform, Stage};
use alloc::borrow::Cow;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use axiom_bpf_isa::{Insn, MapType, ProgramKind, opcode, pseudo};
use axiom_bpf_jit as jit;
use axiom_bpf_maps::{PAGE, bytes_needed};
use axiom_bpf_object::{self as object, Object};
use axiom_bpf_verdict::{self as verdict, Contents};
use axiom_bpf_verifier::Verifier;
use axiom_proto::bpf::{
    Info, MAX_INLINE, MAX_NAME, MAX_OBJECT, MAX_SETTINGS, MAX_TEXT, MAX_VALUE, ProgramId, Refusal, Reply,
    Request, Setting, Source, Stages,
};
use axiom_proto::bpf_host::{self, MAP_WINDOW};
use axiom_proto::gpio::ProgramGrants;

/// Code is compiled into a buffer of this size first; it grows for larger programs.
const CODE_BUFFER: usize = 16 << 10;
/// Programs of one client: a host has places for four times as many.
pub const PROGRAMS_PER_CLIENT: usize = 8;
/// Rates that one client may ask for: a timer each.
pub const RATES_PER_CLIENT: usize = 2;
/// Programs of one client on one attach point: others have room beside them.
pub const PER_POINT: usize = 2;
/// Bytes that uploads may hold, all clients together.
const UPLOADS: usize = 4 * MAX_OBJECT;
/// Memory that must be there before a request is served: for names, sentences and everything else whose size no client
/// chooses.
pub(crate) const FLOOR: usize = 48 << 10;
/// With less than this in a row, buffers that are kept from load to load are given up first.
const SPARE: usize = 256 << 10;

/// An answer, and the frame that goes with it.
pub struct Outcome<'a> {
    /// The answer.
    pub reply: Reply<'a>,
    /// Which program's memory, page of it, and rights.
    pub frame: Option<(ProgramId, u32, Access)>,
}

#[cold]
fn no_share(point: &str, here: bool) -> Failure {
    let text = match here {
        true => format!("a client has at most {PER_POINT} programs at one attach point: '{point}' has them"),
        false => format!("a client has at most {PROGRAMS_PER_CLIENT} programs: unload one first"),
    };
    fail(Refusal::Resources, text)
}

#[derive(Default)]
struct Client {
    badge: u64,
    upload: Vec<u8>,
    verdict: Cow<'static, str>,
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
    pub fn new(platform: P, features: jit::Board, interpret_only: bool) -> Loader<P> {
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
            Request::Upload { .. } | Request::Load { .. } | Request::Notify { .. }
                if !P::has_memory(FLOOR) =>
            {
                Err(no_memory())
            }
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
        if offset as usize != client.upload.len() || client.upload.len() + bytes.len() > MAX_OBJECT {
            let text = format!(
                "an upload goes on at byte {}, not at {offset}, and ends at {MAX_OBJECT} bytes",
                client.upload.len()
            );
            return Err(fail(Refusal::BadRequest, text));
        }
        let held: usize = self.clients.iter().map(|c| c.upload.len()).sum();
        if held + bytes.len() > UPLOADS {
            // Nobody's upload makes room for another's.
            let text = format!(
                "bpf-server keeps {UPLOADS} bytes of uploads, and {held} are under way: load what is there, or wait for others"
            );
            return Err(fail(Refusal::Resources, text));
        }
        let client = self.client(badge);
        if client.upload.capacity() - client.upload.len() < bytes.len() {
            // It grows by doubling, and is copied as it does.
            let grown = (2 * client.upload.capacity()).max(MAX_INLINE);
            if !leaves_floor::<P>(grown) || client.upload.try_reserve(bytes.len()).is_err() {
                client.upload = Vec::new();
                return Err(no_memory());
            }
        }
        client.upload.extend_from_slice(bytes);
        Ok(())
    }

    fn verdict(&mut self, badge: u64, offset: usize) -> &str {
        let text: &str = &self.client(badge).verdict;
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
        if !P::has_memory(SPARE) {
            // Its buffers only save time, and lie wherever the last analysis left them.
            self.verifier = Verifier::new();
        }
        // What is data cannot be tables as well: the factor is enough for a copy that settings change, too.
        if !P::has_memory(FLOOR + object::MEMORY_FACTOR * bytes.len()) {
            return Err(no_memory());
        }
        let object = Object::parse(bytes)?;
        let entry = *verdict::choose(&object, wanted.program)?;
        let point = if wanted.point.is_empty() { entry.section } else { wanted.point };
        let nobody = || fail(Refusal::NoSuchPoint, nobody_serves(&self.platform, point));
        let kind = ProgramKind::from_section(point).ok_or_else(nobody)?;
        let host = self.platform.host(point).filter(|_| point.len() <= MAX_NAME).ok_or_else(nobody)?;
        let program = object.program(&entry)?;
        let mut settings = [verdict::Setting { name: "", value: 0 }; MAX_SETTINGS];
        let mut count = 0;
        for s in wanted.settings.iter().flatten().take(MAX_SETTINGS) {
            settings[count] = verdict::Setting { name: s.name, value: s.value };
            count += 1;
        }
        let contents = Contents::new(&object, &settings[..count])?;
        let replaced = self.replaced(owner, wanted.replaces, host, point)?;
        self.has_room(owner, point, replaced.is_some())?;
        clock.lap(&self.platform);
        self.platform.trace(Stage::Parsed, program.insns.len() as u32);

        let judged = verdict::Subject {
            object: &object,
            program: &program,
            contents: &contents,
            ctx: kind.layout(),
            room: Some(P::has_memory),
        };
        let proof = judged.verdict(&mut self.verifier)?;
        let lines = verdict::Source { object: &object, program: &program };
        let who = Subject { client: owner, object: blob, program: entry.name, point, lines: &lines };
        let grants =
            self.rights.check(&who, &proof.own_calls).map_err(|text| fail(Refusal::NotGranted, text))?;
        clock.lap(&self.platform);
        self.platform.trace(Stage::Verified, proof.max_insns.min(u32::MAX as u64) as u32);

        let mut loaded = Loaded {
            id: ProgramId(self.next_id),
            name: String::from(shown(entry.name)),
            point: String::from(point),
            host,
            attached: false,
            compiled: true,
            insns: program.insns.len() as u32,
            code_bytes: 0,
            code_page: 0,
            code_pages: 0,
            maps: Vec::with_capacity(contents.defs.len()),
            worst_case: proof.max_insns,
            memory: None,
            grants,
            owner,
            pinned: false,
            held: 0,
        };
        let mut again = true;
        let zero_stack = proof.zero_stack;
        while let Err(failure) =
            self.finish(&mut loaded, &object, &program.insns, &contents, zero_stack, wanted, clock)
        {
            self.take_back(&mut loaded);
            // A host that was restarted meanwhile has lost what it was given: once more, to the new one.
            if failure.refusal != Refusal::Host || !core::mem::take(&mut again) || !self.was_restarted(host) {
                return Err(failure);
            }
            clock.rewind();
            loaded.compiled = true;
        }
        if self.programs.try_reserve(1).is_err() {
            self.take_back(&mut loaded);
            return Err(no_memory());
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
        contents: &Contents<'_>,
        zero_stack: bool,
        wanted: &Wanted<'_>,
        clock: &mut StageClock,
    ) -> Result<(), Failure> {
        let windows = &mut self.windows[loaded.host.0];
        let mut map_pages = 0;
        for (map, def) in object.maps().iter().zip(&contents.defs) {
            let refuse = |text| fail(Refusal::Resources, format!("map '{}': {text}", shown(map.name)));
            let bytes = bytes_needed(def).map_err(|e| refuse(e.to_string()))?;
            let pages = bytes.div_ceil(PAGE) as u32;
            let taken = windows.take_map(pages);
            let (slot, page) = taken.ok_or_else(|| refuse(no_room_for_map(windows, bytes, pages)))?;
            let name = String::from(shown(map.name));
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
        let no_room = |what: String| fail(Refusal::Resources, format!("no room for the program: {what}"));
        loaded.code_page = windows.take_code(pages).ok_or_else(|| {
            let (free, longest) = windows.free_code();
            no_room(format!(
                "its code takes {pages} pages of 4 KiB; the hosting server's code window has {free} free, at most {longest} in a row"
            ))
        })?;
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
        loaded.held = pages + map_pages;
        let mut memory = self.platform.allocate(pages + map_pages).ok_or_else(|| {
            let all = pages + map_pages;
            no_room(format!(
                "bpf-server's memory for programs has no {all} pages ({} KiB) left for code and maps",
                4 * all
            ))
        })?;
        let filled = fill(&mut self.platform, &mut memory, loaded, &self.code, contents);
        loaded.memory = Some(memory);
        filled.ok_or_else(|| no_room("its frames could not be mapped in bpf-server".into()))?;
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
                    let offset = map.def.value_offset(next)?;
                    Some((MAP_WINDOW + map.page as usize * PAGE) as u64 + u64::from(offset))
                }
                _ => None,
            }
        };
        if !self.interpret_only && leaves_floor::<P>(jit::TABLE_BYTES * insns.len()) {
            self.compiler.set_zero_stack(zero_stack);
            let mut result = self.compiler.compile(insns, &resolve, &mut self.code);
            if let Err(jit::Error::NoRoom { needed }) = result {
                grow::<P>(&mut self.code, needed)?;
                result = self.compiler.compile(insns, &resolve, &mut self.code);
            }
            if let Ok(bytes) = result {
                loaded.code_bytes = bytes as u32;
                return Ok(());
            }
        }
        loaded.compiled = false;
        loaded.code_bytes = insns.len() as u32 * 8;
        grow::<P>(&mut self.code, insns.len() * 8)?;
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
        self.programs.iter().filter(|p| p.owner == owner && !p.pinned).map(|p| p.held).sum()
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
            results.push((program, result.err().map(|failure| failure.text.into_owned())));
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
        if map.def.key_size == 0 {
            return Err(bad("it has no keys that it could be read by"));
        }
        if size > MAX_VALUE {
            return Err(bad("its values are larger than a message"));
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

/// Whether the small parts of a request still find memory when so many bytes are taken; the heap's blocks may be twice as large
/// as what is asked for.
fn leaves_floor<P: Platform>(bytes: usize) -> bool {
    P::has_memory(FLOOR + 2 * bytes)
}

/// Makes a buffer at least so long, if there is memory.
fn grow<P: Platform>(buffer: &mut Vec<u8>, length: usize) -> Result<(), Failure> {
    let more = length.saturating_sub(buffer.len());
    if (more > 0 && !leaves_floor::<P>(length)) || buffer.try_reserve_exact(more).is_err() {
        return Err(no_memory());
    }
    buffer.resize(buffer.len() + more, 0);
    Ok(())
}
