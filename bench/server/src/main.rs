//! The benchmark server: measures the running system over its own interfaces and prints the report.
//!
//! Rules: nothing is logged inside a timed region; the cost of reading the clock is measured first and subtracted; samples are
//! kept whole and reduced at the end; a row that could not be measured is not printed as a zero, but named.
//! Under instruction counting (`-icount shift=0`) PMCCNTR counts instructions exactly, which the server finds out by
//! counting a loop of known length twice.
#![cfg_attr(target_os = "none", no_std, no_main)]
#[cfg(any(target_os = "none", test))]
extern crate alloc;
#[cfg(target_os = "none")]
use axiom_heap as _;

#[cfg(any(target_os = "none", test))]
mod boot;
#[cfg(any(target_os = "none", test))]
mod bpf;
#[cfg(any(target_os = "none", test))]
mod clock;
#[cfg(any(target_os = "none", test))]
mod ipc;
#[cfg(any(target_os = "none", test))]
mod kernel;
#[cfg(any(target_os = "none", test))]
mod memory;
#[cfg(any(target_os = "none", test))]
mod partner;
#[cfg(any(target_os = "none", test))]
mod report;
#[cfg(any(target_os = "none", test))]
mod sample;
#[cfg(any(target_os = "none", test))]
mod scans;
#[cfg(any(target_os = "none", test))]
mod second;
#[cfg(any(target_os = "none", test))]
mod server;
#[cfg(test)]
mod tests;
#[cfg(any(target_os = "none", test))]
mod threads;
#[cfg(any(target_os = "none", test))]
mod timer;
#[cfg(any(target_os = "none", test))]
mod trace;

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("the benchmark server runs on Axiom");
}
