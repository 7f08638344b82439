//! Uploads of clients that mean no good.

use super::*;
use crate::uploads::{PATIENCE_MS, TOTAL};
use axiom_proto::bpf::{MAX_INLINE, MAX_OBJECT, MAX_PIECE};

const HONEST: u64 = 1;

fn loader_with(clients: u64) -> Loader<Fake> {
    let mut l = loader();
    let clients = (1..=clients)
        .map(|badge| Client { badge: ClientBadge::new(badge), name: format!("c{badge}"), sensors: vec![] })
        .collect();
    l.set_rights(Rights { clients, ..Rights::default() });
    l
}

fn piece(l: &mut Loader<Fake>, badge: u64, offset: usize, bytes: &[u8]) -> Result<(), String> {
    let request = Request::Upload { offset: offset as u32, bytes };
    match l.handle(ClientBadge::new(badge), &request, (0, 0)).reply {
        Reply::Done => Ok(()),
        Reply::Refused(_) => {
            match l.handle(ClientBadge::new(badge), &Request::Verdict { offset: 0 }, (0, 0)).reply {
                Reply::Text(text) => Err(text.into()),
                other => panic!("{other:?}"),
            }
        }
        other => panic!("{other:?}"),
    }
}

/// Uploads until it is refused, or so many bytes are there; how many are.
fn upload_most(l: &mut Loader<Fake>, badge: u64, most: usize) -> usize {
    let mut there = 0;
    while there < most && piece(l, badge, there, &[7; 800][..800.min(most - there)]).is_ok() {
        there += 800.min(most - there);
    }
    there
}

#[test]
fn few_clients_have_room_for_a_whole_object_each() {
    let mut l = loader_with(2);
    assert_eq!([1, 2].map(|badge| upload_most(&mut l, badge, MAX_OBJECT)), [MAX_OBJECT; 2]);
    assert!(piece(&mut l, 1, MAX_OBJECT, &[1]).unwrap_err().contains("ends at 131072 bytes"));
}

#[test]
fn unfinished_uploads_of_others_take_nobodys_share() {
    let mut l = loader_with(5);
    // Four take what they can get and never load it, with fresh pieces every second.
    let held: Vec<usize> = (2..=5).map(|badge| upload_most(&mut l, badge, MAX_OBJECT)).collect();
    let share = l.uploads.share();
    assert_eq!((share, held.iter().all(|h| *h + 1024 > share / 2)), (TOTAL / 2 / 5, true), "{held:?}");
    for second in 1..100 {
        l.platform().now = second * 1000;
        let there = upload_most(&mut l, HONEST, share / 2);
        assert_eq!(there, share / 2, "at {second} s");
        for (badge, held) in (2..).zip(&held) {
            // Whatever comes of it.
            let _ = piece(&mut l, badge, *held, &[1]);
        }
        assert!(l.uploads.held() <= TOTAL);
    }
    // And the object is loaded in between.
    upload(&mut l, CALLS);
    let mut request = load(Source::Uploaded);
    if let Request::Load { program, .. } = &mut request {
        *program = "second";
    }
    loaded(&mut l, &request);
}

