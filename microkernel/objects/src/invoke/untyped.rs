//! `Untyped_Retype`.
use super::args::{Args, Invoked, Outcome, Stop, target_slot};
use crate::arch::context::AT_ONCE;
use crate::arch::registers::{STATUS, USER_STATUS};
use crate::arch::tables::TableKind;
use crate::cap::{CNodePlace, Cap, FrameSize, VmRights};
use crate::machine::{Machine, record};
use crate::message;
use crate::object::{LookupFailure, Slot, Tcb};
use crate::preempt::preemption_point;
use crate::ptr::{PhysAddr, Ptr};
use crate::slot;
use crate::trace::class;
use sel4_sys::object::{self as o, kind};
use sel4_sys::{Badge, CapRights, ext, label};

struct Request {
    kind: u64,
    bits: u32,
    slots: u64,
    first: Ptr<Slot>,
}

/// Invokes an untyped capability.
#[inline(never)]
pub fn invoke<M: Machine>(m: M, args: &Args, cap: Cap) -> Invoked {
    if args.label != label::UNTYPED_RETYPE {
        return Err(Stop::IllegalOperation);
    }
    let Cap::Untyped { base, bits, device, free } = cap else { return Err(Stop::IllegalOperation) };
    let request = decode(args)?;
    let free = if slot::first_child(args.slot).is_some() { free } else { 0 };
    let left = (1u64 << bits) - free;
    if left >> request.bits < request.slots {
        return Err(Stop::NotEnoughMemory { left });
    }
    if device
        && !matches!(request.kind, kind::UNTYPED | kind::SMALL_PAGE | kind::LARGE_PAGE | kind::HUGE_PAGE)
    {
        return Err(Stop::InvalidArgument(1));
    }
    let start = free.next_multiple_of(1 << request.bits);
    let count = if request.slots == 1 { 1 } else { at_once(request.bits, request.slots) };
    let size = count << request.bits;
    // How far it got is told in the thread's buffer: who may only read that cannot ask for the rest.
    if count < request.slots && message::buffer(args.tcb, true).is_none() {
        return Err(Stop::IllegalOperation);
    }
    // An untyped is no object yet: whoever makes one of it says so.
    if !device && request.kind != kind::UNTYPED {
        zero(m, request.kind, PhysAddr(base.0 + start), size)?;
    }
    args.slot.update(Cap::Untyped { base, bits, device, free: start + size });
    for i in 0..count {
        let at = PhysAddr(base.0 + start + (i << request.bits));
        // SAFETY: the destination slots lie in one CNode (`decode` checked the window), and were found empty.
        let dest: Ptr<Slot> = unsafe { Ptr::new(request.first.addr() + i as usize * size_of::<Slot>()) };
        slot::insert_new(make(m, request.kind, request.bits, at, device), args.slot, dest);
    }
    record(m, class::RETYPE, ext::event::RETYPE, request.kind as u16, count as u32);
    if count == request.slots {
        return Ok(Outcome::Done);
    }
    ask_for_the_rest(args, count)
}

/// How many of so many objects are made at once: interrupts wait meanwhile.
#[cold]
#[inline(never)]
pub(super) fn at_once(bits: u32, slots: u64) -> u64 {
    /// Making an object is as much work as zeroing so many bytes.
    const OBJECT: u64 = 4000;
    (AT_ONCE / (OBJECT + (1 << bits))).max(1).min(slots)
}

/// From now on the thread's message asks for what is left when `made` more objects are there; the thread makes the call again.
#[cold]
#[inline(never)]
fn ask_for_the_rest(args: &Args, made: u64) -> Invoked {
    /// Words of the message: the first destination slot in its node, and how many.
    const OFFSET: usize = 4;
    const WINDOW: usize = 5;
    args.set_word(OFFSET, args.word(OFFSET) + made);
    args.set_word(WINDOW, args.word(WINDOW) - made);
    Err(Stop::Preempted)
}

fn decode(args: &Args) -> Result<Request, Stop> {
    args.need(6, 1)?;
    let [kind, user_size, index, depth, offset, window] = core::array::from_fn(|i| args.word(i));
    let bits = size_bits(kind, user_size).ok_or(Stop::InvalidArgument(0))?;
    if user_size >= 64 || bits > o::MAX_UNTYPED_BITS {
        return Err(Stop::Range { min: 0, max: o::MAX_UNTYPED_BITS });
    }
    let too_small = match kind {
        kind::CNODE => user_size == 0,
        kind::UNTYPED => user_size < o::MIN_UNTYPED_BITS,
        kind::SCHED_CONTEXT => user_size < o::MIN_SCHED_CONTEXT_BITS,
        _ => false,
    };
    if too_small {
        return Err(Stop::InvalidArgument(1));
    }
    let root = args.cap_slot(0)?.packed();
    let node = if depth == 0 { root } else { target_slot(root, index, depth, false)?.packed() };
    let Some(CNodePlace { base, radix, .. }) = node.as_cnode() else {
        let failure = LookupFailure::Missing { bits_left: depth as u32 };
        return Err(Stop::FailedLookup { source: false, failure });
    };
    let size = 1u64 << radix;
    if offset >= size {
        return Err(Stop::Range { min: 0, max: size - 1 });
    }
    if !(1..=o::RETYPE_FAN_OUT).contains(&window) {
        return Err(Stop::Range { min: 1, max: o::RETYPE_FAN_OUT });
    }
    if window > size - offset {
        return Err(Stop::Range { min: 1, max: size - offset });
    }
    let address = base.kernel() + offset as usize * size_of::<Slot>();
    // SAFETY: `offset` is below the CNode's size, and a CNode's memory is an array of slots.
    let first: Ptr<Slot> = unsafe { Ptr::new(address) };
    // By the address, not by the one slot: a reference to that one reaches no further.
    let start = core::ptr::with_exposed_provenance::<Slot>(address);
    // SAFETY: the window ends inside of the node, as just checked.
    let window_slots: &[Slot] = unsafe { core::slice::from_raw_parts(start, window as usize) };
    // All of them each time, though few are filled at once: in a loop that is short in a checked kernel, too.
    if !window_slots.iter().all(Slot::is_empty) {
        return Err(Stop::DeleteFirst);
    }
    Ok(Request { kind, bits: bits as u32, slots: window, first })
}

