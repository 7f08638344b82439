//! The GPIO server's decisions, on a PL061 that is memory: who may do what, what a stop holds, who is told of an edge, when lines that
//! storm are left alone.
use crate::server::MAIN;
use axiom_fake_kernel::{Fake, World, pages};
use axiom_runtime::proto::bpf::ProgramId;
use axiom_runtime::proto::bpf_host;
use axiom_runtime::proto::env::{Client, Device, Env, Grant, Interrupt, Part, Range, Timer};
use axiom_runtime::proto::gpio::{
    Edges, Grants, INTERFACE, Line, Motor, Outputs, Refusal, Reply, Request, SUBSCRIPTIONS,
};
use axiom_runtime::proto::{Error, Values, wire};
use axiom_runtime::sel4::{ext, label, syscall};
use axiom_runtime::{Bit, Bits, Class};

const LOADER: u64 = 7;
/// May read line 0, set line 1 and the motor's line 2, stop the motors.
const USER: u64 = 1;
/// May rearm, and nothing else.
const KEEPER: u64 = 2;
const FREQUENCY: u64 = 1_000_000;
const IRQ: u64 = 90;
const CALM: u64 = 91;
const PROBE: u64 = 92;

fn line(line: u8) -> Line {
    Line { chip: 0, line }
}

/// A server with one PL061; line 2 is a motor's, which stands at 1.
struct Rig {
    server: Fake,
    registers: *mut u32,
    irq: Bit,
}

impl Rig {
    fn new(change: impl FnOnce(&mut Env<'_>)) -> Rig {
        let registers: *mut u32 = pages(1).as_mut_ptr().cast();
        let rig = |server, irq| Rig { server, registers, irq };
        for (i, byte) in [0x61, 0x10, 0x04, 0].into_iter().enumerate() {
            // SAFETY: a word of the page that stands for the registers.
            unsafe { registers.byte_add(0xfe0 + 4 * i).write_volatile(byte) };
        }
        let mut bits = Bits::new();
        let (irq, calm) =
            (bits.take(Class::Interrupt).expect("a bit"), bits.take(Class::Timer).expect("a bit"));
        let mut user = Grants::NONE;
        user.grant_line(line(0), false);
        user.grant_line(line(1), true);
        user.grant_line(line(2), true);
        user.motor_stop = true;
        let mut keeper = Grants::NONE;
        keeper.motor_rearm = true;
        let [user, keeper] = [user, keeper].map(|grants| {
            let mut bytes = vec![0; 256];
            let length = wire::encode_plain(&grants, &mut bytes).expect("grants are short");
            bytes.truncate(length);
            bytes
        });
        let grants = [(USER, &user), (KEEPER, &keeper)];
        let grants = grants.map(|(badge, bytes)| Grant {
            badge: axiom_runtime::ClientBadge::new(badge),
            interface: INTERFACE,
            bytes,
        });
        let grants = Values::of(grants).expect("a list");
        let (chips, holds) =
            (Values::of(["pl061"]).expect("a list"), Values::of([(line(2), true)]).expect("a list"));
        let none = Values::of::<u8>([]).expect("a list");
        let motors =
            Values::of([Motor { name: "belt", gpio: holds.list(), pwm: none.list() }]).expect("a list");
        let outputs = Outputs { gpio_chips: chips.list(), pwm_chips: none.list(), motors: motors.list() };
        let mut owned = vec![0; 512];
        let length = wire::encode_plain(&outputs, &mut owned).expect("outputs are short");
        let parts = Values::of([Part { interface: INTERFACE, bytes: &owned[..length] }]).expect("a list");
        let clients =
            [("user", USER, false), ("keeper", KEEPER, false), ("loader", LOADER, true), ("other", 4, false)];
        let clients = clients.map(|(name, badge, loader)| Client {
            name,
            badge: axiom_runtime::ClientBadge::new(badge),
            loader,
        });
        let clients = Values::of(clients).expect("a list");
        let registers_at = Range { start: registers as u64, len: 4096 };
        let device = Device { name: "pl061", index: 0, registers: registers_at, ..Device::default() };
        let devices = Values::of([device]).expect("a list");
        let interrupts = Values::of([Interrupt { device: 0, pin: false, slot: IRQ, bit: irq, number: 0 }])
            .expect("a list");
        let timers = Values::of([Timer { name: "calm", slot: CALM, bit: calm }]).expect("a list");
        let mut env = Env {
            name: "gpio-server",
            free_slots: (200, 300),
            clients: clients.list(),
            grants: grants.list(),
            parts: parts.list(),
            devices: devices.list(),
            interrupts: interrupts.list(),
            timers: timers.list(),
            probe: PROBE,
            counter_frequency: FREQUENCY,
            ..Env::default()
        };
        change(&mut env);
        rig(World::default().start_in(&env, MAIN), irq)
    }

    fn read(&self, offset: usize) -> u32 {
        // SAFETY: a word of the page.
        unsafe { self.registers.byte_add(offset).read_volatile() }
    }

    fn write(&self, offset: usize, value: u32) {
        // SAFETY: a word of the page.
        unsafe { self.registers.byte_add(offset).write_volatile(value) }
    }

    /// What was last written to a line's data register.
    fn driven(&self, line: u8) -> bool {
        self.read(4 << line) != 0
    }

    fn ask(&mut self, badge: u64, request: Request) -> Reply<'static> {
        self.server.ask(badge, INTERFACE, &request).expect("an answer")
    }

