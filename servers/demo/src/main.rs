//! The demonstration: programs that are refused, with the verifier's reasons; programs that filter a live sensor; one that
//! is replaced between two samples; then the benchmark, then the end of the run.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
extern crate alloc;
#[cfg(target_os = "none")]
use axiom_heap as _;

#[cfg(target_os = "none")]
mod demo;
#[cfg(target_os = "none")]
mod sensors;

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("the demo runs on Axiom");
}
