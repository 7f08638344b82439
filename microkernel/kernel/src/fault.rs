//! Faults: made into messages to the thread's fault handler, and the handler's answers applied.
use crate::ipc::{self, SendOptions};
use crate::message::{self, Buffer};
use crate::print::println;
use crate::sched::set_state;
use crate::trace;
use axiom_objects::object::{Fault, LookupFailure, TCB_FAULT, TCB_TIMEOUT, Tcb, ThreadState};
use axiom_objects::registers::{
    CAP, FAULT_PC, INFO, SP, SPSR, USER_CONTEXT_ORDER, USER_SPSR, USER_SPSR_MASK,
};
use axiom_objects::{Cap, Ptr};
use sel4_sys::fault as layout;
use sel4_sys::{CapRights, MessageInfo};

/// The current thread faulted: its handler gets a message, or it stops.
#[cold]
pub fn handle(tcb: Ptr<Tcb>, fault: Fault) {
    trace::record(trace::class::FAULT, sel4_sys::ext::event::FAULT, kind(&fault) as u16, tcb.addr() as u32);
    tcb.fault.set(fault);
    let can_donate = tcb.sc.get().is_some();
    if !send(tcb, tcb.slot(TCB_FAULT).cap(), can_donate) {
        report_unhandled(tcb, fault);
        set_state(tcb, ThreadState::Inactive);
        tcb.fault.set(Fault::None);
    }
}

/// Whether a timeout fault of the thread would reach somebody.
pub fn has_timeout_handler(tcb: Ptr<Tcb>) -> bool {
    tcb.slot(TCB_TIMEOUT).packed().as_endpoint().is_some()
}

/// Sends the timeout fault that is set in the thread.
pub fn deliver_timeout(tcb: Ptr<Tcb>) {
    send(tcb, tcb.slot(TCB_TIMEOUT).cap(), false);
}

fn send(tcb: Ptr<Tcb>, handler: Cap, can_donate: bool) -> bool {
    let Cap::Endpoint { ep, badge, rights } = handler else { return false };
    ipc::send(
        tcb,
        ep,
        SendOptions {
            blocking: true,
            call: false,
            badge: badge.0,
            can_grant: rights.contains(CapRights::GRANT),
            can_grant_reply: rights.contains(CapRights::GRANT_REPLY),
            can_donate,
        },
    );
    true
}

fn report_unhandled(tcb: Ptr<Tcb>, fault: Fault) {
    println!(
        "axiom: thread '{}' stopped at pc {:#x}: {:x?}; it has no fault handler",
        crate::print::Bytes(tcb),
        tcb.regs.get(FAULT_PC),
        fault
    );
}

fn kind(fault: &Fault) -> u64 {
    match fault {
        Fault::None => layout::kind::NULL,
        Fault::Cap { .. } => layout::kind::CAP,
        Fault::UnknownSyscall { .. } => layout::kind::UNKNOWN_SYSCALL,
        Fault::UserException { .. } => layout::kind::USER_EXCEPTION,
        Fault::Timeout { .. } => layout::kind::TIMEOUT,
        Fault::Vm { .. } => layout::kind::VM,
    }
}

/// Registers that an unknown-syscall message carries.
const SYSCALL_REGISTERS: [usize; 12] = [0, 1, 2, 3, 4, 5, 6, 7, FAULT_PC, SP, 30, SPSR];
/// Registers that a user-exception message carries.
const EXCEPTION_REGISTERS: [usize; 3] = [FAULT_PC, SP, SPSR];

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
pub fn transfer(from: Ptr<Tcb>, badge: u64, to: Ptr<Tcb>) {
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
            SYSCALL_REGISTERS.iter().for_each(|r| words.put(from.regs.get(*r)));
            words.put(number);
        }
        Fault::UserException { number, code } => {
            EXCEPTION_REGISTERS.iter().for_each(|r| words.put(from.regs.get(*r)));
            words.put(number);
            words.put(code);
        }
        Fault::Timeout { badge } => {
            words.put(badge);
            let consumed = from.sc.get().map_or(0, crate::sched::take_consumed);
            words.put(consumed);
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
    let apply = |registers: &[usize]| {
        for (i, register) in registers.iter().enumerate().take(tag.length()) {
            let value = message::mr(handler, buffer, i);
            faulted.regs.set(*register, sanitise(*register, value));
        }
    };
    match faulted.fault.get() {
        Fault::UnknownSyscall { .. } => {
            apply(&SYSCALL_REGISTERS);
            tag.label() == 0
        }
        Fault::UserException { .. } => {
            apply(&EXCEPTION_REGISTERS);
            tag.label() == 0
        }
        Fault::Timeout { .. } => {
            let mut registers = USER_CONTEXT_ORDER;
            registers[0] = FAULT_PC;
            apply(&registers[..layout::timeout::REPLY_LENGTH]);
            tag.label() == 0
        }
        _ => true,
    }
}

/// A register value as a user may set it.
pub fn sanitise(register: usize, value: u64) -> u64 {
    if register == SPSR { value & USER_SPSR_MASK | USER_SPSR } else { value }
}
