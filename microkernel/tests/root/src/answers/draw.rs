//! Random numbers and arguments; the same seed draws the same.
use crate::scene;
use axiom_root_test::ops::Word;

/// A generator (splitmix64).
pub struct Draw(u64);

impl Draw {
    /// Of a seed and an episode.
    pub fn new(seed: u64, episode: u64) -> Draw {
        let mut draw = Draw(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ episode);
        draw.next();
        draw
    }

    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// True so many times in a hundred.
    pub fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }

    /// One of these.
    pub fn of<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    /// An argument from its pool: if `proper`, from what often succeeds there, and now and then from none.
    pub fn word(&mut self, word: Word, proper: bool) -> u64 {
        if self.percent(if proper { 1 } else { 8 }) {
            return self.of(&[0, 1, u64::MAX, 1 << 63, 1 << 32, 0x8000_0000, self.0]);
        }
        match word {
            Word::Slot if proper => self.below(scene::USED),
            Word::Empty if proper => scene::EMPTY + self.below(8),
            Word::Slot | Word::Empty => self.below(scene::EMPTY + 8),
            _ => {
                let (often, all) = pools(word);
                self.of(if proper { often } else { all })
            }
        }
    }
}

/// What often succeeds as an argument, and what is tried.
fn pools(word: Word) -> (&'static [u64], &'static [u64]) {
    const TOP: u64 = 1 << 47;
    match word {
        Word::Slot | Word::Empty => (&[], &[]),
        Word::Depth => (&[64], &[64, 64, 64, 7, 7, 0, 3, 6, 8, 63, 65, 57]),
        Word::NodeDepth => (&[0], &[0, 0, 64, 7, 3, 57, 65]),
        Word::Rights => (&[15, 15, 3, 2, 1], &[0, 7, 8, 11, 16, 31]),
        Word::Data => (&[0, 57, 1], &[0, 0, 57, 1, 7, 64, 57 << 6, 0xff, 1 << 28, 1 << 27, 58]),
        Word::Type => (&[0, 1, 2, 3, 4, 5, 6, 8, 9, 11], &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]),
        Word::Bits => (&[4, 7, 8, 9], &[0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 16, 47, 48, 63, 64]),
        Word::Count => (&[1, 1, 2, 4], &[0, 1, 1, 2, 3, 4, 8, 36, 64, 256, 257]),
        Word::Flags => (&[0, 1], &[0, 0, 1, 1, 2, 3, 4, 8, 12, 15, 256]),
        Word::Priority => (&[0, 1, 50, 100], &[0, 1, 50, 51, 99, 100, 101, 120, 121, 255, 256]),
        Word::Time => (
            &[5000, 10_000],
            &[
                0,
                1,
                9,
                10,
                11,
                20,
                1000,
                5000,
                5000,
                10_000,
                3_600_000_000,
                0x218d_ef41_6bdb,
                0x218d_ef41_6bdc,
            ],
        ),
        Word::Address => (
            &[0, 0x1000, 0x2000, 0x20_0000],
            &[
                0,
                0x3200,
                0x1001,
                0x1008,
                0x1e00,
                0x20_0000,
                0x40_0000,
                0x4000_0000,
                1 << 39,
                TOP - 0x20_0000,
                TOP - 4096,
                TOP,
                1 << 48,
                0xffff_ffff_ffff_f000,
            ],
        ),
        Word::VmRights => (&[1, 2, 3], &[0, 1, 2, 3, 3, 4, 7, 15]),
        Word::Attributes => (&[0, 3], &[0, 1, 3, 3, 4, 7, 8, 0x1f]),
        Word::Offset => (&[0, 64, 2048, 4096], &[0, 0, 1, 63, 64, 65, 2048, 4095, 4096, 4097, 0x1000_0000]),
        Word::Interrupt => (&[60, 61, 62, 63, 100], &[0, 1, 16, 27, 30, 33, 60, 61, 62, 63, 100, 159]),
    }
}
