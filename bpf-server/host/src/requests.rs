//! bpf-server's requests, applied.

use crate::{CHAIN, Code, Entry, Host, Identity, Name, PointId, Program, Stream, load};
use axiom_bpf_interp::Insn;
use axiom_bpf_isa::{MapDef, MapType};
use axiom_bpf_maps::{Map, PAGE, bytes_needed};
use axiom_proto::bpf::{MAX_NAME, ProgramId};
use axiom_proto::bpf_host::{
    CODE_PAGES, CODE_WINDOW, MAP_PAGES, MAP_SLOTS, MAP_WINDOW, MapPlan, Numbers, Refusal, Reply, Request,
    TRAY, plans,
};
use axiom_proto::env::ClientBadge;

/// What the host needs of its server. Pages are numbers in the two windows.
pub trait Server {
    /// Maps the frame that came with the message at a code page, read-and-execute.
    fn map_code(&mut self, page: u32) -> bool;
    /// Maps the frame that came with the message at a map page.
    fn map_data(&mut self, page: u32, writable: bool) -> bool;
    /// Keeps the frame that came with the message, in the place of an earlier one.
    fn keep_code(&mut self) -> bool;
    /// Maps the frame that is kept at a code page.
    fn map_kept(&mut self, page: u32) -> bool;
    /// Gives up the frame that is kept.
    fn drop_kept(&mut self);
    /// Keeps the CNode that came with the message as the tray.
    fn keep_tray(&mut self) -> bool;
    /// Gives the tray up: it was of a life of bpf-server that is over.
    fn drop_tray(&mut self);
    /// Whether there is a tray.
    fn has_tray(&self) -> bool;
    /// Maps the frame in a slot of the tray at a map page, and takes it.
    fn map_from_tray(&mut self, slot: u32, page: u32, writable: bool) -> bool;
    /// Whether a frame is mapped at a code page.
    fn has_code(&self, page: u32) -> bool;
    /// Whether a frame is mapped at a map page.
    fn has_data(&self, page: u32) -> bool;
    /// Keeps the notification that came with the message as the doorbell of a map.
    fn keep_doorbell(&mut self, slot: u32) -> bool;
    /// Forgets the doorbell of a map, if it has one.
    fn drop_doorbell(&mut self, slot: u32);
    /// Gives up a code page's frame.
    fn drop_code(&mut self, page: u32);
    /// Gives up a map page's frame.
    fn drop_data(&mut self, page: u32);
    /// Whether a frame came along with the message.
    fn has_frame(&self) -> bool;
    /// Asked for a point that does not exist yet: can the server serve it from now on? It is told the point's number
    /// when the first program is attached.
    fn open_point(&mut self, name: &str) -> bool;
    /// How often the events of a point that is opened for programs come at most.
    fn stream(&self, name: &str) -> Stream;
    /// Programs were attached to, or detached from, a point: so many are there now.
    fn point_changed(&mut self, name: &str, point: PointId, programs: usize);
    /// A point that was opened has no program any more, and is forgotten.
    fn close_point(&mut self, name: &str);
    /// Whoever placed programs was started anew, and nothing of it is left. Among them was one that could stop the motors, if
    /// `stops`.
    fn was_reset(&mut self, stops: bool);
    /// First address of the code window.
    fn code_window(&self) -> usize {
        CODE_WINDOW
    }
    /// First address of the map window.
    fn map_window(&self) -> usize {
        MAP_WINDOW
    }
}

type Done = Result<Reply, Refusal>;

impl Host {
    /// Applies a request from bpf-server.
    pub fn handle(&mut self, request: &Request<'_>, server: &mut impl Server) -> Reply {
        self.apply(request, server).unwrap_or_else(Reply::Refused)
    }

