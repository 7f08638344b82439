//! The IIO server's decisions: whose a device is, who may have a buffer's ring, and what is said of a sensor that is not there: the bus is
//! missing in this file. Sensors on one are in `sensors`; drivers are tested by their conformance kit, and the whole on an emulated board.

mod board;
pub mod bus;
mod sensors;

use crate::server::MAIN;
use axiom_fake_kernel::{Fake, Invocation, World, answer, pages};
use axiom_runtime::proto::env::{Channel, Client, Env, Grant, Setting, Shared, Timer};
use axiom_runtime::proto::iio::{INTERFACE, RING_PAGES, Reply, Request};
use axiom_runtime::proto::supervisor::{self, State};
use axiom_runtime::proto::{Error, Values, wire};
use axiom_runtime::sel4::{CapRights, label};
use axiom_runtime::{Bits, Class};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

/// The buses that tests have put down, by their number (the argument `test_bus`).
static MODELS: Mutex<BTreeMap<u64, Arc<Mutex<bus::Chips>>>> = Mutex::new(BTreeMap::new());

/// Is given both sensors; so is the other one.
const READER: u64 = 1;
const OTHER: u64 = 2;
/// Is given the second one.
const LITTLE: u64 = 3;
const INIT: u64 = 50;
/// The first frame of the rings.
const FRAMES: u64 = 60;

/// How often each client was started; `DOWN` for one that is not up.
type Starts = Arc<[AtomicU32; 4]>;
const DOWN: u32 = u32::MAX;

struct Rig {
    server: Fake,
    starts: Starts,
    /// The rings' memory: it outlives the server.
    memory: u64,
}

fn start(starts: &Starts, memory: u64, restarts: u32) -> Fake {
    let lists = [(READER, &["lm75", "adxl345"][..]), (OTHER, &["lm75", "adxl345"]), (LITTLE, &["adxl345"])];
    let grants = lists.map(|(badge, names)| {
        let names = Values::of(names.iter().copied()).expect("a list");
        let mut bytes = vec![0; 128];
        let length = wire::encode_plain(&names.list::<&str>(), &mut bytes).expect("it is short");
        bytes.truncate(length);
        (badge, bytes)
    });
    let grants = grants.each_ref().map(|(badge, bytes)| Grant {
        badge: axiom_runtime::ClientBadge::new(*badge),
        interface: INTERFACE,
        bytes,
    });
    let grants = Values::of(grants).expect("a list");
    let clients = [("reader", READER), ("other", OTHER), ("little", LITTLE)];
    let clients = Values::of(clients.map(|(name, badge)| Client {
        name,
        badge: axiom_runtime::ClientBadge::new(badge),
        loader: false,
    }))
    .expect("a list");
    let mut bits = Bits::new();
    let timers = ["sensor/lm75", "sensor/adxl345"].map(|name| {
        let bit = bits.take(Class::Timer).expect("a bit");
        Timer { name, slot: 30 + bit.badge().trailing_zeros() as u64, bit }
    });
    let timers = Values::of(timers).expect("a list");
    let serves = Values::of([supervisor::INTERFACE]).expect("a list");
    let channels = Values::of([Channel { name: "init", slot: INIT, serves: serves.list() }]).expect("a list");
    let args = Values::of([Setting { key: "sensors", value: "lm75 adxl345" }]).expect("a list");
    let env = Env {
        name: "iio-server",
        restarts,
        free_slots: (300, 400),
        grants: grants.list(),
        clients: clients.list(),
        timers: timers.list(),
        channels: channels.list(),
        args: args.list(),
        shared: Some(Shared { slot: FRAMES, address: memory, pages: 2 * RING_PAGES }),
        counter_frequency: 1_000_000,
        ..Env::default()
    };
    let starts = starts.clone();
    let init = move |_: u16, message: &[u8]| match wire::decode(message) {
        Ok(supervisor::Request::Server { index }) => {
            let restarts = starts[index as usize].load(Ordering::SeqCst);
            let state = if restarts == DOWN { State::Down } else { State::Ready };
            let (shared_bytes, own_bytes) = (0, 0);
            let server = supervisor::Server { name: "client", state, restarts, shared_bytes, own_bytes };
            answer(&supervisor::Reply::Server(server))
        }
        other => panic!("the server asks init {other:?}"),
    };
    World::default().peer(INIT, init).start_in(&env, MAIN)
}

