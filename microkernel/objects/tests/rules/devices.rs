//! The machine's own objects: timers, interrupt handlers, the trace ring as user space maps it, the Debug capability.
use axiom_objects::fake::{FREQUENCY, FakeWorld, Hardware, MAX_IRQ, Message, TIMER_IRQ};
use axiom_objects::machine::{Machine, record};
use axiom_objects::trace::{PAGES, Ring, class};
use axiom_objects::{Cap, Ptr, Tcb};
use core::cell::Cell;
use sel4_sys::ext::{self, event, stretch};
use sel4_sys::{Badge, CapRights, Error, label};

const OBJECT: u64 = 1;
const SIGNAL: u64 = 2;
const READ_ONLY: u64 = 3;
const CONTEXT: u64 = 4;
const SPACE: u64 = 5;
const TAKEN: u64 = 6;
const OTHER: u64 = 7;
const FREE: u64 = 8;

const ILLEGAL: (u64, u64, u64) = (Error::IllegalOperation as u64, 0, 0);

struct Scene {
    world: FakeWorld,
    space: Cap,
    caller: Ptr<Tcb>,
}

/// A thread with the object, a notification with and without the right to signal, and a context.
fn scene(object: impl FnOnce(&FakeWorld) -> Cap) -> Scene {
    let world = FakeWorld::with_memory(18);
    let space = world.cnode(4);
    let caller = world.thread(10, space);
    let ntfn = world.notification();
    let signal = |rights| Cap::Notification { ntfn, badge: Badge(4), rights: CapRights(rights) };
    for (slot, cap) in [
        (OBJECT, object(&world)),
        (SIGNAL, signal(1)),
        (READ_ONLY, signal(2)),
        (CONTEXT, Cap::SchedContext { sc: world.context(1000, 10_000), bits: 8 }),
        (SPACE, space),
        (TAKEN, Cap::Domain),
        (OTHER, Cap::Tcb { tcb: caller }),
    ] {
        world.put(space, slot, cap);
    }
    world.run(caller);
    Scene { world, space, caller }
}

impl Scene {
    /// The four words of the answer, or the error with its first two.
    fn call(&self, label: u64, words: &[u64], caps: &[u64]) -> Result<[u64; 4], (u64, u64, u64)> {
        self.world.run(self.caller);
        let answer =
            self.world.invoke(self.caller, OBJECT, Message { label, words, caps }).expect("it goes on");
        let details = matches!(answer.label, 1 | 2 | 4);
        let second = if answer.label == 4 { answer.words[1] } else { 0 };
        let failed = (answer.label, if details { answer.words[0] } else { 0 }, second);
        if answer.label == 0 { Ok(answer.words) } else { Err(failed) }
    }

    fn done(&self, label: u64, words: &[u64], caps: &[u64]) {
        assert!(self.call(label, words, caps).is_ok(), "{label} {words:?} {caps:?}");
    }

    fn badge(&self) -> u64 {
        let Cap::Notification { ntfn, .. } = self.world.slot(self.space, SIGNAL).cap() else {
            panic!("a notification is there")
        };
        let active = ntfn.state.get() == axiom_objects::object::NotificationState::Active;
        ntfn.state.set(axiom_objects::object::NotificationState::Idle);
        if active { ntfn.badge.get() } else { 0 }
    }

    fn after(&self, ticks: u64) {
        self.world.advance(ticks);
        self.world.interrupt();
    }
}

fn invalid(argument: u64) -> (u64, u64, u64) {
    (Error::InvalidCapability as u64, argument, 0)
}

fn range(min: u64, max: u64) -> (u64, u64, u64) {
    (Error::RangeError as u64, min, max)
}

