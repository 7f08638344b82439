//! The settings (`args`) of each server of this workspace: compose refuses a key that its server does not know, and a value that it
//! cannot use. Images that are not here are other people's, and know their own settings.

/// What a setting may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A text.
    Text,
    /// One of these.
    OneOf(&'static [&'static str]),
    /// A whole number, from and to.
    Number(u64, u64),
    /// A whole number that may be negative.
    Signed,
}

/// A key and what it may be. A key that begins with `*` stands for every key that ends as it does.
pub type Setting = (&'static str, Kind);

use Kind::{Number, OneOf, Signed, Text};

const LINE: Kind = Number(0, 63);
const ANY: Kind = Number(0, u64::MAX);

const SERVERS: &[(&str, &[Setting])] = &[
    ("axiom-console", &[("facts", OneOf(&["1"]))]),
    ("axiom-timer-server", &[]),
    (
        "axiom-gpio-server",
        &[
            ("soft_pwm", Text),
            ("soft_pwm_hz", Number(1, 1000)),
            ("rp1_pwm0_hz", Number(1, 1_000_000)),
            ("rp1_pwm0_lines", Text),
            ("rp1_pulls", Text),
            ("crash_at_edge", ANY),
        ],
    ),
    (
        "axiom-iio-server",
        &[
            ("sensors", Text),
            ("hz", Number(1, 3200)),
            ("rp1_i2c", Text),
            ("i2c_hz", Number(100_000, 3_400_000)),
            ("*_int1", Text),
            ("crash_at_sample", ANY),
        ],
    ),
    ("axiom-rp1-server", &[("interrupts", OneOf(&["inta", "msi"])), ("crash_at_interrupt", ANY)]),
    ("axiom-watchdog-server", &[("timeout_ms", Number(1, 15_999))]),
    ("axiom-spi-selftest", &[("erase", OneOf(&["yes", "no"]))]),
    ("axiom-bpf-server", &[("lse", OneOf(&["0", "1"])), ("interpret", OneOf(&["0", "1"]))]),
    (
        "axiom-bench",
        &[
            ("role", OneOf(&["partner"])),
            ("delay_us", ANY),
            ("board", Text),
            ("system", Text),
            ("emulated", Text),
            ("priority", Number(1, 254)),
            ("trace", Text),
        ],
    ),
    (
        "axiom-demo",
        &[
            ("sensors", OneOf(&["optional"])),
            ("trigger", OneOf(&["data-ready"])),
            ("minimum", Signed),
            ("maximum", Signed),
            ("programs", Text),
        ],
    ),
    (
        "axiom-gpio-demo",
        &[
            ("story", OneOf(&["button", "limit"])),
            ("crash", OneOf(&["yes", "no"])),
            ("chip", Text),
            ("pwm", Text),
            ("button", LINE),
            ("led", LINE),
            ("forbidden", LINE),
            ("limit", LINE),
            ("enable", LINE),
            ("storm", LINE),
            ("speed", Number(0, 15)),
            ("patience_s", Number(1, 86_400)),
            // Of the demonstration whose place it takes.
            ("sensors", OneOf(&["optional"])),
        ],
    ),
    ("axiom-hostile", &[("mode", Text), ("programs", Number(1, 32)), ("after_ms", ANY), ("story", Text)]),
];

/// The settings of an image, if it is one of this workspace.
pub fn of(image: &str) -> Option<&'static [Setting]> {
    SERVERS.iter().find(|s| s.0 == image).map(|s| s.1)
}

/// What a key may be, among these settings.
pub fn find(settings: &[Setting], key: &str) -> Option<Kind> {
    let named = |s: &&Setting| match s.0.strip_prefix('*') {
        Some(end) => key.len() > end.len() && key.ends_with(end),
        None => s.0 == key,
    };
    settings.iter().find(named).map(|s| s.1)
}

impl Kind {
    /// Whether a value is one.
    pub fn fits(self, value: &str) -> bool {
        match self {
            Text => !value.is_empty(),
            OneOf(list) => list.contains(&value),
            Number(least, most) => value.parse::<u64>().is_ok_and(|n| (least..=most).contains(&n)),
            Signed => value.parse::<i64>().is_ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_whole_and_values_must_fit() {
        let iio = of("axiom-iio-server").unwrap();
        assert_eq!(find(iio, "adxl345_int1"), Some(Text));
        for unknown in ["_int1", "int1", "adxl345_int2", "Hz", "hz ", "*_int1x"] {
            assert_eq!(find(iio, unknown), None, "{unknown}");
        }
        assert_eq!(of("somebody-elses"), None);
        for (kind, good, bad) in [
            (Number(1, 9), ["1", "9"], ["0", "10"]),
            (Number(1, 9), ["5", "5"], ["five", "-5"]),
            (Signed, ["-50", "7"], ["", "0x7"]),
            (OneOf(&["a", "b"]), ["a", "b"], ["", "c"]),
        ] {
            assert!(good.iter().all(|v| kind.fits(v)) && !bad.iter().any(|v| kind.fits(v)), "{kind:?}");
        }
    }
}
