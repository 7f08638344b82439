//! The end of a server's life, and what comes after it: another one, by its restart policy, or none.
use super::requests::encode;
use super::tell::describe;
use super::{Supervisor, TOLD, microseconds_of, ticks_of};
use crate::pci::Mapped;
use crate::rows::SlotRows;
use crate::say::{Reason, finish};
use crate::{down, say, sys};
use axiom_layout::restarts;
use axiom_proto::LABEL_ERROR;
use axiom_proto::bundle::Restart;
use axiom_proto::supervisor::State;
use sel4_sys::stubs::{self, Received};

impl Supervisor {
    /// Whether a death of this server, or a start, is told: lines go out at the highest priority, so not all of them are.
    pub(super) fn is_told(&self, index: usize) -> bool {
        let hasty = self.lives[index].restarts.hasty;
        hasty <= TOLD || hasty.is_multiple_of(4)
    }

    /// A server faulted: says who, why and where; then the restart policy decides.
    pub(super) fn faulted(&mut self, index: usize, received: &Received) {
        let why = describe(received);
        if index < self.lives.len() {
            self.died(index, &why);
            self.start_due();
        }
    }

    /// A server's life is over.
    pub(super) fn died(&mut self, index: usize, why: &str) {
        let server = &self.system.servers[index];
        // The client that waits for an answer gets one.
        let (info, mrs) = encode(LABEL_ERROR, &axiom_proto::Error::PeerRestarted);
        stubs::nb_send(self.permanent[index].reply, info, mrs);
        let most = match server.restart {
            Restart::Always => None,
            Restart::Max(most) => Some(most),
            Restart::Never => Some(0),
        };
        let parks = server.parks;
        let life = &mut self.lives[index];
        life.state = State::Starting;
        life.thread = None;
        self.clear(index);
        let life = &mut self.lives[index];
        (life.stack, life.heap) = (SlotRows::new(), SlotRows::new());
        let lived = sys::ticks().wrapping_sub(life.started);
        let next = life.restarts.died(microseconds_of(self.axiom, lived), most, parks);
        let told = self.is_told(index);
        let name = &self.system.servers[index].name;
        if told {
            say!("'{name}' died: {why}");
        }
        let after_us = match next {
            restarts::Next::Down => {
                let why = if most == Some(0) {
                    "the manifest gives it no restart"
                } else {
                    "its restart policy is used up"
                };
                say!("'{name}' stays down: {why}");
                return self.down(index);
            }
            restarts::Next::Last { after_us } => {
                say!("'{name}' has used up its restarts: once more, to park its outputs");
                after_us
            }
            restarts::Next::Again { after_us } => after_us,
        };
        if after_us == 0 || self.timer.is_none() {
            say!("restarting '{}'", self.system.servers[index].name);
            self.start(index);
            return;
        }
        if told {
            say!("'{}' is started again in {} ms", self.system.servers[index].name, after_us / 1000);
        }
        self.lives[index].due = Some(sys::ticks() + ticks_of(self.axiom, after_us));
    }

    /// Takes everything from a server. Its devices' own accesses end first: what they would write to becomes something else.
    pub(super) fn clear(&mut self, index: usize) {
        for function in self.permanent[index].functions() {
            if let Err(error) = self.pci.set_master(&mut Mapped::new(&mut self.memory), function, false) {
                say!(
                    "a PCI function of '{}' is not switched off: {}",
                    self.system.servers[index].name,
                    Reason(error)
                );
                finish("a device could go on writing to memory that is no longer its server's");
            }
        }
        let life = &mut self.lives[index];
        life.resets.clear();
        life.pool.clear(&mut self.memory);
    }

    /// A server stays down: its callers are told from now on.
    pub(super) fn down(&mut self, index: usize) {
        let life = &mut self.lives[index];
        life.state = State::Down;
        life.due = None;
        let server = &self.system.servers[index];
        if let Err(error) =
            down::answer_for(&mut self.memory, &mut life.pool, &self.permanent[index], server.priority)
        {
            say!("nobody answers for '{}': {}; whoever calls it waits", server.name, Reason(error));
        }
        self.watchers.iter().for_each(|w| stubs::signal(*w));
        self.tell_when_all_are_ready();
    }
}
