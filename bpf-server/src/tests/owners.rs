//! Whose programs are whose, what one client can use up, and that everything comes back.

use super::*;
use crate::Client;

const OWNER: u64 = 1;
const OTHER: u64 = 2;

fn ask(l: &mut Loader<Fake>, badge: u64, request: &Request) -> Result<Option<ProgramId>, Refusal> {
    match l.handle(ClientBadge::new(badge), request, (0, 0)).reply {
        Reply::Loaded { program, .. } => Ok(Some(program)),
        Reply::Refused(why) => Err(why),
        _ => Ok(None),
    }
}

fn at<'a>(source: Source<'a>, point: &'a str) -> Request<'a> {
    Request::Load { source, program: "", point, attach: true, replaces: None, settings: [None; 4] }
}

#[test]
fn nobody_but_its_owner_reaches_a_program_by_any_request() {
    let mut l = loader();
    let mut request = load(Source::Inline(FILTER));
    if let Request::Load { settings, .. } = &mut request {
        settings[0] = Some(Setting { name: "minimum", value: 500 });
    }
    let program = loaded(&mut l, &request);
    l.platform().received = Some(Token(5));
    for request in [
        Request::Detach { program },
        Request::Attach { program },
        Request::Unload { program },
        Request::MapRead { program, map: ".rodata", key: &[0; 4] },
        Request::MapFrame { program, map: "events", page: 0 },
        Request::MapFrame { program, map: "events", page: 2 },
        Request::Notify { program, map: "events" },
    ] {
        assert_eq!(ask(&mut l, OTHER, &request), Err(Refusal::NotOwner), "{request:?}");
    }
    let mut request = at(Source::Inline(STRAIGHT), "iio/adxl345/accel_x");
    if let Request::Load { replaces, .. } = &mut request {
        *replaces = Some(program);
    }
    // Whoever may not see the samples is refused before; whoever may is not the owner all the same.
    l.rights_mut().clients[1].sensors = vec!["adxl345".into()];
    assert_eq!(ask(&mut l, OTHER, &request), Err(Refusal::NotOwner));
    assert!(!sample(&mut l, 400) && sample(&mut l, 500), "the filter decides still");
    assert_eq!(ask(&mut l, OWNER, &Request::Unload { program }), Ok(None));
    assert_eq!(l.platform().used(), 0);
}

#[test]
fn programs_of_the_dead_go_and_pinned_ones_stay() {
    let mut l = loader();
    let mut grants = Grants::NONE;
    grants.grant_line(axiom_proto::gpio::Line { chip: 0, line: 4 }, false);
    grants.motor_stop = true;
    let pinned = Some(String::from("gpio/pl061/4/rising"));
    let entry = |program: &str, owner: &str, pinned: Option<String>| ProgramGrants {
        program: program.into(),
        object: "stop.o".into(),
        grants,
        owner: owner.into(),
        pinned,
    };
    let name = axiom_bpf_object::Object::parse(STRAIGHT).unwrap().programs()[0].name.to_string();
    l.rights_mut().programs = vec![entry(&name, "owner", pinned.clone())];
    l.rights_mut().gpio_chips = vec!["pl061".into()];
    l.platform().blobs.push(("stop.o".into(), STRAIGHT));
    assert_eq!(l.load_pinned(), [(name.clone(), None)]);
    let own = loaded(&mut l, &at(Source::Inline(STRAIGHT), "timer/10hz"));
    let pin = ProgramId(own.0 - 1);
    for request in [Request::Unload { program: pin }, Request::Detach { program: pin }] {
        assert_eq!(ask(&mut l, OTHER, &request), Err(Refusal::NotOwner));
    }
    // With its rights, only its owner loads it, at whatever point.
    let again = at(Source::Blob("stop.o"), "gpio/pl061/4/rising");
    assert_eq!(ask(&mut l, OTHER, &again), Err(Refusal::NotGranted));
    assert_eq!(l.forget_client(ClientBadge::new(OTHER)), 0);
    assert_eq!(l.forget_client(ClientBadge::new(OWNER)), 1);
    assert_eq!(l.loaded(), 1, "the pinned one");
    assert_eq!(l.platform().peer.changes.last(), Some(&("timer/10hz".into(), 0)));
    // Its owner, started again, may still take it out.
    assert_eq!(ask(&mut l, OWNER, &Request::Unload { program: pin }), Ok(None));
    assert_eq!(l.platform().used(), 0);
    // An owner that is no client of bpf-server: nobody can remove it.
    l.rights_mut().programs = vec![entry(&name, "nobody", pinned)];
    assert_eq!(l.load_pinned()[0].1.as_deref().map(|t| t.contains("does not grant")), Some(true));
}

