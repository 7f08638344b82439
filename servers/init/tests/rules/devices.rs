//! Who is given which device, and who is not.
use crate::machine::{DEVICES_AT, Machine, Parts, device, tree};
use crate::{server, system};
use axiom_fdt::Interrupt;
use axiom_fdt::writer::Builder;
use axiom_init::arch;
use axiom_layout::restarts::LONGEST_WAIT_US;
use axiom_layout::{Class, address};
use axiom_objects::Cap;
use axiom_proto::bundle::{DeviceRequest, Server};
use axiom_proto::env::{Range, Window};
use sel4_sys::syscall;
use std::collections::BTreeMap;

/// A device's node: its registers from so many bytes beyond the test's first device address on.
fn node(b: Builder, compatible: &str, at: u32, size: u32, interrupts: &[u32]) -> Builder {
    let b = b.begin("device").text("compatible", compatible).cells("reg", &[1, at, 0, size]);
    let cells: Vec<u32> = interrupts.iter().flat_map(|n| [0, *n, if n % 2 == 0 { 1 } else { 4 }]).collect();
    if cells.is_empty() { b.end() } else { b.cells("interrupts", &cells).end() }
}

fn wants(name: &str, compatible: &str) -> DeviceRequest {
    device(name, compatible)
}

fn with(name: &str, devices: Vec<DeviceRequest>) -> Server {
    Server { devices, ..server(name) }
}

fn machine(servers: Vec<Server>, nodes: impl FnOnce(Builder) -> Builder) -> Machine {
    Machine::new(&system(servers), Parts { fdt: tree(nodes), ..Parts::default() })
}

/// One with room for all the registers that servers have addresses for.
fn roomy(servers: Vec<Server>, nodes: impl FnOnce(Builder) -> Builder) -> Machine {
    Machine::new(&system(servers), Parts { fdt: tree(nodes), slots: 15, ..Parts::default() })
}

/// What was said when it did not start.
fn refused(servers: Vec<Server>, nodes: impl FnOnce(Builder) -> Builder) -> String {
    let said = machine(servers, nodes).boot().expect_err("it is refused");
    assert!(said.ends_with("axiom: run ended: FAILED: init could not prepare the system\n"), "{said}");
    said
}

#[test]
fn a_device_is_given_with_its_pages_and_its_interrupts() {
    let devices = vec![wants("uart", "t,uart"), wants("gone", "t,none"), wants("gpio", "t,gpio")];
    let mut m = machine(vec![with("a", devices), server("b")], |b| {
        let b = node(b, "t,uart", 0x10_0200, 0x100, &[4]);
        node(b, "t,gpio", 0x20_0000, 0x1800, &[7, 8])
    });
    m.boot().unwrap();
    let said = m.said();
    assert!(
        said.contains("init: 'a' asks for a device compatible with t,none; this machine has none\n"),
        "{said}"
    );
    let env = m.env("a");
    let devices: Vec<_> = env.devices.iter().map(|d| (d.name, d.index, d.registers, d.ports)).collect();
    let at = address::DEVICES;
    let uart = Range { start: at + 0x200, len: 0x100 };
    let gpio = Range { start: at + 0x2000, len: 0x1800 };
    assert_eq!(devices, [("uart", 0, uart, 0), ("gone", 1, Range::default(), 0), ("gpio", 2, gpio, 0)]);
    let pages: Vec<_> = (0..5)
        .map(|i| m.frame("a", at + i * 4096).map(|f| (f.phys - DEVICES_AT, f.device, f.write)))
        .collect();
    let page = |phys| Some((phys, true, true));
    assert_eq!(pages, [page(0x10_0000), None, page(0x20_0000), page(0x20_1000), None]);
    assert!(!m.frame("a", at).unwrap().execute);
    let interrupts: Vec<_> =
        env.interrupts.iter().map(|i| (i.device, i.pin, i.number, u8::from(i.bit))).collect();
    assert_eq!(interrupts, [(0, false, 36, 0), (2, false, 39, 1), (2, false, 40, 2)]);
    for i in env.interrupts {
        assert_eq!(m.slot("a", i.slot), Cap::IrqHandler { irq: i.number });
        let signals = m.interrupt("a", i.number);
        assert!(signals.has(i.bit) && signals.without(i.bit).is_empty());
        assert!(m.poll("a").is_empty());
    }
    // The next life has the same, acknowledged.
    m.kill("a").unwrap();
    m.advance(LONGEST_WAIT_US).unwrap();
    let again = m.env("a");
    assert!(again.devices == env.devices && again.interrupts == env.interrupts);
    for i in again.interrupts {
        assert!(m.interrupt("a", i.number).has(i.bit));
    }
}

