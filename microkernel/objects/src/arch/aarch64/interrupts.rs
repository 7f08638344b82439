//! How an interrupt is wired: a line of the interrupt controller has its number, and only its trigger can be chosen.

/// What can be chosen for a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// Edge; otherwise level.
    pub edge: bool,
}

/// What the rules remember of all lines: nothing.
pub struct Wiring;

impl Wiring {
    /// No line is in use.
    pub const fn new() -> Wiring {
        Wiring
    }
}

impl Default for Wiring {
    #[inline]
    fn default() -> Self {
        Self::new()
    }
}
