//! A loaded program, and handing it to its host: maps, code, attaching. Whoever calls undoes what was done when a step fails.

use crate::failure::{Failure, fail, no_time, shown};
use crate::{Access, HostId, Platform, Token};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use axiom_bpf_isa::MapDef;
use axiom_bpf_maps::Map;
use axiom_bpf_verdict::Contents;
use axiom_bpf_verdict::cost::Cost;
use axiom_proto::bpf::{ProgramId, Refusal};
use axiom_proto::bpf_host::{self, MAPS, MapPlan, PLAN, TRAY};
use axiom_proto::env::ClientBadge;
use axiom_proto::gpio::Grants;

/// Attach points that a sentence lists.
const POINTS: u32 = 12;

/// A map of a loaded program.
pub(crate) struct LoadedMap {
    pub(crate) name: String,
    pub(crate) def: MapDef,
    pub(crate) slot: u32,
    pub(crate) page: u32,
    pub(crate) pages: u32,
    /// Its first page in the program's memory.
    pub(crate) first: u32,
    /// As mapped here.
    pub(crate) map: Option<Map>,
    /// Who is told of its records.
    pub(crate) doorbell: Option<Token>,
}

/// A program in its host, or on its way there.
pub(crate) struct Loaded<M> {
    pub(crate) id: ProgramId,
    pub(crate) name: String,
    pub(crate) point: String,
    pub(crate) host: HostId,
    pub(crate) attached: bool,
    pub(crate) compiled: bool,
    pub(crate) insns: u32,
    pub(crate) code_bytes: u32,
    pub(crate) code_page: u32,
    pub(crate) code_pages: u32,
    pub(crate) maps: Vec<LoadedMap>,
    pub(crate) worst_case: u64,
    /// That in machine instructions.
    pub(crate) cost: Cost,
    pub(crate) memory: Option<M>,
    pub(crate) grants: Grants,
    /// Whose it is: a badge, or nobody's if the owner that the manifest names is no client.
    pub(crate) owner: ClientBadge,
    /// It stays when its owner is gone.
    pub(crate) pinned: bool,
    /// The manifest names it: its time is no client's share.
    pub(crate) named: bool,
    /// Pages of its memory.
    pub(crate) held: u32,
}

impl<M> Loaded<M> {
    /// Instruction slots, if it is interpreted; else 0.
    pub(crate) fn slots(&self) -> u32 {
        if self.compiled { 0 } else { self.code_bytes / 8 }
    }

    /// Machine instructions of its worst case.
    pub(crate) fn cost(&self) -> u64 {
        if self.compiled { self.cost.compiled } else { self.cost.interpreted() }
    }
}

/// Fills code and map pages.
pub(crate) fn fill<P: Platform>(
    platform: &mut P,
    memory: &mut P::Memory,
    loaded: &mut Loaded<P::Memory>,
    code: &[u8],
    contents: &Contents<'_>,
) -> Option<()> {
    for (index, map) in loaded.maps.iter_mut().enumerate() {
        if contents.bytes(index).is_none() && contents.patches(index).next().is_none() {
            // All zeros, as the frames are: it is mapped here when somebody reads it.
            continue;
        }
        let base = platform.map(memory, map.first, map.pages)?;
        let value = map.def.value_size as usize;
        if let Some(bytes) = contents.bytes(index).filter(|b| b.len() <= value) {
            // SAFETY: fresh pages of this program, mapped writable here; the contents are one value, which fits the map.
            unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), base, bytes.len()) };
        }
        for patch in contents.patches(index).filter(|p| p.offset + p.size <= value) {
            // SAFETY: as above; the patch lies inside the value.
            unsafe {
                core::ptr::copy_nonoverlapping(patch.bytes.as_ptr(), base.add(patch.offset), patch.size)
            };
        }
        // SAFETY: the map's pages, zeroed or just filled, mapped until the program is freed; the descriptor goes with it.
        map.map = unsafe { Map::new(map.def, base) }.ok();
    }
    let base = platform.map(memory, 0, loaded.code_pages)?;
    // SAFETY: fresh pages of this program, at least code_bytes, mapped writable here until `seal`.
    unsafe { core::ptr::copy_nonoverlapping(code.as_ptr(), base, loaded.code_bytes as usize) };
    platform.seal(memory, 0, loaded.code_pages, loaded.code_bytes as usize).then_some(())
}

/// A program's map as mapped here; one of zeros is mapped when it is looked at first.
pub(crate) fn map_here<'a, P: Platform>(
    platform: &mut P,
    loaded: &'a mut Loaded<P::Memory>,
    index: usize,
) -> Option<&'a Map> {
    let map = loaded.maps.get_mut(index)?;
    if map.map.is_none() {
        let base = platform.map(loaded.memory.as_mut()?, map.first, map.pages)?;
        // SAFETY: the map's pages, whatever its program has made of the zeros that they were, mapped until the program is freed; the
        // descriptor goes with it.
        map.map = unsafe { Map::new(map.def, base) }.ok();
    }
    map.map.as_ref()
}

