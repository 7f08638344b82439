//! When each sample of a batch was taken: the chip tells only of the batch as a whole.

/// The timestamps of a batch. They end at the newest and lie one interval of the chip apart. If the batch would then begin before the
/// end of the previous one, they lie closer together. They never fall, and none lies in the future.
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
