//! What every server links, in a server that does what its client says.
use axiom_fake_kernel::{Fake, Lines, Message, World, answer, pages};
use axiom_layout::{Bit, Class, ClientBadge};
use axiom_proto::env::{Blob, Channel, Client, Device, Env, Range, Setting, Signal, Thread, Timer, slot};
use axiom_proto::{Error, LABEL_ERROR, LABEL_OK, Values, console, supervisor, wire};
use axiom_runtime::sel4::{CPtr, Error as Kernel, label, syscall};
use axiom_runtime::{
    Buffer, CNode, Endpoint, Incoming, Reply, Runtime, Service, Signals, Slots, call_with_cap, count_refused,
    malformed_count, refused_count, serve, time,
};
use serde::{Deserialize, Serialize};

/// What the server is asked.
#[derive(Serialize, Deserialize, Debug)]
enum Ask<'a> {
    /// How it sees the message.
    Seen,
    /// To keep the capability that came.
    Keep,
    /// To move it to this slot.
    Move(u64),
    /// To ask the peer, with or without a capability, and say whether one came back.
    Peer(bool),
    /// To refuse, counted.
    Refuse,
    /// To answer with a capability.
    Give(u64),
    /// To say a line.
    Say(&'a str),
    /// To panic.
    Panic(&'a str),
    /// To tell init of a panic, as if it had had one.
    Report(&'a str),
    /// Who serves an interface, and whether there is a trace; the name of a client.
    World(u16, u64),
    /// What counters and clocks say.
    Counts,
    /// What was signalled so far.
    Signals,
    /// What is found of this name.
    Find(&'a str),
    /// Whether a capability is a notification.
    Probe(u64),
}

/// What it answers.
#[derive(Serialize, Deserialize, Debug, PartialEq)]
enum Said {
    Done,
    Seen { badge: u64, has_cap: bool },
    Slot(Option<u64>),
    Peer(Result<(u32, bool), Error>),
    Counts { malformed: u64, refused: u64, nanoseconds: u64, ticks: u64 },
    Found(Vec<Option<u64>>),
    World(Vec<Option<u64>>, String),
    Yes(bool),
}

impl axiom_proto::Largest for Said {
    const LARGEST: usize = 256;
}

const INTERFACE: u16 = 77;
const PEER: u64 = 40;
const CONSOLE: u64 = 17;

struct Obedient {
    rt: Runtime,
    slots: Slots,
    signals: Signals,
}

fn main(rt: Runtime) -> ! {
    rt.ready();
    let slots = Slots::new(rt.env());
    serve(&mut Obedient { rt, slots, signals: Signals::NONE })
}

impl Obedient {
    fn find(&self, name: &'static str) -> Vec<Option<u64>> {
        let rt = &self.rt;
        vec![
            rt.channel(name).map(|to| to.0.0),
            rt.arg_number(name),
            rt.blob(name).map(|bytes| bytes.iter().map(|b| u64::from(*b)).sum()),
            rt.signal_to(name).map(|to| to.0.0),
            rt.thread_of(name).map(|tcb| tcb.0.0),
            rt.timer(name).map(|(timer, bit)| timer.0.0 << 8 | u64::from(u8::from(bit))),
            rt.timer_of("sensor", name).map(|(timer, _)| timer.0.0),
            Some(rt.timers_of(name).map(|(timer, _)| timer.0.0).sum()),
            rt.registers(name, 64).map(|_| 1),
            rt.registers(name, 65).map(|_| 1),
        ]
    }
}

impl Service for Obedient {
    fn request(&mut self, message: &Incoming<'_>) -> Reply {
        if message.interface != INTERFACE {
            return Reply::error(Error::NoSuchInterface);
        }
        let ask: Ask<'_> = match message.decode() {
            Ok(ask) => ask,
            Err(error) => return Reply::error(error),
        };
        let said = match ask {
            Ask::Seen => Said::Seen { badge: message.badge.word(), has_cap: message.has_cap },
            Ask::Keep => Said::Slot(axiom_runtime::ipc::take_received(&mut self.slots).map(|cap| cap.0)),
            Ask::Move(to) => {
                let moved = CNode::OWN.move_to(CPtr(to), axiom_runtime::ipc::received());
                Said::Yes(moved.is_ok())
            }
            Ask::Peer(with) => {
                let cap = with.then_some(CPtr(99));
                let mut buffer = Buffer::new();
                Said::Peer(call_with_cap(Endpoint(CPtr(PEER)), 5, &7u32, cap, &mut buffer))
            }
            Ask::Refuse => {
                count_refused();
                return Reply::error(Error::NotGranted);
            }
            Ask::Give(cap) => return Reply::ok_with_cap(&Said::Done, CPtr(cap)),
            Ask::Say(text) => {
                // In two parts, as a line with arguments is written.
                let (first, rest) = text.split_at(text.floor_char_boundary(text.len() / 2));
                axiom_runtime::info!("{first}{rest}");
                Said::Done
            }
            Ask::Panic(text) => panic!("{text}"),
            Ask::Report(text) => {
                axiom_runtime::log::report(None, format_args!("{text}"));
                Said::Done
            }
            Ask::World(interface, badge) => {
                let found = vec![
                    self.rt.serving(interface).map(|to| to.0.0),
                    self.rt.trace().map(|trace| trace.0.0),
                    Some(axiom_runtime::heap_range().0 as u64),
                    Some(axiom_runtime::heap_range().1 as u64),
                ];
                Said::World(found, self.rt.client(ClientBadge::new(badge)).to_owned())
            }
            Ask::Counts => Said::Counts {
                malformed: malformed_count(),
                refused: refused_count(),
                nanoseconds: time::nanoseconds(3_000_000),
                ticks: time::from_nanoseconds(2_000_000_000),
            },
            Ask::Signals => {
                let seen = core::mem::replace(&mut self.signals, Signals::NONE);
                Said::Found(Class::ALL.map(|class| Some(u64::from(seen.any(class)))).to_vec())
            }
            Ask::Find(name) => Said::Found(self.find(String::from(name).leak())),
            Ask::Probe(cap) => {
                Said::Yes(self.rt.probe().is_some_and(|probe| probe.is_notification(CPtr(cap))))
            }
        };
        Reply::ok(&said)
    }
    fn notified(&mut self, signals: Signals) {
        self.signals = self.signals.and(signals);
    }
}

/// A server with nothing but slots.
fn plain() -> Fake {
    started(World::default(), Env::default())
}

fn started(world: World, env: Env<'_>) -> Fake {
    world.start_in(&Env { name: "server", free_slots: (100, 200), counter_frequency: 1_000_000, ..env }, main)
}

fn ask(server: &mut Fake, caps: u64, request: &Ask<'_>) -> Result<Said, Error> {
    server.ask_with(3, INTERFACE, request, caps)
}

/// Slots of its own CNode that it emptied.
fn deleted(server: &mut Fake) -> Vec<u64> {
    let all = server.invocations().into_iter();
    all.filter(|i| i.cap == slot::CNODE && i.label == label::CNODE_DELETE as i64)
        .map(|i| i.words[0])
        .collect()
}

#[test]
fn a_request_comes_with_its_clients_badge_and_is_answered_in_its_words() {
    let mut server = plain();
    let seen = |badge, has_cap| Ok(Said::Seen { badge, has_cap });
    assert_eq!(server.ask::<_, Said>(3, INTERFACE, &Ask::Seen), seen(3, false));
    assert_eq!(server.ask::<_, Said>(u64::MAX >> 1, INTERFACE, &Ask::Seen), seen(u64::MAX >> 1, false));
    assert_eq!(server.ask::<_, Said>(3, INTERFACE + 1, &Ask::Seen), Err(Error::NoSuchInterface));
    // An interface is its whole label.
    let request = |label| Message { label, words: vec![1], caps: 0 };
    let said = server.send(3, request(1 << 16 | u64::from(INTERFACE)));
    assert_eq!(said.label, LABEL_ERROR);
    let same = server.send(3, request(INTERFACE.into()));
    assert_eq!(same.label, LABEL_OK);
}

#[test]
fn what_cannot_be_understood_is_counted_and_answered() {
    let mut server = plain();
    let counts = |server: &mut Fake| match ask(server, 0, &Ask::Counts) {
        Ok(Said::Counts { malformed, refused, .. }) => (malformed, refused),
        other => panic!("{other:?}"),
    };
    let (malformed, refused) = counts(&mut server);
    for words in [vec![], vec![0], vec![u64::MAX; 119], vec![9 | 0xff << 16, 0], vec![2 | 0xff << 16]] {
        let said = server.send(3, Message { label: INTERFACE.into(), words, caps: 0 });
        assert_eq!(said.label, LABEL_ERROR);
    }
    assert_eq!(ask(&mut server, 0, &Ask::Refuse), Err(Error::NotGranted));
    assert_eq!(counts(&mut server), (malformed + 5, refused + 1));
}

#[test]
fn a_capability_that_nobody_took_is_gone_before_the_next_message() {
    let mut server = plain();
    assert_eq!(ask(&mut server, 1, &Ask::Seen), Ok(Said::Seen { badge: 3, has_cap: true }));
    assert_eq!(deleted(&mut server), [slot::RECEIVED]);
    // Once.
    assert_eq!(ask(&mut server, 0, &Ask::Seen), Ok(Said::Seen { badge: 3, has_cap: false }));
    assert_eq!(deleted(&mut server), []);
    // A message that is refused, too.
    assert_eq!(ask(&mut server, 1, &Ask::Refuse), Err(Error::NotGranted));
    assert_eq!(deleted(&mut server), [slot::RECEIVED]);
    assert_eq!(server.ask_with::<_, Said>(3, 1, &Ask::Seen, 1), Err(Error::NoSuchInterface));
    assert_eq!(deleted(&mut server), [slot::RECEIVED]);
}

#[test]
fn two_capabilities_in_a_message_are_none_and_leave_no_slot_full() {
    let mut server = plain();
    for caps in [2, 3] {
        assert_eq!(ask(&mut server, caps, &Ask::Seen), Ok(Said::Seen { badge: 3, has_cap: false }));
        assert_eq!(deleted(&mut server), [slot::RECEIVED]);
    }
    assert_eq!(ask(&mut server, 1, &Ask::Seen), Ok(Said::Seen { badge: 3, has_cap: true }));
}

#[test]
fn a_capability_that_was_unwrapped_is_none() {
    let mut server = plain();
    let bytes = answer(&Ask::Seen);
    let words = bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word)).collect();
    let said = server.send_unwrapped(3, Message { label: INTERFACE.into(), words, caps: 1 }, 1);
    let bytes: &'static [u8] =
        said.words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>().leak();
    assert_eq!(wire::decode(bytes), Ok(Said::Seen { badge: 3, has_cap: false }));
}

