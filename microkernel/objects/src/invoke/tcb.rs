//! TCB invocations.
use super::args::{Args, Invoked, Outcome, Stop};
use crate::arch::registers::{FAULT_PC, PC, TLS, USER_CONTEXT_ORDER, sanitise};
use crate::cap::Cap;
use crate::delete;
use crate::derive::{Giving, derive, with_data};
use crate::fpu;
use crate::machine::Machine;
use crate::object::{Slot, TCB_BUFFER, TCB_CSPACE, TCB_FAULT, TCB_TIMEOUT, TCB_VSPACE, Tcb};
use crate::ptr::Ptr;
use crate::sched;
use crate::slot;
use crate::thread;
use crate::waiting;
use sel4_sys::regs::{FRAME_REGISTERS, USER_CONTEXT_WORDS};
use sel4_sys::{CapRights, label};

/// Invokes a TCB.
pub fn invoke<M: Machine>(m: M, args: &Args, tcb: Ptr<Tcb>) -> Invoked {
    match args.label {
        label::TCB_READ_REGISTERS => read_registers(m, args, tcb),
        label::TCB_WRITE_REGISTERS => write_registers(m, args, tcb),
        label::TCB_COPY_REGISTERS => copy_registers(m, args, tcb),
        label::TCB_SUSPEND => {
            thread::suspend(m.node(), tcb);
            Ok(Outcome::Done)
        }
        label::TCB_RESUME => {
            thread::restart(m.node(), tcb);
            Ok(Outcome::Done)
        }
        label::TCB_CONFIGURE => configure(m, args, tcb),
        label::TCB_SET_PRIORITY => {
            let priority = authorised(args, 0)?;
            thread::set_priority(m.node(), tcb, priority);
            Ok(Outcome::Done)
        }
        label::TCB_SET_MC_PRIORITY => {
            let mcp = authorised(args, 0)?;
            tcb.mcp.set(mcp);
            Ok(Outcome::Done)
        }
        label::TCB_SET_SCHED_PARAMS => set_sched_params(m, args, tcb),
        label::TCB_SET_TIMEOUT_ENDPOINT => {
            args.need(0, 1)?;
            let handler = fault_handler(args, 0, 1)?;
            install(m, handler, args.slot, tcb, TCB_TIMEOUT)?;
            Ok(Outcome::Done)
        }
        label::TCB_SET_IPC_BUFFER => {
            args.need(1, 1)?;
            let buffer = ipc_buffer(args, args.word(0), 0)?;
            set_buffer(m, buffer, args.word(0), args.slot, tcb)?;
            Ok(Outcome::Done)
        }
        label::TCB_SET_SPACE => set_space(m, args, tcb),
        label::TCB_BIND_NOTIFICATION => bind_notification(args, tcb),
        label::TCB_UNBIND_NOTIFICATION => match tcb.bound_ntfn.get() {
            Some(ntfn) => {
                waiting::unbind(ntfn);
                Ok(Outcome::Done)
            }
            None => Err(Stop::IllegalOperation),
        },
        label::TCB_SET_TLS_BASE => {
            args.need(1, 0)?;
            tcb.regs.set(TLS, sanitise(TLS, args.word(0)));
            if tcb == m.node().current() {
                m.set_thread_pointer(tcb.regs.get(TLS));
            }
            Ok(Outcome::Done)
        }
        label::TCB_SET_FLAGS => set_flags(m, args, tcb),
        _ => Err(Stop::IllegalOperation),
    }
}

fn read_registers<M: Machine>(m: M, args: &Args, tcb: Ptr<Tcb>) -> Invoked {
    args.need(2, 0)?;
    let (flags, count) = (args.word(0), args.word(1));
    if !(1..=USER_CONTEXT_WORDS as u64).contains(&count) {
        return Err(Stop::Range { min: 1, max: USER_CONTEXT_WORDS as u64 });
    }
    if tcb == args.tcb {
        return Err(Stop::IllegalOperation);
    }
    if flags & 1 != 0 {
        thread::suspend(m.node(), tcb);
    }
    let mut written = 0;
    for (i, register) in USER_CONTEXT_ORDER.iter().enumerate().take(count as usize) {
        let register = if *register == PC { FAULT_PC } else { *register };
        if args.answer(i, tcb.regs.get(register)) {
            written = i + 1;
        }
    }
    Ok(Outcome::Written(written))
}

fn write_registers<M: Machine>(m: M, args: &Args, tcb: Ptr<Tcb>) -> Invoked {
    args.need(2, 0)?;
    let (flags, count) = (args.word(0), args.word(1));
    if ((args.words() - 2) as u64) < count {
        return Err(Stop::Truncated);
    }
    if tcb == args.tcb {
        return Err(Stop::IllegalOperation);
    }
    for (i, register) in USER_CONTEXT_ORDER.iter().enumerate().take(count as usize) {
        let value = sanitise(*register, args.word(i + 2));
        let register = if *register == PC { FAULT_PC } else { *register };
        tcb.regs.set(register, value);
    }
    tcb.regs.set(PC, tcb.regs.get(FAULT_PC));
    // It does something else from now on than the invocation that it was interrupted in.
    tcb.cancelling.take();
    if flags & 1 != 0 {
        thread::restart(m.node(), tcb);
    }
    Ok(Outcome::Done)
}

