//! PCI functions in their servers' lives.
use crate::machine::{DEVICES_AT, Machine, Parts, device, tree};
use crate::{server, system};
use axiom_layout::restarts::FIRST_WAIT_US;
use axiom_layout::{Badge, address};
use axiom_objects::Cap;
use axiom_proto::bundle::{DeviceRequest, Restart, Server};
use axiom_proto::supervisor::{self, INTERFACE, Reply, Request, State};
use sel4_sys::{ext, label};
use std::collections::BTreeMap;

pub const CONFIG: u64 = DEVICES_AT + 0x400_0000;
/// The page of the function in place 00:03.0, and of the one beside it.
pub const FIRST: u64 = CONFIG + (3 << 15);
const SECOND: u64 = CONFIG + (4 << 15);
const COMMAND: u64 = 4;
const CONTROL: u64 = 0x48;
const MASTER: u32 = 4;
const RESET_US: u64 = 100_000;

fn asks(device_id: u16) -> DeviceRequest {
    DeviceRequest { optional: true, ..device("f", &format!("pci1af4,{device_id:x}")) }
}

fn with(name: &str, devices: Vec<DeviceRequest>) -> Server {
    Server { devices, ..server(name) }
}

/// Configuration space of a function with a BAR of 64 bits, that can be reset by PCI Express or not at all.
pub fn page(device: u32, base: u64, resets: bool) -> Vec<u8> {
    let mut page = vec![0; 4096];
    let mut put = |at: usize, word: u32| page[at..at + 4].copy_from_slice(&word.to_le_bytes());
    put(0, device << 16 | 0x1af4);
    put(0x10, base as u32 | 4);
    put(0x14, (base >> 32) as u32);
    // Ports, which are nobody's.
    (2..6).for_each(|i| put(0x10 + 4 * i, 1));
    put(0x34, 0x40);
    put(0x40, 0x10);
    put(0x44, u32::from(resets) << 28);
    page
}

/// A machine with two functions: registers of both, and whether they can be reset.
pub fn parts(bases: [u64; 2], resets: [bool; 2]) -> Parts {
    let registers =
        BTreeMap::from([(FIRST, page(1, bases[0], resets[0])), (SECOND, page(2, bases[1], resets[1]))]);
    // Its capabilities are there whatever is written, and nothing is under way.
    let fixed = [FIRST, SECOND]
        .iter()
        .flat_map(|f| [(f + COMMAND, 0xffff_0000, 1 << 20), (f + CONTROL, 0xffff_8000, 0)]);
    Parts {
        fdt: tree(|b| b),
        registers,
        fixed: fixed.collect(),
        config_space: Some((CONFIG, 1)),
        ..Parts::default()
    }
}

fn apart() -> Parts {
    parts([DEVICES_AT + 0x10_0000, DEVICES_AT + 0x20_0000], [true; 2])
}

