//! Serial output shared by the servers.
fn main() {}
