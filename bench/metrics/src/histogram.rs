//! A histogram on a logarithmic axis, small enough for a line on a serial port.
//!
//! Buckets are log-linear: below 16 each whole number has its own; above, each octave has 16 of equal width, so a
//! bucket is at most 6.25 % wide relative to its values. A report's line lists only the buckets that hold samples.

/// Buckets per octave.
pub const PER_OCTAVE: u64 = 16;
/// The highest bucket: of `u64::MAX`.
pub const LAST: u32 = (64 - 4) as u32 * PER_OCTAVE as u32 + 15;

/// The bucket of a sample; fractions are cut off, and what is below zero falls into the first.
pub fn bucket(sample: f64) -> u32 {
    // A cast from floating point saturates, and NaN is zero: both are the ends that they should be.
    let value = sample as u64;
    if value < PER_OCTAVE {
        return value as u32;
    }
    let octave = 63 - u64::from(value.leading_zeros());
    ((octave - 3) * PER_OCTAVE + (value >> (octave - 4) & (PER_OCTAVE - 1))) as u32
}

/// The smallest sample of a bucket.
pub fn lower(bucket: u32) -> f64 {
    let bucket = u64::from(bucket);
    if bucket < PER_OCTAVE {
        return bucket as f64;
    }
    let (octave, place) = (bucket / PER_OCTAVE + 3, bucket % PER_OCTAVE);
    (PER_OCTAVE + place) as f64 * libm::exp2((octave - 4) as f64)
}

/// The first value above a bucket.
pub fn upper(bucket: u32) -> f64 {
    lower(bucket + 1)
}

/// The buckets of sorted samples with how many each holds, rising; empty ones are left out.
pub fn of_sorted(samples: &[f64]) -> impl Iterator<Item = (u32, u64)> + '_ {
    samples.chunk_by(|a, b| bucket(*a) == bucket(*b)).map(|group| (bucket(group[0]), group.len() as u64))
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    #[test]
    fn small_numbers_have_their_own_bucket() {
        for n in 0..32 {
            assert_eq!((bucket(f64::from(n)), lower(n as u32)), (n as u32, f64::from(n)));
        }
        assert_eq!((bucket(32.0), bucket(33.9), bucket(34.0)), (32, 32, 33));
        assert_eq!((bucket(-3.0), bucket(f64::NAN), bucket(f64::INFINITY)), (0, 0, LAST));
    }

    #[test]
    fn a_sorted_set_is_counted_whole() {
        let samples = [1.0, 1.5, 2.0, 1000.0, 1001.0, 1_000_000.0];
        let all: Vec<_> = of_sorted(&samples).collect();
        assert_eq!(all.iter().map(|b| b.1).sum::<u64>(), 6);
        assert_eq!(all[..2], [(1, 2), (2, 1)]);
    }

    proptest! {
        #[test]
        fn a_sample_lies_in_its_bucket(sample in 0.0f64..1e15) {
            let b = bucket(sample);
            prop_assert!(lower(b) <= sample && sample < upper(b), "{sample}: {} {}", lower(b), upper(b));
            prop_assert!(sample < 16.0 || upper(b) / lower(b) <= 1.0626);
        }
    }
}
