//! The beginning of a server's life: its PCI functions' resets, while others run; then it is built.
use super::{Supervisor, ticks_of};
use crate::pci::Mapped;
use crate::pci::reset::{Next, Outcome, Resetting};
use crate::say::Reason;
use crate::spawn::{self, Context};
use crate::{say, sys};
use alloc::string::String;
use alloc::vec::Vec;
use axiom_proto::supervisor::State;
use sel4_sys::ext::event;
use sel4_sys::{CPtr, Error};

impl Supervisor {
    /// Resets a server's PCI functions, then builds and starts it; false (and a line) if it cannot be built. While there is something to wait
    /// for, it is due again, and its callers wait for it. Its functions' faults are not the system's: it stays down, and the others run.
    pub fn start(&mut self, index: usize) -> bool {
        self.lives[index].due = None;
        match self.reset(index) {
            Ok(None) => {}
            Ok(Some(after_us)) => {
                self.lives[index].due = Some(sys::ticks() + ticks_of(self.axiom, after_us));
                return true;
            }
            Err(why) => {
                say!("'{}' is not started: {why}", self.system.servers[index].name);
                self.clear(index);
                self.down(index);
                return true;
            }
        }
        // Whoever debugs others gets their threads: those that wait for a reset come first.
        let mut debugs = self.system.servers[index].debugs.iter().map(|peer| usize::from(*peer));
        if let Some(peer) = debugs.find(|peer| self.is_to_be_reset(*peer)) {
            self.lives[index].due = Some(self.lives[peer].due.unwrap_or_else(sys::ticks) + 1);
            return true;
        }
        self.build(index)
    }

    /// Goes on with the resets of a server's PCI functions: for how long to leave them alone, in microseconds, if they have not ended; or why
    /// it cannot be started.
    pub(super) fn reset(&mut self, index: usize) -> Result<Option<u64>, String> {
        let permanent = &self.permanent[index];
        let life = &mut self.lives[index];
        life.resets.resize(permanent.functions().count(), Resetting::FIRST);
        let mut wait = None;
        for (function, reset) in permanent.functions().zip(&mut life.resets) {
            let lost = |why: &dyn core::fmt::Display| {
                alloc::format!("PCI function {} does not come back from its reset: {why}", function.place())
            };
            match self.pci.step(&mut Mapped::new(&mut self.memory), function, reset) {
                Ok(Next::After(us)) => wait = wait.max(Some(us)),
                Ok(Next::Ended(Outcome::Lost(why))) => return Err(lost(&why)),
                Ok(Next::Ended(Outcome::Forgot | Outcome::Cannot)) => {}
                Err(error) => return Err(lost(&Reason(error))),
            }
        }
        Ok(wait)
    }

    /// Whether a server will be started, and has functions whose resets have not all ended.
    pub(super) fn is_to_be_reset(&self, index: usize) -> bool {
        let life = &self.lives[index];
        let ended = life.resets.iter().filter(|reset| reset.outcome().is_some()).count();
        life.state == State::Starting
            && life.thread.is_none()
            && ended < self.permanent[index].functions().count()
    }

    /// Lets those functions of a server that were reset access memory.
    pub(super) fn let_master(&mut self, index: usize) -> Result<(), Error> {
        for (function, reset) in self.permanent[index].functions().zip(&self.lives[index].resets) {
            if reset.outcome() == Some(Outcome::Forgot) {
                self.pci.set_master(&mut Mapped::new(&mut self.memory), function, true)?;
            } else {
                say!(
                    "PCI function {} cannot be reset: it gets no access to memory, for it could go on with what it was told before",
                    function.place()
                );
            }
        }
        Ok(())
    }

    /// Builds and starts a server; false (and a line) if that fails.
    pub(super) fn build(&mut self, index: usize) -> bool {
        let threads: Vec<Option<CPtr>> = self.lives.iter().map(|life| life.thread).collect();
        let context = Context {
            payload_frames: self.payload_frames,
            sched_control: self.sched_control,
            endpoint: self.endpoint,
            ready: self.ready,
            axiom: self.axiom,
            supervises: &self.supervises,
            servers: &self.system.servers,
            permanent: &self.permanent,
            threads: &threads,
            debug_calls: self.system.debug_calls,
        };
        let life = &mut self.lives[index];
        let (count, last) = (life.restarts.count, life.restarts.is_last());
        let built = spawn::spawn(&context, &mut self.memory, &mut life.pool, index, count, last);
        // The server runs when init waits, and not before: its functions may access memory from here on.
        match built.and_then(|running| self.let_master(index).map(|()| running)) {
            Ok(running) => {
                let life = &mut self.lives[index];
                life.state = State::Starting;
                life.panicked = false;
                life.shared_bytes = running.shared_bytes;
                (life.stack, life.heap) = (running.stack, running.heap);
                life.started = sys::ticks();
                life.reclaim = running.reclaim;
                life.thread = Some(running.tcb);
                self.trace(event::BOOT_SPAWNED, index as u16, Some(running.tcb));
                true
            }
            Err(error) => {
                say!("cannot start '{}': {}", self.system.servers[index].name, Reason(error));
                self.clear(index);
                self.down(index);
                false
            }
        }
    }

    /// The server that is due first, and when.
    pub(super) fn next_due(&self) -> Option<(u64, usize)> {
        self.lives.iter().enumerate().filter_map(|(i, life)| Some((life.due?, i))).min()
    }

    /// Starts those whose time has come, and sleeps until the next one's.
    pub(super) fn start_due(&mut self) {
        while let Some((at, index)) = self.next_due()
            && at <= sys::ticks()
        {
            self.start(index);
        }
        if let (Some(timer), Some((at, _))) = (self.timer, self.next_due())
            && sys::timer_arm(timer, at).is_err()
        {
            say!("the timer for restarts cannot be armed: they are immediate");
            while let Some((_, index)) = self.next_due() {
                if !self.is_to_be_reset(index) {
                    self.start(index);
                }
                // Its functions need the time.
                if self.is_to_be_reset(index) {
                    say!(
                        "'{}' is not started: nobody can wait for its PCI functions",
                        self.system.servers[index].name
                    );
                    self.clear(index);
                    self.down(index);
                }
            }
        }
    }
}
