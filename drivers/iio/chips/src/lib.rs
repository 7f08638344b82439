//! Sensors over I2C that need nothing but transfers: BME280 and DPS310 (pressure, temperature, humidity), LSM303DLHC
//! (magnetometer and accelerometer). They measure by themselves all the time; a read takes the newest values in one transfer.
//!
//! Integer arithmetic throughout: the system's servers use no floating point.
#![no_std]
#[cfg(test)]
extern crate std;

mod bme280;
mod dps310;
mod lsm303;
#[cfg(test)]
mod tests;

/// The examples of README.md are tests, too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use bme280::Bme280;
pub use dps310::Dps310;
pub use lsm303::{Lsm303Accel, Lsm303Magn};
