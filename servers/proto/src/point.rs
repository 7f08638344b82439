//! The names of attach points: where a program runs. Who hosts points of a kind reads their names here, and so does compose, for programs
//! that a manifest pins (`pinned_at`): a name that nobody understands is refused before boot.
use crate::gpio::{CHANNELS, Edges, LINES};
use crate::{number, number_of};

/// The fastest rate at which programs run.
pub const MAX_HZ: u64 = 10_000;

/// What an attach point's name says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Point<'a> {
    /// `gpio/CHIP/LINE/EDGES`: edges of a line.
    Edge {
        /// The chip.
        chip: &'a str,
        /// The line.
        line: u8,
        /// Which edges.
        edges: Edges,
    },
    /// `pwm/CHIP/CHANNEL`: a channel's duty, before it is applied.
    Duty {
        /// The chip.
        chip: &'a str,
        /// The channel.
        channel: u8,
    },
    /// `timer/Nhz`, or `timer/Nhz/hpet`: a rate.
    Rate {
        /// Times a second.
        hz: u64,
        /// By the second time base.
        second: bool,
    },
    /// `iio/SENSOR/CHANNEL`: a sensor's samples.
    Sample {
        /// The sensor.
        sensor: &'a str,
        /// Its channel.
        channel: &'a str,
    },
}

/// How the names are written, for people.
pub const FORMS: &str =
    "gpio/CHIP/LINE/rising (or falling, both), pwm/CHIP/CHANNEL, timer/Nhz (and /hpet), iio/SENSOR/CHANNEL";

impl<'a> Point<'a> {
    /// Reads a name; each point has one, so numbers are written in one way.
    pub fn parse(name: &'a str) -> Option<Point<'a>> {
        if let Some((hz, second)) = rate(name) {
            return Some(Point::Rate { hz, second });
        }
        let mut parts = Parts(Some(name));
        let kind = parts.next()?;
        let first = parts.next().filter(|text| !text.is_empty())?;
        let point = match kind {
            "gpio" => Point::Edge {
                chip: first,
                line: number(parts.next()?).filter(|line| *line < LINES)?,
                edges: match parts.next()? {
                    "rising" => Edges::Rising,
                    "falling" => Edges::Falling,
                    "both" => Edges::Both,
                    _ => return None,
                },
            },
            "pwm" => Point::Duty { chip: first, channel: number(parts.next()?).filter(|c| *c < CHANNELS)? },
            "iio" => Point::Sample { sensor: first, channel: parts.next().filter(|text| !text.is_empty())? },
            _ => return None,
        };
        parts.next().is_none().then_some(point)
    }

    /// The kind, as hosts name it.
    pub const fn kind(&self) -> &'static str {
        match self {
            Point::Edge { .. } => "gpio",
            Point::Duty { .. } => "pwm",
            Point::Rate { .. } => "timer",
            Point::Sample { .. } => "iio",
        }
    }
}

/// The rate of a timer's point, and whether it is by the second time base; none if it is another kind's name, or nobody's. Its host reads it
/// while a load waits, and so without taking it apart. Out of line: where a request is read, registers are worth more.
#[inline(never)]
pub fn rate(name: &str) -> Option<(u64, bool)> {
    let [b't', b'i', b'm', b'e', b'r', b'/', rate @ ..] = name.as_bytes() else { return None };
    let (digits, second) = match rate {
        [digits @ .., b'h', b'z'] => (digits, false),
        [digits @ .., b'h', b'z', b'/', b'h', b'p', b'e', b't'] => (digits, true),
        _ => return None,
    };
    let hz = number_of(digits).filter(|hz| (1..=MAX_HZ).contains(hz))?;
    Some((hz, second))
}

/// The parts of a name, as `split('/')` tells them; by bytes, which takes a third of looking for a character: hosts read names while a
/// load waits.
struct Parts<'a>(Option<&'a str>);

impl<'a> Iterator for Parts<'a> {
    type Item = &'a str;

    #[inline]
    fn next(&mut self) -> Option<&'a str> {
        let text = self.0.take()?;
        let Some(at) = text.bytes().position(|b| b == b'/') else { return Some(text) };
        self.0 = text.get(at + 1..);
        text.get(..at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_those_of_split() {
        for name in ["", "/", "a", "a/", "/a", "a//b", "timer/100hz/hpet", "\u{e4}/\u{2713}/\u{1f600}", "//"]
        {
            assert!(Parts(Some(name)).eq(name.split('/')), "{name}");
        }
    }

    #[test]
    fn each_point_has_one_name() {
        let edge = |line, edges| Some(Point::Edge { chip: "pl061", line, edges });
        for (name, point) in [
            ("gpio/pl061/0/rising", edge(0, Edges::Rising)),
            ("gpio/pl061/63/falling", edge(63, Edges::Falling)),
            ("gpio/pl061/5/both", edge(5, Edges::Both)),
            ("pwm/soft-pwm/15", Some(Point::Duty { chip: "soft-pwm", channel: 15 })),
            ("timer/1hz", Some(Point::Rate { hz: 1, second: false })),
            ("timer/10000hz/hpet", Some(Point::Rate { hz: 10_000, second: true })),
            ("iio/lm75/temp", Some(Point::Sample { sensor: "lm75", channel: "temp" })),
        ] {
            assert_eq!(Point::parse(name), point, "{name}");
            assert!(point.is_some_and(|p| name.starts_with(p.kind())), "{name}");
        }
        for name in [
            "",
            "gpio",
            "gpio/",
            "gpio/pl061/5",
            "gpio/pl061/05/both",
            "gpio/pl061/+5/both",
            "gpio/pl061/64/both",
            "gpio//5/both",
            "gpio/pl061/5/Both",
            "gpio/pl061/5/both/",
            "gpio/pl061/5/both/x",
            "pwm/soft-pwm",
            "pwm//1",
            "pwm/soft-pwm/16",
            "pwm/soft-pwm/01",
            "pwm/soft-pwm/1/2",
            "timer/0hz",
            "timer/10001hz",
            "timer/01hz",
            "timer/5",
            "timer/hz",
            "timer/5hz/",
            "timer/5hz/tsc",
            "timer/5hz/hpet/x",
            "timer/5hz/hpet/hpet",
            "timer/5/hpet",
            "timer/5hzhz",
            "timer//hpet",
            "timer/",
            "timer",
            "iio/lm75",
            "iio/lm75/",
            "iio//temp",
            "iio/lm75/temp/x",
            "spi/a/b",
            "/pl061/5/both",
        ] {
            assert_eq!(Point::parse(name), None, "{name}");
        }
    }
}
