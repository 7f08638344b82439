//! A ring buffer of a program, mapped here and read without asking anybody.

use crate::BpfServer;
use axiom_bpf_maps::Consumer;
use axiom_runtime::proto::bpf::ProgramId;
use axiom_runtime::sel4::CPtr;
use axiom_runtime::{CNode, Frame, Pages, Slots};

/// A mapped ring.
pub struct Ring {
    /// Its reading end.
    pub consumer: Consumer,
    slots: [CPtr; MAX_PAGES],
    pages: usize,
    address: u64,
}

const MAX_PAGES: usize = 8;

/// Maps a ring buffer: its first page writable, for the reader's position, the others read-only.
pub fn map(
    server: BpfServer,
    id: ProgramId,
    name: &str,
    slots: &mut Slots,
    space: &mut Pages,
) -> Option<Ring> {
    let mut taken = [CPtr::NULL; MAX_PAGES];
    let mut pages = 1;
    let mut address = 0;
    let mut page = 0;
    while page < pages {
        let slot = slots.take()?;
        taken[page] = slot;
        let (all, writable) = server.map_frame(id, name, page as u32, slot)?;
        if page == 0 {
            pages = all as usize;
            if pages > MAX_PAGES {
                return None;
            }
            address = space.take(pages)?;
        }
        Frame(slot).map_data(address + page as u64 * 4096, writable).ok()?;
        page += 1;
    }
    let size = (pages - 2) as u32 * 4096;
    // SAFETY: the ring's pages are mapped in a row, the first one writable; this is the only consumer.
    let consumer = unsafe { Consumer::new(address as *mut u8, size) }?;
    Some(Ring { consumer, slots: taken, pages, address })
}

impl Ring {
    /// Unmaps it. Before the program is unloaded: afterwards its frames are gone, and a read would be a fault.
    pub fn unmap(self, slots: &mut Slots, space: &mut Pages) {
        for slot in &self.slots[..self.pages] {
            let _ = CNode::OWN.delete(*slot);
            slots.give(*slot);
        }
        space.give(self.address, self.pages);
    }
}
