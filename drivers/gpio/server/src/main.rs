//! The server of lines, PWM channels and motors: it owns every chip of them, answers clients that the manifest lets use
//! some, and runs BPF programs on edges (`gpio/<chip>/<line>/<rising|falling|both>`) and on duties before they are applied
//! (`pwm/<chip>/<channel>`).
//!
//! Between an edge's interrupt and the first instruction of a program, the kernel signals this server, the server reads one or two
//! registers of the chip and writes one, and looks up who is attached. When a helper returns to a program, what it set is at the pin.
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
