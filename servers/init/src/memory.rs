//! init's slots and memory. A server's objects are made from its own pool, which is emptied as a whole when the server dies; frames of
//! device registers are found by their address.
use crate::arch::Table;
use crate::pci::places::{Offered, Span};
use crate::rows::SlotRows;
use crate::sys;
use alloc::vec::Vec;
use axiom_layout::Runs;
use sel4_sys::bootinfo::BootInfo;
use sel4_sys::object::{self as o, kind};
use sel4_sys::{CPtr, Error, ext};

/// The least that a pool takes from init at a time: servers hold little more than they use.
const CHUNK_BITS: u32 = 14;
/// The least of what is skipped that is kept: a slot costs 32 bytes.
const LEAST_PIECE_BITS: u32 = 10;

#[derive(Clone, Copy)]
struct Untyped {
    cap: CPtr,
    base: u64,
    bits: u32,
    used: u64,
}

/// Device registers that init looks at for a moment.
pub struct Look {
    /// What is to be mapped.
    pub frame: CPtr,
    untyped: Untyped,
}

/// Everything that init can still hand out.
pub struct Memory {
    ram: Vec<Untyped>,
    devices: Vec<Untyped>,
    device_frames: Vec<(u64, CPtr)>,
    offered: Offered,
    slots: Runs,
    /// Bytes taken from RAM.
    pub allocated: u64,
}

impl Memory {
    /// What BootInfo offers.
    pub fn new(info: &BootInfo) -> Memory {
        let mut memory = Memory {
            ram: Vec::new(),
            devices: Vec::new(),
            device_frames: Vec::new(),
            offered: Offered::default(),
            slots: Runs::new(info.empty.start, info.empty.end),
            allocated: 0,
        };
        let count = (info.untyped.end - info.untyped.start) as usize;
        for (i, u) in info.untyped_list.iter().take(count).enumerate() {
            let cap = CPtr(info.untyped.start + i as u64);
            let untyped = Untyped { cap, base: u.paddr, bits: u.size_bits.into(), used: 0 };
            if u.is_device != 0 { memory.devices.push(untyped) } else { memory.ram.push(untyped) }
        }
        let spans = |blocks: &[Untyped]| {
            blocks.iter().map(|u| Span { from: u.base, end: u.base + (1 << u.bits) }).collect()
        };
        memory.offered = Offered::new(spans(&memory.ram), spans(&memory.devices));
        // Small ones first: they are used up before the large ones are broken.
        memory.ram.sort_by_key(|u| u.bits);
        memory
    }

    /// What the kernel offered at boot, by address.
    pub fn offered(&self) -> &Offered {
        &self.offered
    }

    /// An empty slot.
    pub fn slot(&mut self) -> Result<u64, Error> {
        self.slots(1)
    }

    /// Empty slots in a row.
    pub fn slots(&mut self, count: u64) -> Result<u64, Error> {
        self.slots.take(count).ok_or(Error::NotEnoughMemory)
    }

    /// Empties a slot and takes it back.
    pub fn release(&mut self, slot: CPtr) {
        if sys::delete(slot).is_ok() {
            self.slots.give(slot.0, 1);
        }
    }

    /// Objects for good, outside any pool.
    pub fn make(&mut self, object: Object) -> Result<CPtr, Error> {
        let Object { kind, bits, size_bits } = object;
        let size = 1 << size_bits;
        let fits = |u: &Untyped| u.used.next_multiple_of(size) + size <= 1 << u.bits;
        let index = self.ram.iter().position(fits).ok_or(Error::NotEnoughMemory)?;
        let index = self.align(index, size)?;
        let slot = self.slot()?;
        let u = &mut self.ram[index];
        let start = u.used.next_multiple_of(size);
        sys::retype(u.cap, kind, bits, slot, 1).inspect_err(|_| self.slots.give(slot, 1))?;
        self.allocated += start + size - u.used;
        u.used = start + size;
        Ok(CPtr(slot))
    }

