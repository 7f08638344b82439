//! The driver against a model of the controller that moves a few FIFO entries whenever the driver waits.

use super::*;
use bcm2712_pac::rp1::CLK_SYS_HZ;
use bcm2712_pac::rp1::i2c::{Abort, Status};
use embedded_hal::digital::{InputPin, OutputPin};
use proptest::prelude::*;
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::string::String;
use std::vec::Vec;

const CHIP: u32 = 0x48;
const TEN_BIT_CHIP: u32 = 0x248 | 1 << 12;
const DEPTH: usize = 32;

#[derive(Default)]
struct Model {
    tx: VecDeque<DataCmd>,
    rx: VecDeque<u8>,
    con: u32,
    tar: u32,
    enable: u32,
    mask: u32,
    raw: u32,
    abort: u32,
    settings: BTreeMap<usize, u32>,
    /// S start, w/r byte, P stop, as a chip sees them.
    bus: String,
    written: Vec<u8>,
    /// Next byte that the chip sends.
    next: u8,
    running: bool,
    /// Bytes after which the chip refuses one.
    refuses_after: Option<usize>,
    /// Bytes after which another master wins.
    loses_after: Option<usize>,
    /// The chip holds the clock: nothing moves.
    hangs: bool,
    /// The chip holds the data line; a recovery frees it, if it may.
    sda_held: bool,
    no_bus_clear: bool,
    never_frees: bool,
    waits: usize,
    most_in_fifo: usize,
}

const ABRT: u32 = 1 << 6;
const STOP: u32 = 1 << 9;

impl Model {
    fn give_up(&mut self, why: u32) {
        self.abort |= why;
        self.raw |= ABRT | STOP;
        self.tx.clear();
        self.bus.push('P');
        self.running = false;
    }
    /// Moves one entry.
    fn step(&mut self) {
        if self.hangs || self.enable & 1 == 0 || self.raw & ABRT != 0 {
            return;
        }
        let Some(c) = self.tx.front().copied() else { return };
        if c.read() && self.rx.len() == DEPTH {
            return; // the clock is held
        }
        self.tx.pop_front();
        if self.sda_held {
            return self.give_up(Abort(0).with_sda_stuck(true).0);
        }
        if !self.running || c.restart() {
            self.bus.push('S');
            self.running = true;
            if self.tar != CHIP && self.tar != TEN_BIT_CHIP {
                return self.give_up(Abort(0).with_addr7_nack(true).0);
            }
        }
        if self.loses_after == Some(self.written.len()) {
            return self.give_up(Abort(0).with_lost(true).0);
        }
        if c.read() {
            self.bus.push('r');
            self.rx.push_back(self.next);
            self.next = self.next.wrapping_add(1);
        } else {
            self.bus.push('w');
            if self.refuses_after == Some(self.written.len()) {
                return self.give_up(Abort(0).with_data_nack(true).0);
            }
            self.written.push(c.data() as u8);
        }
        if c.stop() {
            self.bus.push('P');
            self.raw |= STOP;
            self.running = false;
        }
    }
    fn raised(&self) -> u32 {
        let threshold = |offset| self.settings.get(&offset).copied().unwrap_or(0) as usize;
        let full = self.rx.len() > threshold(0x38);
        let empty = self.enable & 1 != 0 && self.tx.len() <= threshold(0x3c);
        self.raw | u32::from(full) << 2 | u32::from(empty) << 4
    }
}

/// The model's registers.
struct Pins<'a>(&'a RefCell<Model>);

