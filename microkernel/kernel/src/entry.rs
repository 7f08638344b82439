//! Kernel entry from user space: system calls, faults and interrupts, each ending in the scheduler.
use crate::arch;
use crate::cspace;
use crate::fault;
use crate::interrupt;
use crate::invoke::{self, Mode};
use crate::ipc;
use crate::node::node;
use crate::notify;
use crate::print::println;
use crate::sched;
use axiom_objects::object::{Fault, LookupFailure, Tcb, ThreadState};
use axiom_objects::registers::{CAP, NB_SEND_DEST, REPLY, TPIDR};
use axiom_objects::{Cap, Ptr};
use sel4_sys::{CapRights, syscall};

const CALL: Mode = Mode { call: true, blocking: true, can_donate: true, first_phase: false };
const SEND: Mode = Mode { call: false, blocking: true, can_donate: false, first_phase: false };
const NB_SEND: Mode = Mode { call: false, blocking: false, can_donate: false, first_phase: false };
const FIRST_PHASE: Mode = Mode { call: false, blocking: false, can_donate: true, first_phase: true };

/// A system call of the current thread that has no short way (`fast`), or not in its case. Afterwards the thread to return
/// to is current.
#[inline(always)]
pub fn system_call(number: i64) {
    let tcb = node().current();
    sched::update_timestamp();
    // Calls that only read or print do not ask for budget.
    if !(syscall::YIELD..=syscall::CALL).contains(&number) {
        other_call(tcb, number);
        return leave();
    }
    if sched::check_budget_restart() {
        match number {
            syscall::CALL => invoke::invoke(tcb.regs.get(CAP), CALL),
            syscall::REPLY_RECV => {
                reply_phase(tcb);
                receive_if_able(tcb, true, true);
            }
            syscall::SEND => invoke::invoke(tcb.regs.get(CAP), SEND),
            syscall::NB_SEND => invoke::invoke(tcb.regs.get(CAP), NB_SEND),
            syscall::RECV => receive(tcb, true, true),
            syscall::NB_RECV => receive(tcb, false, true),
            syscall::WAIT => receive(tcb, true, false),
            syscall::NB_WAIT => receive(tcb, false, false),
            syscall::NB_SEND_RECV => {
                invoke::invoke(tcb.regs.get(NB_SEND_DEST), FIRST_PHASE);
                receive_if_able(tcb, true, true);
            }
            syscall::NB_SEND_WAIT => {
                invoke::invoke(tcb.regs.get(REPLY), FIRST_PHASE);
                receive_if_able(tcb, true, false);
            }
            _ => sched::yield_now(),
        }
    }
    leave();
}

#[inline(always)]
fn reply_phase(tcb: Ptr<Tcb>) {
    let cptr = tcb.regs.get(REPLY);
    if let Ok((_, cap)) = cspace::lookup(tcb, cptr)
        && let Some((reply, can_grant)) = cap.as_reply()
    {
        ipc::reply(tcb, reply, can_grant);
    } else {
        invoke::invoke_other(cptr, FIRST_PHASE);
    }
}

/// The receive phase of a combined call: not if the send phase faulted, or was preempted.
fn receive_if_able(tcb: Ptr<Tcb>, blocking: bool, with_reply: bool) {
    if tcb.state.get() == ThreadState::Running {
        receive(tcb, blocking, with_reply);
    }
}

#[inline(always)]
fn receive(tcb: Ptr<Tcb>, blocking: bool, with_reply: bool) {
    let cptr = tcb.regs.get(CAP);
    let cap = match cspace::lookup(tcb, cptr) {
        Ok((_, cap)) => cap,
        Err(failure) => return refuse_receive(tcb, cptr, failure),
    };
    if let Some((ep, _, rights)) = cap.as_endpoint()
        && rights.contains(CapRights::READ)
    {
        let mut reply = None;
        if with_reply {
            let cptr = tcb.regs.get(REPLY);
            match cspace::lookup(tcb, cptr) {
                Ok((_, cap)) => match cap.as_reply() {
                    Some((object, _)) => reply = Some(object),
                    None => return refuse_receive(tcb, cptr, LookupFailure::Missing { bits_left: 0 }),
                },
                Err(failure) => return refuse_receive(tcb, cptr, failure),
            }
        }
        ipc::receive(tcb, ep, rights.contains(CapRights::GRANT), blocking, reply);
    } else if let Some((ntfn, _, rights)) = cap.as_notification()
        && rights.contains(CapRights::READ)
        && ntfn.bound.get().is_none_or(|bound| bound == tcb)
    {
        notify::wait(tcb, ntfn, blocking);
    } else {
        refuse_receive(tcb, cptr, LookupFailure::Missing { bits_left: 0 });
    }
}

