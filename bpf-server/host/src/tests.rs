//! A server without an operating system: its windows are ordinary memory, its programs are interpreted.

use super::*;
use crate::helpers::LogLine;
use axiom_bpf_isa::helper;
use axiom_bpf_maps::errno;
use axiom_bpf_maps::{Consumer, PAGE};
use axiom_proto::bpf_host::{Limit, MAP_PAGES, MapPlan, NO_MAPS, Overload, Refusal, Reply, Request, TRAY};
use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

extern crate std;

struct Fake {
    code: *mut u8,
    maps: *mut u8,
    frame: bool,
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
            code: memory(4),
            maps: memory(8),
            frame: false,
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
        page < 4
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
    fn drop_code(&mut self, _: u32) {}
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

fn map_of(slot: u32, map_type: u32, sizes: [u32; 3], page: u32) -> Request<'static> {
    let mut maps = NO_MAPS;
    maps[0] = Some(plan(slot, map_type, sizes, page));
    Request::Maps { maps }
}

const EXIT: Insn = Insn::new(0x95, 0, 0, 0, 0);

fn attach(host: &mut Host, fake: &mut Fake, id: u32, page: u32, n: usize, replaces: Option<u32>) -> Reply {
    let request = Request::Attach {
        program: ProgramId(id),
        page,
        pages: 1,
        slots: n as u32,
        point: "iio/x/y",
        name: "filter",
        replaces: replaces.map(ProgramId),
        grants: Grants::NONE,
        cost: 100,
        client: 1,
        maps: NO_MAPS,
    };
    host.handle(&request, fake)
}

#[test]
fn programs_run_in_order_and_all_must_accept() {
    let mut host = Host::new(Clock::new(1_000_000_000), log);
    let mut fake = Fake::new();
    let point = host.add_point("iio/x/y").unwrap();
    let mut context = [5u64, 0, 0, 0];
    assert!(host.run(point, &mut context), "no program: every sample passes");

    // Accepts when the first word is 5.
    let five = [insn(0x79, 0, 1, 0, 0), insn(0x15, 0, 0, 1, 5), insn(0xb7, 0, 0, 0, 0), EXIT];
    let always = [insn(0xb7, 0, 0, 0, 1), EXIT];
    fake.write(0, &five);
    fake.write(1, &always);
    assert_eq!(attach(&mut host, &mut fake, 1, 0, 4, None), Reply::Done);
    assert_eq!(attach(&mut host, &mut fake, 2, 1, 2, None), Reply::Done);
    assert!(host.run(point, &mut context));
    context[0] = 6;
    assert!(!host.run(point, &mut context));
    let stats =
        |host: &mut Host, fake: &mut Fake, id| host.handle(&Request::Stats { program: ProgramId(id) }, fake);
    assert_eq!(stats(&mut host, &mut fake, 1), Reply::Stats { runs: 2, accepted: 1 });
    assert_eq!(stats(&mut host, &mut fake, 2), Reply::Stats { runs: 2, accepted: 2 });

    // Replaced in place; the old one is gone.
    assert_eq!(attach(&mut host, &mut fake, 3, 1, 2, Some(1)), Reply::Done);
    assert!(host.run(point, &mut context));
    assert_eq!(stats(&mut host, &mut fake, 1), Reply::Refused(Refusal::NoSuchProgram));
    assert_eq!(host.handle(&Request::Detach { program: ProgramId(2) }, &mut fake), Reply::Done);
    assert_eq!(host.attached(point), 1);
    assert_eq!(
        host.handle(&Request::Detach { program: ProgramId(2) }, &mut fake),
        Reply::Refused(Refusal::NoSuchProgram)
    );
}

#[test]
fn numbers_out_of_range_and_unknown_points_are_refused() {
    let mut host = Host::new(Clock::new(1_000_000_000), log);
    let mut fake = Fake::new();
    host.add_point("iio/x/y").unwrap();
    let refused = |r| Reply::Refused(r);
    assert_eq!(host.handle(&Request::Code { page: 0 }, &mut fake), refused(Refusal::BadFrame));
    assert_eq!(host.handle(&Request::Code { page: 1 << 20 }, &mut fake), refused(Refusal::BadNumber));
    assert_eq!(
        host.handle(&Request::RemoveCode { page: 1, pages: u32::MAX }, &mut fake),
        refused(Refusal::BadNumber)
    );
    assert_eq!(host.handle(&Request::RemoveMap { slot: 3 }, &mut fake), refused(Refusal::BadNumber));
    let mut map = map_of(0, 2, [4, 8, 1], 0);
    assert_eq!(host.handle(&map, &mut fake), refused(Refusal::BadNumber));
    map = map_of(1, 2, [5, 8, 1], 0);
    assert_eq!(host.handle(&map, &mut fake), refused(Refusal::BadMap));
    assert_eq!(attach(&mut host, &mut fake, 1, 0, 1000, None), refused(Refusal::BadNumber));
    let elsewhere = |point| {
        let (program, grants) = (ProgramId(9), Grants::NONE);
        Request::Attach {
            program,
            page: 0,
            pages: 1,
            slots: 2,
            point,
            name: "",
            replaces: None,
            grants,
            cost: 0,
            client: 0,
            maps: NO_MAPS,
        }
    };
    assert_eq!(host.handle(&elsewhere("gpio/1"), &mut fake), refused(Refusal::NoSuchPoint));
    assert_eq!(host.handle(&elsewhere("timer/10hz"), &mut fake), Reply::Done);
    assert_eq!(fake.opened, 2);
    for id in 0..CHAIN as u32 {
        assert_eq!(attach(&mut host, &mut fake, id, 0, 1, None), Reply::Done);
    }
    assert_eq!(attach(&mut host, &mut fake, 77, 0, 1, None), refused(Refusal::Full));
}

