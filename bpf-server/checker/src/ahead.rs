//! What jumps bring to places ahead of which the proof states nothing: joined, until the walk comes there.

use crate::fault::Why;
use crate::state::{Frame, SLOTS, State};
use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::vec::Vec;

/// Places that may wait at once.
pub const MAX_AHEAD: usize = 12;
/// Stack slots of which they may say something, all together.
const MAX_SLOTS: usize = 2 * SLOTS;

/// The places that wait.
pub struct Ahead {
    /// The slot of each, and what is known there; those from `used` on are buffers.
    waiting: Vec<(u32, Box<State>)>,
    used: usize,
    none: Rc<Vec<Frame>>,
    /// The first place that waits; none is [`NOWHERE`].
    pub next: u32,
}

/// No slot.
pub const NOWHERE: u32 = u32::MAX;

impl Ahead {
    /// Nothing waits.
    pub fn new() -> Ahead {
        Ahead { waiting: Vec::new(), used: 0, none: Rc::default(), next: NOWHERE }
    }

    /// A run comes from here to `slot` with `s`, which is left with anything.
    pub fn send(&mut self, slot: u32, s: &mut Box<State>) -> Result<(), Why> {
        if let Some(w) = self.waiting[..self.used].iter_mut().find(|w| w.0 == slot) {
            return w.1.join(s);
        }
        let slots: usize = self.waiting[..self.used].iter().map(|w| w.1.slots()).sum();
        if self.used == MAX_AHEAD || slots + s.slots() > MAX_SLOTS {
            return Err(Why::TooComplex);
        }
        if self.used == self.waiting.len() {
            self.waiting.push((0, Box::new(State::new(0))));
        }
        let w = &mut self.waiting[self.used];
        w.0 = slot;
        core::mem::swap(&mut w.1, s);
        self.used += 1;
        self.next = self.next.min(slot);
        Ok(())
    }

    /// The walk comes to the first place that waits, with `s` if it is `live`; `s` becomes what is known there.
    pub fn arrive(&mut self, s: &mut Box<State>, live: bool) -> Result<(), Why> {
        let waiting = &mut self.waiting[..self.used];
        let Some(k) = waiting.iter().position(|w| w.0 == self.next) else { return Err(Why::Format) };
        if live {
            waiting[k].1.join(s)?;
        }
        core::mem::swap(&mut waiting[k].1, s);
        // A buffer holds on to no frames.
        waiting[k].1.frames.clone_from(&self.none);
        self.used -= 1;
        self.waiting.swap(k, self.used);
        self.next = self.waiting[..self.used].iter().map(|w| w.0).min().unwrap_or(NOWHERE);
        Ok(())
    }
}
