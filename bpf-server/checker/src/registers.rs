//! Registers: what is known of each, kept so that what is known of most of them costs nothing.
//!
//! Of many registers all that is known is that they hold some number, or nothing; of two sets of registers where ways meet soon
//! after they parted, most hold what they held. So the first two are bits, and each other register carries a *seal*: a number
//! that [`Registers::seal`] gives it when ways part, that copies keep, and that is broken whenever anybody gets to write.
//! Registers with the same seal hold the same, and need not be compared.

use crate::state::Value;
use alloc::vec::Vec;
use core::ops::{Index, IndexMut};

/// Registers of a function: r0 to r10.
pub const REGISTERS: usize = 11;
const ALL: u16 = (1 << REGISTERS) - 1;

/// r0 to r10; r10 is the current frame's top and never changes.
#[derive(Debug)]
pub struct Registers {
    /// What is known of registers that are in neither set. Empty, or one of each.
    values: Vec<Value>,
    /// 0: none.
    seals: [u64; REGISTERS],
    /// Registers that hold some number: [`Value::ANY`].
    any: u16,
    /// Registers that hold nothing that may be used: [`Value::NOTHING`].
    nothing: u16,
}

impl Registers {
    /// All hold nothing.
    pub const NOTHING: Registers =
        Registers { values: Vec::new(), seals: [0; REGISTERS], any: 0, nothing: ALL };

    /// A register holds some number, and nothing else is known.
    #[inline]
    pub fn is_any(&self, r: u8) -> bool {
        self.any >> r & 1 == 1
    }

    /// Registers that hold some number of which nothing else is known, a bit for each.
    #[inline]
    pub fn any(&self) -> u16 {
        self.any
    }

    /// Registers of which more is known than that they hold a number, or nothing.
    fn known(&self) -> u16 {
        ALL & !(self.any | self.nothing)
    }

    /// A register; of one that there is not, nothing is known.
    #[inline]
    pub fn get(&self, r: u8) -> &Value {
        if self.is_any(r) {
            return &Value::ANY;
        }
        let held = self.nothing >> r & 1 == 0;
        self.values.get(r as usize).filter(|_| held).unwrap_or(&Value::NOTHING)
    }

    /// All, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Value> {
        (0..REGISTERS as u8).map(|r| self.get(r))
    }

    /// A register, to be written.
    #[inline]
    fn place(&mut self, r: u8) -> Option<&mut Value> {
        if self.values.is_empty() {
            self.values.resize(REGISTERS, Value::NOTHING);
        }
        let place = self.values.get_mut(r as usize)?;
        self.seals[r as usize] = 0;
        self.any &= !(1 << r);
        self.nothing &= !(1 << r);
        Some(place)
    }

    /// A register, to be changed.
    #[inline]
    pub fn change(&mut self, r: u8) -> Option<&mut Value> {
        if (self.any | self.nothing) >> r & 1 == 1 {
            let now = *self.get(r);
            self.write(r, now);
        }
        self.place(r)
    }

    /// Writes a register.
    #[inline]
    pub fn write(&mut self, r: u8, v: Value) {
        if let Some(place) = self.place(r) {
            *place = v;
        }
    }

    /// A register holds some number from now on.
    #[inline]
    pub fn forget(&mut self, r: u8) {
        self.any |= 1 << r & ALL;
        self.nothing &= !(1 << r);
    }

    /// Registers hold nothing from now on.
    pub fn lose(&mut self, registers: core::ops::Range<u8>) {
        for r in registers {
            self.nothing |= 1 << r & ALL;
            self.any &= !(1 << r);
        }
    }

    /// Applies `f` to each register of which more is known than that it holds a number, or nothing.
    pub fn each(&mut self, mut f: impl FnMut(&mut Value)) {
        for r in bits(self.known()) {
            self.seals[r] = 0;
            f(&mut self.values[r]);
        }
    }

    /// Seals what has no seal; `last` is the last seal of all.
    pub fn seal(&mut self, last: &mut u64) {
        for r in bits(self.known()) {
            if self.seals[r] == 0 {
                *last += 1;
                self.seals[r] = *last;
            }
        }
    }

    /// Keeps what holds of `o`, too.
    pub fn join(&mut self, o: &Registers) {
        let (nothing, both) = (self.nothing | o.nothing, self.known() & o.known());
        for r in bits(ALL & !nothing & !(self.any & o.any)) {
            let same = both >> r & 1 == 1 && self.seals[r] != 0 && self.seals[r] == o.seals[r];
            if !same && let Some(v) = self.change(r as u8) {
                v.join(o.get(r as u8));
            }
        }
        self.nothing = nothing;
        self.any &= !nothing;
    }
}

/// The numbers of the bits that are set.
fn bits(set: u16) -> impl Iterator<Item = usize> {
    let mut left = set;
    core::iter::from_fn(move || {
        let first = left.trailing_zeros() as usize;
        left &= left.wrapping_sub(1);
        (first < REGISTERS).then_some(first)
    })
}

impl Clone for Registers {
    fn clone(&self) -> Registers {
        let mut r = Registers::NOTHING;
        r.clone_from(self);
        r
    }
    fn clone_from(&mut self, o: &Registers) {
        if self.values.is_empty() {
            self.values.extend_from_slice(&o.values);
        }
        for r in bits(o.known()) {
            self.values[r] = o.values[r];
        }
        (self.seals, self.any, self.nothing) = (o.seals, o.any, o.nothing);
    }
}

impl PartialEq for Registers {
    fn eq(&self, o: &Registers) -> bool {
        self.iter().eq(o.iter())
    }
}

impl Eq for Registers {}

impl Index<usize> for Registers {
    type Output = Value;
    fn index(&self, r: usize) -> &Value {
        self.get(r as u8)
    }
}

impl IndexMut<usize> for Registers {
    fn index_mut(&mut self, r: usize) -> &mut Value {
        self.change(r as u8).expect("r0 to r10")
    }
}
