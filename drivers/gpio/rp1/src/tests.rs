//! The driver against a model of the registers.

use super::*;
use core::cell::RefCell;
use std::rc::Rc;

const EVENTS: u32 = 0b11 << 20;

#[derive(Default)]
struct State {
    out: u32,
    oe: u32,
    outside: u32,
    control: [u32; 28],
    events: [u32; 28],
    pads: [u32; 29],
    enabled: u32,
    /// A line that changes to this level right after its state was read.
    races: Option<(u8, bool)>,
}

impl State {
    fn levels(&self) -> u32 {
        (0..28).fold(0, |all, line| {
            let bit = 1u32 << line;
            let driven =
                self.control[line] & 0x1f == SYS_RIO && self.oe & bit != 0 && self.pads[line + 1] & 0x80 == 0;
            all | if driven { self.out } else { self.outside } & bit
        })
    }
    fn changed(&mut self, old: u32) {
        let new = self.levels();
        for line in 0..28 {
            let (was, is) = (old >> line & 1, new >> line & 1);
            self.events[line] |= (was & !is & 1) << 20 | (!was & is & 1) << 21;
        }
    }
    fn pin(&mut self, line: u8, level: bool) {
        let old = self.levels();
        self.outside = self.outside & !(1 << line) | u32::from(level) << line;
        self.changed(old);
    }
}

#[derive(Clone, Copy)]
enum Which {
    Bank,
    Rio,
    Pads,
}

#[derive(Clone)]
struct Window(Rc<RefCell<State>>, Which);

fn merged(old: u32, offset: usize, value: u32) -> u32 {
    match offset >> 12 {
        0 => value,
        1 => old ^ value,
        2 => old | value,
        _ => old & !value,
    }
}

impl Io for Window {
    fn read(&self, offset: usize) -> u32 {
        let mut s = self.0.borrow_mut();
        assert!(offset < 0x1000, "the atomic views are written, not read: {offset:#x}");
        match (self.1, offset) {
            (Which::Bank, 0x11c) => s.enabled,
            (Which::Bank, 0x124) => {
                (0..28).fold(0, |all, l| all | u32::from(s.events[l] & s.control[l] & EVENTS != 0) << l)
                    & s.enabled
            }
            (Which::Bank, o) if o < 0xe0 && o % 8 == 4 => s.control[o / 8],
            (Which::Bank, o) if o < 0xe0 => {
                let line = o / 8;
                let level = s.levels() >> line & 1;
                let state = s.events[line] | level << 17 | level << 23 | (1 - level) << 22;
                if let Some((l, to)) = s.races.filter(|(l, _)| *l as usize == line) {
                    s.pin(l, to);
                    s.races = None;
                }
                state
            }
            (Which::Rio, 0) => s.out,
            (Which::Rio, 4) => s.oe,
            (Which::Rio, 8) => s.levels(),
            (Which::Pads, o) => s.pads[o / 4],
            (_, o) => panic!("read of {o:#x}"),
        }
    }
    fn write(&self, offset: usize, value: u32) {
        let mut s = self.0.borrow_mut();
        let (at, old) = (offset & 0xfff, s.levels());
        match (self.1, at) {
            (Which::Bank, 0x11c) => s.enabled = merged(s.enabled, offset, value),
            (Which::Bank, o) if o < 0xe0 && o % 8 == 4 => {
                let new = merged(s.control[o / 8], offset, value);
                if new >> 28 & 1 != 0 {
                    s.events[o / 8] = 0;
                }
                s.control[o / 8] = new & !(1 << 28);
            }
            (Which::Rio, 0) => s.out = merged(s.out, offset, value),
            (Which::Rio, 4) => s.oe = merged(s.oe, offset, value),
            (Which::Pads, o) => s.pads[o / 4] = merged(s.pads[o / 4], offset, value),
            (_, o) => panic!("write of {o:#x}"),
        }
        s.changed(old);
    }
}

fn chip() -> (Rp1Gpio<Window>, Rc<RefCell<State>>) {
    let mut state = State { control: [NO_FUNCTION; 28], pads: [0x80; 29], ..State::default() };
    state.control[2] = 3;
    let state = Rc::new(RefCell::new(state));
    let window = |which| Window(state.clone(), which);
    let chip = Rp1Gpio::new(
        Block::new(window(Which::Bank)),
        Block::new(window(Which::Rio)),
        Block::new(window(Which::Pads)),
    );
    (chip, state)
}

