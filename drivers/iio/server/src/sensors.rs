//! The sensors that this server looks for: those that the manifest names (`sensors = "adxl345 lm75@0x49"`, each with its address if it
//! is not the usual one).
//!
//! compose refuses what is no such list before anything boots, and a chip that is there twice at one address. It and this server read the words
//! by one form, that of `takes.toml`, whose names (`{chip}` and `{fixed}`) and usual addresses are those of the table here.

use crate::bus::Bus;
use axiom_chips::adxl345::Range;
use axiom_chips::{Adxl345, Bme280, Dps310, Lm75, Lsm303Accel, Lsm303Magn, Shtc3};
use axiom_iio::Sensor;
use axiom_layout::form::{self, Form, Word};
use axiom_runtime::proto::iio::DEVICES;
use axiom_runtime::{Place, warn};
use heapless::Vec;

/// What is looked for where the manifest says nothing.
const USUAL: &str = "adxl345 lm75";
/// What a word is.
const FORM: Form<'static> = form::of(TAKES, "sensors");
// compose lets as many through as there is room for.
const _: () = assert!(form::bound(TAKES, "sensors", "most") == DEVICES as u64);

/// Name, usual address, the set of the form that the name is in, and how the driver is made for an address.
type Known = (&'static str, u8, &'static str, fn(u8) -> Chip);

macro_rules! sensors {
    ($($set:ident { $($name:literal $usual:literal => $driver:ident |$address:pat_param| $make:expr),* $(,)? })*) => {
        /// A driver of any of the chips.
        enum Chip {
            $($($driver($driver)),*),*
        }

        impl Chip {
            fn sensor(&mut self) -> &mut dyn Sensor<Bus> {
                match self {
                    $($(Chip::$driver(driver) => driver),*),*
                }
            }
        }

        /// What this program takes, with the names of its drivers.
        pub const TAKES: &str =
            concat!(
                include_str!("../takes.toml"), $(stringify!($set), " = [", $("\"", $name, "\", ",)* "]\n",)*
                "[usual]\n", $($($name, " = ", stringify!($usual), "\n",)*)*
            );
        axiom_runtime::takes!(TAKES);

        const KNOWN: &[Known] = &[$($(($name, $usual, stringify!($set), |$address| Chip::$driver($make))),*),*];
    };
}

// Name, usual address, driver, how it is made for an address. A new chip is a line here: of those whose pins or model choose the address, or
// of those that have one.
sensors! {
    chip {
        "adxl345" 0x53 => Adxl345 |address| Adxl345::new(address, Range::G16),
        "lm75" 0x48 => Lm75 |address| Lm75::new(address),
        "bme280" 0x76 => Bme280 |address| Bme280::new(address),
        "dps310" 0x77 => Dps310 |address| Dps310::new(address),
    }
    fixed {
        "lsm303dlhc_magn" 0x1e => Lsm303Magn |_| Lsm303Magn::default(),
        "shtc3" 0x70 => Shtc3 |_| Shtc3::default(),
        "lsm303dlhc_accel" 0x19 => Lsm303Accel |_| Lsm303Accel::default(),
    }
}

static CHIPS: [Place<Chip>; DEVICES] = [const { Place::new() }; DEVICES];

/// The sensors of a list, as many as this server has room for, each with its word in the list.
pub fn wanted(
    list: Option<&'static str>,
) -> impl Iterator<Item = (&'static str, &'static mut dyn Sensor<Bus>)> {
    let mut places = CHIPS.iter();
    let mut taken: Vec<Word<'static>, DEVICES> = Vec::new();
    list.unwrap_or(USUAL).split_whitespace().filter_map(move |text| {
        let Some((word, known)) = word(text) else {
            warn!("{text}: no sensor that this server has a driver for, or no address");
            return None;
        };
        if let Some(other) = taken.iter().find(|other| other.is(&word, usual)) {
            warn!("{text}: left out: {} is the same chip at the same address", other.text);
            return None;
        }
        let at = word.right.and_then(|address| address.number).map_or(known.1, |address| address as u8);
        let (Some(place), Ok(())) = (places.next(), taken.push(word)) else {
            warn!("{text}: left out: this server serves {DEVICES} sensors");
            return None;
        };
        Some((text, place.put(|| (known.3)(at)).sensor()))
    })
}

/// The usual address of a chip.
fn usual(name: &str) -> Option<u64> {
    KNOWN.iter().find(|known| known.0 == name).map(|known| known.1.into())
}

