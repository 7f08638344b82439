//! How the server waits for its I2C adapter: for the interrupt or the end of patience, without losing what else is signalled.

use axiom_bus::{Next, Signalled, Wait, woken};
use axiom_rp1_client::Served;
use axiom_runtime::{Bit, IrqHandler, Notification, Signals, Timer, time};

/// Whom to tell that the interrupt was handled.
pub enum Acknowledge {
    /// The kernel.
    Handler(IrqHandler),
    /// RP1's server.
    Rp1(Served),
    /// There is no interrupt: waiting is looking again.
    Nobody,
}

/// Waits on the server's notification for the adapter's interrupt or the end of patience; what else is signalled
/// meanwhile is kept.
pub struct Waiter {
    acknowledge: Acknowledge,
    interrupt: Bit,
    timer: Timer,
    timeout: Bit,
    patience: u64,
    deadline: u64,
    pending: Signals,
}

impl Waiter {
    /// For the interrupt of this bit, and a timer with its bit.
    pub fn new(acknowledge: Acknowledge, interrupt: Bit, timer: (Timer, Bit), patience_ns: u64) -> Waiter {
        let patience = time::from_nanoseconds(patience_ns);
        let (timer, timeout) = timer;
        Waiter { acknowledge, interrupt, timer, timeout, patience, deadline: 0, pending: Signals::NONE }
    }

    /// What else was signalled while a transaction ran.
    pub fn take_pending(&mut self) -> Signals {
        core::mem::take(&mut self.pending)
    }

    /// Whether the bus's own bits are among them.
    pub fn is_among(&self, signals: Signals) -> bool {
        signals.has(self.interrupt) || signals.has(self.timeout)
    }
}

impl Wait for Waiter {
    fn begin(&mut self) {
        self.deadline = time::ticks() + self.patience;
        if !matches!(self.acknowledge, Acknowledge::Nobody) {
            let _ = self.timer.arm(self.deadline, 0);
        }
    }

    fn wait(&mut self) -> bool {
        if matches!(self.acknowledge, Acknowledge::Nobody) {
            return time::ticks() < self.deadline;
        }
        loop {
            let signals = Notification::OWN.wait();
            self.pending = self.pending.and(signals.without(self.interrupt).without(self.timeout));
            let by = Signalled { interrupt: signals.has(self.interrupt), timer: signals.has(self.timeout) };
            match woken(by, time::ticks(), self.deadline) {
                Next::Look => return true,
                Next::GiveUp => {
                    self.handled();
                    return false;
                }
                Next::WaitOn => {}
            }
        }
    }

    fn handled(&mut self) {
        match &self.acknowledge {
            // An interrupt that cannot be acknowledged does not come again; the deadline ends the wait for it.
            Acknowledge::Handler(handler) => drop(handler.ack()),
            Acknowledge::Rp1(served) => served.signal(),
            Acknowledge::Nobody => {}
        }
    }
}
