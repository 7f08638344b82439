//! The timer server's decisions: which rates there are, whose timer each gets, and what a program is told when signals come late.
use crate::server::MAIN;
use axiom_fake_kernel::{Fake, World};
use axiom_runtime::proto::bpf::ProgramId;
use axiom_runtime::proto::bpf_host::{INTERFACE, Numbers, Refusal, Reply, Request};
use axiom_runtime::proto::env::{Client, Env, Timer};
use axiom_runtime::proto::{Error, Values};
use axiom_runtime::sel4::ext;
use axiom_runtime::{Bits, Class};

const LOADER: u64 = 3;
const FREQUENCY: u64 = 1_000_000;
/// Timers lie in slots from here.
const FIRST: u64 = 100;

/// A timer server with so many timers.
fn server(timers: u64) -> Fake {
    let mut bits = Bits::new();
    let timers = (0..timers).map(|n| Timer {
        name: "rate/0",
        slot: FIRST + n,
        bit: bits.take(Class::Timer).expect("a bit for each timer"),
    });
    let timers = Values::of(timers).expect("a list");
    let clients = [("loader", LOADER, true), ("demo", 1, false)];
    let clients = clients.map(|(name, badge, loader)| Client {
        name,
        badge: axiom_runtime::ClientBadge::new(badge),
        loader,
    });
    let clients = Values::of(clients).expect("a list");
    let env = Env {
        name: "timer-server",
        free_slots: (200, 260),
        timers: timers.list(),
        clients: clients.list(),
        counter_frequency: FREQUENCY,
        ..Env::default()
    };
    World::default().start_in(&env, MAIN)
}

/// A program that returns how many expirations it is told of, as the interpreter runs it.
const EXPIRATIONS: [u8; 16] = [0x79, 0x10, 8, 0, 0, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0];

fn attach(server: &mut Fake, program: u32, point: &str) -> Reply {
    let page = program;
    server.next_frame(&EXPIRATIONS);
    let request = Request::Attach {
        numbers: Numbers {
            program: ProgramId(program),
            page,
            pages: 1,
            slots: 2,
            replaces: None,
            cost: 10,
            client: axiom_runtime::ClientBadge::NOBODY,
        },
        point,
        name: "expirations",
        grants: None,
        maps: &[],
        kept: false,
    };
    server.ask_with(LOADER, INTERFACE, &request, 1).expect("an answer")
}

/// The timers that were armed or cancelled: slot, label, words.
fn timers(server: &mut Fake) -> Vec<(u64, u64, Vec<u64>)> {
    let all = server.invocations().into_iter().filter(|i| i.cap >= FIRST && i.cap < 200);
    all.map(|i| (i.cap, i.label as u64, i.words)).collect()
}

fn runs(server: &mut Fake, program: u32) -> (u64, u64) {
    match server.ask(LOADER, INTERFACE, &Request::Stats { program: ProgramId(program) }) {
        Ok(Reply::Stats { runs, accepted }) => (runs, accepted),
        other => panic!("{other:?}"),
    }
}

#[test]
fn only_whoever_places_programs_is_answered() {
    let mut server = server(1);
    assert!(matches!(server.ask(LOADER, INTERFACE, &Request::Hello), Ok(Reply::Generation(_))));
    for badge in [1, 2, 4, u64::MAX >> 2] {
        assert_eq!(server.ask::<_, Reply>(badge, INTERFACE, &Request::Hello), Err(Error::NoSuchInterface));
    }
    assert_eq!(server.ask::<_, Reply>(LOADER, INTERFACE + 1, &Request::Hello), Err(Error::NoSuchInterface));
}

