//! Waiting for an adapter.

use axiom_bus::{Wait, woken};
use axiom_rp1_client::Served;
use axiom_runtime::proto::env::{NOTIFIED, slot};
use axiom_runtime::sel4::CPtr;
use axiom_runtime::{IrqHandler, Notification, Timer, time};

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
    interrupt: u64,
    timer: Timer,
    timeout: u64,
    patience: u64,
    deadline: u64,
    pending: u64,
}

impl Waiter {
    /// For the interrupt of this bit, and a timer with its bit.
    pub fn new(acknowledge: Acknowledge, bit: u8, timer: (Timer, u64), patience_ns: u64) -> Waiter {
        let patience = time::from_nanoseconds(patience_ns);
        let interrupt = 1 << bit;
        Waiter { acknowledge, interrupt, timer: timer.0, timeout: timer.1, patience, deadline: 0, pending: 0 }
    }

    /// Bits that were signalled while a transaction ran.
    pub fn take_pending(&mut self) -> u64 {
        core::mem::take(&mut self.pending)
    }

    /// Bits that belong to the bus alone.
    pub fn own_bits(&self) -> u64 {
        self.interrupt | self.timeout
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
            let bits = Notification(CPtr(slot::NOTIFICATION)).wait() & !NOTIFIED;
            self.pending |= bits & !self.own_bits();
            let (interrupt, timer) = (bits & self.interrupt != 0, bits & self.timeout != 0);
            if let Some(in_time) = woken(interrupt, timer, time::ticks(), self.deadline) {
                if !in_time {
                    self.handled();
                }
                return in_time;
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
