//! The Axiom microkernel.
fn main() {}
