//! Metrics: what a sample set is reduced to, and how one line of the report looks.
//!
//! The benchmark server (bare metal) and the host tools share this crate, so that a unit or a field name
//! cannot differ between the two ends. A [`Summary`] keeps the whole distribution that the report promises:
//! n, minimum, median, mean, 99th percentile, maximum and standard deviation, with nothing truncated.
//!
//! Percentiles are nearest-rank on the sorted samples (the smallest sample that is not exceeded by p % of
//! the set); the median of an even set is the mean of its two middle samples. The standard deviation is the
//! population's, because a run is described, not a larger population estimated.
#![no_std]

pub mod definitions;
pub mod histogram;
pub mod human;
pub mod table;
pub mod trace;

use core::fmt;

/// Marks the first line of a report on the console.
pub const BEGIN: &str = "-----BEGIN AXIOM REPORT-----";
/// Marks the end of a report on the console.
pub const END: &str = "-----END AXIOM REPORT-----";
/// The version of the line format; a reader refuses any other.
pub const FORMAT_VERSION: u32 = 1;

/// The unit of a metric's figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Nanoseconds of the guest's counter.
    Nanos,
    /// Instructions, exact: only where the cycle counter counts instructions (`-icount shift=0`).
    Instructions,
    /// Cycles of PMCCNTR_EL0, where it does not count instructions.
    Cycles,
    /// Bytes.
    Bytes,
    /// A plain count.
    Count,
}

impl Unit {
    /// The unit's name in the JSON lines and tables.
    pub const fn name(self) -> &'static str {
        match self {
            Unit::Nanos => "ns",
            Unit::Instructions => "insns",
            Unit::Cycles => "cycles",
            Unit::Bytes => "bytes",
            Unit::Count => "count",
        }
    }

    /// The unit of that name.
    pub fn of(name: &str) -> Option<Unit> {
        [Unit::Nanos, Unit::Instructions, Unit::Cycles, Unit::Bytes, Unit::Count]
            .into_iter()
            .find(|u| u.name() == name)
    }
}

/// One sample set, reduced. Every figure has had the measured overhead subtracted already.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// How many samples.
    pub n: usize,
    /// The smallest.
    pub min: f64,
    /// The middle one.
    pub median: f64,
    /// The arithmetic mean.
    pub mean: f64,
    /// 99 % of the samples are not larger.
    pub p99: f64,
    /// The largest.
    pub max: f64,
    /// The population's standard deviation.
    pub stddev: f64,
}

impl Summary {
    /// Reduces `samples`, sorting them in place. `None` when there are none: a row without samples is not a
    /// row of zeros.
    pub fn of(samples: &mut [f64]) -> Option<Summary> {
        if samples.is_empty() || samples.iter().any(|s| !s.is_finite()) {
            return None;
        }
        samples.sort_unstable_by(f64::total_cmp);
        let n = samples.len();
        let mean = samples.iter().sum::<f64>() / n as f64;
        let variance = samples.iter().map(|s| (s - mean) * (s - mean)).sum::<f64>() / n as f64;
        let median = if n % 2 == 1 { samples[n / 2] } else { (samples[n / 2 - 1] + samples[n / 2]) / 2.0 };
        let rank = (99 * n).div_ceil(100).max(1);
        Some(Summary {
            n,
            min: samples[0],
            median,
            mean,
            p99: samples[rank - 1],
            max: samples[n - 1],
            stddev: libm::sqrt(variance),
        })
    }

    /// A quantity that was read once, not sampled: a size, or the boot that happened once.
    pub const fn once(value: f64) -> Summary {
        Summary { n: 1, min: value, median: value, mean: value, p99: value, max: value, stddev: 0.0 }
    }
}

/// One metric of the report.
#[derive(Clone, Copy, Debug)]
pub struct Metric<'a> {
    /// Dotted name, stable across versions: `ipc.call_reply.0w.other_space`.
    pub name: &'a str,
    /// The unit of all figures.
    pub unit: Unit,
    /// The distribution.
    pub summary: Summary,
    /// What the measuring itself costs; already subtracted from the figures. Zero where nothing was timed.
    pub overhead: f64,
    /// The samples that the summary is of, sorted, for the histogram; none where a quantity was read once.
    pub samples: &'a [f64],
}

impl fmt::Display for Metric<'_> {
    /// One JSON object on one line. `hist` lists the histogram's buckets in a row: the first bucket's number and its count,
    /// then for each next one the distance to it and its count. Names are our own identifiers and need no escaping.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = &self.summary;
        write!(
            f,
            "{{\"metric\":\"{}\",\"unit\":\"{}\",\"n\":{},\"min\":{:.1},\"median\":{:.1},\"mean\":{:.1},\"p99\":{:.1},\"max\":{:.1},\"stddev\":{:.1},\"overhead\":{:.1}",
            self.name,
            self.unit.name(),
            s.n,
            s.min,
            s.median,
            s.mean,
            s.p99,
            s.max,
            s.stddev,
            self.overhead
        )?;
        let mut previous = None;
        for (bucket, count) in histogram::of_sorted(self.samples) {
            let before = if previous.is_none() { ",\"hist\":[" } else { "," };
            write!(f, "{before}{},{count}", bucket - previous.unwrap_or(0))?;
            previous = Some(bucket);
        }
        f.write_str(if self.samples.is_empty() { "}" } else { "]}" })
    }
}

