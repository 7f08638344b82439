//! Sets of page-aligned physical ranges, of bounded size: RAM, what of it is free, what is a device's.

const PAGE: u64 = 4096;
/// How many pieces a set may have.
pub const MAX_RANGES: usize = 32;
/// The last page boundary that an address can name.
const TOP: u64 = !(PAGE - 1);

/// There is no room for another piece.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooManyPieces;

/// A set of page-aligned ranges, ascending and apart: start and end (exclusive), bytes.
#[derive(Clone, Copy, Debug)]
pub struct Ranges {
    list: [(u64, u64); MAX_RANGES],
    count: usize,
}

impl Default for Ranges {
    fn default() -> Self {
        Self::new()
    }
}

impl Ranges {
    /// Nothing.
    pub const fn new() -> Ranges {
        Ranges { list: [(0, 0); MAX_RANGES], count: 0 }
    }

    /// One range from 0.
    pub fn all(end: u64) -> Ranges {
        let mut all = Ranges::new();
        all.list[0] = (0, end);
        all.count = 1;
        all
    }

    /// The ranges.
    pub fn as_slice(&self) -> &[(u64, u64)] {
        &self.list[..self.count]
    }

    /// Whether all of `start..end` lies in one of the ranges.
    pub fn contain(&self, start: u64, end: u64) -> bool {
        self.as_slice().iter().any(|r| r.0 <= start && end <= r.1)
    }

    fn push(&mut self, at: usize, range: (u64, u64)) -> Result<(), TooManyPieces> {
        if self.count == MAX_RANGES {
            return Err(TooManyPieces);
        }
        self.list.copy_within(at..self.count, at + 1);
        self.list[at] = range;
        self.count += 1;
        Ok(())
    }

    fn remove_at(&mut self, at: usize) {
        self.list.copy_within(at + 1..self.count, at);
        self.count -= 1;
    }

    /// Adds whole pages of a range; overlapping or touching ranges join.
    pub fn add(&mut self, start: u64, end: u64) -> Result<(), TooManyPieces> {
        let (mut start, mut end) = (page_up(start), end & TOP);
        if start >= end {
            return Ok(());
        }
        let mut i = 0;
        while i < self.count {
            let (s, e) = self.list[i];
            if start <= e && s <= end {
                start = start.min(s);
                end = end.max(e);
                self.remove_at(i);
            } else {
                i += 1;
            }
        }
        let at = self.as_slice().iter().position(|r| r.0 > start).unwrap_or(self.count);
        self.push(at, (start, end))
    }

    /// Takes all pages that a range touches out.
    pub fn remove(&mut self, start: u64, end: u64) -> Result<(), TooManyPieces> {
        let (start, end) = (start & TOP, page_up(end));
        let mut i = 0;
        while i < self.count {
            let (s, e) = self.list[i];
            if e <= start || s >= end {
                i += 1;
                continue;
            }
            self.remove_at(i);
            if end < e {
                self.push(i, (end, e))?;
            }
            if s < start {
                self.push(i, (s, start))?;
                i += 1;
            }
            if end < e {
                i += 1;
            }
        }
        Ok(())
    }
}

/// The next page boundary, or the last that there is: an address near the end of the address space does not wrap to 0.
fn page_up(address: u64) -> u64 {
    address.checked_next_multiple_of(PAGE).unwrap_or(TOP)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    #[test]
    fn a_range_at_the_end_of_the_address_space_does_not_wrap() {
        let mut set = Ranges::new();
        set.add(u64::MAX - 1, u64::MAX).unwrap();
        assert_eq!(set.as_slice(), &[]);
        set.add(0x1000, 0x9000).unwrap();
        set.remove(0x3000, u64::MAX).unwrap();
        assert_eq!(set.as_slice(), &[(0x1000, 0x3000)]);
    }

    #[test]
    fn one_piece_too_many_is_refused() {
        let mut set = Ranges::new();
        for i in 0..MAX_RANGES as u64 {
            set.add(i * 0x2000, i * 0x2000 + 0x1000).unwrap();
        }
        assert_eq!(set.add(0x10_0000, 0x10_1000), Err(TooManyPieces));
    }

    #[test]
    fn containing_is_in_one_piece() {
        let mut set = Ranges::all(0x8000);
        assert!(set.contain(0, 0x8000));
        set.remove(0x3000, 0x4000).unwrap();
        assert!(set.contain(0x1000, 0x3000) && !set.contain(0x2000, 0x5000) && !set.contain(0x7000, 0x9000));
    }

    proptest! {
        /// The set is the one that a bitmap of pages says, in order and with gaps between its pieces.
        #[test]
        fn is_what_a_bitmap_says(steps in prop::collection::vec((any::<bool>(), 0u64..0x40_000, 0u64..0x8000), 1..24)) {
            let mut set = Ranges::new();
            let mut pages = [false; 0x48];
            for (adds, start, size) in steps {
                let end = start + size;
                let inner = start.div_ceil(PAGE)..end / PAGE;
                let outer = start / PAGE..end.div_ceil(PAGE);
                for page in if adds { inner } else { outer } {
                    pages[page as usize] = adds;
                }
                let done = if adds { set.add(start, end) } else { set.remove(start, end) };
                prop_assert_eq!(done, Ok(()));
                let marked: Vec<bool> =
                    (0..0x48).map(|p| set.contain(p * PAGE, (p + 1) * PAGE)).collect();
                prop_assert_eq!(&marked[..], &pages[..]);
                prop_assert!(set.as_slice().iter().all(|r| r.0 < r.1));
                prop_assert!(set.as_slice().windows(2).all(|w| w[0].1 < w[1].0));
            }
        }
    }
}