#[test]
fn helpers_reach_maps_by_their_handles() {
    let mut host = Host::new(Clock::new(62_500_000), log);
    let mut fake = Fake::new();
    let point = host.add_point("iio/x/y").unwrap();
    let array = map_of(1, 2, [4, 8, 2], 0);
    let ring = map_of(2, 27, [0, 0, 4096], 1);
    assert_eq!(host.handle(&array, &mut fake), Reply::Done);
    assert_eq!(host.handle(&ring, &mut fake), Reply::Done);
    // counts[1] += 1; ring_output(ring, context, 8); return ktime() != 0
    let program = [
        insn(0xbf, 6, 1, 0, 0),
        insn(0x62, 10, 0, -4, 1),
        insn(0xbf, 2, 10, 0, 0),
        insn(0x07, 2, 0, 0, -4),
        insn(0x18, 1, 0, 0, 1),
        insn(0, 0, 0, 0, 0),
        insn(0x85, 0, 0, 0, 1),
        insn(0x15, 0, 0, 2, 0),
        insn(0xb7, 1, 0, 0, 1),
        insn(0xdb, 0, 1, 0, 0),
        insn(0xb7, 1, 0, 0, 2),
        insn(0xbf, 2, 6, 0, 0),
        insn(0xb7, 3, 0, 0, 8),
        insn(0xb7, 4, 0, 0, 0),
        insn(0x85, 0, 0, 0, 130),
        insn(0x85, 0, 0, 0, 5),
        EXIT,
    ];
    fake.write(0, &program);
    assert_eq!(attach(&mut host, &mut fake, 1, 0, program.len(), None), Reply::Done);
    for i in 0..3u64 {
        assert!(host.run(point, &mut [0x1111 * i, 0, 0, 0]));
    }
    assert_eq!(host.take_produced(), 1 << 2);
    // Only a ring buffer has a doorbell, and only with a capability; it goes with its map.
    let doorbell = |slot| Request::Doorbell { slot };
    fake.frame = true;
    for slot in [0, 1, 3, 64] {
        assert_eq!(host.handle(&doorbell(slot), &mut fake), Reply::Refused(Refusal::BadMap));
    }
    assert_eq!(host.handle(&doorbell(2), &mut fake), Reply::Done);
    assert_eq!(host.handle(&doorbell(2), &mut fake), Reply::Refused(Refusal::BadFrame));
    assert_eq!(fake.doorbells, 1 << 2);
    assert_eq!(host.take_produced(), 0);
    // SAFETY: the fake map window: an array on page 0, the ring from page 1.
    unsafe {
        assert_eq!(fake.maps.cast::<u64>().add(1).read(), 3);
        let mut consumer = Consumer::new(fake.maps.add(PAGE), 4096).unwrap();
        for i in 0..3u64 {
            let bytes = (0x1111 * i).to_le_bytes().to_vec();
            assert_eq!(consumer.next(|r| r.bytes.to_vec()), Some(bytes));
        }
    }
    assert_eq!(host.handle(&Request::RemoveMap { slot: 1 }, &mut fake), Reply::Done);
    assert_eq!(host.handle(&Request::RemoveMap { slot: 2 }, &mut fake), Reply::Done);
    assert_eq!(fake.doorbells, 0);
    assert!(host.run(point, &mut [0u64; 4]), "a program whose map is gone sees a null lookup");
}

