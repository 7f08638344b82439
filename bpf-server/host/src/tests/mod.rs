//! A server without an operating system: its windows are ordinary memory, its programs are interpreted.

use super::*;
use axiom_bpf_maps::PAGE;
use axiom_proto::bpf_host::{Limit, MAP_PAGES, MapPlan, Numbers, Overload, Refusal, Reply, Request, TRAY};
use std::vec;
use std::vec::Vec;

extern crate std;

mod attaching;
mod budget;
mod running;
mod saying;

struct Fake {
    code: *mut u8,
    maps: *mut u8,
    frame: bool,
    /// A frame is kept; it was mapped at page 4, which has none before.
    kept: bool,
    kept_at_4: bool,
    /// Frames in the tray, if there is one, and pages that came from it.
    tray: Option<u32>,
    from_tray: vec::Vec<(u32, u32, bool)>,
    opened: usize,
    doorbells: u64,
    closed: vec::Vec<std::string::String>,
    resets: vec::Vec<bool>,
}

impl Fake {
    fn new() -> Fake {
        // Leaked on purpose: programs keep references into the window for the test's life.
        let memory = |pages: usize| {
            let v = vec![0u64; (pages + 1) * PAGE / 8].leak();
            (v.as_mut_ptr() as usize).next_multiple_of(PAGE) as *mut u8
        };
        Fake {
            code: memory(5),
            maps: memory(8),
            frame: false,
            kept: false,
            kept_at_4: false,
            tray: None,
            from_tray: vec![],
            opened: 0,
            doorbells: 0,
            closed: vec![],
            resets: vec![],
        }
    }
    fn write(&self, page: usize, program: &[Insn]) {
        for (i, insn) in program.iter().enumerate() {
            // SAFETY: inside the fake code window.
            unsafe { self.code.add(page * PAGE + i * 8).cast::<Insn>().write(*insn) };
        }
    }
}

impl Server for Fake {
    fn map_code(&mut self, _: u32) -> bool {
        core::mem::take(&mut self.frame)
    }
    fn map_data(&mut self, _: u32, _: bool) -> bool {
        core::mem::take(&mut self.frame)
    }
    fn keep_code(&mut self) -> bool {
        self.kept = core::mem::take(&mut self.frame);
        self.kept
    }
    fn map_kept(&mut self, page: u32) -> bool {
        let mapped = core::mem::take(&mut self.kept) && page == 4;
        self.kept_at_4 |= mapped;
        mapped
    }
    fn drop_kept(&mut self) {
        self.kept = false;
    }
    fn keep_tray(&mut self) -> bool {
        self.tray = core::mem::take(&mut self.frame).then_some(3);
        self.tray.is_some()
    }
    fn drop_tray(&mut self) {
        self.tray = None;
    }
    fn has_tray(&self) -> bool {
        self.tray.is_some()
    }
    fn map_from_tray(&mut self, slot: u32, page: u32, writable: bool) -> bool {
        self.from_tray.push((slot, page, writable));
        self.tray.is_some_and(|frames| slot < frames)
    }
    fn has_code(&self, page: u32) -> bool {
        page < 4 || page == 4 && self.kept_at_4
    }
    fn has_data(&self, page: u32) -> bool {
        page < 8
    }
    fn keep_doorbell(&mut self, slot: u32) -> bool {
        self.doorbells |= 1 << slot;
        core::mem::take(&mut self.frame)
    }
    fn drop_doorbell(&mut self, slot: u32) {
        self.doorbells &= !(1 << slot);
    }
    fn drop_code(&mut self, page: u32) {
        self.kept_at_4 &= page != 4;
    }
    fn drop_data(&mut self, _: u32) {}
    fn has_frame(&self) -> bool {
        self.frame
    }
    fn open_point(&mut self, name: &str) -> bool {
        self.opened += 1;
        name.starts_with("timer/") || name.starts_with("gpio/x/")
    }
    fn stream(&self, name: &str) -> Stream {
        if name.starts_with("gpio/") {
            return Stream::Shared { group: 0, points: 2, most: 10, window: 10_000_000 };
        }
        let hz = name.strip_prefix("timer/").and_then(|r| r.strip_suffix("hz")).and_then(|n| n.parse().ok());
        hz.map_or(Stream::Silent, |hz: u64| Stream::Periodic(1_000_000_000 / hz.max(1)))
    }
    fn point_changed(&mut self, _: &str, _: PointId, _: usize) {}
    fn close_point(&mut self, name: &str) {
        self.closed.push(name.into());
    }
    fn was_reset(&mut self, stops: bool) {
        self.resets.push(stops);
    }
    fn code_window(&self) -> usize {
        self.code as usize
    }
    fn map_window(&self) -> usize {
        self.maps as usize
    }
}

fn log(text: &str) {
    std::println!("{text}");
}

fn insn(op: u8, dst: u8, src: u8, off: i16, imm: i32) -> Insn {
    Insn::new(op, dst, src, off, imm)
}

/// A map whose pages are there: sizes of key and value, entries.
fn plan(slot: u32, map_type: u32, [key_size, value_size, max_entries]: [u32; 3], page: u32) -> MapPlan {
    MapPlan { slot, map_type, key_size, value_size, max_entries, page, frames: 0, writable: true }
}

/// The request for a map whose pages are there. Tests' requests live as long as the tests.
fn map_of(slot: u32, map_type: u32, sizes: [u32; 3], page: u32) -> Request<'static> {
    Request::Maps { maps: vec::Vec::from(plan(slot, map_type, sizes, page).to_bytes()).leak() }
}

const EXIT: Insn = Insn::new(0x95, 0, 0, 0, 0);

fn attach(host: &mut Host, fake: &mut Fake, id: u32, page: u32, n: usize, replaces: Option<u32>) -> Reply {
    let request = Request::Attach {
        numbers: Numbers {
            program: ProgramId(id),
            page,
            pages: 1,
            slots: n as u32,
            replaces: replaces.map(ProgramId),
            cost: 100,
            client: ClientBadge::new(1),
        },
        point: "iio/x/y",
        name: "filter",
        grants: None,
        maps: &[],
        kept: false,
    };
    host.handle(&request, fake)
}

fn attach_at(host: &mut Host, fake: &mut Fake, id: u32, point: &str, grants: Grants) -> Reply {
    let program = ProgramId(id);
    let request = Request::Attach {
        numbers: Numbers {
            program,
            page: 0,
            pages: 1,
            slots: 1,
            replaces: None,
            cost: 0,
            client: ClientBadge::NOBODY,
        },
        point,
        name: "stop",
        grants: (grants != Grants::NONE).then_some(grants),
        maps: &[],
        kept: false,
    };
    host.handle(&request, fake)
}