#[test]
fn a_device_without_registers_takes_no_addresses() {
    let devices = vec![wants("none", "t,none"), wants("uart", "t,uart")];
    let mut m = machine(vec![with("a", devices)], |b| {
        node(node(b, "t,none", 0x30_0000, 0, &[4]), "t,uart", 0x10_0000, 0x100, &[])
    });
    m.boot().unwrap();
    assert_eq!(m.env("a").devices.iter().map(|d| d.registers.len).collect::<Vec<_>>(), [0, 0x100]);
    assert_eq!(m.frame("a", address::DEVICES).map(|f| f.phys), Some(DEVICES_AT + 0x10_0000));
    assert_eq!(m.env("a").interrupts.iter().map(|i| (i.device, i.number)).collect::<Vec<_>>(), [(0, 36)]);
}

#[test]
fn a_bridge_gives_what_was_looked_at_in_the_blocks_that_are_left() {
    // 4 MiB whose halves init looked at as PCI configuration space.
    let nodes = |b: Builder| {
        let b = b.begin("pcie").text("compatible", "t,pcie").cells("reg", &[1, 0, 0, 0x1000]);
        let b = b.cells("#address-cells", &[3]).cells("#size-cells", &[2]);
        b.cells("ranges", &[0x200_0000, 0, 0, 1, 0x40_0000, 0, 0x40_0000]).end()
    };
    let bridge = DeviceRequest { ranges: true, ..wants("pcie", "t,pcie") };
    let parts =
        Parts { fdt: tree(nodes), config_space: Some((DEVICES_AT + 0x40_0000, 1)), ..Parts::default() };
    let m = Machine::running(&system(vec![with("a", vec![bridge])]), parts);
    let windows: Vec<_> = m.env("a").windows.iter().map(|w| (w.base - DEVICES_AT, w.bits)).collect();
    assert_eq!(windows, [(0x40_0000, 21), (0x60_0000, 21)]);
}

#[test]
fn interrupts_are_given_only_where_they_are_asked_for() {
    let quiet = DeviceRequest { interrupts: false, ..wants("uart", "t,uart") };
    let mut m = machine(vec![with("a", vec![quiet])], |b| node(b, "t,uart", 0, 0x100, &[4]));
    m.boot().unwrap();
    assert_eq!(
        (
            m.env("a").interrupts.iter().count(),
            m.calls(arch::irq_handler(Interrupt { id: 0, edge: false }, 0).0)
        ),
        (0, 0)
    );
}

#[test]
fn what_a_machine_may_lack_is_not_spoken_of() {
    let optional = DeviceRequest { optional: true, ..wants("rtc", "t,rtc") };
    let mut m = machine(vec![with("a", vec![optional])], |b| node(b, "t,uart", 0, 0x100, &[]));
    m.boot().unwrap();
    assert_eq!(m.said(), "init: system 'test' for here: 1 server, on a test\n");
}

