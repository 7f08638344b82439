//! How a server opens a peripheral of RP1: its registers, mapped as device memory, and its interrupt.
#![no_std]

use axiom_mmio::{Block, Mmio};
use axiom_runtime::proto::Error;
use axiom_runtime::proto::rp1::{INTERFACE, Peripheral, Refusal, Reply, Request};
use axiom_runtime::sel4::object::vm_attributes;
use axiom_runtime::sel4::{CPtr, CapRights};
use axiom_runtime::{
    Bit, Buffer, CNode, Doorbell, Endpoint, Frame, IrqHandler, Notification, Pages, Runtime, Slots, VSpace,
    call_with_cap, ipc,
};
use core::fmt;
use core::ptr::NonNull;

/// Why a peripheral was not opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failure {
    /// The manifest does not let this server call RP1's.
    NoChannel,
    /// There is no peripheral of that name.
    NoSuchPeripheral,
    /// The server refused.
    Refused(Refusal),
    /// The call went wrong.
    Call(Error),
    /// This server has no slot, or no address (`scratch_kib`), left.
    NoRoom,
    /// The kernel refused the mapping.
    Kernel(axiom_runtime::sel4::Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::NoChannel => f.write_str("the manifest does not let this server call RP1's"),
            Failure::NoSuchPeripheral => f.write_str("RP1 has no peripheral of that name"),
            Failure::Refused(refusal) => refusal.fmt(f),
            Failure::Call(error) => error.fmt(f),
            Failure::NoRoom => f.write_str("no slot or address is left: scratch_kib of this server"),
            Failure::Kernel(error) => write!(f, "the kernel refused the mapping: {error:?}"),
        }
    }
}

impl From<axiom_runtime::sel4::Error> for Failure {
    fn from(error: axiom_runtime::sel4::Error) -> Failure {
        Failure::Kernel(error)
    }
}

/// Bytes of a block of registers with its atomic views.
const BLOCK_BYTES: usize = 0x4000;

/// A peripheral's registers: pages in a row, in the order of its page numbers.
pub struct Registers {
    start: NonNull<u32>,
    bytes: usize,
}

impl Registers {
    /// The block at an offset, which has atomic views; `None` if that many pages were not given. Each block has one user.
    pub fn block<B>(&self, offset: usize) -> Option<Block<B, Mmio>> {
        if offset.checked_add(BLOCK_BYTES)? > self.bytes {
            return None;
        }
        // SAFETY: as for `whole`; the block ends within those pages, as just checked.
        Some(Block::new(unsafe { Mmio::new(self.start.byte_add(offset)) }))
    }

    /// All of them, for a driver that takes the peripheral as a whole.
    pub fn whole(&self) -> Mmio {
        // SAFETY: RP1's server gave this server the peripheral's pages, all that it has; `open` mapped them as device memory, for this
        // server's life.
        unsafe { Mmio::new(self.start) }
    }
}

/// The way to say that the interrupt was served.
#[derive(Clone, Copy, Debug)]
pub enum Served {
    /// RP1's server distributes the chip's only interrupt, and gave this to be told by: whatever it is, nobody waits at it.
    Shared(Doorbell),
    /// The peripheral has an interrupt of its own.
    Own(IrqHandler),
}

impl Served {
    /// The peripheral was served, and its line is low: its interrupt may come again.
    #[inline]
    pub fn signal(self) {
        match self {
            Served::Shared(served) => served.ring(),
            // A handler that this server holds is always one that can be acknowledged.
            Served::Own(handler) => drop(handler.ack()),
        }
    }
}

fn ask(to: Endpoint, request: Request, cap: Option<CPtr>) -> Result<(Reply, bool), Failure> {
    let mut buffer = Buffer::new();
    match call_with_cap::<_, Reply>(to, INTERFACE, &request, cap, &mut buffer) {
        Ok((Reply::Refused(refusal), _)) => Err(Failure::Refused(refusal)),
        Ok(answer) => Ok(answer),
        Err(error) => Err(Failure::Call(error)),
    }
}