/// Counter ticks as nanoseconds, without truncation to a coarser unit and without overflow.
///
/// `frequency` is CNTFRQ_EL0 in Hz; a frequency of zero (firmware that never set it) gives `None`.
pub fn ticks_to_nanos(ticks: u64, frequency: u64) -> Option<f64> {
    (frequency != 0).then(|| ticks as f64 * 1e9 / frequency as f64)
}

/// The time from `start` to `end` of a 64-bit counter that may have wrapped once.
pub const fn elapsed(start: u64, end: u64) -> u64 {
    end.wrapping_sub(start)
}

/// A line of the benchmark server as it wrote it: the console puts the server's name before each. Lines without it are as they are; those
/// of other servers keep their names, so that nobody else's can be taken for a report.
pub fn said(line: &str) -> &str {
    line.strip_prefix("bench: ").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use std::{format, vec::Vec};

    /// Nanoseconds as counter ticks, rounded to the nearest; the inverse of [`ticks_to_nanos`].
    fn nanos_to_ticks(nanos: f64, frequency: u64) -> u64 {
        libm::round(nanos * frequency as f64 / 1e9) as u64
    }

    #[test]
    fn the_distribution_of_a_known_set() {
        let mut samples: Vec<f64> = (1..=100).map(f64::from).collect();
        let s = Summary::of(&mut samples).unwrap();
        assert_eq!((s.n, s.min, s.median, s.mean, s.p99, s.max), (100, 1.0, 50.5, 50.5, 99.0, 100.0));
        assert!((s.stddev - 28.866).abs() < 0.001);
    }

    #[test]
    fn no_samples_is_no_row() {
        assert_eq!(Summary::of(&mut []), None);
        assert_eq!(Summary::of(&mut [1.0, f64::NAN]), None);
    }

    #[test]
    fn an_injected_delay_is_found() {
        // 99 samples of 10 us and one of 35 us: the maximum shows it and the median does not move.
        let mut samples = [10_000.0; 100];
        samples[57] = 35_000.0;
        let s = Summary::of(&mut samples).unwrap();
        assert_eq!((s.median, s.max, s.mean), (10_000.0, 35_000.0, 10_250.0));
    }

    #[test]
    fn a_line_keeps_decimals() {
        let m = Metric {
            name: "x",
            unit: Unit::Nanos,
            summary: Summary::once(16.25),
            overhead: 0.5,
            samples: &[],
        };
        assert_eq!(
            format!("{m}"),
            r#"{"metric":"x","unit":"ns","n":1,"min":16.2,"median":16.2,"mean":16.2,"p99":16.2,"max":16.2,"stddev":0.0,"overhead":0.5}"#
        );
    }

    #[test]
    fn a_line_with_samples_carries_their_histogram() {
        let mut samples = [40.0, 5.0, 5.5];
        let summary = Summary::of(&mut samples).unwrap();
        let line =
            format!("{}", Metric { name: "x", unit: Unit::Nanos, summary, overhead: 0.0, samples: &samples });
        assert!(line.ends_with(r#""overhead":0.0,"hist":[5,2,31,1]}"#), "{line}");
    }

    #[test]
    fn an_injected_delay_is_found_through_a_counter_that_wraps() {
        // 100 readings of 625 ticks (10 us at 62.5 MHz) with 24 us put into one, over the counter's end.
        let mut now = u64::MAX - 20_000;
        let mut samples: Vec<f64> = (0..100)
            .map(|i| {
                let start = now;
                now = now.wrapping_add(625 + if i == 41 { nanos_to_ticks(24_000.0, 62_500_000) } else { 0 });
                ticks_to_nanos(elapsed(start, now), 62_500_000).unwrap()
            })
            .collect();
        let s = Summary::of(&mut samples).unwrap();
        assert_eq!((s.min, s.median, s.max), (10_000.0, 10_000.0, 34_000.0));
        let last = histogram::of_sorted(&samples).last().unwrap();
        assert_eq!(last.1, 1);
        assert!(histogram::lower(last.0) <= 34_000.0 && 34_000.0 < histogram::upper(last.0));
    }

    #[test]
    fn counters_that_wrap() {
        assert_eq!(elapsed(u64::MAX - 4, 5), 10);
        assert_eq!(ticks_to_nanos(625, 62_500_000), Some(10_000.0));
        assert_eq!(ticks_to_nanos(1, 0), None);
    }

    proptest! {
        #[test]
        fn units_round_trip(ticks in 0u64..1 << 50, frequency in 1_000_000u64..1_000_000_001) {
            let nanos = ticks_to_nanos(ticks, frequency).unwrap();
            prop_assert!(nanos_to_ticks(nanos, frequency).abs_diff(ticks) <= 1);
        }

        #[test]
        fn order_statistics_are_ordered(mut samples in prop::collection::vec(0.0f64..1e12, 1..400)) {
            let s = Summary::of(&mut samples).unwrap();
            prop_assert!(s.min <= s.median && s.median <= s.p99 && s.p99 <= s.max);
            prop_assert!(s.min <= s.mean * (1.0 + 1e-12) && s.mean <= s.max * (1.0 + 1e-12));
        }
    }
}