#[test]
fn what_a_handler_keeps_stays_and_the_next_one_lands_elsewhere() {
    let mut server = plain();
    assert_eq!(ask(&mut server, 1, &Ask::Keep), Ok(Said::Slot(Some(slot::RECEIVED))));
    assert_eq!(deleted(&mut server), []);
    // The receive slot is one of the server's own from now on.
    assert_eq!(ask(&mut server, 1, &Ask::Seen), Ok(Said::Seen { badge: 3, has_cap: true }));
    assert_eq!(deleted(&mut server), [100]);
    assert_eq!(ask(&mut server, 1, &Ask::Move(150)), Ok(Said::Yes(true)));
    assert_eq!(deleted(&mut server), []);
    server.refuse(label::CNODE_MOVE, Some(Kernel::DeleteFirst));
    assert_eq!(ask(&mut server, 1, &Ask::Move(150)), Ok(Said::Yes(false)));
    assert_eq!(deleted(&mut server), [100]);
}

#[test]
fn what_a_peer_gave_back_and_nobody_took_is_gone_too() {
    for (caps, came) in [(0, false), (1, true)] {
        let world = World::default().peer(PEER, |_, _| answer(&8u32)).giving(PEER, caps);
        let mut server = started(world, Env::default());
        assert_eq!(ask(&mut server, 0, &Ask::Peer(false)), Ok(Said::Peer(Ok((8, came)))));
        assert_eq!(deleted(&mut server).len() as u64, caps);
        // The next client's capability finds the slot empty.
        assert_eq!(ask(&mut server, 1, &Ask::Seen), Ok(Said::Seen { badge: 3, has_cap: true }));
        assert_eq!(deleted(&mut server).len(), 1);
    }
}

