//! Objects on their way in, a piece a message.
//!
//! A client has one upload: a new one takes the place of its own, and nobody's takes another's. All together have [`TOTAL`] bytes.
//! Half of them are shares: each client of the manifest has one, which nobody else can take. With few clients a share is as large as an
//! object may be. An upload that is larger than its client's share takes the rest from the other half, first come, first served. If it
//! is not loaded within [`PATIENCE_MS`], it is dropped as soon as another one needs the room, even if it still grows or was begun again.
//! So a client that uploads and never loads can delay others by that time at most, and never takes their shares.

use crate::Platform;
use crate::failure::{Failure, fail, no_memory};
use crate::room::FLOOR;
use alloc::format;
use alloc::vec::Vec;
use axiom_proto::bpf::{MAX_OBJECT, Refusal};
use axiom_proto::env::ClientBadge;

/// Bytes that uploads may hold, all clients together.
pub(crate) const TOTAL: usize = 2 * MAX_OBJECT;
/// Milliseconds that an upload may hold more than its client's share, if another one needs the room.
pub(crate) const PATIENCE_MS: u64 = 5000;
/// The smallest buffer.
const SMALLEST: usize = 1024;

struct Upload {
    badge: ClientBadge,
    bytes: Vec<u8>,
    /// Since when it is above its share, however often it began anew; until it is loaded.
    since: Option<u64>,
    /// It had to give way; its client is told so once.
    gone: bool,
}

/// All uploads.
pub(crate) struct Uploads {
    clients: usize,
    all: Vec<Upload>,
}

impl Uploads {
    /// None, of so many clients.
    pub(crate) const fn new(clients: usize) -> Uploads {
        Uploads { clients, all: Vec::new() }
    }

    pub(crate) fn set_clients(&mut self, clients: usize) {
        self.clients = clients;
    }

    /// Bytes that each client has for certain. Clients are those of the manifest: their number does not change.
    pub(crate) fn share(&self) -> usize {
        let clients = self.clients.max(self.all.len()).max(1);
        if clients * MAX_OBJECT <= TOTAL { MAX_OBJECT } else { TOTAL / 2 / clients }
    }

    /// Bytes above the shares, of everybody but one client.
    fn above(&self, but: ClientBadge) -> usize {
        let share = self.share();
        let others = self.all.iter().filter(|u| u.badge != but);
        others.map(|u| u.bytes.capacity().saturating_sub(share)).sum()
    }

    /// Makes room above the shares: whoever has been there for too long gives way, the longest first.
    fn make_room(&mut self, for_badge: ClientBadge, bytes: usize, now: u64) -> Result<(), usize> {
        let share = self.share();
        let clients = self.clients.max(self.all.len()).max(1);
        let room = TOTAL.saturating_sub(clients * share);
        loop {
            let free = room.saturating_sub(self.above(for_badge));
            if bytes <= free {
                return Ok(());
            }
            let old = |u: &&mut Upload| {
                let long = u.since.is_some_and(|since| now.saturating_sub(since) >= PATIENCE_MS);
                u.badge != for_badge && u.bytes.capacity() > share && long
            };
            let Some(oldest) = self.all.iter_mut().filter(old).min_by_key(|u| u.since) else {
                return Err(free);
            };
            (oldest.bytes, oldest.since, oldest.gone) = (Vec::new(), None, true);
        }
    }

    fn of(&mut self, badge: ClientBadge) -> Result<usize, Failure> {
        if let Some(index) = self.all.iter().position(|u| u.badge == badge) {
            return Ok(index);
        }
        self.all.try_reserve(1).map_err(|_| no_memory())?;
        self.all.push(Upload { badge, bytes: Vec::new(), since: None, gone: false });
        Ok(self.all.len() - 1)
    }

    /// Adds a piece at an offset; 0 begins anew.
    pub(crate) fn add<P: Platform>(
        &mut self,
        badge: ClientBadge,
        offset: u32,
        bytes: &[u8],
        now: u64,
    ) -> Result<(), Failure> {
        let index = self.of(badge)?;
        let share = self.share();
        let upload = &mut self.all[index];
        if offset == 0 {
            // A buffer within the share stays: it is its client's.
            match upload.bytes.capacity() > share {
                true => upload.bytes = Vec::new(),
                false => upload.bytes.clear(),
            }
            upload.gone = false;
        }
        let length = upload.bytes.len();
        if core::mem::take(&mut upload.gone) {
            let text = format!(
                "the upload has taken longer than {} s and gave way to another one: begin again at byte 0",
                PATIENCE_MS / 1000
            );
            return Err(fail(Refusal::Resources, text));
        }
        if offset as usize != length || length + bytes.len() > MAX_OBJECT {
            let text = format!(
                "an upload goes on at byte {length}, not at {offset}, and ends at {MAX_OBJECT} bytes"
            );
            return Err(fail(Refusal::BadRequest, text));
        }
        if upload.bytes.capacity() < length + bytes.len() {
            self.grow::<P>(index, length + bytes.len(), now)?;
        }
        self.all[index].bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// Makes a buffer longer: twice as long each time, since it is copied.
    fn grow<P: Platform>(&mut self, index: usize, length: usize, now: u64) -> Result<(), Failure> {
        let capacity = length.next_power_of_two().clamp(SMALLEST, MAX_OBJECT);
        let badge = self.all[index].badge;
        let share = self.share();
        if let Err(free) = self.make_room(badge, capacity.saturating_sub(share), now) {
            let text = format!(
                "an upload of {length} bytes is more than the {share} that each client has for certain, and others have left {free} bytes: \
                 wait for {} s, send a smaller object, or put it among the blobs of bpf-server",
                PATIENCE_MS / 1000
            );
            return Err(fail(Refusal::Resources, text));
        }
        let upload = &mut self.all[index];
        if capacity > share {
            upload.since.get_or_insert(now);
        }
        let buffer = &mut upload.bytes;
        let more = capacity - buffer.len();
        // A power of two is a block of the heap's, whole.
        if !P::has_memory(FLOOR + capacity) || buffer.try_reserve_exact(more).is_err() {
            *buffer = Vec::new();
            return Err(no_memory());
        }
        Ok(())
    }

    /// A client's upload, to be loaded; the buffer goes with it.
    pub(crate) fn take(&mut self, badge: ClientBadge) -> Vec<u8> {
        let Some(upload) = self.all.iter_mut().find(|u| u.badge == badge) else { return Vec::new() };
        upload.since = None;
        core::mem::take(&mut upload.bytes)
    }

    /// The client is gone.
    pub(crate) fn forget(&mut self, badge: ClientBadge) {
        self.all.retain(|u| u.badge != badge);
    }

    /// Bytes that are held.
    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
        self.all.iter().map(|u| u.bytes.capacity()).sum()
    }
}
