//! init's program: its stack and heap, its first instructions, and what becomes of a panic. What it decides is in the library.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod entry;

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("init runs on Axiom");
}
