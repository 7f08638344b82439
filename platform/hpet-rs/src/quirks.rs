//! What particular hardware does differently, by name, so that a command line or a table of boards can say it.

use core::fmt;
use core::ops::BitOr;

/// A set of deviations.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Quirks(u8);

const NAMES: [(&str, Quirks); 5] = [
    ("period-in-picoseconds", Quirks::PERIOD_IN_PICOSECONDS),
    ("periodic-double-write", Quirks::PERIODIC_DOUBLE_WRITE),
    ("stops-in-deep-sleep", Quirks::STOPS_IN_DEEP_SLEEP),
    ("slow-comparator", Quirks::SLOW_COMPARATOR),
    ("absent", Quirks::ABSENT),
];

impl Quirks {
    /// The hardware does as the specification says.
    pub const NONE: Quirks = Quirks(0);
    /// `COUNTER_CLK_PERIOD` is in picoseconds (some Intel SoCs): the period is a thousand times what is read.
    pub const PERIOD_IN_PICOSECONDS: Quirks = Quirks(1);
    /// The second write of the comparator in periodic mode must come 1 µs or more after the first (AMD-8111 and its kin).
    pub const PERIODIC_DOUBLE_WRITE: Quirks = Quirks(2);
    /// The counter stops while the package sleeps deeply (C10 of some laptops): no clock for whoever sleeps so; see
    /// [`crate::Hpet::stops_in_deep_sleep`].
    pub const STOPS_IN_DEEP_SLEEP: Quirks = Quirks(4);
    /// A written comparator takes effect late: deadlines must be four times as far ahead as usual ([`crate::MIN_DISTANCE`]).
    pub const SLOW_COMPARATOR: Quirks = Quirks(8);
    /// The firmware lists an HPET that must not be used: [`crate::Hpet::new`] says that it is absent.
    pub const ABSENT: Quirks = Quirks(16);

    /// Whether all of `other` are in this set.
    pub const fn contains(self, other: Quirks) -> bool {
        self.0 & other.0 == other.0
    }

    /// The quirk of this name (`period-in-picoseconds`, `periodic-double-write`, `stops-in-deep-sleep`, `slow-comparator`, `absent`).
    pub fn by_name(name: &str) -> Option<Quirks> {
        NAMES.iter().find(|(n, _)| *n == name).map(|(_, q)| *q)
    }
}

impl BitOr for Quirks {
    type Output = Quirks;
    fn bitor(self, other: Quirks) -> Quirks {
        Quirks(self.0 | other.0)
    }
}

impl fmt::Display for Quirks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (name, quirk) in NAMES {
            if self.contains(quirk) {
                write!(f, "{separator}{name}")?;
                separator = ", ";
            }
        }
        if separator.is_empty() { write!(f, "none") } else { Ok(()) }
    }
}

impl fmt::Debug for Quirks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Quirks({self})")
    }
}
