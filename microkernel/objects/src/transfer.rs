//! The message itself: registers, buffers and capabilities go from a sender to a receiver.
use crate::arch::registers::{CAP, INFO};
use crate::cap::Cap;
use crate::cspace;
use crate::derive::derive;
use crate::fault_message;
use crate::machine::{Machine, record};
use crate::message::{self, Buffer};
use crate::object::{Endpoint, Fault, Slot, Tcb};
use crate::ptr::Ptr;
use crate::slot;
use crate::trace::class;
use sel4_sys::MessageInfo;
use sel4_sys::ext::event;
use sel4_sys::message::{FAST_REGISTERS, MAX_LENGTH};

/// Copies a message, or a fault as a message, to `to`.
#[inline(always)]
pub fn transfer<M: Machine>(
    m: M,
    from: Ptr<Tcb>,
    ep: Option<Ptr<Endpoint>>,
    badge: u64,
    grant: bool,
    to: Ptr<Tcb>,
) {
    record(m, class::IPC, event::IPC, 0, to.addr() as u32);
    if from.fault.get() == Fault::None {
        transfer_normal(from, ep, badge, grant, to);
    } else {
        fault_message::transfer(m.node(), from, badge, to);
    }
}

#[inline(always)]
fn transfer_normal(from: Ptr<Tcb>, ep: Option<Ptr<Endpoint>>, badge: u64, grant: bool, to: Ptr<Tcb>) {
    let tag = MessageInfo(from.regs.get(INFO));
    let length = tag.length().min(MAX_LENGTH);
    let has_caps = grant && tag.extra_caps() > 0;
    let (mut source, mut dest) = (None, None);
    if length > FAST_REGISTERS || tag.extra_caps() > 0 {
        source = message::buffer(from, false);
        dest = message::buffer(to, true);
    }
    let copied = message::copy(from, source, to, dest, length);
    let (mut caps, mut unwrapped) = (0, 0);
    if has_caps && let (Some(source), Some(dest)) = (source, dest) {
        (caps, unwrapped) = transfer_caps(from, source, tag.extra_caps(), ep, to, dest);
    }
    to.regs.set(INFO, MessageInfo::new(tag.label(), unwrapped, caps, copied as u64).0);
    to.regs.set(CAP, badge);
}

/// Transfers capabilities: one to the endpoint that the message came through arrives as its badge; the first other
/// one goes to the receiver's slot. How many arrived, and which were unwrapped.
fn transfer_caps(
    from: Ptr<Tcb>,
    source: Buffer,
    count: usize,
    ep: Option<Ptr<Endpoint>>,
    to: Ptr<Tcb>,
    dest: Buffer,
) -> (u64, u64) {
    // All pointers are resolved before any capability is moved; one that fails ends the transfer at nothing.
    let mut slots: [Option<Ptr<Slot>>; 3] = [None; 3];
    for (i, entry) in slots.iter_mut().enumerate().take(count) {
        match cspace::lookup_slot(from, message::extra_cap(source, i)) {
            Ok(slot) => *entry = Some(slot),
            Err(_) => return (0, 0),
        }
    }
    let mut free = receive_slot(to, dest);
    let (mut done, mut unwrapped) = (0, 0);
    for (i, source_slot) in slots.iter().flatten().enumerate() {
        let cap = source_slot.cap();
        match cap {
            Cap::Endpoint { ep: e, badge, .. } if Some(e) == ep => {
                message::set_badge(dest, i, badge.0);
                unwrapped |= 1 << i;
            }
            _ => {
                let Some(target) = free.take() else { break };
                match derive(*source_slot, cap) {
                    Ok(cap) if cap != Cap::Null => slot::insert(cap, *source_slot, target),
                    _ => break,
                }
            }
        }
        done = i as u64 + 1;
    }
    (done, unwrapped)
}

fn receive_slot(to: Ptr<Tcb>, buffer: Buffer) -> Option<Ptr<Slot>> {
    let (cnode, index, depth) = message::receive_slot(buffer);
    let (_, root) = cspace::lookup(to, cnode).ok()?;
    if !(1..=64).contains(&depth) {
        return None;
    }
    match cspace::resolve(root, index, depth as u32) {
        Ok((slot, 0)) if slot.is_empty() => Some(slot),
        _ => None,
    }
}
