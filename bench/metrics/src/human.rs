//! Figures as people read them: three significant digits and the unit that suits, `11.4 ms`, `9.71 MB`, `801 insns`.
//!
//! ASCII alone, because a serial console carries nothing else: a microsecond is `us`.
use crate::Unit;
use core::fmt::{self, Write};

/// A figure with its unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Human(pub f64, pub Unit);

/// How large figures of a unit are divided, and what they are called then; the largest first.
const fn scales(unit: Unit) -> &'static [(f64, &'static str)] {
    match unit {
        Unit::Nanos => &[(1e9, "s"), (1e6, "ms"), (1e3, "us"), (1.0, "ns")],
        Unit::Bytes => &[(1e6, "MB"), (1e3, "kB"), (1.0, "B")],
        Unit::Instructions => &[(1e6, "M insns"), (1.0, "insns")],
        Unit::Cycles => &[(1e6, "M cycles"), (1.0, "cycles")],
        Unit::Count => &[(1.0, "")],
    }
}

/// The divisor and the name that suit a figure.
pub fn scale(value: f64, unit: Unit) -> (f64, &'static str) {
    let all = scales(unit);
    // What rounds up to a thousand is one of the next.
    all.iter().copied().find(|(size, _)| libm::fabs(value) >= size * 0.9995).unwrap_or(all[all.len() - 1])
}

/// A figure without a unit, with as many digits as a reader needs: three, and all those before the point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Digits {
    /// The figure.
    pub value: f64,
    /// It has no fraction by nature, or none that anybody could measure.
    pub whole: bool,
}

impl fmt::Display for Digits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Text::<32>::new();
        let size = libm::fabs(self.value);
        // A text that is too short for a figure of this size would be cut, which no figure may be.
        if self.whole || size >= 99.95 || size == 0.0 {
            write!(text, "{:.0}", self.value)?;
        } else if size >= 9.995 {
            write!(text, "{:.1}", self.value)?;
        } else {
            write!(text, "{:.2}", self.value)?;
        }
        f.pad_integral(true, "", text.as_str())
    }
}

impl fmt::Display for Human {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (size, name) = scale(self.0, self.1);
        let mut text = Text::<48>::new();
        // A nanosecond is counted, not divided; so are bytes, instructions and cycles.
        write!(text, "{}", Digits { value: self.0 / size, whole: size == 1.0 })?;
        if !name.is_empty() {
            write!(text, " {name}")?;
        }
        // To the right, as figures stand in a table.
        f.pad_integral(true, "", text.as_str())
    }
}

/// A short text without an allocator.
struct Text<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Text<N> {
    const fn new() -> Self {
        Self { bytes: [0; N], len: 0 }
    }

    fn as_str(&self) -> &str {
        // Only whole texts are ever added.
        core::str::from_utf8(&self.bytes[..self.len]).unwrap_or("?")
    }
}

impl<const N: usize> Write for Text<N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.len + text.len();
        let Some(place) = self.bytes.get_mut(self.len..end) else { return Err(fmt::Error) };
        place.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::format;

    #[test]
    fn figures_have_the_unit_that_suits() {
        for (value, unit, expected) in [
            (0.0, Unit::Nanos, "0 ns"),
            (16.2, Unit::Nanos, "16 ns"),
            (720.0, Unit::Nanos, "720 ns"),
            (999.6, Unit::Nanos, "1.00 us"),
            (1080.0, Unit::Nanos, "1.08 us"),
            (12_345.0, Unit::Nanos, "12.3 us"),
            (11.4e6, Unit::Nanos, "11.4 ms"),
            (896e6, Unit::Nanos, "896 ms"),
            (2.5e9, Unit::Nanos, "2.50 s"),
            (9.71e6, Unit::Bytes, "9.71 MB"),
            (196_608.0, Unit::Bytes, "197 kB"),
            (801.0, Unit::Instructions, "801 insns"),
            (1740.5, Unit::Cycles, "1740 cycles"),
            (2_130_000.0, Unit::Instructions, "2.13 M insns"),
            (3.0, Unit::Count, "3"),
            (-3.2e3, Unit::Nanos, "-3.20 us"),
        ] {
            assert_eq!(format!("{}", Human(value, unit)), expected);
        }
    }

    #[test]
    fn a_figure_is_never_cut_and_stands_to_the_right() {
        assert_eq!(format!("{:>10}", Human(801.0, Unit::Instructions)), " 801 insns");
        assert_eq!(format!("{:>3}", Human(801.0, Unit::Instructions)), "801 insns");
        assert_eq!(format!("{}", Human(u64::MAX as f64, Unit::Count)), "18446744073709551616");
        assert_eq!(format!("{:>6}", Digits { value: 76.888, whole: false }), "  76.9");
    }
}
