//! Jumps to places further down for which the proof states nothing: what is known at each such jump is kept, joined, until the walk
//! arrives there.
//!
//! Most jumps need no copy: right after the jump, the walk itself still knows the same. A copy is made only when an instruction is about to
//! change that ([`Ahead::settle`]). If the walk arrives before that, the jump adds nothing to what is known; only its budget counts.

use crate::fault::Why;
use crate::state::{SLOTS, State};
use alloc::boxed::Box;
use alloc::vec::Vec;

/// Places that may wait at once.
pub const MAX_AHEAD: usize = 12;
/// Stack slots of which they may say something, all together.
const MAX_SLOTS: usize = 2 * SLOTS;
/// No slot.
pub const NOWHERE: u32 = u32::MAX;

/// A place that waits.
struct Waiting {
    slot: u32,
    /// Stack slots of which something was known when it began to wait.
    slots: usize,
    known: Box<State>,
}

/// The places that wait.
#[derive(Default)]
pub struct Ahead {
    /// The first of them last.
    waiting: Vec<Waiting>,
    slots: usize,
    /// Places with what the walk has, and their budgets. It may have passed them.
    shared: Vec<(u32, u64)>,
}

impl Ahead {
    /// The first place that waits for what it was sent.
    #[inline]
    pub fn next(&self) -> u32 {
        self.waiting.last().map_or(NOWHERE, |w| w.slot)
    }

    /// A run comes from here to `slot` with `s`. Everything is settled.
    pub fn send(&mut self, slot: u32, s: Box<State>) -> Result<(), Why> {
        let k = self.waiting.partition_point(|w| w.slot > slot);
        if let Some(w) = self.waiting.get_mut(k).filter(|w| w.slot == slot) {
            return w.known.join(&s);
        }
        let slots = s.slots();
        if self.waiting.len() == MAX_AHEAD || self.slots + slots > MAX_SLOTS {
            return Err(Why::TooComplex);
        }
        self.slots += slots;
        self.waiting.insert(k, Waiting { slot, slots, known: s });
        Ok(())
    }

    /// A run comes from instruction `at` to `slot`, behind it, with what the walk goes on with.
    #[inline]
    pub fn share(&mut self, at: usize, slot: u32, budget: u64) -> Result<(), Why> {
        if let Some(s) = self.shared.iter_mut().find(|s| s.0 == slot || s.0 as usize <= at) {
            *s = (slot, budget);
        } else if self.shared.len() < MAX_AHEAD {
            self.shared.push((slot, budget));
        } else {
            return Err(Why::TooComplex);
        }
        Ok(())
    }

    /// What the walk knows is about to change, by instruction `at`, if it was not there yet: what it shares is put down.
    #[inline]
    pub fn settle(&mut self, at: usize, now: &State) -> Result<(), Why> {
        while let Some((slot, budget)) = self.shared.pop() {
            if slot as usize > at {
                self.send(slot, Box::new(State { budget, ..now.clone() }))?;
            }
        }
        Ok(())
    }

    /// The walk comes to the first place that waits, with `s` if it is `live`; `s` becomes what is known there.
    pub fn arrive(&mut self, s: &mut Box<State>, live: bool) -> Result<(), Why> {
        if live {
            self.settle(self.next() as usize, s)?;
        }
        let mut w = self.waiting.pop().ok_or(Why::Format)?;
        self.slots -= w.slots;
        if live {
            w.known.join(s)?;
        }
        *s = w.known;
        Ok(())
    }
}