fn server(rt: Runtime) -> Result<Endpoint, Failure> {
    rt.serving(INTERFACE).ok_or(Failure::NoChannel)
}

fn peripheral(name: &str) -> Result<Peripheral, Failure> {
    Peripheral::from_name(name).ok_or(Failure::NoSuchPeripheral)
}

/// Opens a peripheral by its name: all its pages. Room at `pages` must be for as many as it has (1, for GPIO 12).
pub fn open(rt: Runtime, slots: &mut Slots, pages: &mut Pages, name: &str) -> Result<Registers, Failure> {
    let (to, peripheral) = (server(rt)?, peripheral(name)?);
    let (mut start, mut count, mut page) = (0, 1u8, 0u8);
    while page < count {
        let (reply, came) = ask(to, Request::Open { peripheral, page }, None)?;
        let (Reply::Page { pages: all }, true) = (reply, came) else {
            return Err(Failure::Call(Error::Malformed));
        };
        if page == 0 {
            count = all;
            start = pages.take(all as usize).ok_or(Failure::NoRoom)?;
        }
        let slot = slots.take().ok_or(Failure::NoRoom)?;
        CNode::OWN.move_to(slot, ipc::received())?;
        let at = start + u64::from(page) * 4096;
        Frame(slot).map(VSpace::OWN, at, CapRights::READ_WRITE, vm_attributes::EXECUTE_NEVER)?;
        page += 1;
    }
    let start = NonNull::new(start as *mut u32).ok_or(Failure::NoRoom)?;
    Ok(Registers { start, bytes: count as usize * 4096 })
}

/// From now on the peripheral's interrupt sets a bit of this server's notification, one for doorbells.
pub fn interrupt(rt: Runtime, slots: &mut Slots, name: &str, bit: Bit) -> Result<Served, Failure> {
    let (to, peripheral) = (server(rt)?, peripheral(name)?);
    let signal = slots.take().ok_or(Failure::NoRoom)?;
    Notification::OWN.signaller(signal, bit)?;
    let answer = ask(to, Request::Interrupt(peripheral), Some(signal));
    let bound = answer.and_then(|answer| bind(answer, slots, signal));
    // RP1's server, or the kernel, has a copy, or there was nothing to bind.
    CNode::OWN.delete(signal)?;
    slots.give(signal);
    bound
}

fn bind((reply, came): (Reply, bool), slots: &mut Slots, signal: CPtr) -> Result<Served, Failure> {
    let own = match reply {
        Reply::Interrupt if came => false,
        Reply::Handler if came => true,
        _ => return Err(Failure::Call(Error::Malformed)),
    };
    let served = slots.take().ok_or(Failure::NoRoom)?;
    CNode::OWN.move_to(served, ipc::received())?;
    if !own {
        return Ok(Served::Shared(Doorbell(served)));
    }
    let handler = IrqHandler(served);
    handler.set_notification(Notification(signal))?;
    handler.ack()?;
    Ok(Served::Own(handler))
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use axiom_runtime::sel4::{Badge, MessageInfo, host, stubs, syscall};
    use std::rc::Rc;
    use std::vec::Vec;

    #[test]
    fn what_another_server_gave_is_never_waited_at() {
        let calls = Rc::new(core::cell::RefCell::new(Vec::new()));
        let seen = calls.clone();
        let kernel = move |call: host::Syscall| {
            seen.borrow_mut().push((call.number, call.cap));
            stubs::Received { info: MessageInfo(0), badge: Badge(0), mrs: [0; 4] }
        };
        host::with(kernel, || Served::Shared(Doorbell(CPtr(9))).signal());
        assert_eq!(*calls.borrow(), [(syscall::NB_SEND, CPtr(9))]);
    }
}
