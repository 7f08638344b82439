//! Whether and when a server that died is started again.
//!
//! A server that lived for a while is started again at once; one that dies at its start waits longer each time, so that its restarts,
//! which init makes at the highest priority, cost the others a bounded share of the processor. A server that drives outputs has one
//! life more than its policy says, in which it parks them.

/// Whoever lived so long starts with a clean sheet, microseconds.
pub const SETTLED_US: u64 = 250_000;
/// The first wait of a server that did not.
pub const FIRST_WAIT_US: u64 = 10_000;
/// The longest.
pub const LONGEST_WAIT_US: u64 = 5_000_000;

/// What becomes of a server that died.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// It is started again after so many microseconds.
    Again {
        /// The wait.
        after_us: u64,
    },
    /// It is started once more, to park its outputs, after so many microseconds.
    Last {
        /// The wait.
        after_us: u64,
    },
    /// It stays down.
    Down,
}

/// A server's deaths.
#[derive(Clone, Copy, Debug, Default)]
pub struct Restarts {
    /// How often it was started again.
    pub count: u32,
    /// Deaths in a row soon after a start.
    pub hasty: u32,
    last: bool,
}

impl Restarts {
    /// It died, `lived_us` after its start. `most` is how often it may be started again (`None`: always); `parks` says that it drives
    /// outputs.
    pub fn died(&mut self, lived_us: u64, most: Option<u32>, parks: bool) -> Next {
        self.hasty = if lived_us < SETTLED_US { self.hasty.saturating_add(1) } else { 0 };
        let after_us = match self.hasty {
            0 => 0,
            n => (FIRST_WAIT_US << (n - 1).min(20)).min(LONGEST_WAIT_US),
        };
        if most.is_none_or(|most| self.count < most) {
            self.count = self.count.saturating_add(1);
            return Next::Again { after_us };
        }
        if parks && !self.last {
            self.last = true;
            self.count = self.count.saturating_add(1);
            return Next::Last { after_us };
        }
        Next::Down
    }

    /// Whether this is the life that only parks outputs.
    pub fn is_last(&self) -> bool {
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_lived_is_started_at_once_and_one_that_dies_at_its_start_waits_longer_and_longer() {
        let mut r = Restarts::default();
        assert_eq!(r.died(SETTLED_US, None, false), Next::Again { after_us: 0 });
        let mut before = 0;
        for _ in 0..40 {
            let Next::Again { after_us } = r.died(0, None, false) else { panic!("always means always") };
            assert!(after_us > before || after_us == LONGEST_WAIT_US);
            before = after_us;
        }
        assert_eq!(before, LONGEST_WAIT_US);
        assert_eq!(r.died(SETTLED_US, None, false), Next::Again { after_us: 0 });
        assert_eq!(r.died(1, None, false), Next::Again { after_us: FIRST_WAIT_US });
    }

    #[test]
    fn in_any_ten_seconds_a_crashing_server_is_started_a_bounded_number_of_times() {
        let (mut r, mut clock, mut starts) = (Restarts::default(), 0u64, 0);
        while clock < 10_000_000 {
            let Next::Again { after_us } = r.died(0, None, false) else { panic!("always means always") };
            clock += after_us;
            starts += 1;
        }
        assert!(starts <= 12, "{starts}");
    }

    #[test]
    fn who_drives_outputs_parks_them_before_it_stays_down() {
        let mut r = Restarts::default();
        for _ in 0..3 {
            assert!(matches!(r.died(SETTLED_US, Some(3), true), Next::Again { .. }));
            assert!(!r.is_last());
        }
        assert!(matches!(r.died(SETTLED_US, Some(3), true), Next::Last { .. }));
        assert!(r.is_last());
        assert_eq!(r.died(SETTLED_US, Some(3), true), Next::Down);
        assert_eq!(Restarts::default().died(0, Some(0), false), Next::Down);
        assert!(matches!(Restarts::default().died(0, Some(0), true), Next::Last { .. }));
    }
}
