//! What programs say and ask: lines, clocks, pins.
use super::*;
use crate::helpers::LogLine;
use axiom_bpf_isa::helper;
use axiom_bpf_maps::errno;
use std::string::{String, ToString};

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
            numbers: Numbers {
                program: ProgramId(id),
                page,
                pages: 1,
                slots,
                replaces: None,
                cost: 0,
                client: ClientBadge::NOBODY,
            },
            point: "iio/x/y",
            name: "",
            grants: Some(grants),
            maps: &[],
            kept: false,
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
