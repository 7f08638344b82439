//! From a server's start to its end.
use crate::machine::{Machine, PAYLOAD_BYTES, Parts};
use crate::{server, system};
use axiom_layout::restarts::{FIRST_WAIT_US, LONGEST_WAIT_US, SETTLED_US};
use axiom_layout::{Bit, address};
use axiom_objects::Cap;
use axiom_objects::arch::registers::{CAP, PC, SP};
use axiom_objects::object::Fault;
use axiom_proto::bundle::{Restart, Segment, Server};
use axiom_proto::env::{Range, slot};
use axiom_proto::supervisor::{INTERFACE, Reply, Request, State};
use axiom_proto::{Error, supervisor};
use sel4_sys::{CapRights, ext};

fn state(m: &mut Machine, asker: &str, index: u32) -> (State, u32) {
    match m.ask(asker, INTERFACE, &Request::Server { index }) {
        Ok(Ok(Reply::Server(supervisor::Server { state, restarts, .. }))) => (state, restarts),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_bundle_is_started_and_says_so_once_all_that_report_are_ready() {
    let quiet = Server { reports_ready: false, ..server("quiet") };
    let mut m = Machine::running(&system(vec![server("a"), server("b"), quiet]), Parts::default());
    assert_eq!(m.said(), "init: system 'test' for here: 3 servers, on a test\n");
    m.ready("b");
    m.ready("b");
    assert_eq!((m.said().as_str(), state(&mut m, "a", 0)), ("", (State::Starting, 0)));
    m.ready("a");
    assert_eq!(m.said(), "init: all servers are ready\n");
    assert_eq!((state(&mut m, "b", 0), state(&mut m, "b", 2)), ((State::Ready, 0), (State::Starting, 0)));
}

#[test]
fn what_happens_is_among_the_kernels_events() {
    let mut m = Machine::running(&system(vec![server("a"), server("b")]), Parts::default());
    // init's own beginning, and each server's.
    assert_eq!(m.calls(ext::TRACE_EMIT), 3);
    m.ready("a");
    assert_eq!(m.calls(ext::TRACE_EMIT), 4);
    m.ready("b");
    assert_eq!(m.calls(ext::TRACE_EMIT), 6, "it is ready, and with it all");
}

#[test]
fn segments_of_several_pages_are_the_bundles_where_it_has_bytes_and_empty_behind() {
    let segment = |vaddr, mem_size, offset: u64, file_size, write| Segment {
        vaddr,
        mem_size,
        offset: offset * 4096,
        file_size,
        write,
        execute: !write,
    };
    let segments = vec![
        segment(0x20_0000, 4 * 4096, 8, 2 * 4096, false),
        segment(0x30_0000, 4 * 4096, 10, 2 * 4096, true),
        segment(0x40_0000, 2 * 4096, 12, 4096 + 100, true),
    ];
    let m =
        Machine::running(&system(vec![Server { segments, heap_kib: 12, ..server("a") }]), Parts::default());
    let is = |at: u64, byte: u8, bytes: usize| {
        let page = m.page("a", at).unwrap_or_else(|| panic!("nothing at {at:#x}"));
        assert!(page[..bytes].iter().all(|b| *b == byte), "{at:#x} is {}", page[0]);
        assert!(page[bytes..].iter().all(|b| *b == 0), "{at:#x}");
    };
    for (at, byte, bytes) in
        [(0x20_0000, 8, 4096), (0x20_1000, 9, 4096), (0x20_2000, 0, 0), (0x20_3000, 0, 0)]
    {
        is(at, byte, bytes);
    }
    for (at, byte, bytes) in
        [(0x30_0000, 10, 4096), (0x30_1000, 11, 4096), (0x30_2000, 0, 0), (0x30_3000, 0, 0)]
    {
        is(at, byte, bytes);
    }
    is(0x40_0000, 12, 4096);
    is(0x40_1000, 13, 100);
    (0..3).for_each(|page| is(address::HEAP + page * 4096, 0, 0));
    for beyond in [0x20_4000, 0x30_4000, 0x40_2000, address::HEAP + 3 * 4096] {
        assert_eq!(m.frame("a", beyond), None, "{beyond:#x}");
    }
    assert_eq!(m.env("a").free_slots.1, 1 << axiom_layout::CNODE_BITS);
}

#[test]
fn a_server_is_built_as_the_bundle_says_and_has_nothing_more() {
    let m = Machine::running(&system(vec![server("other"), server("a")]), Parts::default());
    let thread = m.thread("a");
    let regs = &thread.regs;
    assert_eq!((regs.get(PC), regs.get(SP)), (0x20_0010, address::STACK_TOP));
    assert_eq!(regs.get(CAP), address::ENVIRONMENT);
    assert_eq!((thread.priority.get(), thread.mcp.get()), (100, 100));
    // Its code is the bundle's page, to read; its data are its own.
    assert_eq!(m.page("a", 0x20_0000), Some([8; 4096].as_slice()));
    let code = m.frame("a", 0x20_0000).unwrap();
    assert_eq!((code.write, code.execute, code.device), (false, true, false));
    assert_eq!(m.frame("other", 0x20_0000), Some(code));
    let data = m.page("a", 0x20_2000).unwrap();
    assert!(data[..100] == [9; 100] && data[100..].iter().all(|byte| *byte == 0));
    for page in [0x20_3000, 0x20_4000, address::HEAP, address::STACK_TOP - 4096, address::STACK_TOP - 8192] {
        assert_eq!(m.page("a", page), Some([0; 4096].as_slice()), "{page:#x}");
        let (own, others) = (m.frame("a", page).unwrap(), m.frame("other", page).unwrap());
        assert_eq!((own.write, own.execute, own.device), (true, false, false));
        assert_ne!(own.phys, others.phys);
    }
    for beyond in [0x20_1000, 0x20_5000, address::HEAP + 4096, address::STACK_TOP, address::STACK_TOP - 12288]
    {
        assert_eq!(m.frame("a", beyond), None, "{beyond:#x}");
    }
    // The page that says so is to read.
    let told = m.frame("a", address::ENVIRONMENT).unwrap();
    assert_eq!((told.write, told.execute), (false, false));
    let buffer = m.frame("a", address::IPC_BUFFER).unwrap();
    assert_eq!((buffer.write, buffer.execute), (true, false));
    let env = m.env("a");
    assert_eq!((env.name, env.index, env.restarts, env.last_life), ("a", 1, 0, false));
    assert_eq!((env.budget_us, env.counter_frequency, env.debug_calls), (None, 1_000_000, false));
    assert_eq!((env.untyped, env.dma, env.shared), (None, None, None));
    assert_eq!((env.trace, env.trace_ring, env.probe), (0, Range::default(), 0));
    assert_eq!(env.scratch, Range { start: address::SCRATCH, len: 0 });
    // Capabilities: its CNode, its endpoint to receive, its notification, its reply object, init to ask, and to say that it is ready.
    let here: Vec<u64> = (0..env.free_slots.0).filter(|i| m.slot("a", *i) != Cap::Null).collect();
    let init = env.channels.iter().map(|c| c.slot).collect::<Vec<_>>();
    let wanted = [slot::CNODE, slot::REPLY, slot::ENDPOINT, slot::NOTIFICATION, init[0], env.ready];
    assert_eq!((here, init.len()), (wanted.to_vec(), 1));
    assert!((env.free_slots.0..env.free_slots.1).all(|i| m.slot("a", i) == Cap::Null));
    let Cap::Endpoint { rights, badge, .. } = m.slot("a", slot::ENDPOINT) else { panic!() };
    assert_eq!((rights, badge.0), (CapRights::READ.union(CapRights::GRANT), 0));
    let Cap::Endpoint { rights, badge, .. } = m.slot("a", init[0]) else { panic!() };
    let call = CapRights::WRITE.union(CapRights::GRANT).union(CapRights::GRANT_REPLY);
    assert_eq!((rights, badge.0), (call, axiom_layout::Badge::Client(1).word()));
    let Cap::Notification { rights, .. } = m.slot("a", env.ready) else { panic!() };
    assert_eq!(rights, CapRights::WRITE);
    const { assert!(PAYLOAD_BYTES == 16 * 4096) };
}

#[test]
fn what_fits_no_payload_ends_the_run_with_a_sentence() {
    let parts = Parts { bundle: false, ..Parts::default() };
    let verdict = Machine::new(&system(vec![server("a")]), parts).boot();
    let magic = "axiom: run ended: FAILED: the payload does not begin with the bundle's magic; was it made by another version of \
                 compose?\n";
    assert_eq!(verdict, Err(format!("\n{magic}")));
}

#[test]
fn a_crash_is_told_and_the_server_lives_again_after_a_wait_that_grows() {
    let mut m = Machine::running(&system(vec![server("a"), server("b")]), Parts::default());
    m.said();
    for (death, ms) in [(1u32, 10), (2, 20), (3, 40), (4, 80)] {
        m.kill("a").unwrap();
        let said = m.said();
        assert!(said.contains("'a' died: at "), "{said}");
        assert!(said.contains("it touched 0x10, where nothing is mapped that allows it"), "{said}");
        assert!(said.ends_with(&format!("init: 'a' is started again in {ms} ms\n")), "{said}");
        assert_eq!(state(&mut m, "b", 0), (State::Starting, death));
        let dead = m.thread("a");
        m.advance(1000 * ms - 1).unwrap();
        assert!(!dead.is_runnable(), "too early");
        m.advance(1).unwrap();
        assert!(m.thread("a").is_runnable());
        assert_eq!(m.env("a").restarts, death);
        m.ready("a");
        assert_eq!(m.said(), format!("init: 'a' is ready again (restart {death})\n"));
        assert_eq!(state(&mut m, "b", 0), (State::Ready, death));
    }
    // Whoever lived for a while begins again at once, with a clean sheet.
    m.advance(SETTLED_US).unwrap();
    m.kill("a").unwrap();
    assert!(m.said().ends_with("restarting 'a'\n"));
    m.kill("a").unwrap();
    assert!(m.said().ends_with(&format!("in {} ms\n", FIRST_WAIT_US / 1000)));
    assert_eq!(state(&mut m, "b", 1), (State::Starting, 0));
}

#[test]
fn who_dies_for_ever_is_told_of_now_and_then_and_costs_nothing_that_does_not_come_back() {
    let mut m = Machine::running(&system(vec![server("a"), server("b")]), Parts::default());
    m.said();
    m.kill("a").unwrap();
    m.advance(LONGEST_WAIT_US).unwrap();
    let (slots, mut held) = (m.free_slots(), 0);
    let mut lines = 0;
    for death in 2..360u32 {
        m.kill("a").unwrap();
        lines += usize::from(m.said().contains("'a' died"));
        m.advance(LONGEST_WAIT_US).unwrap();
        assert_eq!((state(&mut m, "b", 0).1, m.free_slots()), (death, slots));
        let Ok(Ok(Reply::System(figures))) = m.ask("b", INTERFACE, &Request::System) else { panic!() };
        held = if held == 0 { figures.init_allocated } else { held };
        assert_eq!(figures.init_allocated, held);
    }
    // Eight in a row in full, then every fourth.
    assert_eq!(lines, 7 + (9..360).filter(|n| n % 4 == 0).count());
}

#[test]
fn slots_of_a_life_come_back() {
    // A server takes some twenty: few lives would use them all up.
    let parts = Parts { slots: 9, ..Parts::default() };
    let mut m = Machine::running(&system(vec![server("a"), server("b")]), parts);
    for _ in 0..60 {
        m.kill("a").unwrap();
        m.advance(LONGEST_WAIT_US).unwrap();
    }
    assert_eq!(state(&mut m, "b", 0), (State::Starting, 60));
}

#[test]
fn a_server_whose_restarts_are_used_up_parks_its_outputs_before_it_stays_down() {
    let a = Server { restart: Restart::Max(2), parks: true, ..server("a") };
    let mut m = Machine::running(&system(vec![a, server("b")]), Parts::default());
    for death in 1..=2 {
        m.kill("a").unwrap();
        m.advance(LONGEST_WAIT_US).unwrap();
        let env = m.env("a");
        assert_eq!((env.restarts, env.last_life), (death, false));
    }
    m.said();
    m.kill("a").unwrap();
    assert!(m.said().contains("'a' has used up its restarts: once more, to park its outputs"));
    m.advance(LONGEST_WAIT_US).unwrap();
    assert_eq!((m.env("a").restarts, m.env("a").last_life), (3, true));
    m.kill("a").unwrap();
    assert!(m.said().ends_with("init: 'a' stays down: its restart policy is used up\n"));
    m.advance(LONGEST_WAIT_US).unwrap();
    assert_eq!((m.said().as_str(), state(&mut m, "b", 0)), ("", (State::Down, 3)));
    // The others go on.
    m.kill("b").unwrap();
    m.advance(LONGEST_WAIT_US).unwrap();
    assert_eq!(state(&mut m, "b", 1), (State::Starting, 1));
}

#[test]
fn who_has_no_outputs_and_no_restarts_is_down_at_its_first_crash() {
    for restart in [Restart::Never, Restart::Max(0)] {
        let a = Server { restart, ..server("a") };
        let mut m = Machine::running(&system(vec![a, server("b")]), Parts::default());
        m.kill("a").unwrap();
        assert!(m.said().ends_with("init: 'a' stays down: the manifest gives it no restart\n"));
        assert_eq!(state(&mut m, "b", 0), (State::Down, 0));
    }
}

#[test]
fn a_client_that_waits_for_a_server_that_dies_is_told() {
    let client = Server { calls: vec![0], ..server("client") };
    let mut m = Machine::running(&system(vec![server("a"), client]), Parts::default());
    let to = m.env("client").channels.iter().find(|c| c.name == "a").unwrap().slot;
    m.wait("a");
    m.call("client", to, 7, &[1]).unwrap();
    assert!(!m.thread("client").is_runnable());
    m.kill("a").unwrap();
    assert_eq!(m.answer::<()>("client"), Err(Error::PeerRestarted));
    // Its next life gets what is asked meanwhile: the endpoint is the same.
    m.call("client", to, 7, &[2]).unwrap();
    m.advance(LONGEST_WAIT_US).unwrap();
    assert!(!m.thread("client").is_runnable());
    m.wait("a");
    assert_eq!(m.thread("a").regs.get(axiom_objects::arch::registers::MR0), 2);
}

#[test]
fn callers_of_a_server_that_stays_down_are_answered_by_a_thread_in_its_place() {
    let a = Server { restart: Restart::Never, ..server("a") };
    let client = Server { calls: vec![0], priority: 50, ..server("client") };
    let mut m = Machine::running(&system(vec![a, client]), Parts::default());
    let to = m.env("client").channels.iter().find(|c| c.name == "a").unwrap().slot;
    m.wait("a");
    m.call("client", to, 7, &[1]).unwrap();
    m.kill("a").unwrap();
    assert_eq!(m.answer::<()>("client"), Err(Error::PeerRestarted));
    let down = m.thread("down");
    assert_eq!((down.priority.get(), down.regs.get(PC)), (100, address::INIT));
    m.begin_down();
    for _ in 0..3 {
        m.call("client", to, 7, &[1]).unwrap();
        m.run_down(true);
        assert_eq!(m.answer::<()>("client"), Err(Error::PeerDown));
    }
}

#[test]
fn watchers_are_told_of_restarts_and_of_who_stays_down() {
    let watcher = Server { watches_restarts: true, ..server("watcher") };
    let a = Server { restart: Restart::Max(1), ..server("a") };
    let mut m = Machine::running(&system(vec![watcher, a]), Parts::default());
    let told = |m: &mut Machine| m.poll("watcher").has(Bit::RESTARTED);
    m.ready("a");
    assert!(!told(&mut m));
    m.kill("a").unwrap();
    m.advance(LONGEST_WAIT_US).unwrap();
    assert!(!told(&mut m));
    m.ready("a");
    assert!(told(&mut m) && !told(&mut m));
    m.kill("a").unwrap();
    assert!(told(&mut m) && !told(&mut m));
}

#[test]
fn several_that_are_due_at_once_start_at_once_and_the_timer_goes_on_to_the_next() {
    let servers = ["a", "b", "c"].map(server).to_vec();
    let mut m = Machine::running(&system(servers), Parts::default());
    m.kill("c").unwrap();
    m.advance(1000).unwrap();
    m.kill("a").unwrap();
    m.kill("b").unwrap();
    let lives =
        |m: &Machine| ["a", "b", "c"].map(|name| m.thread(name).is_runnable() && m.env(name).restarts == 1);
    m.advance(FIRST_WAIT_US - 1000).unwrap();
    assert_eq!(lives(&m), [false, false, true]);
    m.advance(1000).unwrap();
    assert_eq!(lives(&m), [true, true, true]);
}

#[test]
fn without_the_extensions_restarts_are_immediate() {
    let parts = Parts { extensions: false, ..Parts::default() };
    let mut m = Machine::running(&system(vec![server("a"), server("b")]), parts);
    m.call_last("b");
    assert_eq!(m.said(), "init: system 'test' for here: 2 servers, on a test\n");
    m.kill("b").unwrap();
    assert!(m.said().ends_with("restarting 'b'\n"));
}

#[test]
fn every_kind_of_fault_is_told_in_words() {
    use axiom_objects::object::LookupFailure;
    let mut m = Machine::running(&system(vec![server("a")]), Parts::default());
    let faults = [
        (
            Fault::Vm { addr: 0x33, fsr: 5, instruction: true },
            "it jumped to 0x33, where nothing is mapped that allows it (fsr 0x5)",
        ),
        (Fault::Vm { addr: 0x33, fsr: 5, instruction: false }, "it touched 0x33"),
        (Fault::UnknownSyscall { number: -77i64 as u64 }, "it made the unknown system call -77"),
        (Fault::UserException { number: 6, code: 0 }, " 0x6): an undefined instruction"),
        (
            Fault::Cap { addr: 0x44, in_recv_phase: false, failure: LookupFailure::InvalidRoot },
            "it used capability 0x44, which it does not have",
        ),
    ];
    for (fault, words) in faults {
        m.said();
        m.thread("a").regs.set(PC, 0x20_0044);
        m.fault("a", fault).unwrap();
        let said = m.said();
        assert!(said.contains(words) && said.contains("'a' died: at 0x20004"), "{said}");
        m.advance(LONGEST_WAIT_US).unwrap();
    }
}

#[cfg(not(axiom_arch = "x86_64"))]
#[test]
fn an_exception_is_said_by_its_class() {
    let said = |class: u64| axiom_init::arch::exception(class << 26 | 0x200_0000);
    let others = "an instruction that user space may not run, or a trap of the debugger's";
    for (class, words) in [
        (0x00, "an undefined instruction"),
        (0x22, "a jump to an address that is no multiple of 4"),
        (0x26, "a stack pointer that is no multiple of 16"),
        (0x3c, "`brk`, as after a panic"),
        (0x21, others),
        (0x3d, others),
    ] {
        assert_eq!(said(class), words, "{class:#x}");
    }
}