impl Rig {
    fn new() -> Rig {
        let starts = Starts::default();
        let memory = pages(2 * RING_PAGES as usize).as_ptr() as u64;
        Rig { server: start(&starts, memory, 0), starts, memory }
    }

    /// The server crashes and is started again.
    fn restart(self, restarts: u32) -> Rig {
        let Rig { server, starts, memory } = self;
        drop(server);
        Rig { server: start(&starts, memory, restarts), starts, memory }
    }

    fn ask(&mut self, badge: u64, request: Request<'_>) -> Reply<'static> {
        self.server.ask(badge, INTERFACE, &request).expect("an answer")
    }

    fn buffer(&mut self, badge: u64, device: u32, channels: u8) -> Reply<'static> {
        self.ask(badge, Request::Buffer { device, channels, length: 16, watermark: 4 })
    }
}

#[test]
fn everybody_may_look_and_whoever_it_is_given_may_change() {
    let mut rig = Rig::new();
    for badge in [READER, LITTLE, 77] {
        let device = |name, channels| Reply::Device { name, present: false, channels };
        assert_eq!(rig.ask(badge, Request::Device { device: 0 }), device("lm75", 1));
        assert_eq!(rig.ask(badge, Request::Device { device: 1 }), device("adxl345", 3));
        assert_eq!(rig.ask(badge, Request::Device { device: 2 }), Reply::End);
        assert_eq!(
            rig.ask(badge, Request::Channel { device: 1, channel: 2 }),
            Reply::Channel { name: "in_accel_z" }
        );
        assert_eq!(rig.ask(badge, Request::Channel { device: 1, channel: 3 }), Reply::End);
    }
    for device in [0, 1] {
        for request in [
            Request::Sample { device, hz: 0 },
            Request::DataReady { device, hz: 100 },
            Request::Buffer { device, channels: 1, length: 1, watermark: 1 },
            Request::BufferFrame { device, page: 0 },
        ] {
            for (badge, may) in [(READER, true), (LITTLE, device == 1), (77, false)] {
                let refused = rig.ask(badge, request) == Reply::NotGranted;
                assert_eq!(refused, !may, "{badge} {request:?}");
                // Leave no reader.
                if may && matches!(request, Request::Buffer { .. }) {
                    rig.buffer(badge, device, 0);
                }
            }
        }
    }
    assert_eq!(rig.server.ask::<_, Reply<'_>>(READER, INTERFACE + 1, &()), Err(Error::NoSuchInterface));
}

#[test]
fn nothing_is_invented_for_a_sensor_that_is_not_there() {
    let mut rig = Rig::new();
    let read = |attribute| Request::Read { device: 0, channel: 0, attribute };
    assert_eq!(rig.ask(READER, read("raw")), Reply::Absent);
    assert_eq!(rig.ask(READER, read("sampling_frequency")), Reply::Value { integer: 0, nanos: 0 });
    assert!(matches!(rig.ask(READER, read("scale")), Reply::Value { .. }), "what needs no chip");
    for attribute in ["", "Raw", "raw ", "sampling_frequency_available"] {
        assert_eq!(rig.ask(READER, read(attribute)), Reply::NotFound, "{attribute}");
    }
    for (device, channel) in [(0, 1), (2, 0), (u32::MAX, u32::MAX)] {
        assert_eq!(rig.ask(READER, Request::Read { device, channel, attribute: "raw" }), Reply::NotFound);
    }
    assert_eq!(
        rig.ask(READER, Request::DataReady { device: 0, hz: 10 }),
        Reply::NotFound,
        "no chip, no wire"
    );
}

#[test]
fn a_ring_has_one_reader_and_its_pages_are_lent_to_nobody_else() {
    let mut rig = Rig::new();
    assert_eq!(rig.buffer(READER, 1, 0b111), Reply::Done);
    assert_eq!(rig.buffer(OTHER, 1, 1), Reply::Taken);
    assert_eq!(rig.buffer(OTHER, 1, 0), Reply::Taken, "nor does it stop another's");
    assert_eq!(rig.buffer(OTHER, 0, 1), Reply::Done, "another device has another ring");
    rig.server.invocations();
    for (badge, page, lent) in [
        (READER, 0, Some(true)),
        (READER, 1, Some(false)),
        (READER, RING_PAGES - 1, Some(false)),
        (READER, RING_PAGES, None),
        (READER, u32::MAX, None),
        (OTHER, 0, None),
        (OTHER, 1, None),
    ] {
        let reply = rig.ask(badge, Request::BufferFrame { device: 1, page });
        let copies = |i: &Invocation| i.label as u64 == label::CNODE_COPY;
        let copied: Vec<_> = rig.server.invocations().into_iter().filter(copies).collect();
        let Some(writable) = lent else {
            assert_eq!((reply, copied.len()), (Reply::NotFound, 0), "{badge} {page}");
            continue;
        };
        assert_eq!(reply, Reply::Frame { writable });
        let rights = if writable { CapRights::READ_WRITE } else { CapRights::READ };
        let (from, given) = (copied[0].words[2], copied[0].words[4]);
        assert_eq!((from, given), (FRAMES + u64::from(RING_PAGES + page), rights.0), "{page}");
    }
    // Stopped, its pages are taken back, and another may read.
    assert_eq!(rig.buffer(READER, 1, 0), Reply::Done);
    let revoked = |i: &Invocation| i.label as u64 == label::CNODE_REVOKE;
    assert_eq!(rig.server.invocations().into_iter().filter(revoked).count(), RING_PAGES as usize);
    assert_eq!(rig.buffer(OTHER, 1, 1), Reply::Done);
}

#[test]
fn channels_that_a_device_does_not_have_are_in_no_scan() {
    let mut rig = Rig::new();
    for (device, channels, there) in [
        (0, 0b1, true),
        (0, 0b10, false),
        (1, 0b111, true),
        (1, 0b1000, false),
        (1, 0x81, false),
        (2, 1, false),
    ] {
        let reply = rig.buffer(READER, device, channels);
        assert_eq!(reply, if there { Reply::Done } else { Reply::NotFound }, "{device} {channels:#x}");
    }
    let state = rig.ask(READER, Request::BufferState { device: 1 });
    let scan_bytes = 3 * 4 + 4 + 8;
    assert_eq!(
        state,
        Reply::Buffer { channels: 7, length: 16, watermark: 4, available: 0, lost: 0, scan_bytes }
    );
}

#[test]
fn a_reader_keeps_its_ring_over_a_crash_of_the_server_until_it_dies_itself() {
    let mut rig = Rig::new();
    rig.starts[0].store(4, Ordering::SeqCst);
    assert_eq!(rig.buffer(READER, 1, 1), Reply::Done);
    let mut rig = rig.restart(1);
    assert_eq!(rig.buffer(OTHER, 1, 1), Reply::Taken, "it may hold pages that cannot be revoked from here");
    assert_eq!(rig.buffer(READER, 1, 0), Reply::Done);
    assert_eq!(rig.buffer(OTHER, 1, 1), Reply::Taken, "of the life before");
    // Its own it may start anew.
    assert_eq!(rig.buffer(READER, 1, 1), Reply::Done);
    // It was started again: it holds nothing.
    rig.starts[0].store(5, Ordering::SeqCst);
    assert_eq!(rig.buffer(OTHER, 1, 1), Reply::Done);
    // It is down.
    rig.starts[1].store(DOWN, Ordering::SeqCst);
    assert_eq!(rig.buffer(READER, 1, 1), Reply::Done);
    let _ = rig.memory;
}

#[test]
fn a_doorbell_that_is_refused_leaves_no_capability_behind() {
    let mut rig = Rig::new();
    let kept = Arc::new(Mutex::new(Vec::new()));
    let start = Request::Buffer { device: 1, channels: 1, length: 4, watermark: 1 };
    // More often than there are slots.
    for turn in 0..300 {
        let badge = if turn % 2 == 0 { READER } else { OTHER };
        let reply: Reply<'_> = rig.server.ask_with(badge, INTERFACE, &start, 1).expect("an answer");
        assert_eq!(reply, if badge == READER { Reply::Done } else { Reply::Taken }, "{turn}");
        let deletes = |i: &Invocation| i.label as u64 == label::CNODE_DELETE;
        kept.lock().expect("alone").push(rig.server.invocations().into_iter().filter(deletes).count());
    }
    let kept = kept.lock().expect("alone");
    assert!(kept[1..].iter().all(|deleted| *deleted >= 1), "each one that is not kept is deleted: {kept:?}");
}