#[test]
fn a_timer_signals_counts_and_is_stopped() {
    let s = scene(|world| Cap::Timer { timer: world.timer() });
    let Cap::Timer { timer } = s.world.slot(s.space, OBJECT).cap() else { panic!("a timer is there") };
    for cptr in [READ_ONLY, OTHER, 15] {
        assert_eq!(s.call(ext::TIMER_BIND, &[], &[cptr]), Err(invalid(0)));
        assert!(timer.slot().is_empty());
    }
    s.done(ext::TIMER_BIND, &[], &[SIGNAL]);
    // 20 microseconds are the shortest period; none is one shot.
    for (period, allowed) in [(0, true), (1, false), (19, false), (20, true), (u64::MAX, true)] {
        let answer = s.call(ext::TIMER_ARM, &[1 << 40, period], &[]);
        assert_eq!(
            answer.map(|_| ()),
            if allowed { Ok(()) } else { Err(range(20, u64::MAX)) },
            "period {period}"
        );
    }
    let now = s.world.time();
    s.done(ext::TIMER_ARM, &[now + 100, 30], &[]);
    s.after(99);
    assert_eq!(s.badge(), 0);
    s.after(1);
    assert_eq!((s.badge(), timer.expirations.get(), timer.overruns.get()), (4, 1, 0));
    s.after(95);
    assert_eq!((s.badge(), timer.expirations.get(), timer.overruns.get()), (4, 2, 2));
    assert_eq!(s.call(ext::TIMER_READ, &[], &[]), Ok([2, 2, now + 130, now + 195]));
    assert_eq!(
        s.call(ext::TIMER_READ, &[], &[]),
        Ok([0, 0, now + 130, now + 195]),
        "reading takes the counts"
    );
    s.done(ext::TIMER_CANCEL, &[], &[]);
    s.after(1000);
    assert_eq!((s.badge(), timer.expirations.get()), (0, 0));
    // Without its notification it counts all the same.
    s.done(ext::TIMER_UNBIND, &[], &[]);
    assert!(timer.slot().is_empty());
    let now = s.world.time();
    s.done(ext::TIMER_ARM, &[now + 10, 0], &[]);
    s.after(10);
    assert_eq!((s.badge(), timer.expirations.get()), (0, 1));
    s.after(1000);
    assert_eq!(timer.expirations.get(), 1);
    assert_eq!(s.call(ext::TIMER_READ + 1, &[], &[]), Err(ILLEGAL));
    assert_eq!(s.call(ext::TIMER_BIND - 1, &[], &[]), Err(ILLEGAL));
    let truncated = Err((Error::TruncatedMessage as u64, 0, 0));
    assert_eq!(s.call(ext::TIMER_ARM, &[1], &[]), truncated);
    assert_eq!(s.call(ext::TIMER_BIND, &[], &[]), truncated);
}

#[test]
fn a_timer_is_armed_at_the_cost_of_a_context_that_is_configured() {
    let s = scene(|world| Cap::Timer { timer: world.timer() });
    let Cap::SchedContext { sc, .. } = s.world.slot(s.space, CONTEXT).cap() else {
        panic!("a context is there")
    };
    let arm = |caps: &[u64]| s.call(ext::TIMER_ARM, &[1 << 40, 0], caps).map(|_| ());
    assert_eq!(arm(&[CONTEXT]), Ok(()));
    let own = s.caller.sc.get().expect("the caller has a context");
    let pay = || [own, sc].map(|sc| sc.timers.deadline().is_some());
    assert_eq!(pay(), [false, true]);
    assert_eq!(arm(&[]), Ok(()));
    assert_eq!(pay(), [true, false]);
    for other in [OTHER, 15] {
        assert_eq!(arm(&[other]), Err(invalid(1)));
    }
    sc.refill_max.set(0);
    assert_eq!(arm(&[CONTEXT]), Err(ILLEGAL));
    assert_eq!(pay(), [true, false], "a refusal changes nothing");
}

