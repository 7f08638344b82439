//! A load: from an object's bytes to a program in its host, and back when a step fails.

use crate::failure::{Failure, fail, hot_line, no_memory, no_room_for_map, no_time, nobody_serves, shown};
use crate::placing::{Loaded, LoadedMap, Packed, fill, place_code, place_maps};
use crate::rights::Subject;
use crate::room::{FLOOR, grow, leaves_floor};
use crate::state::Wanted;
use crate::{HostId, Loader, Platform, Stage};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use axiom_bpf_isa::{Insn, ProgramKind, opcode, pseudo};
use axiom_bpf_jit as jit;
use axiom_bpf_maps::{PAGE, bytes_needed};
use axiom_bpf_object::{self as object, Object};
use axiom_bpf_verdict::{self as verdict, Contents, cost};
use axiom_bpf_verifier::Verifier;
use axiom_proto::bpf::{MAX_NAME, MAX_SETTINGS, ProgramId, Refusal, Setting, Source, Stages};
use axiom_proto::bpf_host::{self, MAP_WINDOW};
use axiom_proto::env::ClientBadge;

/// With less memory than this in a row, buffers that are kept from load to load are given up first.
const SPARE: usize = 256 << 10;

/// Measures the stages.
pub(crate) struct StageClock {
    last: (u64, u64),
    /// Ticks and cycles of each stage.
    stages: [(u64, u64); STAGES],
    index: usize,
}

/// Stages of a load.
const STAGES: usize = 6;

/// What is told of a program that was loaded.
pub(crate) struct Summary {
    pub(crate) program: ProgramId,
    pub(crate) insns: u32,
    pub(crate) code_bytes: u32,
    pub(crate) worst_case: u64,
    pub(crate) cost: u64,
}

impl StageClock {
    /// Goes back to the first stage after verification.
    fn rewind(&mut self) {
        self.index = 3;
    }

    /// The last stage that ended.
    fn reached(&self) -> Stage {
        match self.index {
            0 | 1 => Stage::Begin,
            2 => Stage::Parsed,
            3 => Stage::Verified,
            4 => Stage::Compiled,
            5 => Stage::Mapped,
            _ => Stage::Attached,
        }
    }

    /// Ends a stage.
    #[inline]
    fn lap<P: Platform>(&mut self, platform: &P) {
        let now = (platform.ticks(), platform.cycles());
        if let Some(stage) = self.stages.get_mut(self.index) {
            *stage = (now.0.wrapping_sub(self.last.0), now.1.wrapping_sub(self.last.1));
        }
        self.index += 1;
        self.last = now;
    }

    /// As a message has them.
    fn stages(&self) -> Stages {
        let [receive, parse, verify, compile, map, attach] = self.stages.map(|(ticks, _)| ticks);
        let cycles = self.stages.map(|(_, cycles)| cycles);
        Stages { receive, parse, verify, compile, map, attach, cycles }
    }
}

/// A setting of a message, for the verdict.
fn setting<'a>(s: &Setting<'a>) -> verdict::Setting<'a> {
    verdict::Setting { name: s.name, value: s.value }
}

impl<P: Platform> Loader<P> {
    pub(crate) fn load(
        &mut self,
        badge: ClientBadge,
        source: Source<'_>,
        wanted: &Wanted<'_>,
        arrived: (u64, u64),
    ) -> Result<Summary, Failure> {
        let mut clock = StageClock { last: arrived, stages: [(0, 0); STAGES], index: 0 };
        self.forget_text(badge);
        let id = self.next_id;
        let loaded = self.load_from(badge, source, wanted, &mut clock);
        // One event at the end says how far it came; what each stage took, the reply to `Stages` says.
        self.platform.trace(clock.reached(), id);
        loaded
    }

    fn load_from(
        &mut self,
        badge: ClientBadge,
        source: Source<'_>,
        wanted: &Wanted<'_>,
        clock: &mut StageClock,
    ) -> Result<Summary, Failure> {
        match source {
            Source::Inline(bytes) => self.load_bytes(badge, bytes, None, wanted, clock),
            Source::Uploaded => {
                let bytes = self.uploads.take(badge);
                self.load_bytes(badge, &bytes, None, wanted, clock)
            }
            Source::Rest { offset, bytes } => {
                let now = self.platform.milliseconds();
                self.uploads.add::<P>(badge, offset, bytes, now)?;
                let bytes = self.uploads.take(badge);
                self.load_bytes(badge, &bytes, None, wanted, clock)
            }
            Source::Blob(name) => {
                let bytes = self.platform.blob(name).ok_or_else(|| {
                    fail(
                        Refusal::NotFound,
                        format!("no object '{}' was given to bpf-server by the manifest", shown(name)),
                    )
                })?;
                self.load_bytes(badge, bytes, Some(name), wanted, clock)
            }
        }
    }

