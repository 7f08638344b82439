//! The loader over a system made of a memory file: frames are its pages, the hosting server's windows are where the real
//! ones are, programs are interpreted. What is checked: who gets which rights, that everything is undone and freed.

mod admission;
mod loads;
mod memory;
mod owners;
mod samples;
mod uploads;

use super::*;
use crate::share::{PER_POINT, PROGRAMS_PER_CLIENT};
use axiom_bpf_host::{Clock, Host, PointId, Server, Stream};
use axiom_bpf_isa::ProgramKind;
use axiom_proto::bpf::{ProgramId, Refusal, Reply, Request, Setting, Source};
use axiom_proto::bpf_host::{self, CODE_WINDOW, MAP_WINDOW};
use axiom_proto::env::ClientBadge;
use axiom_proto::gpio::{Grants, ProgramGrants};
use core::ops::Range;
use std::sync::{Mutex, MutexGuard};

const FILTER: &[u8] = include_bytes!("../object/tests/data/iio_filter.o");
const CALLS: &[u8] = include_bytes!("../object/tests/data/calls.o");
const STRAIGHT: &[u8] = include_bytes!("../object/tests/data/straight_2.o");
const PAGE: usize = 4096;
const POOL: u32 = 64;

/// The windows are at fixed addresses: one test at a time.
static WINDOWS: Mutex<()> = Mutex::new(());

struct Memory {
    first: u32,
    pages: u32,
    mapped: Vec<(*mut u8, usize)>,
    sealed: bool,
}

/// The hosting server's side: what came with the message, and its mappings.
struct Peer {
    file: i32,
    frame: Option<(u32, Access)>,
    changes: Vec<(String, usize)>,
    mapped: usize,
    /// Code and map pages that are there.
    code: Vec<u32>,
    data: Vec<u32>,
    /// The token that came with the message, and those that became doorbells.
    token: Option<Token>,
    doorbells: Vec<(u32, Token)>,
    /// Whether the host has its tray, and what lies in it.
    has_tray: bool,
    tray: Vec<Option<(u32, Access)>>,
}

impl Peer {
    fn map(&mut self, address: usize, write: bool) -> bool {
        let Some((page, access)) = self.frame.take() else { return false };
        if write && access == Access::Read {
            return false;
        }
        let protection = if write { libc::PROT_READ | libc::PROT_WRITE } else { libc::PROT_READ };
        // SAFETY: a fixed mapping inside the windows, which belong to these tests.
        let p = unsafe {
            libc::mmap(
                address as *mut _,
                PAGE,
                protection,
                libc::MAP_SHARED | libc::MAP_FIXED,
                self.file,
                page as i64 * PAGE as i64,
            )
        };
        self.mapped += 1;
        p as usize == address
    }
    fn unmap(&mut self, address: usize) {
        // SAFETY: as above.
        unsafe { libc::munmap(address as *mut _, PAGE) };
        self.mapped -= 1;
    }
}