#[test]
fn a_line_has_one_handler_and_signals_until_it_is_acknowledged() {
    let s = scene(|_| Cap::IrqControl);
    let most = u64::from(MAX_IRQ);
    let issue = |irq: u64, slot: u64, depth: u64| {
        s.call(label::IRQ_ISSUE_HANDLER, &[irq, slot, depth], &[SPACE]).map(|_| ())
    };
    let revoke_first = Err((Error::RevokeFirst as u64, 0, 0));
    assert_eq!(issue(most + 1, FREE, 64), Err(range(0, most)));
    assert_eq!(issue(u64::MAX, FREE, 64), Err(range(0, most)));
    assert_eq!(issue(u64::from(TIMER_IRQ), FREE, 64), revoke_first);
    assert_eq!(issue(40, TAKEN, 64).map_err(|e| e.0), Err(Error::DeleteFirst as u64));
    assert_eq!(issue(40, FREE, 65), Err(range(1, 64)));
    assert!(!s.world.take_log().contains(&Hardware::Unmask(40)), "a refusal changes nothing");
    assert_eq!(issue(40, FREE, 64), Ok(()));
    assert_eq!(s.world.take_log(), [Hardware::Unmask(40)]);
    assert_eq!(issue(40, FREE + 1, 64), revoke_first);
    for (trigger, edge) in [(0, false), (1, true), (2, true)] {
        let (irq, slot) = (41 + trigger, FREE + 1 + trigger);
        s.done(label::IRQ_ISSUE_HANDLER_TRIGGER, &[irq, trigger, slot, 64], &[SPACE]);
        let irq = irq as u32;
        assert_eq!(
            s.world.take_log(),
            [
                Hardware::Route { irq, route: axiom_objects::arch::interrupts::Route { edge } },
                Hardware::Unmask(irq)
            ]
        );
        assert_eq!(s.world.slot(s.space, slot).cap(), Cap::IrqHandler { irq });
    }
    assert_eq!(issue(most, FREE + 4, 64), Ok(()));
    for label in [label::IRQ_ISSUE_HANDLER_TRIGGER + 1, label::IRQ_ACK] {
        assert_eq!(
            s.call(label, &[50, 0, FREE + 5, 64], &[SPACE]).map_err(|e| e.0),
            Err(Error::IllegalOperation as u64)
        );
    }
    // The handler, in the place of the control.
    let s = scene(|world| {
        (&world).shared().irq_active(40).set(true);
        Cap::IrqHandler { irq: 40 }
    });
    let raise = || {
        s.world.raise(40);
        s.world.interrupt();
        (s.world.take_log().contains(&Hardware::Mask(40)), s.badge())
    };
    s.world.take_log();
    assert_eq!(raise(), (true, 0), "nobody is told, but the line is masked");
    s.done(label::IRQ_ACK, &[], &[]);
    assert_eq!(s.world.take_log(), [Hardware::Unmask(40)]);
    for cptr in [READ_ONLY, OTHER] {
        assert_eq!(s.call(label::IRQ_SET_HANDLER, &[], &[cptr]), Err(invalid(0)));
    }
    s.done(label::IRQ_SET_HANDLER, &[], &[SIGNAL]);
    s.done(label::IRQ_SET_HANDLER, &[], &[SIGNAL]);
    assert_eq!(raise(), (true, 4));
    assert_eq!(raise(), (false, 0), "masked until it is acknowledged");
    s.done(label::IRQ_CLEAR_HANDLER, &[], &[]);
    s.done(label::IRQ_ACK, &[], &[]);
    s.world.interrupt();
    assert_eq!(s.badge(), 0);
    assert_eq!(s.call(99, &[], &[]), Err(ILLEGAL));
}

/// The ring as user space sees it: words of the header page and of the records behind it.
fn ring(world: &FakeWorld) -> (Ptr<Ring>, Ptr<[Cell<u64>; PAGES * 512]>) {
    let at = world.allocate(14).kernel();
    const { assert!(PAGES * 4096 <= 1 << 14) };
    // SAFETY: zeroed memory of this world, large and aligned enough for both views, which are of cells alone; it lives as long as the world.
    unsafe { (Ptr::new(at), Ptr::new(at)) }
}

