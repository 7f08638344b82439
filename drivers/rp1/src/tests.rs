use super::*;
use axiom_proto::rp1::{Absence, NAMES, Peripheral};
use bcm2712_pac::rp1::Source;
use bcm2712_pac::soc::pcie::Pcie;
use bcm2712_pac::{Block, Io};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::vec::Vec;

/// A root complex: registers that were set, zero for the rest. Configuration space may be read only with the link up.
struct Rc {
    registers: RefCell<BTreeMap<usize, u32>>,
    touched_configuration: Cell<bool>,
}

impl Io for Rc {
    fn read(&self, offset: usize) -> u32 {
        if (0x8000..0x9000).contains(&offset) {
            self.touched_configuration.set(true);
            assert_eq!(self.registers.borrow().get(&0x9000), Some(&(1 << 20)), "the index comes first");
        }
        self.registers.borrow().get(&offset).copied().unwrap_or(0)
    }
    fn write(&self, offset: usize, value: u32) {
        self.registers.borrow_mut().insert(offset, value);
    }
}

/// As firmware leaves it: window `i` from PCI `pci` at CPU `start`, BAR1 at `bar`.
fn rc(i: usize, pci: u32, start: u64, last: u64, bar: u32) -> Block<Pcie, Rc> {
    let registers = [
        (0x4068, 0xb0),
        (0x400c + 8 * i, pci),
        (0x4070 + 4 * i, (start >> 16) as u32 & 0xfff0 | (last & 0xfff0_0000) as u32),
        (0x4080 + 8 * i, (start >> 32) as u32),
        (0x4084 + 8 * i, (last >> 32) as u32),
        (0x04, 0x6),
        (0x20, (bar + 0x40_0000) & 0xfff0_0000 | bar >> 16),
        (0x8000, 0x0001_1de4),
        (0x8004, 0x6),
        (0x8014, bar),
    ];
    Block::new(Rc { registers: RefCell::new(registers.into()), touched_configuration: Cell::new(false) })
}

fn with(rc: &Block<Pcie, Rc>, offset: usize, value: u32) -> Result<u64, Absence> {
    let old = rc.io().registers.borrow_mut().insert(offset, value);
    let found = find(rc).1;
    rc.io().registers.borrow_mut().insert(offset, old.unwrap_or(0));
    found
}

#[test]
fn it_is_found_in_either_window() {
    let low = rc(0, 0, 0x1f_0000_0000, 0x1f_ffff_ffff, 0);
    assert_eq!(find(&low).1, Ok(0x1f_0000_0000));
    let high = rc(1, 0x8000_0000, 0x1c_0000_0000, 0x1c_3fff_ffff, 0x8010_0000);
    let (facts, found) = find(&high);
    assert_eq!(found, Ok(0x1c_0010_0000));
    assert_eq!(facts.windows[0], None);
    assert_eq!(facts.bar1, 0x8010_0000);
}

#[test]
fn a_dead_link_is_never_touched() {
    for (status, absence) in [
        (0x80, Absence::LinkDown),
        (0xa0, Absence::LinkDown),
        (0x90, Absence::LinkDown),
        (0x30, Absence::NotSetUp),
        (0, Absence::NotSetUp),
        (u32::MAX, Absence::NotSetUp),
    ] {
        let rc = rc(0, 0, 0x1f_0000_0000, 0x1f_ffff_ffff, 0);
        assert_eq!(with(&rc, 0x4068, status), Err(absence), "{status:#x}");
        assert!(!rc.io().touched_configuration.get());
    }
}

#[test]
fn what_bars_the_way_is_told_apart() {
    let rc = rc(0, 0, 0x1f_0000_0000, 0x1f_ffff_ffff, 0);
    assert_eq!(with(&rc, 0x8000, 0xdead_dead), Err(Absence::LinkDown));
    assert_eq!(with(&rc, 0x8000, 0x1234_14e4), Err(Absence::OtherDevice(0x1234_14e4)));
    assert_eq!(with(&rc, 0x04, 0), Err(Absence::NotSetUp));
    assert_eq!(with(&rc, 0x8004, 0x4), Err(Absence::NotSetUp));
    // The port passes nothing on, the window is too short, the window begins after it.
    assert_eq!(with(&rc, 0x20, 0x0000_fff0), Err(Absence::NoWindow(0)));
    assert_eq!(with(&rc, 0x4084, 0), Err(Absence::NoWindow(0)));
    assert_eq!(with(&rc, 0x4070, 0x0030_0000), Ok(0x1f_0000_0000));
    assert_eq!(with(&rc, 0x4070, 0x0020_0000), Err(Absence::NoWindow(0)));
    assert_eq!(with(&rc, 0x400c, 0x10_0000), Err(Absence::NoWindow(0)));
    assert_eq!(chip(0x2000_1927), Ok(0x2000_1927));
    assert_eq!(chip(0xdead_dead), Err(Absence::NotRp1(0xdead_dead)));
}

#[test]
fn every_peripheral_has_a_place_of_its_own() {
    let mut seen = Vec::new();
    for name in NAMES {
        let place = place(Peripheral::from_name(name).unwrap()).unwrap_or_else(|| panic!("{name}"));
        assert!(place.source.is_some(), "{name}");
        assert_eq!(place.page(place.pages()), None);
        for page in (0..place.pages()).map(|p| place.page(p).unwrap()) {
            assert!(!seen.contains(&page), "{name}: {page:#x}");
            seen.push(page);
        }
    }
    let of = |name| place(Peripheral::from_name(name).unwrap()).unwrap();
    assert_eq!((of("i2c1").page(0), of("i2c1").source), (Some(0x74000), Some(Source(8))));
    assert_eq!(
        (of("gpio").page(3), of("gpio").page(4), of("gpio").pages()),
        (Some(0xd3000), Some(0xe0000), 12)
    );
    assert_eq!((of("spi8").page(0), of("uart5").source), (Some(0x4c000), Some(Source(46))));
}

