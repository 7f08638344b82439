//! Faults as messages to the thread's handler, and the handler's answers.
use crate::arch::registers::{
    CAP, EXCEPTION_FAULT_ORDER, FAULT_PC, INFO, SYSCALL_FAULT_ORDER, USER_CONTEXT_ORDER, sanitise,
};
use crate::message::{self, Buffer};
use crate::node::Node;
use crate::object::{Fault, LookupFailure, Tcb};
use crate::ptr::Ptr;
use sel4_sys::MessageInfo;
use sel4_sys::fault as layout;
use sel4_sys::message::{FAST_REGISTERS, MAX_LENGTH};

/// The label of a fault's message.
pub fn kind(fault: &Fault) -> u64 {
    match fault {
        Fault::None => layout::kind::NULL,
        Fault::Cap { .. } => layout::kind::CAP,
        Fault::UnknownSyscall { .. } => layout::kind::UNKNOWN_SYSCALL,
        Fault::UserException { .. } => layout::kind::USER_EXCEPTION,
        Fault::Timeout { .. } => layout::kind::TIMEOUT,
        Fault::Vm { .. } => layout::kind::VM,
    }
}

/// Words of a lookup failure as messages carry it, from `first` on; the number of words.
pub fn lookup_words(failure: LookupFailure) -> ([u64; 4], usize) {
    match failure {
        LookupFailure::InvalidRoot => ([1, 0, 0, 0], 1),
        LookupFailure::Missing { bits_left } => ([2, bits_left.into(), 0, 0], 2),
        LookupFailure::DepthMismatch { bits_left, bits_found } => {
            ([3, bits_left.into(), bits_found.into(), 0], 3)
        }
        LookupFailure::GuardMismatch { bits_left, guard, guard_size } => {
            ([4, bits_left.into(), guard, guard_size.into()], 4)
        }
    }
}

/// Writes the fault of `from` as a message to `to`.
pub fn transfer(n: &Node, from: Ptr<Tcb>, badge: u64, to: Ptr<Tcb>) {
    let fault = from.fault.get();
    let mut words = Words { to, buffer: message::buffer(to, true), count: 0 };
    match fault {
        Fault::Cap { addr, in_recv_phase, failure } => {
            words.put(from.regs.get(FAULT_PC));
            words.put(addr);
            words.put(in_recv_phase.into());
            let (lookup, length) = lookup_words(failure);
            lookup[..length].iter().for_each(|w| words.put(*w));
        }
        Fault::UnknownSyscall { number } => {
            SYSCALL_FAULT_ORDER.iter().for_each(|r| words.put(from.regs.get(*r)));
            words.put(number);
        }
        Fault::UserException { number, code } => {
            EXCEPTION_FAULT_ORDER.iter().for_each(|r| words.put(from.regs.get(*r)));
            words.put(number);
            words.put(code);
        }
        Fault::Timeout { badge } => {
            words.put(badge);
            // Whoever has lost its context meanwhile has used nothing of it.
            if let Some(sc) = from.sc.get() {
                words.put(n.take_consumed(sc));
            }
        }
        Fault::Vm { addr, fsr, instruction } => {
            words.put(from.regs.get(FAULT_PC));
            words.put(addr);
            words.put(instruction.into());
            words.put(fsr);
        }
        Fault::None => {}
    }
    to.regs.set(INFO, MessageInfo::new(kind(&fault), 0, 0, words.count as u64).0);
    to.regs.set(CAP, badge);
}

struct Words {
    to: Ptr<Tcb>,
    buffer: Option<Buffer>,
    count: usize,
}

impl Words {
    fn put(&mut self, word: u64) {
        if message::set_mr(self.to, self.buffer, self.count, word) {
            self.count += 1;
        }
    }
}

/// Applies the handler's answer to the faulted thread; whether the thread goes on.
pub fn take_reply(faulted: Ptr<Tcb>, handler: Ptr<Tcb>) -> bool {
    let tag = MessageInfo(handler.regs.get(INFO));
    let buffer = message::buffer(handler, false);
    // Words that the handler has no place for change nothing.
    let most = if buffer.is_some() { MAX_LENGTH } else { FAST_REGISTERS };
    let apply = |registers: &[usize]| {
        for (i, register) in registers.iter().enumerate().take(tag.length().min(most)) {
            let value = message::mr(handler, buffer, i);
            faulted.regs.set(*register, sanitise(*register, value));
        }
    };
    match faulted.fault.get() {
        Fault::UnknownSyscall { .. } => {
            apply(&SYSCALL_FAULT_ORDER);
            tag.label() == 0
        }
        Fault::UserException { .. } => {
            apply(&EXCEPTION_FAULT_ORDER);
            tag.label() == 0
        }
        Fault::Timeout { .. } => {
            let mut registers = USER_CONTEXT_ORDER;
            registers[0] = FAULT_PC;
            if tag.length() > 0 {
                faulted.cancelling.take();
            }
            apply(&registers[..layout::timeout::REPLY_LENGTH]);
            tag.label() == 0
        }
        _ => true,
    }
}