#[test]
fn a_device_belongs_to_one_server_whatever_it_is_asked_for_by() {
    let both = |a: DeviceRequest, b: DeviceRequest| vec![with("a", vec![a]), server("m"), with("b", vec![b])];
    // Two names of a node, a neighbour on its page, and one that reaches into it.
    let twice = |b: Builder| {
        let b =
            b.begin("g").prop("compatible", b"t,pl061\0t,primecell\0").cells("reg", &[1, 0x3000, 0, 0x1000]);
        node(b.end(), "t,near", 0x4800, 0x100, &[])
    };
    let said = refused(both(wants("x", "t,pl061"), wants("y", "t,primecell")), twice);
    let sentence = "init: 'a' and 'b' are given the same registers at 0x100003000: a device belongs to one server, with all that shares \
                    its pages, whatever `compatible` it is asked for by\n";
    assert!(said.contains(sentence), "{said}");
    let near = |b: Builder| node(node(b, "t,one", 0x4000, 0x200, &[]), "t,two", 0x4200, 0x200, &[]);
    let said = refused(both(wants("x", "t,one"), wants("y", "t,two")), near);
    assert!(said.contains("the same registers at 0x100004000"), "{said}");
    let reach = |b: Builder| node(node(b, "t,one", 0x4000, 0x3000, &[]), "t,two", 0x5000, 0x200, &[]);
    for (x, y) in [("t,one", "t,two"), ("t,two", "t,one")] {
        let said = refused(both(wants("x", x), wants("y", y)), reach);
        assert!(said.contains("'a' and 'b' are given the same registers at 0x100005000"), "{said}");
    }
    // Beside each other, or in one server, all is well.
    let beside = |b: Builder| node(node(b, "t,one", 0x4000, 0x1000, &[]), "t,two", 0x5000, 0x200, &[]);
    machine(both(wants("x", "t,one"), wants("y", "t,two")), beside).boot().unwrap();
    machine(vec![with("a", vec![wants("x", "t,one"), wants("y", "t,two")])], near).boot().unwrap();
}

#[test]
fn an_interrupt_belongs_to_one_server() {
    let servers = vec![with("a", vec![wants("x", "t,one")]), with("b", vec![wants("y", "t,two")])];
    let said =
        refused(servers, |b| node(node(b, "t,one", 0x4000, 0x100, &[9]), "t,two", 0x5000, 0x100, &[9]));
    let sentence = "init: interrupt 41 of 'y' cannot be given to 'b': it was given already, and an interrupt belongs to one server\n";
    assert!(said.contains(sentence), "{said}");
    let said = refused(vec![with("a", vec![wants("x", "t,one")])], |b| node(b, "t,one", 0, 0x100, &[900]));
    assert!(
        said.contains("interrupt 932 of 'x' cannot be given to 'a': the kernel does not have it\n"),
        "{said}"
    );
}

#[test]
fn devices_that_together_take_more_addresses_than_a_server_has_are_refused() {
    let room = (address::TRACE - address::DEVICES) as u32;
    let two = || vec![with("a", vec![wants("x", "t,one"), wants("y", "t,two")])];
    let sized = |second: u32| {
        move |b: Builder| node(node(b, "t,one", 0, 0x1000, &[]), "t,two", 0x100_0000, second, &[])
    };
    // Each has a free page after it.
    let most = room - 0x3000;
    roomy(two(), sized(most)).boot().unwrap();
    for beyond in [most + 1, room, u32::MAX] {
        let said = refused(two(), sized(beyond));
        assert!(said.contains("init: the devices of 'a' take 0x"), "{said}");
        assert!(
            said.contains(
                "bytes of addresses, and a server has 0x1000000: give some of them to another server\n"
            ),
            "{said}"
        );
    }
    // Two servers have room each.
    let apart = vec![with("a", vec![wants("x", "t,one")]), with("b", vec![wants("y", "t,two")])];
    roomy(apart, sized(most)).boot().unwrap();
}

#[test]
fn the_instance_that_is_asked_for_is_given_and_disabled_ones_do_not_count() {
    let nodes = |b: Builder| {
        let off = b
            .begin("d")
            .text("compatible", "t,x")
            .text("status", "disabled")
            .cells("reg", &[1, 0x9000, 0, 8])
            .end();
        (0..3).fold(off, |b, i| node(b, "t,x", 0x1000 * i, 8, &[]))
    };
    for instance in 0..3u32 {
        let asks = DeviceRequest { instance, ..wants("x", "t,x") };
        let mut m = machine(vec![with("a", vec![asks])], nodes);
        m.boot().unwrap();
        assert_eq!(m.frame("a", address::DEVICES).unwrap().phys, DEVICES_AT + 0x1000 * u64::from(instance));
    }
    let asks = DeviceRequest { instance: 3, ..wants("x", "t,x") };
    let mut m = machine(vec![with("a", vec![asks])], nodes);
    m.boot().unwrap();
    assert_eq!(m.frame("a", address::DEVICES), None);
}