impl Server for Peer {
    fn map_code(&mut self, page: u32) -> bool {
        assert!(self.frame.is_none_or(|f| f.1 == Access::Read), "code came with a writable capability");
        self.code.push(page);
        self.map(CODE_WINDOW + page as usize * PAGE, false)
    }
    fn map_data(&mut self, page: u32, writable: bool) -> bool {
        self.data.push(page);
        self.map(MAP_WINDOW + page as usize * PAGE, writable)
    }
    fn keep_code(&mut self) -> bool {
        false
    }
    fn map_kept(&mut self, _: u32) -> bool {
        false
    }
    fn drop_kept(&mut self) {}
    fn keep_tray(&mut self) -> bool {
        self.has_tray = true;
        true
    }
    fn drop_tray(&mut self) {
        self.has_tray = false;
    }
    fn has_tray(&self) -> bool {
        self.has_tray
    }
    fn map_from_tray(&mut self, slot: u32, page: u32, writable: bool) -> bool {
        let code = self.frame;
        self.frame = self.tray.get_mut(slot as usize).and_then(Option::take);
        let mapped = self.map_data(page, writable);
        self.frame = code;
        mapped
    }
    fn has_code(&self, page: u32) -> bool {
        self.code.contains(&page)
    }
    fn has_data(&self, page: u32) -> bool {
        self.data.contains(&page)
    }
    fn keep_doorbell(&mut self, slot: u32) -> bool {
        self.drop_doorbell(slot);
        self.doorbells.extend(self.token.map(|t| (slot, t)));
        self.token.take().is_some()
    }
    fn drop_doorbell(&mut self, slot: u32) {
        self.doorbells.retain(|d| d.0 != slot);
    }
    fn drop_code(&mut self, page: u32) {
        if !self.code.contains(&page) {
            return;
        }
        self.code.retain(|p| *p != page);
        self.unmap(CODE_WINDOW + page as usize * PAGE);
    }
    fn drop_data(&mut self, page: u32) {
        if !self.data.contains(&page) {
            return;
        }
        self.data.retain(|p| *p != page);
        self.unmap(MAP_WINDOW + page as usize * PAGE);
    }
    fn has_frame(&self) -> bool {
        self.frame.is_some()
    }
    fn open_point(&mut self, name: &str) -> bool {
        ["timer/", "gpio/pl061/", "gpio/rp1/", "pwm/soft-pwm/"].iter().any(|p| name.starts_with(p))
    }
    fn stream(&self, name: &str) -> Stream {
        let hz = name.strip_prefix("timer/").and_then(|r| r.strip_suffix("hz")).and_then(|n| n.parse().ok());
        hz.map_or(Stream::Silent, |hz: u64| Stream::Periodic(1_000_000_000 / hz.max(1)))
    }
    fn point_changed(&mut self, name: &str, _: PointId, programs: usize) {
        self.changes.push((name.into(), programs));
    }
    fn close_point(&mut self, _: &str) {}
    fn was_reset(&mut self, _: bool) {}
}