#[test]
fn what_a_peer_says_in_other_words_is_malformed() {
    let world = World::default().peer(PEER, |_, _| vec![0xff; 16]);
    let mut server = started(world, Env::default());
    assert_eq!(ask(&mut server, 0, &Ask::Peer(true)), Ok(Said::Peer(Err(Error::Malformed))));
}

#[test]
fn an_answer_has_the_capability_that_it_gives() {
    let mut server = plain();
    let bytes = answer(&Ask::Give(55));
    let words: Vec<u64> = bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word)).collect();
    let said = server.send(3, Message { label: INTERFACE.into(), words: words.clone(), caps: 0 });
    assert_eq!((said.label, said.caps), (LABEL_OK, 1));
    // With one that came and is deleted first: the answer is kept meanwhile.
    let said = server.send(3, Message { label: INTERFACE.into(), words, caps: 1 });
    assert_eq!((said.label, said.caps, deleted(&mut server)), (LABEL_OK, 1, vec![slot::RECEIVED]));
}

#[test]
fn signals_are_no_requests() {
    let mut server = plain();
    let doorbell = Class::Doorbell.nth(3).expect("a bit");
    server.signal(doorbell.badge() | Bit::RESTARTED.badge());
    let seen = Class::ALL.map(|class| Some(u64::from(class == Class::Doorbell || class == Class::Restart)));
    assert_eq!(ask(&mut server, 0, &Ask::Signals), Ok(Said::Found(seen.to_vec())));
    assert_eq!(ask(&mut server, 0, &Ask::Signals), Ok(Said::Found(vec![Some(0); 5])));
}