#[test]
fn a_line_becomes_an_output_at_its_level_and_others_keep_their_functions() {
    let (mut c, state) = chip();
    c.drive(17, true);
    {
        let s = state.borrow();
        assert_eq!((s.oe, s.out, s.levels()), (1 << 17, 1 << 17, 1 << 17));
        assert_eq!((s.control[17], s.control[2], s.control[4]), (SYS_RIO, 3, NO_FUNCTION));
        assert_eq!(s.pads[18], 0x40, "input connected, output no longer disconnected");
        assert_eq!(s.events[17], 1 << 21, "it never was low as an output");
    }
    c.drive(17, false);
    assert!(!c.level(17) && c.is_output(17));
    c.release(17);
    state.borrow_mut().pin(17, true);
    assert!(c.level(17) && !c.is_output(17));
}

#[test]
fn edges_are_told_apart_and_seen_once() {
    let (mut c, state) = chip();
    state.borrow_mut().pin(22, true);
    c.watch(22, Some(Edges::Falling));
    c.watch(27, Some(Edges::Both));
    c.watch(2, Some(Edges::Rising));
    assert_eq!(state.borrow().control[2] & 0x1f, 3, "an I2C line is watched as what it is");
    assert_eq!(c.take_edges(), Seen::default(), "what was before is no edge");
    for line in [2, 22, 27] {
        state.borrow_mut().pin(line, line != 22);
    }
    assert_eq!(c.take_edges(), Seen { rising: 1 << 27 | 1 << 2, falling: 1 << 22 });
    assert_eq!(c.take_edges(), Seen::default());
    // Two edges between two looks.
    state.borrow_mut().pin(27, false);
    state.borrow_mut().pin(27, true);
    assert_eq!(c.take_edges(), Seen { rising: 1 << 27, falling: 1 << 27 });
    c.watch(27, None);
    state.borrow_mut().pin(27, false);
    assert_eq!(c.take_edges(), Seen::default());
}

#[test]
fn a_change_while_the_latch_is_cleared_is_not_lost() {
    let (mut c, state) = chip();
    c.watch(27, Some(Edges::Both));
    state.borrow_mut().pin(27, true);
    state.borrow_mut().races = Some((27, false));
    assert_eq!(c.take_edges(), Seen { rising: 1 << 27, falling: 1 << 27 });
}

#[test]
fn a_pull_is_connected_and_the_rest_of_the_pad_kept() {
    let (mut c, state) = chip();
    assert!(c.set_pull(27, Pull::Up) && c.set_pull(22, Pull::Down) && !c.set_pull(28, Pull::Up));
    assert_eq!((state.borrow().pads[28], state.borrow().pads[23]), (0x88, 0x84));
    c.set_pull(27, Pull::None);
    assert_eq!(state.borrow().pads[28], 0x80);
    assert_eq!(
        ["none", "down", "up", "left"].map(Pull::from_name),
        [Some(Pull::None), Some(Pull::Down), Some(Pull::Up), None]
    );
}

#[test]
fn a_pwm_channel_is_led_to_the_lines_where_it_comes_out() {
    let (mut c, state) = chip();
    assert!(c.route_pwm0(2, 18));
    assert_eq!((state.borrow().control[18], state.borrow().pads[19] & 0x80), (3, 0));
    assert!(!c.route_pwm0(2, 17) && !c.route_pwm0(0, 18));
    assert_eq!(state.borrow().control[17], NO_FUNCTION);
}

#[test]
fn outputs_and_inputs_keep_out_of_each_others_way() {
    let (mut c, state) = chip();
    c.drive(17, true);
    c.release(27);
    assert!(c.is_output(17) && !c.is_output(27) && c.level(17));
    c.drive(17, false);
    state.borrow_mut().pin(27, true);
    assert!(c.level(27) && !c.level(17));
    c.drive(17, true);
    assert_eq!(state.borrow().levels(), 1 << 17 | 1 << 27);
    assert_eq!(c.lines(), 28);
}
