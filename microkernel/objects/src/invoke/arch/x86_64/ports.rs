//! I/O ports: handing ranges out, reading and writing.
use crate::arch::ports::{Access, Ports};
use crate::cap::Cap;
use crate::invoke::args::{Args, Invoked, Outcome, Stop, ensure_empty, target_slot};
use crate::machine::Machine;
use crate::slot;
use sel4_sys::label;

/// Invokes a capability to ports.
pub fn invoke<M: Machine>(m: M, args: &Args, ports: Ports) -> Invoked {
    match ports {
        Ports::Control => issue(m, args),
        Ports::Range { first, last } => access(m, args, first, last),
    }
}

/// Ports are 16 bits wide: what is above counts for nothing, as in seL4.
fn issue<M: Machine>(m: M, args: &Args) -> Invoked {
    if args.label != label::IO_PORT_CONTROL_ISSUE {
        return Err(Stop::IllegalOperation);
    }
    args.need(4, 1)?;
    let (first, last) = (args.word(0) as u16, args.word(1) as u16);
    if last < first {
        return Err(Stop::InvalidArgument(1));
    }
    if !m.shared().ports.are_free(first, last) {
        return Err(Stop::RevokeFirst);
    }
    let dest = target_slot(args.cap_slot(0)?.packed(), args.word(2), args.word(3), false)?;
    ensure_empty(dest)?;
    m.shared().ports.hand_out(first, last);
    slot::insert(Cap::Ports(Ports::Range { first, last }), args.slot, dest);
    Ok(Outcome::Done)
}

fn access<M: Machine>(m: M, args: &Args, first: u16, last: u16) -> Invoked {
    let (bytes, writes) = match args.label {
        label::IO_PORT_IN8 => (1, false),
        label::IO_PORT_IN16 => (2, false),
        label::IO_PORT_IN32 => (4, false),
        label::IO_PORT_OUT8 => (1, true),
        label::IO_PORT_OUT16 => (2, true),
        label::IO_PORT_OUT32 => (4, true),
        _ => return Err(Stop::IllegalOperation),
    };
    args.need(1, 0)?;
    let port = args.word(0) as u16;
    // All bytes of the access are ports of the range.
    if port < first || u32::from(port) + u32::from(bytes) - 1 > u32::from(last) {
        return Err(Stop::IllegalOperation);
    }
    if writes {
        args.need(2, 0)?;
        m.port(Access::Out { port, bytes, data: args.word(1) as u32 });
        return Ok(Outcome::Done);
    }
    Ok(Outcome::Words([m.port(Access::In { port, bytes }), 0, 0, 0], 1))
}
