//! What a server has of others, of memory and of files.
use crate::machine::{Machine, Parts, tree};
use crate::{server, system};
use axiom_layout::restarts::LONGEST_WAIT_US;
use axiom_layout::{Badge, Bit, Class, address};
use axiom_objects::Cap;
use axiom_objects::machine::Machine as _;
use axiom_proto::bundle::{BlobRequest, Grant, Part, Server, System};
use axiom_proto::env::{Channel, Client, Host, Range, slot};
use axiom_proto::supervisor::{self, INTERFACE, Reply, Request};
use axiom_proto::{Error, Values, bpf_host, console};
use sel4_sys::{CapRights, label};

fn restart(m: &mut Machine, name: &str) {
    m.kill(name).unwrap();
    m.advance(LONGEST_WAIT_US).unwrap();
}

#[test]
fn who_may_call_whom_is_known_on_both_sides_and_by_badge() {
    let serves = Values::of([console::INTERFACE, bpf_host::INTERFACE]).unwrap();
    let host = Server {
        serves,
        loader: Some(2),
        hosts: ["gpio", "pwm"].map(String::from).to_vec(),
        ..server("host")
    };
    let grants = |at: u16, byte: u8| vec![Grant { at, interface: 5, bytes: vec![byte, 2] }];
    let client = Server { calls: vec![0], grants: grants(0, 1), ..server("client") };
    let loader = Server { calls: vec![0, 1], grants: grants(1, 3), ..server("loader") };
    let m = Machine::running(&system(vec![host, client, loader]), Parts::default());
    let names = |name: &str| m.env(name).channels.iter().map(|c| c.name).collect::<Vec<_>>();
    assert_eq!((names("host"), names("client")), (vec!["init"], vec!["init", "host"]));
    assert_eq!(names("loader"), ["init", "host", "client"]);
    let Channel { slot: to, serves, .. } = m.env("loader").channels.iter().nth(1).unwrap();
    assert_eq!(serves.iter().collect::<Vec<_>>(), [console::INTERFACE, bpf_host::INTERFACE]);
    let to_init = m.env("loader").channels.iter().next().unwrap();
    assert_eq!(to_init.serves.iter().collect::<Vec<_>>(), [supervisor::INTERFACE]);
    let Cap::Endpoint { ep, badge, rights } = m.slot("loader", to) else { panic!() };
    let Cap::Endpoint { ep: received, rights: receives, .. } = m.slot("host", slot::ENDPOINT) else {
        panic!()
    };
    assert_eq!((ep, badge.0), (received, Badge::Client(2).word()));
    assert!(!rights.contains(CapRights::READ) && !receives.contains(CapRights::WRITE));
    let clients: Vec<_> = m.env("host").clients.iter().map(|c| (c.name, c.badge.word(), c.loader)).collect();
    assert_eq!(clients, [("client", 2, false), ("loader", 3, true)]);
    let at_client: Vec<Client<'_>> = m.env("client").clients.iter().collect();
    assert_eq!(at_client, [Client { name: "loader", badge: Badge::client(2), loader: false }]);
    let granted = |name: &str| {
        m.env(name).grants.iter().map(|g| (g.badge.word(), g.interface, g.bytes)).collect::<Vec<_>>()
    };
    assert_eq!(
        (granted("host"), granted("client")),
        (vec![(2, 5, [1, 2].as_slice())], vec![(3, 5, [3, 2].as_slice())])
    );
    let hosts: Vec<_> = m.env("loader").hosts.iter().collect();
    let host = |kind| Host { name: "host", kind, slot: to };
    assert_eq!(hosts, [host("gpio"), host("pwm")]);
    assert!(m.env("client").hosts.iter().next().is_none());
}

#[test]
fn a_host_that_its_loader_may_not_call_is_not_named_to_it() {
    let host = Server { loader: Some(1), hosts: vec!["gpio".into()], ..server("host") };
    let m = Machine::running(&system(vec![host, server("loader")]), Parts::default());
    assert!(m.env("loader").hosts.iter().next().is_none());
}