#[test]
fn one_client_takes_its_share_and_is_told_so() {
    let mut l = loader();
    for n in 0..PER_POINT {
        assert!(ask(&mut l, OTHER, &at(Source::Inline(STRAIGHT), "timer/1hz")).is_ok(), "{n}");
    }
    let (why, text) = refused_for(&mut l, OTHER, &at(Source::Inline(STRAIGHT), "timer/1hz"));
    assert_eq!(
        (why, text.as_str()),
        (Refusal::Resources, "a client has at most 2 programs at one attach point: 'timer/1hz' has them")
    );
    assert!(ask(&mut l, OTHER, &at(Source::Inline(STRAIGHT), "timer/2hz")).is_ok());
    let (_, text) = refused_for(&mut l, OTHER, &at(Source::Inline(STRAIGHT), "timer/3hz"));
    assert_eq!(
        text,
        "a client's programs run at no more than 2 rates, and they do at timer/1hz and timer/2hz"
    );
    assert!(ask(&mut l, OWNER, &at(Source::Inline(STRAIGHT), "timer/1hz")).is_ok(), "others have room");
    // Eight programs in all, on points that others own.
    l.rights_mut().clients[0].sensors.clear();
    let names: Vec<String> = (0..6).map(|n| format!("iio/s{n}/x")).collect();
    l.rights_mut().clients[1].sensors = (0..6).map(|n| format!("s{n}")).collect();
    for name in &names {
        l.platform().host.add_point(name);
    }
    for name in &names[..5] {
        assert!(ask(&mut l, OTHER, &at(Source::Inline(STRAIGHT), name)).is_ok());
    }
    let (_, text) = refused_for(&mut l, OTHER, &at(Source::Inline(STRAIGHT), &names[5]));
    assert_eq!(text, "a client has at most 8 programs: unload one first");
}

#[test]
fn an_upload_is_not_lost_because_others_upload() {
    let mut l = loader();
    let (first, rest) = CALLS.split_at(800);
    assert_eq!(ask(&mut l, OWNER, &Request::Upload { offset: 0, bytes: first }), Ok(None));
    for badge in 2..=20 {
        assert_eq!(ask(&mut l, badge, &Request::Upload { offset: 0, bytes: &[7; 800] }), Ok(None));
    }
    for (i, bytes) in rest.chunks(800).enumerate() {
        let request = Request::Upload { offset: 800 * (i as u32 + 1), bytes };
        assert_eq!(ask(&mut l, OWNER, &request), Ok(None));
    }
    let mut request = load(Source::Uploaded);
    if let Request::Load { program, .. } = &mut request {
        *program = "second";
    }
    loaded(&mut l, &request);
}

fn refused_for(l: &mut Loader<Fake>, badge: u64, request: &Request) -> (Refusal, String) {
    let why = ask(l, badge, request).unwrap_err();
    match l.handle(ClientBadge::new(badge), &Request::Verdict { offset: 0 }, (0, 0)).reply {
        Reply::Text(text) => (why, text.into()),
        other => panic!("{other:?}"),
    }
}

