//! The timer server: runs BPF programs at fixed rates, `timer/<n>hz`.
//!
//! Each rate that programs ask for gets one of the kernel's timers, which signals this server's notification and does not
//! drift. After the signal, the kernel is asked nothing before the program runs: each deadline is the first one plus whole periods, so
//! this server knows it.
//!
//! A machine with an HPET that the manifest grants has a second time base besides: `timer/<n>hz/hpet` (`second`).
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(any(target_os = "none", test))]
mod second;
#[cfg(any(target_os = "none", test))]
mod series;
#[cfg(any(target_os = "none", test))]
mod server;
#[cfg(test)]
mod tests;

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("the timer server runs on Axiom");
}
