//! I/O ports: this architecture has none.
use axiom_objects::arch::ports::{Access, Ports};

/// The root task's right to hand ports out.
pub fn all() -> Option<Ports> {
    None
}

/// Their number for debugging.
pub fn identify(ports: Ports) -> u64 {
    match ports {}
}

/// Reads or writes a port.
pub fn access(access: Access) -> u64 {
    match access {}
}