#[test]
fn what_is_above_the_shares_gives_way_after_a_while_however_busily_it_begins_anew() {
    let mut l = loader_with(5);
    assert_eq!(upload_most(&mut l, 2, MAX_OBJECT), MAX_OBJECT);
    let before = upload_most(&mut l, HONEST, MAX_OBJECT);
    assert!(before < MAX_OBJECT && before >= l.uploads.share() / 2);
    let refused = piece(&mut l, HONEST, before, &[7; 800]).unwrap_err();
    assert!(refused.contains("others have left") && refused.contains("wait for 5 s"), "{refused}");
    // It begins anew all the time.
    for ms in [1000, 2000, 3000, 4000, PATIENCE_MS - 1] {
        l.platform().now = ms;
        assert_eq!(upload_most(&mut l, 2, MAX_OBJECT), MAX_OBJECT, "at {ms}");
        assert!(piece(&mut l, HONEST, before, &[7; 800]).is_err(), "at {ms}");
    }
    l.platform().now = PATIENCE_MS;
    let mut there = before;
    while there < MAX_OBJECT {
        let bytes = 800.min(MAX_OBJECT - there);
        piece(&mut l, HONEST, there, &[7; 800][..bytes]).unwrap();
        there += bytes;
    }
    // Who gave way is told so, once.
    let told = piece(&mut l, 2, MAX_OBJECT - 1, &[1]).unwrap_err();
    assert_eq!(
        told,
        "the upload has taken longer than 5 s and gave way to another one: begin again at byte 0"
    );
    // A load, even of rubbish, gives everything back.
    let request = load(Source::Uploaded);
    assert!(matches!(
        l.handle(ClientBadge::new(HONEST), &request, (0, 0)).reply,
        Reply::Refused(Refusal::Object)
    ));
    assert_eq!(upload_most(&mut l, 2, MAX_OBJECT), MAX_OBJECT);
}

#[test]
fn a_client_that_is_gone_holds_nothing() {
    let mut l = loader_with(5);
    upload_most(&mut l, 2, MAX_OBJECT);
    l.forget_client(ClientBadge::new(2));
    assert_eq!(l.uploads.held(), 0);
    assert_eq!(upload_most(&mut l, HONEST, MAX_OBJECT), MAX_OBJECT);
}

#[test]
fn all_together_never_hold_more_than_there_is() {
    for clients in [1u64, 2, 3, 4, 7, 20, 60] {
        let mut l = loader_with(clients);
        for round in 0..3 {
            for badge in 1..=clients {
                l.platform().now += 700 * round;
                upload_most(&mut l, badge, [MAX_OBJECT, 5000, 40_000][(badge + round) as usize % 3]);
                assert!(l.uploads.held() <= TOTAL, "{clients} clients hold {}", l.uploads.held());
            }
        }
        let share = l.uploads.share();
        assert!(share * clients as usize <= TOTAL && share >= TOTAL / 2 / clients as usize);
    }
}

#[test]
fn the_end_of_an_object_comes_with_the_load() {
    let mut l = loader_with(2);
    let end = |offset: usize, bytes: &'static [u8]| {
        let mut request = load(Source::Rest { offset: offset as u32, bytes });
        if let Request::Load { program, .. } = &mut request {
            *program = "second";
        }
        request
    };
    let rest = |from: usize| end(from, &CALLS[from..]);
    // Uploaded by another client, or nothing: there is nothing that the end could follow.
    assert!(piece(&mut l, 2, 0, &CALLS[..800]).is_ok());
    assert!(refused(&mut l, &rest(800)).1.contains("goes on at byte 0, not at 800"));
    let mut held = 0;
    while CALLS.len() - held > MAX_INLINE {
        let bytes = &CALLS[held..CALLS.len().min(held + MAX_PIECE)];
        piece(&mut l, HONEST, held, bytes).unwrap();
        held += bytes.len();
    }
    // An end that leaves a gap, or begins too early: refused, and what was uploaded is there still.
    for wrong in [held + 1, held - 1, u32::MAX as usize] {
        let (why, text) = refused(&mut l, &end(wrong, &CALLS[held..]));
        assert_eq!(why, Refusal::BadRequest);
        assert!(text.contains(&format!("goes on at byte {held}, not at {wrong}")), "{text}");
    }
    let program = loaded(&mut l, &rest(held));
    assert_eq!(l.handle(ClientBadge::new(HONEST), &Request::Unload { program }, (0, 0)).reply, Reply::Done);
    // It is gone with the load; an end of nothing is an object of its own.
    assert!(refused(&mut l, &rest(held)).1.contains("goes on at byte 0"));
    let whole = load(Source::Rest { offset: 0, bytes: STRAIGHT });
    loaded(&mut l, &whole);
    assert_eq!(l.uploads.held(), 1024, "the other client's");
}