    fn apply(&mut self, request: &Request<'_>, server: &mut impl Server) -> Done {
        match *request {
            Request::Hello => Ok(Reply::Generation(self.generation)),
            Request::Code { page } => {
                check_pages(page, 1, CODE_PAGES)?;
                if server.map_code(page) { Ok(Reply::Done) } else { Err(Refusal::BadFrame) }
            }
            Request::Keep if server.keep_code() => Ok(Reply::Done),
            Request::Keep => Err(Refusal::BadFrame),
            Request::MapPage { page, writable } => {
                check_pages(page, 1, MAP_PAGES)?;
                if server.map_data(page, writable) { Ok(Reply::Done) } else { Err(Refusal::BadFrame) }
            }
            Request::Tray if server.keep_tray() => Ok(Reply::Done),
            Request::Tray => Err(Refusal::BadFrame),
            Request::MapPages { page, count, writable } => {
                check_pages(page, count, MAP_PAGES)?;
                if count > TRAY {
                    return Err(Refusal::BadNumber);
                }
                if !server.has_tray() {
                    return Err(Refusal::NoTray);
                }
                let mapped = (0..count).all(|i| server.map_from_tray(i, page + i, writable));
                if mapped { Ok(Reply::Done) } else { Err(Refusal::BadFrame) }
            }
            Request::Maps { maps } => {
                self.take_maps(maps, server)?;
                Ok(Reply::Done)
            }
            Request::Doorbell { slot } => {
                let map = self.runtime.maps.get(slot as usize).and_then(Option::as_ref);
                if map.is_none_or(|m| m.def().map_type != MapType::RingBuf) {
                    return Err(Refusal::BadMap);
                }
                if server.keep_doorbell(slot) { Ok(Reply::Done) } else { Err(Refusal::BadFrame) }
            }
            Request::RemoveMap { slot } => self.remove_map(slot, server),
            Request::Reset => {
                self.reset(server);
                Ok(Reply::Done)
            }
            Request::Attach {
                numbers: Numbers { program, page, pages, slots, replaces, cost, client },
                point,
                name,
                grants,
                maps,
                kept,
            } => {
                check_pages(page, pages, CODE_PAGES)?;
                if pages == 0 || slots as usize * size_of::<Insn>() > pages as usize * PAGE {
                    return Err(Refusal::BadNumber);
                }
                // Before anything is taken: whoever is refused comes again, with the frame.
                if kept && (server.has_frame() || !server.map_kept(page)) {
                    return Err(Refusal::BadFrame);
                }
                self.take_maps(maps, server)?;
                if server.has_frame() && !server.map_code(page) {
                    return Err(Refusal::BadFrame);
                }
                if !(page..page + pages).all(|p| server.has_code(p)) {
                    return Err(Refusal::BadFrame);
                }
                let address = server.code_window() + page as usize * PAGE;
                let code = if slots == 0 {
                    // SAFETY: bpf-server, which alone holds this server's host channel, has put a compiled program there;
                    // the page is mapped read-and-execute by the window's rules.
                    Code::Native(unsafe { core::mem::transmute::<usize, Entry>(address) })
                } else {
                    // SAFETY: the pages hold `slots` instruction words (checked above) and are never writable here; they
                    // stay mapped until the program is detached.
                    Code::Interpreted(unsafe {
                        core::slice::from_raw_parts(address as *const Insn, slots as usize)
                    })
                };
                let identity = Identity { name: Name::new(name), grants: grants.unwrap_or_default() };
                let (point_id, time) = (PointId(u32::MAX), self.time_of(cost));
                let new = Program {
                    id: program,
                    point: point_id,
                    code,
                    runs: 0,
                    accepted: 0,
                    identity,
                    time,
                    client,
                };
                self.attach(new, point, replaces, server)
            }
            Request::Detach { program } => {
                self.detach(program, server)?;
                Ok(Reply::Done)
            }
            Request::RemoveCode { page, pages } => {
                check_pages(page, pages, CODE_PAGES)?;
                for p in page..page + pages {
                    server.drop_code(p);
                }
                Ok(Reply::Done)
            }
            Request::Point { index } => {
                let point = self.points.get(index as usize).ok_or(Refusal::BadNumber)?;
                Ok(Reply::Point(point.name.clone()))
            }
            Request::Stats { program } => {
                let found = self.live().find(|(_, p)| p.id == program);
                let (_, p) = found.ok_or(Refusal::NoSuchProgram)?;
                Ok(Reply::Stats { runs: p.runs, accepted: p.accepted })
            }
        }
    }

