//! Starts QEMU with its helpers, watches the console, decides the exit status.
fn main() {}
