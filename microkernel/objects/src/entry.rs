//! Kernel entry from user space: system calls, faults and interrupts, each ending in the scheduler.
use crate::arch::registers::{CAP, NB_SEND_DEST, REPLY, TLS, sanitise};
use crate::cspace;
use crate::expiry;
use crate::fault;
use crate::fpu;
use crate::interrupt;
use crate::invoke;
use crate::invoke::args::Mode;
use crate::ipc;
use crate::machine::Machine;
use crate::notify;
use crate::object::{Fault, LookupFailure, Tcb, ThreadState};
use crate::ptr::Ptr;
use crate::sched::{self, set_state};
use crate::thread;
use sel4_sys::{CapRights, syscall};

const CALL: Mode = Mode { call: true, blocking: true, can_donate: true, first_phase: false };
const SEND: Mode = Mode { call: false, blocking: true, can_donate: false, first_phase: false };
const NB_SEND: Mode = Mode { call: false, blocking: false, can_donate: false, first_phase: false };
const FIRST_PHASE: Mode = Mode { call: false, blocking: false, can_donate: true, first_phase: true };

/// A system call of the current thread that has no short way (`fast`), or not in its case. Afterwards the thread to return
/// to is current.
#[inline(always)]
pub fn system_call<M: Machine>(m: M, number: i64) {
    let n = m.node();
    let tcb = n.current();
    sched::update_timestamp(m);
    if has_budget(m) {
        match number {
            syscall::CALL => invoke::invoke(m, tcb.regs.get(CAP), CALL),
            syscall::REPLY_RECV => {
                reply_phase(m, tcb);
                receive_if_able(m, tcb, RECV);
            }
            syscall::SEND => invoke::invoke(m, tcb.regs.get(CAP), SEND),
            syscall::NB_SEND => invoke::invoke(m, tcb.regs.get(CAP), NB_SEND),
            syscall::RECV => receive(m, tcb, RECV),
            syscall::NB_RECV => receive(m, tcb, NB_RECV),
            syscall::WAIT => receive(m, tcb, WAIT),
            syscall::NB_WAIT => receive(m, tcb, NB_WAIT),
            syscall::NB_SEND_RECV => {
                invoke::invoke(m, tcb.regs.get(NB_SEND_DEST), FIRST_PHASE);
                receive_if_able(m, tcb, RECV);
            }
            syscall::NB_SEND_WAIT => {
                invoke::invoke(m, tcb.regs.get(REPLY), FIRST_PHASE);
                receive_if_able(m, tcb, WAIT);
            }
            syscall::YIELD => thread::yield_now(n),
            _ => other_call(m, tcb, number),
        }
    }
    leave(m);
}

#[inline(always)]
fn reply_phase<M: Machine>(m: M, tcb: Ptr<Tcb>) {
    let cptr = tcb.regs.get(REPLY);
    if let Ok((_, cap)) = cspace::lookup(tcb, cptr)
        && let Some((reply, can_grant)) = cap.as_reply()
    {
        ipc::reply(m, tcb, reply, can_grant);
    } else {
        invoke::invoke_other(m, cptr, FIRST_PHASE);
    }
}

/// How a thread receives.
#[derive(Clone, Copy)]
struct Receiving {
    /// It waits until something comes.
    blocking: bool,
    /// It names a reply object, for callers.
    with_reply: bool,
}

const RECV: Receiving = Receiving { blocking: true, with_reply: true };
const NB_RECV: Receiving = Receiving { blocking: false, with_reply: true };
const WAIT: Receiving = Receiving { blocking: true, with_reply: false };
const NB_WAIT: Receiving = Receiving { blocking: false, with_reply: false };

/// The receive phase of a combined call: not if the send phase faulted, or was preempted.
fn receive_if_able<M: Machine>(m: M, tcb: Ptr<Tcb>, how: Receiving) {
    if tcb.state.get() == ThreadState::Running {
        receive(m, tcb, how);
    }
}