#[test]
fn the_trace_ring_is_as_its_layout_says() {
    let world = FakeWorld::with_memory(18);
    let (ring, words) = ring(&world);
    let m = &world;
    let trace = &m.node().trace;
    let word = |i: usize| words[i].get();
    trace.record_at(1, 0x200, 0, 0);
    assert_eq!(
        (word(2), trace.info()),
        (0, [PAGES as u64 * 4096, 0, 0]),
        "nothing is recorded without a ring"
    );
    trace.note_stretch(3, 9);
    trace.start(ring, FREQUENCY);
    assert_eq!(word(0), 1 << 32 | u64::from(u32::from_le_bytes(*b"AXTR")));
    assert_eq!([1, 2, 3, 4, 8].map(word), [512, 0, FREQUENCY, 1 << class::BOOT, 0]);
    trace.set_frequency(FREQUENCY + 1);
    assert_eq!(word(3), FREQUENCY + 1, "measured later");
    for mask in [0, 1 << class::IPC, 0x1fc, u64::MAX] {
        trace.set_mask(mask);
        assert_eq!((word(4), trace.info()[2]), (mask | 2, mask | 2), "boot stays on");
        for class in 0..64 {
            assert_eq!(trace.is_on(class), class == class::BOOT || mask >> class & 1 != 0);
        }
    }
    assert_eq!([0x0100, 0x01ff, 0x0200, 0x3f00].map(class::of), [1, 1, 2, 63]);
    // Records go round; the boot's are kept as well, as far as there is room.
    let (boot, records) = (32, 512);
    for i in 0..1100u64 {
        let event = if i % 2 == 0 { 0x0105 } else { 0x0203 };
        trace.record_at(1000 + i, event, i as u16, 7 * i as u32);
        let second = u64::from(event) | (i & 0xffff) << 16 | (7 * i) << 32;
        let at = records + 2 * (i as usize % 512);
        assert_eq!([word(at), word(at + 1)], [1000 + i, second], "record {i}");
        assert_eq!([word(2), trace.info()[1]], [i + 1, i + 1]);
        let kept = (i / 2 + 1).min(200);
        assert_eq!(word(8), kept);
        if event == 0x0105 && i / 2 < 200 {
            let at = boot + 2 * (i as usize / 2);
            assert_eq!([word(at), word(at + 1)], [1000 + i, second], "boot's record {}", i / 2);
        }
    }
    let stretches = boot + 2 * 200;
    assert_eq!(word(stretches + stretch::MEASURED), 0);
    for (cause, instructions, longest) in [(5, 10, 10), (5, 9, 10), (5, 12, 12), (6, 1, 1)] {
        trace.note_stretch(cause, instructions);
        assert_eq!(word(stretches + cause), longest);
        assert_eq!(word(stretches + stretch::MEASURED), 1);
    }
    trace.note_stretch(ext::TRACE_STRETCHES, 5);
    assert_eq!(
        [stretches - 1, records].map(word),
        [u64::from(0x0105u16) | 398 << 16 | (7 * 398) << 32, 1000 + 1024]
    );
}

#[test]
fn a_second_clock_looks_at_phases_of_boot_and_at_nothing_else() {
    let s = scene(|_| Cap::Trace);
    let (ring, words) = ring(&s.world);
    let m = &s.world;
    m.node().trace.start(ring, FREQUENCY);
    let kept = || {
        let records: Vec<[u64; 2]> =
            (0..words[8].get() as usize).map(|i| [32 + 2 * i, 33 + 2 * i].map(|w| words[w].get())).collect();
        records
    };
    let emit = |event: u16| {
        s.done(ext::TRACE_EMIT, &[u64::from(event), 0, 7], &[]);
    };
    // Without such a clock a phase is its own record alone.
    emit(event::BOOT_INIT);
    assert_eq!(kept(), [[m.now(), u64::from(event::BOOT_INIT) | 7 << 32]]);
    m.show_second_clock(0xfedc_ba98);
    m.node().trace.set_reference(69_841_279, 1234);
    assert_eq!([6, 7].map(|i: usize| words[i].get()), [69_841_279, 1234]);
    for (phase, looked_at) in [
        (event::BOOT_ALL_READY, true),
        (event::BOOT_ROOT_START, true),
        (event::BOOT_SPAWNED, false),
        (event::BOOT_READY, false),
        (event::BOOT_REFERENCE, false),
    ] {
        let before = kept().len();
        emit(phase);
        let own = [m.now(), u64::from(phase) | 7 << 32];
        let look = [m.now(), u64::from(event::BOOT_REFERENCE) | u64::from(phase) << 16 | 0xfedc_ba98 << 32];
        let expected: &[[u64; 2]] = if looked_at { &[own, look] } else { &[own] };
        assert_eq!(&kept()[before..], expected, "event {phase:#x}");
    }
}

