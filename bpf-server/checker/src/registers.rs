//! Registers: what is known of each.
//!
//! Of many registers all that is known is that they hold some number, and most instructions leave it at that: it is a bit, so that
//! stretches of such instructions need look at nothing else.

use crate::state::Value;
use alloc::vec::Vec;

/// Registers of a function: r0 to r10.
pub const REGISTERS: usize = 11;

/// Which register is held where: r10, which every function has, first.
const HELD: [u8; REGISTERS] = [10, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9];

/// Where a register is held; beyond [`REGISTERS`], if there is no such one.
#[inline]
fn index(r: u8) -> usize {
    if r == 10 { 0 } else { r as usize + 1 }
}

/// r0 to r10; r10 is the current frame's top and never changes. By default, all hold nothing.
#[derive(Clone, Default, Debug)]
pub struct Registers {
    /// What is known of registers that are not in the set, in the order of [`HELD`]; those behind the last one hold nothing.
    values: Vec<Value>,
    /// Registers that hold some number: [`Value::ANY`].
    any: u16,
}

impl Registers {
    /// Registers that hold some number of which nothing else is known, a bit for each.
    #[inline]
    pub fn any(&self) -> u16 {
        self.any
    }

    /// A register; of one that there is not, nothing is known.
    #[inline]
    pub fn get(&self, r: u8) -> &Value {
        if self.any >> r & 1 == 1 {
            return &Value::ANY;
        }
        self.values.get(index(r)).unwrap_or(&Value::NOTHING)
    }

    /// All, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Value> {
        (0..REGISTERS as u8).map(|r| self.get(r))
    }

    /// A register, to be written.
    fn place(&mut self, r: u8) -> Option<&mut Value> {
        let at = index(r);
        if at >= REGISTERS {
            return None;
        }
        if self.values.len() <= at {
            self.values.reserve_exact(REGISTERS - self.values.len());
            self.values.resize(at + 1, Value::NOTHING);
        }
        self.any &= !(1 << r);
        self.values.get_mut(at)
    }

    /// A register, to be changed.
    pub fn change(&mut self, r: u8) -> Option<&mut Value> {
        let now = *self.get(r);
        let place = self.place(r)?;
        *place = now;
        Some(place)
    }

    /// Writes a register.
    pub fn write(&mut self, r: u8, v: Value) {
        if v == Value::ANY {
            self.forget(r);
        } else if let Some(place) = self.place(r) {
            *place = v;
        }
    }

    /// A register holds some number from now on.
    #[inline]
    pub fn forget(&mut self, r: u8) {
        self.any |= 1 << r & ((1 << REGISTERS) - 1);
    }

    /// Registers hold nothing from now on.
    pub fn lose(&mut self, registers: core::ops::Range<u8>) {
        registers.for_each(|r| self.write(r, Value::NOTHING));
    }

    /// Applies `f` to each register of which more is known than that it holds a number.
    pub fn each(&mut self, f: impl FnMut(&mut Value)) {
        let any = self.any;
        let known = self.values.iter_mut().zip(HELD).filter(|(_, r)| any >> r & 1 == 0);
        known.map(|(v, _)| v).for_each(f);
    }

    /// Keeps what holds of `o`, too.
    pub fn join(&mut self, o: &Registers) {
        let any = self.any & o.any;
        for r in (0..REGISTERS as u8).filter(|r| any >> r & 1 == 0) {
            if let Some(v) = self.change(r) {
                v.join(o.get(r));
            }
        }
    }
}

impl PartialEq for Registers {
    fn eq(&self, o: &Registers) -> bool {
        self.iter().eq(o.iter())
    }
}

impl Eq for Registers {}
