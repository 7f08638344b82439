//! What is done when transfers fail. After a failed one, the next trigger tries again; after three in a row, the chip counts as absent
//! and is looked for from time to time. Nobody waits for a chip that does not answer.

/// Failures in a row after which a chip counts as absent.
const PATIENCE: u32 = 3;

/// A chip's condition.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Health {
    failures: u32,
    absent: bool,
    /// When to look for it again.
    look_at: u64,
}

/// What to do now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// Read it.
    Read,
    /// Look whether it is back.
    Probe,
    /// Nothing yet.
    Skip,
}

impl Health {
    /// A chip that was not found yet.
    pub fn missing() -> Health {
        Health { failures: PATIENCE, absent: true, look_at: 0 }
    }

    /// Whether it answers.
    pub fn present(&self) -> bool {
        !self.absent
    }

    /// What to do at a trigger.
    pub fn step(&self, now: u64) -> Step {
        match self.absent {
            false => Step::Read,
            true if now >= self.look_at => Step::Probe,
            true => Step::Skip,
        }
    }

    /// A transfer went well. Returns whether the chip was absent before.
    pub fn good(&mut self) -> bool {
        let back = self.absent;
        *self = Health::default();
        back
    }

    /// A transfer failed. `retry` is how long to leave an absent chip alone. Returns whether it has just become absent.
    pub fn bad(&mut self, now: u64, retry: u64) -> bool {
        self.failures += 1;
        if self.absent {
            self.look_at = now + retry;
            return false;
        }
        if self.failures >= PATIENCE {
            self.absent = true;
            self.look_at = now + retry;
            return true;
        }
        false
    }
}