fn state(m: &mut Machine, asker: &str, index: u32) -> State {
    match m.ask(asker, INTERFACE, &Request::Server { index }) {
        Ok(Ok(Reply::Server(supervisor::Server { state, .. }))) => state,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_server_starts_when_its_function_is_reset_and_the_others_run_meanwhile() {
    let always = Server { restart: Restart::Always, ..with("a", vec![asks(1)]) };
    let mut m = Machine::running(&system(vec![always, server("b")]), apart());
    assert!(!m.was_started("a"));
    m.ready("b");
    m.advance(RESET_US - 1).unwrap();
    assert!(!m.was_started("a") && m.register(FIRST + COMMAND) & MASTER == 0);
    assert_eq!(state(&mut m, "b", 0), State::Starting);
    m.advance(1).unwrap();
    assert!(m.was_started("a") && m.register(FIRST + COMMAND) & MASTER != 0);
    assert_eq!(m.register(SECOND + COMMAND) & MASTER, 0, "nobody asked for that one");
    m.ready("a");
    assert_eq!(m.said(), "init: system 'test' for here: 2 servers, on a test\ninit: all servers are ready\n");
    // Its configuration space, to read, then its registers, a free page after each.
    let (env, at) = (m.env("a"), address::DEVICES);
    let device = env.devices.iter().next().unwrap();
    assert_eq!((device.registers.start, device.registers.len), (at, 4096));
    let bars: Vec<_> =
        env.bars.iter().map(|b| (b.device, b.index, b.offset, b.registers.start, b.registers.len)).collect();
    assert_eq!(bars, [(0, 0, 0, at + 0x2000, 16)]);
    let frames = [0, 0x1000, 0x2000, 0x3000].map(|page| m.frame("a", at + page).map(|f| (f.phys, f.write)));
    assert_eq!(frames, [Some((FIRST, false)), None, Some((DEVICES_AT + 0x10_0000, true)), None]);
    // It dies: the function is off the bus at once, and is reset again before the next life.
    m.kill("a").unwrap();
    assert_eq!(m.register(FIRST + COMMAND) & MASTER, 0);
    m.advance(FIRST_WAIT_US).unwrap();
    m.advance(RESET_US - 1).unwrap();
    assert_eq!(m.register(FIRST + COMMAND) & MASTER, 0);
    m.advance(1).unwrap();
    assert_ne!(m.register(FIRST + COMMAND) & MASTER, 0);
    m.ready("a");
    assert_eq!(state(&mut m, "b", 0), State::Ready);
}

/// The capability by which a server says that it is ready may be in other hands when it dies.
#[test]
fn who_is_not_built_yet_is_not_ready_whoever_says_so() {
    let always = Server { restart: Restart::Always, ..with("a", vec![asks(1)]) };
    let debugger = Server { debugs: vec![0], ..server("d") };
    let mut m = Machine::running(&system(vec![always, server("b"), debugger]), apart());
    m.ready("b");
    m.said();
    m.intrude("b", Badge::ready(0).word(), 0, &[]).unwrap();
    assert_eq!((m.said().as_str(), state(&mut m, "b", 0)), ("", State::Starting));
    m.advance(RESET_US + 1).unwrap();
    assert_eq!(m.env("d").threads.iter().map(|t| t.name).collect::<Vec<_>>(), ["a"]);
    ["a", "d"].iter().for_each(|name| m.ready(name));
    // Before its next life, too, and through its reset.
    m.kill("a").unwrap();
    m.said();
    m.intrude("b", Badge::ready(0).word(), 0, &[]).unwrap();
    assert_eq!((m.said().as_str(), state(&mut m, "b", 0)), ("", State::Starting));
    m.advance(FIRST_WAIT_US).unwrap();
    m.intrude("b", Badge::ready(0).word(), 0, &[]).unwrap();
    assert_eq!((m.said().as_str(), state(&mut m, "b", 0)), ("", State::Starting));
    m.advance(RESET_US).unwrap();
    m.ready("a");
    assert_eq!(
        (m.said().as_str(), state(&mut m, "b", 0)),
        ("init: 'a' is ready again (restart 1)\n", State::Ready)
    );
}

#[test]
fn a_function_that_is_lost_costs_its_server_and_nobody_else() {
    let servers = || vec![with("a", vec![asks(1)]), server("b"), with("c", vec![asks(2)])];
    let mut m = Machine::running(&system(servers()), apart());
    m.ready("b");
    m.set_register(FIRST, u32::MAX);
    m.said();
    m.advance(RESET_US).unwrap();
    assert!(!m.was_started("a") && m.was_started("c"));
    m.ready("c");
    // It has another second to come back.
    (0..99).for_each(|_| m.advance(10_000).unwrap());
    assert_eq!((m.said().as_str(), state(&mut m, "b", 0)), ("", State::Starting));
    m.advance(10_000).unwrap();
    let says = "init: 'a' is not started: PCI function 00:03.0 does not come back from its reset: it does not answer afterwards, or as \
                another one\ninit: all servers are ready\n";
    assert_eq!((m.said().as_str(), state(&mut m, "b", 0)), (says, State::Down));
    assert_eq!((state(&mut m, "b", 2), m.register(SECOND + COMMAND) & MASTER), (State::Ready, MASTER));
    m.advance(10_000_000).unwrap();
    assert!(!m.was_started("a"));
}

#[test]
fn registers_over_something_else_cost_the_function_and_nothing_else() {
    let over = |bases| {
        let servers = vec![with("a", vec![asks(1)]), with("b", vec![asks(2)])];
        let mut m = Machine::running(&system(servers), parts(bases, [true; 2]));
        let said = m.said();
        m.advance(RESET_US).unwrap();
        ["a", "b"].iter().for_each(|name| m.ready(name));
        let masters = [FIRST, SECOND].map(|f| m.register(f + COMMAND) & MASTER != 0);
        (said, masters)
    };
    let good = DEVICES_AT + 0x10_0000;
    let (said, masters) = over([CONFIG + 0x1000, good]);
    let (first, last) = (CONFIG + 0x1000, CONFIG + 0x1fff);
    let config = format!("PCI configuration space, {CONFIG:#x} to {:#x}", CONFIG + 0x1f_ffff);
    let says = format!(
        "init: PCI function 00:03.0 (pci1af4,1) is not used: its BAR 0, {first:#x} to {last:#x}, is over {config}\n"
    );
    assert!(said.contains(&says), "{said}");
    assert_eq!(masters, [false, true]);
    // Beyond all registers.
    let end = DEVICES_AT + (1 << crate::machine::DEVICES_BITS);
    let (said, masters) = over([good, end]);
    assert!(said.contains("PCI function 00:04.0 (pci1af4,2) is not used: its BAR 0, 0x110000000 to 0x110000fff, is over what the kernel keeps for itself, 0x110000000 to "), "{said}");
    assert_eq!(masters, [true, false]);
    // Over each other: whoever asks first, the other begins there.
    let (said, masters) = over([good, good + 0x100]);
    let says = "PCI function 00:03.0 (pci1af4,1) is not used: its BAR 0, 0x100100000 to 0x100100fff, is over registers of 00:04.0, 0x100100000 to 0x100100fff\n";
    assert!(said.contains(says), "{said}");
    assert!(!masters[0]);
    // RAM, which is where the world has it.
    let mut m = Machine::new(&system(vec![with("a", vec![asks(1)])]), apart());
    let there = m.ram_at();
    m.set_register(FIRST + 0x10, there as u32 | 4);
    m.set_register(FIRST + 0x14, (there >> 32) as u32);
    m.boot().unwrap();
    let said = m.said();
    assert!(
        said.contains(&format!(
            "is not used: its BAR 0, {there:#x} to {:#x}, is over RAM, {there:#x} to ",
            there + 4095
        )),
        "{said}"
    );
}

#[test]
fn who_debugs_a_server_that_stays_down_starts_all_the_same() {
    let debugger = Server { debugs: vec![0], ..server("d") };
    let mut m = Machine::running(&system(vec![with("a", vec![asks(1)]), debugger]), apart());
    m.set_register(FIRST, u32::MAX);
    m.advance(RESET_US).unwrap();
    assert!(!m.was_started("d"));
    (0..101).for_each(|_| m.advance(10_000).unwrap());
    m.advance(1).unwrap();
    assert!(m.was_started("d") && !m.was_started("a"));
    assert_eq!(m.env("d").threads.iter().count(), 0);
}

#[test]
fn functions_on_far_buses_are_found_where_they_are() {
    // A bridge at the place of the first leads to bus 2, which is on the next 2 MiB.
    let mut p = apart();
    let far = CONFIG + (2 << 20) + (5 << 15);
    let second = p.registers.remove(&SECOND).unwrap();
    p.registers.insert(far, second);
    let bridge = p.registers.get_mut(&FIRST).unwrap();
    (bridge[0xe], bridge[0x19]) = (1, 2);
    p.fixed.extend([(far + COMMAND, 0xffff_0000, 1 << 20), (far + CONTROL, 0xffff_8000, 0)]);
    p.config_space = Some((CONFIG, 3));
    let mut m = Machine::running(&system(vec![with("a", vec![asks(2)])]), p);
    m.advance(RESET_US).unwrap();
    assert_eq!(m.frame("a", address::DEVICES).map(|f| f.phys), Some(far));
    assert_eq!([far, FIRST].map(|f| m.register(f + COMMAND) & 6), [6, 6], "the bridge passes on");
}

#[cfg(not(axiom_arch = "x86_64"))]
#[test]
fn where_nobody_takes_messages_a_function_with_messages_is_not_taken() {
    let mut p = apart();
    let page = p.registers.get_mut(&FIRST).unwrap();
    (page[0x41], page[0x50]) = (0x50, 0x11);
    let mut m = Machine::new(&system(vec![with("a", vec![asks(1)])]), p);
    let said = m.boot().unwrap_err();
    assert!(
        said.contains("init: cannot prepare the system: the kernel refuses it (IllegalOperation)"),
        "{said}"
    );
    // Its one message is masked, in the page that is init's.
    assert_eq!([0, 4, 8, 12].map(|word| m.register(DEVICES_AT + 0x10_0000 + word)), [0, 0, 0, 1]);
}

#[test]
fn one_that_cannot_be_reset_is_given_without_memory() {
    let p = parts([DEVICES_AT + 0x10_0000, DEVICES_AT + 0x20_0000], [false, true]);
    let m = Machine::running(&system(vec![with("a", vec![asks(1)])]), p);
    let says = "init: PCI function 00:03.0 cannot be reset: it gets no access to memory, for it could go on with what it was told before\n";
    assert!(m.said().contains(says) && m.was_started("a"));
    assert_eq!(m.register(FIRST + COMMAND) & MASTER, 0);
}

#[test]
fn functions_of_one_server_are_reset_at_the_same_time() {
    let mut m = Machine::running(&system(vec![with("a", vec![asks(1), asks(2)])]), apart());
    m.advance(RESET_US - 1).unwrap();
    assert!(!m.was_started("a"));
    m.advance(1).unwrap();
    assert!(m.was_started("a"));
    assert_eq!([FIRST, SECOND].map(|f| m.register(f + COMMAND) & MASTER), [MASTER; 2]);
    // The device's own registers, then its BAR's; then the second's.
    let bars: Vec<_> =
        m.env("a").bars.iter().map(|b| (b.device, b.registers.start - address::DEVICES)).collect();
    assert_eq!(bars, [(0, 0x2000), (1, 0x6000)]);
}

#[test]
fn a_function_is_left_alone_for_its_own_time_whatever_the_other_needs() {
    // The second can be reset by its power states only, which takes ten milliseconds each way; the first needs a hundred.
    for swapped in [false, true] {
        let mut p = apart();
        let power = if swapped { FIRST } else { SECOND };
        let page = p.registers.get_mut(&power).unwrap();
        (page[0x40], page[0x47]) = (0x01, 0);
        let mut m = Machine::running(&system(vec![with("a", vec![asks(1), asks(2)])]), p);
        let other = if swapped { SECOND } else { FIRST };
        m.advance(RESET_US - 1).unwrap();
        // Nobody has given it its addresses back yet.
        assert!(!m.was_started("a") && m.register(other + CONTROL) & 1 << 15 == 0);
        assert_eq!(m.register(power + 0x44) & 3, 3, "asleep, until the other is there, too");
        m.advance(1).unwrap();
        assert!(!m.was_started("a") && m.register(power + 0x44) & 3 == 0);
        m.advance(10_000).unwrap();
        assert!(m.was_started("a"));
    }
}

#[test]
fn who_debugs_a_server_starts_when_there_is_a_thread_to_debug() {
    for (first, index) in [(true, 1), (false, 0)] {
        let debugger = Server { debugs: vec![index], ..server("d") };
        let a = with("a", vec![asks(1)]);
        let servers = if first { vec![debugger, a] } else { vec![a, debugger] };
        let mut m = Machine::running(&system(servers), apart());
        assert!(!m.was_started("d"));
        m.advance(RESET_US + 1).unwrap();
        m.advance(1).unwrap();
        let threads: Vec<_> = m.env("d").threads.iter().map(|t| (t.name, t.slot)).collect();
        assert!(
            threads.len() == 1 && threads[0].0 == "a" && matches!(m.slot("d", threads[0].1), Cap::Tcb { .. })
        );
    }
}

#[test]
fn a_reset_that_cannot_be_waited_for_or_made_costs_the_server() {
    let servers = || vec![with("a", vec![asks(1)]), server("b")];
    let mut m = Machine::new(&system(servers()), apart());
    m.refuse(ext::TIMER_ARM, 1);
    m.boot().unwrap();
    let said = m.said();
    let says = "init: the timer for restarts cannot be armed: they are immediate\ninit: 'a' is not started: nobody can wait for its PCI \
                functions\n";
    assert!(said.ends_with(says), "{said}");
    m.ready("b");
    assert_eq!(state(&mut m, "b", 0), State::Down);
    assert_eq!(m.said(), "init: all servers are ready\n");
    drop(m);
    // Its configuration space cannot be mapped when the time has come.
    let mut m = Machine::running(&system(servers()), apart());
    m.ready("b");
    m.said();
    m.refuse(label::PAGE_MAP, 1);
    m.advance(RESET_US).unwrap();
    let said = m.said();
    assert!(
        said.starts_with(
            "init: 'a' is not started: PCI function 00:03.0 does not come back from its reset: no memory"
        ),
        "{said}"
    );
    assert_eq!(state(&mut m, "b", 0), State::Down);
}

#[test]
fn a_bundle_whose_functions_may_take_more_registers_than_init_has_slots_is_refused() {
    let ask = |device: u16, kib: u64| DeviceRequest { registers_kib: kib as u32, ..asks(device) };
    let boot = |servers: Vec<Server>| Machine::new(&system(servers), Parts::default()).boot();
    let most = address::FUNCTIONS_KIB;
    let half = most / 2;
    boot(vec![with("a", vec![ask(1, half)]), with("b", vec![ask(2, half)])]).unwrap();
    // What is no function says nothing of registers.
    let other = DeviceRequest { optional: true, registers_kib: u32::MAX, ..device("u", "t,uart") };
    boot(vec![with("a", vec![ask(1, most), other])]).unwrap();
    for (first, second) in [(half, half + 1), (most + 1, 0), (u32::MAX.into(), u32::MAX.into())] {
        let said = boot(vec![with("a", vec![ask(1, first)]), with("b", vec![ask(2, second)])]).unwrap_err();
        let sentence = format!(
            "init: the bundle lets the registers of 2 PCI functions take {} KiB, and init can hand out {most}: it is not of this system's \
             compose, which refuses that (registers_kib)\n",
            first + second
        );
        assert!(said.contains(&sentence), "{said}");
        assert!(said.contains("run ended: FAILED: init could not prepare the system"), "{said}");
    }
}
