//! The debugging calls: printing, naming threads, stopping the machine.
//!
//! Everybody may make them, as root tasks written for seL4 expect, until a holder of the Debug capability takes them away; the
//! capability does the same as a right ([`axiom_objects::invoke`]).
use crate::arch::{self, cpu};
use crate::node::node;
use crate::print::{self, println};
use axiom_objects::arch::registers::{CAP, FAULT_PC, PC};
use axiom_objects::cap::Cap;
use axiom_objects::object::Tcb;
use axiom_objects::ptr::Ptr;
use axiom_objects::{cspace, message};
use core::cell::Cell;
use sel4_sys::syscall;

struct Allowed(Cell<bool>);
// SAFETY: one core runs in the kernel at a time, and interrupts do not come there.
unsafe impl Sync for Allowed {}
static ALLOWED: Allowed = Allowed(Cell::new(true));

/// Whether the debugging calls are there, or unknown system calls.
pub fn allow(on: bool) {
    ALLOWED.0.set(on);
}

/// The end of the run: what waits is written, and the machine is turned off.
pub fn power_off() -> ! {
    print::wait();
    cpu::power_off()
}

/// Serves a debugging call; false if `number` is none, or they are taken away.
pub fn call(tcb: Ptr<Tcb>, number: i64) -> bool {
    if !ALLOWED.0.get() {
        return false;
    }
    match number {
        syscall::DEBUG_PUT_CHAR => {
            // The thread waits, not the kernel: it makes the call again until the UART has room.
            if !print::put_user(tcb.regs.get(CAP) as u8) {
                tcb.regs.set(PC, tcb.regs.get(FAULT_PC));
            }
        }
        syscall::DEBUG_HALT => power_off(),
        syscall::DEBUG_CAP_IDENTIFY => {
            let kind = cspace::lookup_cap(tcb, tcb.regs.get(CAP)).map_or(0, |(_, cap)| identify(&cap));
            tcb.regs.set(CAP, kind);
        }
        syscall::DEBUG_NAME_THREAD => name_thread(tcb),
        syscall::DEBUG_DUMP_SCHEDULER => dump_scheduler(),
        syscall::DEBUG_SNAPSHOT => println!("axiom: snapshots are not supported"),
        _ => return false,
    }
    true
}

fn dump_scheduler() {
    let n = node();
    let tcb = n.current();
    println!(
        "axiom: running '{}' at priority {}; highest ready {:?}; waiting for time: {}",
        tcb.name(),
        tcb.priority.get(),
        n.highest_ready(),
        if n.release.first().is_some() { "yes" } else { "no" }
    );
}

/// The number by which a capability's kind is known to debugging users, as seL4 16 has them on this architecture; others from 64.
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
        // On x86-64 each level is a kind: 3, 5 and 7 from the last.
        Cap::PageTable { kind, .. } => 3 + 2 * kind.bits(),
        Cap::VSpace { .. } => 9,
        Cap::AsidControl => 11,
        Cap::AsidPool { .. } => 13,
        Cap::Timer { .. } => 64,
        Cap::Trace => 65,
        Cap::Debug => 66,
        Cap::Ports(ports) => arch::port::identify(*ports),
    }
}

fn name_thread(caller: Ptr<Tcb>) {
    let Ok((_, Cap::Tcb { tcb })) = cspace::lookup_cap(caller, caller.regs.get(CAP)) else {
        println!("axiom: NameThread: the capability is not a TCB");
        return;
    };
    let Some(buffer) = message::buffer(caller, false) else { return };
    // The name starts at message register 0 in the buffer, NUL-terminated.
    for (i, byte) in tcb.name.iter().take(31).enumerate() {
        byte.set((buffer[1 + i / 8].get() >> (8 * (i % 8))) as u8);
        if byte.get() == 0 {
            break;
        }
    }
}
