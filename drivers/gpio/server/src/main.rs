//! The server of lines, PWM channels and motors: it owns every chip of them, answers clients that the manifest lets use
//! some, and runs BPF programs on edges (`gpio/<chip>/<line>/<rising|falling|both>`) and on duties before they are applied
//! (`pwm/<chip>/<channel>`).
//!
//! Between an edge's interrupt and a program's first instruction lie the kernel's signal, one or two reads and a write of
//! the chip's registers, and a look at who is attached. What a program sets is at the pin when its helper returns.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(any(target_os = "none", test))]
mod chips;
#[cfg(any(target_os = "none", test))]
mod hands;
#[cfg(any(target_os = "none", test))]
mod server;
#[cfg(test)]
mod tests;

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("the GPIO server runs on Axiom");
}
