//! Message registers and IPC buffers: the only user memory that the kernel reads or writes, through the buffer frame's
//! physical page.
use crate::arch::registers::{CAP, INFO, MR0};
use crate::object::{TCB_BUFFER, Tcb};
use crate::ptr::Ptr;
use core::cell::Cell;
use sel4_sys::MessageInfo;
use sel4_sys::message::{FAST_REGISTERS, MAX_LENGTH};

/// Words of an IPC buffer.
const WORDS: usize = 128;
const MSG: usize = 1;
const CAPS: usize = 122;
const RECEIVE: usize = 125;

/// A thread's IPC buffer as the kernel sees it.
pub type Buffer = Ptr<[Cell<u64>; WORDS]>;

/// The IPC buffer of a thread, if it has one that it may use so: a receiver's must be writable.
#[inline(always)]
pub fn buffer(tcb: Ptr<Tcb>, write: bool) -> Option<Buffer> {
    let (base, bits, writable) = tcb.slot(TCB_BUFFER).packed().as_buffer_frame()?;
    if write && !writable {
        return None;
    }
    let offset = tcb.ipc_buffer.get() & ((1 << bits) - 1);
    // SAFETY: the frame is RAM in the kernel's window; the offset is aligned to the buffer's size (checked when it
    // was set), so the buffer lies inside the frame; it is only used as cells, which any bytes are valid for.
    Some(unsafe { Ptr::new(base.kernel() + offset as usize) })
}

/// Message register `index` of a thread.
#[inline(always)]
pub fn mr(tcb: Ptr<Tcb>, buffer: Option<Buffer>, index: usize) -> u64 {
    if index < FAST_REGISTERS {
        tcb.regs.get(MR0 + index)
    } else {
        buffer.map_or(0, |b| b[MSG + index].get())
    }
}

/// Sets message register `index`; false if the thread has no place for it.
#[inline(always)]
pub fn set_mr(tcb: Ptr<Tcb>, buffer: Option<Buffer>, index: usize, value: u64) -> bool {
    if index < FAST_REGISTERS {
        tcb.regs.set(MR0 + index, value);
        true
    } else if let Some(b) = buffer.filter(|_| index < MAX_LENGTH) {
        b[MSG + index].set(value);
        true
    } else {
        false
    }
}

/// Capability pointer `index` of an outgoing message.
#[inline]
pub fn extra_cap(buffer: Buffer, index: usize) -> u64 {
    buffer[CAPS + index].get()
}

/// Stores the badge of an unwrapped capability.
#[inline]
pub fn set_badge(buffer: Buffer, index: usize, badge: u64) {
    buffer[CAPS + index].set(badge);
}

/// Where received capabilities go: CNode, index, depth.
#[inline]
pub fn receive_slot(buffer: Buffer) -> (u64, u64, u64) {
    (buffer[RECEIVE].get(), buffer[RECEIVE + 1].get(), buffer[RECEIVE + 2].get())
}

/// Copies the words that travel in registers; as many as there are first, which is what most messages have besides none.
#[inline(always)]
pub fn copy_registers(from: Ptr<Tcb>, to: Ptr<Tcb>, length: usize) {
    let word = |i| to.regs.set(MR0 + i, from.regs.get(MR0 + i));
    if length == FAST_REGISTERS {
        (0..FAST_REGISTERS).for_each(word);
    } else {
        (0..length.min(FAST_REGISTERS - 1)).for_each(word);
    }
}

/// Copies `length` message registers; how many arrived.
#[inline(always)]
pub fn copy(
    from: Ptr<Tcb>,
    source: Option<Buffer>,
    to: Ptr<Tcb>,
    dest: Option<Buffer>,
    length: usize,
) -> usize {
    copy_registers(from, to, length.min(FAST_REGISTERS));
    if length <= FAST_REGISTERS {
        return length;
    }
    let (Some(source), Some(dest)) = (source, dest) else { return FAST_REGISTERS };
    let length = length.min(MAX_LENGTH);
    for (s, d) in
        source[MSG + FAST_REGISTERS..MSG + length].iter().zip(&dest[MSG + FAST_REGISTERS..MSG + length])
    {
        d.set(s.get());
    }
    length
}

/// Writes a message from the kernel to a thread: label, badge 0, words.
#[inline]
pub fn set_reply(tcb: Ptr<Tcb>, label: u64, words: &[u64]) {
    let buffer = if words.len() > FAST_REGISTERS { buffer(tcb, true) } else { None };
    let mut sent = 0;
    for (i, word) in words.iter().enumerate() {
        if set_mr(tcb, buffer, i, *word) {
            sent = i + 1;
        }
    }
    tcb.regs.set(CAP, 0);
    tcb.regs.set(INFO, MessageInfo::new(label, 0, 0, sent as u64).0);
}
