//! I/O ports: this architecture has none, so there is no capability to any.

/// A capability to ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ports {}

/// An access to a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {}

impl Ports {
    /// The capability in a packed one's words.
    #[inline(always)]
    pub const fn unpack(_: u64) -> Option<Ports> {
        None
    }

    /// The word that it is packed into.
    #[inline(always)]
    pub const fn word(self) -> u64 {
        match self {}
    }

    /// Whether `other` could have been derived from it.
    #[inline(always)]
    pub const fn gives(self, _: Ports) -> bool {
        match self {}
    }
}

/// Which ports are handed out: none.
pub struct Handed;

impl Handed {
    /// None.
    pub const fn new() -> Handed {
        Handed
    }

    /// The last capability to these ports goes.
    #[inline(always)]
    pub fn give_back(&self, ports: Ports) {
        match ports {}
    }
}

impl Default for Handed {
    #[inline]
    fn default() -> Self {
        Self::new()
    }
}
