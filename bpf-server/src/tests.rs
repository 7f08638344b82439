//! The loader over a system made of a memory file: frames are its pages, the hosting server's windows are where the real
//! ones are, programs are interpreted. What is checked: who gets which rights, that everything is undone and freed.

mod admission;
mod memory;

use super::*;
use crate::share::{PER_POINT, PROGRAMS_PER_CLIENT};
use axiom_bpf_host::{Clock, Host, PointId, Server, Stream};
use axiom_proto::bpf::{ProgramId, Refusal, Reply, Request, Setting, Source};
use axiom_proto::bpf_host::{self, CODE_WINDOW, MAP_WINDOW};
use axiom_proto::env::ClientBadge;
use axiom_proto::gpio::{Grants, ProgramGrants};
use core::ops::Range;
use std::sync::{Mutex, MutexGuard};

mod owners;
mod uploads;

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
    fn host(&self, point: &str) -> Option<HostId> {
        ["iio/", "timer/", "gpio/", "pwm/"].iter().any(|p| point.starts_with(p)).then_some(HostId(0))
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
    fn allocate(&mut self, pages: u32) -> Option<Memory> {
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
    fn free(&mut self, memory: Memory) {
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
        self.peer.token = Some(token);
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
        0
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

#[test]
fn the_filter_is_loaded_runs_and_leaves_nothing_behind() {
    let mut l = loader();
    let id = loaded(&mut l, &load(Source::Blob("filter.o")));
    assert_eq!([50, 100, 900, 901].map(|v| sample(&mut l, v)), [false, true, true, false]);
    assert_eq!(counts(&mut l, id), [2, 2]);
    match l.handle(ClientBadge::new(1), &Request::List { after: 0 }, (0, 0)).reply {
        Reply::Info(info) => {
            assert_eq!((info.id, info.name, info.point), (id, "iio_filter", "iio/adxl345/accel_x"));
            assert_eq!((info.attached, info.runs, info.accepted, info.map_bytes), (true, 4, 2, 5 * 4096));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(l.handle(ClientBadge::new(1), &Request::List { after: id.0 }, (0, 0)).reply, Reply::End);
    // The ring's first page may be written by its consumer, the others only read.
    for (page, writable) in [(0, true), (1, false), (2, false)] {
        let outcome =
            l.handle(ClientBadge::new(1), &Request::MapFrame { program: id, map: "events", page }, (0, 0));
        assert_eq!(outcome.reply, Reply::Frame { pages: 3, writable });
        assert_eq!(outcome.frame.unwrap().2 == Access::Write, writable);
    }
    assert_eq!(l.handle(ClientBadge::new(1), &Request::Unload { program: id }, (0, 0)).reply, Reply::Done);
    assert_eq!((l.platform().used(), l.platform().peer.mapped), (0, 0));
    assert!(sample(&mut l, 5000), "without a program every sample passes");
    use Stage::*;
    assert_eq!(l.platform().stages, [Begin, Attached]);
}

#[test]
fn settings_change_the_range_before_verification() {
    let mut l = loader();
    let mut settings = [None; 4];
    settings[0] = Some(Setting { name: "minimum", value: -10 });
    settings[1] = Some(Setting { name: "maximum", value: 10 });
    let mut request = load(Source::Inline(FILTER));
    if let Request::Load { settings: s, .. } = &mut request {
        *s = settings;
    }
    loaded(&mut l, &request);
    assert_eq!([-11, -10, 10, 11].map(|v| sample(&mut l, v)), [false, true, true, false]);
    if let Request::Load { settings: s, .. } = &mut request {
        s[0] = Some(Setting { name: "minimun", value: 0 });
    }
    let (why, text) = refused(&mut l, &request);
    assert_eq!((why, text.as_str()), (Refusal::NotFound, "the object has no global number 'minimun' to set"));
}

#[test]
fn a_program_is_replaced_in_place_and_detached_and_attached_again() {
    let mut l = loader();
    let old = loaded(&mut l, &load(Source::Inline(FILTER)));
    let used = l.platform().used();
    let mut request = load(Source::Inline(FILTER));
    if let Request::Load { replaces, settings, .. } = &mut request {
        *replaces = Some(old);
        settings[0] = Some(Setting { name: "minimum", value: 500 });
    }
    let new = loaded(&mut l, &request);
    assert!(!sample(&mut l, 400) && sample(&mut l, 500));
    assert_eq!(l.platform().used(), used, "the old one is freed");
    assert_eq!(
        l.handle(ClientBadge::new(1), &Request::Unload { program: old }, (0, 0)).reply,
        Reply::Refused(Refusal::NotFound)
    );
    assert_eq!(l.handle(ClientBadge::new(1), &Request::Detach { program: new }, (0, 0)).reply, Reply::Done);
    assert!(sample(&mut l, 0));
    assert_eq!(l.handle(ClientBadge::new(1), &Request::Attach { program: new }, (0, 0)).reply, Reply::Done);
    assert!(!sample(&mut l, 0));
}

fn upload(l: &mut Loader<Fake>, bytes: &[u8]) {
    for (i, bytes) in bytes.chunks(800).enumerate() {
        let request = Request::Upload { offset: i as u32 * 800, bytes };
        assert_eq!(l.handle(ClientBadge::new(1), &request, (0, 0)).reply, Reply::Done);
    }
}

#[test]
fn uploads_arrive_in_pieces() {
    let mut l = loader();
    upload(&mut l, CALLS);
    let mut request = load(Source::Uploaded);
    if let Request::Load { program, .. } = &mut request {
        *program = "second";
    }
    loaded(&mut l, &request);
    assert_eq!(l.platform().peer.changes, [("timer/10hz".into(), 1)]);
    let (why, text) = refused(&mut l, &Request::Upload { offset: 77, bytes: &[1] });
    assert_eq!(why, Refusal::BadRequest);
    assert!(text.starts_with("an upload goes on at byte 0, not at 77"), "{text}");
}

#[test]
fn what_is_wrong_is_said_and_nothing_is_kept() {
    let mut l = loader();
    let (why, text) = refused(&mut l, &load(Source::Inline(&FILTER[..1000])));
    assert_eq!(why, Refusal::Object);
    assert!(text.contains("cut short or damaged"), "{text}");
    let (why, text) = refused(&mut l, &load(Source::Blob("missing.o")));
    assert_eq!(
        (why, text.as_str()),
        (Refusal::NotFound, "no object 'missing.o' was given to bpf-server by the manifest")
    );
    let mut request = load(Source::Inline(STRAIGHT));
    if let Request::Load { point, .. } = &mut request {
        *point = "spi/0/1";
    }
    let (why, text) = refused(&mut l, &request);
    assert_eq!(why, Refusal::NoSuchPoint);
    assert_eq!(
        text,
        "nobody serves attach points like 'spi/0/1'; there are: iio/<device>/<channel>, timer/<n>hz, \
         gpio/<chip>/<line>/<rising|falling|both>, pwm/<chip>/<channel>"
    );
    if let Request::Load { point, .. } = &mut request {
        *point = "iio/adxl345/temperature";
    }
    let (why, text) = refused(&mut l, &request);
    assert_eq!(why, Refusal::NoSuchPoint);
    assert_eq!(
        text,
        "the server of 'iio/adxl345/temperature' has no such attach point; it has: iio/adxl345/accel_x, iio/lm75/temp"
    );
    for n in 0..20 {
        l.platform().host.add_point(&format!("iio/many/{n}")).unwrap();
    }
    let (_, text) = refused(&mut l, &request);
    assert!(text.ends_with(", iio/many/9, and more"), "{text}");
    let long = format!("iio/{}", "x".repeat(61));
    if let Request::Load { point, .. } = &mut request {
        *point = &long;
    }
    assert!(refused(&mut l, &request).1.starts_with("nobody serves attach points like 'iio/xxx"));
    // Which of two programs is meant is not guessed.
    upload(&mut l, CALLS);
    let (why, text) = refused(&mut l, &load(Source::Uploaded));
    assert_eq!(
        (why, text.as_str()),
        (
            Refusal::BadRequest,
            "the object has 2 programs: say which: first (timer/10hz), second (timer/10hz)"
        )
    );
    assert_eq!((l.platform().used(), l.platform().peer.mapped), (0, 0));
}

#[test]
fn a_host_that_stops_answering_costs_nothing() {
    // With a tray it is asked once, given the tray, and asked again; without one each page is a call.
    for (no_tray, calls) in [(false, 3), (true, 6)] {
        for answers in 0..calls {
            let mut l = loader();
            (l.platform().no_tray, l.platform().calls_left) = (no_tray, answers);
            let (why, text) = refused(&mut l, &load(Source::Inline(FILTER)));
            assert_eq!(why, Refusal::Host, "after {answers} answers: {text}");
            assert_eq!(l.platform().used(), 0);
            // It came back: everything is as if nothing had been.
            l.platform().calls_left = calls;
            l.platform().host = new_host();
            l.platform().peer.has_tray = false;
            loaded(&mut l, &load(Source::Inline(FILTER)));
            assert_eq!(l.platform().calls_left, 0);
        }
    }
}

#[test]
fn a_restarted_host_gets_its_programs_again() {
    let mut l = loader();
    let id = loaded(&mut l, &load(Source::Inline(FILTER)));
    assert!(!sample(&mut l, 1));
    assert_eq!(l.check_hosts(), []);
    assert_eq!(l.check_hosts(), [], "the same start as before");
    l.platform().host = new_host();
    assert!(sample(&mut l, 1), "the new host has nothing yet");
    assert_eq!(l.check_hosts(), [(HostId(0), 1, 0)]);
    assert!(!sample(&mut l, 1) && sample(&mut l, 200));
    assert_eq!(counts(&mut l, id), [2, 1], "the maps kept their contents");
    // A host that has the program already (it was loaded while the host came up) ends in the same state.
    assert_eq!(l.host_restarted(HostId(0)), (1, 0));
    assert!(!sample(&mut l, 1) && sample(&mut l, 200));
    // Where a new host does not take it, the program stays loaded and detached.
    l.platform().calls_left = 2;
    assert_eq!(l.host_restarted(HostId(0)), (1, 1));
}

#[test]
fn a_host_that_dies_during_a_load_gets_the_program_all_the_same() {
    let mut l = loader();
    l.check_hosts();
    let (mut calls, mut no_tray) = (0, false);
    loop {
        l.platform().dies_in = Some(calls);
        (l.platform().no_tray, l.platform().peer.has_tray) = (no_tray, false);
        let id = loaded(&mut l, &load(Source::Inline(FILTER)));
        let died = l.platform().dies_in.take().is_none();
        assert!(!sample(&mut l, 1) && sample(&mut l, 200), "after {calls} calls");
        let restarts = l.check_hosts();
        assert_eq!(restarts.len(), usize::from(died), "told once");
        assert_eq!(
            l.handle(ClientBadge::new(1), &Request::Unload { program: id }, (0, 0)).reply,
            Reply::Done
        );
        assert_eq!(l.platform().used(), 0);
        calls += 1;
        if !died {
            assert_eq!(calls, if no_tray { 7 } else { 4 }, "every step was interrupted once");
            if core::mem::replace(&mut no_tray, true) {
                return;
            }
            calls = 0;
        }
    }
}

#[test]
fn a_doorbell_is_kept_across_restarts_and_goes_with_its_program() {
    let mut l = loader();
    let program = loaded(&mut l, &load(Source::Inline(FILTER)));
    let notify = |map| Request::Notify { program, map };
    let (refusal, text) = refused(&mut l, &notify("events"));
    assert_eq!(refusal, Refusal::BadRequest);
    assert!(text.contains("no notification came"), "{text}");
    l.platform().received = Some(Token(7));
    assert_eq!(refused(&mut l, &notify("counts")).0, Refusal::Host, "an array has no doorbell");
    assert_eq!(l.platform().tokens, []);
    for token in [Token(8), Token(9)] {
        l.platform().received = Some(token);
        assert_eq!(l.handle(ClientBadge::new(1), &notify("events"), (0, 0)).reply, Reply::Done);
    }
    assert_eq!(l.platform().tokens, [Token(9)], "the newer one takes the place");
    let before = l.platform().peer.doorbells.clone();
    l.platform().host = new_host();
    l.platform().peer.doorbells.clear();
    assert_eq!(l.host_restarted(HostId(0)), (1, 0));
    assert_eq!(l.platform().peer.doorbells, before);
    assert_eq!(l.handle(ClientBadge::new(1), &Request::Unload { program }, (0, 0)).reply, Reply::Done);
    assert_eq!((l.platform().tokens.len(), l.platform().peer.doorbells.len()), (0, 0));
}

#[test]
fn memory_that_is_used_up_is_refused() {
    let mut l = loader();
    let sensors = vec!["adxl345".to_string(), "lm75".to_string()];
    l.rights_mut().clients = (1..=20)
        .map(|badge| Client {
            badge: ClientBadge::new(badge),
            name: badge.to_string(),
            sensors: sensors.clone(),
        })
        .collect();
    // A program on each of two points, client after client.
    let mut n = 0;
    let (badge, why) = loop {
        let badge = 20 - n as u64 / 2;
        let mut request = load(Source::Inline(FILTER));
        if let Request::Load { attach, point, .. } = &mut request {
            *attach = false;
            *point = ["iio/adxl345/accel_x", "iio/lm75/temp"][n % 2];
        }
        match l.handle(ClientBadge::new(badge), &request, (0, 0)).reply {
            Reply::Loaded { .. } => n += 1,
            Reply::Refused(why) => break (badge, why),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(why, Refusal::Resources);
    let Reply::Text(text) = l.handle(ClientBadge::new(badge), &Request::Verdict { offset: 0 }, (0, 0)).reply
    else {
        panic!()
    };
    assert_eq!(
        text,
        "no room for the program: bpf-server's memory for programs has no 6 pages (24 KiB) left for code and maps"
    );
    assert_eq!(n, POOL as usize / 6);
}

#[test]
fn half_of_the_memory_is_all_that_one_client_gets() {
    let mut l = loader();
    let points: Vec<String> = (0..4).map(|n| format!("iio/s{n}/x")).collect();
    l.rights_mut().clients[0].sensors = (0..4).map(|n| format!("s{n}")).collect();
    let mut n = 0;
    let why = loop {
        let mut request = load(Source::Inline(FILTER));
        if let Request::Load { attach, point, .. } = &mut request {
            *attach = false;
            *point = &points[n / 2];
        }
        match l.handle(ClientBadge::new(1), &request, (0, 0)).reply {
            Reply::Loaded { .. } => n += 1,
            Reply::Refused(why) => break why,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((why, n), (Refusal::Resources, POOL as usize / 2 / 6));
    let text = verdict(&mut l);
    assert!(text.contains("its client has 30 of the 32 that one may have"), "{text}");
    assert_eq!(l.platform().used(), 30, "what was refused is given back");
}

fn pin_rights() -> Rights {
    let line = |line| axiom_proto::gpio::Line { chip: 0, line };
    let grants = |program: &str, get: &[u8], set: &[u8]| {
        let mut grants = Grants::NONE;
        get.iter().for_each(|l| grants.grant_line(line(*l), false));
        set.iter().for_each(|l| grants.grant_line(line(*l), true));
        grants.grant_channel(axiom_proto::gpio::Channel { chip: 0, channel: 0 });
        grants.motor_stop = program == "limit_switch";
        ProgramGrants {
            program: program.into(),
            object: format!("{program}.o"),
            grants,
            owner: "owner".into(),
            pinned: None,
        }
    };
    Rights {
        programs: vec![
            grants("button_led", &[5], &[6]),
            grants("limit_switch", &[4], &[]),
            grants("greedy", &[5], &[]),
            grants("speed_limit", &[], &[]),
            grants("oscillator", &[], &[17]),
        ],
        gpio_chips: vec!["pl061".into()],
        pwm_chips: vec!["soft-pwm".into()],
        clients: clients(),
    }
}

/// A line that is a setting is a constant to the verifier, so that a line without a grant is refused before the run.
fn pins_by_setting(l: &mut Loader<Fake>, blob: &str) {
    let mut request = load(Source::Blob(blob));
    if let Request::Load { settings, .. } = &mut request {
        settings[0] = Some(Setting { name: "led_line", value: 17 });
    }
    let used = l.platform().used();
    let (why, text) = refused(l, &request);
    assert_eq!(why, Refusal::NotGranted, "{text}");
    assert!(text.contains("bpf_gpio_set drives line 17 of chip 'pl061'"), "{text}");
    assert!(text.contains("At:         button_led.c:"), "{text}");
    assert!(text.contains("line = 17, out = true }] in [program.button_led]"), "{text}");
    if let Request::Load { settings, point, .. } = &mut request {
        settings[0] = None;
        *point = "gpio/pl061/3/both";
    }
    let (why, text) = refused(l, &request);
    assert_eq!(why, Refusal::NotGranted, "{text}");
    assert!(text.contains("it would see the edges of line 3"), "{text}");
    assert_eq!(l.platform().used(), used, "nothing was placed");
}

/// The sample programs, where `bpf-server/programs/build` has compiled them (the recipe and CI do so first).
#[test]
fn the_samples_are_accepted_and_the_bad_ones_refused_with_their_lines() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/axiom/programs");
    let Ok(files) = std::fs::read_dir(&folder) else {
        eprintln!("skipped: {} does not exist; run bpf-server/programs/build", folder.display());
        return;
    };
    let mut l = loader();
    l.set_rights(pin_rights());
    for name in ["accel_y", "accel_z"] {
        l.platform().host.add_point(&format!("iio/adxl345/{name}")).unwrap();
    }
    for file in files {
        let path = file.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_string();
        let bytes = std::fs::read(&path).unwrap();
        for (i, chunk) in bytes.chunks(800).enumerate() {
            l.handle(ClientBadge::new(1), &Request::Upload { offset: i as u32 * 800, bytes: chunk }, (0, 0));
        }
        let mut request = load(Source::Uploaded);
        let blob = format!("{name}.o");
        if ["button_led", "limit_switch", "greedy", "speed_limit", "oscillator"].contains(&name.as_str()) {
            // What a client sends has no rights to lines, whatever its names.
            let (why, text) = refused(&mut l, &request);
            assert_eq!(why, Refusal::NotGranted, "{text}");
            assert!(text.contains("a program that a client sends has no rights"), "{text}");
            l.platform().blobs.push((blob.clone(), bytes.leak()));
            request = load(Source::Blob(&blob));
            if name == "button_led" {
                pins_by_setting(&mut l, &blob);
            }
        }
        if name.starts_with("bad_") {
            let (why, text) = refused(&mut l, &request);
            println!("{name}:\n{text}");
            assert_eq!(why, Refusal::Verifier, "{name}");
            assert!(text.contains(&format!("{name}.c:")), "{text}");
        } else {
            let id = loaded(&mut l, &request);
            assert_eq!(
                l.handle(ClientBadge::new(1), &Request::Unload { program: id }, (0, 0)).reply,
                Reply::Done
            );
        }
    }
}
