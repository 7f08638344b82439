//! I/O ports, by capability: the kernel does each access.

use crate::cap::invoke;
use sel4_sys::{CPtr, Error, label};

/// A range of I/O ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports(pub CPtr);

impl Ports {
    /// Reads a byte.
    pub fn in8(self, port: u16) -> Result<u8, Error> {
        invoke(self.0, label::IO_PORT_IN8, &[port.into()], &[]).map(|words| words[0] as u8)
    }
    /// Writes a byte.
    pub fn out8(self, port: u16, byte: u8) -> Result<(), Error> {
        invoke(self.0, label::IO_PORT_OUT8, &[port.into(), byte.into()], &[]).map(drop)
    }
}
