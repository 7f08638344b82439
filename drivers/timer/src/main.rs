//! Hosts programs attached to timers.
fn main() {}
