//! The console server: the only one that writes to the serial port. It puts each client's name before its lines; who
//! the client is, its badge says, so no client can speak in another's name.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(any(target_os = "none", test))]
mod arch;
#[cfg(any(target_os = "none", test))]
mod server;
#[cfg(test)]
mod tests;

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("the console server runs on Axiom");
}
