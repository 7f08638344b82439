//! What can be refused, as sentences.

use crate::{BadPeriod, Period};
use core::fmt;

/// Why there is no usable HPET at these registers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProbeError {
    /// `GCAP_ID` reads all zeros or all ones, or the quirk says so.
    Absent,
    /// `REV_ID` is 0, which the specification forbids.
    Revision,
    /// The specification forbids the period.
    Period(BadPeriod),
    /// A period below 1 ns: picoseconds, probably.
    PeriodTooShort {
        /// What was read, taken for femtoseconds.
        femtoseconds: u32,
    },
}

impl fmt::Display for ProbeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            ProbeError::Absent => write!(f, "there is no HPET at this address"),
            ProbeError::Revision => {
                write!(f, "HPET: REV_ID is 0, which no implementation has: is this its address?")
            }
            ProbeError::Period(e) => write!(f, "HPET: {e}"),
            ProbeError::PeriodTooShort { femtoseconds } => write!(
                f,
                "HPET: COUNTER_CLK_PERIOD is {femtoseconds} fs, faster than any hardware: if it is in picoseconds here, say so by the quirk \
                 period-in-picoseconds"
            ),
        }
    }
}

/// Why the counter does not run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EnableError {
    /// `ENABLE_CNF` reads 0 after 1 was written.
    Ignored,
    /// `ENABLE_CNF` is set, and the counter stands still.
    Stuck {
        /// Where, in ticks.
        count: u64,
    },
}

impl fmt::Display for EnableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            EnableError::Ignored => {
                write!(f, "HPET: ENABLE_CNF stays 0: the firmware has locked or hidden it")
            }
            EnableError::Stuck { count } => {
                write!(f, "HPET: it is enabled, and the main counter stands at {count}")
            }
        }
    }
}

/// `LEG_RT_CAP` is 0: the timers cannot take the places of PIT and RTC.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoLegacyReplacement;

impl fmt::Display for NoLegacyReplacement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HPET: LEG_RT_CAP is 0: route timers to inputs of the I/O APIC instead")
    }
}

/// The main counter may be written only while it is halted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotHalted;

impl fmt::Display for NotHalted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HPET: the main counter runs, and can be set only while it is halted: call halt first")
    }
}

/// A timer that the block does not have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoSuchTimer {
    /// Which.
    pub number: u8,
    /// How many there are.
    pub timers: u8,
}

impl fmt::Display for NoSuchTimer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "HPET: there is no timer {}: this block has {} (0 to {})",
            self.number,
            self.timers,
            self.timers - 1
        )
    }
}

/// Why a timer's interrupt cannot go there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RouteError {
    /// The timer is not wired to this input.
    Input {
        /// Which input of the I/O APIC.
        input: u8,
        /// Bit n: input n is possible.
        possible: u32,
    },
    /// Legacy replacement is on, and the route of timers 0 and 1 is fixed (inputs 2 and 8, usually).
    Legacy,
    /// The register did not keep the input.
    Ignored {
        /// What it reads.
        kept: u8,
    },
    /// The timer cannot store to memory (`FSB_INT_DEL_CAP` is 0).
    NoFsb,
}

impl fmt::Display for RouteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HPET: ")?;
        match *self {
            RouteError::Input { input, possible } => {
                write!(f, "this timer has no way to input {input} of the I/O APIC; its inputs:")?;
                (0..32).filter(|n| possible >> n & 1 != 0).try_for_each(|n| write!(f, " {n}"))
            }
            RouteError::Legacy => {
                write!(
                    f,
                    "legacy replacement is on, so timers 0 and 1 go to IRQ 0 and IRQ 8 whatever their route is"
                )
            }
            RouteError::Ignored { kept } => write!(f, "the route was written, and reads {kept}"),
            RouteError::NoFsb => write!(f, "this timer cannot interrupt by a store (FSB_INT_DEL_CAP is 0)"),
        }
    }
}

/// Why a timer was not armed. It is disarmed now. A deadline that came while it was being armed may have interrupted all the same: at its
/// moment, and once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ArmError {
    /// The deadline has passed: treat it as expired.
    Past {
        /// How many ticks ago.
        ago: u64,
    },
    /// The deadline is so near that the hardware may miss it: wait for it by reading the counter, or treat it as expired.
    TooClose {
        /// How many ticks are left.
        left: u64,
    },
    /// The comparator has 32 bits, and would match too early: arm it at `at_most` and then again.
    TooFar {
        /// The latest deadline now, in ticks.
        at_most: u64,
    },
    /// The timer has no periodic mode (`PER_INT_CAP` is 0).
    NotPeriodic,
    /// A period that cannot be kept.
    BadInterval {
        /// The shortest, in ticks.
        at_least: u64,
        /// The longest, in ticks.
        at_most: u64,
    },
    /// This hardware needs a running counter to be armed so (quirk `periodic-double-write`).
    Halted,
}

impl fmt::Display for ArmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HPET: ")?;
        match *self {
            ArmError::Past { ago } => write!(f, "the deadline passed {ago} ticks ago"),
            ArmError::TooClose { left } => {
                write!(
                    f,
                    "the deadline is {left} ticks ahead, too near for the comparator: wait by the counter"
                )
            }
            ArmError::TooFar { at_most } => write!(
                f,
                "the deadline is beyond the reach of a comparator of 32 bits: arm it at {at_most} and once more then"
            ),
            ArmError::NotPeriodic => {
                write!(f, "this timer has no periodic mode: arm it anew for each deadline")
            }
            ArmError::BadInterval { at_least, at_most } => {
                write!(f, "an interval must have {at_least} to {at_most} ticks")
            }
            ArmError::Halted => {
                write!(f, "the counter is halted, and this hardware's periodic mode needs it running")
            }
        }
    }
}

impl core::error::Error for ProbeError {}
impl core::error::Error for EnableError {}
impl core::error::Error for NoLegacyReplacement {}
impl core::error::Error for NotHalted {}
impl core::error::Error for NoSuchTimer {}
impl core::error::Error for RouteError {}
impl core::error::Error for ArmError {}

/// A period below this is refused as no hardware's: 1 ns.
pub(crate) const SHORTEST_FEMTOSECONDS: u32 = 1_000_000;
const _: () = assert!(SHORTEST_FEMTOSECONDS < Period::MAX_FEMTOSECONDS);
