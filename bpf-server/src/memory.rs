//! Untyped memory in power-of-two pieces: a program's frames come out of one piece, and one revocation gives it back whole.

use axiom_bpf_server::buddy::{Buddies, Halves, Piece, SMALLEST};
use axiom_runtime::proto::env::Env;
use axiom_runtime::sel4::CPtr;
use axiom_runtime::sel4::object::kind;
use axiom_runtime::{CNode, Slots, Untyped};

/// Free pieces by size.
pub struct Pool {
    buddies: Buddies,
    pages: u32,
}

struct Capabilities<'a>(&'a mut Slots);

impl Halves for Capabilities<'_> {
    fn split(&mut self, whole: Piece, bits: usize) -> Option<Piece> {
        let halves = self.0.take_row(2)?;
        if Untyped(CPtr(whole)).retype(kind::UNTYPED, bits as u64, halves, 2).is_err() {
            self.0.give_row(halves, 2);
            return None;
        }
        Some(halves.0)
    }
    fn join(&mut self, whole: Piece, first: Piece) -> bool {
        // The halves go with what they were made of, which is whole again.
        let joined = CNode::OWN.revoke(CPtr(whole)).is_ok();
        if joined {
            self.0.give_row(CPtr(first), 2);
        }
        joined
    }
}

impl Pool {
    /// What init gave.
    pub fn new(env: &Env<'_>) -> Pool {
        let mut pool = Pool { buddies: Buddies::default(), pages: 0 };
        for u in env.untyped.iter().filter(|u| u.bits as usize >= SMALLEST) {
            pool.buddies.add(u.slot, u.bits as usize);
            pool.pages += 1 << (u.bits as usize - SMALLEST);
        }
        pool
    }

    /// Pages of it all.
    pub fn pages(&self) -> u32 {
        self.pages
    }

    /// A piece of 2^bits bytes; larger ones are halved where there is none.
    pub fn take(&mut self, bits: usize, slots: &mut Slots) -> Option<CPtr> {
        self.buddies.take(bits, &mut Capabilities(slots)).map(CPtr)
    }

    /// Gives a piece back; nothing is left in it.
    pub fn give(&mut self, piece: CPtr, bits: usize, slots: &mut Slots) {
        self.buddies.give(piece.0, bits, &mut Capabilities(slots));
    }
}
