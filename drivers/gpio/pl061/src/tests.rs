//! The driver against a model of the registers.

use super::*;
use axiom_gpio::Pin;
use core::cell::RefCell;
use embedded_hal::digital::{InputPin, OutputPin, StatefulOutputPin};
use std::rc::Rc;

#[derive(Default)]
struct State {
    data: u32,
    inputs: u32,
    direction: u32,
    sense: u32,
    both: u32,
    rising: u32,
    enable: u32,
    raw: u32,
    foreign: bool,
}

#[derive(Clone, Default)]
struct Model(Rc<RefCell<State>>);

impl State {
    fn levels(&self) -> u32 {
        self.data & self.direction | self.inputs & !self.direction
    }
}

impl Model {
    /// The world outside changes a pin.
    fn pin(&self, line: u8, level: bool) {
        let mut s = self.0.borrow_mut();
        let (bit, old) = (1 << line, s.levels());
        s.inputs = s.inputs & !bit | u32::from(level) << line;
        let changed = (old ^ s.levels()) & !s.sense;
        let rose = changed & s.levels();
        s.raw |= changed & s.both | rose & !s.both & s.rising | (changed ^ rose) & !s.both & !s.rising;
    }
}

impl Io for Model {
    fn read(&self, offset: usize) -> u32 {
        let s = self.0.borrow();
        match offset {
            0x000..=0x3fc => s.levels() & (offset >> 2) as u32,
            0x400 => s.direction,
            0x404 => s.sense,
            0x408 => s.both,
            0x40c => s.rising,
            0x410 => s.enable,
            0x418 => s.raw & s.enable,
            0x420 => 0,
            0xfe0 => 0x61,
            0xfe4 if s.foreign => 0x11,
            0xfe4 => 0x10,
            0xfe8 => 0x04,
            0xfec => 0,
            _ => panic!("read of {offset:#x}"),
        }
    }
    fn write(&self, offset: usize, value: u32) {
        let mut s = self.0.borrow_mut();
        match offset {
            0x000..=0x3fc => {
                let mask = (offset >> 2) as u32 & s.direction;
                s.data = s.data & !mask | value & mask;
            }
            0x400 => s.direction = value,
            0x404 => s.sense = value,
            0x408 => s.both = value,
            0x40c => s.rising = value,
            0x410 => s.enable = value,
            0x41c => s.raw &= !value,
            0x420 => assert_eq!(value, 0),
            _ => panic!("write of {offset:#x}"),
        }
    }
}

fn chip() -> (Pl061<Model>, Model) {
    let model = Model::default();
    (Pl061::new(model.clone()).unwrap(), model)
}

#[test]
fn another_chip_is_not_taken() {
    let model = Model::default();
    model.0.borrow_mut().foreign = true;
    assert_eq!(Pl061::new(model).err(), Some(0x0004_1161));
}

#[test]
fn outputs_are_driven_and_others_left_alone() {
    let (mut c, model) = chip();
    c.drive(5, true);
    c.drive(6, false);
    assert_eq!((model.0.borrow().direction, model.0.borrow().data), (0x60, 0x20));
    assert!(c.is_output(5) && c.level(5) && !c.level(6));
    c.drive(5, false);
    c.release(6);
    assert_eq!((model.0.borrow().direction, model.0.borrow().data), (0x20, 0));
    model.pin(0, true);
    assert!(c.level(0) && !c.is_output(0));
}

#[test]
fn edges_are_told_apart_and_seen_once() {
    let (mut c, model) = chip();
    c.watch(0, Some(Edges::Rising));
    c.watch(1, Some(Edges::Falling));
    c.watch(2, Some(Edges::Both));
    for line in 0..4 {
        model.pin(line, true);
    }
    assert_eq!(c.take_edges(), Seen { rising: 0b101, falling: 0 });
    assert_eq!(c.take_edges(), Seen::default());
    for line in 0..4 {
        model.pin(line, false);
    }
    assert_eq!(c.take_edges(), Seen { rising: 0, falling: 0b110 });
    // A pulse on a line with both edges is one edge, to the level that it has now.
    model.pin(2, true);
    model.pin(2, false);
    assert_eq!(c.take_edges(), Seen { rising: 0, falling: 0b100 });
    c.watch(2, None);
    model.pin(2, true);
    assert_eq!(c.take_edges(), Seen::default());
    // An edge from before the line was watched is none.
    c.watch(2, Some(Edges::Both));
    assert_eq!(c.take_edges(), Seen::default());
}

#[test]
fn embedded_hal_s_pins_work_on_it() {
    let (c, model) = chip();
    let chip = RefCell::new(c);
    let mut led = Pin::output(&chip, 6, true).unwrap();
    let mut button = Pin::input(&chip, 5).unwrap();
    assert!(led.is_set_high().unwrap() && model.0.borrow().levels() == 0x40);
    led.toggle().unwrap();
    model.pin(5, true);
    assert!(button.is_high().unwrap() && model.0.borrow().levels() == 0x20);
    led.set_high().unwrap();
    assert_eq!(model.0.borrow().levels(), 0x60);
}