impl Io for Pins<'_> {
    fn read(&self, offset: usize) -> u32 {
        let mut m = self.0.borrow_mut();
        match offset {
            0x00 => m.con,
            0x10 => m.rx.pop_front().expect("nothing is read from an empty FIFO").into(),
            0x34 => m.raised(),
            0x40 => {
                m.raw = 0;
                m.abort = 0;
                0
            }
            0x6c => m.enable,
            0x70 => Status(0).with_sda_stuck(m.sda_held).0,
            0x74 => m.tx.len() as u32,
            0x78 => m.rx.len() as u32,
            0x80 => m.abort,
            0x9c => m.enable & 1,
            0xf4 => (DEPTH as u32 - 1) << 16 | (DEPTH as u32 - 1) << 8,
            0xfc => COMP_TYPE_VALUE,
            other => panic!("the driver reads {other:#x}"),
        }
    }
    fn write(&self, offset: usize, value: u32) {
        let mut m = self.0.borrow_mut();
        match offset {
            0x00 => {
                assert_eq!(m.enable & 1, 0, "CON is written while it works");
                m.con = if m.no_bus_clear { value & !(1 << 11) } else { value };
            }
            0x04 => {
                assert_eq!(m.enable & 1, 0, "TAR is written while it works");
                m.tar = value;
            }
            0x10 => {
                assert!(m.enable & 1 != 0 && m.tx.len() < DEPTH, "a FIFO entry gets lost");
                m.tx.push_back(DataCmd(value));
                m.most_in_fifo = m.most_in_fifo.max(m.tx.len());
            }
            0x30 => m.mask = value,
            0x6c => {
                if value & 1 == 0 {
                    m.tx.clear();
                    m.rx.clear();
                    m.raw = 0;
                    m.running = false;
                }
                m.enable = value;
                if value & 2 != 0 && !m.hangs {
                    m.enable &= !2;
                }
                if value & 8 != 0 && !m.never_frees {
                    m.sda_held = false;
                    m.enable &= !8;
                }
            }
            0x14..=0x20 | 0x38 | 0x3c | 0x7c | 0xa0 => drop(m.settings.insert(offset, value)),
            other => panic!("the driver writes {other:#x}"),
        }
    }
}

struct Steps<'a>(&'a RefCell<Model>);

impl Wait for Steps<'_> {
    fn begin(&mut self) {
        self.0.borrow_mut().waits = 0;
    }
    fn wait(&mut self) -> bool {
        let mut m = self.0.borrow_mut();
        m.waits += 1;
        // Until an interrupt that is enabled comes.
        for _ in 0..10_000 {
            if m.raised() & m.mask != 0 {
                return true;
            }
            m.step();
        }
        false
    }
    fn handled(&mut self) {}
}

fn bus(model: &RefCell<Model>) -> DwI2c<Pins<'_>, Steps<'_>> {
    DwI2c::new(Pins(model), Steps(model), CLK_SYS_HZ, Speed::Fast).unwrap()
}

fn seven<'a>(bus: &'a mut DwI2c<Pins<'_>, Steps<'_>>) -> &'a mut dyn I2c<SevenBitAddress, Error = I2cError> {
    bus
}

#[test]
fn a_register_is_read_with_a_repeated_start_and_one_interrupt() {
    let model = RefCell::new(Model { next: 7, ..Model::default() });
    let mut bus = bus(&model);
    let mut got = [0; 2];
    I2c::<SevenBitAddress>::write_read(&mut bus, CHIP as u8, &[5], &mut got).unwrap();
    let m = model.borrow();
    assert_eq!((got, m.bus.as_str(), m.written.as_slice(), m.waits), ([7, 8], "SwSrrP", &[5][..], 1));
}

#[test]
fn messages_longer_than_the_fifo_go_in_parts() {
    let model = RefCell::new(Model::default());
    let mut bus = bus(&model);
    let out: Vec<u8> = (0..200).collect();
    let mut back = [0; 100];
    seven(&mut bus).write(CHIP as u8, &out).unwrap();
    seven(&mut bus).read(CHIP as u8, &mut back).unwrap();
    assert_eq!(model.borrow().written, out);
    assert!(back.iter().enumerate().all(|(i, b)| *b == i as u8));
    assert_eq!(model.borrow().most_in_fifo, DEPTH);
}

#[test]
fn ten_bit_addresses_reach_their_chip() {
    let model = RefCell::new(Model::default());
    let mut bus = bus(&model);
    I2c::<TenBitAddress>::write(&mut bus, 0x248, &[1]).unwrap();
    assert_eq!(model.borrow().tar, TEN_BIT_CHIP);
}

