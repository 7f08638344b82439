//! The demos on lines: a button and an LED (`story = "button"`), a limit switch and a motor (`story = "limit"`).
//!
//! The demo loads the programs and waits for edges. They come from outside: on a board from a hand, in an emulator through its test
//! socket. It ends the run with a verdict of its own.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
extern crate alloc;
#[cfg(target_os = "none")]
use axiom_heap as _;

#[cfg(target_os = "none")]
mod demo;
#[cfg(target_os = "none")]
mod latency;
#[cfg(target_os = "none")]
mod lines;

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("the demo runs on Axiom");
}
