//! What a program receives in r1.

/// Kinds of program, by the first part of the section name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProgramKind {
    /// `iio/<device>/<channel>`: one sensor sample; returns 1 to accept it, 0 to drop it.
    Iio,
    /// `timer/<n>hz`: one expiry.
    Timer,
}

/// A context's shape. Contexts are read-only.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CtxLayout {
    /// Which kind.
    pub kind: ProgramKind,
    /// Readable bytes.
    pub size: u32,
}

impl ProgramKind {
    /// The kind that a section name asks for.
    pub fn from_section(name: &str) -> Option<ProgramKind> {
        match name.split('/').next()? {
            "iio" => Some(ProgramKind::Iio),
            "timer" => Some(ProgramKind::Timer),
            _ => None,
        }
    }

    /// Its context.
    pub const fn layout(self) -> CtxLayout {
        match self {
            ProgramKind::Iio => CtxLayout { kind: self, size: 32 },
            ProgramKind::Timer => CtxLayout { kind: self, size: 24 },
        }
    }
}
