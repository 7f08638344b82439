use super::*;
use bcm2712_pac::rp1::CLK_SYS_HZ;
use embedded_hal::spi::{MODE_0, MODE_1, MODE_2, MODE_3};
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::vec::Vec;

/// The controller, with a chip that answers each byte with its complement; a few bytes move whenever the driver waits.
#[derive(Default)]
struct Model {
    tx: VecDeque<u8>,
    rx: VecDeque<u8>,
    settings: BTreeMap<usize, u32>,
    on_the_wire: Vec<u8>,
    hangs: bool,
    overruns: bool,
}

impl Model {
    fn get(&self, offset: usize) -> u32 {
        self.settings.get(&offset).copied().unwrap_or(0)
    }
    fn step(&mut self) {
        if self.hangs || self.get(0x08) == 0 || self.get(0x10) == 0 {
            return;
        }
        if let Some(byte) = self.tx.pop_front() {
            assert!(self.rx.len() < FIFO, "a received byte is lost");
            self.on_the_wire.push(byte);
            self.rx.push_back(!byte);
        }
    }
    fn raised(&self) -> u32 {
        u32::from(self.overruns) << 3 | u32::from(self.rx.len() > self.get(0x1c) as usize) << 4
    }
}

struct Pins<'a>(&'a RefCell<Model>);
impl Io for Pins<'_> {
    fn read(&self, offset: usize) -> u32 {
        let mut m = self.0.borrow_mut();
        match offset {
            0x24 => m.rx.len() as u32,
            0x34 => m.raised(),
            0x48 => 0,
            0x5c => VERSION_VALUE,
            0x60 => m.rx.pop_front().expect("nothing is read from an empty FIFO").into(),
            other => panic!("the driver reads {other:#x}"),
        }
    }
    fn write(&self, offset: usize, value: u32) {
        let mut m = self.0.borrow_mut();
        match offset {
            0x60 => {
                assert!(m.tx.len() < FIFO && m.get(0x08) == 1, "a byte gets lost");
                m.tx.push_back(value as u8);
            }
            0x00 | 0x14 => assert_eq!(m.get(0x08), 0, "{offset:#x} is written while it works"),
            _ => {}
        }
        if offset == 0x08 && value == 0 {
            m.tx.clear();
            m.rx.clear();
        }
        m.settings.insert(offset, value);
    }
}

struct Steps<'a>(&'a RefCell<Model>);
impl Wait for Steps<'_> {
    fn begin(&mut self) {}
    fn wait(&mut self) -> bool {
        let mut m = self.0.borrow_mut();
        (0..1000).any(|_| {
            m.step();
            m.raised() & m.get(0x2c) != 0
        })
    }
    fn handled(&mut self) {}
}

fn bus(model: &RefCell<Model>) -> DwSpi<Pins<'_>, Steps<'_>> {
    DwSpi::new(Pins(model), Steps(model), CLK_SYS_HZ, 10_000_000, MODE_0).unwrap()
}

#[test]
fn bytes_of_any_number_go_both_ways() {
    let model = RefCell::new(Model::default());
    let mut bus = bus(&model);
    for length in [0usize, 1, 31, 32, 33, 64, 65, 1000] {
        model.borrow_mut().on_the_wire.clear();
        let out: Vec<u8> = (0..length).map(|i| i as u8).collect();
        let mut both = out.clone();
        bus.transfer_in_place(&mut both).unwrap();
        assert!(both.iter().zip(&out).all(|(got, sent)| *got == !sent), "{length}");
        assert_eq!(model.borrow().on_the_wire, out);
        bus.write(&out).unwrap();
        let mut back = std::vec![0xff; length];
        bus.read(&mut back).unwrap();
        assert!(back.iter().all(|b| *b == 0xff), "zeros are sent while reading");
    }
    assert_eq!(model.borrow().rx.len() + model.borrow().tx.len(), 0);
}

#[test]
fn sides_of_different_length_are_filled_up() {
    let model = RefCell::new(Model::default());
    let mut bus = bus(&model);
    let mut four = [0; 4];
    bus.transfer(&mut four, &[1, 2]).unwrap();
    assert_eq!((four, model.borrow().on_the_wire.as_slice()), ([!1, !2, 0xff, 0xff], &[1, 2, 0, 0][..]));
    bus.transfer(&mut [0; 1], &[7, 8, 9]).unwrap();
    assert_eq!(model.borrow().on_the_wire[4..], [7, 8, 9]);
}

#[test]
fn the_four_modes_and_the_clock_are_set() {
    let model = RefCell::new(Model::default());
    let mut bus = bus(&model);
    for (mode, bits) in [(MODE_0, 0), (MODE_1, 1 << 6), (MODE_2, 1 << 7), (MODE_3, 3 << 6)] {
        bus.configure(mode);
        assert_eq!(model.borrow().get(0x00), 7 << 16 | bits);
    }
    assert_eq!(model.borrow().get(0x14), 20);
    // Never faster than asked for, always even.
    for (hz, is) in
        [(200_000_000, 2), (100_000_000, 2), (99_999_999, 4), (66_000_000, 4), (1, 65_534), (0, 65_534)]
    {
        assert_eq!(divider(CLK_SYS_HZ, hz), is, "{hz}");
    }
}

#[test]
fn a_controller_that_hangs_or_loses_costs_one_error() {
    for (hangs, overruns, error) in [(true, false, SpiError::Timeout), (false, true, SpiError::Overrun)] {
        let model = RefCell::new(Model { hangs, overruns, ..Model::default() });
        let mut bus = bus(&model);
        assert_eq!(bus.write(&[1, 2, 3]), Err(error));
        (model.borrow_mut().hangs, model.borrow_mut().overruns) = (false, false);
        model.borrow_mut().on_the_wire.clear();
        bus.write(&[4]).unwrap();
        assert_eq!(model.borrow().on_the_wire, [4], "nothing of the failed transfer is left");
    }
}

#[test]
fn something_else_is_not_touched() {
    struct Dead;
    impl Io for Dead {
        fn read(&self, _: usize) -> u32 {
            0xdead_dead
        }
        fn write(&self, offset: usize, _: u32) {
            panic!("written to what is not there, at {offset:#x}");
        }
    }
    let model = RefCell::new(Model::default());
    let refused = DwSpi::new(Dead, Steps(&model), CLK_SYS_HZ, 1, MODE_0).err();
    assert_eq!(refused, Some(SpiError::NotThere(0xdead_dead)));
}