#[cold]
fn refuse_receive(tcb: Ptr<Tcb>, addr: u64, failure: LookupFailure) {
    fault::handle(tcb, Fault::Cap { addr, in_recv_phase: true, failure });
}

#[cold]
fn other_call(tcb: Ptr<Tcb>, number: i64) {
    match number {
        syscall::DEBUG_PUT_CHAR => arch::console::putc(tcb.regs.get(CAP) as u8),
        syscall::SET_TLS_BASE => {
            tcb.regs.set(TPIDR, tcb.regs.get(CAP));
            arch::cpu::set_tls(tcb.regs.get(CAP));
        }
        syscall::DEBUG_HALT => {
            arch::cpu::power_off();
        }
        syscall::DEBUG_CAP_IDENTIFY => {
            let kind = cspace::lookup_cap(tcb, tcb.regs.get(CAP)).map_or(0, |(_, cap)| identify(&cap));
            tcb.regs.set(CAP, kind);
        }
        syscall::DEBUG_NAME_THREAD => name_thread(tcb),
        syscall::DEBUG_DUMP_SCHEDULER => dump_scheduler(),
        syscall::DEBUG_SNAPSHOT => println!("axiom: snapshots are not supported"),
        number => {
            if sched::check_budget_restart() {
                fault::handle(tcb, Fault::UnknownSyscall { number: number as u64 });
            }
        }
    }
}

fn dump_scheduler() {
    let n = node();
    let tcb = n.current();
    println!(
        "axiom: running '{}' at priority {}; highest ready {:?}; waiting for time: {}",
        crate::print::Bytes(tcb),
        tcb.priority.get(),
        n.highest_ready(),
        if n.release.get().head.is_some() { "yes" } else { "no" }
    );
}

/// The number by which a capability's kind is known to debugging users: libsel4's object types plus one, others from 64.
fn identify(cap: &Cap) -> u64 {
    match cap {
        Cap::Null => 0,
        Cap::Untyped { .. } => 2,
        Cap::Endpoint { .. } => 4,
        Cap::Notification { .. } => 6,
        Cap::Reply { .. } => 8,
        Cap::CNode { .. } => 10,
        Cap::Tcb { .. } => 12,
        Cap::IrqControl => 14,
        Cap::IrqHandler { .. } => 16,
        Cap::Zombie { .. } => 18,
        Cap::Domain => 20,
        Cap::SchedContext { .. } => 22,
        Cap::SchedControl { .. } => 24,
        Cap::Frame { .. } => 1,
        Cap::PageTable { .. } => 3,
        Cap::VSpace { .. } => 9,
        Cap::AsidControl => 11,
        Cap::AsidPool { .. } => 13,
        Cap::Timer { .. } => 64,
        Cap::Trace => 65,
    }
}

fn name_thread(caller: Ptr<Tcb>) {
    let Ok((_, Cap::Tcb { tcb })) = cspace::lookup_cap(caller, caller.regs.get(CAP)) else {
        println!("axiom: NameThread: the capability is not a TCB");
        return;
    };
    let Some(buffer) = crate::message::buffer(caller, false) else { return };
    // The name starts at message register 0 in the buffer, NUL-terminated.
    for (i, byte) in tcb.name.iter().take(31).enumerate() {
        byte.set((buffer[1 + i / 8].get() >> (8 * (i % 8))) as u8);
        if byte.get() == 0 {
            break;
        }
    }
}

/// A fault of the current thread.
pub fn user_fault(fault: Fault) {
    sched::update_timestamp();
    if sched::check_budget_restart() {
        fault::handle(node().current(), fault);
    }
    leave();
}

/// A device or timer interrupt, while a thread ran or while idle.
pub fn interrupt() {
    sched::update_timestamp();
    // Whatever the interrupt decides, the interrupted thread goes on with budget or waits for its refill.
    sched::check_budget();
    while let Some(irq) = arch::irq::acknowledge() {
        interrupt::handle(irq);
        arch::irq::complete(irq);
    }
    leave();
}

/// Chooses the thread to return to.
#[inline(always)]
pub fn leave() {
    sched::schedule();
    sched::activate();
}