/// The registers by which a virtio-mmio device says what it is, at places in a page.
fn virtio(devices: &[(usize, u32)]) -> Vec<u8> {
    let mut page = vec![0; 4096];
    for (at, id) in devices {
        page[*at..at + 4].copy_from_slice(b"virt");
        page[at + 8..at + 12].copy_from_slice(&id.to_le_bytes());
    }
    page
}

#[test]
fn virtio_devices_are_found_by_what_they_say_they_are() {
    let nodes =
        |b: Builder| (0..4).fold(b, |b, i| node(b, "virtio,mmio", 0xa000 + 0x800 * i, 0x200, &[10 + i]));
    let registers = BTreeMap::from([
        (DEVICES_AT + 0xa000, virtio(&[(0, 0), (0x800, 34)])),
        (DEVICES_AT + 0xb000, virtio(&[(0, 34), (0x800, 1)])),
    ]);
    let asks = |instance| DeviceRequest { virtio_id: Some(34), instance, ..wants("i2c", "virtio,mmio") };
    for (instance, at) in [(0, 0xa800), (1, 0xb000)] {
        let parts = Parts { fdt: tree(nodes), registers: registers.clone(), ..Parts::default() };
        let m = Machine::running(&system(vec![with("a", vec![asks(instance)])]), parts);
        let device = m.env("a").devices.iter().next().unwrap();
        assert_eq!(m.frame("a", address::DEVICES).unwrap().phys, (DEVICES_AT + at) & !4095);
        assert_eq!(device.registers.start, address::DEVICES + (at & 4095));
        let numbers: Vec<_> = m.env("a").interrupts.iter().map(|i| u64::from(i.number)).collect();
        assert_eq!(numbers, [42 + (at - 0xa000) / 0x800]);
    }
    let parts = Parts { fdt: tree(nodes), registers, ..Parts::default() };
    let m = Machine::running(&system(vec![with("a", vec![asks(2)])]), parts);
    assert!(m.said().contains("compatible with virtio,mmio and virtio id 34; this machine has none\n"));
}

#[test]
fn a_bridge_gives_what_lies_behind_it_once_and_takes_it_back_at_a_restart() {
    let nodes = |b: Builder| {
        let b = b.begin("pcie").text("compatible", "t,pcie").cells("reg", &[1, 0, 0, 0x1000]);
        let b = b.cells("#address-cells", &[3]).cells("#size-cells", &[2]).cells("interrupts", &[0, 3, 4]);
        let b =
            b.cells("ranges", &[0x200_0000, 0, 0, 1, 0x40_0000, 0, 0x6000, 0, 0, 0, 1, 0x80_0000, 0, 0x1000]);
        b.cells("interrupt-map", &[0, 0, 0, 1, 1, 0, 5, 4, 0, 0, 0, 2, 1, 0, 6, 4]).end()
    };
    let bridge = || DeviceRequest { ranges: true, ..wants("pcie", "t,pcie") };
    let mut m = machine(vec![with("a", vec![bridge()])], nodes);
    m.boot().unwrap();
    let env = m.env("a");
    let windows: Vec<_> = env.windows.iter().map(|w| (w.device, w.base - DEVICES_AT, w.bits)).collect();
    assert_eq!(windows, [(0, 0x40_0000, 14), (0, 0x40_4000, 13), (0, 0x80_0000, 12)]);
    let interrupts: Vec<_> = env.interrupts.iter().map(|i| (i.pin, i.number)).collect();
    assert_eq!(interrupts, [(false, 35), (true, 37), (true, 38)]);
    for Window { slot, base, bits, .. } in env.windows {
        let Cap::Untyped { base: at, bits: size, device, .. } = m.slot("a", slot) else { panic!() };
        assert_eq!((at.0, size, device), (base, bits.into(), true));
    }
    // What a life made of it is gone in the next.
    let slot = env.windows.iter().next().unwrap().slot;
    assert_eq!(m.retype("a", slot, env.free_slots.0, 4), 0);
    assert_ne!(m.retype("a", slot, env.free_slots.0 + 4, 4), 0);
    m.kill("a").unwrap();
    m.advance(LONGEST_WAIT_US).unwrap();
    assert_eq!(m.retype("a", slot, env.free_slots.0, 4), 0);
    // Without `ranges` there is nothing behind it.
    drop(m);
    let mut m = machine(vec![with("a", vec![wants("pcie", "t,pcie")])], nodes);
    m.boot().unwrap();
    assert_eq!((m.env("a").windows.iter().count(), m.env("a").interrupts.iter().count()), (0, 1));
    // And to a second server there is nothing to give.
    drop(m);
    let servers = vec![with("a", vec![bridge()]), with("b", vec![wants("x", "t,in")])];
    let said = machine(servers, |b| node(nodes(b), "t,in", 0x40_1000, 8, &[])).boot().unwrap_err();
    assert!(
        said.contains(
            "init: cannot start 'b': an address or a capability is not there, or was given away already"
        ),
        "{said}"
    );
}

