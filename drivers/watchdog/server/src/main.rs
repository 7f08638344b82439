//! The watchdog's server. Give it the lowest priority: it feeds the watchdog whenever it runs, so the board is reset when nobody
//! leaves the processor to the least urgent for `args = { timeout_ms = ... }`, be it a server or the kernel that hangs.
//!
//! Nobody calls it. If it dies, it is not restarted for feeding's sake alone: the board resets, which is what it is for.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(any(target_os = "none", test))]
mod server;
#[cfg(test)]
mod tests;

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("the watchdog's server runs on Axiom");
}
