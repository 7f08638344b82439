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

/// What was signalled while somebody waited for a controller.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Signalled {
    /// The controller's interrupt.
    pub interrupt: bool,
    /// The timer that ends the wait.
    pub timer: bool,
}

/// What a waiter does next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// It looks at the controller, whose interrupt came in time.
    Look,
    /// It gives up: the time is over.
    GiveUp,
    /// It waits on.
    WaitOn,
}

/// What a waiter does next. The clock decides, whatever was signalled: a controller that interrupts without getting on would hold its driver
/// for ever, and a timer's signal may be left over from an earlier transaction.
pub fn woken(by: Signalled, now: u64, deadline: u64) -> Next {
    let over = now >= deadline;
    match by {
        Signalled { interrupt: true, .. } if !over => Next::Look,
        Signalled { interrupt: true, .. } | Signalled { timer: true, .. } if over => Next::GiveUp,
        _ => Next::WaitOn,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Signalled = Signalled { interrupt: false, timer: false };
    const INTERRUPT: Signalled = Signalled { interrupt: true, ..NOTHING };
    const TIMER: Signalled = Signalled { timer: true, ..NOTHING };
    const BOTH: Signalled = Signalled { interrupt: true, timer: true };

    #[test]
    fn a_controller_that_interrupts_for_ever_is_waited_for_until_the_deadline() {
        let waits = (0..).take_while(|now| woken(INTERRUPT, *now, 100) == Next::Look).count();
        assert_eq!(waits, 100);
        assert_eq!([woken(INTERRUPT, 100, 100), woken(BOTH, 100, 100)], [Next::GiveUp; 2]);
        assert_eq!(woken(BOTH, 99, 100), Next::Look);
    }

    #[test]
    fn a_timers_signal_from_before_ends_nothing() {
        assert_eq!(woken(TIMER, 99, 100), Next::WaitOn);
        assert_eq!(woken(TIMER, 100, 100), Next::GiveUp);
        assert_eq!(woken(NOTHING, 200, 100), Next::WaitOn);
    }
}
