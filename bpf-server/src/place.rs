//! Which pages of a host's windows, and which of its map numbers, are taken.

use axiom_proto::bpf_host::{CODE_PAGES, MAP_PAGES, MAP_SLOTS};

/// Numbers 0..N, taken in runs.
#[derive(Clone)]
struct Numbers<const WORDS: usize> {
    taken: [u64; WORDS],
}

impl<const WORDS: usize> Numbers<WORDS> {
    const fn new() -> Numbers<WORDS> {
        Numbers { taken: [0; WORDS] }
    }

    fn is_taken(&self, n: u32) -> bool {
        self.taken[n as usize / 64] & 1 << (n % 64) != 0
    }

    /// The first free run.
    fn take(&mut self, count: u32) -> Option<u32> {
        let limit = WORDS as u32 * 64;
        let mut start = 0;
        let mut n = 0;
        while n < limit && n - start < count {
            if self.is_taken(n) {
                start = n + 1;
            }
            n += 1;
        }
        if n - start < count {
            return None;
        }
        for n in start..start + count {
            self.taken[n as usize / 64] |= 1 << (n % 64);
        }
        Some(start)
    }

    /// How many are free, and the longest run of them.
    fn free(&self) -> (u32, u32) {
        let (mut all, mut longest, mut run) = (0, 0, 0);
        for n in 0..WORDS as u32 * 64 {
            run = if self.is_taken(n) { 0 } else { run + 1 };
            all += u32::from(run > 0);
            longest = longest.max(run);
        }
        (all, longest)
    }

    fn give(&mut self, start: u32, count: u32) {
        for n in start..start + count {
            self.taken[n as usize / 64] &= !(1 << (n % 64));
        }
    }
}

/// One host's windows.
#[derive(Clone)]
pub(crate) struct Windows {
    code: Numbers<{ CODE_PAGES as usize / 64 }>,
    maps: Numbers<{ MAP_PAGES as usize / 64 }>,
    slots: Numbers<{ MAP_SLOTS as usize / 64 }>,
}

impl Windows {
    pub(crate) fn new() -> Windows {
        let mut w = Windows { code: Numbers::new(), maps: Numbers::new(), slots: Numbers::new() };
        w.slots.take(1); // number 0 is never a map
        w
    }
    #[cfg(test)]
    pub(crate) fn is_free(&self) -> bool {
        let none = |taken: &[u64]| taken.iter().all(|w| *w == 0);
        none(&self.code.taken) && none(&self.maps.taken) && self.slots.taken == Windows::new().slots.taken
    }
    pub(crate) fn take_code(&mut self, pages: u32) -> Option<u32> {
        self.code.take(pages)
    }
    /// Free code pages, and the longest run of them.
    pub(crate) fn free_code(&self) -> (u32, u32) {
        self.code.free()
    }
    /// Free map pages, and the longest run of them.
    pub(crate) fn free_maps(&self) -> (u32, u32) {
        self.maps.free()
    }
    /// Free map numbers.
    pub(crate) fn free_slots(&self) -> u32 {
        self.slots.free().0
    }
    pub(crate) fn give_code(&mut self, page: u32, pages: u32) {
        self.code.give(page, pages);
    }
    pub(crate) fn take_map(&mut self, pages: u32) -> Option<(u32, u32)> {
        let slot = self.slots.take(1)?;
        match self.maps.take(pages) {
            Some(page) => Some((slot, page)),
            None => {
                self.slots.give(slot, 1);
                None
            }
        }
    }
    pub(crate) fn give_map(&mut self, slot: u32, page: u32, pages: u32) {
        self.slots.give(slot, 1);
        self.maps.give(page, pages);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_found_freed_and_found_again() {
        let mut n = Numbers::<2>::new();
        assert_eq!(n.take(60), Some(0));
        assert_eq!(n.take(10), Some(60));
        assert_eq!(n.take(58), Some(70));
        assert_eq!(n.take(1), None);
        assert_eq!(n.free(), (0, 0));
        n.give(63, 4);
        n.give(100, 2);
        assert_eq!(n.free(), (6, 4));
        assert_eq!(n.take(2), Some(63));
        n.give(63, 2);
        assert_eq!(n.take(5), None);
        assert_eq!(n.take(4), Some(63));
        assert_eq!(n.take(0), Some(0));
    }
}
