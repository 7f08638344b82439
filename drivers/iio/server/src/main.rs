//! The IIO driver server.
fn main() {}
