//! Programs come, run, take each other's places and go; hosts restart; memory is used up. Each time everything is given back.
use super::*;

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
    assert_eq!(l.platform().stages, [Stage::Attached]);
}

/// The manifest's `blind`: each load has code of its own, which is admitted as what it takes; without it the same program is the same code.
#[test]
fn constants_are_blinded_where_the_manifest_says_so() {
    let codes = |blind: bool| {
        let mut l = Loader::new(Fake::new(), board(false, blind), false);
        l.set_rights(Rights { clients: clients(), ..Rights::default() });
        [(); 3].map(|()| {
            let id = loaded(&mut l, &load(Source::Inline(FILTER)));
            let program = l.programs.iter().find(|p| p.id == id).unwrap();
            assert!(program.compiled);
            let (bytes, cost) = (program.code_bytes as usize, program.cost.compiled);
            let code = l.code[..bytes].to_vec();
            assert_eq!(
                l.handle(ClientBadge::new(1), &Request::Unload { program: id }, (0, 0)).reply,
                Reply::Done
            );
            (code, cost)
        })
    };
    let [plain, blinded] = [false, true].map(codes);
    assert!(plain[0] == plain[1] && plain[1] == plain[2]);
    let all: std::collections::BTreeSet<_> = blinded.iter().chain(&plain).map(|c| &c.0).collect();
    assert_eq!(all.len(), 4, "three blinded ones, and the plain one");
    assert!(blinded[0].1 > plain[0].1 && blinded[0].0.len() > plain[0].0.len());
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

/// A pinned program outlives whoever wanted to be told: after a restart of its host it is in its place, without the doorbell.
#[test]
fn a_doorbell_whose_owner_died_keeps_no_program_from_its_place() {
    let mut l = loader();
    let program = loaded(&mut l, &load(Source::Inline(FILTER)));
    l.platform().received = Some(Token(8));
    let notify = Request::Notify { program, map: "events" };
    assert_eq!(l.handle(ClientBadge::new(1), &notify, (0, 0)).reply, Reply::Done);
    l.platform().host = new_host();
    l.platform().peer.doorbells.clear();
    l.platform().owner_died = true;
    assert_eq!(l.host_restarted(HostId(0)), (1, 0));
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