    /// The maps of a message. Numbers and the tray are looked at before anything is taken.
    fn take_maps(&mut self, maps: &[u8], server: &mut impl Server) -> Result<(), Refusal> {
        if maps.is_empty() {
            return Ok(());
        }
        let plans = plans(maps).ok_or(Refusal::BadNumber)?;
        let mut frames = 0u32;
        for plan in plans.clone() {
            check_pages(plan.page, plan.frames, MAP_PAGES)?;
            frames = frames.saturating_add(plan.frames);
        }
        if frames > TRAY {
            return Err(Refusal::BadNumber);
        }
        if frames > 0 && !server.has_tray() {
            return Err(Refusal::NoTray);
        }
        let mut next = 0;
        for plan in plans {
            self.take_map(&plan, next, server)?;
            next += plan.frames;
        }
        Ok(())
    }

    /// A map, whose frames begin at a slot of the tray.
    fn take_map(&mut self, plan: &MapPlan, first: u32, server: &mut impl Server) -> Result<(), Refusal> {
        let MapPlan { slot, key_size, value_size, max_entries, page, frames, writable, .. } = *plan;
        let map_type = MapType::from_number(plan.map_type).ok_or(Refusal::BadMap)?;
        let def = MapDef { map_type, key_size, value_size, max_entries, flags: 0, read_only: false };
        if slot == 0 || slot >= MAP_SLOTS || self.runtime.maps[slot as usize].is_some() {
            return Err(Refusal::BadNumber);
        }
        let pages = bytes_needed(&def).map_err(|_| Refusal::BadMap)?.div_ceil(PAGE) as u32;
        check_pages(page, pages, MAP_PAGES)?;
        if !(0..frames).all(|i| server.map_from_tray(first + i, page + i, writable)) {
            return Err(Refusal::BadFrame);
        }
        // Pages that went to an earlier life of this server are missing: then the map is refused, not touched.
        if !(page..page + pages).all(|p| server.has_data(p)) {
            return Err(Refusal::BadFrame);
        }
        let base = server.map_window() + page as usize * PAGE;
        // SAFETY: all its pages are mapped (just checked) and stay until `RemoveMap`.
        let map = unsafe { Map::new(def, base as *mut u8) }.map_err(|_| Refusal::BadMap)?;
        self.runtime.maps[slot as usize] = Some(map);
        Ok(())
    }

    fn remove_map(&mut self, slot: u32, server: &mut impl Server) -> Done {
        let place = self.runtime.maps.get_mut(slot as usize).ok_or(Refusal::BadNumber)?;
        let map = place.take().ok_or(Refusal::BadNumber)?;
        server.drop_doorbell(slot);
        let first = (map.base() as usize - server.map_window()) / PAGE;
        let pages = bytes_needed(map.def()).unwrap_or(0).div_ceil(PAGE);
        for page in first..first + pages {
            server.drop_data(page as u32);
        }
        Ok(Reply::Done)
    }

    fn attach(
        &mut self,
        new: Program,
        name: &str,
        replaces: Option<ProgramId>,
        server: &mut impl Server,
    ) -> Done {
        if self.live().any(|(_, p)| p.id == new.id) {
            return Err(Refusal::BadNumber);
        }
        // Whatever could refuse it is looked at before a point is opened for it.
        let known = self.point(name);
        let stream = match known {
            Some(point) => self.points[point.0 as usize].stream,
            None => server.stream(name),
        };
        if let Some(old) = replaces {
            // The same place in the chain: no event sees both or neither.
            let point = known.ok_or(Refusal::NoSuchProgram)?;
            let found = self.live().find(|(_, p)| p.id == old && p.point == point);
            let (place, _) = found.ok_or(Refusal::NoSuchProgram)?;
            self.admit(&new, known, stream, Some(old))?;
            self.put(place, Program { point, ..new });
            return Ok(Reply::Done);
        }
        let Some(index) = self.free_place() else { return Err(Refusal::Full) };
        if known.is_some_and(|p| self.attached(p) == CHAIN) {
            return Err(Refusal::Full);
        }
        self.admit(&new, known, stream, None)?;
        let point = match known {
            Some(point) => point,
            None if name.len() > MAX_NAME => return Err(Refusal::NoSuchPoint),
            None if self.free_point().is_none() => return Err(Refusal::Full),
            None if server.open_point(name) => {
                let point = self.new_point(name, true).ok_or(Refusal::Full)?;
                self.points[point.0 as usize].stream = stream;
                point
            }
            None => return Err(Refusal::NoSuchPoint),
        };
        let p = &mut self.points[point.0 as usize];
        p.chain[p.len as usize] = index as u8;
        p.len += 1;
        let programs = p.len as usize;
        self.put(index, Program { point, ..new });
        server.point_changed(name, point, programs);
        Ok(Reply::Done)
    }

