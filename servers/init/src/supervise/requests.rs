//! What servers ask init for. The badge says who asks; the manifest says what that server may ask for.
use super::{Answer, PANIC_TEXT, Supervisor};
use crate::permanent;
use crate::say::finish;
use crate::spawn::{self, Running};
use crate::{say, sys};
use alloc::string::String;
use alloc::vec::Vec;
use axiom_proto::console::printable;
use axiom_proto::supervisor::{self, Area, Reply, Request};
use axiom_proto::{LABEL_ERROR, LABEL_OK, wire};
use sel4_sys::stubs::Received;
use sel4_sys::{Error, MessageInfo};

impl Supervisor {
    pub(super) fn request(&mut self, caller: usize, received: &Received) -> Answer {
        let bytes = message_bytes(received);
        match wire::decode::<Request<'_>>(&bytes) {
            Err(error) => encode(LABEL_ERROR, &error),
            Ok(Request::Reclaim) => match self.reclaim(caller) {
                Ok(()) => encode(LABEL_OK, &Reply::Done),
                Err(_) => encode(LABEL_ERROR, &axiom_proto::Error::NotGranted),
            },
            Ok(Request::Panicked { text }) => {
                // Once: whoever asks again and again must not fill the log in init's name.
                if let Some((life, server)) = self.lives.get_mut(caller).zip(self.system.servers.get(caller))
                    && !core::mem::replace(&mut life.panicked, true)
                {
                    // Lines of init's go out at the highest priority: a short one.
                    let text: String = printable(text).take(PANIC_TEXT).collect();
                    say!("'{}' panicked: {text}", server.name);
                }
                encode(LABEL_OK, &Reply::Done)
            }
            Ok(Request::Server { index }) => match self.lives.get(index as usize) {
                None => encode(LABEL_OK, &Reply::End),
                Some(life) => encode(
                    LABEL_OK,
                    &Reply::Server(supervisor::Server {
                        name: &self.system.servers[index as usize].name,
                        state: life.state,
                        restarts: life.restarts.count,
                        shared_bytes: life.shared_bytes,
                        own_bytes: life.pool.bytes() + self.kept_bytes(index as usize),
                    }),
                ),
            },
            Ok(Request::Touched { index, area, page }) => self.touched(caller, index, area, page),
            Ok(Request::System) => encode(LABEL_OK, &Reply::System(self.figures())),
            Ok(Request::Finish { failure }) => match self.system.servers.get(caller) {
                Some(server) if server.ends_run => finish(failure),
                _ => encode(LABEL_ERROR, &axiom_proto::Error::NotGranted),
            },
        }
    }

    /// One page: at init's priority, work has a bound.
    pub(super) fn touched(&mut self, caller: usize, index: u32, area: Area, page: u32) -> Answer {
        if !self.system.servers.get(caller).is_some_and(|server| server.trace) {
            return encode(LABEL_ERROR, &axiom_proto::Error::NotGranted);
        }
        let life = self.lives.get(index as usize);
        let frames = life.map(|life| match area {
            Area::Stack => &life.stack,
            Area::Heap => &life.heap,
        });
        let Some(frame) = frames.and_then(|frames| frames.get(page.into())) else {
            return encode(LABEL_OK, &Reply::End);
        };
        match spawn::is_touched(&mut self.memory, frame) {
            Ok(touched) => encode(LABEL_OK, &Reply::Touched(touched)),
            Err(_) => encode(LABEL_ERROR, &axiom_proto::Error::Busy),
        }
    }

    /// Memory that outlives a server's restarts.
    pub(super) fn kept_bytes(&self, index: usize) -> u64 {
        let bits = permanent::untyped_bits(&self.system.servers[index]);
        let untyped = bits.filter(|_| self.permanent[index].untyped.is_some()).map_or(0, |bits| 1 << bits);
        untyped + self.permanent[index].shared.count() * 4096
    }

    pub(super) fn figures(&self) -> supervisor::Figures {
        let a = self.axiom.unwrap_or_default();
        supervisor::Figures {
            kernel_text: a.kernel_text,
            kernel_rodata: a.kernel_rodata,
            kernel_data: a.kernel_data,
            kernel_bss: a.kernel_bss,
            boot_allocated: a.boot_allocated,
            ram_bytes: a.ram_bytes,
            bundle_bytes: self.image_bytes,
            init_allocated: self.memory.allocated,
            entry_counter: a.entry_counter,
        }
    }

    /// Empties the untyped memory of a server that has told those who used it, and gives it to this life.
    pub(super) fn reclaim(&mut self, caller: usize) -> Result<(), Error> {
        let life = self.lives.get_mut(caller).ok_or(Error::RangeError)?;
        let ((cnode, slot), untyped) =
            life.reclaim.zip(self.permanent[caller].untyped).ok_or(Error::IllegalOperation)?;
        sys::revoke(untyped)?;
        Running::give_untyped(cnode, slot, untyped)?;
        life.reclaim = None;
        Ok(())
    }
}

pub(super) fn message_bytes(received: &Received) -> Vec<u8> {
    let words = received.info.length().min(sel4_sys::message::MAX_LENGTH);
    let mut bytes = Vec::with_capacity(words * 8);
    for i in 0..words {
        let word = if i < 4 { received.mrs[i] } else { sys::buffer().msg[i] };
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    bytes
}

/// A message in registers and IPC buffer.
pub(super) fn encode<T: serde::Serialize>(label: u64, value: &T) -> Answer {
    let mut bytes = [0; wire::MAX_WORDS * 8];
    let Ok(words) = wire::encode(value, &mut bytes) else {
        return (MessageInfo::new(LABEL_ERROR, 0, 0, 0), [0; 4]);
    };
    let mut mrs = [0; 4];
    for (i, chunk) in bytes.as_chunks::<8>().0.iter().enumerate().take(words) {
        let word = u64::from_le_bytes(*chunk);
        if i < 4 {
            mrs[i] = word;
        } else {
            sys::buffer().msg[i] = word;
        }
    }
    (MessageInfo::new(label, 0, 0, words as u64), mrs)
}