/// A host's answer, if it is one of success.
pub(crate) fn check(reply: Option<bpf_host::Reply>, point: &str) -> Result<(), Failure> {
    match reply {
        Some(bpf_host::Reply::Refused(why)) => Err(refused(Some(why), point)),
        Some(_) => Ok(()),
        None => Err(refused(None, point)),
    }
}

/// Why a host did not do it; none if it does not answer.
#[cold]
fn refused(why: Option<bpf_host::Refusal>, point: &str) -> Failure {
    let point = shown(point);
    let text = match why {
        Some(bpf_host::Refusal::NoSuchPoint) => {
            let text = format!("the server of '{point}' has no such attach point");
            return fail(Refusal::NoSuchPoint, text);
        }
        Some(bpf_host::Refusal::Full) => format!("'{point}' has as many programs as it can run"),
        Some(why) => format!("the server of '{point}' refused: {why:?}"),
        None => format!("the server of '{point}' does not answer: it is being restarted"),
    };
    fail(Refusal::Host, text)
}

/// Maps that go into one message.
struct Batch {
    plans: [Option<MapPlan>; MAPS],
    /// Their frames in the program's memory, in the same order.
    frames: [(u32, u32, Access); MAPS],
    count: usize,
}

impl Batch {
    fn new() -> Batch {
        Batch { plans: [None; MAPS], frames: [(0, 0, Access::Read); MAPS], count: 0 }
    }

    fn add(&mut self, plan: MapPlan, first: u32) -> bool {
        let taken: u32 = self.frames.iter().map(|f| f.1).sum();
        if self.count == MAPS || taken + plan.frames > TRAY {
            return false;
        }
        let access = if plan.writable { Access::Write } else { Access::Read };
        self.plans[self.count] = Some(plan);
        self.frames[self.count] = (first, plan.frames, access);
        self.count += 1;
        true
    }

    fn pack(&self, packed: &mut Packed) {
        packed.plans.clear();
        // There is room for as many as a batch holds.
        packed.plans.extend(self.plans.iter().flatten().map(MapPlan::to_bytes));
    }

    /// Puts the frames into the host's tray; where there is none, they are handed over before the maps.
    fn fill<P: Platform>(&mut self, platform: &mut P, p: &mut Loaded<P::Memory>) -> Result<(), Failure> {
        let Some(memory) = p.memory.as_mut().filter(|_| self.count > 0) else { return Ok(()) };
        if platform.fill_tray(p.host, memory, &self.frames[..self.count]) {
            return Ok(());
        }
        for (plan, &(first, _, access)) in self.plans.iter_mut().flatten().zip(&self.frames) {
            let pages = plan.page..plan.page + core::mem::take(&mut plan.frames);
            check(platform.give_pages(p.host, memory, first, pages, access), &p.point)?;
        }
        Ok(())
    }

    fn send<P: Platform>(mut self, platform: &mut P, p: &mut Loaded<P::Memory>) -> Result<(), Failure> {
        self.fill(platform, p)?;
        if self.count == 0 {
            return Ok(());
        }
        let mut maps = Packed::new();
        self.pack(&mut maps);
        let request = bpf_host::Request::Maps { maps: maps.bytes() };
        check(ask(platform, p.host, &mut p.memory, &request, None), &p.point)
    }
}

/// Maps as they are in a message.
pub(crate) struct Packed {
    plans: heapless::Vec<[u8; PLAN], MAPS>,
}

impl Packed {
    /// None.
    pub(crate) const fn new() -> Packed {
        Packed { plans: heapless::Vec::new() }
    }

    /// As bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.plans.as_flattened()
    }
}

/// Calls a host, maybe with a frame of a program's memory. A host without a tray gets one, and is asked again.
#[inline]
fn ask<P: Platform>(
    platform: &mut P,
    host: HostId,
    memory: &mut Option<P::Memory>,
    request: &bpf_host::Request<'_>,
    frame: Option<u32>,
) -> Option<bpf_host::Reply> {
    let mut call = |platform: &mut P| {
        let frame = frame.and_then(|i| memory.as_mut().map(|m| (m, i, Access::Read)));
        platform.call_host(host, request, frame)
    };
    let reply = call(platform);
    if !matches!(reply, Some(bpf_host::Reply::Refused(bpf_host::Refusal::NoTray))) {
        return reply;
    }
    match platform.give_tray(host)? {
        bpf_host::Reply::Done => call(platform),
        refused => Some(refused),
    }
}

