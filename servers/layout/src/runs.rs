//! Numbers (slots of a CNode) that are taken in rows and given back, without a bound: for init, which has a heap and thousands of them.

use alloc::vec::Vec;

/// Free numbers: what is given back merges with its neighbours, so rows of any length are found again.
#[derive(Clone, Debug, Default)]
pub struct Runs {
    /// First number and length, in order; no two touch.
    free: Vec<(u64, u64)>,
}

impl Runs {
    /// All numbers from `start` to before `end`.
    pub fn new(start: u64, end: u64) -> Runs {
        Runs { free: if start < end { Vec::from([(start, end - start)]) } else { Vec::new() } }
    }

    /// So many in a row; the smallest place that has them, so that long rows stay.
    pub fn take(&mut self, count: u64) -> Option<u64> {
        if count == 0 {
            return None;
        }
        let fitting = self.free.iter().enumerate().filter(|(_, run)| run.1 >= count);
        let index = fitting.min_by_key(|(_, run)| run.1)?.0;
        let run = &mut self.free[index];
        let first = run.0;
        *run = (first + count, run.1 - count);
        if run.1 == 0 {
            self.free.remove(index);
        }
        Some(first)
    }

    /// Gives so many in a row back. What is free already stays so once.
    pub fn give(&mut self, first: u64, count: u64) {
        let (mut first, mut end) = (first, first + count);
        if count == 0 {
            return;
        }
        // Everything that touches or overlaps the row becomes part of it.
        self.free.retain(|run| {
            let apart = run.0 + run.1 < first || run.0 > end;
            if !apart {
                first = first.min(run.0);
                end = end.max(run.0 + run.1);
            }
            apart
        });
        let at = self.free.partition_point(|run| run.0 < first);
        self.free.insert(at, (first, end - first));
    }

    /// How many are free.
    pub fn left(&self) -> u64 {
        self.free.iter().map(|run| run.1).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_every_length_come_and_go_for_ever() {
        let mut runs = Runs::new(16, 1024);
        for turn in 0..10_000u64 {
            let count = 1 + turn * 7 % 42;
            let first = runs.take(count).unwrap();
            assert!(first >= 16 && first + count <= 1024);
            runs.give(first, count);
        }
        assert_eq!(runs.take(1008), Some(16));
        assert_eq!(runs.take(1), None);
    }

    #[test]
    fn nothing_is_taken_twice_and_everything_comes_back() {
        // All numbers of a small world, by a simple rule that visits many orders.
        let mut seed = 1u64;
        let mut next = |n: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % n
        };
        let (mut runs, mut taken) = (Runs::new(0, 64), [false; 64]);
        let mut held: Vec<(u64, u64)> = Vec::new();
        for _ in 0..100_000 {
            if next(2) == 0 {
                let count = 1 + next(9);
                if let Some(first) = runs.take(count) {
                    for n in first..first + count {
                        assert!(!core::mem::replace(&mut taken[n as usize], true));
                    }
                    held.push((first, count));
                } else {
                    // Refused only if there is no such row.
                    let longest = taken.split(|t| *t).map(<[bool]>::len).max().unwrap_or(0);
                    assert!((longest as u64) < count);
                }
            } else if !held.is_empty() {
                let (first, count) = held.swap_remove(next(held.len() as u64) as usize);
                (first..first + count).for_each(|n| taken[n as usize] = false);
                runs.give(first, count);
            }
            assert_eq!(runs.left(), taken.iter().filter(|t| !**t).count() as u64);
        }
        held.into_iter().for_each(|(first, count)| runs.give(first, count));
        assert_eq!(runs.free, [(0, 64)]);
    }

    #[test]
    fn a_number_given_back_twice_is_there_once() {
        let mut runs = Runs::new(0, 4);
        let first = runs.take(4).unwrap();
        runs.give(first, 4);
        runs.give(first + 1, 2);
        assert_eq!((runs.left(), runs.take(4), runs.take(1)), (4, Some(0), None));
    }
}