#[inline(always)]
fn receive<M: Machine>(m: M, tcb: Ptr<Tcb>, how: Receiving) {
    let n = m.node();
    let cptr = tcb.regs.get(CAP);
    let cap = match cspace::lookup(tcb, cptr) {
        Ok((_, cap)) => cap,
        Err(failure) => return refuse_receive(m, tcb, cptr, failure),
    };
    if let Some((ep, _, rights)) = cap.as_endpoint()
        && rights.contains(CapRights::READ)
    {
        let mut reply = None;
        if how.with_reply {
            let cptr = tcb.regs.get(REPLY);
            match cspace::lookup(tcb, cptr) {
                Ok((_, cap)) => match cap.as_reply() {
                    Some((object, _)) => reply = Some(object),
                    None => return refuse_receive(m, tcb, cptr, LookupFailure::Missing { bits_left: 0 }),
                },
                Err(failure) => return refuse_receive(m, tcb, cptr, failure),
            }
        }
        let can_grant = rights.contains(CapRights::GRANT);
        ipc::receive(m, tcb, ep, ipc::ReceiveOptions { can_grant, blocking: how.blocking, reply });
    } else if let Some((ntfn, _, rights)) = cap.as_notification()
        && rights.contains(CapRights::READ)
        && ntfn.bound.get().is_none_or(|bound| bound == tcb)
    {
        notify::wait(n, tcb, ntfn, how.blocking);
    } else {
        refuse_receive(m, tcb, cptr, LookupFailure::Missing { bits_left: 0 });
    }
}

#[cold]
fn refuse_receive<M: Machine>(m: M, tcb: Ptr<Tcb>, addr: u64, failure: LookupFailure) {
    fault::handle(m, tcb, Fault::Cap { addr, in_recv_phase: true, failure });
}

#[cold]
fn other_call<M: Machine>(m: M, tcb: Ptr<Tcb>, number: i64) {
    if number == syscall::SET_TLS_BASE {
        let base = sanitise(TLS, tcb.regs.get(CAP));
        tcb.regs.set(TLS, base);
        m.set_thread_pointer(base);
    } else if !m.debug_call(tcb, number) {
        fault::handle(m, tcb, Fault::UnknownSyscall { number: number as u64 });
    }
}

/// Whether the current thread has budget for what it asks; without, its turn ends, and it asks again later.
#[inline(always)]
fn has_budget<M: Machine>(m: M) -> bool {
    let n = m.node();
    let left = fault::deliver(m, sched::check_budget(n));
    if !left && n.current().is_runnable() {
        set_state(n, n.current(), ThreadState::Restart);
    }
    left
}

/// A fault of the current thread.
pub fn user_fault<M: Machine>(m: M, fault: Fault) {
    let n = m.node();
    sched::update_timestamp(m);
    if has_budget(m) {
        fault::handle(m, n.current(), fault);
    }
    leave(m);
}

/// A device or timer interrupt, while a thread ran or while idle.
pub fn interrupt<M: Machine>(m: M) {
    let n = m.node();
    sched::update_timestamp(m);
    // Whatever the interrupt decides, the interrupted thread goes on with budget or waits for its refill.
    fault::deliver(m, sched::check_budget(n));
    interrupt::handle_pending(m);
    leave(m);
}

/// The touch of a trapping FPU: the registers are fetched, or it is a fault.
pub fn fpu_trap<M: Machine>(m: M, refused: Fault) {
    if !fpu::trap(m) {
        user_fault(m, refused);
    }
}

/// Chooses the thread to return to: every way out of the kernel passes here. But for two, which do not put a thread in or out of a
/// queue of ready threads without a look at its budget: the short ways ([`crate::fast`]), which do what this would, and the FPU's
/// trap, which goes back to where it came from.
///
/// Afterwards the current thread may run, and its context's head refill is there and holds the smallest budget; or it is the idle thread,
/// and nobody else can run. Nothing that was used is left uncharged but what the current context used since it was last looked
/// at. No account is due that comes before the thread.
#[inline(always)]
pub fn leave<M: Machine>(m: M) {
    let n = m.node();
    let mut served = false;
    loop {
        if n.release.first().is_some() {
            sched::awaken(n);
        }
        if !n.accounts.is_any_due() {
            if sched::schedule(m, served) {
                break;
            }
        } else if expiry::serve(m, served) {
            served = true;
        } else if sched::schedule(m, served) && sched::next_account(n).is_none() {
            // The choice may have put somebody else before an account than its turn was compared with: hence the second look.
            break;
        }
    }
    thread::activate(n);
}
