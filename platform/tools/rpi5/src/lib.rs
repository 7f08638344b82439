//! The Raspberry Pi 5's SD card: its image, writing it to a disk, and the serial console.
//!
//! Library, so that tests reach the parts; the program is `axiom-rpi5`.
pub mod card;
pub mod config;
pub mod console;
pub mod disks;
pub mod flash;
pub mod members;
pub mod target;