#[test]
fn interrupts_of_messages_come_as_handlers_in_a_row() {
    let nodes = |b: Builder| {
        let b = b.begin("msi").text("compatible", "t,msi").cells("reg", &[1, 0, 0, 0x1000]);
        b.cells("msi-ranges", &[1, 0, 8, 1, 5]).end()
    };
    let messages = DeviceRequest { messages: true, ..wants("msi", "t,msi") };
    let mut m = machine(vec![with("a", vec![messages])], nodes);
    m.boot().unwrap();
    let (slot, count) = m.env("a").devices.iter().next().unwrap().messages;
    let given: Vec<_> = (0..count.into()).map(|i| m.slot("a", slot + i)).collect();
    assert_eq!(given, (40..45).map(|irq| Cap::IrqHandler { irq }).collect::<Vec<_>>());
    drop(m);
    let mut m = machine(vec![with("a", vec![wants("msi", "t,msi")])], nodes);
    m.boot().unwrap();
    assert_eq!(m.env("a").devices.iter().next().unwrap().messages.1, 0);
}

#[test]
fn timers_signal_their_own_bits_which_interrupts_do_not_have() {
    let timers = ["bus", "sensor/lm75"].map(String::from).to_vec();
    let a = Server { timers, ..with("a", vec![wants("x", "t,x")]) };
    let mut m = machine(vec![a, server("b")], |b| node(b, "t,x", 0, 8, &[4]));
    m.boot().unwrap();
    let env = m.env("a");
    let timers: Vec<_> = env.timers.iter().map(|t| (t.name, u8::from(t.bit))).collect();
    assert_eq!(timers, [("bus", 1), ("sensor/lm75", 2)]);
    for (i, timer) in (1..).zip(env.timers) {
        let words = [m.time() + 1000 * i, 0];
        assert_eq!(m.invoke("a", timer.slot, sel4_sys::ext::TIMER_ARM, &words, &[]), 0);
        m.advance(1000 * i - 1).unwrap();
        assert!(m.poll("a").is_empty());
        m.advance(1).unwrap();
        let signals = m.poll("a");
        assert!(signals.has(timer.bit) && signals.without(timer.bit).is_empty() && signals.any(Class::Timer));
    }
    // So many that there is no bit for the last.
    drop(m);
    let room = Class::Timer.room();
    let names = |n: usize| (0..n).map(|i| format!("t{i}")).collect();
    let many = |n| Server { timers: names(n), ..with("a", vec![wants("x", "t,x")]) };
    machine(vec![many(room - 1)], |b| node(b, "t,x", 0, 8, &[4])).boot().unwrap();
    let said = refused(vec![many(room)], |b| node(b, "t,x", 0, 8, &[4]));
    assert!(said.contains("cannot prepare the system: a number is beyond its bound"), "{said}");
    const { assert!(syscall::CALL < 0) };
}

#[test]
fn a_damaged_tree_is_spoken_of() {
    let mut fdt = tree(|b| node(b, "t,x", 0, 8, &[]).token(77));
    fdt.extend([0; 8]);
    let m = Machine::running(
        &system(vec![with("a", vec![wants("x", "t,x")])]),
        Parts { fdt, ..Parts::default() },
    );
    assert!(m.said().contains("init: the device tree is damaged; devices after the damage are not found\n"));
    drop(m);
    let parts = Parts { fdt: Vec::new(), ..Parts::default() };
    let m = Machine::running(&system(vec![with("a", vec![wants("x", "t,x")])]), parts);
    let said = m.said();
    assert!(said.contains("init: no device tree and no PCI: servers run without devices\n"), "{said}");
}
