//! A PC's own: ports, pins of the I/O APIC, the HPET, and vectors of messages. With x86-64's rules (`axiom_arch`).
use crate::functions;
use crate::machine::{DEVICES_AT, Machine, Parts, device, tree};
use crate::{server, system};
use axiom_layout::address;
use axiom_objects::Cap;
use axiom_objects::arch::interrupts::FIRST_USER;
use axiom_objects::arch::ports::Ports;
use axiom_proto::bundle::{DeviceRequest, Server};
use sel4_sys::arch::object::USER_VECTORS;
use sel4_sys::ext::HpetInfo;

fn wants(compatible: &str, instance: u32) -> DeviceRequest {
    DeviceRequest { instance, optional: true, ..device("d", compatible) }
}

fn with(name: &str, devices: Vec<DeviceRequest>) -> Server {
    Server { devices, ..server(name) }
}

fn parts(hpet: Option<HpetInfo>) -> Parts {
    Parts { fdt: tree(|b| b), hpet, ..Parts::default() }
}

#[test]
fn serial_ports_are_given_by_their_ports_and_pins_and_take_no_addresses() {
    let servers = vec![with("a", vec![wants("pnp,0501", 0), wants("pnp,0501", 2), wants("pnp,0501", 1)])];
    let m = Machine::running(&system(servers), parts(None));
    let env = m.env("a");
    let given: Vec<_> = env.devices.iter().map(|d| (d.registers.len, m.slot("a", d.ports))).collect();
    let ports = |first| Cap::Ports(Ports::Range { first, last: first + 7 });
    assert_eq!(given[0], (0, ports(0x3f8)));
    assert_eq!((given[1].0, env.devices.iter().nth(1).unwrap().ports), (0, 0), "there are two");
    assert_eq!(given[2], (0, ports(0x2f8)));
    let numbers: Vec<_> = env.interrupts.iter().map(|i| (i.device, i.number)).collect();
    assert_eq!(numbers, [(0, 4), (2, 3)]);
    assert!((0..4).all(|page| m.frame("a", address::DEVICES + page * 4096).is_none()));
}

#[test]
fn the_hpet_is_given_with_the_highest_input_beyond_those_of_isa() {
    let found = |routes| {
        let hpet = HpetInfo { address: DEVICES_AT + 0x3000, routes, ..HpetInfo::default() };
        // A device without registers before it takes no addresses.
        let servers = vec![with("a", vec![wants("pnp,0501", 0), wants("pnp,0103", 0), wants("pnp,0103", 1)])];
        let m = Machine::running(&system(servers), parts(Some(hpet)));
        let env = m.env("a");
        let registers = env.devices.iter().nth(1).unwrap().registers;
        assert_eq!((registers.start, registers.len), (address::DEVICES, 1024));
        assert_eq!(
            m.frame("a", address::DEVICES).map(|f| (f.phys, f.write)),
            Some((DEVICES_AT + 0x3000, true))
        );
        assert_eq!(env.devices.iter().nth(2).unwrap().registers.len, 0);
        env.interrupts.iter().filter(|i| i.device == 1).map(|i| i.number).collect::<Vec<_>>()
    };
    assert_eq!(found(0x00f0_0004), [23]);
    assert_eq!(found(0x0001_ffff), [16]);
    assert_eq!(found(0x0100_ffff), [], "ISA's, and such as the I/O APIC does not have");
    let m = Machine::running(&system(vec![with("a", vec![wants("pnp,0103", 0)])]), parts(None));
    assert_eq!(m.env("a").devices.iter().next().unwrap().registers.len, 0);
}

#[test]
fn messages_take_vectors_from_the_end_each_once() {
    let bars = [DEVICES_AT + 0x10_0000, DEVICES_AT + 0x20_0000];
    let mut p = functions::parts(bars, [true; 2]);
    for page in p.registers.values_mut() {
        // One message, whose table fills the BAR: the page is init's.
        page[0x41] = 0x50;
        page[0x50] = 0x11;
    }
    let servers = vec![with("a", vec![wants("pci1af4,1", 0)]), with("b", vec![wants("pci1af4,2", 0)])];
    let mut m = Machine::running(&system(servers), p);
    m.advance(100_000).unwrap();
    for (name, bar, vector) in [("a", bars[0], USER_VECTORS - 1), ("b", bars[1], USER_VECTORS - 2)] {
        let env = m.env(name);
        let given: Vec<_> = env.interrupts.iter().map(|i| (i.number, m.slot(name, i.slot))).collect();
        assert_eq!(given, [(0, Cap::IrqHandler { irq: FIRST_USER + vector as u32 })]);
        assert_eq!(env.bars.iter().count(), 0);
        // After the reset they are what they were: to the local APIC, unmasked.
        let entry = [0, 4, 8, 12].map(|word| m.register(bar + word));
        assert_eq!(entry, [0xfee0_0000, 0, 0x30 + vector as u32, 0]);
    }
}