std::thread_local! {
    static PRINTED: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

fn keep(text: &str) {
    PRINTED.with(|p| p.borrow_mut().push(text.to_string()));
}

fn printed() -> Vec<String> {
    PRINTED.with(|p| core::mem::take(&mut *p.borrow_mut()))
}

/// Prints a format of up to 16 bytes from the stack, with r3 to r5 as they are given.
fn printing(format: &[u8], numbers: [i32; 3]) -> Vec<Insn> {
    let mut bytes = [0u8; 16];
    bytes[..format.len()].copy_from_slice(format);
    let mut program = Vec::new();
    for (i, word) in bytes.as_chunks::<4>().0.iter().enumerate() {
        program.push(insn(0x62, 10, 0, -16 + 4 * i as i16, i32::from_le_bytes(*word)));
    }
    program.extend([insn(0xbf, 1, 10, 0, 0), insn(0x07, 1, 0, 0, -16), insn(0xb7, 2, 0, 0, 16)]);
    program.extend((0..3).map(|i| insn(0xb7, 3 + i as u8, 0, 0, numbers[i])));
    program.extend([insn(0x85, 0, 0, 0, helper::TRACE_PRINTK as i32), EXIT]);
    program
}

#[test]
fn a_line_names_its_program_and_dropped_ones_are_counted() {
    let mut host = Host::new(Clock::new(1_000_000_000), keep);
    let mut fake = Fake::new();
    let point = host.add_point("iio/x/y").unwrap();
    let mut attached = 0;
    let mut run = |host: &mut Host, program: &[Insn]| {
        attached += 1;
        fake.write(0, program);
        assert_eq!(attach(host, &mut fake, attached, 0, program.len(), None), Reply::Done);
        let result = host.run_lowest(point, &mut [0u64; 4]).unwrap() as i64;
        assert_eq!(host.handle(&Request::Detach { program: ProgramId(attached) }, &mut fake), Reply::Done);
        result
    };
    assert_eq!(run(&mut host, &printing(b"x=%d %x\n", [-5, 0xab, 0])), 8);
    assert_eq!(printed(), ["filter: x=-5 ab"]);
    // What is not known is not printed; what moves the cursor is not passed on.
    assert_eq!(run(&mut host, &printing(b"%s", [1, 2, 3])), errno::EINVAL);
    assert_eq!(run(&mut host, &printing(b"%d%d%d%d", [1, 2, 3])), errno::EINVAL);
    assert_eq!(run(&mut host, &printing(b"a\x1b[2Jb\rc", [1, 2, 3])), 8);
    assert_eq!(printed(), ["filter: a [2Jb c"]);
    for n in 0..40 {
        let result = run(&mut host, &printing(b"%d", [n, 0, 0]));
        assert_eq!(result < 0, n >= 30, "{n}");
        assert!(result > 0 || result == errno::EAGAIN);
    }
    assert_eq!(printed().len(), 30);
    host.refill_log();
    assert_eq!(
        printed(),
        ["10 lines that programs printed were dropped: 32 are written between two of these"]
    );
    host.refill_log();
    assert_eq!(printed(), [""; 0]);
    // Four numbers and more come in memory.
    let mut program = vec![];
    for (i, n) in [7, -1, 0, 65].into_iter().enumerate() {
        program.push(insn(0x7a, 10, 0, -32 + 8 * i as i16, n));
    }
    program.extend(printing(b"%u%d%x%c", [0; 3]));
    program.truncate(program.len() - 5);
    let values = [insn(0xbf, 3, 10, 0, 0), insn(0x07, 3, 0, 0, -48)];
    let call = |size| [insn(0xb7, 4, 0, 0, size), insn(0x85, 0, 0, 0, helper::TRACE_VPRINTK as i32), EXIT];
    for slot in &mut program[..4] {
        slot.off -= 16;
    }
    for (size, result) in [(32, 5), (24, errno::EINVAL), (31, errno::EINVAL)] {
        let whole: Vec<Insn> = program.iter().copied().chain(values).chain(call(size)).collect();
        assert_eq!(run(&mut host, &whole), result);
    }
    assert_eq!(printed(), ["filter: 7-10A"]);
}

#[test]
fn clocks_and_names() {
    assert_eq!(Clock::new(62_500_000).nanoseconds(62_500_000), 1_000_000_000);
    assert_eq!(Clock::new(54_000_000).nanoseconds(54_000_000 * 3600) / 1000, 3_599_999_999);
    assert_eq!(ProgramId(1).0.to_string(), "1");
    assert_eq!(Name::new("short").as_str(), "short");
    assert_eq!(
        Name::new("a_name_that_is_longer_than_the_31_that_fit").as_str(),
        "a_name_that_is_longer_than_the_"
    );
    assert_eq!(Name::new("thirty_bytes_and_then_an_umlau\u{e4}").as_str(), "thirty_bytes_and_then_an_umlau");
    let mut line = LogLine::new();
    line.note(format_args!("{}", "x".repeat(300)));
    assert_eq!((line.as_str().len(), &line.as_str()[250..]), (256, "xxx..."));
}

#[test]
fn an_interpreted_program_finds_zeros_on_its_stack() {
    let mut host = Host::new(Clock::new(1_000_000_000), log);
    let mut fake = Fake::new();
    let point = host.add_point("iio/x/y").unwrap();
    // The first leaves its context's address in its own frame and in a callee's; the second looks for them.
    let leaves = [
        insn(0x7b, 10, 1, -8, 0),
        insn(0x85, 0, 1, 0, 2),
        insn(0xb7, 0, 0, 0, 1),
        EXIT,
        insn(0x7b, 10, 1, -16, 0),
        insn(0xb7, 0, 0, 0, 0),
        EXIT,
    ];
    let looks = [
        insn(0x79, 6, 10, -8, 0),
        insn(0x85, 0, 1, 0, 2),
        insn(0x4f, 0, 6, 0, 0),
        EXIT,
        insn(0x79, 0, 10, -16, 0),
        EXIT,
    ];
    fake.write(0, &leaves);
    fake.write(1, &looks);
    assert_eq!(attach(&mut host, &mut fake, 1, 0, leaves.len(), None), Reply::Done);
    assert_eq!(host.run_lowest(point, &mut [0u64; 4]), Some(1));
    assert_eq!(attach(&mut host, &mut fake, 2, 1, looks.len(), Some(1)), Reply::Done);
    assert_eq!(host.run_lowest(point, &mut [0u64; 4]), Some(0));
}

#[test]
fn queues_and_the_points_that_exist() {
    let mut host = Host::new(Clock::new(1_000_000_000), log);
    let mut fake = Fake::new();
    let point = host.add_point("iio/x/y").unwrap();
    host.add_point("iio/x/z").unwrap();
    let name = |host: &mut Host, fake: &mut Fake, index| match host.handle(&Request::Point { index }, fake) {
        Reply::Point(name) => name.as_str().to_string(),
        other => std::format!("{other:?}"),
    };
    let names = [0, 1, 2].map(|i| name(&mut host, &mut fake, i));
    assert_eq!(names, ["iio/x/y", "iio/x/z", "Refused(BadNumber)"]);
    let queue = map_of(1, 22, [0, 8, 2], 0);
    assert_eq!(host.handle(&queue, &mut fake), Reply::Done);
    // push(5); push(6); peek; pop: 5 twice, and what push says to the third is in r0 when `third` is set.
    let call = |n: u32, value: i16| {
        [
            insn(0x18, 1, 0, 0, 1),
            insn(0, 0, 0, 0, 0),
            insn(0xbf, 2, 10, 0, 0),
            insn(0x07, 2, 0, 0, i32::from(value)),
            insn(0xb7, 3, 0, 0, 0),
            insn(0x85, 0, 0, 0, n as i32),
        ]
    };
    let mut program = vec![insn(0x7a, 10, 0, -8, 5), insn(0x7a, 10, 0, -16, 6)];
    for (helper, place) in [
        (helper::MAP_PUSH_ELEM, -8),
        (helper::MAP_PUSH_ELEM, -16),
        (helper::MAP_PUSH_ELEM, -16),
        (helper::MAP_PEEK_ELEM, -24),
        (helper::MAP_POP_ELEM, -32),
    ] {
        program.extend(call(helper, place));
        if helper == helper::MAP_PUSH_ELEM {
            program.push(insn(0xbf, 6, 0, 0, 0));
        }
    }
    // -E2BIG + 100 * peeked + popped
    program.extend([
        insn(0x79, 0, 10, -24, 0),
        insn(0x27, 0, 0, 0, 100),
        insn(0x79, 1, 10, -32, 0),
        insn(0x0f, 0, 1, 0, 0),
        insn(0x0f, 0, 6, 0, 0),
        EXIT,
    ]);
    fake.write(0, &program);
    assert_eq!(attach(&mut host, &mut fake, 1, 0, program.len(), None), Reply::Done);
    assert_eq!(host.run_lowest(point, &mut [0u64; 4]), Some(500 + 5 - 7));
    // Only 6 is left; two more, and the queue is full again.
    assert_eq!(host.run_lowest(point, &mut [0u64; 4]), Some(600 + 6 - 7));
}

/// Says what it was asked, and by whom.
#[derive(Default)]
struct Told(Vec<String>);

impl Actuators for Told {
    fn gpio_get(&mut self, by: &Grants, line: Line) -> i64 {
        self.0.push(std::format!("get {}/{} {}", line.chip, line.line, by.may_get(line)));
        if by.may_get(line) { 1 } else { errno::EPERM }
    }
    fn gpio_set(&mut self, by: &Grants, line: Line, level: bool) -> i64 {
        self.0.push(std::format!("set {}/{} {level} {}", line.chip, line.line, by.may_set(line)));
        if by.may_set(line) { 0 } else { errno::EPERM }
    }
    fn pwm_set(&mut self, _: &Grants, channel: Channel, duty: u16) -> i64 {
        self.0.push(std::format!("pwm {}/{} {duty}", channel.chip, channel.channel));
        0
    }
    fn motor_emergency_stop(&mut self, by: &Grants) -> i64 {
        self.0.push(std::format!("stop {}", by.motor_stop));
        0
    }
}

#[test]
fn helpers_for_pins_act_with_the_rights_of_the_program_that_runs() {
    let mut host = Host::new(Clock::new(1_000_000_000), log);
    let mut fake = Fake::new();
    let point = host.add_point("iio/x/y").unwrap();
    let told: &RefCell<Told> = std::boxed::Box::leak(std::boxed::Box::new(RefCell::new(Told::default())));
    let imm = |r, v| insn(0xb7, r, 0, 0, v);
    let call = |n: u32| insn(0x85, 0, 0, 0, n as i32);
    // The first program drives line 5 and returns the result; the second does the same without the right to.
    let drives = [imm(1, 0), imm(2, 5), imm(3, 1), call(helper::GPIO_SET), insn(0x07, 0, 0, 0, 1), EXIT];
    let others = [
        imm(1, 0),
        imm(2, 5),
        call(helper::GPIO_GET),
        imm(1, 0),
        imm(2, 1),
        imm(3, 0x1_0000),
        call(helper::PWM_SET),
        imm(1, 9),
        imm(2, 5),
        call(helper::GPIO_GET),
        call(helper::MOTOR_EMERGENCY_STOP),
        EXIT,
    ];
    fake.write(0, &drives);
    fake.write(1, &others);
    let mut grants = Grants::NONE;
    grants.grant_line(Line { chip: 0, line: 5 }, true);
    for (id, page, slots, grants) in [(1, 0, 6, grants), (2, 0, 6, Grants::NONE), (3, 1, 12, Grants::NONE)] {
        let request = Request::Attach {
            program: ProgramId(id),
            page,
            pages: 1,
            slots,
            point: "iio/x/y",
            name: "",
            replaces: None,
            grants,
            cost: 0,
            client: 0,
            maps: NO_MAPS,
        };
        assert_eq!(host.handle(&request, &mut fake), Reply::Done);
    }
    let mut context = [0u64; 4];
    assert!(!host.run(point, &mut context), "without outputs every call is refused: -EPERM + 1 = 0");
    host.set_actuators(told);
    assert_eq!(host.run_lowest(point, &mut context), Some(0));
    assert_eq!(
        told.borrow().0,
        ["set 0/5 true true", "set 0/5 true false", "get 0/5 false", "stop false"],
        "a duty over the range and a chip out of range get no further than the helper"
    );
}

fn attach_at(host: &mut Host, fake: &mut Fake, id: u32, point: &str, grants: Grants) -> Reply {
    let program = ProgramId(id);
    let request = Request::Attach {
        program,
        page: 0,
        pages: 1,
        slots: 1,
        point,
        name: "stop",
        replaces: None,
        grants,
        cost: 0,
        client: 0,
        maps: NO_MAPS,
    };
    host.handle(&request, fake)
}

#[test]
fn a_point_that_was_opened_goes_with_its_last_program_and_its_place_is_taken_again() {
    let mut host = Host::new(Clock::new(1_000_000_000), log);
    let mut fake = Fake::new();
    fake.write(0, &[EXIT]);
    let own = host.add_point("iio/x/y").unwrap();
    for id in 1..1000 {
        let name = std::format!("timer/{id}hz");
        assert_eq!(attach_at(&mut host, &mut fake, id, &name, Grants::NONE), Reply::Done);
        assert_eq!(host.points(), 2);
        assert_eq!(host.handle(&Request::Detach { program: ProgramId(id) }, &mut fake), Reply::Done);
        assert_eq!(fake.closed.pop(), Some(name));
    }
    assert_eq!((host.points(), host.points.len()), (1, 2));
    // The server's own points stay, and an empty name is nobody's.
    assert_eq!(attach_at(&mut host, &mut fake, 1, "iio/x/y", Grants::NONE), Reply::Done);
    assert_eq!(host.handle(&Request::Detach { program: ProgramId(1) }, &mut fake), Reply::Done);
    assert_eq!((host.point("iio/x/y"), host.point(""), fake.closed.len()), (Some(own), None, 0));
    // What is refused opens nothing.
    let full =
        |host: &mut Host, fake: &mut Fake, id: u32| attach_at(host, fake, id, "timer/1hz", Grants::NONE);
    for id in 0..PROGRAMS {
        assert_eq!(
            attach_at(&mut host, &mut fake, id + 1, &std::format!("timer/{}hz", id / 4), Grants::NONE),
            Reply::Done
        );
    }
    let opened = fake.opened;
    assert_eq!(full(&mut host, &mut fake, 99), Reply::Refused(Refusal::Full));
    assert_eq!(
        attach_at(&mut host, &mut fake, 99, "timer/77hz", Grants::NONE),
        Reply::Refused(Refusal::Full)
    );
    assert_eq!((fake.opened, host.points()), (opened, 9));
}

#[test]
fn after_a_reset_nothing_is_left_and_motors_that_a_program_could_stop_are_held() {
    let mut host = Host::new(Clock::new(1_000_000_000), log);
    let mut fake = Fake::new();
    fake.write(0, &[EXIT]);
    let mut stops = Grants::NONE;
    stops.motor_stop = true;
    for (grants, held) in [(Grants::NONE, false), (stops, true)] {
        assert_eq!(attach_at(&mut host, &mut fake, 1, "timer/1hz", grants), Reply::Done);
        let map = map_of(1, 27, [0, 0, 4096], 0);
        assert_eq!(host.handle(&map, &mut fake), Reply::Done);
        fake.frame = true;
        assert_eq!(host.handle(&Request::Doorbell { slot: 1 }, &mut fake), Reply::Done);
        assert_eq!(host.handle(&Request::Reset, &mut fake), Reply::Done);
        assert_eq!((host.points(), fake.doorbells, fake.resets.pop()), (0, 0, Some(held)));
        assert_eq!(
            host.handle(&Request::Stats { program: ProgramId(1) }, &mut fake),
            Reply::Refused(Refusal::NoSuchProgram)
        );
        // Everything can be placed again.
        assert_eq!(host.handle(&map, &mut fake), Reply::Done);
        assert_eq!(host.handle(&Request::RemoveMap { slot: 1 }, &mut fake), Reply::Done);
    }
}

/// Attaches a program that takes so many nanoseconds, at a pace of one for an instruction.
fn attach_costing(host: &mut Host, fake: &mut Fake, id: u32, point: &str, cost: u64, client: u64) -> Reply {
    attach_instead(host, fake, id, point, cost, client, None)
}

fn attach_instead(
    host: &mut Host,
    fake: &mut Fake,
    id: u32,
    point: &str,
    cost: u64,
    client: u64,
    replaces: Option<u32>,
) -> Reply {
    let request = Request::Attach {
        program: ProgramId(id),
        page: 0,
        pages: 1,
        slots: 1,
        point,
        name: "",
        replaces: replaces.map(ProgramId),
        grants: Grants::NONE,
        cost,
        client,
        maps: NO_MAPS,
    };
    host.handle(&request, fake)
}

fn limit(reply: Reply) -> Option<Limit> {
    match reply {
        Reply::Refused(Refusal::Overload(why)) => Some(why.limit),
        Reply::Done => None,
        other => panic!("{other:?}"),
    }
}

fn host_with_budget() -> Host {
    let mut host = Host::new(Clock::new(1_000_000_000), log);
    // 1 ms in 10: programs have 500 us of it, one client 250.
    host.set_budget(Budget { time: 1_000_000, period: 10_000_000 }, 1000);
    host
}

#[test]
fn a_program_is_attached_as_long_as_there_is_time_for_it() {
    let (mut host, mut fake) = (host_with_budget(), Fake::new());
    // Eleven events a period.
    assert_eq!(limit(attach_costing(&mut host, &mut fake, 1, "timer/1000hz", 22_000, 1)), None);
    let refused = attach_costing(&mut host, &mut fake, 2, "timer/1000hz", 1000, 1);
    assert_eq!(
        refused,
        Reply::Refused(Refusal::Overload(Overload {
            limit: Limit::Share,
            millihertz: 1_000_000,
            needs: 11,
            left: 8
        }))
    );
    // Another client's, and one that the manifest names, until the half is used up.
    assert_eq!(limit(attach_costing(&mut host, &mut fake, 3, "timer/1000hz", 20_000, 2)), None);
    assert_eq!(limit(attach_costing(&mut host, &mut fake, 4, "timer/1000hz", 4000, 0)), Some(Limit::Budget));
    assert_eq!(limit(attach_costing(&mut host, &mut fake, 4, "timer/1000hz", 3000, 0)), None);
    // Nothing of what was refused is left behind.
    assert_eq!(host.point("timer/1000hz").map(|p| host.attached(p)), Some(3));
    // What is detached is given back.
    assert_eq!(host.handle(&Request::Detach { program: ProgramId(1) }, &mut fake), Reply::Done);
    assert_eq!(limit(attach_costing(&mut host, &mut fake, 5, "timer/1000hz", 22_000, 1)), None);
}

#[test]
fn a_replacement_takes_the_time_of_what_it_replaces() {
    let (mut host, mut fake) = (host_with_budget(), Fake::new());
    assert_eq!(limit(attach_costing(&mut host, &mut fake, 1, "timer/1000hz", 22_000, 1)), None);
    assert_eq!(
        limit(attach_instead(&mut host, &mut fake, 2, "timer/1000hz", 23_000, 1, Some(1))),
        Some(Limit::Share)
    );
    assert_eq!(limit(attach_instead(&mut host, &mut fake, 2, "timer/1000hz", 21_000, 1, Some(1))), None);
    assert_eq!(limit(attach_costing(&mut host, &mut fake, 3, "timer/1000hz", 1000, 1)), None);
    // A number that is not there replaces nothing, whatever it costs.
    let wrong = attach_instead(&mut host, &mut fake, 4, "timer/1000hz", 0, 1, Some(1));
    assert_eq!(wrong, Reply::Refused(Refusal::NoSuchProgram));
}

#[test]
fn a_point_that_is_refused_is_not_opened() {
    let (mut host, mut fake) = (host_with_budget(), Fake::new());
    assert_eq!(limit(attach_costing(&mut host, &mut fake, 1, "timer/10hz", 600_000, 1)), Some(Limit::Budget));
    assert_eq!((host.points(), fake.opened), (0, 0));
    // Each alone is small, but the fast one would wait for the slow one.
    assert_eq!(limit(attach_costing(&mut host, &mut fake, 2, "timer/10hz", 240_000, 1)), None);
    assert_eq!(limit(attach_costing(&mut host, &mut fake, 3, "timer/2000hz", 10, 1)), Some(Limit::Waiting));
    assert_eq!((host.points(), fake.opened), (1, 1));
    assert_eq!(limit(attach_costing(&mut host, &mut fake, 3, "timer/1000hz", 10, 1)), None);
}

#[test]
fn a_rate_that_the_programs_have_no_time_for_changes_nothing() {
    let (mut host, mut fake) = (host_with_budget(), Fake::new());
    let points = ["iio/x/y", "iio/x/z"].map(|name| host.add_point(name).unwrap());
    // Nobody samples: nothing is needed.
    assert_eq!(limit(attach_costing(&mut host, &mut fake, 1, "iio/x/y", 20_000, 1)), None);
    assert_eq!(limit(attach_costing(&mut host, &mut fake, 2, "iio/x/z", 20_000, 2)), None);
    let at = |hz: u64| Stream::Periodic(1_000_000_000 / hz);
    assert_eq!(host.set_stream(&points, at(1000)), Ok(()));
    let refused = host.set_stream(&points, at(2000)).unwrap_err();
    assert_eq!((refused.limit, refused.needs, refused.millihertz), (Limit::Budget, 400, 2_000_000));
    assert_eq!((host.stream(points[0]), host.stream(points[1])), (at(1000), at(1000)));
    // The rate that is there counts for what comes.
    assert_eq!(limit(attach_costing(&mut host, &mut fake, 3, "iio/x/y", 6000, 3)), Some(Limit::Budget));
    assert_eq!(host.set_stream(&points, at(500)), Ok(()));
    assert_eq!(limit(attach_costing(&mut host, &mut fake, 3, "iio/x/y", 6000, 3)), None);
    assert_eq!(host.set_stream(&points, Stream::Silent), Ok(()));
}

/// A program that waits for a silent sensor needs nothing yet: what it will need is held against its client's share when the sensor
/// starts.
#[test]
fn a_rate_gives_no_client_more_than_its_share() {
    let at = |hz: u64| Stream::Periodic(1_000_000_000 / hz);
    for owners in [[1, 1], [1, 0], [1, 2]] {
        let (mut host, mut fake) = (host_with_budget(), Fake::new());
        let points = ["iio/x/y", "iio/x/z"].map(|name| host.add_point(name).unwrap());
        assert_eq!(limit(attach_costing(&mut host, &mut fake, 1, "iio/x/y", 20_000, owners[0])), None);
        assert_eq!(limit(attach_costing(&mut host, &mut fake, 2, "iio/x/z", 20_000, owners[1])), None);
        // Eleven events of 40 us a period are 440 us: more than the 250 us of one client, less than the 500 us of all.
        let started = host.set_stream(&points, at(1000)).map_err(|why| why.limit);
        let expected = if owners == [1, 1] { Err(Limit::Share) } else { Ok(()) };
        assert_eq!(started, expected, "{owners:?}");
        assert_eq!(host.stream(points[0]), if started.is_ok() { at(1000) } else { Stream::Silent });
        // Slower, both have time; and going slower yet is never refused.
        assert_eq!(host.set_stream(&points, at(500)), Ok(()));
        assert_eq!(host.set_stream(&points, at(100)), Ok(()));
    }
}

#[test]
fn a_slower_machine_has_less_time_and_without_a_budget_nothing_is_counted() {
    let (mut host, mut fake) = (host_with_budget(), Fake::new());
    host.set_budget(Budget { time: 1_000_000, period: 10_000_000 }, 2500);
    assert_eq!(limit(attach_costing(&mut host, &mut fake, 1, "timer/1000hz", 10_000, 1)), Some(Limit::Share));
    assert_eq!(limit(attach_costing(&mut host, &mut fake, 1, "timer/1000hz", 9_000, 1)), None);
    let mut host = Host::new(Clock::new(1_000_000_000), log);
    assert_eq!(limit(attach_costing(&mut host, &mut fake, 1, "timer/1000hz", u64::MAX, 1)), None);
    assert_eq!(host.room_for(0), None);
}

#[test]
fn frames_of_a_tray_are_mapped_in_a_row() {
    let (mut host, mut fake) = (Host::new(Clock::new(1_000_000_000), log), Fake::new());
    let pages = |page, count| Request::MapPages { page, count, writable: true };
    assert_eq!(host.handle(&pages(2, 3), &mut fake), Reply::Refused(Refusal::NoTray));
    assert_eq!(
        host.handle(&Request::Tray, &mut fake),
        Reply::Refused(Refusal::BadFrame),
        "nothing came along"
    );
    fake.frame = true;
    assert_eq!(host.handle(&Request::Tray, &mut fake), Reply::Done);
    assert_eq!(host.handle(&pages(2, 3), &mut fake), Reply::Done);
    assert_eq!(fake.from_tray, [(0, 2, true), (1, 3, true), (2, 4, true)]);
    assert_eq!(host.handle(&pages(2, 4), &mut fake), Reply::Refused(Refusal::BadFrame), "an empty slot");
    fake.from_tray.clear();
    for wrong in [pages(MAP_PAGES - 2, 3), pages(0, TRAY + 1), pages(u32::MAX, 2)] {
        assert_eq!(host.handle(&wrong, &mut fake), Reply::Refused(Refusal::BadNumber), "{wrong:?}");
    }
    assert!(fake.from_tray.is_empty(), "nothing was taken");
    // Who placed programs was started anew, and brings a tray of its own.
    assert_eq!(host.handle(&Request::Reset, &mut fake), Reply::Done);
    assert_eq!(host.handle(&pages(2, 3), &mut fake), Reply::Refused(Refusal::NoTray));
}

#[test]
fn maps_come_in_one_message_each_with_its_frames_of_the_tray() {
    let (mut host, mut fake) = (Host::new(Clock::new(1_000_000_000), log), Fake::new());
    let ring = MapPlan { frames: 2, ..plan(2, 27, [0, 0, 4096], 0) };
    let array = MapPlan { frames: 1, writable: false, ..plan(1, 2, [4, 8, 2], 5) };
    let both = |first, second| {
        let mut maps = NO_MAPS;
        (maps[0], maps[7]) = (Some(first), Some(second));
        Request::Maps { maps }
    };
    let refused = |host: &mut Host, fake: &mut Fake, first, second, why| {
        assert_eq!(host.handle(&both(first, second), fake), Reply::Refused(why));
        assert_eq!(fake.from_tray, [], "nothing was taken");
    };
    refused(&mut host, &mut fake, ring, array, Refusal::NoTray);
    fake.frame = true;
    assert_eq!(host.handle(&Request::Tray, &mut fake), Reply::Done);
    // What is wrong with the second is seen before the first is taken; all together have at most a tray's frames.
    for wrong in [MapPlan { page: MAP_PAGES, ..array }, MapPlan { frames: TRAY - 1, ..array }] {
        refused(&mut host, &mut fake, ring, wrong, Refusal::BadNumber);
    }
    refused(&mut host, &mut fake, MapPlan { slot: 0, ..ring }, array, Refusal::BadNumber);
    refused(&mut host, &mut fake, MapPlan { slot: 64, ..ring }, array, Refusal::BadNumber);
    refused(&mut host, &mut fake, MapPlan { map_type: 9999, ..ring }, array, Refusal::BadMap);
    refused(&mut host, &mut fake, MapPlan { max_entries: 4097, ..ring }, array, Refusal::BadMap);
    refused(&mut host, &mut fake, MapPlan { page: MAP_PAGES - 2, ..ring }, array, Refusal::BadNumber);
    assert_eq!(host.handle(&both(ring, array), &mut fake), Reply::Done);
    assert_eq!(fake.from_tray, [(0, 0, true), (1, 1, true), (2, 5, false)], "one after the other");
    fake.from_tray.clear();
    refused(&mut host, &mut fake, ring, array, Refusal::BadNumber);
    // A frame that is missing: the first map is there, as if it had come alone, and can be removed.
    for slot in [1, 2] {
        assert_eq!(host.handle(&Request::RemoveMap { slot }, &mut fake), Reply::Done);
    }
    let short = MapPlan { frames: 2, ..array };
    assert_eq!(host.handle(&both(ring, short), &mut fake), Reply::Refused(Refusal::BadFrame));
    assert_eq!(host.handle(&Request::RemoveMap { slot: 2 }, &mut fake), Reply::Done);
    assert_eq!(host.handle(&Request::RemoveMap { slot: 1 }, &mut fake), Reply::Refused(Refusal::BadNumber));
}

#[test]
fn a_program_comes_with_its_maps_and_not_without_them() {
    let (mut host, mut fake) = (Host::new(Clock::new(1_000_000_000), log), Fake::new());
    host.add_point("iio/x/y").unwrap();
    fake.write(0, &[EXIT]);
    let attach = |id: u32, slot| {
        let mut maps = NO_MAPS;
        maps[0] = Some(MapPlan { frames: 1, ..plan(slot, 2, [4, 8, 2], 3) });
        Request::Attach {
            program: ProgramId(id),
            page: 0,
            pages: 1,
            slots: 1,
            point: "iio/x/y",
            name: "filter",
            replaces: None,
            grants: Grants::NONE,
            cost: 1,
            client: 1,
            maps,
        }
    };
    fake.frame = true;
    assert_eq!(host.handle(&attach(1, 1), &mut fake), Reply::Refused(Refusal::NoTray));
    assert!(fake.frame, "the code is not taken before the maps");
    assert_eq!(host.handle(&Request::Tray, &mut fake), Reply::Done);
    fake.frame = true;
    assert_eq!(host.handle(&attach(1, 1), &mut fake), Reply::Done);
    assert_eq!((fake.from_tray.as_slice(), fake.frame), (&[(0, 3, true)][..], false));
    // The same map again: no second program.
    assert_eq!(host.handle(&attach(2, 1), &mut fake), Reply::Refused(Refusal::BadNumber));
    assert_eq!(host.attached(host.point("iio/x/y").unwrap()), 1);
}

#[test]
fn edges_are_counted_once_and_as_many_are_let_through_as_fit() {
    let (mut host, mut fake) = (host_with_budget(), Fake::new());
    assert_eq!(host.room_for(0), None);
    // Twenty edges in a period, each of which concerns two points at most.
    assert_eq!(limit(attach_costing(&mut host, &mut fake, 1, "gpio/x/1/both", 10_000, 0)), None);
    assert_eq!(host.room_for(0), Some(50));
    assert_eq!(limit(attach_costing(&mut host, &mut fake, 2, "gpio/x/2/both", 14_000, 0)), None);
    assert_eq!(limit(attach_costing(&mut host, &mut fake, 3, "gpio/x/3/both", 9_000, 0)), None);
    assert_eq!(host.room_for(0), Some(20));
    assert_eq!(
        limit(attach_costing(&mut host, &mut fake, 4, "gpio/x/4/both", 12_000, 0)),
        Some(Limit::Budget)
    );
    // A timer's program leaves less for them.
    assert_eq!(limit(attach_costing(&mut host, &mut fake, 4, "timer/100hz", 5_000, 0)), None);
    assert_eq!(host.room_for(0), Some(20));
    assert_eq!(limit(attach_costing(&mut host, &mut fake, 5, "timer/100hz", 2_000, 0)), None);
    assert_eq!(host.room_for(0), Some(20));
    assert_eq!(host.handle(&Request::Detach { program: ProgramId(2) }, &mut fake), Reply::Done);
    assert_eq!(host.room_for(0), Some(25));
}
