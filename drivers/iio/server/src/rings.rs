//! The rings in which readers find scans: pages of the server's shared memory, given one by one to the one client that reads a device.
//!
//! The memory outlives this server, and so do the pages that its clients have mapped: a crash takes nothing away from a reader. This server
//! writes down who the reader of each ring is, in a page that nobody else can write, and reads that again when it is restarted. A ring goes to
//! another client only when nobody else can still have its pages: the reader has stopped, and this server has not been restarted since it
//! gave the pages, or the reader has died.

use axiom_layout::Badge;
use axiom_runtime::proto::env::{ClientBadge, Shared};
use axiom_runtime::proto::iio::RING_PAGES;
use axiom_runtime::proto::supervisor::{self, State};
use axiom_runtime::sel4::{CPtr, CapRights};
use axiom_runtime::{Buffer, CNode, Runtime, Slots, call};

const PAGE: u64 = 4096;
const PAGES: u64 = RING_PAGES as u64;
/// Where the note stands: after the writer's position, in its page.
const NOTE_AT: u64 = PAGE + 64;

/// Who has been given pages of a ring.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Note {
    /// The client, or nobody.
    badge: ClientBadge,
    /// How often it was started then, and one more.
    life: u64,
    /// This server's starts then.
    given_in: u64,
}

/// Another client reads it, or there is no memory for it (`shared_kib`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// Another client.
    Taken,
    /// No memory.
    NoMemory,
}

/// The rings of all devices.
pub struct Rings {
    rt: Runtime,
    shared: Option<Shared>,
    /// Holds a capability with fewer rights while it is sent.
    lent: Option<CPtr>,
}

impl Rings {
    /// What the manifest gives.
    pub fn new(rt: Runtime, slots: &mut Slots) -> Rings {
        Rings { rt, shared: rt.env().shared, lent: slots.take() }
    }

    /// A ring's first address and first frame.
    fn place(&self, device: usize) -> Option<(u64, CPtr)> {
        let (shared, first) = (self.shared?, device as u64 * PAGES);
        let there = first + PAGES <= u64::from(shared.pages);
        there.then_some((shared.address + first * PAGE, CPtr(shared.slot + first)))
    }

    fn note(&self, device: usize) -> Note {
        let Some((address, _)) = self.place(device) else { return Note::default() };
        // SAFETY: aligned, inside the ring's second page, which is mapped here for this server's life and written by it alone.
        unsafe { ((address + NOTE_AT) as *const Note).read() }
    }

    fn set_note(&mut self, address: u64, note: Note) {
        // SAFETY: as for `note`.
        unsafe { ((address + NOTE_AT) as *mut Note).write(note) };
    }

    /// How often a client was started, and one more; 0 for one that is down.
    fn life(&self, badge: ClientBadge) -> u64 {
        let (Some(Badge::Client(index)), Some(init)) =
            (Badge::from_word(badge.word()), self.rt.channel("init"))
        else {
            return 0;
        };
        let request = supervisor::Request::Server { index: index.into() };
        match call(init, supervisor::INTERFACE, &request, &mut Buffer::new()) {
            Ok(supervisor::Reply::Server(s)) if s.state != State::Down => u64::from(s.restarts) + 1,
            _ => 0,
        }
    }

    /// An empty ring for this client: its first page's address. What it was given of one before is taken back, or its own fault.
    pub fn start(&mut self, device: usize, badge: ClientBadge) -> Result<*mut u8, Refusal> {
        let (address, frames) = self.place(device).ok_or(Refusal::NoMemory)?;
        let before = self.note(device);
        let others = before.badge != ClientBadge::NOBODY && before.badge != badge;
        // Whoever died holds nothing any more.
        if others && self.life(before.badge) == before.life {
            return Err(Refusal::Taken);
        }
        let note = Note { badge, life: self.life(badge), given_in: self.rt.env().restarts.into() };
        take_back(frames);
        // First: a crash in between leaves a ring that is somebody's.
        self.set_note(address, note);
        let behind = NOTE_AT + size_of::<Note>() as u64;
        for (from, to) in [(0, NOTE_AT), (behind, PAGES * PAGE)] {
            // SAFETY: the ring's pages are mapped there for writing; readers have them for reading, but for the page of their position.
            unsafe { core::ptr::write_bytes((address + from) as *mut u8, 0, (to - from) as usize) };
        }
        Ok(address as *mut u8)
    }

    /// Takes the ring's pages back. If some were given by an earlier life, which this one cannot revoke, the ring stays their holder's.
    pub fn stop(&mut self, device: usize) {
        let Some((address, frames)) = self.place(device) else { return };
        take_back(frames);
        if self.note(device).given_in == u64::from(self.rt.env().restarts) {
            self.set_note(address, Note::default());
        }
    }

    /// Who reads a ring, or nobody.
    pub fn reader(&self, device: usize) -> ClientBadge {
        self.note(device).badge
    }

    /// A page of a ring, to send; and whether it may be mapped for writing.
    pub fn lend(&mut self, device: usize, page: u32) -> Option<(CPtr, bool)> {
        let (_, frames) = self.place(device).filter(|_| page < RING_PAGES)?;
        let to = self.lent?;
        // It is empty before the first one.
        let _ = CNode::OWN.delete(to);
        let rights = if page == 0 { CapRights::READ_WRITE } else { CapRights::READ };
        CNode::OWN.copy(to, CPtr(frames.0 + u64::from(page)), rights).ok()?;
        Some((to, page == 0))
    }
}

/// Whoever was given pages of a ring in this life has them no more.
fn take_back(frames: CPtr) {
    for page in 0..PAGES {
        // Of a capability that is there: nothing to refuse.
        let _ = CNode::OWN.revoke(CPtr(frames.0 + page));
    }
}
