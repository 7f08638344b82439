//! Attaching and detaching: what is refused, what goes with what, frames from a tray.
use super::*;

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
        let (program, grants) = (ProgramId(9), None);
        Request::Attach {
            numbers: Numbers {
                program,
                page: 0,
                pages: 1,
                slots: 2,
                replaces: None,
                cost: 0,
                client: ClientBadge::NOBODY,
            },
            point,
            name: "",
            grants,
            maps: &[],
            kept: false,
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
    let both = |first: MapPlan, second: MapPlan| {
        let maps: &'static [u8] = [first.to_bytes(), second.to_bytes()].concat().leak();
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
    // Bytes that are no whole maps, and one map more than a message has.
    let bytes = [ring.to_bytes(), array.to_bytes()].concat();
    let many: vec::Vec<u8> = (1..=9).flat_map(|slot| plan(slot, 2, [4, 8, 2], 0).to_bytes()).collect();
    for wrong in [&bytes[..63], &bytes[..1], &many] {
        let reply = host.handle(&Request::Maps { maps: wrong }, &mut fake);
        assert_eq!((reply, fake.from_tray.len()), (Reply::Refused(Refusal::BadNumber), 0));
    }
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
        let plan = MapPlan { frames: 1, ..plan(slot, 2, [4, 8, 2], 3) };
        let maps: &'static [u8] = vec::Vec::from(plan.to_bytes()).leak();
        Request::Attach {
            numbers: Numbers {
                program: ProgramId(id),
                page: 0,
                pages: 1,
                slots: 1,
                replaces: None,
                cost: 1,
                client: ClientBadge::new(1),
            },
            point: "iio/x/y",
            name: "filter",
            grants: None,
            maps,
            kept: false,
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
fn the_places_that_are_taken_are_those_with_programs_whatever_comes_and_goes() {
    let mut host = Host::new(Clock::new(1_000_000_000), log);
    let mut fake = Fake::new();
    fake.write(0, &[EXIT]);
    let mut seed = 1u64;
    let mut random = |below: usize| {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (seed >> 33) as usize % below
    };
    // Programs by point: twelve points, and as many on each as there is room for, would be more than a host has places.
    let mut there: vec::Vec<(u32, usize)> = vec::Vec::new();
    let (mut full, mut none) = (0, 0);
    for id in 1..20_000 {
        let point = random(12);
        // Long times of more and of fewer.
        let grows = random(8) < if id / 200 % 2 == 0 { 6 } else { 2 };
        if grows {
            let reply =
                attach_at(&mut host, &mut fake, id, &std::format!("timer/{}hz", point + 1), Grants::NONE);
            let room =
                there.len() < PROGRAMS as usize && there.iter().filter(|t| t.1 == point).count() < CHAIN;
            assert_eq!(reply, if room { Reply::Done } else { Reply::Refused(Refusal::Full) });
            there.extend(room.then_some((id, point)));
            full += u32::from(there.len() == PROGRAMS as usize);
        } else if !there.is_empty() {
            let (program, _) = there.swap_remove(random(there.len()));
            let detach = Request::Detach { program: ProgramId(program) };
            assert_eq!(host.handle(&detach, &mut fake), Reply::Done);
            assert_eq!(host.handle(&detach, &mut fake), Reply::Refused(Refusal::NoSuchProgram));
            none += u32::from(there.is_empty());
        }
        let taken = host.programs.iter().zip(0..).filter(|(p, _)| p.is_some());
        assert_eq!(host.live, taken.map(|(_, n)| 1u32 << n).sum::<u32>());
        let mut ids: vec::Vec<u32> = host.live().map(|(_, p)| p.id.0).collect();
        let mut expected: vec::Vec<u32> = there.iter().map(|t| t.0).collect();
        ids.sort();
        expected.sort();
        assert_eq!(ids, expected);
    }
    assert!(full > 10 && none > 10, "{full} {none}");
    assert_eq!(host.handle(&Request::Reset, &mut fake), Reply::Done);
    assert_eq!(host.live, 0);
}

/// A program's first code page may be with the host before its program is.
#[test]
fn the_frame_that_is_kept_is_the_first_page_of_a_program_without_one() {
    let (mut host, mut fake) = (Host::new(Clock::new(1_000_000_000), log), Fake::new());
    let attach = |id: u32, kept: bool, maps: &'static [u8]| Request::Attach {
        numbers: Numbers {
            program: ProgramId(id),
            page: 4,
            pages: 1,
            slots: 1,
            replaces: None,
            cost: 1,
            client: ClientBadge::new(1),
        },
        point: "timer/10hz",
        name: "filter",
        grants: None,
        maps,
        kept,
    };
    let map = MapPlan { frames: 1, ..plan(1, 2, [4, 8, 2], 3) };
    let maps: &'static [u8] = vec::Vec::from(map.to_bytes()).leak();
    let bad_frame = Reply::Refused(Refusal::BadFrame);
    assert_eq!(host.handle(&Request::Keep, &mut fake), bad_frame, "nothing came along");
    fake.frame = true;
    assert_eq!(host.handle(&Request::Tray, &mut fake), Reply::Done);
    // Nothing is kept: refused before the maps are taken, so that it can come again with its frame.
    assert_eq!(host.handle(&attach(1, true, maps), &mut fake), bad_frame);
    assert_eq!(fake.from_tray, [], "nothing was taken");
    fake.frame = true;
    assert_eq!(host.handle(&Request::Keep, &mut fake), Reply::Done);
    // It is the next program's: whoever does not say that this is the one does not get it, though its own page is gone, as after a
    // restart of the host.
    assert_eq!(host.handle(&attach(1, false, &[]), &mut fake), bad_frame);
    assert!(fake.kept);
    assert_eq!(host.handle(&attach(1, true, maps), &mut fake), Reply::Done);
    assert_eq!((fake.kept, fake.kept_at_4, fake.from_tray.len()), (false, true, 1));
    // It was taken: the next one needs its own.
    assert_eq!(host.handle(&Request::Detach { program: ProgramId(1) }, &mut fake), Reply::Done);
    assert_eq!(host.handle(&Request::RemoveCode { page: 4, pages: 1 }, &mut fake), Reply::Done);
    assert_eq!(host.handle(&attach(2, true, &[]), &mut fake), bad_frame);
    // What comes along is not what is kept.
    (fake.frame, fake.kept) = (true, true);
    assert_eq!(host.handle(&attach(2, true, &[]), &mut fake), bad_frame);
    assert_eq!(
        host.handle(&attach(2, false, &[]), &mut fake),
        bad_frame,
        "the fake maps it, and says that it is not there"
    );
    assert_eq!((fake.frame, fake.kept), (false, true));
    fake.kept_at_4 = true;
    assert_eq!(host.handle(&attach(2, false, &[]), &mut fake), Reply::Done);
    assert!(fake.kept, "the page was there");
    // What was left at the page by somebody else is not what is kept, either.
    fake.kept = false;
    assert_eq!(host.handle(&attach(3, true, &[]), &mut fake), bad_frame);
    fake.kept = true;
    // Who placed programs was started anew.
    assert_eq!(host.handle(&Request::Reset, &mut fake), Reply::Done);
    assert!(!fake.kept);
}
