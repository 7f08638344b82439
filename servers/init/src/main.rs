//! The root task: builds, supervises and restarts the servers.
fn main() {}