#[test]
fn every_way_to_fail_is_told_apart_and_the_next_transfer_works() {
    type Break = fn(&mut Model);
    type Case = (u8, Break, I2cError, ErrorKind);
    let nack = |source| ErrorKind::NoAcknowledge(source);
    let cases: [Case; 5] = [
        (0x50, |_| {}, I2cError::NoSuchChip, nack(NoAcknowledgeSource::Address)),
        (0x48, |m| m.refuses_after = Some(2), I2cError::Refused, nack(NoAcknowledgeSource::Data)),
        (0x48, |m| m.loses_after = Some(1), I2cError::ArbitrationLost, ErrorKind::ArbitrationLoss),
        (0x48, |m| m.sda_held = true, I2cError::Stuck, ErrorKind::Bus),
        (0x48, |m| m.hangs = true, I2cError::Timeout, ErrorKind::Bus),
    ];
    for (address, wound, error, kind) in cases {
        let model = RefCell::new(Model::default());
        let mut bus = bus(&model);
        wound(&mut model.borrow_mut());
        let result = seven(&mut bus).write(address, &[1, 2, 3, 4]);
        assert_eq!(result, Err(error));
        assert_eq!(embedded_hal::i2c::Error::kind(&error), kind);
        assert_eq!(bus.given_up, u32::from(error == I2cError::Timeout));
        let held = model.borrow().sda_held;
        *model.borrow_mut() = Model { sda_held: held, ..Model::default() };
        assert_eq!(seven(&mut bus).write(CHIP as u8, &[9]), Ok(()), "after {error:?}");
        assert_eq!(model.borrow().written, [9]);
    }
}

#[test]
fn a_line_that_stays_low_is_an_error_every_time_and_never_a_hang() {
    let model = RefCell::new(Model { sda_held: true, never_frees: true, ..Model::default() });
    let mut bus = bus(&model);
    for _ in 0..3 {
        assert_eq!(seven(&mut bus).write(CHIP as u8, &[1]), Err(I2cError::Stuck));
    }
    model.borrow_mut().never_frees = false;
    assert_eq!(seven(&mut bus).write(CHIP as u8, &[1]), Ok(()));
    // An instance that cannot recover by itself tries again.
    let model = RefCell::new(Model { sda_held: true, no_bus_clear: true, ..Model::default() });
    let mut bus = self::bus(&model);
    assert_eq!(seven(&mut bus).write(CHIP as u8, &[1]), Err(I2cError::Stuck));
    model.borrow_mut().sda_held = false;
    assert_eq!(seven(&mut bus).write(CHIP as u8, &[1]), Ok(()));
}

#[test]
fn what_it_cannot_do_is_refused() {
    let model = RefCell::new(Model::default());
    let mut bus = bus(&model);
    assert_eq!(seven(&mut bus).write(CHIP as u8, &[]), Err(I2cError::Empty));
    assert_eq!(seven(&mut bus).transaction(CHIP as u8, &mut []), Ok(()));
    assert_eq!(model.borrow().bus, "");
    struct Nothing;
    impl Io for Nothing {
        fn read(&self, _: usize) -> u32 {
            0xdead_dead
        }
        fn write(&self, offset: usize, _: u32) {
            panic!("written to what is not there, at {offset:#x}");
        }
    }
    let refused = DwI2c::new(Nothing, Steps(&model), CLK_SYS_HZ, Speed::Fast).err();
    assert_eq!(refused, Some(I2cError::NotThere(0xdead_dead)));
}

#[test]
fn timing_keeps_the_minima_and_comes_near_the_speed() {
    for (speed, hz, low_ns, high_ns) in [
        (Speed::Standard, 100_000, 4700, 4000),
        (Speed::Fast, 400_000, 1300, 600),
        (Speed::FastPlus, 1_000_000, 500, 260),
    ] {
        let t = Timing::new(CLK_SYS_HZ, speed);
        let (low, high) = ((t.low + 1) * 5, (t.high + t.spike + 7) * 5);
        assert!(low >= low_ns + 100 && high >= high_ns, "{speed:?}: {low} {high}");
        assert!(
            t.hz(CLK_SYS_HZ) <= hz && t.hz(CLK_SYS_HZ) > hz * 95 / 100,
            "{speed:?}: {}",
            t.hz(CLK_SYS_HZ)
        );
        assert!(t.hold < t.low);
    }
    assert_eq!(Speed::at_most(399_999), Some(Speed::Standard));
    assert_eq!(Speed::at_most(99_999), None);
}

