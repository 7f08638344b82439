//! Address spaces: one kind of table for all levels, and maintenance of the caches.
use crate::arch::paging::{self, Entry};
use crate::arch::tables::TableKind;
use crate::cap::Cap;
use crate::invoke::args::{Args, Invoked, Outcome, Stop, live, missing};
use crate::machine::{CacheOp, Machine};
use crate::object::LookupFailure;
use crate::preempt::preemption_point;
use crate::ptr::{PhysAddr, Ptr};
use crate::space as spaces;
use core::cell::Cell;
use sel4_sys::label;

/// The labels that map and unmap a table.
#[inline(always)]
pub fn table_labels(_: TableKind) -> (u64, u64) {
    (label::PAGE_TABLE_MAP, label::PAGE_TABLE_UNMAP)
}

/// What of an address is held against the end of user space, which is one of tables of every level: all of it.
#[inline(always)]
pub fn table_start(vaddr: u64, _: TableKind) -> u64 {
    vaddr
}

/// Where the next table towards an address goes, and the level of that place.
#[inline(always)]
pub fn table_place(root: PhysAddr, vaddr: u64, _: TableKind) -> Result<(Ptr<Cell<u64>>, u32), Stop> {
    Ok(spaces::walk(root, vaddr, 3))
}

/// Where a frame of this level goes.
#[inline(always)]
pub fn leaf<M: Machine>(_: M, root: PhysAddr, vaddr: u64, level: u32) -> Result<Ptr<Cell<u64>>, Stop> {
    let (entry, found) = spaces::walk(root, vaddr, 3);
    if found == level { Ok(entry) } else { Err(missing(found)) }
}

/// Invokes a frame with a label that is this architecture's: caches, by offset in the frame.
pub fn frame<M: Machine>(m: M, args: &Args, cap: Cap) -> Invoked {
    let Cap::Frame { base, size, device, mapping, .. } = cap else { return Err(Stop::IllegalOperation) };
    if !(label::PAGE_CLEAN..=label::PAGE_UNIFY).contains(&args.label) {
        return Err(Stop::IllegalOperation);
    }

    args.need(2, 0)?;
    let Some(mapping) = mapping else { return Err(Stop::IllegalOperation) };
    let Some(root) = spaces::root_of(m.shared(), mapping.asid) else {
        return Err(Stop::FailedLookup { source: false, failure: LookupFailure::InvalidRoot });
    };
    let (start, end) = (args.word(0), args.word(1));
    if end <= start {
        return Err(Stop::InvalidArgument(1));
    }
    let bytes = 1u64 << size.bits();
    if start >= bytes || end > bytes {
        return Err(Stop::InvalidArgument(0));
    }
    // What the capability says of its mapping may be old.
    let (entry, level) = spaces::walk(root, mapping.vaddr, 3);
    if level != paging::frame_level(size) || paging::decode(entry.get(), level) != Entry::Leaf(base) {
        return Err(Stop::InvalidCapability(0));
    }
    if args.label == label::PAGE_INVALIDATE && !paging::user_writes(entry.get()) {
        return Err(Stop::IllegalOperation);
    }
    maintain(m, args, PhysAddr(base.0 + start), device)
}

/// Bytes between two looks for something more urgent.
const PIECE: u64 = 32 << 10;

/// Maintains the caches for the range that message registers 0 and 1 span, whose first byte is at `at`. A device's frame
/// has no cache lines, and is not in the kernel's window: nothing is to be done.
///
/// If something more urgent waits half way, register 0 says how far it got: made again, the invocation goes on there.
#[inline(never)]
fn maintain<M: Machine>(m: M, args: &Args, at: PhysAddr, device: bool) -> Invoked {
    if device {
        return Ok(Outcome::Done);
    }
    let op = cache_op(args.label);
    let (start, end) = (args.word(0), args.word(1));
    let mut done = 0;
    while start + done < end {
        let bytes = PIECE.min(end - start - done);
        m.cache(op, PhysAddr(at.0 + done), bytes);
        done += bytes;
        if start + done < end {
            m.node().add_work(bytes);
            if let Err(preempted) = preemption_point(m) {
                args.set_word(0, start + done);
                return Err(preempted.into());
            }
        }
    }
    Ok(Outcome::Done)
}

fn cache_op(label: u64) -> CacheOp {
    match label {
        label::PAGE_CLEAN | label::VSPACE_CLEAN => CacheOp::Clean,
        // The manual lets the kernel clean as well: other users' data in the same lines must not be lost.
        label::PAGE_INVALIDATE | label::VSPACE_INVALIDATE => CacheOp::Invalidate,
        label::PAGE_CLEAN_INVALIDATE | label::VSPACE_CLEAN_INVALIDATE => CacheOp::CleanInvalidate,
        _ => CacheOp::Unify,
    }
}

/// Invokes an address space: caches by virtual address.
pub fn space<M: Machine>(m: M, args: &Args, base: PhysAddr, asid: Option<u16>) -> Invoked {
    if !(label::VSPACE_CLEAN..=label::VSPACE_UNIFY).contains(&args.label) {
        return Err(Stop::IllegalOperation);
    }
    args.need(2, 0)?;
    let (start, end) = (args.word(0), args.word(1));
    if end <= start {
        return Err(Stop::InvalidArgument(1));
    }
    if end > paging::USER_TOP {
        return Err(Stop::IllegalOperation);
    }
    live(m, (base, asid.ok_or(Stop::InvalidCapability(0))?), 0)?;
    let (entry, level) = spaces::walk(base, start, 3);
    let descriptor = entry.get();
    let Entry::Leaf(frame) = paging::decode(descriptor, level) else { return Ok(Outcome::Done) };
    let size = 1u64 << paging::shift(level);
    if start & !(size - 1) != (end - 1) & !(size - 1) {
        return Err(Stop::Range { min: start, max: start | (size - 1) });
    }
    if args.label == label::VSPACE_INVALIDATE && !paging::user_writes(descriptor) {
        return Err(Stop::IllegalOperation);
    }
    let device = descriptor & paging::OUTSIDE_WINDOW != 0;
    maintain(m, args, PhysAddr(frame.0 + (start & (size - 1))), device)
}