fn copy_registers<M: Machine>(m: M, args: &Args, tcb: Ptr<Tcb>) -> Invoked {
    let n = m.node();
    args.need(1, 1)?;
    let flags = args.word(0);
    let Cap::Tcb { tcb: source } = args.cap_slot(0)?.cap() else { return Err(Stop::InvalidCapability(1)) };
    if flags & 1 != 0 {
        thread::suspend(m.node(), source);
    }
    if flags & 2 != 0 {
        thread::restart(m.node(), tcb);
    }
    let copy = |registers: &[usize]| {
        for register in registers {
            tcb.regs.set(*register, source.regs.get(*register));
        }
    };
    if flags & 4 != 0 {
        copy(&USER_CONTEXT_ORDER[..FRAME_REGISTERS]);
        tcb.regs.set(PC, source.regs.get(FAULT_PC));
        tcb.regs.set(FAULT_PC, source.regs.get(FAULT_PC));
        tcb.cancelling.take();
    }
    if flags & 8 != 0 {
        // The running thread's pointers are in the machine, and its register file is older than that.
        if source == n.current() {
            m.switch_thread_pointers(source, source);
        }
        copy(&USER_CONTEXT_ORDER[FRAME_REGISTERS..]);
        if tcb == n.current() {
            m.load_thread_pointers(tcb);
        }
    }
    if tcb == n.current() {
        sched::reschedule(n);
    }
    Ok(Outcome::Done)
}

/// A priority in word `index` that the TCB in capability argument 0 may give.
fn authorised(args: &Args, index: usize) -> Result<u8, Stop> {
    args.need(index + 1, 1)?;
    let Cap::Tcb { tcb: authority } = args.cap_slot(0)?.cap() else { return Err(Stop::InvalidCapability(1)) };
    let priority = args.word(index);
    let max = u64::from(authority.mcp.get());
    if priority > max { Err(Stop::Range { min: 0, max }) } else { Ok(priority as u8) }
}

fn set_sched_params<M: Machine>(m: M, args: &Args, tcb: Ptr<Tcb>) -> Invoked {
    let n = m.node();
    args.need(2, 3)?;
    let mcp = authorised(args, 0)?;
    let priority = authorised(args, 1)?;
    let sc = match args.cap_slot(1)?.cap() {
        Cap::Null => {
            if tcb == n.current() {
                return Err(Stop::IllegalOperation);
            }
            None
        }
        Cap::SchedContext { sc, .. } => {
            if tcb.sc.get().is_some_and(|own| own != sc)
                || (tcb.sc.get() != Some(sc) && sc.tcb.get().is_some())
            {
                return Err(Stop::IllegalOperation);
            }
            if tcb.is_blocked() && !sched::is_released(n, sc) {
                return Err(Stop::IllegalOperation);
            }
            Some(sc)
        }
        _ => return Err(Stop::InvalidCapability(2)),
    };
    let handler = fault_handler(args, 2, 3)?;
    install(m, handler, args.slot, tcb, TCB_FAULT)?;
    tcb.mcp.set(mcp);
    thread::set_priority(m.node(), tcb, priority);
    match sc {
        Some(sc) if tcb.sc.get() != Some(sc) => sched::bind_tcb(n, sc, tcb),
        None => {
            if let Some(own) = tcb.sc.get() {
                sched::unbind_tcb(n, own);
            }
        }
        _ => {}
    }
    Ok(Outcome::Done)
}

/// A capability argument to be installed: what to install, and where it came from.
struct Install {
    cap: Cap,
    src: Ptr<Slot>,
}

fn fault_handler(args: &Args, index: usize, argument: u64) -> Result<Install, Stop> {
    let src = args.cap_slot(index)?;
    let cap = src.cap();
    let valid = match cap {
        Cap::Null => true,
        Cap::Endpoint { rights, .. } => {
            rights.contains(CapRights::WRITE)
                && (rights.contains(CapRights::GRANT) || rights.contains(CapRights::GRANT_REPLY))
        }
        _ => false,
    };
    if valid { Ok(Install { cap, src }) } else { Err(Stop::InvalidCapability(argument)) }
}

fn cspace_root(args: &Args, index: usize, data: u64) -> Result<Install, Stop> {
    let src = args.cap_slot(index)?;
    let cap = if data == 0 { src.cap() } else { with_data(src.cap(), data, Giving::Mint) };
    match derive(src, cap)? {
        cap @ Cap::CNode { .. } => Ok(Install { cap, src }),
        _ => Err(Stop::IllegalOperation),
    }
}

fn vspace_root(args: &Args, index: usize) -> Result<Install, Stop> {
    let src = args.cap_slot(index)?;
    match derive(src, src.cap())? {
        cap @ Cap::VSpace { asid: Some(_), .. } => Ok(Install { cap, src }),
        _ => Err(Stop::IllegalOperation),
    }
}

