//! Registers, and which of them two states have in common.
//!
//! Where two ways meet soon after they parted, most registers are as they were. So that they need not be compared then, each
//! carries a *seal*: a number that [`Registers::seal`] gives it when the ways part, that copies of all registers keep, and that
//! is broken whenever anybody gets to write. Registers with the same seal hold the same.

use crate::state::Value;
use core::ops::{Deref, DerefMut};

/// Registers of a function, r10 included.
pub const REGISTERS: usize = 11;

/// r0 to r10; r10 is the current frame's top and never changes.
#[derive(Clone, Debug)]
pub struct Registers {
    values: [Value; REGISTERS],
    /// 0: none.
    seals: [u64; REGISTERS],
}

impl Registers {
    /// Nothing is known.
    pub const NOTHING: Registers = Registers { values: [Value::NOTHING; REGISTERS], seals: [0; REGISTERS] };

    /// Seals what has no seal; `last` is the last seal of all.
    pub fn seal(&mut self, last: &mut u64) {
        for seal in self.seals.iter_mut().filter(|s| **s == 0) {
            *last += 1;
            *seal = *last;
        }
    }

    /// A register, to be written or changed.
    #[inline]
    pub fn change(&mut self, r: u8) -> Option<&mut Value> {
        *self.seals.get_mut(r as usize)? = 0;
        self.values.get_mut(r as usize)
    }

    /// Keeps what holds of `o`, too.
    pub(crate) fn join(&mut self, o: &Registers) {
        for r in 0..REGISTERS {
            if self.seals[r] == 0 || self.seals[r] != o.seals[r] {
                self.seals[r] = 0;
                self.values[r].join(&o.values[r]);
            }
        }
    }
}

impl PartialEq for Registers {
    fn eq(&self, o: &Registers) -> bool {
        self.values == o.values
    }
}

impl Eq for Registers {}

impl Deref for Registers {
    type Target = [Value];
    fn deref(&self) -> &[Value] {
        &self.values
    }
}

impl DerefMut for Registers {
    fn deref_mut(&mut self) -> &mut [Value] {
        self.seals = [0; REGISTERS];
        &mut self.values
    }
}