#[test]
fn signallers_of_a_server_have_a_bit_each() {
    let to = |name: &str| Server { signals: vec![0], ..server(name) };
    let mut m = Machine::running(&system(vec![server("a"), to("x"), server("y"), to("z")]), Parts::default());
    for (name, nth) in [("x", 0), ("z", 1)] {
        let signal = m.env(name).signals.iter().next().unwrap();
        assert_eq!(signal.name, "a");
        m.signal(name, signal.slot).unwrap();
        let bit = Class::Peer.nth(nth).unwrap();
        let signals = m.poll("a");
        assert!(signals.has(bit) && signals.without(bit).is_empty());
    }
    assert!(m.env("y").signals.iter().next().is_none());
    let many =
        |n: usize| system((0..=n).map(|i| if i == 0 { server("a") } else { to(&format!("s{i}")) }).collect());
    let parts = || Parts { ram: vec![23], ..Parts::default() };
    drop(m);
    Machine::new(&many(Class::Peer.room()), parts()).boot().unwrap();
    let said = Machine::new(&many(Class::Peer.room() + 1), parts()).boot().unwrap_err();
    assert!(said.contains("init: cannot start 's15': a number is beyond its bound"), "{said}");
}

#[test]
fn a_debugger_has_the_threads_of_those_who_live() {
    let debugger = Server { debugs: vec![0, 2], ..server("debugger") };
    let mut m = Machine::running(&system(vec![server("a"), debugger, server("later")]), Parts::default());
    let threads: Vec<_> = m.env("debugger").threads.iter().collect();
    let [a] = threads.as_slice() else { panic!("{threads:?}") };
    assert_eq!((a.name, m.slot("debugger", a.slot)), ("a", Cap::Tcb { tcb: m.thread("a") }));
    assert_eq!(m.invoke("debugger", a.slot, label::TCB_SUSPEND, &[], &[]), 0);
    assert!(!m.thread("a").is_runnable());
    let slot = a.slot;
    restart(&mut m, "debugger");
    let names: Vec<_> = m.env("debugger").threads.iter().map(|t| t.name).collect();
    assert_eq!(names, ["a", "later"]);
    // It has the thread of that life, not of the next.
    assert_eq!(m.invoke("debugger", slot, label::TCB_RESUME, &[], &[]), 0);
    m.kill("a").unwrap();
    assert_eq!(m.slot("debugger", slot), Cap::Null);
}

#[test]
fn power_over_threads_and_spaces_comes_only_with_the_right_that_needs_it() {
    let threads = Server { makes_threads: true, ..server("threads") };
    let maps = Server { scratch_kib: 2052, ..server("maps") };
    let hosts = Server { hosts: vec!["gpio".into()], ..server("hosts") };
    let mut m = Machine::running(&system(vec![threads, maps, hosts, server("plain")]), Parts::default());
    let has =
        |name: &str| [slot::TCB, slot::VSPACE, slot::SCHED_CONTROL].map(|s| m.slot(name, s) != Cap::Null);
    assert_eq!((has("threads"), has("maps")), ([true; 3], [false, true, false]));
    assert_eq!((has("hosts"), has("plain")), ([false, true, false], [false; 3]));
    assert_eq!(m.slot("threads", slot::TCB), Cap::Tcb { tcb: m.thread("threads") });
    let (own, whose) = (m.slot("maps", slot::VSPACE), m.slot("hosts", slot::VSPACE));
    assert!(own != whose && matches!(own, Cap::VSpace { .. }));
    // Tables are there for everything that is promised.
    let scratch = m.env("maps").scratch;
    assert_eq!(scratch, Range { start: address::SCRATCH, len: 2052 * 1024 });
    for at in [scratch.start, scratch.start + scratch.len - 4096] {
        assert!(m.has_table("maps", at) && !m.has_table("plain", at));
    }
    for (window, pages) in
        [(bpf_host::CODE_WINDOW, bpf_host::CODE_PAGES), (bpf_host::MAP_WINDOW, bpf_host::MAP_PAGES)]
    {
        let end = window as u64 + u64::from(pages) * 4096 - 4096;
        assert!(m.has_table("hosts", window as u64) && m.has_table("hosts", end));
        assert!(!m.has_table("maps", window as u64) && !m.has_table("maps", end));
    }
    assert!(!m.poll("plain").has(Bit::RESTARTED));
}

