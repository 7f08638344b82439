//! A server's pages, tables and slots in the making; and pages that init maps for itself.
use super::Context;
use crate::arch::{self, Table};
use crate::devices;
use crate::memory::{Memory, Object, Pool};
use crate::rows::SlotRows;
use crate::sys::{self, Unmapped};
use axiom_layout::{CNODE_BITS, address};
use axiom_proto::bundle::{ADDRESS as PAYLOAD, Segment};
use sel4_sys::object::{self as o, vm_attributes};
use sel4_sys::{CPtr, CapRights, Error};

/// Where init fills a server's pages.
const FILL_AT: u64 = address::INIT_FILL;

pub(super) const NO_EXECUTE: u64 = vm_attributes::DEFAULT | vm_attributes::EXECUTE_NEVER;

/// Maps a frame into init's own space.
pub fn map_own(memory: &mut Memory, frame: CPtr, vaddr: u64, rights: CapRights) -> Result<(), Error> {
    loop {
        match sys::map(frame, devices::OWN, vaddr, rights, NO_EXECUTE) {
            Ok(()) => return Ok(()),
            Err(Unmapped::Table(table)) => {
                let made = memory.make(Object::table(table))?;
                match sys::map_table(table, made, devices::OWN, vaddr) {
                    Ok(()) => {}
                    Err(Unmapped::Table(_)) => return Err(Error::FailedLookup),
                    Err(Unmapped::Other(error)) => return Err(error),
                }
            }
            Err(Unmapped::Other(error)) => return Err(error),
        }
    }
}

/// Whether something is in a frame that came empty.
pub fn is_touched(memory: &mut Memory, frame: CPtr) -> Result<bool, Error> {
    let copy = CPtr(memory.slot()?);
    let looked = sys::copy(copy.0, frame, CapRights::READ).and_then(|()| {
        map_own(memory, copy, FILL_AT, CapRights::READ)?;
        // SAFETY: a page is mapped readable at FILL_AT; its owner may write it meanwhile, but nobody runs while init does.
        let words = unsafe { core::slice::from_raw_parts(FILL_AT as *const u64, 512) };
        Ok(words.iter().any(|word| *word != 0))
    });
    memory.release(copy);
    looked
}

/// A server under construction.
pub(super) struct Build<'a> {
    pub(super) memory: &'a mut Memory,
    pub(super) pool: &'a mut Pool,
    pub(super) vspace: CPtr,
    pub(super) cnode: CPtr,
    pub(super) next_named: u64,
    pub(super) shared_bytes: u64,
}

