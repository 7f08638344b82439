//! Sending and receiving: values are encoded with postcard straight into the message registers, and capabilities go beside them.

use crate::Slots;
use axiom_proto::env::slot;
use axiom_proto::largest::assert_fits;
use axiom_proto::{Error, LABEL_OK, Largest, wire};
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use sel4_sys::{CPtr, IpcBuffer, MessageInfo, stubs};
use serde::{Deserialize, Serialize};

static BUFFER: AtomicPtr<IpcBuffer> = AtomicPtr::new(core::ptr::null_mut());

/// # Safety
/// Called once, with the address of this thread's IPC buffer.
pub(crate) unsafe fn init(buffer: *mut IpcBuffer) {
    BUFFER.store(buffer, Ordering::Relaxed);
}

#[inline(always)]
pub(crate) fn buffer() -> *mut IpcBuffer {
    BUFFER.load(Ordering::Relaxed)
}

/// The message registers as bytes.
///
/// # Safety
/// No other reference to the IPC buffer lives, and no system call happens while this one does.
#[inline(always)]
pub(crate) unsafe fn message_bytes<'a>() -> &'a mut [u8] {
    // SAFETY: the buffer is mapped for the thread's life; msg has 120 words. Exclusive by the caller's promise.
    unsafe { core::slice::from_raw_parts_mut((&raw mut (*buffer()).msg).cast::<u8>(), wire::MAX_WORDS * 8) }
}

#[inline(always)]
pub(crate) fn fast_registers() -> [u64; 4] {
    // SAFETY: reads four words of the mapped buffer.
    unsafe {
        let m = &raw const (*buffer()).msg;
        [(*m)[0], (*m)[1], (*m)[2], (*m)[3]]
    }
}

/// Whether the capability that came with the request which is being served lies in the receive slot still.
static RECEIVED: AtomicBool = AtomicBool::new(false);

pub(crate) fn set_received(there: bool) {
    RECEIVED.store(there, Ordering::Relaxed);
}

pub(crate) fn is_received() -> bool {
    RECEIVED.load(Ordering::Relaxed)
}

/// Where a capability that comes with a message is put.
pub fn receive_into(to: CPtr) {
    // SAFETY: the buffer is ours.
    unsafe {
        (*buffer()).receive_cnode = slot::CNODE;
        (*buffer()).receive_index = to.0;
        (*buffer()).receive_depth = 64;
    }
}

/// The receive slot: where a capability that came with the last message lies.
pub fn received() -> CPtr {
    // SAFETY: reads a word of the buffer, which is ours.
    CPtr(unsafe { (*buffer()).receive_index })
}

/// Keeps the capability that came with the last message, without moving it: from now on another slot is the receive slot.
pub fn take_received(slots: &mut Slots) -> Option<CPtr> {
    let next = slots.take()?;
    let taken = received();
    receive_into(next);
    set_received(false);
    Some(taken)
}

/// Puts a capability into the next message, as its `index`-th; there is room for three, and the message says how many it has.
pub fn set_cap(index: usize, cap: CPtr) {
    // SAFETY: the buffer is ours.
    if let Some(place) = unsafe { (*buffer()).caps_or_badges.get_mut(index) } {
        *place = cap.0;
    }
}

/// Room for a message. Nothing is cleared beforehand: what can be read of it is what was put in.
pub struct Buffer {
    words: [MaybeUninit<u64>; wire::MAX_WORDS + 1],
    /// Words that hold something, from the first.
    length: usize,
}

impl Default for Buffer {
    fn default() -> Buffer {
        Buffer::new()
    }
}

impl Buffer {
    /// An empty one.
    #[inline]
    pub const fn new() -> Buffer {
        Buffer { words: [const { MaybeUninit::uninit() }; wire::MAX_WORDS + 1], length: 0 }
    }

    /// Copies a received message: the fast registers, and what lies in the IPC buffer.
    #[inline]
    pub(crate) fn take(&mut self, mrs: [u64; 4], length: usize) {
        for (word, mr) in self.words.iter_mut().zip(mrs) {
            word.write(mr);
        }
        let length = length.min(wire::MAX_WORDS);
        if length > 4 {
            // SAFETY: reads words below 120 of the mapped buffer; there is room for as many.
            unsafe {
                let from = (&raw const (*buffer()).msg).cast::<u64>();
                let to = self.words.as_mut_ptr().cast::<u64>();
                core::ptr::copy_nonoverlapping(from.add(4), to.add(4), length - 4);
            }
        }
        self.length = length;
    }

    /// The message.
    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: `length` words were written by `take`, and words are bytes.
        unsafe { core::slice::from_raw_parts(self.words.as_ptr().cast(), self.length * 8) }
    }
}

/// Asks a server and waits for its answer, which is decoded from `reply`. A request that could be too large does not compile.
#[inline]
pub fn call<'b, Q: Serialize + Largest, R: Deserialize<'b>>(
    to: crate::Endpoint,
    interface: u16,
    request: &Q,
    reply: &'b mut Buffer,
) -> Result<R, Error> {
    call_with_cap(to, interface, request, None, reply).map(|(r, _)| r)
}

/// As [`call`], passing a capability along; also says whether one came back (into the receive slot).
#[inline]
pub fn call_with_cap<'b, Q: Serialize + Largest, R: Deserialize<'b>>(
    to: crate::Endpoint,
    interface: u16,
    request: &Q,
    cap: Option<CPtr>,
    reply: &'b mut Buffer,
) -> Result<(R, bool), Error> {
    const { assert_fits::<Q>() };
    // SAFETY: the reference ends with this statement, before the system call.
    let words = wire::encode(request, unsafe { message_bytes() })?;
    let mut caps = 0;
    if let Some(cap) = cap {
        set_cap(0, cap);
        caps = 1;
    }
    let got = stubs::call(to.0, MessageInfo::new(interface as u64, 0, caps, words as u64), fast_registers());
    let length = got.info.length();
    reply.take(got.mrs, length);
    let bytes = reply.bytes();
    let came = got.info.extra_caps() > 0;
    if came {
        set_received(true);
    }
    if got.info.label() == LABEL_OK {
        return Ok((wire::decode(bytes)?, came));
    }
    Err(wire::decode::<Error>(bytes).unwrap_or(Error::Malformed))
}
