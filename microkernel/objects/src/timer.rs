//! Timer objects: deadlines that user space arms. Which scheduling context pays for their expiries, and in which order they are
//! served, is told in [`crate::account`].
use crate::heap::{Links, Member};
use crate::object::{Slot, Timer};
use crate::ptr::Ptr;
use crate::time::Ticks;

impl Member for Timer {
    #[inline(always)]
    fn links(&self) -> &Links<Timer> {
        &self.links
    }
    #[inline(always)]
    fn before(&self, other: &Timer) -> bool {
        self.key.get() < other.key.get()
    }
}

impl Timer {
    /// The slot with the notification to signal.
    pub fn slot(&self) -> Ptr<Slot> {
        // SAFETY: the slot is part of the timer that `self` refers to, which lives as long as any reference to it.
        unsafe { Ptr::new((&raw const self.slot).expose_provenance()) }
    }

    /// Whether its deadline is earlier.
    pub(crate) fn before_deadline(&self, other: &Timer) -> bool {
        self.deadline.get() < other.deadline.get()
    }

    /// Counts an expiry at `now`, which is not before the deadline, and the deadlines that were missed whole. Whether it is periodic and
    /// has a new deadline, after `now`.
    pub(crate) fn expire(&self, now: Ticks) -> bool {
        let deadline = self.deadline.get();
        self.last_deadline.set(deadline);
        self.last_seen.set(now);
        self.expirations.set(self.expirations.get().saturating_add(1));
        let period = self.period.get();
        let Some(missed) = (now - deadline).checked_div(period) else { return false };
        self.overruns.set(self.overruns.get().saturating_add(missed));
        self.deadline.set(deadline.saturating_add(period.saturating_mul(missed + 1)));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ptr::tests::leak;

    #[test]
    fn a_periodic_timer_does_not_drift_and_counts_what_it_missed() {
        let t: Ptr<Timer> = leak();
        t.deadline.set(100);
        t.period.set(10);
        assert!(t.expire(134));
        assert_eq!((t.overruns.get(), t.deadline.get(), t.expirations.get()), (3, 140, 1));
        assert_eq!((t.last_deadline.get(), t.last_seen.get()), (100, 134));
        assert!(t.expire(140));
        assert_eq!((t.overruns.get(), t.deadline.get(), t.expirations.get()), (3, 150, 2));
    }

    #[test]
    fn a_timer_without_period_expires_once_however_late() {
        let t: Ptr<Timer> = leak();
        t.deadline.set(100);
        assert!(!t.expire(Ticks::MAX));
        assert_eq!((t.overruns.get(), t.expirations.get(), t.last_deadline.get()), (0, 1, 100));
    }
}