    /// Makes blocks of their own of what would be skipped in a block for the alignment of its next object: the kernel hands out a block's
    /// bytes in order, so what was skipped is nobody's. Returns the block's place, which is after those.
    fn align(&mut self, mut index: usize, alignment: u64) -> Result<usize, Error> {
        loop {
            let u = self.ram[index];
            // The largest that is aligned here; all of them together end where the object begins.
            let bits = u.used.trailing_zeros();
            if u.used.is_multiple_of(alignment) || bits < LEAST_PIECE_BITS {
                return Ok(index);
            }
            let slot = self.slot()?;
            sys::retype(u.cap, kind::UNTYPED, bits, slot, 1).inspect_err(|_| self.slots.give(slot, 1))?;
            self.ram[index].used += 1 << bits;
            let piece = Untyped { cap: CPtr(slot), base: u.base + u.used, bits, used: 0 };
            // It is smaller than the block, and so comes before it.
            self.ram.insert(self.ram.partition_point(|u| u.bits < bits), piece);
            index += 1;
        }
    }

    /// The frame of device registers at a page, made once.
    pub fn device_frame(&mut self, page: u64) -> Result<CPtr, Error> {
        if let Some((_, frame)) = self.device_frames.iter().find(|f| f.0 == page) {
            return Ok(*frame);
        }
        let untyped = self.device_block(page, 12)?;
        let slot = self.slot()?;
        sys::retype(untyped, kind::SMALL_PAGE, 0, slot, 1)?;
        self.device_frames.push((page, CPtr(slot)));
        Ok(CPtr(slot))
    }

    /// A large page of device registers, for a look: [`Memory::give_back`] ends it.
    pub fn device_look(&mut self, base: u64) -> Result<Look, Error> {
        const BITS: u32 = o::LARGE_PAGE_BITS as u32;
        let untyped = Untyped { cap: self.device_block(base, BITS)?, base, bits: BITS, used: 0 };
        let slot = self.slot()?;
        sys::retype(untyped.cap, kind::LARGE_PAGE, 0, slot, 1)?;
        Ok(Look { frame: CPtr(slot), untyped })
    }

    /// Takes such a page back, with its mapping: what it covers can be given away, in pieces of any size.
    pub fn give_back(&mut self, look: Look) -> Result<(), Error> {
        sys::delete(look.frame)?;
        self.slots.give(look.frame.0, 1);
        self.devices.push(look.untyped);
        Ok(())
    }

    /// Untyped memory that covers addresses of devices (`bytes` of them, whole pages), in as few blocks as their alignment
    /// allows; it is given away once.
    pub fn device_range(&mut self, from: u64, bytes: u64) -> Result<Vec<DeviceBlock>, Error> {
        let (mut at, end) = (from, from + bytes);
        let mut blocks = Vec::new();
        while at < end {
            let mut bits = at.trailing_zeros().min((end - at).ilog2());
            // Where a part was given away already, the rest goes in smaller blocks.
            let cap = loop {
                match self.device_block(at, bits) {
                    Err(Error::FailedLookup) if bits > 12 => bits -= 1,
                    other => break other?,
                }
            };
            blocks.push(DeviceBlock { base: at, bits, cap });
            at += 1 << bits;
        }
        Ok(blocks)
    }

    /// The untyped memory of devices at an address, cut out in this size.
    fn device_block(&mut self, base: u64, bits: u32) -> Result<CPtr, Error> {
        loop {
            let found = self
                .devices
                .iter()
                .enumerate()
                .filter(|(_, u)| u.bits >= bits && base >= u.base && base - u.base < 1 << u.bits)
                .min_by_key(|(_, u)| u.bits)
                .map(|(i, _)| i)
                .ok_or(Error::FailedLookup)?;
            let u = self.devices.swap_remove(found);
            if u.bits == bits {
                return Ok(u.cap);
            }
            // Halves, until one is the block.
            let first = self.slots(2)?;
            sys::retype(u.cap, kind::UNTYPED, u.bits - 1, first, 2)?;
            for i in 0..2 {
                let base = u.base + (i << (u.bits - 1));
                self.devices.push(Untyped { cap: CPtr(first + i), base, bits: u.bits - 1, used: 0 });
            }
        }
    }
}

/// Untyped memory of devices.
#[derive(Clone, Copy)]
pub struct DeviceBlock {
    /// Its first address.
    pub base: u64,
    /// Its size, as a power of two.
    pub bits: u32,
    /// The capability.
    pub cap: CPtr,
}

/// What can be made of untyped memory: its type, the size that its maker chooses, and the memory that it takes, as powers of two.
#[derive(Clone, Copy)]
pub struct Object {
    kind: u64,
    bits: u32,
    size_bits: u32,
}

