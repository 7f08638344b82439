//! Who answers for a server that stays down: a thread of init's that tells every caller so. Without it, whoever calls such a server
//! would wait for ever, and everybody who calls that one.
use crate::memory::{Memory, Object, Pool};
use crate::permanent::Permanent;
use crate::{arch, sys};
use alloc::boxed::Box;
use axiom_layout::address;
use axiom_proto::{LABEL_ERROR, wire};
use sel4_sys::cap::init;
use sel4_sys::{CNodeCapData, CPtr, Error, MessageInfo};

/// What the thread reads at its start.
#[repr(C)]
struct Errand {
    endpoint: u64,
    reply: u64,
    info: u64,
    word: u64,
}

/// From now on the server's callers are told that it is down. What was made for this belongs to `pool`, which is empty.
pub fn answer_for(memory: &mut Memory, pool: &mut Pool, p: &Permanent, priority: u8) -> Result<(), Error> {
    let mut bytes = [0; 16];
    let words = wire::encode(&axiom_proto::Error::PeerDown, &mut bytes).map_err(|_| Error::RangeError)?;
    let word = bytes.first_chunk().map_or(0, |w| u64::from_le_bytes(*w));
    let info = MessageInfo::new(LABEL_ERROR, 0, 0, words as u64).0;
    // As long as the system runs.
    let errand = Box::leak(Box::new(Errand { endpoint: p.endpoint.0, reply: p.reply.0, info, word }));
    let tcb = pool.make(memory, Object::TCB)?;
    sys::configure(tcb, init::CNODE, CNodeCapData(0), init::VSPACE, 0, CPtr(0))?;
    sys::set_sched_params(tcb, priority, p.sc, CPtr(0))?;
    sys::name_thread(tcb, "down")?;
    let start = arch::down();
    debug_assert!(start < address::PAYLOAD);
    sys::start(tcb, start, 0, core::ptr::from_ref(errand) as u64)
}
