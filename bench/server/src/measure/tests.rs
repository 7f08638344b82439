//! A run whose memory ends anywhere is answered, and its report says what is missing.
use super::memory::{Series, Text, list, owned, push, room};
use super::server::MAIN;
use crate::text;
use axiom_bench_metrics::{BEGIN, END};
use axiom_fake_kernel::{Fake, Lines, World, answer, pages, serving};
use axiom_proto::bench::{INTERFACE, Reply, Request};
use axiom_proto::env::{Blob, Channel, Env, Range, Untyped};
use axiom_proto::{Values, bench, bpf, console, supervisor, wire};
use axiom_runtime::sel4::ext::{TRACE_MAGIC, TraceHeader, TraceRecord, event};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

/// The system's memory, of which a server is refused one allocation.
struct Failing;

/// Allocations of the server since this was zero, and the one that fails.
static COUNT: AtomicUsize = AtomicUsize::new(0);
static FAILS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is the system allocator's but a refusal, which any allocator may make.
unsafe impl GlobalAlloc for Failing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if serving() && COUNT.fetch_add(1, SeqCst) + 1 == FAILS.load(SeqCst) {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise; the block is the system's.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Failing = Failing;

const INIT: u64 = 16;
const PARTNER: u64 = 17;
const BPF: u64 = 18;
const CONSOLE: u64 = 19;

/// What init says: the system, two servers, and which pages were touched.
fn init(message: &[u8]) -> Vec<u8> {
    use supervisor::{Reply, Request, Server, State};
    let server =
        |name| Server { name, state: State::Ready, restarts: 0, shared_bytes: 4096, own_bytes: 8192 };
    answer(&match wire::decode(message) {
        Ok(Request::System) => Reply::System(supervisor::Figures { kernel_text: 100, ..Default::default() }),
        Ok(Request::Server { index: 0 }) => Reply::Server(server("a")),
        Ok(Request::Server { index: 1 }) => Reply::Server(server("bench")),
        Ok(Request::Touched { page, .. }) if page < 3 => Reply::Touched(page < 2),
        _ => Reply::End,
    })
}

/// What bpf-server says: every load is well.
fn loader(message: &[u8]) -> Vec<u8> {
    answer(&match wire::decode(message) {
        Ok(bpf::Request::Stages) => bpf::Reply::Stages(bpf::Stages::default()),
        Ok(bpf::Request::Unload { .. }) => bpf::Reply::Done,
        _ => {
            bpf::Reply::Loaded { program: bpf::ProgramId(1), insns: 2, code_bytes: 8, worst_case: 2, cost: 9 }
        }
    })
}

/// What the partner says: what it got.
fn partner(label: u16, message: &[u8]) -> Vec<u8> {
    match wire::decode(message) {
        Ok(Request::Echo { value }) if label == bench::INTERFACE => answer(&Reply::Echo { value }),
        _ => message.to_vec(),
    }
}

/// A kernel's trace, with three records of its start.
fn ring() -> Range {
    let memory = pages(2);
    let header = memory.as_mut_ptr().cast::<TraceHeader>();
    let events = [event::BOOT_ENTRY, event::BOOT_MMU, event::BOOT_INIT];
    // SAFETY: new memory, zeroed, which is a header whose words are zero; it is larger than one.
    unsafe {
        (&raw mut (*header).magic).write(TRACE_MAGIC);
        (&raw mut (*header).capacity).write(64);
        (&raw mut (*header).boot_count).write(events.len() as u64);
        for (i, event) in events.into_iter().enumerate() {
            let record = TraceRecord { counter: 100 * i as u64, event, arg0: 0, arg1: 0 };
            (&raw mut (*header).boot[i]).write(record);
        }
    }
    Range { start: memory.as_ptr() as u64, len: 8192 }
}

fn server(lines: &Lines) -> Fake {
    let serves = |interface: u16| Values::of([interface]).expect("a list");
    let (bpf, console) = (serves(bpf::INTERFACE), serves(console::INTERFACE));
    let nothing = serves(0);
    let channels = [
        Channel { name: "init", slot: INIT, serves: nothing.list() },
        Channel { name: "bench-partner", slot: PARTNER, serves: nothing.list() },
        Channel { name: "bpf-server", slot: BPF, serves: bpf.list() },
        Channel { name: "console", slot: CONSOLE, serves: console.list() },
    ];
    let object = pages(1).as_ptr() as u64;
    let blobs = [Blob { name: "straight_2.o", bytes: Range { start: object, len: 64 } }];
    let (channels, blobs) = (Values::of(channels).expect("a list"), Values::of(blobs).expect("a list"));
    let env = Env {
        name: "bench",
        channels: channels.list(),
        blobs: blobs.list(),
        untyped: Some(Untyped { slot: 20, bits: 20 }),
        free_slots: (32, 1024),
        scratch: Range { start: 0x2000_0000, len: 1 << 20 },
        counter_frequency: 1_000_000,
        trace_ring: ring(),
        ..Env::default()
    };
    let world = World::default().peer(INIT, |_, message| init(message)).peer(PARTNER, partner);
    world.peer(BPF, |_, message| loader(message)).peer(CONSOLE, lines.peer()).start_in(&env, MAIN)
}

/// Runs everything while the nth allocation fails: the metrics, the lines, and how many allocations there were.
fn run(nth: usize) -> (u32, Vec<String>, usize) {
    let lines = Lines::default();
    let mut server = server(&lines);
    FAILS.store(nth, SeqCst);
    COUNT.store(0, SeqCst);
    let reply = server.ask(1, INTERFACE, &Request::Run);
    let count = COUNT.load(SeqCst);
    FAILS.store(0, SeqCst);
    let Ok(Reply::Done { metrics }) = reply else { panic!("{nth}: {reply:?}") };
    // It serves on.
    assert_eq!(server.ask(1, INTERFACE, &Request::Echo { value: 7 }), Ok(Reply::Echo { value: 7 }));
    (metrics, lines.take(), count)
}

/// The metrics that a report's lines have.
fn metrics(lines: &[String]) -> Vec<&str> {
    let begin = lines.iter().position(|line| line == BEGIN).expect("a report begins");
    let end = lines.iter().position(|line| line == END).expect("a report ends");
    let body = &lines[begin..end];
    body.iter().filter_map(|line| line.strip_prefix("{\"metric\":\"")?.split('"').next()).collect()
}

#[test]
fn a_run_says_what_it_measured_and_what_not() {
    let (count, lines, _) = run(0);
    let names = metrics(&lines);
    assert_eq!(names.len(), count as usize);
    for name in [
        "boot.entry_to_mmu",
        "boot.reset_to_init",
        "memory.kernel.image",
        "memory.server.bench.own",
        "memory.server.a.stack_touched",
        "bpf.load.2.total",
        "bpf.load.2.attach",
        "ipc.round_trip.active.120w.other_space",
        "ipc.postcard.round_trip",
        "notification.signal",
    ] {
        assert!(names.contains(&name), "{name}: {names:?}");
    }
    assert!(lines.contains(&"not measured: timer: the manifest gives this server no timer".to_owned()));
    assert!(lines.contains(&"not measured: sample.to_consumer: no channel to the sensors".to_owned()));
    assert!(!lines.iter().any(|line| line.contains("no memory")), "{lines:#?}");
}

#[test]
fn whichever_allocation_fails_the_run_is_answered_and_the_report_says_so() {
    let (all, _, allocations) = run(0);
    assert!(allocations > 100, "{allocations}");
    let mut without_table = 0;
    for nth in 1..=allocations {
        let (count, lines, _) = run(nth);
        assert_eq!(metrics(&lines).len(), count as usize, "{nth}");
        let said = lines.iter().filter(|line| line.contains("no memory")).count();
        assert_eq!(said, 1, "{nth}: {lines:#?}");
        let lost =
            lines.iter().any(|line| line.starts_with("not measured: ") && line.contains("no memory for "));
        let unnamed = lines.iter().any(|line| line == "not measured: 1 more, and no memory to say which");
        let table = lines.iter().any(|line| line.starts_with("no table: no memory for "));
        assert_eq!(count, all - u32::from(lost), "{nth}");
        assert!(lost || unnamed || table, "{nth}: {lines:#?}");
        without_table += u32::from(table);
    }
    assert_eq!(without_table, 1);
}

#[test]
fn what_is_too_long_is_cut_between_characters() {
    let text = text!("{}", "\u{e9}".repeat(100));
    assert_eq!(text.len(), 112);
    let odd = text!("x{}", "\u{e9}".repeat(100));
    assert_eq!((odd.len(), odd.chars().count()), (111, 56));
    assert_eq!(&*Text::from("short"), "short");
    assert_eq!(text!("{}-{}", 1, "b").to_string(), "1-b");
}

#[test]
fn lists_have_the_room_that_they_asked_for_or_say_why_not() {
    let mut numbers: Vec<u64> = room(3).map_err(|why| why.to_string()).expect("room");
    let at = numbers.as_ptr();
    (0..3).for_each(|n| assert!(push(&mut numbers, n).is_ok()));
    assert_eq!((numbers.as_ptr(), numbers.as_slice()), (at, [0, 1, 2].as_slice()));
    let too_many = room::<u64>(usize::MAX).map_err(|why| why.to_string());
    assert_eq!(too_many, Err(format!("no memory for {} bytes", usize::MAX)));
    assert_eq!(list(3..6u8).map_err(|why| why.to_string()), Ok(vec![3, 4, 5]));
    assert_eq!(owned("name").map_err(|why| why.to_string()), Ok("name".to_owned()));
    let mut series = Series::<u8, 2>::new();
    (0..5).for_each(|n| series.push(n));
    assert_eq!(&*series, [0, 1]);
}
