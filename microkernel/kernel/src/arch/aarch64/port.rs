//! I/O ports: this architecture has none.
use axiom_objects::arch::ports::Access;

/// Reads or writes a port.
pub fn access(access: Access) -> u64 {
    match access {}
}