/// Hands a program's maps to its host, but those that go with the message which attaches it, if it is attached: these are `left`.
pub(crate) fn place_maps<P: Platform>(
    platform: &mut P,
    p: &mut Loaded<P::Memory>,
    attach: bool,
    left: &mut Packed,
) -> Result<(), Failure> {
    if p.maps.is_empty() {
        return Ok(());
    }
    let mut batch = Batch::new();
    for index in 0..p.maps.len() {
        let map = &p.maps[index];
        let (writable, first, pages) = (!map.def.read_only, map.first, map.page..map.page + map.pages);
        let mut plan = MapPlan {
            slot: map.slot,
            map_type: map.def.map_type as u32,
            key_size: map.def.key_size,
            value_size: map.def.value_size,
            max_entries: map.def.max_entries,
            page: map.page,
            frames: map.pages,
            writable,
        };
        if plan.frames > TRAY {
            plan.frames = 0;
            let access = if writable { Access::Write } else { Access::Read };
            let Some(memory) = p.memory.as_mut() else { break };
            check(platform.give_pages(p.host, memory, first, pages, access), &p.point)?;
        }
        if !batch.add(plan, first) {
            core::mem::replace(&mut batch, Batch::new()).send(platform, p)?;
            batch.add(plan, first);
        }
    }
    if attach && p.maps.iter().all(|m| m.doorbell.is_none()) {
        batch.fill(platform, p)?;
        batch.pack(left);
        return Ok(());
    }
    batch.send(platform, p)?;
    for map in &mut p.maps {
        let Some(token) = map.doorbell else { continue };
        let request = bpf_host::Request::Doorbell { slot: map.slot };
        match platform.call_host_with_token(p.host, &request, token) {
            // Whoever was to be told is gone, and its notification with it; the program outlives it if the manifest pins it.
            Some(bpf_host::Reply::Refused(bpf_host::Refusal::BadFrame)) => {
                platform.drop_token(token);
                map.doorbell = None;
            }
            reply => check(reply, &p.point)?,
        }
    }
    Ok(())
}

/// Hands a program's code to its host and attaches it if asked to; the first page and the maps that are left go with the attach message.
pub(crate) fn place_code<P: Platform>(
    platform: &mut P,
    p: &mut Loaded<P::Memory>,
    attach: bool,
    replaces: Option<ProgramId>,
    maps: &[u8],
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
        return attach_placed(platform, p, Some(0), replaces, maps);
    }
    Ok(())
}

/// Attaches a program whose code is there, or comes with the message.
pub(crate) fn attach_placed<P: Platform>(
    platform: &mut P,
    p: &mut Loaded<P::Memory>,
    frame: Option<u32>,
    replaces: Option<ProgramId>,
    maps: &[u8],
) -> Result<(), Failure> {
    let request = bpf_host::Request::Attach {
        numbers: bpf_host::Numbers {
            program: p.id,
            page: p.code_page,
            pages: p.code_pages,
            slots: p.slots(),
            replaces,
            cost: p.cost(),
            client: if p.named { ClientBadge::NOBODY } else { p.owner },
        },
        point: &p.point,
        name: &p.name,
        grants: (!p.grants.is_none()).then_some(p.grants),
        maps,
        kept: false,
    };
    let reply = ask(platform, p.host, &mut p.memory, &request, frame);
    match &reply {
        Some(bpf_host::Reply::Refused(bpf_host::Refusal::Overload(why))) => {
            return Err(no_time(*why, platform.host_name(p.host), "shorten its loops"));
        }
        Some(bpf_host::Reply::Refused(_)) | None => {
            check(reply, &p.point).map_err(|failure| match failure.refusal {
                Refusal::NoSuchPoint => {
                    fail(Refusal::NoSuchPoint, points_there(platform, p.host, &failure.text))
                }
                _ => failure,
            })?
        }
        Some(_) => {}
    }
    p.attached = true;
    Ok(())
}

/// A sentence with the attach points that a host has.
fn points_there<P: Platform>(platform: &mut P, host: HostId, text: &str) -> String {
    let mut text = String::from(text);
    let mut comma = "; it has: ";
    for index in 0..=POINTS {
        let reply = platform.call_host(host, &bpf_host::Request::Point { index }, None);
        let Some(bpf_host::Reply::Point(name)) = reply else { break };
        text += comma;
        text += if index == POINTS { "and more" } else { name.as_str() };
        comma = ", ";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(slot: u32, frames: u32) -> MapPlan {
        let shape = MapPlan {
            slot,
            map_type: 2,
            key_size: 4,
            value_size: 8,
            max_entries: 1,
            page: 0,
            frames,
            writable: true,
        };
        MapPlan { page: slot * 8, ..shape }
    }

    #[test]
    fn a_batch_is_full_at_its_maps_or_at_the_trays_frames() {
        let mut batch = Batch::new();
        for slot in 1..=MAPS as u32 {
            assert!(batch.add(plan(slot, 8), slot * 10));
        }
        assert!(!batch.add(plan(9, 0), 90), "no ninth map");
        assert_eq!(
            batch.plans.iter().flatten().map(|p| p.slot).collect::<Vec<_>>(),
            [1, 2, 3, 4, 5, 6, 7, 8]
        );
        assert_eq!(batch.frames[7], (80, 8, Access::Write));
        let mut batch = Batch::new();
        assert!(batch.add(plan(1, TRAY - 1), 0));
        assert!(!batch.add(plan(2, 2), 70), "a frame too many");
        assert!(batch.add(plan(3, 1), 70) && batch.add(MapPlan { writable: false, ..plan(4, 0) }, 80));
        assert_eq!(
            batch.frames[..3],
            [(0, 63, Access::Write), (70, 1, Access::Write), (80, 0, Access::Read)]
        );
        assert!(!batch.add(plan(5, 1), 80));
    }
}