/// Four clients, a hundred thousand requests of all kinds, about their own programs and everybody's: what belongs to another is
/// refused each time, and at the end everything is free.
#[test]
fn a_hundred_thousand_requests_of_four_clients_leave_nothing() {
    let mut l = loader();
    let names = ["owner", "other", "third", "fourth"];
    l.rights_mut().clients = (1..=4u64)
        .zip(names)
        .map(|(badge, name)| Client {
            badge: ClientBadge::new(badge),
            name: name.into(),
            sensors: vec!["adxl345".into()],
        })
        .collect();
    let points_before = l.platform().host.points();
    let mut seed = 11u64;
    let mut next = |n: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % n
    };
    let points =
        ["timer/1hz", "timer/2hz", "timer/3hz", "iio/adxl345/accel_x", "gpio/pl061/5/both", "timer/07hz"];
    let mut owners: Vec<(ProgramId, u64)> = Vec::new();
    let (mut done, mut not_owner, mut kinds) = (0u32, 0u32, std::collections::BTreeSet::new());
    for turn in 0..100_000u32 {
        let badge = 1 + next(4);
        let any = if owners.is_empty() { 0 } else { next(owners.len() as u64 + 1) as usize };
        let (program, owner) = owners.get(any).copied().unwrap_or((ProgramId(u32::MAX), 0));
        let kind = next(12);
        kinds.insert(kind);
        l.platform().received = (next(2) == 0).then_some(Token(turn.into()));
        let object = if next(40) == 0 { FILTER } else { STRAIGHT };
        let point = points[next(points.len() as u64) as usize];
        let request = match kind {
            0..=2 => at(Source::Inline(object), point),
            3 => Request::Load {
                source: Source::Inline(STRAIGHT),
                program: "",
                point,
                attach: next(2) == 0,
                replaces: Some(program),
                settings: [None; 4],
            },
            4 => Request::Attach { program },
            5 => Request::Detach { program },
            6 => Request::Unload { program },
            7 => Request::Notify { program, map: "events" },
            8 => Request::MapFrame { program, map: "events", page: next(4) as u32 },
            9 => Request::MapRead { program, map: ".rodata", key: &[0; 4] },
            10 => Request::Upload { offset: 0, bytes: &[1; 800] },
            _ => Request::List { after: next(1000) as u32 },
        };
        let result = ask(&mut l, badge, &request);
        let of_another = owner != 0 && owner != badge;
        if of_another && (4..=9).contains(&kind) {
            assert_eq!(result, Err(Refusal::NotOwner), "turn {turn}: {request:?}");
        }
        not_owner += u32::from(result == Err(Refusal::NotOwner));
        done += u32::from(result.is_ok());
        match (kind, result) {
            (0..=2, Ok(Some(id))) => owners.push((id, badge)),
            (3, Ok(Some(id))) => {
                assert_eq!(owner, badge);
                owners.retain(|o| o.0 != program);
                owners.push((id, badge));
            }
            (6, Ok(_)) => owners.retain(|o| o.0 != program),
            _ => {}
        }
        // A token that nobody took goes with its message.
        l.platform().received = None;
        assert_eq!(l.loaded(), owners.len(), "turn {turn}");
        assert!((1..=4).all(|b| owners.iter().filter(|o| o.1 == b).count() <= PROGRAMS_PER_CLIENT));
        if turn % 10_000 == 9_999 {
            // Now and then one of them dies.
            let dead = 1 + next(4);
            l.forget_client(ClientBadge::new(dead));
            owners.retain(|o| o.1 != dead);
        }
    }
    assert!(done > 20_000 && not_owner > 10_000 && kinds.len() == 12, "{done} {not_owner}");
    for badge in 1..=4 {
        l.forget_client(ClientBadge::new(badge));
    }
    assert_eq!(l.loaded(), 0);
    assert_eq!((l.platform().used(), l.platform().peer.mapped, l.platform().tokens.len()), (0, 0, 0));
    assert_eq!((l.platform().peer.doorbells.len(), l.platform().host.points()), (0, points_before));
    assert!(l.windows_are_free());
}
