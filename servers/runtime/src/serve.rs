//! The loop that every server ends in: one message or signal after the other, each answered before the next is taken.

use crate::ipc::{self, Buffer};
use axiom_proto::env::{ClientBadge, Signals, slot};
use axiom_proto::largest::assert_fits;
use axiom_proto::{Error, LABEL_ERROR, LABEL_OK, Largest, wire};
use core::sync::atomic::{AtomicU64, Ordering};
use sel4_sys::{CPtr, MessageInfo, stubs};
use serde::{Deserialize, Serialize};

static MALFORMED: AtomicU64 = AtomicU64::new(0);
static REFUSED: AtomicU64 = AtomicU64::new(0);

/// What a label is taken for that is no interface's number: no interface has that of errors.
const NO_INTERFACE: u16 = LABEL_ERROR as u16;

/// Requests that could not be understood, since the start.
pub fn malformed_count() -> u64 {
    MALFORMED.load(Ordering::Relaxed)
}

/// Requests that were not this client's to make, since the start.
pub fn refused_count() -> u64 {
    REFUSED.load(Ordering::Relaxed)
}

/// Counts a request that was not this client's to make.
#[cold]
pub fn count_refused() {
    REFUSED.store(refused_count() + 1, Ordering::Relaxed);
}

/// A request.
pub struct Incoming<'a> {
    /// Who: the client's badge.
    pub badge: ClientBadge,
    /// Which interface.
    pub interface: u16,
    /// One capability came along, in the receive slot; it is deleted after the request unless it was moved. What else arrives, two
    /// at once or one that was unwrapped, is no capability for a handler, and is deleted too.
    pub has_cap: bool,
    /// The counter when the request arrived, in ticks and cycles.
    pub arrived: (u64, u64),
    payload: &'a [u8],
}

impl<'a> Incoming<'a> {
    /// The request itself.
    pub fn decode<T: Deserialize<'a>>(&self) -> Result<T, Error> {
        let request = wire::decode(self.payload);
        if request.is_err() {
            MALFORMED.store(malformed_count() + 1, Ordering::Relaxed);
        }
        request
    }
}

/// The answer. Writing it is the last thing that a handler does: it lies in the IPC buffer, which every other system
/// call uses too.
pub struct Reply {
    info: MessageInfo,
}

impl Reply {
    /// The interface's reply. One that could be too large does not compile.
    #[inline]
    pub fn ok<T: Serialize + Largest>(value: &T) -> Reply {
        const { assert_fits::<T>() };
        Reply::encode(LABEL_OK, value, None)
    }

    /// The interface's reply, with a copy of a capability.
    #[inline]
    pub fn ok_with_cap<T: Serialize + Largest>(value: &T, cap: CPtr) -> Reply {
        const { assert_fits::<T>() };
        Reply::encode(LABEL_OK, value, Some(cap))
    }

    /// An error.
    #[cold]
    pub fn error(error: Error) -> Reply {
        Reply::encode(LABEL_ERROR, &error, None)
    }

    fn encode<T: Serialize + ?Sized>(label: u64, value: &T, cap: Option<CPtr>) -> Reply {
        // SAFETY: the reference ends with this statement; no system call in it.
        match wire::encode(value, unsafe { ipc::message_bytes() }) {
            Ok(words) => {
                if let Some(cap) = cap {
                    ipc::set_cap(0, cap);
                }
                Reply { info: MessageInfo::new(label, 0, cap.is_some() as u64, words as u64) }
            }
            Err(error) => Reply::error(error),
        }
    }
}

/// What a server does.
pub trait Service {
    /// Answers a request.
    fn request(&mut self, message: &Incoming<'_>) -> Reply;
    /// The bound notification was signalled.
    fn notified(&mut self, signals: Signals) {
        let _ = signals;
    }
}

/// Serves for ever.
pub fn serve(service: &mut impl Service) -> ! {
    const ENDPOINT: CPtr = CPtr(slot::ENDPOINT);
    const REPLY: CPtr = CPtr(slot::REPLY);
    let mut buffer = Buffer::new();
    let mut answer: Option<Reply> = None;
    loop {
        let got = match answer.take() {
            Some(reply) => stubs::reply_recv(ENDPOINT, reply.info, ipc::fast_registers(), REPLY),
            None => stubs::recv(ENDPOINT, REPLY),
        };
        if let Some(signals) = Signals::from_badge(got.badge.0) {
            service.notified(signals);
            // Whoever was asked meanwhile may have answered with a capability.
            if ipc::is_received() {
                forget_received();
            }
            continue;
        }
        let arrived = (crate::time::ticks(), crate::time::cycles());
        let length = got.info.length();
        buffer.take(got.mrs, length);
        let arrived_caps = got.info.extra_caps();
        let has_cap = arrived_caps == 1 && got.info.caps_unwrapped() == 0;
        let message = Incoming {
            badge: ClientBadge::new(got.badge.0),
            interface: u16::try_from(got.info.label()).unwrap_or(NO_INTERFACE),
            has_cap,
            arrived,
            payload: buffer.bytes(),
        };
        answer = Some(served(service, &message, arrived_caps > 0));
    }
}

/// Serves a request. What lies in the receive slot afterwards, came it with the request or with the answer of somebody who was asked
/// meanwhile, is deleted before the next one: a full slot would make this server deaf to capabilities.
#[inline]
fn served(service: &mut impl Service, message: &Incoming<'_>, arrived: bool) -> Reply {
    if arrived {
        ipc::set_received(true);
    }
    let reply = service.request(message);
    if ipc::is_received() { emptied(reply) } else { reply }
}

fn forget_received() {
    // What cannot be deleted is empty already.
    let _ = crate::CNode::OWN.delete(ipc::received());
    ipc::set_received(false);
}

/// Empties the receive slot before the answer is final: deleting is a system call, so the answer is kept aside meanwhile.
#[cold]
fn emptied(reply: Reply) -> Reply {
    let mut kept = Buffer::new();
    let length = reply.info.length();
    kept.take(ipc::fast_registers(), length);
    forget_received();
    // SAFETY: the reference is used up before any system call.
    let registers = unsafe { ipc::message_bytes() };
    registers[..length * 8].copy_from_slice(kept.bytes());
    reply
}