struct Fake {
    file: i32,
    free: Vec<bool>,
    host: Host,
    peer: Peer,
    /// What came with the client's request, and the tokens that are kept.
    received: Option<Token>,
    tokens: Vec<Token>,
    /// The notifications behind the tokens are gone.
    owner_died: bool,
    /// Host calls until the host stops answering.
    calls_left: u32,
    /// Host calls until the host dies in one and is started anew.
    dies_in: Option<u32>,
    stages: Vec<Stage>,
    /// There is no memory for a tray.
    no_tray: bool,
    /// Milliseconds.
    now: u64,
    blobs: Vec<(String, &'static [u8])>,
    _alone: MutexGuard<'static, ()>,
}

fn log(text: &str) {
    println!("{text}");
}

fn new_host() -> Host {
    let mut host = Host::new(Clock::new(1_000_000_000), log);
    host.add_point("iio/adxl345/accel_x").unwrap();
    host.add_point("iio/lm75/temp").unwrap();
    host
}

impl Fake {
    fn new() -> Fake {
        let alone = WINDOWS.lock().unwrap_or_else(|e| e.into_inner());
        // SAFETY: makes a file of zeros.
        let file = unsafe { libc::memfd_create(c"frames".as_ptr(), 0) };
        assert!(file >= 0);
        // SAFETY: our own file.
        assert_eq!(unsafe { libc::ftruncate(file, POOL as i64 * PAGE as i64) }, 0);
        let peer = Peer {
            file,
            frame: None,
            changes: Vec::new(),
            mapped: 0,
            code: Vec::new(),
            data: Vec::new(),
            token: None,
            doorbells: Vec::new(),
            has_tray: false,
            tray: Vec::new(),
        };
        Fake {
            file,
            free: vec![true; POOL as usize],
            host: new_host(),
            peer,
            received: None,
            tokens: Vec::new(),
            owner_died: false,
            calls_left: u32::MAX,
            dies_in: None,
            stages: Vec::new(),
            no_tray: false,
            now: 0,
            blobs: vec![("filter.o".into(), FILTER)],
            _alone: alone,
        }
    }
    fn live(&mut self) -> Option<()> {
        match self.dies_in {
            Some(0) => {
                self.dies_in = None;
                self.host = new_host();
                self.peer.has_tray = false;
                let (code, data) = (self.peer.code.clone(), self.peer.data.clone());
                code.into_iter().for_each(|p| self.peer.drop_code(p));
                data.into_iter().for_each(|p| self.peer.drop_data(p));
                None
            }
            left => {
                self.dies_in = left.map(|n| n - 1);
                Some(())
            }
        }
    }
    fn used(&self) -> usize {
        self.free.iter().filter(|f| !**f).count()
    }
}

impl Platform for Fake {
    type Memory = Memory;
    fn host(&self, _: ProgramKind) -> Option<HostId> {
        Some(HostId(0))
    }
    fn host_name(&self, _: HostId) -> &str {
        "timer-server"
    }
    fn hosts(&self) -> usize {
        1
    }
    fn pages(&self) -> u32 {
        POOL
    }
    fn allocate(&mut self, _: HostId, code: u32, maps: u32) -> Option<Memory> {
        let pages = code + maps;
        let n = pages as usize;
        let first =
            (0..=self.free.len().checked_sub(n)?).find(|&s| self.free[s..s + n].iter().all(|f| *f))?;
        self.free[first..first + n].fill(false);
        Some(Memory { first: first as u32, pages, mapped: Vec::new(), sealed: false })
    }
    fn map(&mut self, memory: &mut Memory, first: u32, pages: u32) -> Option<*mut u8> {
        assert!(first + pages <= memory.pages);
        let bytes = pages as usize * PAGE;
        let offset = (memory.first + first) as i64 * PAGE as i64;
        // SAFETY: a new mapping of our file.
        let p = unsafe {
            libc::mmap(
                core::ptr::null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                self.file,
                offset,
            )
        };
        memory.mapped.push((p.cast(), bytes));
        Some(p.cast())
    }
    fn seal(&mut self, memory: &mut Memory, _: u32, _: u32, _: usize) -> bool {
        let (p, n) = memory.mapped.pop().unwrap();
        // SAFETY: mapped above.
        unsafe { libc::munmap(p.cast(), n) };
        memory.sealed = true;
        true
    }
    fn free(&mut self, memory: Memory, _: HostId) {
        for (p, n) in memory.mapped {
            // SAFETY: mapped above; zeroes the pages for their next use first.
            unsafe {
                core::ptr::write_bytes(p, 0, n);
                libc::munmap(p.cast(), n);
            }
        }
        self.free[memory.first as usize..(memory.first + memory.pages) as usize].fill(true);
    }
    fn call_host(
        &mut self,
        _: HostId,
        request: &bpf_host::Request<'_>,
        frame: Option<(&mut Memory, u32, Access)>,
    ) -> Option<bpf_host::Reply> {
        self.calls_left = self.calls_left.checked_sub(1)?;
        self.live()?;
        self.peer.frame = frame.map(|(m, page, access)| {
            assert!(m.sealed, "a frame is handed over before the code's writable mapping is gone");
            (m.first + page, access)
        });
        Some(self.host.handle(request, &mut self.peer))
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
        for page in pages {
            let request = bpf_host::Request::MapPage { page, writable: access == Access::Write };
            match self.call_host(host, &request, Some((memory, first + page - start, access)))? {
                bpf_host::Reply::Done => {}
                refused => return Some(refused),
            }
        }
        Some(bpf_host::Reply::Done)
    }
    fn fill_tray(&mut self, _: HostId, memory: &mut Memory, frames: &[(u32, u32, Access)]) -> bool {
        assert!(memory.sealed, "a frame is handed over before the code's writable mapping is gone");
        let base = memory.first;
        let pages = frames.iter().flat_map(|&(first, count, access)| {
            (first..first + count).map(move |page| Some((base + page, access)))
        });
        self.peer.tray = pages.collect();
        assert!(self.peer.tray.len() <= bpf_host::TRAY as usize);
        !self.no_tray
    }
    fn give_tray(&mut self, host: HostId) -> Option<bpf_host::Reply> {
        self.call_host(host, &bpf_host::Request::Tray, None)
    }
    fn take_token(&mut self) -> Option<Token> {
        self.tokens.extend(self.received);
        self.received.take()
    }
    fn drop_token(&mut self, token: Token) {
        self.tokens.retain(|t| *t != token);
    }
    fn call_host_with_token(
        &mut self,
        _: HostId,
        request: &bpf_host::Request<'_>,
        token: Token,
    ) -> Option<bpf_host::Reply> {
        self.calls_left = self.calls_left.checked_sub(1)?;
        self.live()?;
        self.peer.token = Some(token).filter(|_| !self.owner_died);
        Some(self.host.handle(request, &mut self.peer))
    }
    fn has_memory(bytes: usize) -> bool {
        memory::has(bytes)
    }
    fn blob(&self, name: &str) -> Option<&'static [u8]> {
        self.blobs.iter().find(|(n, _)| n == name).map(|(_, bytes)| *bytes)
    }
    fn milliseconds(&self) -> u64 {
        self.now
    }
    fn ticks(&self) -> u64 {
        self.now
    }
    fn cycles(&self) -> u64 {
        0
    }
    fn trace(&mut self, stage: Stage, _: u32) {
        self.stages.push(stage);
    }
}

