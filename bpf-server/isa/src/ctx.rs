//! What a program receives in r1.

use crate::helper;

/// Kinds of program, by the first part of the section name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProgramKind {
    /// `iio/<device>/<channel>`: one sensor sample; returns 1 to accept it, 0 to drop it.
    Iio,
    /// `timer/<n>hz`: one expiry.
    Timer,
    /// `gpio/<chip>/<line>/<rising|falling|both>`: one edge.
    Gpio,
    /// `pwm/<chip>/<channel>`: a duty before it is applied; returns the most that the program allows.
    Pwm,
}

/// A context's shape. Contexts are read-only.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CtxLayout {
    /// Which kind.
    pub kind: ProgramKind,
    /// Readable bytes.
    pub size: u32,
}

/// The first part of an attach point's name, and the others: what kind of event, and where.
pub fn parts(name: &str) -> (&str, Option<&str>) {
    // By bytes, which takes a third of looking for a character.
    match name.bytes().position(|b| b == b'/').and_then(|at| name.split_at_checked(at)) {
        Some((kind, rest)) => (kind, rest.get(1..)),
        None => (name, None),
    }
}

impl ProgramKind {
    /// Every kind.
    pub const ALL: [ProgramKind; 4] =
        [ProgramKind::Iio, ProgramKind::Timer, ProgramKind::Gpio, ProgramKind::Pwm];

    /// The first word of its attach points.
    pub const fn first(self) -> &'static str {
        match self {
            ProgramKind::Iio => "iio",
            ProgramKind::Timer => "timer",
            ProgramKind::Gpio => "gpio",
            ProgramKind::Pwm => "pwm",
        }
    }

    /// The kind that a section name asks for.
    pub fn from_section(name: &str) -> Option<ProgramKind> {
        // Bytes in place, instead of parts that are compared by calls: every load asks.
        let (kind, rest) = match name.as_bytes() {
            [b'i', b'i', b'o', rest @ ..] => (ProgramKind::Iio, rest),
            [b't', b'i', b'm', b'e', b'r', rest @ ..] => (ProgramKind::Timer, rest),
            [b'g', b'p', b'i', b'o', rest @ ..] => (ProgramKind::Gpio, rest),
            [b'p', b'w', b'm', rest @ ..] => (ProgramKind::Pwm, rest),
            _ => return None,
        };
        matches!(rest.first(), None | Some(b'/')).then_some(kind)
    }

    /// Its context.
    pub const fn layout(self) -> CtxLayout {
        match self {
            ProgramKind::Iio => CtxLayout { kind: self, size: 32 },
            ProgramKind::Timer | ProgramKind::Gpio | ProgramKind::Pwm => CtxLayout { kind: self, size: 24 },
        }
    }

    /// The most instructions that a program of this kind may execute. Programs on lines share a server with the one that stops
    /// the motors: none of them may keep it waiting for long.
    pub const fn max_instructions(self) -> u64 {
        match self {
            ProgramKind::Iio | ProgramKind::Timer => 1_000_000,
            ProgramKind::Gpio | ProgramKind::Pwm => 20_000,
        }
    }

    /// The helpers that its hosting server serves.
    pub const fn helpers(self) -> &'static [u32] {
        match self {
            ProgramKind::Iio | ProgramKind::Timer => &helper::SERVED,
            ProgramKind::Gpio | ProgramKind::Pwm => &helper::SERVED_WITH_PINS,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By the parts of the name, which is the rule; by bytes, as it is done.
    #[test]
    fn a_kind_is_the_first_part_of_the_name_whole() {
        for known in ProgramKind::ALL {
            let first = known.first();
            for end in 0..=first.len() {
                for rest in ["", "/", "/a/b", "x", "x/a", "//", " ", "\u{e9}/"] {
                    for before in ["", "/", "x"] {
                        let name = [before, &first[..end], rest].concat();
                        let wanted = ProgramKind::ALL.into_iter().find(|k| k.first() == parts(&name).0);
                        assert_eq!(ProgramKind::from_section(&name), wanted, "{name}");
                    }
                }
            }
        }
    }
}
