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
mod measure;

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("the benchmark server runs on Axiom");
}