impl Object {
    /// An endpoint.
    pub const ENDPOINT: Object = Object::plain(kind::ENDPOINT, o::ENDPOINT_BITS);
    /// A notification.
    pub const NOTIFICATION: Object = Object::plain(kind::NOTIFICATION, o::NOTIFICATION_BITS);
    /// A reply object.
    pub const REPLY: Object = Object::plain(kind::REPLY, o::REPLY_BITS);
    /// A thread.
    pub const TCB: Object = Object::plain(kind::TCB, o::TCB_BITS);
    /// An address space.
    pub const VSPACE: Object = Object::plain(kind::VSPACE, o::VSPACE_BITS);
    /// A page of memory.
    pub const PAGE: Object = Object::plain(kind::SMALL_PAGE, o::PAGE_BITS);
    /// A timer.
    pub const TIMER: Object = Object::plain(ext::TIMER_TYPE, ext::TIMER_BITS);

    const fn plain(kind: u64, size_bits: u64) -> Object {
        Object { kind, bits: 0, size_bits: size_bits as u32 }
    }

    /// A CNode with so many slots.
    pub const fn cnode(bits: u32) -> Object {
        Object { kind: kind::CNODE, bits, size_bits: bits + o::SLOT_BITS as u32 }
    }

    /// A scheduling context of this size.
    pub const fn sched_context(bits: u32) -> Object {
        Object { kind: kind::SCHED_CONTEXT, bits, size_bits: bits }
    }

    /// Untyped memory of this size.
    pub const fn untyped(bits: u32) -> Object {
        Object { kind: kind::UNTYPED, bits, size_bits: bits }
    }

    /// A page table.
    pub const fn table(table: Table) -> Object {
        Object { kind: table.kind, bits: 0, size_bits: table.bits }
    }
}

/// Memory of one server: everything made from it goes at once, and comes back for its next life.
#[derive(Default)]
pub struct Pool {
    chunks: Vec<Untyped>,
    slots: SlotRows,
}

impl Pool {
    /// Bytes that the pool holds.
    pub fn bytes(&self) -> u64 {
        self.chunks.iter().map(|c| 1 << c.bits).sum()
    }

    /// Makes an object.
    pub fn make(&mut self, m: &mut Memory, object: Object) -> Result<CPtr, Error> {
        self.make_row(m, object, 1)
    }

    /// Makes `count` objects in slots in a row; the first.
    pub fn make_row(&mut self, m: &mut Memory, object: Object, count: u64) -> Result<CPtr, Error> {
        let Object { kind, bits, size_bits } = object;
        let size = count << size_bits;
        let fits = |c: &Untyped| c.used.next_multiple_of(1 << size_bits) + size <= 1 << c.bits;
        let index = match self.chunks.iter().position(fits) {
            Some(index) => index,
            None => {
                let chunk = CHUNK_BITS.max(size.next_power_of_two().ilog2());
                let cap = m.make(Object::untyped(chunk))?;
                self.chunks.push(Untyped { cap, base: 0, bits: chunk, used: 0 });
                self.chunks.len() - 1
            }
        };
        let first = m.slots(count)?;
        let chunk = &mut self.chunks[index];
        sys::retype(chunk.cap, kind, bits, first, count).inspect_err(|_| m.slots.give(first, count))?;
        chunk.used = chunk.used.next_multiple_of(1 << size_bits) + size;
        self.slots.add(CPtr(first), count);
        Ok(CPtr(first))
    }

    /// Frames, as many in a row as one call makes: first slot and count.
    pub fn frames(&mut self, m: &mut Memory, wanted: u64) -> Result<(CPtr, u64), Error> {
        let room = |c: &Untyped| ((1u64 << c.bits) - c.used.next_multiple_of(4096).min(1 << c.bits)) / 4096;
        let best = self.chunks.iter().map(room).max().unwrap_or(0);
        let count = if best == 0 { wanted.min(16) } else { wanted.min(best) }.min(o::RETYPE_FAN_OUT);
        Ok((self.make_row(m, Object::PAGE, count)?, count))
    }

    /// A capability that goes with the pool.
    pub fn adopt(&mut self, slot: CPtr) {
        self.slots.add(slot, 1);
    }

    /// Destroys everything that was made from the pool.
    pub fn clear(&mut self, m: &mut Memory) {
        for chunk in &mut self.chunks {
            if sys::revoke(chunk.cap).is_ok() {
                chunk.used = 0;
            }
        }
        for slot in core::mem::take(&mut self.slots).iter() {
            m.release(slot);
        }
    }
}
