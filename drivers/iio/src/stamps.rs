//! Timestamps of samples that come in batches.

/// The timestamps of a batch: apart by the chip's rate and ending at the newest, squeezed where the batch would otherwise begin
/// before the end of the one before it. They rise, and none lies in the future.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stamps {
    newest: u64,
    step: u64,
    count: u64,
}

impl Stamps {
    /// For `count` samples of which the last came at `newest`, after others up to `before`; all in nanoseconds.
    pub fn new(before: u64, newest: u64, interval: u64, count: u64) -> Stamps {
        let room = newest.saturating_sub(before) / count.max(1);
        Stamps { newest, step: interval.min(room), count }
    }

    /// Of sample `index`, from 1.
    pub fn of(self, index: u64) -> u64 {
        self.newest.saturating_sub(self.count.saturating_sub(index) * self.step)
    }
}
