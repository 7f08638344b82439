//! Numbers below a bound (slots of a CNode, pages of a window) that are taken in rows and given back, a bit each: nothing grows, and
//! what is given back is found again whatever the order.

/// Free numbers below `64 * WORDS`.
#[derive(Clone, Debug)]
pub struct Rows<const WORDS: usize> {
    free: [u64; WORDS],
}

impl<const WORDS: usize> Rows<WORDS> {
    /// Numbers that there can be.
    pub const BOUND: u64 = 64 * WORDS as u64;

    /// All numbers from `start` to before `end`, of those below the bound.
    pub fn new(start: u64, end: u64) -> Rows<WORDS> {
        let mut rows = Rows { free: [0; WORDS] };
        rows.set(start, end.saturating_sub(start), true);
        rows
    }

    /// Marks so many in a row; what lies beyond the bound is left out.
    fn set(&mut self, first: u64, count: u64, free: bool) {
        let (mut at, end) = (first, first.saturating_add(count).min(Self::BOUND));
        while at < end {
            let (word, bit) = ((at / 64) as usize, at % 64);
            let length = (64 - bit).min(end - at);
            let mask = (u64::MAX >> (64 - length)) << bit;
            if free {
                self.free[word] |= mask;
            } else {
                self.free[word] &= !mask;
            }
            at += length;
        }
    }

    /// The lowest one.
    #[inline]
    pub fn take_one(&mut self) -> Option<u64> {
        let word = self.free.iter().position(|w| *w != 0)?;
        let bit = self.free[word].trailing_zeros();
        self.free[word] &= self.free[word] - 1;
        Some(word as u64 * 64 + u64::from(bit))
    }

    /// The lowest so many in a row.
    pub fn take(&mut self, count: u64) -> Option<u64> {
        let (mut at, mut run) = (0, 0);
        while at < Self::BOUND && count > 0 {
            let bit = at % 64;
            let word = self.free[(at / 64) as usize] >> bit;
            let rest = 64 - bit;
            let used = u64::from(word.trailing_zeros()).min(rest);
            if used > 0 {
                (run, at) = (0, at + used);
                continue;
            }
            let ones = u64::from(word.trailing_ones()).min(rest);
            (run, at) = (run + ones, at + ones);
            if run >= count {
                self.set(at - run, count, false);
                return Some(at - run);
            }
        }
        None
    }

    /// Gives so many in a row back. What is free already stays so once.
    pub fn give(&mut self, first: u64, count: u64) {
        self.set(first, count, true);
    }

    /// How many are free.
    pub fn left(&self) -> u64 {
        self.free.iter().map(|word| u64::from(word.count_ones())).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    /// The same, slowly.
    struct Plain(Vec<bool>);

    impl Plain {
        fn take(&mut self, count: usize) -> Option<u64> {
            let at = (0..self.0.len()).find(|i| {
                count > 0 && self.0.get(*i..i + count).is_some_and(|row| row.iter().all(|free| *free))
            })?;
            self.0[at..at + count].fill(false);
            Some(at as u64)
        }
    }

    #[test]
    fn rows_are_those_of_a_plain_list_whatever_comes_and_goes() {
        const BOUND: usize = 192;
        let mut seed = 1u64;
        let mut random = |below: u64| {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (seed >> 33) % below
        };
        let (mut rows, mut plain) =
            (Rows::<3>::new(5, 190), Plain((0..BOUND).map(|i| (5..190).contains(&i)).collect()));
        let mut held: Vec<(u64, u64)> = Vec::new();
        let (mut taken, mut refused) = (0, 0);
        for _ in 0..50_000 {
            if random(2) == 0 && !held.is_empty() {
                let (first, count) = held.swap_remove(random(held.len() as u64) as usize);
                rows.give(first, count);
                plain.0[first as usize..(first + count) as usize].fill(true);
            } else {
                let count = [1, 2, 3, 42, 64, 70, 130][random(7) as usize];
                let wanted = plain.take(count as usize);
                let got = if count == 1 { rows.take_one() } else { rows.take(count) };
                assert_eq!(got, wanted, "{count}");
                match got {
                    Some(first) => held.push((first, count)),
                    None => refused += 1,
                }
                taken += u64::from(got.is_some());
            }
            assert_eq!(rows.left(), plain.0.iter().filter(|free| **free).count() as u64);
        }
        assert!(taken > 1000 && refused > 1000, "{taken} {refused}");
    }

    #[test]
    fn what_lies_beyond_the_bound_is_not_handed_out_and_nothing_twice() {
        let mut rows = Rows::<2>::new(60, 1000);
        assert_eq!((rows.left(), Rows::<2>::BOUND), (68, 128));
        rows.give(100, 10);
        rows.give(120, u64::MAX);
        assert_eq!(rows.left(), 68);
        assert_eq!((rows.take(0), rows.take(69), rows.take(68)), (None, None, Some(60)));
        assert_eq!((rows.take_one(), rows.take(1), rows.left()), (None, None, 0));
        assert_eq!(Rows::<1>::new(7, 3).left(), 0);
    }
}