    /// Whether there is time for a program at a point that is known, or that is opened for it; in another's place, if it replaces
    /// one.
    fn admit(
        &self,
        new: &Program,
        known: Option<PointId>,
        stream: Stream,
        replaces: Option<ProgramId>,
    ) -> Result<(), Refusal> {
        let Some(budget) = &self.budget else { return Ok(()) };
        let after = |client: Option<ClientBadge>| {
            let counts = |p: &Program| client.is_none_or(|c| p.client == c);
            // The new program's point is counted apart: with its chain, without what it replaces.
            let elsewhere = |id, p: &crate::Point| if Some(id) == known { Stream::Silent } else { p.stream };
            let mut after = self.sum(budget, elsewhere, counts);
            let live = self.live().map(|(_, p)| p);
            let there = live.filter(|p| known == Some(p.point) && Some(p.id) != replaces && counts(p));
            let time = there.fold(new.time, |all, p| all.saturating_add(p.time));
            after.add(stream, time);
            after
        };
        let all = after(None);
        if load::fits(&all, budget) {
            return Ok(());
        }
        let before = |client: Option<ClientBadge>| {
            self.sum(budget, |_, p| p.stream, |p: &Program| client.is_none_or(|c| p.client == c))
        };
        let share =
            (new.client != ClientBadge::NOBODY).then(|| (before(Some(new.client)), after(Some(new.client))));
        let (before, after) = (before(None), all);
        load::Change { before, after, share, stream }.admit(budget).map_err(Refusal::Overload)
    }

    fn detach(&mut self, id: ProgramId, server: &mut impl Server) -> Result<(), Refusal> {
        let found = self.live().find(|(_, p)| p.id == id);
        let (index, _) = found.ok_or(Refusal::NoSuchProgram)?;
        let Some(program) = self.take(index) else { return Ok(()) };
        let p = &mut self.points[program.point.0 as usize];
        if let Some(at) = p.chain[..p.len as usize].iter().position(|&i| i as usize == index) {
            p.chain.copy_within(at + 1.., at);
            p.len -= 1;
        }
        server.point_changed(&p.name, program.point, p.len as usize);
        if p.len == 0 && p.opened {
            server.close_point(&p.name);
            p.name.clear();
        }
        Ok(())
    }

    /// Forgets everything that was placed here.
    fn reset(&mut self, server: &mut impl Server) {
        let stops = self.live().any(|(_, p)| p.identity.grants.motor_stop);
        loop {
            let Some(id) = self.live().next().map(|(_, p)| p.id) else { break };
            // Found a moment ago; what is detached is gone.
            let _ = self.detach(id, server);
        }
        for slot in 0..MAP_SLOTS {
            if let Some(place) = self.runtime.maps.get_mut(slot as usize) {
                *place = None;
            }
            server.drop_doorbell(slot);
        }
        (0..CODE_PAGES).for_each(|page| server.drop_code(page));
        (0..MAP_PAGES).for_each(|page| server.drop_data(page));
        self.runtime.produced = 0;
        server.drop_kept();
        server.drop_tray();
        server.was_reset(stops);
    }
}

fn check_pages(page: u32, pages: u32, limit: u32) -> Result<(), Refusal> {
    match page.checked_add(pages) {
        Some(end) if end <= limit => Ok(()),
        _ => Err(Refusal::BadNumber),
    }
}