/// Size of an object of this kind; `None` for a kind that does not exist.
fn size_bits(kind: u64, user_size: u64) -> Option<u64> {
    let user = user_size.min(64);
    Some(match kind {
        kind::UNTYPED | kind::SCHED_CONTEXT => user,
        kind::CNODE => user + o::SLOT_BITS,
        kind::TCB => o::TCB_BITS,
        kind::ENDPOINT => o::ENDPOINT_BITS,
        kind::NOTIFICATION => o::NOTIFICATION_BITS,
        kind::REPLY => o::REPLY_BITS,
        kind::SMALL_PAGE => o::PAGE_BITS,
        kind::LARGE_PAGE => o::LARGE_PAGE_BITS,
        kind::HUGE_PAGE => o::HUGE_PAGE_BITS,
        kind::VSPACE => o::VSPACE_BITS,
        ext::TIMER_TYPE => ext::TIMER_BITS,
        table if TableKind::of_object(table).is_some() => o::PAGE_TABLE_BITS,
        _ => return None,
    })
}

/// The capability of a new object in zeroed memory, which is every object's initial state.
fn make<M: Machine>(m: M, kind: u64, bits: u32, at: PhysAddr, device: bool) -> Cap {
    let frame = |size| Cap::Frame { base: at, size, device, rights: VmRights::READ_WRITE, mapping: None };
    let address = at.kernel();
    // SAFETY: for each `Ptr::new` below: the memory was just zeroed, is aligned to its size, and belongs to this new
    // object until its last capability is gone; all-zero bytes are a valid object of each of these types.
    unsafe {
        match kind {
            kind::TCB => {
                let tcb: Ptr<Tcb> = Ptr::new(address);
                tcb.regs.set(STATUS, USER_STATUS);
                Cap::Tcb { tcb }
            }
            kind::ENDPOINT => {
                Cap::Endpoint { ep: Ptr::new(address), badge: Badge(0), rights: CapRights::ALL }
            }
            kind::NOTIFICATION => {
                Cap::Notification { ntfn: Ptr::new(address), badge: Badge(0), rights: CapRights::READ_WRITE }
            }
            kind::REPLY => Cap::Reply { reply: Ptr::new(address), can_grant: true },
            kind::CNODE => {
                Cap::CNode { base: at, radix: bits - o::SLOT_BITS as u32, guard: 0, guard_size: 0 }
            }
            kind::SCHED_CONTEXT => Cap::SchedContext { sc: Ptr::new(address), bits },
            kind::SMALL_PAGE => frame(FrameSize::Small),
            kind::LARGE_PAGE => frame(FrameSize::Large),
            kind::HUGE_PAGE => frame(FrameSize::Huge),
            kind::VSPACE => {
                m.shared().kernel_half.put(at);
                m.publish();
                Cap::VSpace { base: at, asid: None }
            }
            ext::TIMER_TYPE => Cap::Timer { timer: Ptr::new(address) },
            _ => match TableKind::of_object(kind) {
                Some(kind) => Cap::PageTable { base: at, mapping: None, kind },
                None => Cap::Untyped { base: at, bits, device, free: 0 },
            },
        }
    }
}

const CHUNK: u64 = 4096;

/// Zeroes the memory of new objects; of frames also past the caches, because their owners may map them without.
fn zero<M: Machine>(m: M, kind: u64, start: PhysAddr, size: u64) -> Result<(), Stop> {
    const FRAMES: u64 = 1 << kind::SMALL_PAGE | 1 << kind::LARGE_PAGE | 1 << kind::HUGE_PAGE;
    let for_user = 1 << (kind & 63) & FRAMES != 0;
    let clear = |at, bytes| if for_user { m.zero_for_user(at, bytes) } else { m.zero(at, bytes) };
    let end = start.0 + size;
    let progress = &m.node().zeroing;
    if size <= CHUNK {
        progress.used(start.0, size);
        clear(start, size);
        return Ok(());
    }
    let mut at = progress.resume(start.0, end, for_user);
    while at < end {
        let step = CHUNK.min(end - at);
        clear(PhysAddr(at), step);
        at += step;
        progress.reached(at);
        m.node().add_work(step);
        preemption_point(m)?;
    }
    progress.forget();
    Ok(())
}