    fn load_bytes(
        &mut self,
        owner: ClientBadge,
        bytes: &[u8],
        blob: Option<&str>,
        wanted: &Wanted<'_>,
        clock: &mut StageClock,
    ) -> Result<Summary, Failure> {
        clock.lap(&self.platform);
        // What is data cannot be tables as well: the factor is enough for a copy that settings change, too.
        let needed = FLOOR + object::MEMORY_FACTOR * bytes.len();
        let spare = P::has_memory(SPARE);
        if !spare {
            // Its buffers only save time, and lie wherever the last analysis left them.
            self.verifier = Verifier::new();
        }
        if !(spare && needed <= SPARE || P::has_memory(needed)) {
            return Err(no_memory());
        }
        let object = Object::parse(bytes)?;
        let entry = *verdict::choose(&object, wanted.program)?;
        let point = if wanted.point.is_empty() { entry.section } else { wanted.point };
        let nobody = || fail(Refusal::NoSuchPoint, nobody_serves(&self.platform, point));
        let kind = ProgramKind::from_section(point).ok_or_else(nobody)?;
        let host = self.platform.host(kind).filter(|_| point.len() <= MAX_NAME).ok_or_else(nobody)?;
        let program = object.program(&entry)?;
        let mut settings = heapless::Vec::<_, MAX_SETTINGS>::new();
        settings.extend(wanted.settings.iter().flatten().take(MAX_SETTINGS).map(setting));
        let contents = Contents::new(&object, &settings)?;
        let replaced = self.replaced(owner, wanted.replaces, host, point)?;
        self.has_room(owner, point, replaced.is_some())?;
        clock.lap(&self.platform);

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

        let board = cost::Machine::BOARD;
        let machine = if self.blinds { board.blinded() } else { board };
        let worst =
            || cost::worst_on(machine, &program.insns, &contents.defs, proof.max_insns, proof.zero_stack);
        let cost = match worst() {
            Some(cost) => cost,
            None => {
                // The analysis keeps buffers that only save time.
                self.verifier = Verifier::new();
                worst().ok_or_else(no_memory)?
            }
        };
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
            cost,
            memory: None,
            grants: *grants,
            owner,
            pinned: false,
            named: self.rights.is_of(owner, blob, entry.name),
            held: 0,
        };
        let mut again = true;
        let zero_stack = proof.zero_stack;
        while let Err(failure) =
            self.finish(&mut loaded, &object, &program.insns, &contents, zero_stack, wanted, clock)
        {
            self.take_back(&mut loaded);
            if let Some(why) = failure.overload {
                let shorten = hot_line(&lines, cost.hot);
                return Err(no_time(why, self.platform.host_name(host), &shorten));
            }
            // A host that was restarted meanwhile has lost what it was given: once more, to the new one.
            if failure.refusal != Refusal::Host || !core::mem::take(&mut again) || !self.was_restarted(host) {
                return Err(failure);
            }
            clock.rewind();
            loaded.compiled = true;
        }
        // The second question has the program copied once: where the list could grow in between, it is kept aside for that.
        if self.programs.try_reserve(1).is_err() || self.programs.len() == self.programs.capacity() {
            self.take_back(&mut loaded);
            return Err(no_memory());
        }
        let summary = Summary {
            program: loaded.id,
            insns: loaded.insns,
            code_bytes: if loaded.compiled { loaded.code_bytes } else { 0 },
            worst_case: loaded.worst_case,
            cost: loaded.cost(),
        };
        self.programs.push(loaded);
        self.next_id += 1;
        if let Some(old) = replaced {
            if wanted.attach
                && let Some(p) = self.programs.iter_mut().find(|p| p.id == old)
            {
                p.attached = false; // the host has put the new one in its place
            }
            self.unload(old)?;
        }
        self.stages = clock.stages();
        Ok(summary)
    }

    /// The program to replace, if it is attached to the same point.
    fn replaced(
        &self,
        owner: ClientBadge,
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
        let mut memory = self.platform.allocate(loaded.host, pages, map_pages).ok_or_else(|| {
            let all = pages + map_pages;
            no_room(format!(
                "bpf-server's memory for programs has no {all} pages ({} KiB) left for code and maps",
                4 * all
            ))
        })?;
        let filled = fill(&mut self.platform, &mut memory, loaded, &self.code, contents);
        loaded.memory = Some(memory);
        filled.ok_or_else(|| no_room("its frames could not be mapped in bpf-server".into()))?;
        let mut maps = Packed::new();
        place_maps(&mut self.platform, loaded, wanted.attach, &mut maps)?;
        clock.lap(&self.platform);

        place_code(&mut self.platform, loaded, wanted.attach, wanted.replaces, maps.bytes())?;
        clock.lap(&self.platform);
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
            // When a load comes is nobody's choice to a tick; each adds to all before it.
            self.compiler.stir(self.platform.ticks().rotate_left(32) ^ self.platform.cycles());
            let mut result = self.compiler.compile(insns, &resolve, &mut self.code);
            if let Err(jit::CompileError::NoRoom { needed }) = result {
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
    pub(crate) fn take_back(&mut self, p: &mut Loaded<P::Memory>) {
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
            self.platform.free(memory, p.host);
        }
        windows.give_code(p.code_page, p.code_pages);
        p.code_pages = 0;
    }
}
