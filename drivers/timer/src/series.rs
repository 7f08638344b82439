//! Deadlines of a rate in a clock of which a period is no whole number of steps: each deadline is computed from the first one, so that no
//! error adds up.

const FEMTOSECONDS: u128 = 1_000_000_000_000_000;

/// Deadlines at a rate from a first one on, in steps of a clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Series {
    /// The deadline with number 0, in steps.
    pub first: u64,
    /// Deadlines in a second, at least 1.
    pub hz: u64,
    /// Femtoseconds of a step, at least 1.
    pub step: u32,
}

impl Series {
    /// Steps that deadlines are apart, times what they are a fraction of: in `FEMTOSECONDS` steps there are so many deadlines.
    fn per(&self) -> u128 {
        u128::from(self.hz) * u128::from(self.step)
    }

    /// A deadline: at most a step late, and never early.
    pub fn deadline(&self, number: u64) -> u64 {
        self.first.saturating_add((u128::from(number) * FEMTOSECONDS).div_ceil(self.per()) as u64)
    }

    /// The last deadline that has passed, if one has.
    pub fn passed(&self, now: u64) -> Option<u64> {
        let steps = now.checked_sub(self.first)?;
        Some((u128::from(steps) * self.per() / FEMTOSECONDS) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_do_not_drift_in_any_clock() {
        // QEMU's, a PC's of 14.318 MHz, of 24 MHz, the slowest there may be.
        for step in [10_000_000, 69_841_279, 41_666_667, 100_000_000] {
            for hz in [1, 3, 100, 1000, 10_000] {
                let series = Series { first: 12_345, hz, step };
                for number in (0..100).chain([1_000_000, 3_155_760_000 * hz]) {
                    let elapsed = u128::from(series.deadline(number) - series.first)
                        * u128::from(step)
                        * u128::from(hz);
                    let wanted = u128::from(number) * FEMTOSECONDS;
                    assert!(elapsed >= wanted, "never early");
                    assert!(elapsed - wanted < u128::from(step) * u128::from(hz), "less than a step late");
                }
            }
        }
    }

    #[test]
    fn the_last_that_passed_is_found_to_the_step() {
        for step in [10_000_000, 69_841_279, 41_666_667] {
            let series = Series { first: 1000, hz: 1000, step };
            assert_eq!(series.passed(999), None);
            for number in [0, 1, 7, 4_000_000_000] {
                let at = series.deadline(number);
                assert_eq!(series.passed(at), Some(number));
                assert_eq!(series.passed(at - 1), number.checked_sub(1).filter(|_| at > 1000));
            }
        }
    }
}