fn clients() -> Vec<Client> {
    let sensors = ["adxl345", "lm75"].map(String::from).to_vec();
    vec![
        Client { badge: ClientBadge::new(1), name: "owner".into(), sensors },
        Client { badge: ClientBadge::new(2), name: "other".into(), sensors: vec![] },
    ]
}

fn loader() -> Loader<Fake> {
    let mut l = Loader::new(Fake::new(), Default::default(), true);
    l.set_rights(Rights { clients: clients(), ..Rights::default() });
    l
}

fn load<'a>(source: Source<'a>) -> Request<'a> {
    Request::Load { source, program: "", point: "", attach: true, replaces: None, settings: [None; 4] }
}

fn loaded(l: &mut Loader<Fake>, request: &Request) -> ProgramId {
    if let Reply::Loaded { program, .. } = l.handle(ClientBadge::new(1), request, (0, 0)).reply {
        return program;
    }
    panic!("{}", verdict(l));
}

fn refused(l: &mut Loader<Fake>, request: &Request) -> (Refusal, String) {
    let why = match l.handle(ClientBadge::new(1), request, (0, 0)).reply {
        Reply::Refused(why) => why,
        other => panic!("{other:?}"),
    };
    (why, verdict(l))
}

fn verdict(l: &mut Loader<Fake>) -> String {
    let mut whole = String::new();
    loop {
        let request = Request::Verdict { offset: whole.len() as u32 };
        match l.handle(ClientBadge::new(1), &request, (0, 0)).reply {
            Reply::Text("") => return whole,
            Reply::Text(part) => whole.push_str(part),
            other => panic!("{other:?}"),
        }
    }
}

#[repr(C)]
struct Event {
    timestamp: u64,
    device: u32,
    channel: u32,
    value: i32,
    scale: u32,
    offset: i32,
    pad: u32,
}

fn sample(l: &mut Loader<Fake>, value: i32) -> bool {
    let host = &mut l.platform().host;
    let point = host.point("iio/adxl345/accel_x").unwrap();
    let mut event = Event { timestamp: 5, device: 1, channel: 0, value, scale: 0, offset: 0, pad: 0 };
    host.run(point, &mut event)
}

fn counts(l: &mut Loader<Fake>, program: ProgramId) -> [u64; 2] {
    [0u32, 1].map(|key| {
        let key = key.to_le_bytes();
        let request = Request::MapRead { program, map: "counts", key: &key };
        match l.handle(ClientBadge::new(1), &request, (0, 0)).reply {
            Reply::Value(v) => u64::from_le_bytes(v.try_into().unwrap()),
            other => panic!("{other:?}"),
        }
    })
}

fn upload(l: &mut Loader<Fake>, bytes: &[u8]) {
    for (i, bytes) in bytes.chunks(800).enumerate() {
        let request = Request::Upload { offset: i as u32 * 800, bytes };
        assert_eq!(l.handle(ClientBadge::new(1), &request, (0, 0)).reply, Reply::Done);
    }
}
