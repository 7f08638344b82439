//! RP1's server on a machine without RP1, and the cutting of its addresses into pages, which a model of untyped memory checks.
use crate::pages::Behind;
use crate::server::MAIN;
use axiom_fake_kernel::World;
use axiom_runtime::proto::env::{Env, Grant, Window};
use axiom_runtime::proto::rp1::{Absence, Grants, INTERFACE, Peripheral, Refusal, Reply, Request};
use axiom_runtime::proto::{Error, Values, wire};
use axiom_runtime::sel4::label;
use axiom_runtime::sel4::object::kind;
use axiom_runtime::{Incoming, Runtime, Service, Slots, serve};
use std::collections::BTreeMap;
use std::sync::Mutex;

const CLIENT: u64 = 1;

#[test]
fn whoever_may_not_have_a_peripheral_learns_nothing_of_the_chip() {
    let mut grants = Grants::default();
    grants.grant(Peripheral::from_name("i2c1").expect("it is there"));
    let mut bytes = [0; 64];
    let length = wire::encode_plain(&grants, &mut bytes).expect("it is short");
    let grants = Values::of([Grant {
        badge: axiom_runtime::ClientBadge::new(CLIENT),
        interface: INTERFACE,
        bytes: &bytes[..length],
    }]);
    let grants = grants.expect("a list");
    let env = Env { name: "rp1-server", grants: grants.list(), free_slots: (100, 200), ..Env::default() };
    let mut server = World::default().start_in(&env, MAIN);
    let absent = Refusal::Absent(Absence::NoRootComplex);
    for name in ["gpio", "i2c0", "i2c1", "spi0", "pwm0", "uart0"] {
        let Some(peripheral) = Peripheral::from_name(name) else { continue };
        for badge in [CLIENT, 2] {
            let why = if badge == CLIENT && name == "i2c1" { absent } else { Refusal::NotGranted };
            for request in [Request::Open { peripheral, page: 0 }, Request::Interrupt(peripheral)] {
                let answer = server.ask_with::<_, Reply>(badge, INTERFACE, &request, 1);
                assert_eq!(answer, Ok(Reply::Refused(why)), "{badge} {name}");
            }
        }
    }
    assert_eq!(server.ask(2, INTERFACE, &Request::Chip), Ok(Reply::Refused(absent)));
    assert_eq!(server.ask::<_, Reply>(2, INTERFACE + 1, &Request::Chip), Err(Error::NoSuchInterface));
}

struct Nothing;

impl Service for Nothing {
    fn request(&mut self, _: &Incoming<'_>) -> axiom_runtime::Reply {
        axiom_runtime::Reply::error(Error::NoSuchInterface)
    }
}

/// Two windows: of 32 pages and of one.
const WINDOWS: [Window; 2] = [
    Window { device: 0, slot: 20, base: 0x10_0000, bits: 17 },
    Window { device: 0, slot: 21, base: 0x40_0000, bits: 12 },
];

/// Pages that are asked for, with the slot of the frame that each got.
static GOT: Mutex<Vec<(u64, Option<u64>)>> = Mutex::new(Vec::new());
static ORDER: Mutex<Vec<u64>> = Mutex::new(Vec::new());
/// Who uses both.
static TURN: Mutex<()> = Mutex::new(());

fn cut(rt: Runtime) -> ! {
    let mut behind = Behind::new(WINDOWS.into_iter());
    let mut slots = Slots::new(rt.env());
    let order = ORDER.lock().expect("alone").clone();
    for page in order {
        let there = behind.covers(page);
        let frame = behind.frame(page, &mut slots).ok().map(|frame| frame.0.0);
        assert_eq!(there, frame.is_some() || slots.take().is_none(), "{page:#x}");
        GOT.lock().expect("alone").push((page, frame));
    }
    serve(&mut Nothing)
}

/// Does what the retypes say to untyped memory, and returns the address of each frame.
fn frames(invocations: Vec<axiom_fake_kernel::Invocation>) -> BTreeMap<u64, u64> {
    let mut untyped: BTreeMap<u64, (u64, u64)> =
        WINDOWS.map(|w| (w.slot, (w.base, u64::from(w.bits)))).into();
    let mut frames = BTreeMap::new();
    for i in invocations.into_iter().filter(|i| i.label as u64 == label::UNTYPED_RETYPE) {
        let (base, bits) = untyped.remove(&i.cap).expect("untyped memory is cut once");
        let [object, size, _, _, first, count] = i.words[..] else { panic!("{i:?}") };
        if object == kind::SMALL_PAGE {
            assert_eq!((bits, count), (12, 1), "a page becomes one frame");
            assert_eq!(frames.insert(first, base), None);
        } else {
            assert_eq!((object, size, count), (kind::UNTYPED, bits - 1, 2), "halves");
            for n in 0..2 {
                assert_eq!(untyped.insert(first + n, (base + (n << size), size)), None, "an empty slot");
            }
        }
    }
    frames
}

#[test]
fn every_page_of_a_window_is_cut_out_once_in_any_order() {
    let _turn = TURN.lock();
    let all: Vec<u64> = (0..32).map(|n| 0x10_0000 + 4096 * n).chain([0x40_0000]).collect();
    let backwards = all.iter().rev().copied().collect();
    let mixed = (0..33).map(|n| all[n * 7 % 33]).collect();
    for mut order in [all.clone(), backwards, mixed] {
        // Again, and where there is nothing.
        order.extend([0x10_0000, 0x40_0000, 0xf_f000, 0x12_0000, 0x40_1000, 0]);
        *ORDER.lock().expect("alone") = order.clone();
        GOT.lock().expect("alone").clear();
        let env = Env { free_slots: (100, 300), ..Env::default() };
        let mut server = World::default().start_in(&env, cut);
        let made = frames(server.invocations());
        drop(server);
        let got = GOT.lock().expect("alone").clone();
        assert_eq!(got.len(), order.len());
        for (page, frame) in got {
            let there = all.contains(&page);
            assert_eq!(frame.map(|slot| made[&slot]), there.then_some(page), "{page:#x}");
        }
        assert_eq!(made.len(), 33, "no page twice");
    }
}

#[test]
fn without_slots_a_page_is_refused_and_nothing_else_happens() {
    let _turn = TURN.lock();
    *ORDER.lock().expect("alone") = vec![0x10_0000; 3];
    GOT.lock().expect("alone").clear();
    // A page of the large window takes ten slots for halves and one for the frame.
    let env = Env { free_slots: (100, 110), ..Env::default() };
    let mut server = World::default().start_in(&env, cut);
    assert!(frames(server.invocations()).is_empty());
    drop(server);
    assert!(GOT.lock().expect("alone").iter().all(|(_, frame)| frame.is_none()));
}