#[test]
fn every_name_is_a_rate_or_is_refused() {
    let mut server = server(2);
    for name in ["timer/1hz", "timer/10000hz"] {
        assert_eq!(attach(&mut server, 1, name), Reply::Done, "{name}");
        assert_eq!(
            server.ask(LOADER, INTERFACE, &Request::Detach { program: ProgramId(1) }),
            Ok(Reply::Done)
        );
        let code = Request::RemoveCode { page: 1, pages: 1 };
        assert_eq!(server.ask(LOADER, INTERFACE, &code), Ok(Reply::Done));
        drop(server);
        server = self::server(2);
    }
    for name in [
        "timer/0hz",
        "timer/10001hz",
        "timer/01hz",
        "timer/+5hz",
        "timer/hz",
        "timer/5",
        "timer",
        "iio/5hz",
        "",
    ] {
        assert_eq!(attach(&mut server, 1, name), Reply::Refused(Refusal::NoSuchPoint), "{name}");
        drop(server);
        server = self::server(2);
    }
    assert_eq!(timers(&mut server), [], "nothing was armed for them");
}

#[test]
fn a_rates_timer_is_armed_for_its_first_program_and_comes_back_after_its_last() {
    let mut server = server(1);
    server.set_ticks(5000);
    assert_eq!(attach(&mut server, 1, "timer/100hz"), Reply::Done);
    assert_eq!(timers(&mut server), [(FIRST, ext::TIMER_ARM, vec![15_000, 10_000])]);
    assert_eq!(attach(&mut server, 2, "timer/100hz"), Reply::Done);
    assert_eq!(timers(&mut server), [], "it is armed already");
    // The one timer is taken.
    assert_eq!(attach(&mut server, 3, "timer/50hz"), Reply::Refused(Refusal::NoSuchPoint));
    for (program, cancelled) in [(1, false), (2, true)] {
        let detach = Request::Detach { program: ProgramId(program) };
        assert_eq!(server.ask(LOADER, INTERFACE, &detach), Ok(Reply::Done));
        assert_eq!(!timers(&mut server).is_empty(), cancelled, "{program}");
    }
    // Another rate has it now.
    assert_eq!(attach(&mut server, 4, "timer/50hz"), Reply::Done);
    assert_eq!(timers(&mut server), [(FIRST, ext::TIMER_ARM, vec![25_000, 20_000])]);
}

#[test]
fn a_program_runs_once_for_each_signal_and_is_told_of_those_that_were_missed() {
    let mut server = server(2);
    server.set_ticks(0);
    assert_eq!(attach(&mut server, 1, "timer/100hz"), Reply::Done);
    let timer = timers(&mut server)[0].0;
    let mut bits = Bits::new();
    let bit = (0..=timer - FIRST).map(|_| bits.take(Class::Timer)).last().flatten().expect("its bit").badge();
    // Before the first deadline, which is at 10,000: a signal of an earlier arming.
    server.set_ticks(9_999);
    server.signal(bit);
    assert_eq!(runs(&mut server, 1).0, 0);
    for (now, due) in [(10_000, 1), (20_500, 2), (59_999, 3), (60_000, 4)] {
        server.set_ticks(now);
        server.signal(bit);
        assert_eq!(runs(&mut server, 1).0, due, "at {now}");
        // The same deadlines are not served twice.
        server.signal(bit);
        assert_eq!(runs(&mut server, 1).0, due, "again at {now}");
    }
    // Somebody else's bit, or one of no timer.
    server.set_ticks(1_000_000);
    let mut others = Bits::new();
    let first = others.take(Class::Timer).expect("a bit").badge();
    let second = others.take(Class::Timer).expect("a bit").badge();
    server.signal(if bit == first { second } else { first });
    assert_eq!(runs(&mut server, 1).0, 4);
}

#[test]
fn a_timer_that_cannot_be_armed_is_said_and_does_not_stop_the_server() {
    let mut server = server(1);
    server.refuse(ext::TIMER_ARM, Some(axiom_runtime::sel4::Error::IllegalOperation));
    assert_eq!(attach(&mut server, 1, "timer/100hz"), Reply::Done);
    server.refuse(ext::TIMER_ARM, None);
    // The next program tries again.
    assert_eq!(attach(&mut server, 2, "timer/100hz"), Reply::Done);
    let armed = timers(&mut server);
    assert_eq!(armed.len(), 2, "{armed:?}");
}