#[test]
fn ticks_and_nanoseconds_are_each_others() {
    let mut server = plain();
    let Ok(Said::Counts { nanoseconds, ticks, .. }) = ask(&mut server, 0, &Ask::Counts) else { panic!() };
    assert_eq!((nanoseconds, ticks), (3_000_000_000, 2_000_000));
}

#[test]
fn lines_go_to_the_console_whole_and_cut() {
    let lines = Lines::default();
    let serves = Values::of([console::INTERFACE]).expect("a list");
    let nothing = Values::default();
    let channels = [
        Channel { name: "other", slot: 18, serves: nothing.list() },
        Channel { name: "tty", slot: CONSOLE, serves: serves.list() },
    ];
    let channels = Values::of(channels).expect("a list");
    let world = World::default().peer(CONSOLE, lines.peer());
    let mut server = started(world, Env { channels: channels.list(), ..Env::default() });
    assert_eq!(ask(&mut server, 0, &Ask::Say("hello")), Ok(Said::Done));
    let long = "\u{e9}".repeat(console::MAX_TEXT / 2 + 20);
    assert_eq!(ask(&mut server, 0, &Ask::Say(&long)), Ok(Said::Done));
    let most = console::MAX_TEXT / 2;
    assert_eq!(lines.take(), ["hello".to_owned(), "\u{e9}".repeat(most)]);
    // A character that fits only in part is left out.
    assert_eq!(ask(&mut server, 0, &Ask::Say(&format!("x{long}"))), Ok(Said::Done));
    assert_eq!(lines.take(), [format!("x{}", "\u{e9}".repeat((console::MAX_TEXT - 1) / 2))]);
}

