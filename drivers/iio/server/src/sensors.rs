//! The sensors that this server looks for: those that the manifest names (`sensors = "adxl345 lm75@0x49"`, each with its address if it
//! is not the usual one).

use crate::bus::Bus;
use alloc::boxed::Box;
use alloc::vec::Vec;
use axiom_adxl345::{Adxl345, Range};
use axiom_chips::{Bme280, Dps310, Lsm303Accel, Lsm303Magn};
use axiom_iio::Sensor;
use axiom_iio::lm75::Lm75;
use axiom_runtime::warn;
use axiom_shtcx::Shtc3;

/// What is looked for where the manifest says nothing.
const USUAL: &str = "adxl345 lm75";

type Make = fn(u8) -> Box<dyn Sensor<Bus>>;

/// Name, usual address, driver. A new chip is a line here.
const KNOWN: &[(&str, u8, Make)] = &[
    ("adxl345", axiom_adxl345::ADDRESS, |address| Box::new(Adxl345::new(address, Range::G16))),
    ("lm75", 0x48, |address| Box::new(Lm75::new(address))),
    ("bme280", 0x76, |address| Box::new(Bme280::new(address))),
    ("dps310", 0x77, |address| Box::new(Dps310::new(address))),
    ("lsm303dlhc_magn", Lsm303Magn::ADDRESS, |_| Box::new(Lsm303Magn::default())),
    ("shtc3", axiom_shtcx::ADDRESS, |_| Box::new(Shtc3::default())),
    ("lsm303dlhc_accel", Lsm303Accel::ADDRESS, |_| Box::new(Lsm303Accel::default())),
];

fn address(text: &str) -> Option<u8> {
    let number = match text.strip_prefix("0x") {
        Some(hex) => u8::from_str_radix(hex, 16),
        None => text.parse(),
    };
    // The others are reserved (UM10204, 3.1.12).
    number.ok().filter(|a| (0x08..0x78).contains(a))
}

/// The sensors of a list.
pub fn wanted(list: Option<&str>) -> Vec<Box<dyn Sensor<Bus>>> {
    let mut sensors = Vec::new();
    for word in list.unwrap_or(USUAL).split_whitespace() {
        let (name, place) = word.split_once('@').map_or((word, None), |(name, at)| (name, Some(at)));
        let known = KNOWN.iter().find(|k| k.0 == name);
        let at = place.map_or(known.map(|k| k.1), address);
        match (known, at) {
            (Some(known), Some(at)) => sensors.push((known.2)(at)),
            (None, _) => warn!("{word}: this server has no driver for that sensor"),
            (_, None) => warn!("{word}: an address is 0x08 to 0x77"),
        }
    }
    sensors
}
