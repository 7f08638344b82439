//! The server: messages in, capabilities out. What is done with them is in the library.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
extern crate alloc;
#[cfg(target_os = "none")]
use axiom_heap as _;

#[cfg(target_os = "none")]
mod memory;
#[cfg(target_os = "none")]
mod system;

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("bpf-server runs on Axiom; its tests run here: cargo test -p axiom-bpf-server --lib");
}