#[test]
fn who_has_no_console_is_heard_only_where_debug_calls_are_left() {
    for on in [false, true] {
        let mut server = started(World::default(), Env { debug_calls: on, ..Env::default() });
        assert_eq!(ask(&mut server, 0, &Ask::Say("hi")), Ok(Said::Done));
        let put: Vec<u64> = server
            .invocations()
            .into_iter()
            .filter(|i| i.label == syscall::DEBUG_PUT_CHAR)
            .map(|i| i.cap)
            .collect();
        let text: String = put.iter().map(|byte| char::from(*byte as u8)).collect();
        assert_eq!(text, if on { "server: hi\r\n" } else { "" });
    }
}

/// A server with a channel to init, and the texts of panics that init hears.
fn beside_init() -> (Fake, std::sync::Arc<std::sync::Mutex<Vec<String>>>) {
    let heard = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let told = heard.clone();
    let world = World::default().peer(CONSOLE, move |interface, bytes| {
        assert_eq!(interface, supervisor::INTERFACE);
        let bytes: &'static [u8] = bytes.to_vec().leak();
        match wire::decode(bytes) {
            Ok(supervisor::Request::Panicked { text }) => told.lock().unwrap().push(text.to_owned()),
            other => panic!("init is asked for {other:?}"),
        }
        answer(&supervisor::Reply::Done)
    });
    let (nothing, serves) = (Values::default(), Values::of([supervisor::INTERFACE]).expect("a list"));
    let channels = [
        Channel { name: "other", slot: 18, serves: nothing.list() },
        Channel { name: "init", slot: CONSOLE, serves: serves.list() },
    ];
    let channels = Values::of(channels).expect("a list");
    (started(world, Env { channels: channels.list(), ..Env::default() }), heard)
}

#[test]
fn init_hears_of_a_panic_once_and_no_more_than_it_takes() {
    let (mut server, heard) = beside_init();
    // Longer than init takes, which ends within a character.
    let text = format!("x{}", "\u{e9}".repeat(supervisor::MAX_TEXT / 2));
    assert_eq!(ask(&mut server, 0, &Ask::Report(&text)), Ok(Said::Done));
    assert_eq!(ask(&mut server, 0, &Ask::Report("again")), Ok(Said::Done));
    let said = "panicked: x";
    let most = format!("{said}{}", "\u{e9}".repeat((supervisor::MAX_TEXT - said.len()) / 2));
    assert_eq!(heard.lock().unwrap().drain(..).collect::<Vec<_>>(), [most]);
}

#[test]
fn who_serves_what_and_who_asks_is_known_by_number() {
    let lists = [5u16, 6].map(|interface| Values::of([interface]).expect("a list"));
    let channels = [
        Channel { name: "five", slot: 20, serves: lists[0].list() },
        Channel { name: "six", slot: 21, serves: lists[1].list() },
    ];
    let channels = Values::of(channels).expect("a list");
    let client = |name, badge| Client { name, badge: ClientBadge::new(badge), loader: false };
    let clients = Values::of([client("a", 8), client("b", 9)]).expect("a list");
    let env = Env { channels: channels.list(), clients: clients.list(), trace: 31, ..Env::default() };
    let mut server = started(World::default(), env);
    let mut world = |interface, badge| match ask(&mut server, 0, &Ask::World(interface, badge)) {
        Ok(Said::World(found, name)) => (found[0], found[1], name),
        other => panic!("{other:?}"),
    };
    assert_eq!(world(5, 8), (Some(20), Some(31), "a".into()));
    assert_eq!(world(6, 9), (Some(21), Some(31), "b".into()));
    assert_eq!(world(7, 10), (None, Some(31), "?".into()));
    drop(server);
    let mut server = plain();
    let Ok(Said::World(found, _)) = ask(&mut server, 0, &Ask::World(5, 8)) else { panic!() };
    assert_eq!(found[..2], [None, None]);
    let heap = axiom_fake_kernel::HEAP;
    assert_eq!(found[2..], [Some(heap.start), Some(heap.end - heap.start)]);
}