/// A bus whose data line a chip holds until it has seen so many clocks.
struct Lines {
    clocks: u32,
    needs: u32,
    high: bool,
    data_low: bool,
}
struct Clock<'a>(&'a RefCell<Lines>);
struct Data<'a>(&'a RefCell<Lines>);
impl embedded_hal::digital::ErrorType for Clock<'_> {
    type Error = core::convert::Infallible;
}
impl embedded_hal::digital::ErrorType for Data<'_> {
    type Error = core::convert::Infallible;
}
impl OutputPin for Clock<'_> {
    fn set_low(&mut self) -> Result<(), Self::Error> {
        self.0.borrow_mut().high = false;
        Ok(())
    }
    fn set_high(&mut self) -> Result<(), Self::Error> {
        let mut l = self.0.borrow_mut();
        l.clocks += u32::from(!l.high);
        l.high = true;
        Ok(())
    }
}
impl OutputPin for Data<'_> {
    fn set_low(&mut self) -> Result<(), Self::Error> {
        self.0.borrow_mut().data_low = true;
        Ok(())
    }
    fn set_high(&mut self) -> Result<(), Self::Error> {
        self.0.borrow_mut().data_low = false;
        Ok(())
    }
}
impl InputPin for Data<'_> {
    fn is_high(&mut self) -> Result<bool, Self::Error> {
        let l = self.0.borrow();
        Ok(!l.data_low && l.clocks >= l.needs)
    }
    fn is_low(&mut self) -> Result<bool, Self::Error> {
        self.is_high().map(|high| !high)
    }
}
struct NoDelay;
impl embedded_hal::delay::DelayNs for NoDelay {
    fn delay_ns(&mut self, _: u32) {}
}

#[test]
fn a_held_data_line_is_clocked_free_by_hand() {
    for (needs, free, clocks) in [(0, true, 1), (4, true, 5), (9, true, 10), (11, false, 10)] {
        let lines = RefCell::new(Lines { clocks: 0, needs, high: true, data_low: false });
        let got = clock_free(&mut Clock(&lines), &mut Data(&lines), &mut NoDelay);
        assert_eq!((got, lines.borrow().clocks), (Ok(free), clocks), "{needs}");
    }
}

proptest! {
    /// Any transaction puts exactly its bytes on the bus: one start per change of direction, one stop.
    #[test]
    fn any_transaction_is_what_the_chip_sees(shape in prop::collection::vec((any::<bool>(), 1usize..80), 1..6)) {
        let model = RefCell::new(Model::default());
        let mut bus = bus(&model);
        let mut buffers: Vec<Vec<u8>> = shape.iter().map(|(_, n)| (0..*n as u8).collect()).collect();
        let expected: String = shape.iter().enumerate().map(|(i, (read, n))| {
            let start = if i == 0 || shape[i - 1].0 != *read { "S" } else { "" };
            String::from(start) + &(if *read { "r" } else { "w" }).repeat(*n)
        }).collect::<String>() + "P";
        let sent: Vec<u8> = shape.iter().zip(&buffers).filter(|((read, _), _)| !read).flat_map(|(_, b)| b.clone()).collect();
        let mut operations: Vec<Operation<'_>> = shape.iter().zip(&mut buffers)
            .map(|((read, _), b)| if *read { Operation::Read(b) } else { Operation::Write(b) }).collect();
        prop_assert_eq!(seven(&mut bus).transaction(CHIP as u8, &mut operations), Ok(()));
        prop_assert_eq!(&model.borrow().bus, &expected);
        prop_assert_eq!(&model.borrow().written, &sent);
        let received: Vec<u8> = shape.iter().zip(&buffers).filter(|((read, _), _)| *read).flat_map(|(_, b)| b.clone()).collect();
        prop_assert!(received.iter().enumerate().all(|(i, b)| *b == i as u8));
    }
}
