//! A counter of few bits, made 64 bits wide.

/// Extends a counter of `BITS` bits that is read now and then: the result never goes back.
///
/// It must be fed at least once per *half* wrap (32 bits: 21 s at 100 MHz, 89 s at 24 MHz, 149 s at 14.318 MHz). A value that lies up to
/// half a wrap before the last one is a read that was overtaken, not a wrap: it gives the last result again.
#[derive(Clone, Copy, Debug)]
pub struct Extender<const BITS: u32 = 32> {
    last: u64,
}

impl<const BITS: u32> Extender<BITS> {
    const MASK: u64 = {
        assert!(BITS >= 2 && BITS < 64, "a counter of 2 to 63 bits can be extended");
        (1 << BITS) - 1
    };

    /// Starts at this count, in ticks; its lower `BITS` are the counter's reading.
    pub const fn new(first: u64) -> Extender<BITS> {
        Extender { last: first }
    }

    /// The extended count of this reading, in ticks. Bits above the counter's are ignored.
    pub const fn extend(&mut self, reading: u64) -> u64 {
        let ahead = reading.wrapping_sub(self.last) & Self::MASK;
        if ahead <= Self::MASK >> 1 {
            self.last = self.last.wrapping_add(ahead);
        }
        self.last
    }

    /// The last result, in ticks.
    pub const fn last(&self) -> u64 {
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::Extender;

    /// All of the small world: a counter of 6 bits, every start, every two steps of less than half a wrap.
    #[test]
    fn every_reading_of_a_small_counter() {
        for start in 0..64u64 {
            for first in 0..32 {
                for second in 0..32 {
                    let mut e = Extender::<6>::new(start);
                    assert_eq!(e.extend(start + first), start + first);
                    // Bits above the counter's do not count.
                    assert_eq!(e.extend((start + first + second) & 63 | 0xff00), start + first + second);
                    assert_eq!(e.last(), start + first + second);
                }
            }
        }
    }

    #[test]
    fn an_overtaken_reading_does_not_wrap() {
        for start in 0..64u64 {
            for behind in 1..=32u64 {
                let mut e = Extender::<6>::new(start);
                let now = e.extend(start + 31);
                assert_eq!(e.extend(now.wrapping_sub(behind)), now, "{behind} behind {now}");
            }
        }
    }

    #[test]
    fn a_day_of_32_bits() {
        // 100 MHz, read every 21 s: each read is just below half a wrap on.
        let (mut truth, mut e) = (5u64, Extender::<32>::new(5));
        for _ in 0..4200 {
            truth += 21 * 100_000_000;
            assert_eq!(e.extend(truth & 0xffff_ffff), truth);
        }
        assert!(truth > 2000 << 32);
    }
}