#[test]
#[should_panic(expected = "the server panicked: all is lost")]
fn a_panic_is_the_servers() {
    let mut server = plain();
    let _: Result<Said, Error> = ask(&mut server, 0, &Ask::Panic("all is lost"));
}

#[test]
fn things_are_found_by_name_and_others_are_not_there() {
    let bytes = pages(1);
    bytes[0] = 0x0302_0100;
    let registers = Range { start: pages(1).as_ptr() as u64, len: 64 };
    let serves = Values::of([5u16]).expect("a list");
    let (channels, signals, threads) = (
        Values::of([Channel { name: "x", slot: 20, serves: serves.list() }]).expect("a list"),
        Values::of([Signal { name: "x", slot: 21 }]).expect("a list"),
        Values::of([Thread { name: "x", slot: 22 }]).expect("a list"),
    );
    let bit = Class::Timer.nth(2).expect("a bit");
    let timer = |name, slot| Timer { name, slot, bit };
    let timers = Values::of([timer("x", 23), timer("sensor/x", 24), timer("sensor/y", 25), timer("x/y", 26)])
        .expect("a list");
    let args = [Setting { key: "x", value: "12" }, Setting { key: "y", value: "twelve" }];
    let args = Values::of(args).expect("a list");
    let blobs = [Blob { name: "x", bytes: Range { start: bytes.as_ptr() as u64, len: 4 } }];
    let blobs = Values::of(blobs).expect("a list");
    let devices = Values::of([Device { name: "x", registers, ..Device::default() }]).expect("a list");
    let env = Env {
        channels: channels.list(),
        signals: signals.list(),
        threads: threads.list(),
        timers: timers.list(),
        args: args.list(),
        blobs: blobs.list(),
        devices: devices.list(),
        ..Env::default()
    };
    let mut server = started(World::default(), env);
    let mut find = |name| match ask(&mut server, 0, &Ask::Find(name)) {
        Ok(Said::Found(found)) => found,
        other => panic!("{other:?}"),
    };
    let x = [
        Some(20),
        Some(12),
        Some(6),
        Some(21),
        Some(22),
        Some(23 << 8 | 2),
        Some(24),
        Some(26),
        Some(1),
        None,
    ];
    assert_eq!(find("x"), x);
    let mut nothing = vec![None; 10];
    nothing[7] = Some(0);
    assert_eq!(find("z"), nothing);
    let mut y = nothing.clone();
    y[6] = Some(25);
    assert_eq!(find("y"), y);
    let mut sensors = nothing;
    sensors[7] = Some(24 + 25);
    assert_eq!(find("sensor"), sensors);
}

#[test]
fn notifications_are_told_from_other_capabilities_and_the_probe_is_free_again() {
    let mut server = started(World::default(), Env { probe: 30, ..Env::default() });
    assert_eq!(ask(&mut server, 0, &Ask::Probe(60)), Ok(Said::Yes(true)));
    let calls: Vec<_> = server.invocations().into_iter().map(|i| (i.cap, i.label as u64, i.caps)).collect();
    use axiom_runtime::sel4::ext::{TIMER_BIND, TIMER_UNBIND};
    assert_eq!(calls, [(30, TIMER_BIND, vec![60]), (30, TIMER_UNBIND, vec![])]);
    server.refuse(TIMER_BIND, Some(Kernel::InvalidCapability));
    assert_eq!(ask(&mut server, 0, &Ask::Probe(60)), Ok(Said::Yes(false)));
    let mut server = {
        drop(server);
        plain()
    };
    assert_eq!(ask(&mut server, 0, &Ask::Probe(60)), Ok(Said::Yes(false)));
}

#[test]
fn a_server_says_that_it_is_ready_where_it_was_told_to() {
    let mut server = started(World::default(), Env { ready: 33, ..Env::default() });
    let said: Vec<_> = server.invocations().into_iter().map(|i| (i.cap, i.label)).collect();
    assert_eq!(said, [(33, syscall::SEND)]);
    drop(server);
    assert_eq!(plain().invocations(), []);
}

mod caps;
