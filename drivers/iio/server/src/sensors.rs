//! The sensors that this server looks for: those that the manifest names (`sensors = "adxl345 lm75@0x49"`, each with its address if it
//! is not the usual one).

use crate::bus::Bus;
use axiom_chips::adxl345::{self, Range};
use axiom_chips::{Adxl345, Bme280, Dps310, Lm75, Lsm303Accel, Lsm303Magn, Shtc3, shtc3};
use axiom_iio::Sensor;
use axiom_runtime::proto::iio::DEVICES;
use axiom_runtime::{Place, warn};

/// What is looked for where the manifest says nothing.
const USUAL: &str = "adxl345 lm75";

macro_rules! sensors {
    ($($name:literal $usual:expr => $driver:ident |$address:ident| $make:expr),* $(,)?) => {
        /// A driver of any of the chips.
        enum Chip {
            $($driver($driver)),*
        }

        impl Chip {
            fn sensor(&mut self) -> &mut dyn Sensor<Bus> {
                match self {
                    $(Chip::$driver(driver) => driver),*
                }
            }
        }

        /// Name, usual address, driver.
        const KNOWN: &[(&str, u8, fn(u8) -> Chip)] = &[$(($name, $usual, |$address| Chip::$driver($make))),*];
    };
}

// Name, usual address, driver, how it is made for an address. A new chip is a line here.
sensors! {
    "adxl345" adxl345::ADDRESS => Adxl345 |address| Adxl345::new(address, Range::G16),
    "lm75" 0x48 => Lm75 |address| Lm75::new(address),
    "bme280" 0x76 => Bme280 |address| Bme280::new(address),
    "dps310" 0x77 => Dps310 |address| Dps310::new(address),
    "lsm303dlhc_magn" Lsm303Magn::ADDRESS => Lsm303Magn |_address| Lsm303Magn::default(),
    "shtc3" shtc3::ADDRESS => Shtc3 |_address| Shtc3::default(),
    "lsm303dlhc_accel" Lsm303Accel::ADDRESS => Lsm303Accel |_address| Lsm303Accel::default(),
}

static CHIPS: [Place<Chip>; DEVICES] = [const { Place::new() }; DEVICES];

fn address(text: &str) -> Option<u8> {
    let number = match text.strip_prefix("0x") {
        Some(hex) => u8::from_str_radix(hex, 16),
        None => text.parse(),
    };
    // The others are reserved (UM10204, 3.1.12).
    number.ok().filter(|a| (0x08..0x78).contains(a))
}

/// The sensors of a list, as many as this server has room for, each with its word in the list.
pub fn wanted(
    list: Option<&'static str>,
) -> impl Iterator<Item = (&'static str, &'static mut dyn Sensor<Bus>)> {
    let mut places = CHIPS.iter();
    list.unwrap_or(USUAL).split_whitespace().filter_map(move |word| {
        let (name, place) = word.split_once('@').map_or((word, None), |(name, at)| (name, Some(at)));
        let known = KNOWN.iter().find(|k| k.0 == name);
        let at = place.map_or(known.map(|k| k.1), address);
        let (Some(known), Some(at)) = (known, at) else {
            match known {
                None => warn!("{word}: this server has no driver for that sensor"),
                Some(_) => warn!("{word}: an address is 0x08 to 0x77"),
            }
            return None;
        };
        let Some(place) = places.next() else {
            warn!("{word}: left out: this server serves {DEVICES} sensors");
            return None;
        };
        Some((word, place.put(|| (known.2)(at)).sensor()))
    })
}
