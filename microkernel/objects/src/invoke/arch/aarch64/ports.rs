//! I/O ports: there are none.
use crate::arch::ports::Ports;
use crate::invoke::args::{Args, Invoked};
use crate::machine::Machine;

/// Invokes a capability to ports.
#[inline(always)]
pub fn invoke<M: Machine>(_: M, _: &Args, ports: Ports) -> Invoked {
    match ports {}
}
