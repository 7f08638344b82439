//! Whose line it is, what is printed of it, and what was typed: on a 16550 that is reached by I/O ports.
use crate::server::MAIN;
use axiom_fake_kernel::{Fake, World};
use axiom_runtime::proto::console::{INTERFACE, Level, Reply, Request};
use axiom_runtime::proto::env::{Client, ClientBadge, Device, Env};
use axiom_runtime::proto::{Error, Values};
use axiom_runtime::sel4::arch::x86_64::label::{IO_PORT_IN8, IO_PORT_OUT8};

const COM1: u64 = 0x3f8;
const STATUS: u64 = COM1 + 5;

/// A console on a port on which `typed` arrives.
fn console(there: bool, typed: &[u8]) -> Fake {
    let device = Device { name: "uart", ports: if there { 20 } else { 0 }, ..Device::default() };
    let devices = Values::of([device]).expect("a list");
    let clients =
        Values::of([Client { name: "demo", badge: ClientBadge::new(3), loader: false }]).expect("a list");
    let env = Env { name: "console", devices: devices.list(), clients: clients.list(), ..Env::default() };
    let mut typed: Vec<u8> = typed.iter().rev().copied().collect();
    let port = move |words: &[u64]| match words[0] {
        // Always ready to send; data ready while there is something.
        STATUS => 0x60 | u64::from(!typed.is_empty()),
        COM1 => typed.pop().unwrap_or(0).into(),
        _ => 0,
    };
    World::default().returning(IO_PORT_IN8, port).start_in(&env, MAIN)
}

/// What went out since the last look.
fn sent(console: &mut Fake) -> String {
    let out =
        console.invocations().into_iter().filter(|i| i.label as u64 == IO_PORT_OUT8 && i.words[0] == COM1);
    out.map(|i| char::from(i.words[1] as u8)).collect()
}

fn line(console: &mut Fake, badge: u64, level: Level, text: &str) -> String {
    assert_eq!(console.ask(badge, INTERFACE, &Request::Line { level, text }), Ok(Reply::Done));
    sent(console)
}

#[test]
fn every_line_begins_with_its_speakers_name_and_its_weight() {
    let mut console = console(true, b"");
    assert_eq!(line(&mut console, 3, Level::Info, "it works"), "demo: it works\r\n");
    assert_eq!(line(&mut console, 3, Level::Plain, "| a |"), "demo: | a |\r\n");
    assert_eq!(line(&mut console, 3, Level::Warn, "hm"), "demo: warning: hm\r\n");
    assert_eq!(line(&mut console, 3, Level::Error, "no"), "demo: ERROR: no\r\n");
    assert_eq!(line(&mut console, 3, Level::Debug, ""), "demo: debug: \r\n");
    // Each of several lines; nobody speaks in another's name.
    assert_eq!(
        line(&mut console, 3, Level::Info, "a\ninit: all is well"),
        "demo: a\r\ndemo: init: all is well\r\n"
    );
    assert_eq!(line(&mut console, 3, Level::Info, "\rinit: \u{1b}[2J\u{9b}x"), "demo: ?init: ?[2J?x\r\n");
    // Whom nobody knows.
    assert_eq!(line(&mut console, 4, Level::Info, "me"), "?: me\r\n");
}

#[test]
fn what_was_typed_comes_in_pieces_and_once() {
    let typed: Vec<u8> = (0..100).collect();
    let mut console = console(true, &typed);
    assert_eq!(console.ask(3, INTERFACE, &Request::Read), Ok(Reply::Typed(&typed[..64])));
    assert_eq!(console.ask(3, INTERFACE, &Request::Read), Ok(Reply::Typed(&typed[64..])));
    assert_eq!(console.ask(3, INTERFACE, &Request::Read), Ok(Reply::Typed(&[])));
}

#[test]
fn without_a_port_it_answers_all_the_same() {
    let mut console = console(false, b"x");
    assert_eq!(line(&mut console, 3, Level::Info, "nobody hears this"), "");
    assert_eq!(console.ask(3, INTERFACE, &Request::Flush), Ok(Reply::Done));
    assert_eq!(console.ask(3, INTERFACE, &Request::Read), Ok(Reply::Typed(&[])));
    assert_eq!(console.ask::<_, Reply<'_>>(3, INTERFACE + 1, &Request::Read), Err(Error::NoSuchInterface));
}