#[test]
fn only_who_takes_notifications_has_what_tells_them_apart() {
    let takes = Server { takes_notifications: true, ..server("takes") };
    let m = Machine::running(&system(vec![takes.clone(), server("plain")]), Parts::default());
    assert!(matches!(m.slot("takes", m.env("takes").probe), Cap::Timer { .. }));
    assert_eq!(m.env("plain").probe, 0);
    drop(m);
    // There are no timers without the extensions.
    let m = Machine::running(&system(vec![takes]), Parts { extensions: false, ..Parts::default() });
    m.call_last("takes");
    assert_eq!((m.env("takes").probe, m.env("takes").trace), (0, 0));
}

#[test]
fn a_server_that_is_no_loader_has_new_untyped_memory_in_every_life() {
    let a = Server { untyped_kib: 24, ..server("a") };
    let mut m = Machine::running(&system(vec![a, server("b")]), Parts::default());
    for _ in 0..3 {
        let untyped = m.env("a").untyped.unwrap();
        assert_eq!(untyped.bits, 15);
        let free = m.env("a").free_slots.0;
        assert_eq!(m.retype("a", untyped.slot, free, 8), 0);
        assert_ne!(m.retype("a", untyped.slot, free + 8, 1), 0);
        // It has nothing to take back.
        assert_eq!(m.ask::<Reply<'_>>("a", INTERFACE, &Request::Reclaim).unwrap(), Err(Error::NotGranted));
        restart(&mut m, "a");
    }
    assert_eq!(m.env("b").untyped, None);
}

#[test]
fn what_a_loader_made_outlives_it_until_its_next_life_says_so() {
    let host = Server { loader: Some(1), hosts: vec!["gpio".into()], ..server("host") };
    let loader = Server { untyped_kib: 16, ..server("loader") };
    let mut m = Machine::running(&system(vec![host, loader]), Parts::default());
    let untyped = m.env("loader").untyped.unwrap();
    let free = m.env("loader").free_slots.0;
    assert_eq!(m.retype("loader", untyped.slot, free, 4), 0);
    let reclaim = |m: &mut Machine, who: &str| m.ask::<Reply<'_>>(who, INTERFACE, &Request::Reclaim).unwrap();
    // In its first life there is nothing to take back.
    assert_eq!(reclaim(&mut m, "loader"), Err(Error::NotGranted));
    let frame = m.slot("loader", free);
    m.give("host", m.env("host").free_slots.0, "loader", free);
    restart(&mut m, "loader");
    assert_eq!(m.slot("loader", m.env("loader").untyped.unwrap().slot), Cap::Null);
    let given = m.env("host").free_slots.0;
    assert_eq!(m.slot("host", given), frame);
    assert_eq!(reclaim(&mut m, "host"), Err(Error::NotGranted));
    assert_eq!(m.slot("host", given), frame);
    assert_eq!(reclaim(&mut m, "loader"), Ok(Reply::Done));
    assert_eq!(m.slot("host", given), Cap::Null);
    let untyped = m.env("loader").untyped.unwrap();
    assert_eq!(m.retype("loader", untyped.slot, m.env("loader").free_slots.0, 4), 0);
    // Once in a life.
    assert_eq!(reclaim(&mut m, "loader"), Err(Error::NotGranted));
    assert!(matches!(m.slot("loader", untyped.slot), Cap::Untyped { .. }));
}

#[test]
fn memory_for_devices_is_in_a_row_where_it_is_said_to_be() {
    let a = Server { dma_kib: 14, ..server("a") };
    let m = Machine::running(&system(vec![a, server("b")]), Parts::default());
    let dma = m.env("a").dma.unwrap();
    assert_eq!((dma.virt, dma.len), (address::DMA, 16384));
    for i in 0..4 {
        let page = m.frame("a", dma.virt + 4096 * i).unwrap();
        assert_eq!((page.phys, page.write, page.execute), (dma.phys + 4096 * i, true, false));
    }
    assert_eq!((m.frame("a", dma.virt + 16384), m.env("b").dma), (None, None));
}

#[test]
fn shared_memory_and_what_clients_have_of_it_outlive_their_server() {
    let a = Server { shared_kib: 12, ..server("a") };
    let mut m = Machine::running(&system(vec![a, server("client")]), Parts::default());
    let shared = m.env("a").shared.unwrap();
    assert_eq!((shared.address, shared.pages), (address::SHARED, 3));
    let pages: Vec<_> = (0..3).map(|i| m.frame("a", shared.address + 4096 * i).unwrap().phys).collect();
    m.write("a", shared.address + 4096, 0x5a);
    m.give("client", m.env("client").free_slots.0, "a", shared.slot + 1);
    let theirs = m.slot("client", m.env("client").free_slots.0);
    restart(&mut m, "a");
    let shared = m.env("a").shared.unwrap();
    let again: Vec<_> = (0..3).map(|i| m.frame("a", shared.address + 4096 * i).unwrap().phys).collect();
    assert_eq!((again, m.page("a", shared.address + 4096).unwrap()[0]), (pages, 0x5a));
    assert_eq!(m.slot("client", m.env("client").free_slots.0), theirs);
    assert!(theirs != Cap::Null);
    // The server takes it back by revoking its own.
    assert_eq!(m.invoke("a", slot::CNODE, label::CNODE_REVOKE, &[shared.slot + 1, 64], &[]), 0);
    assert!(matches!(m.slot("a", shared.slot), Cap::Frame { .. }));
}

#[test]
fn files_settings_and_parts_come_as_the_bundle_has_them() {
    let a = Server {
        blobs: vec![
            BlobRequest { name: "one".into(), offset: 10 * 4096, len: 5000 },
            BlobRequest { name: "two".into(), offset: 13 * 4096, len: 1 },
        ],
        args: vec![("rate".into(), "100".into()), ("mode".into(), "x".into())],
        parts: vec![Part { interface: 7, bytes: vec![1, 2, 3] }],
        ..server("a")
    };
    let mut m = Machine::running(&system(vec![a, server("b")]), Parts::default());
    let env = m.env("a");
    let (one, two) =
        (Range { start: address::FILES, len: 5000 }, Range { start: address::FILES + 0x3000, len: 1 });
    assert_eq!(env.blobs.iter().map(|b| (b.name, b.bytes)).collect::<Vec<_>>(), [("one", one), ("two", two)]);
    let first: Vec<_> = (0..5).map(|i| m.page("a", one.start + 4096 * i).map(|page| page[0])).collect();
    assert_eq!(first, [Some(10), Some(11), None, Some(13), None]);
    assert!(
        (0..4).all(|i| m.frame("a", one.start + 4096 * i).is_none_or(|page| !page.write && !page.execute))
    );
    assert_eq!(
        env.args.iter().map(|s| (s.key, s.value)).collect::<Vec<_>>(),
        [("rate", "100"), ("mode", "x")]
    );
    assert_eq!(
        env.parts.iter().map(|p| (p.interface, p.bytes)).collect::<Vec<_>>(),
        [(7, [1, 2, 3].as_slice())]
    );
    let Ok(Ok(Reply::Server(told))) = m.ask("b", INTERFACE, &Request::Server { index: 0 }) else { panic!() };
    assert_eq!(told.shared_bytes, 4 * 4096);
}

#[test]
fn a_world_that_does_not_fit_its_pages_is_refused() {
    let a = |bytes: usize| Server { args: vec![("key".into(), "v".repeat(bytes))], ..server("a") };
    let m = Machine::running(&system(vec![a(7000)]), Parts::default());
    assert_eq!(m.env("a").args.iter().next().map(|arg| arg.value.len()), Some(7000));
    drop(m);
    // To the last byte.
    let fits = |bytes| Machine::new(&system(vec![a(bytes)]), Parts::default()).boot().is_ok();
    let most = (7000..8200).collect::<Vec<_>>().partition_point(|bytes| fits(*bytes)) + 6999;
    let m = Machine::running(&system(vec![a(most)]), Parts::default());
    let head = m.page("a", address::ENVIRONMENT).unwrap().as_ptr().cast::<axiom_proto::env::Header>();
    // SAFETY: the page begins with the header, which is plain words.
    let body = unsafe { head.read_unaligned() }.env_len as usize;
    assert_eq!(size_of::<axiom_proto::env::Header>() + body, 2 * 4096);
    drop(m);
    let said = Machine::new(&system(vec![a(8200)]), Parts::default()).boot().unwrap_err();
    assert!(
        said.contains("init: the world of 'a' does not fit into 2 pages: give it fewer things\n"),
        "{said}"
    );
    assert!(said.ends_with("axiom: run ended: FAILED: a server could not be started\n"));
}

#[test]
fn only_who_sees_the_kernels_events_has_the_ring() {
    let sees = Server { trace: true, ..server("sees") };
    let m = Machine::running(&system(vec![sees, server("plain")]), Parts::default());
    let env = m.env("sees");
    assert_eq!(env.trace_ring, Range { start: address::TRACE, len: 2 * 4096 });
    assert_eq!(m.slot("sees", env.trace), Cap::Trace);
    let pages = [0, 1].map(|i| m.frame("sees", address::TRACE + i * 4096).unwrap());
    assert!(pages.iter().all(|page| !page.write && !page.execute) && pages[0] != pages[1]);
    assert_eq!(m.frame("sees", address::TRACE + 2 * 4096), None);
    assert_eq!((m.frame("plain", address::TRACE), m.env("plain").trace), (None, 0));
}

#[test]
fn budgets_are_the_manifests_and_a_next_life_does_not_have_what_was_used_up() {
    let a = Server { budget_us: 1000, period_us: 20_000, ..server("a") };
    let mut m = Machine::running(&system(vec![a, server("b")]), Parts::default());
    assert_eq!((m.env("a").budget_us, m.env("b").budget_us), (Some((1000, 20_000)), None));
    assert_eq!(m.budget("a"), (1000, 20_000));
    // It runs 600 microseconds, and dies.
    m.spend("a", 600);
    m.kill("a").unwrap();
    m.advance(10_000).unwrap();
    assert!(m.env("a").restarts == 1 && m.left("a") <= 400, "{}", m.left("a"));
}

#[test]
fn debug_calls_are_as_the_bundle_says() {
    for on in [false, true] {
        let bundle = System { debug_calls: on, ..system(vec![server("a")]) };
        let m = Machine::running(&bundle, Parts::default());
        assert_eq!((m.debug_calls(), m.env("a").debug_calls), (Some(on), on));
    }
}

#[test]
fn facts_are_told_once_all_are_ready() {
    let bundle = System { print_facts: true, ..system(vec![server("a")]) };
    let fdt = tree(|b| {
        let b = b.begin("cpus").begin("cpu@0").text("device_type", "cpu").cells("reg", &[0x100]).end().end();
        b.begin("chosen").text("stdout-path", "serial0").end()
    });
    let mut m = Machine::running(&bundle, Parts { fdt, ..Parts::default() });
    m.said();
    m.ready("a");
    let said = m.said();
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[0], "init: all servers are ready");
    assert_eq!(lines[1], "init: facts: a test, 4 MiB of RAM, cores 0x100");
    assert!(lines[2].ends_with("stdout serial0") && lines[3].ends_with("counter 1000000 Hz"), "{said}");
    restart(&mut m, "a");
    m.said();
    m.ready("a");
    assert_eq!(m.said(), "init: 'a' is ready again (restart 1)\n");
    assert!((&m.world()).now() > 0);
}
