//! Programs that their host has no time for: refused with figures, nothing left behind; and what gives time back.

use super::*;
use axiom_bpf_host::Budget;

fn tight() -> Loader<Fake> {
    let mut l = loader();
    // 1 ms in 10: 500 us for programs, 250 for one client. Programs are interpreted here, which counts 96 times.
    l.platform().host.set_budget(Budget { time: 1_000_000, period: 10_000_000 }, 666);
    l
}

fn at(point: &str) -> Request<'_> {
    Request::Load {
        source: Source::Inline(STRAIGHT),
        program: "",
        point,
        attach: true,
        replaces: None,
        settings: [None; 4],
    }
}

#[test]
fn a_program_that_has_no_time_is_refused_with_figures_and_leaves_nothing() {
    let mut l = tight();
    let (why, text) = refused(&mut l, &at("timer/1000hz"));
    assert_eq!(why, Refusal::Overload);
    assert_eq!(
        text,
        "at 1,000 Hz this program may need 44 % of timer-server's budget; of what one client may have, 25 % is left: lower the rate, \
         shorten it, unload another, or raise the budget"
    );
    assert!(l.windows_are_free() && l.loaded() == 0);
    assert_eq!((l.platform().used(), l.platform().peer.mapped), (0, 0));
    // Ten times slower it has.
    match l.handle(ClientBadge::new(1), &at("timer/100hz"), (0, 0)).reply {
        Reply::Loaded { worst_case, cost, .. } => {
            assert_eq!((worst_case, cost.is_multiple_of(96), cost / 96 > 600), (2, true, true));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn attaching_again_asks_again() {
    let mut l = tight();
    let first = loaded(&mut l, &at("timer/200hz"));
    assert_eq!(l.handle(ClientBadge::new(1), &Request::Detach { program: first }, (0, 0)).reply, Reply::Done);
    // What is detached has given its time back: three times 80 us are there for another rate.
    let second = loaded(&mut l, &at("timer/300hz"));
    let (why, text) = refused(&mut l, &Request::Attach { program: first });
    assert_eq!(why, Refusal::Overload);
    assert!(
        text.ends_with("lower the rate, shorten its loops, unload another, or raise the budget"),
        "{text}"
    );
    assert_eq!(
        l.handle(ClientBadge::new(1), &Request::Unload { program: second }, (0, 0)).reply,
        Reply::Done
    );
    assert_eq!(l.handle(ClientBadge::new(1), &Request::Attach { program: first }, (0, 0)).reply, Reply::Done);
    assert_eq!(l.forget_client(ClientBadge::new(1)), 1);
    assert!(l.windows_are_free());
}

#[test]
fn a_program_that_the_manifest_names_takes_no_clients_share() {
    let mut l = tight();
    let name = axiom_bpf_object::Object::parse(STRAIGHT).unwrap().programs()[0].name.to_string();
    l.rights_mut().programs = vec![ProgramGrants {
        program: name,
        object: "own.o".into(),
        grants: Grants::NONE,
        owner: "owner".into(),
        pinned: None,
    }];
    l.platform().blobs.push(("own.o".into(), STRAIGHT));
    let mut request = at("timer/1000hz");
    assert_eq!(refused(&mut l, &request).0, Refusal::Overload);
    if let Request::Load { source, .. } = &mut request {
        *source = Source::Blob("own.o");
    }
    loaded(&mut l, &request);
    // The half that all programs have is there for it, and no more.
    let (_, text) = refused(&mut l, &request);
    assert!(text.contains("may need 44 % of timer-server's budget; 6 % is left"), "{text}");
}
