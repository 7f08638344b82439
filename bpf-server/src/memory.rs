//! Untyped memory in power-of-two pieces: a program's frames come out of one piece, and one revocation gives it back whole.

use alloc::vec::Vec;
use axiom_runtime::proto::env::Env;
use axiom_runtime::sel4::CPtr;
use axiom_runtime::sel4::object::kind;
use axiom_runtime::{Slots, Untyped};

const SMALLEST: usize = 12;
const CLASSES: usize = 13; // 4 KiB to 16 MiB

/// Free pieces by size.
pub struct Pool {
    free: [Vec<CPtr>; CLASSES],
}

impl Pool {
    /// What init gave.
    pub fn new(env: &Env) -> Pool {
        let mut pool = Pool { free: [const { Vec::new() }; CLASSES] };
        for u in &env.untyped {
            if let Some(class) = (u.bits as usize).checked_sub(SMALLEST).filter(|&c| c < CLASSES) {
                pool.free[class].push(CPtr(u.slot));
            }
        }
        pool
    }

    /// A piece of 2^bits bytes; larger ones are halved where there is none.
    pub fn take(&mut self, bits: usize, slots: &mut Slots) -> Option<CPtr> {
        let class = bits.checked_sub(SMALLEST)?;
        if let Some(piece) = self.free.get_mut(class)?.pop() {
            return Some(piece);
        }
        if class + 1 >= CLASSES {
            return None;
        }
        let whole = self.take(bits + 1, slots)?;
        let halves = slots.take_row(2)?;
        if Untyped(whole).retype(kind::UNTYPED, bits as u64, halves, 2).is_err() {
            self.free[class + 1].push(whole);
            return None;
        }
        self.free[class].push(CPtr(halves.0 + 1));
        Some(halves)
    }

    /// Gives a piece back; nothing is left in it.
    pub fn give(&mut self, piece: CPtr, bits: usize) {
        self.free[bits - SMALLEST].push(piece);
    }
}
