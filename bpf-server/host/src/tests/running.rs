//! Programs run: in order, on their maps, with the helpers that they call.
use super::*;
use axiom_bpf_isa::helper;
use axiom_bpf_maps::Consumer;
use std::string::ToString;

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
