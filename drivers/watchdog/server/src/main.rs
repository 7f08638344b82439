//! The watchdog's server. Give it the lowest priority: it feeds the watchdog whenever it runs. If the others, or a kernel that hangs,
//! leave it no time for `args = { timeout_ms = ... }`, the board is reset.
//!
//! Nobody calls it. If it dies, it need not be restarted: then the board is reset, and that is what a watchdog is for.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(any(target_os = "none", test))]
mod server;
#[cfg(test)]
mod tests;

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("the watchdog's server runs on Axiom");
}
