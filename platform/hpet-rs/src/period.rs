//! The length of a tick, and exact arithmetic between ticks and time.
//!
//! The tempting versions are wrong: `ticks * period_fs` in 64 bits overflows after 5.1 hours, `ticks * period_ps` after 213 days,
//! `ticks * period_ns` loses up to 1.2 % (69.84 ns taken for 69), and `ticks` taken for nanoseconds is 10 to 70 times off. Here a
//! number is split so that each product fits in 64 bits and nothing is rounded but the end; there is no 128-bit division to call.

use core::fmt;
use core::time::Duration;

/// Femtoseconds in a nanosecond.
const FS_PER_NS: u64 = 1_000_000;

/// The time between two ticks of the main counter, in femtoseconds (10⁻¹⁵ s): 1 ..= 100,000,000.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Period {
    fs: u32,
}

/// A period that the specification does not allow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BadPeriod {
    /// It is 0: what an address reads at which there is no HPET.
    Zero,
    /// It is above 100 ns (05F5_E100h femtoseconds).
    TooLong {
        /// What was given, in femtoseconds.
        femtoseconds: u32,
    },
}

impl fmt::Display for BadPeriod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadPeriod::Zero => write!(f, "COUNTER_CLK_PERIOD is 0: there is no HPET at this address"),
            BadPeriod::TooLong { femtoseconds } => write!(
                f,
                "COUNTER_CLK_PERIOD is {femtoseconds} fs, and the specification allows at most {} fs (100 ns)",
                Period::MAX_FEMTOSECONDS
            ),
        }
    }
}

impl core::error::Error for BadPeriod {}

impl Period {
    /// The longest legal period: 05F5_E100h fs = 100 ns.
    pub const MAX_FEMTOSECONDS: u32 = 0x05f5_e100;

    /// A period of so many femtoseconds.
    pub const fn from_femtoseconds(fs: u32) -> Result<Period, BadPeriod> {
        match fs {
            0 => Err(BadPeriod::Zero),
            1..=Period::MAX_FEMTOSECONDS => Ok(Period { fs }),
            _ => Err(BadPeriod::TooLong { femtoseconds: fs }),
        }
    }

    /// In femtoseconds.
    pub const fn femtoseconds(self) -> u32 {
        self.fs
    }

    /// The frequency in hertz, to the nearest: at most 0.5 Hz off. For showing; times are computed from the period.
    pub const fn frequency_hz(self) -> u64 {
        let fs = self.fs as u64;
        (1_000_000_000_000_000 + fs / 2) / fs
    }

    /// So many ticks in whole nanoseconds, rounded down: at most 1 ns below the true time. Stays at `u64::MAX` from there (584 years).
    pub const fn nanoseconds(self, ticks: u64) -> u64 {
        let fs = self.fs as u64;
        // ticks * fs / 10^6 with ticks = q * 10^6 + r: q * fs + r * fs / 10^6, where r * fs < 10^14.
        let (q, r) = (ticks / FS_PER_NS, ticks % FS_PER_NS);
        q.saturating_mul(fs).saturating_add(r * fs / FS_PER_NS)
    }

    /// So many ticks as a duration, rounded down to nanoseconds. Every number of ticks has one.
    pub const fn duration(self, ticks: u64) -> Duration {
        const FS_PER_US: u64 = 1_000_000_000;
        let fs = self.fs as u64;
        // As above with 10^9: q <= 1.9 * 10^10, so q * fs <= 1.9 * 10^18; r * fs < 10^17.
        let (q, r) = (ticks / FS_PER_US, ticks % FS_PER_US);
        let micros = q * fs + r * fs / FS_PER_US;
        let nanos = (micros % 1_000_000) * 1000 + r * fs % FS_PER_US / FS_PER_NS;
        Duration::new(micros / 1_000_000, nanos as u32)
    }

    /// The smallest number of ticks that takes at least so many nanoseconds: a deadline made from it is never early, and less than one
    /// tick late. `None` where 64 bits do not hold it, which no legal hardware reaches within 100 years.
    pub const fn ticks_ceil(self, nanoseconds: u64) -> Option<u64> {
        self.ticks(nanoseconds, self.fs as u64 - 1)
    }

    /// The largest number of ticks that takes at most so many nanoseconds. `None` where 64 bits do not hold it.
    pub const fn ticks_floor(self, nanoseconds: u64) -> Option<u64> {
        self.ticks(nanoseconds, 0)
    }

    const fn ticks(self, nanoseconds: u64, round: u64) -> Option<u64> {
        let fs = self.fs as u64;
        // ns * 10^6 / fs with ns = q * fs + r: q * 10^6 + r * 10^6 / fs, where r * 10^6 < 10^14.
        let (q, r) = (nanoseconds / fs, nanoseconds % fs);
        match q.checked_mul(FS_PER_NS) {
            Some(whole) => whole.checked_add((r * FS_PER_NS + round) / fs),
            None => None,
        }
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hz = self.frequency_hz();
        write!(f, "{} fs per tick ({}.{:06} MHz)", self.fs, hz / 1_000_000, hz % 1_000_000)
    }
}
