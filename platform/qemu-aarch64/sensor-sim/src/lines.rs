//! A controller of eight lines: what virtio-gpio (virtio 1.2, section 5.18) asks of it, and what the world outside does to its pins.

/// Lines.
pub const LINES: u16 = 8;

const GET_DIRECTION: u16 = 2;
const SET_DIRECTION: u16 = 3;
const GET_VALUE: u16 = 4;
const SET_VALUE: u16 = 5;
const IRQ_TYPE: u16 = 6;

const NONE: u32 = 0;
const OUT: u32 = 1;
const IN: u32 = 2;
const RISING: u32 = 1;
const FALLING: u32 = 2;
const BOTH: u32 = 3;

/// A line.
#[derive(Clone, Copy, Default)]
struct Line {
    direction: u32,
    /// What the controller would drive.
    driven: bool,
    /// What the world outside does.
    outside: bool,
    irq_type: u32,
    /// An edge that the driver has not been told of.
    edge: bool,
}

impl Line {
    fn level(&self) -> bool {
        if self.direction == OUT { self.driven } else { self.outside }
    }
}

/// What happens to the buffer of a line's event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// There was an edge.
    Valid,
    /// There will be none: nobody watches any more.
    Invalid,
}

/// The controller.
#[derive(Default)]
pub struct Lines {
    lines: [Line; LINES as usize],
    /// Lines whose event's buffer the device has.
    armed: u32,
}

impl Lines {
    /// The device was reset: nothing is driven, nothing watched. What the world does to the pins stays.
    pub fn reset(&mut self) {
        for line in &mut self.lines {
            *line = Line { outside: line.outside, ..Line::default() };
        }
        self.armed = 0;
    }

    /// A request: the value of the answer, or nothing where it is refused.
    pub fn ask(&mut self, what: u16, line: u16, value: u32) -> Option<u8> {
        let line = self.lines.get_mut(usize::from(line))?;
        match what {
            GET_DIRECTION => return Some(line.direction as u8),
            GET_VALUE => return Some(line.level().into()),
            SET_DIRECTION if value <= IN => {
                line.direction = value;
                if value == NONE {
                    line.driven = false;
                }
            }
            SET_VALUE if value <= 1 => line.driven = value != 0,
            // Levels are not watched for.
            IRQ_TYPE if value <= BOTH => {
                line.irq_type = value;
                line.edge = false;
            }
            _ => return None,
        }
        Some(0)
    }

    /// The world outside drives a pin; false if there is no such line.
    pub fn set(&mut self, line: u16, level: bool) -> bool {
        let Some(line) = self.lines.get_mut(usize::from(line)) else { return false };
        let before = line.level();
        line.outside = level;
        let kind = match (before, line.level()) {
            (false, true) => RISING,
            (true, false) => FALLING,
            _ => NONE,
        };
        line.edge |= line.irq_type & kind != 0;
        true
    }

    /// The levels at all pins.
    pub fn levels(&self) -> u64 {
        self.lines.iter().rev().fold(0, |all, line| all << 1 | u64::from(line.level()))
    }

    /// The driver gives the buffer of a line's event; false if there is no such line, or its buffer is here already.
    pub fn arm(&mut self, line: u16) -> bool {
        let fresh = line < LINES && self.armed >> line & 1 == 0;
        if fresh {
            self.armed |= 1 << line;
        }
        fresh
    }

    /// A buffer that goes back to the driver, and why.
    pub fn next_event(&mut self) -> Option<(u16, Event)> {
        let armed = self.armed;
        let mut here = (0..LINES).zip(&mut self.lines).filter(|(n, _)| armed >> n & 1 != 0);
        let (number, line) = here.find(|(_, line)| line.edge || line.irq_type == NONE)?;
        let event = if line.edge { Event::Valid } else { Event::Invalid };
        line.edge = false;
        self.armed &= !(1 << number);
        Some((number, event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watched(irq_type: u32) -> Lines {
        let mut lines = Lines::default();
        assert_eq!(lines.ask(SET_DIRECTION, 5, IN), Some(0));
        assert_eq!(lines.ask(IRQ_TYPE, 5, irq_type), Some(0));
        assert!(lines.arm(5) && !lines.arm(5) && !lines.arm(LINES));
        lines
    }

    #[test]
    fn the_edges_that_are_watched_for_come_once_each() {
        for (irq_type, up, down) in [(RISING, true, false), (FALLING, false, true), (BOTH, true, true)] {
            let mut lines = watched(irq_type);
            let mut happens = |level: bool, comes: bool| {
                assert!(lines.set(5, level));
                assert_eq!(lines.next_event(), comes.then_some((5, Event::Valid)), "{irq_type} {level}");
                assert_eq!(lines.next_event(), None);
                if comes {
                    assert!(lines.arm(5));
                }
            };
            happens(false, false);
            happens(true, up);
            happens(true, false);
            happens(false, down);
        }
    }

    #[test]
    fn an_edge_waits_for_its_buffer() {
        let mut lines = watched(BOTH);
        lines.set(5, true);
        assert_eq!(lines.next_event(), Some((5, Event::Valid)));
        lines.set(5, false);
        assert_eq!(lines.next_event(), None, "the driver has the buffer");
        assert!(lines.arm(5));
        assert_eq!(lines.next_event(), Some((5, Event::Valid)));
    }

    #[test]
    fn whoever_stops_watching_gets_the_buffer_back() {
        let mut lines = watched(BOTH);
        lines.set(5, true);
        assert_eq!(lines.ask(IRQ_TYPE, 5, NONE), Some(0));
        assert_eq!(lines.next_event(), Some((5, Event::Invalid)), "the edge was before");
        assert_eq!(lines.next_event(), None);
    }

    #[test]
    fn a_line_is_driven_by_one_side() {
        let mut lines = Lines::default();
        assert_eq!((lines.ask(SET_VALUE, 6, 1), lines.levels()), (Some(0), 0), "not yet an output");
        assert_eq!((lines.ask(SET_DIRECTION, 6, OUT), lines.levels()), (Some(0), 0x40));
        assert!(lines.set(6, false) && lines.levels() == 0x40);
        assert!(lines.set(0, true) && lines.levels() == 0x41);
        assert_eq!((lines.ask(GET_VALUE, 6, 0), lines.ask(GET_DIRECTION, 6, 0)), (Some(1), Some(1)));
        lines.reset();
        assert_eq!(lines.levels(), 0x01, "the world outside is not reset");
        assert_eq!(lines.ask(GET_DIRECTION, 6, 0), Some(0));
    }

    #[test]
    fn what_is_not_there_is_refused() {
        let mut lines = Lines::default();
        for (what, line, value) in [
            (GET_VALUE, LINES, 0),
            (1, 0, 0),
            (9, 0, 0),
            (SET_VALUE, 0, 2),
            (SET_DIRECTION, 0, 3),
            (IRQ_TYPE, 0, 4),
        ] {
            assert_eq!(lines.ask(what, line, value), None, "{what} {line} {value}");
        }
        assert!(!lines.set(LINES, true));
    }
}