#[test]
fn events_are_recorded_when_their_class_is_on() {
    let s = scene(|_| Cap::Trace);
    let (ring, words) = ring(&s.world);
    let m = &s.world;
    let trace = &m.node().trace;
    trace.start(ring, FREQUENCY);
    for on in [false, true] {
        trace.set_mask(u64::from(on) << class::SIGNAL);
        let before = words[2].get();
        record(&s.world, class::SIGNAL, ext::event::SIGNAL, 3, 9);
        assert_eq!(words[2].get() - before, u64::from(on));
    }
    // A thread's own events: two small numbers and a larger, or a thread's name.
    s.done(ext::TRACE_SET_MASK, &[1 << 9], &[]);
    let last = || {
        let at = 512 + 2 * ((words[2].get() as usize - 1) % 512);
        words[at + 1].get()
    };
    s.done(ext::TRACE_EMIT, &[0x0912, 0xffff, 77], &[]);
    assert_eq!(last(), 0x0912 | 0xffff << 16 | 77 << 32);
    s.done(ext::TRACE_EMIT, &[0x0912, 5, 77], &[OTHER]);
    assert_eq!(last(), 0x0912 | 5 << 16 | (s.caller.addr() as u64) << 32);
    let written = words[2].get();
    s.done(ext::TRACE_EMIT, &[0x0a12, 5, 77], &[]);
    assert_eq!(words[2].get(), written, "class 10 is off");
    let most = Err(range(0, 0xffff));
    assert_eq!(s.call(ext::TRACE_EMIT, &[0x1_0000, 0, 0], &[]), most);
    assert_eq!(s.call(ext::TRACE_EMIT, &[0x0912, 0x1_0000, 0], &[]), most);
    assert_eq!(s.call(ext::TRACE_EMIT, &[0x0912, 0, 0], &[CONTEXT]), Err(invalid(1)));
    s.done(ext::TRACE_EMIT, &[0xffff, 0xffff, u64::MAX], &[]);
    let told = s.call(ext::TRACE_INFO, &[], &[]).expect("it tells");
    assert_eq!(told[..3], [PAGES as u64 * 4096, words[2].get(), 1 << 9 | 1 << class::BOOT]);
    assert_eq!(s.call(ext::TRACE_INFO + 1, &[], &[]), Err(ILLEGAL));
}

#[test]
fn the_debug_capability_takes_bytes_in_order_and_names_threads() {
    let s = scene(|_| Cap::Debug);
    let text: Vec<u8> = (1..=64).collect();
    let packed: Vec<u64> = text.chunks(8).map(|b| u64::from_le_bytes(b.try_into().expect("eight"))).collect();
    for length in 0..=66u64 {
        s.world.take_log();
        let words = [&[length][..], &packed].concat();
        let answer = s.call(ext::DEBUG_WRITE, &words, &[]);
        let put: Vec<u8> = s
            .world
            .take_log()
            .iter()
            .filter_map(|asked| if let Hardware::Put(b) = asked { Some(*b) } else { None })
            .collect();
        if length > 64 {
            assert_eq!((answer, put), (Err(range(0, 64)), vec![]));
        } else {
            assert_eq!((answer.map(|words| words[0]), &put[..]), (Ok(length), &text[..length as usize]));
        }
    }
    // Each byte is in the message.
    let truncated = Err((Error::TruncatedMessage as u64, 0, 0));
    for (length, words, enough) in
        [(8, 2, true), (9, 2, false), (9, 3, true), (1, 1, false), (0, 1, true), (64, 8, false)]
    {
        let message = [&[length][..], &packed].concat();
        let answer = s.call(ext::DEBUG_WRITE, &message[..words], &[]);
        assert_eq!(answer.map(|words| words[0]), if enough { Ok(length) } else { truncated.map(|_: ()| 0) });
    }
    let name = |bytes: &[u8; 32]| {
        let words: Vec<u64> =
            bytes.chunks(8).map(|b| u64::from_le_bytes(b.try_into().expect("eight"))).collect();
        s.done(ext::DEBUG_NAME_THREAD, &words, &[OTHER]);
        s.caller.name().to_string()
    };
    assert_eq!(
        name(b"a thread's name, that is too long"[..32].try_into().expect("32")),
        "a?thread's?name,?that?is?too?lo"
    );
    assert_eq!(name(b"short\0and\x01more\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"), "short");
    assert_eq!(s.call(ext::DEBUG_NAME_THREAD, &[0; 4], &[CONTEXT]), Err(invalid(1)));
    for (word, on) in [(0, false), (1, true), (2, true)] {
        s.world.take_log();
        s.done(ext::DEBUG_CALLS, &[word], &[]);
        assert_eq!(s.world.take_log(), [Hardware::DebugCalls(on)]);
    }
    s.world.take_log();
    assert_eq!(s.call(ext::DEBUG_POWER_OFF + 1, &[], &[]), Err(ILLEGAL));
    assert!(s.world.take_log().is_empty());
    s.done(ext::DEBUG_POWER_OFF, &[], &[]);
    assert_eq!(s.world.take_log(), [Hardware::PowerOff]);
}
