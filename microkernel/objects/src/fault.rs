//! What becomes of a fault: a message to the thread's handler, or the thread stops.
use crate::arch::registers::FAULT_PC;
use crate::fault_message::kind;
use crate::ipc;
use crate::machine::{Machine, record};
use crate::object::{Fault, TCB_FAULT, Tcb, ThreadState};
use crate::ptr::Ptr;
use crate::sched::{self, Budget, set_state};
use crate::trace::class;
use sel4_sys::ext::event;

/// The current thread faulted: its handler gets a message, or it stops.
#[cold]
pub fn handle<M: Machine>(m: M, tcb: Ptr<Tcb>, fault: Fault) {
    record(m, class::FAULT, event::FAULT, kind(&fault) as u16, tcb.addr() as u32);
    tcb.fault.set(fault);
    let can_donate = tcb.sc.get().is_some();
    if !ipc::send_fault(m, tcb, TCB_FAULT, can_donate) {
        report_unhandled(m, tcb, fault);
        set_state(m.node(), tcb, ThreadState::Inactive);
        tcb.fault.set(Fault::None);
    }
}

fn report_unhandled<M: Machine>(m: M, tcb: Ptr<Tcb>, fault: Fault) {
    // Short, because interrupts wait for it.
    let (what, number) = match fault {
        Fault::None => ("nothing", 0),
        Fault::Cap { addr, .. } => ("no capability at", addr),
        Fault::UnknownSyscall { number } => ("unknown system call", number),
        Fault::UserException { number, .. } => ("exception", number),
        Fault::Timeout { badge } => ("out of time, badge", badge),
        Fault::Vm { addr, .. } => ("no access to", addr),
    };
    let pc = tcb.regs.get(FAULT_PC);
    m.print(format_args!(
        "axiom: thread '{}' without fault handler stopped at {pc:#x}: {what} {number:#x}",
        tcb.name()
    ));
}

/// Tells the timeout handler of a thread whose budget is spent, if it has one. Whether there was budget left.
#[inline(always)]
pub fn deliver<M: Machine>(m: M, budget: Budget) -> bool {
    match budget {
        Budget::Left => true,
        Budget::Spent { timeout: None } => false,
        Budget::Spent { timeout: Some(tcb) } => {
            time_out(m, tcb);
            false
        }
    }
}

#[cold]
#[inline(never)]
fn time_out<M: Machine>(m: M, tcb: Ptr<Tcb>) {
    ipc::send_timeout(m, tcb);
    sched::reschedule(m.node());
}
