//! Checks the direction of dependencies between crates.
fn main() {}
