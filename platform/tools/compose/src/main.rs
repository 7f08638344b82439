//! Checks a system manifest; writes the bundle and the report of who may reach what.
fn main() {}