impl Build<'_> {
    pub(super) fn map(
        &mut self,
        frame: CPtr,
        vaddr: u64,
        rights: CapRights,
        attributes: u64,
    ) -> Result<(), Error> {
        loop {
            match sys::map(frame, self.vspace, vaddr, rights, attributes) {
                Ok(()) => return Ok(()),
                Err(Unmapped::Table(table)) => self.add_table(table, vaddr)?,
                Err(Unmapped::Other(error)) => return Err(error),
            }
        }
    }

    /// Adds a table, and those above it that are missing.
    pub(super) fn add_table(&mut self, table: Table, vaddr: u64) -> Result<(), Error> {
        let made = self.pool.make(self.memory, Object::table(table))?;
        loop {
            match sys::map_table(table, made, self.vspace, vaddr) {
                Ok(()) => return Ok(()),
                Err(Unmapped::Table(above)) => self.add_table(above, vaddr)?,
                Err(Unmapped::Other(error)) => return Err(error),
            }
        }
    }

    /// All levels of tables for a range.
    pub(super) fn tables(&mut self, from: u64, bytes: u64) -> Result<(), Error> {
        let lowest = arch::missing_table(o::LARGE_PAGE_BITS);
        let mut at = from;
        while at < from + bytes {
            loop {
                match self.add_table(lowest, at) {
                    Ok(()) => {}
                    Err(Error::DeleteFirst) => break,
                    Err(error) => return Err(error),
                }
            }
            at += 1 << o::LARGE_PAGE_BITS;
        }
        Ok(())
    }

    /// Fresh pages, readable and writable.
    pub(super) fn pages(&mut self, vaddr: u64, bytes: u64) -> Result<SlotRows, Error> {
        let mut frames = SlotRows::new();
        let mut left = bytes.div_ceil(4096);
        let mut at = vaddr;
        while left > 0 {
            let (first, count) = self.pool.frames(self.memory, left)?;
            for i in 0..count {
                let frame = CPtr(first.0 + i);
                self.map(frame, at, CapRights::READ_WRITE, NO_EXECUTE)?;
                at += 4096;
            }
            frames.add(first, count);
            left -= count;
        }
        Ok(frames)
    }

    /// A page of device registers.
    pub(super) fn registers(&mut self, page: u64, vaddr: u64, rights: CapRights) -> Result<(), Error> {
        let frame = self.memory.device_frame(page)?;
        let copy = CPtr(self.memory.slot()?);
        sys::copy(copy.0, frame, rights)?;
        self.pool.adopt(copy);
        self.map(copy, vaddr, rights, arch::DEVICE)
    }

    /// A fresh page with contents.
    pub(super) fn filled_page(&mut self, vaddr: u64, bytes: &[u8], rights: CapRights) -> Result<CPtr, Error> {
        let frame = self.pool.make(self.memory, Object::PAGE)?;
        let copy = CPtr(self.memory.slot()?);
        sys::copy(copy.0, frame, CapRights::ALL)?;
        map_own(self.memory, copy, FILL_AT, CapRights::READ_WRITE)?;
        // SAFETY: a fresh page is mapped writable at FILL_AT, nobody else sees it, and `bytes` are at most a page.
        unsafe {
            core::ptr::copy_nonoverlapping(bytes.as_ptr(), FILL_AT as *mut u8, bytes.len().min(4096));
        }
        self.memory.release(copy);
        self.map(frame, vaddr, rights, NO_EXECUTE)?;
        Ok(frame)
    }

    /// A capability in one of the server's named slots.
    pub(super) fn name(&mut self, src: CPtr, rights: CapRights, badge: Option<u64>) -> Result<u64, Error> {
        let slot = self.next_named;
        self.next_named += 1;
        self.place(slot, src, rights, badge)?;
        Ok(slot)
    }

    pub(super) fn place(
        &self,
        slot: u64,
        src: CPtr,
        rights: CapRights,
        badge: Option<u64>,
    ) -> Result<(), Error> {
        match badge {
            Some(badge) => sys::mint_to(self.cnode, slot, CNODE_BITS, src, rights, badge),
            None => sys::copy_to(self.cnode, slot, CNODE_BITS, src, rights),
        }
    }

    /// Maps a page of the payload where it lies, read-only.
    pub(super) fn shared_page(
        &mut self,
        c: &Context<'_>,
        offset: u64,
        vaddr: u64,
        execute: bool,
    ) -> Result<(), Error> {
        let copy = CPtr(self.memory.slot()?);
        sys::copy(copy.0, CPtr(c.payload_frames + offset / 4096), CapRights::READ)?;
        self.pool.adopt(copy);
        self.shared_bytes += 4096;
        let attributes = if execute { vm_attributes::DEFAULT } else { NO_EXECUTE };
        self.map(copy, vaddr, CapRights::READ, attributes)
    }

    pub(super) fn segment(&mut self, c: &Context<'_>, s: &Segment) -> Result<(), Error> {
        let pages = s.mem_size.div_ceil(4096);
        for page in 0..pages {
            let (at, vaddr) = (page * 4096, s.vaddr + page * 4096);
            if !s.write && at < s.file_size {
                self.shared_page(c, s.offset + at, vaddr, s.execute)?;
            } else if at < s.file_size {
                let length = (s.file_size - at).min(4096) as usize;
                let source = (PAYLOAD as u64 + s.offset + at) as *const u8;
                // SAFETY: compose put the segment's bytes at this offset of the payload, which is mapped as a whole.
                let bytes = unsafe { core::slice::from_raw_parts(source, length) };
                self.filled_page(vaddr, bytes, CapRights::READ_WRITE)?;
            } else {
                return self.pages(vaddr, (pages - page) * 4096).map(drop);
            }
        }
        Ok(())
    }
}
