//! What servers ask of init, and what nobody may.
use crate::machine::{Machine, Parts, words};
use crate::{server, system};
use axiom_layout::restarts::LONGEST_WAIT_US;
use axiom_layout::{Badge, address};
use axiom_proto::bundle::{Server, System};
use axiom_proto::supervisor::{Area, INTERFACE, MAX_TEXT, Reply, Request};
use axiom_proto::{Error, supervisor};

/// Three: who may end the run, who may see memory, and one that may do nothing.
fn three() -> System {
    let ends = Server { ends_run: true, ..server("ends") };
    let sees = Server { trace: true, ..server("sees") };
    system(vec![ends, sees, server("plain")])
}

fn ask(m: &mut Machine, name: &str, request: &Request<'_>) -> Result<Reply<'static>, Error> {
    m.ask(name, INTERFACE, request).unwrap_or_else(|verdict| panic!("{verdict}"))
}

#[test]
fn only_who_may_ends_the_run() {
    let mut m = Machine::running(&three(), Parts::default());
    m.said();
    for failure in ["", "all is lost"] {
        for name in ["plain", "sees"] {
            assert_eq!(ask(&mut m, name, &Request::Finish { failure }), Err(Error::NotGranted));
        }
    }
    assert_eq!(m.said(), "");
    let verdict = m.ask::<Reply<'_>>("ends", INTERFACE, &Request::Finish { failure: "" });
    assert_eq!(verdict, Err("\naxiom: run ended: ok\n".into()));
}

#[test]
fn a_failure_is_one_line_of_what_can_be_printed_and_of_bounded_length() {
    let long = "x".repeat(MAX_TEXT);
    let said = |failure: &str| {
        let mut m = Machine::running(&three(), Parts::default());
        m.said();
        m.ask::<Reply<'_>>("ends", INTERFACE, &Request::Finish { failure }).unwrap_err()
    };
    let forged = said("no\naxiom: run ended: ok\u{9b}2J");
    assert_eq!(forged, "\naxiom: run ended: FAILED: no?axiom: run ended: ok?2J\n");
    assert_eq!(said(&long), format!("\naxiom: run ended: FAILED: {long}\n"));
    assert_eq!(said(&format!("{long}yy")), format!("\naxiom: run ended: FAILED: {long}\n"));
}

#[test]
fn a_verdict_has_the_token_of_whoever_started_the_machine() {
    let arguments = "quiet axiom.verdict=4711 x";
    let fdt = crate::machine::tree(|b| b.begin("chosen").text("bootargs", arguments).end());
    let mut m = Machine::running(&three(), Parts { fdt, ..Parts::default() });
    m.said();
    let verdict = m.ask::<Reply<'_>>("ends", INTERFACE, &Request::Finish { failure: "" });
    assert_eq!(verdict, Err("\naxiom: run ended: ok (4711)\n".into()));
    // The next machine's has none: nothing is left of this one's.
    drop(m);
    let mut m = Machine::running(&three(), Parts::default());
    m.said();
    let verdict = m.ask::<Reply<'_>>("ends", INTERFACE, &Request::Finish { failure: "" });
    assert_eq!(verdict, Err("\naxiom: run ended: ok\n".into()));
}

#[test]
fn a_panic_is_told_once_in_a_life_without_controls_and_cut() {
    let mut m = Machine::running(&three(), Parts::default());
    m.said();
    let text = format!("a\nb\u{7f}{}", "y".repeat(MAX_TEXT - 10));
    assert_eq!(ask(&mut m, "plain", &Request::Panicked { text: &text }), Ok(Reply::Done));
    assert_eq!(m.said(), format!("init: 'plain' panicked: a?b?{}\n", "y".repeat(156)));
    for _ in 0..3 {
        assert_eq!(ask(&mut m, "plain", &Request::Panicked { text: "again" }), Ok(Reply::Done));
    }
    assert_eq!(m.said(), "");
    // Another's is its own, and so is the next life's.
    assert_eq!(ask(&mut m, "sees", &Request::Panicked { text: "me" }), Ok(Reply::Done));
    assert_eq!(m.said(), "init: 'sees' panicked: me\n");
    m.kill("plain").unwrap();
    m.advance(LONGEST_WAIT_US).unwrap();
    m.said();
    assert_eq!(ask(&mut m, "plain", &Request::Panicked { text: "more" }), Ok(Reply::Done));
    assert_eq!(m.said(), "init: 'plain' panicked: more\n");
}

#[test]
fn badges_that_nobody_has_are_nobody() {
    let mut m = Machine::running(&three(), Parts::default());
    m.said();
    let finish = words(&Request::Finish { failure: "" });
    let fault = [0x1234, 0x10, 0, 0];
    let unknown = [0, 63, 64, 1 << 32 | 62, 1 << 33, 1 << 40, u64::MAX >> 1];
    // Of servers that this system does not have, too.
    let absent = [Badge::Client(3), Badge::Fault(3), Badge::Fault(61), Badge::ready(3), Badge::ready(61)];
    for badge in unknown.into_iter().chain(absent.map(Badge::word)) {
        m.intrude("plain", badge, INTERFACE.into(), &finish)
            .unwrap_or_else(|verdict| panic!("{badge:#x}: {verdict}"));
        m.intrude("plain", badge, sel4_sys::fault::kind::VM, &fault).unwrap();
        assert_eq!(m.said(), "", "{badge:#x}");
    }
    let text = words(&Request::Panicked { text: "x" });
    m.intrude("plain", Badge::Client(3).word(), INTERFACE.into(), &text).unwrap();
    assert_eq!(m.said(), "");
    // Server number 32's readiness is no fault of number 0's.
    m.intrude("plain", Badge::ready(32).word(), 0, &[]).unwrap();
    assert_eq!(m.said(), "");
    assert!(m.thread("ends").is_runnable());
}

#[test]
fn whoever_asks_in_other_words_is_told_so() {
    let mut m = Machine::running(&three(), Parts::default());
    let other = m.ask::<Reply<'_>>("plain", INTERFACE + 1, &Request::System).unwrap();
    assert_eq!(other, Err(Error::NoSuchInterface));
    let slot = m.env("plain").channels.iter().next().unwrap().slot;
    for nonsense in [[].as_slice(), &[u64::MAX; 120], &[3 | 0xff << 16, 0, 0], &[0xffff]] {
        m.call("plain", slot, INTERFACE.into(), nonsense).unwrap();
        assert_eq!(m.answer::<Reply<'_>>("plain"), Err(Error::Malformed), "{nonsense:x?}");
    }
}

#[test]
fn servers_are_listed_to_the_end_with_their_memory() {
    let mut m = Machine::running(&three(), Parts::default());
    let mut own = Vec::new();
    for (index, name) in (0..).zip(["ends", "sees", "plain"]) {
        let Ok(Reply::Server(server)) = ask(&mut m, "plain", &Request::Server { index }) else { panic!() };
        assert_eq!((server.name, server.restarts, server.shared_bytes), (name, 0, 4096));
        own.push(server.own_bytes);
    }
    assert!(own[0] == own[2] && own.iter().all(|bytes| *bytes >= 10 * 4096), "{own:?}");
    for index in [3, 62, u32::MAX] {
        assert_eq!(ask(&mut m, "plain", &Request::Server { index }), Ok(Reply::End));
    }
    let Ok(Reply::System(figures)) = ask(&mut m, "plain", &Request::System) else { panic!() };
    let supervisor::Figures { bundle_bytes, ram_bytes, init_allocated, .. } = figures;
    assert_eq!((bundle_bytes, ram_bytes), (16 * 4096, 1 << 22));
    assert!(init_allocated >= own.iter().sum() && init_allocated < 1 << 20, "{init_allocated} {own:?}");
}

#[test]
fn an_answer_may_be_longer_than_a_messages_registers() {
    let name = "a-name-that-takes-more-than-four-words-of-a-message";
    let mut m = Machine::running(&system(vec![server(name), server("b")]), Parts::default());
    let Ok(Reply::Server(told)) = ask(&mut m, "b", &Request::Server { index: 0 }) else { panic!() };
    assert_eq!(told.name, name);
}

#[test]
fn memory_of_a_server_is_in_blocks_that_it_fills() {
    let big = Server { heap_kib: 260, ..server("big") };
    let mut m = Machine::running(&system(vec![big, server("small")]), Parts::default());
    let mut own = |index| match ask(&mut m, "small", &Request::Server { index }) {
        Ok(Reply::Server(server)) => server.own_bytes,
        other => panic!("{other:?}"),
    };
    // 256 KiB more of heap, in blocks of 16 pages.
    assert_eq!(own(0) - own(1), 256 << 10);
}

#[test]
fn kept_memory_counts_as_its_servers() {
    let shares = Server { shared_kib: 12, ..server("shares") };
    let loader = Server { untyped_kib: 64, ..server("loader") };
    let host = Server { loader: Some(1), hosts: vec!["gpio".into()], ..server("host") };
    let mut m = Machine::running(&system(vec![shares, loader, host, server("plain")]), Parts::default());
    let mut own = |index| match ask(&mut m, "plain", &Request::Server { index }) {
        Ok(Reply::Server(server)) => server.own_bytes,
        other => panic!("{other:?}"),
    };
    let plain = own(3);
    assert!(own(0) - plain >= 3 * 4096 && own(1) - plain >= 65_536, "{plain} {} {}", own(0), own(1));
}

#[test]
fn who_sees_the_kernels_events_may_see_which_pages_were_touched() {
    let mut m = Machine::running(&three(), Parts::default());
    let touched = |area, page| Request::Touched { index: 2, area, page };
    for name in ["ends", "plain"] {
        assert_eq!(ask(&mut m, name, &touched(Area::Stack, 0)), Err(Error::NotGranted));
    }
    m.write("plain", address::STACK_TOP - 4096, 1);
    m.write("sees", address::HEAP, 1);
    let slots = m.free_slots();
    let mut see = |request| ask(&mut m, "sees", &request);
    assert_eq!(see(touched(Area::Stack, 0)), Ok(Reply::Touched(false)));
    assert_eq!(see(touched(Area::Stack, 1)), Ok(Reply::Touched(true)));
    assert_eq!(see(touched(Area::Stack, 2)), Ok(Reply::End));
    assert_eq!(see(touched(Area::Heap, 0)), Ok(Reply::Touched(false)));
    assert_eq!(see(touched(Area::Heap, 1)), Ok(Reply::End));
    assert_eq!(see(Request::Touched { index: 1, area: Area::Heap, page: 0 }), Ok(Reply::Touched(true)));
    assert_eq!(see(Request::Touched { index: 3, area: Area::Heap, page: 0 }), Ok(Reply::End));
    assert_eq!(m.free_slots(), slots);
    // One that is dead has none.
    m.kill("plain").unwrap();
    assert_eq!(ask(&mut m, "sees", &touched(Area::Stack, 1)), Ok(Reply::End));
}