    fn subscribe(&mut self, badge: u64, number: u8, caps: u64) -> Reply<'static> {
        let request = Request::Subscribe { line: line(number), edges: Edges::Both };
        self.server.ask_with(badge, INTERFACE, &request, caps).expect("an answer")
    }

    /// An edge of a line, whose level is then `high`.
    fn edge(&mut self, number: u8, high: bool) {
        self.write(0x418, 1 << number);
        self.write(0x408, 1 << number);
        self.write(0x3fc, u32::from(high) << number);
        self.server.signal(self.irq.badge());
        self.write(0x418, 0);
    }

    /// Notifications that were signalled without waiting: their slots.
    fn rung(&mut self) -> Vec<u64> {
        let all = self.server.invocations().into_iter();
        all.filter(|i| i.label == syscall::NB_SEND).map(|i| i.cap).collect()
    }
}

#[test]
fn a_client_does_what_it_is_granted_and_nothing_else() {
    let mut rig = Rig::new(|_| ());
    assert_eq!(rig.ask(USER, Request::Set { line: line(1), level: true }), Reply::Done);
    assert!(rig.driven(1) && rig.read(0x400) & 2 != 0, "an output, and high");
    assert_eq!(rig.ask(USER, Request::Set { line: line(1), level: false }), Reply::Done);
    assert!(!rig.driven(1));
    rig.write(4, 1);
    assert_eq!(rig.ask(USER, Request::Get(line(0))), Reply::Line { output: false, level: true, edges: 0 });
    let not_granted = Reply::Refused(Refusal::NotGranted);
    for (badge, request) in [
        (USER, Request::Set { line: line(0), level: true }),
        (USER, Request::Input(line(0))),
        (USER, Request::Get(line(3))),
        (USER, Request::Set { line: line(3), level: true }),
        (USER, Request::Rearm),
        (KEEPER, Request::Get(line(0))),
        (KEEPER, Request::Set { line: line(1), level: true }),
        (KEEPER, Request::Stop),
        (4, Request::Get(line(0))),
        (4, Request::Stop),
        (4, Request::Rearm),
        (99, Request::Set { line: line(2), level: false }),
    ] {
        assert_eq!(rig.ask(badge, request), not_granted, "{badge} {request:?}");
    }
    assert_eq!(rig.read(0x400) & 0b1001, 0, "nobody drives lines 0 and 3");
    // Everybody may know what there is.
    assert_eq!(
        rig.ask(99, Request::Chip { chip: 0 }),
        Reply::Chip { name: "pl061", lines: 8, software: false }
    );
    assert_eq!(rig.ask(99, Request::Chip { chip: 1 }), Reply::End);
    assert_eq!(rig.ask(99, Request::PwmChip { chip: 0 }), Reply::End);
    assert_eq!(rig.server.ask::<_, Reply<'_>>(USER, INTERFACE + 1, &()), Err(Error::NoSuchInterface));
}

#[test]
fn a_stop_parks_the_motors_and_holds_them_until_they_are_rearmed() {
    let mut rig = Rig::new(|_| ());
    assert!(rig.driven(2), "parked at the start");
    assert_eq!(rig.ask(USER, Request::Set { line: line(2), level: false }), Reply::Done);
    assert_eq!(rig.ask(USER, Request::Stop), Reply::Done);
    assert!(rig.driven(2), "at the level where the motor stands");
    assert_eq!(rig.ask(USER, Request::Set { line: line(2), level: false }), Reply::Refused(Refusal::Stopped));
    assert!(rig.driven(2));
    // Others go on.
    assert_eq!(rig.ask(USER, Request::Set { line: line(1), level: true }), Reply::Done);
    assert_eq!(rig.ask(4, Request::Motors), Reply::Motors { stopped: true, motors: 1, refused: 1 });
    assert_eq!(rig.ask(KEEPER, Request::Rearm), Reply::Done);
    assert!(rig.driven(2), "nothing moves by itself");
    assert_eq!(rig.ask(USER, Request::Set { line: line(2), level: false }), Reply::Done);
    assert!(!rig.driven(2));
}

#[test]
fn a_server_that_was_started_again_holds_its_motors_and_one_in_its_last_life_for_good() {
    let mut again = Rig::new(|env| env.restarts = 1);
    let run = Request::Set { line: line(2), level: false };
    assert_eq!(again.ask(USER, run), Reply::Refused(Refusal::Stopped));
    assert_eq!(again.ask(KEEPER, Request::Rearm), Reply::Done);
    assert_eq!(again.ask(USER, run), Reply::Done);
    drop(again);
    let mut last = Rig::new(|env| (env.restarts, env.last_life) = (3, true));
    assert_eq!(last.ask(KEEPER, Request::Rearm), Reply::Refused(Refusal::Stopped));
    assert_eq!(last.ask(USER, run), Reply::Refused(Refusal::Stopped));
    assert!(last.driven(2));
    let hello = last.server.ask::<_, bpf_host::Reply>(LOADER, bpf_host::INTERFACE, &bpf_host::Request::Hello);
    assert_eq!(hello, Err(Error::NoSuchInterface), "no program is placed in it either");
}

#[test]
fn programs_that_could_stop_the_motors_are_gone_so_they_are_held() {
    for (stops, held) in [(true, true), (false, false)] {
        let mut rig = Rig::new(|_| ());
        let mut grants = Grants::NONE;
        grants.motor_stop = stops;
        // exit
        rig.server.next_frame(&[0xb7, 0, 0, 0, 0, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0]);
        let attach = bpf_host::Request::Attach {
            numbers: bpf_host::Numbers {
                program: ProgramId(1),
                page: 0,
                pages: 1,
                slots: 2,
                replaces: None,
                cost: 4,
                client: axiom_runtime::ClientBadge::NOBODY,
            },
            point: "gpio/pl061/3/rising",
            name: "limit",
            grants: Some(grants),
            maps: &[],
            kept: false,
        };
        let mut host = |badge, request, caps| {
            rig.server.ask_with::<_, bpf_host::Reply>(badge, bpf_host::INTERFACE, &request, caps)
        };
        assert_eq!(host(USER, attach, 1), Err(Error::NoSuchInterface), "a client places no program");
        assert_eq!(host(LOADER, attach, 1), Ok(bpf_host::Reply::Done));
        assert_eq!(host(LOADER, bpf_host::Request::Reset, 0), Ok(bpf_host::Reply::Done));
        assert_eq!(rig.ask(4, Request::Motors), Reply::Motors { stopped: held, motors: 1, refused: 0 });
    }
}

#[test]
fn who_subscribed_is_told_of_edges_without_waiting_until_it_unsubscribes() {
    let mut rig = Rig::new(|_| ());
    assert_eq!(rig.subscribe(USER, 0, 1), Reply::Done);
    let kept = rig.server.invocations();
    let moved = kept.iter().find(|i| i.label as u64 == label::CNODE_MOVE).expect("it is kept");
    let slot = moved.words[0];
    rig.edge(0, true);
    assert_eq!(rig.rung(), [slot]);
    rig.edge(0, false);
    assert_eq!(rig.rung(), [slot]);
    rig.edge(1, true);
    assert_eq!(rig.rung(), [0; 0], "not of other lines");
    assert_eq!(rig.ask(USER, Request::Get(line(0))), Reply::Line { output: false, level: false, edges: 2 });
    assert_eq!(rig.ask(USER, Request::Unsubscribe(line(0))), Reply::Done);
    let deleted =
        |i: &axiom_fake_kernel::Invocation| i.label as u64 == label::CNODE_DELETE && i.words[0] == slot;
    assert!(rig.server.invocations().iter().any(deleted), "its slot is emptied");
    rig.edge(0, true);
    assert_eq!(rig.rung(), [0; 0]);
    // The interrupt was let in again each time.
    rig.edge(0, true);
    assert!(rig.server.invocations().iter().any(|i| i.cap == IRQ && i.label as u64 == label::IRQ_ACK));
}

#[test]
fn a_subscription_needs_one_notification_and_the_right_to_read() {
    let mut rig = Rig::new(|_| ());
    let refused = |why| Reply::Refused(why);
    assert_eq!(rig.subscribe(USER, 0, 0), refused(Refusal::NoCapability));
    assert_eq!(rig.subscribe(USER, 0, 2), refused(Refusal::NoCapability), "two are none");
    assert_eq!(rig.subscribe(KEEPER, 0, 1), refused(Refusal::NotGranted));
    // A timer cannot be bound to it: it is no notification.
    rig.server.refuse(ext::TIMER_BIND, Some(axiom_runtime::sel4::Error::InvalidCapability));
    assert_eq!(rig.subscribe(USER, 0, 1), refused(Refusal::NoCapability));
    rig.server.refuse(ext::TIMER_BIND, None);
    // However often that goes, no slot is lost.
    rig.server.refuse(label::CNODE_MOVE, Some(axiom_runtime::sel4::Error::FailedLookup));
    for _ in 0..2 * SUBSCRIPTIONS {
        assert_eq!(rig.subscribe(USER, 0, 1), refused(Refusal::NoCapability));
    }
    rig.server.refuse(label::CNODE_MOVE, None);
    for _ in 0..2 * SUBSCRIPTIONS {
        assert_eq!(rig.subscribe(USER, 0, 1), Reply::Done, "another one takes its place");
    }
    rig.server.invocations();
    rig.edge(0, true);
    assert_eq!(rig.rung().len(), 1);
}

#[test]
fn a_line_that_storms_is_left_alone_and_watched_again_later() {
    let mut rig = Rig::new(|_| ());
    rig.server.set_ticks(1000);
    assert_eq!(rig.subscribe(USER, 0, 1), Reply::Done);
    let enabled = |rig: &Rig| rig.read(0x410) & 1 != 0;
    assert!(enabled(&rig));
    rig.server.invocations();
    let mut edges = 0;
    while enabled(&rig) && edges < 1000 {
        rig.edge(0, edges % 2 == 0);
        edges += 1;
    }
    assert_eq!(edges, 201, "200 in ten milliseconds are none");
    let calm = rig.server.invocations().into_iter().find(|i| i.cap == CALM).expect("a timer ends it");
    assert_eq!((calm.label as u64, calm.words), (ext::TIMER_ARM, vec![1000 + 100_000, 0]));
    rig.server.set_ticks(1000 + 99_999);
    rig.server.signal(rig.irq.badge());
    assert!(!enabled(&rig));
    rig.server.set_ticks(1000 + 100_000);
    rig.server.signal(rig.irq.badge());
    assert!(enabled(&rig));
}

#[test]
fn a_chip_that_is_none_is_refused_by_its_lines() {
    let mut rig = Rig::new(|env| env.devices = Default::default());
    assert_eq!(
        rig.ask(USER, Request::Chip { chip: 0 }),
        Reply::Chip { name: "pl061", lines: 0, software: false }
    );
    assert_eq!(
        rig.ask(USER, Request::Set { line: line(1), level: true }),
        Reply::Refused(Refusal::NoSuchLine)
    );
    assert_eq!(rig.ask(USER, Request::Stop), Reply::Done, "a stop is never refused for that");
}
