//! Memory in power-of-two pieces that split and join again: after any order of loads and unloads, what is free together is one piece.

use alloc::vec::Vec;

/// A piece, by the number of whatever stands for it (a capability's slot).
pub type Piece = u64;

/// How a piece becomes two, and two one.
pub trait Halves {
    /// Makes two halves of 2^bits bytes of `whole`; the number of the first, which the second follows.
    fn split(&mut self, whole: Piece, bits: usize) -> Option<Piece>;
    /// The halves are free: `whole` is one again, and their numbers too.
    fn join(&mut self, whole: Piece, first: Piece) -> bool;
}

struct Split {
    whole: Piece,
    first: Piece,
}

/// Free pieces by size.
#[derive(Default)]
pub struct Buddies {
    /// Bits and pieces.
    free: Vec<(usize, Piece)>,
    splits: Vec<Split>,
}

/// The largest piece, bits.
const LARGEST: usize = 24;
/// The smallest: a page.
pub const SMALLEST: usize = 12;

impl Buddies {
    /// Adds a whole piece.
    pub fn add(&mut self, piece: Piece, bits: usize) {
        self.free.push((bits, piece));
    }

    /// Bytes that are free.
    pub fn free_bytes(&self) -> u64 {
        self.free.iter().map(|f| 1 << f.0).sum()
    }

    /// A piece of 2^bits bytes; a larger one is halved where there is none.
    pub fn take(&mut self, bits: usize, halves: &mut impl Halves) -> Option<Piece> {
        if let Some(at) = self.free.iter().position(|f| f.0 == bits) {
            return Some(self.free.swap_remove(at).1);
        }
        if bits >= LARGEST {
            return None;
        }
        let whole = self.take(bits + 1, halves)?;
        let Some(first) = halves.split(whole, bits) else {
            self.free.push((bits + 1, whole));
            return None;
        };
        self.splits.push(Split { whole, first });
        self.free.push((bits, first + 1));
        Some(first)
    }

    /// Gives a piece back; nothing is left in it. With its other half free too, the two are one again, and so on.
    pub fn give(&mut self, piece: Piece, bits: usize, halves: &mut impl Halves) {
        let (mut piece, mut bits) = (piece, bits);
        while let Some(at) = self.splits.iter().position(|s| s.first == piece || s.first + 1 == piece) {
            let first = self.splits[at].first;
            let other = if piece == first { first + 1 } else { first };
            let Some(free) = self.free.iter().position(|f| *f == (bits, other)) else { break };
            if !halves.join(self.splits[at].whole, first) {
                break;
            }
            self.free.swap_remove(free);
            piece = self.splits.swap_remove(at).whole;
            bits += 1;
        }
        self.free.push((bits, piece));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers in rows of two, each used once at a time.
    #[derive(Default)]
    struct Rows {
        taken: std::collections::BTreeSet<Piece>,
    }

    impl Halves for Rows {
        fn split(&mut self, _: Piece, _: usize) -> Option<Piece> {
            let first = (1..).map(|n| n * 2).find(|n| !self.taken.contains(n))?;
            self.taken.extend([first, first + 1]);
            Some(first)
        }
        fn join(&mut self, _: Piece, first: Piece) -> bool {
            self.taken.remove(&first) && self.taken.remove(&(first + 1))
        }
    }

    #[test]
    fn whatever_the_order_all_memory_is_one_piece_again() {
        let (mut buddies, mut rows) = (Buddies::default(), Rows::default());
        buddies.add(1, 21);
        let mut held: Vec<(Piece, usize)> = Vec::new();
        let mut seed = 7u64;
        let mut next = |n: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) % n
        };
        for _ in 0..100_000 {
            if next(2) == 0 {
                let bits = SMALLEST + next(7) as usize;
                if let Some(piece) = buddies.take(bits, &mut rows) {
                    assert!(held.iter().all(|h| h.0 != piece));
                    held.push((piece, bits));
                }
            } else if !held.is_empty() {
                let (piece, bits) = held.swap_remove(next(held.len() as u64) as usize);
                buddies.give(piece, bits, &mut rows);
            }
            let used: u64 = held.iter().map(|h| 1u64 << h.1).sum();
            assert_eq!(buddies.free_bytes() + used, 1 << 21);
        }
        for (piece, bits) in held {
            buddies.give(piece, bits, &mut rows);
        }
        assert_eq!((buddies.free.as_slice(), rows.taken.len()), (&[(21, 1)][..], 0));
    }
}
