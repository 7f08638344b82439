//! The sensors that Axiom has drivers for, a file each: ADXL345 (acceleration, with its FIFO and interrupt), LM75 and its family
//! (temperature), BME280 and DPS310 (pressure, temperature, humidity), LSM303DLHC (magnetometer and accelerometer), and SHTC3
//! (temperature, humidity) by a driver from crates.io.
//!
//! Each takes a bus and gives counts with a scale; none knows the system. Integer arithmetic throughout: the system's servers use no
//! floating point.
#![no_std]
#[cfg(test)]
extern crate std;

pub mod adxl345;
mod bme280;
mod dps310;
pub mod lm75;
mod lsm303;
pub mod shtc3;
#[cfg(test)]
mod tests;

/// The examples of README.md are tests, too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use adxl345::Adxl345;
pub use bme280::Bme280;
pub use dps310::Dps310;
pub use lm75::Lm75;
pub use lsm303::{Lsm303Accel, Lsm303Magn};
pub use shtc3::Shtc3;