/// The block: ENABLE bits and lines.
#[derive(Default)]
struct Model {
    enabled: Cell<u64>,
    lines: Cell<u64>,
    acknowledged: RefCell<Vec<u8>>,
}

impl Io for &Model {
    fn read(&self, offset: usize) -> u32 {
        match offset {
            0x108 => self.lines.get() as u32,
            0x10c => (self.lines.get() >> 32) as u32,
            other => panic!("nothing reads {other:#x}"),
        }
    }
    fn write(&self, offset: usize, value: u32) {
        let source = (offset & 0x3ff) / 4 - 2;
        let enable = u64::from(value & 1) << source;
        match offset & 0xc00 {
            0x800 => self.enabled.set(self.enabled.get() | enable),
            0xc00 => self.enabled.set(self.enabled.get() & !enable),
            other => panic!("nothing writes at {other:#x}"),
        }
        if value & 4 != 0 {
            self.acknowledged.borrow_mut().push(source as u8);
        }
    }
}

impl Model {
    /// INTA.
    fn line(&self) -> bool {
        self.enabled.get() & self.lines.get() != 0
    }
}

#[test]
fn a_source_stays_masked_until_it_is_served() {
    let model = Model::default();
    model.enabled.set(u64::MAX);
    let mut fan = Fan::new(&model);
    assert_eq!(model.enabled.get() & ((1 << Source::COUNT) - 1), 0, "what firmware left on is off");
    fan.attach(Source(8));
    fan.attach(Source(46));
    model.lines.set(1 << 8 | 1 << 46 | 1 << 3);
    assert!(model.line());
    assert_eq!(fan.raised(), Sources(1 << 8 | 1 << 46));
    // Both clients are slow: the line is down, and nothing new is raised.
    assert!(!model.line());
    assert_eq!(fan.raised(), Sources(0));
    assert_eq!(fan.spurious, 1);
    // One has served its device; the other's is still up and comes again when it is acknowledged.
    model.lines.set(1 << 46);
    fan.served(Source(8));
    assert!(!model.line());
    fan.served(Source(46));
    assert!(model.line());
    assert_eq!(fan.raised(), Sources(1 << 46));
    // Who has nothing to serve changes nothing.
    fan.served(Source(3));
    assert_eq!(model.enabled.get() & (1 << 3), 0);
}

#[test]
fn a_client_that_comes_again_gets_its_source_back() {
    let model = Model::default();
    let mut fan = Fan::new(&model);
    fan.attach(Source(0));
    model.lines.set(1);
    assert_eq!(fan.raised(), Sources(1));
    fan.attach(Source(0));
    assert!(model.line());
    assert_eq!(fan.raised(), Sources(1));
    assert_eq!(*model.acknowledged.borrow(), [0, 0]);
}

/// Registers that keep what is written.
struct Kept(RefCell<BTreeMap<usize, u32>>);
impl Io for &Kept {
    fn read(&self, offset: usize) -> u32 {
        self.0.borrow().get(&offset).copied().unwrap_or(0x9f)
    }
    fn write(&self, offset: usize, value: u32) {
        self.0.borrow_mut().insert(offset, value);
    }
}

#[test]
fn only_the_peripherals_own_lines_are_switched() {
    let (bank, pads) = (Kept(RefCell::default()), Kept(RefCell::default()));
    let to = |name| switch(Peripheral::from_name(name).unwrap(), &Block::new(&bank), &Block::new(&pads));
    assert_eq!(to("pwm0"), [0u8; 0]);
    assert!(bank.0.borrow().is_empty());
    assert_eq!(to("i2c1"), [2, 3]);
    // Function 3 in place of 0x1f; pulled up, input on, output not cut off.
    assert_eq!(*bank.0.borrow(), [(2 * 8 + 4, 0x83), (3 * 8 + 4, 0x83)].into());
    assert_eq!(*pads.0.borrow(), [(4 + 2 * 4, 0x5b), (4 + 3 * 4, 0x5b)].into());
}

#[test]
fn every_source_gets_its_message() {
    let rc = rc(0, 0, 0x1f_0000_0000, 0x1f_ffff_ffff, 0);
    let (facts, _) = find(&rc);
    rc.io().registers.borrow_mut().extend([(0x8010, 0x41_0000), (0x80b0, 0x403c_0011), (0x80b4, 0x100)]);
    assert_eq!(msix::table(&rc, &facts), Ok(0x1f_0041_0100));
    let (table, mip) = (Kept(RefCell::default()), Kept(RefCell::default()));
    msix::enable(&rc, (&&table, 0x100), &Block::new(&mip));
    let entry: Vec<u32> = (0..4).map(|i| (&table).read(0x100 + 8 * 16 + i * 4)).collect();
    assert_eq!(entry, [0xffff_f000, 0xff, 8, 0]);
    assert_eq!(table.0.borrow().len(), 61 * 4);
    assert_eq!(((&mip).read(0x40), (&mip).read(0x60), (&mip).read(0x30)), (0, u32::MAX, u32::MAX));
    assert_eq!(rc.io().registers.borrow()[&0x80b0], 0x803c_0011, "enabled, not masked");
    // The table in another BAR is not where it is looked for.
    rc.io().registers.borrow_mut().insert(0x80b4, 0x101);
    assert_eq!(msix::table(&rc, &facts), Err(Absence::NotSetUp));
}