fn ipc_buffer(args: &Args, address: u64, index: usize) -> Result<Option<Install>, Stop> {
    if address == 0 {
        return Ok(None);
    }
    let src = args.cap_slot(index)?;
    match derive(src, src.cap())? {
        cap @ Cap::Frame { device: false, .. } => {
            if !address.is_multiple_of(1024) {
                return Err(Stop::Alignment);
            }
            Ok(Some(Install { cap, src }))
        }
        _ => Err(Stop::IllegalOperation),
    }
}

/// Puts a capability into a slot of the TCB. Deleting what was there can be long; then the invocation is made again.
fn install<M: Machine>(m: M, new: Install, own: Ptr<Slot>, tcb: Ptr<Tcb>, index: usize) -> Result<(), Stop> {
    delete::delete(m, tcb.slot(index))?;
    // Deleting may have taken the source or the TCB's own capability along.
    if new.cap != Cap::Null && new.cap.same_object(&new.src.cap()) && own.cap() == (Cap::Tcb { tcb }) {
        slot::insert(new.cap, new.src, tcb.slot(index));
    }
    Ok(())
}

fn set_buffer<M: Machine>(
    m: M,
    buffer: Option<Install>,
    address: u64,
    own: Ptr<Slot>,
    tcb: Ptr<Tcb>,
) -> Result<(), Stop> {
    let n = m.node();
    delete::delete(m, tcb.slot(TCB_BUFFER))?;
    tcb.ipc_buffer.set(address);
    if let Some(buffer) = buffer {
        install(m, buffer, own, tcb, TCB_BUFFER)?;
    }
    if tcb == n.current() {
        sched::reschedule(n);
    }
    Ok(())
}

/// Refuses to put new spaces where the old ones are the last capabilities to objects that hold slots: taking those apart may
/// take long, and the thread would be without a space meanwhile.
fn refuse_long_deletion(tcb: Ptr<Tcb>) -> Result<(), Stop> {
    let long = delete::is_long(tcb.slot(TCB_CSPACE)) || delete::is_long(tcb.slot(TCB_VSPACE));
    if long { Err(Stop::IllegalOperation) } else { Ok(()) }
}

fn configure<M: Machine>(m: M, args: &Args, tcb: Ptr<Tcb>) -> Invoked {
    args.need(3, 3)?;
    let address = args.word(2);
    let buffer = ipc_buffer(args, address, 2)?;
    refuse_long_deletion(tcb)?;
    let cspace = cspace_root(args, 0, args.word(0))?;
    let vspace = vspace_root(args, 1)?;
    install(m, cspace, args.slot, tcb, TCB_CSPACE)?;
    install(m, vspace, args.slot, tcb, TCB_VSPACE)?;
    set_buffer(m, buffer, address, args.slot, tcb)?;
    Ok(Outcome::Done)
}

fn set_space<M: Machine>(m: M, args: &Args, tcb: Ptr<Tcb>) -> Invoked {
    let n = m.node();
    args.need(2, 3)?;
    refuse_long_deletion(tcb)?;
    let cspace = cspace_root(args, 1, args.word(0))?;
    let vspace = vspace_root(args, 2)?;
    let handler = fault_handler(args, 0, 1)?;
    install(m, handler, args.slot, tcb, TCB_FAULT)?;
    install(m, cspace, args.slot, tcb, TCB_CSPACE)?;
    install(m, vspace, args.slot, tcb, TCB_VSPACE)?;
    if tcb == n.current() {
        sched::reschedule(n);
    }
    Ok(Outcome::Done)
}

fn bind_notification(args: &Args, tcb: Ptr<Tcb>) -> Invoked {
    args.need(0, 1)?;
    if tcb.bound_ntfn.get().is_some() {
        return Err(Stop::IllegalOperation);
    }
    let Cap::Notification { ntfn, rights, .. } = args.cap_slot(0)?.cap() else {
        return Err(Stop::IllegalOperation);
    };
    if !rights.contains(CapRights::READ) || ntfn.head.get().is_some() || ntfn.bound.get().is_some() {
        return Err(Stop::IllegalOperation);
    }
    ntfn.bound.set(Some(tcb));
    tcb.bound_ntfn.set(Some(ntfn));
    Ok(Outcome::Done)
}

/// `seL4_TCBFlag_fpuDisabled`, the only flag.
const FLAG_FPU_DISABLED: u64 = 1;

fn set_flags<M: Machine>(m: M, args: &Args, tcb: Ptr<Tcb>) -> Invoked {
    args.need(2, 0)?;
    let flags = (tcb.flags.get() & !args.word(0)) | (args.word(1) & FLAG_FPU_DISABLED);
    tcb.flags.set(flags);
    if flags & FLAG_FPU_DISABLED != 0 {
        fpu::release(m, tcb);
    }
    Ok(Outcome::Words([flags, 0, 0, 0], 1))
}
