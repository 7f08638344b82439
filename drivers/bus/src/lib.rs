//! What every bus driver needs from whoever runs it: a way to wait for its device, with a limit.
#![no_std]

/// How a bus driver waits for its controller.
pub trait Wait {
    /// A transaction starts: from now on [`Wait::wait`] counts its time.
    fn begin(&mut self);
    /// Waits for the controller's interrupt (or, where there is none, a moment); false when the transaction's time
    /// is over, whatever came.
    fn wait(&mut self) -> bool;
    /// The interrupt was handled in the controller: let it come again.
    fn handled(&mut self);
}

/// What a signal means to whoever waits for a controller: `Some(true)`, its interrupt in time; `Some(false)`, the time is over; `None`,
/// wait on. The clock decides, whatever was signalled: a controller that interrupts without getting on would hold its driver for ever,
/// and a timer's signal may be left over from an earlier transaction.
pub fn woken(interrupt: bool, timer: bool, now: u64, deadline: u64) -> Option<bool> {
    match (interrupt, timer, now < deadline) {
        (true, _, in_time) => Some(in_time),
        (false, true, false) => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::woken;

    #[test]
    fn a_controller_that_interrupts_for_ever_is_waited_for_until_the_deadline() {
        let waits = (0..).take_while(|now| woken(true, false, *now, 100) == Some(true)).count();
        assert_eq!(waits, 100);
        assert_eq!(woken(true, true, 100, 100), Some(false));
    }

    #[test]
    fn a_timers_signal_from_before_ends_nothing() {
        assert_eq!(woken(false, true, 99, 100), None);
        assert_eq!(woken(false, true, 100, 100), Some(false));
        assert_eq!(woken(false, false, 200, 100), None);
    }
}
