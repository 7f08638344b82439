//! Verifies, compiles and places eBPF programs.
fn main() {}