/// A word of the list, with the line of the table that it names.
fn word(text: &'static str) -> Option<(Word<'static>, &'static Known)> {
    let known = |name: &str| KNOWN.iter().find(|k| k.0 == name);
    let word = FORM.word(text, |set, name| known(name).is_some_and(|k| k.2 == set))?;
    Some((word, known(word.left.text)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axiom_compose::takes;
    use proptest::prelude::*;
    use std::vec::Vec;

    /// Words that are almost ones of the list, and lists of them.
    fn lists() -> impl Strategy<Value = String> {
        let name = prop_oneof![
            4 => proptest::sample::select(KNOWN.iter().map(|k| k.0.to_owned()).collect::<Vec<_>>()),
            1 => "[a-z]{1,2}[0-9]{2,3}",
            1 => Just(String::new()),
        ];
        let address = prop_oneof![
            2 => Just(String::new()),
            4 => (0u32..0x90).prop_map(|a| format!("@{a:#x}")),
            2 => (0u32..0x90).prop_map(|a| format!("@{a}")),
            1 => "@[0-9a-fx+@-]{0,5}",
        ];
        let word = (name, address).prop_map(|(name, address)| name + &address);
        (proptest::collection::vec(word, 0..11), "[ \t]{1,2}").prop_map(|(words, gap)| words.join(&gap))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// What compose lets through is what this server has a driver and an address for, as often as it has room.
        #[test]
        fn compose_lets_through_what_this_server_can_use(list in lists()) {
            let said = takes::read(TAKES).map_err(TestCaseError::fail)?;
            let setting = said.find("sensors").ok_or_else(|| TestCaseError::fail("no such setting"))?;
            let list: &'static str = list.leak();
            let words: Vec<&str> = list.split_whitespace().collect();
            let usable = words.iter().all(|text| word(text).is_some());
            let address = |word: Word<'_>| word.right.and_then(|right| right.number).or(usual(word.left.text));
            let chips: Vec<_> = words.iter().filter_map(|text| word(text)).map(|(w, k)| (k.0, address(w))).collect();
            let once = (1..chips.len()).all(|i| !chips[..i].contains(&chips[i]));
            let room = (1..=DEVICES).contains(&words.len());
            prop_assert_eq!(setting.fits(list, &said.names), usable && once && room, "{}", list);
        }

        /// The same of the line that a sensor's interrupt is at, whichever lines the manifest gives.
        #[test]
        fn compose_lets_through_lines_that_this_server_can_name(chip in "[a-z]{0,2}", line in "[0-9+/x]{0,3}", given in 0u8..64) {
            let mut said = takes::read(TAKES).map_err(TestCaseError::fail)?;
            said.names.insert("gpio".into(), vec![format!("a/{given}"), format!("ab/{given}")]);
            said.names.insert("line_chips".into(), vec!["a".into(), "ab".into()]);
            let setting = said.find("adxl345_int1").ok_or_else(|| TestCaseError::fail("no such setting"))?;
            let text = format!("{chip}/{line}");
            if setting.fits(&text, &said.names) {
                let (at, number) = crate::line::place(&text).ok_or_else(|| TestCaseError::fail(text.clone()))?;
                prop_assert_eq!((at, number), (chip.as_str(), given));
            }
        }
    }

    #[test]
    fn a_chip_is_looked_for_once_at_an_address() {
        let found = |list| wanted(Some(list)).map(|(text, _)| text).collect::<Vec<_>>();
        assert_eq!(
            found("lm75 bme280 lm75@72 lm75@0x49 lm75@073 shtc3"),
            ["lm75", "bme280", "lm75@0x49", "shtc3"]
        );
        assert_eq!(found("lm75@0x48 lm75"), ["lm75@0x48"]);
    }

    #[test]
    fn usual_addresses_are_those_of_the_drivers() {
        let drivers: [(&str, u8); 4] = [
            ("adxl345", axiom_chips::adxl345::ADDRESS),
            ("lsm303dlhc_magn", Lsm303Magn::ADDRESS),
            ("shtc3", axiom_chips::shtc3::ADDRESS),
            ("lsm303dlhc_accel", Lsm303Accel::ADDRESS),
        ];
        for (name, address) in drivers {
            assert_eq!(usual(name), Some(address.into()), "{name}");
        }
    }

    #[test]
    fn every_driver_is_found_and_addresses_are_those_of_a_bus() {
        for (name, usual, _, _) in KNOWN {
            let (found, known) = word(name).unwrap_or_else(|| panic!("{name}"));
            assert_eq!((found.left.text, found.right, known.1), (*name, None, *usual));
            assert!((0x08..0x78).contains(usual), "{name}: an address that is reserved");
            assert!(TAKES.contains(&format!("\"{name}\", ")), "{name}");
            assert!(TAKES.contains(&format!("\n{name} = {usual:#x}\n")), "{name}");
        }
        let at = |text| word(text).and_then(|(word, _)| word.right?.number);
        assert_eq!(
            [at("lm75@0x49"), at("lm75@73"), at("lm75@0x08"), at("lm75@0x77")],
            [Some(0x49), Some(73), Some(8), Some(0x77)]
        );
        for text in
            ["lm76", "lm75@0x78", "lm75@0x07", "lm75@", "@0x49", "lm75@0x49@0x49", "lm75@0x+9", "shtc3@0x70"]
        {
            assert!(word(text).is_none(), "{text}");
        }
    }
}
