//! Tests RP1's SPI where there is hardware or its model: a NOR flash on spi0 with its chip select at GPIO8, and spi1 with a wire from MOSI
//! to MISO. It erases and writes the flash's first sector, but only if the manifest says `erase = "yes"`.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
extern crate alloc;
#[cfg(target_os = "none")]
use axiom_heap as _;

#[cfg(target_os = "none")]
mod test;

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("the SPI test runs on Axiom");
}
