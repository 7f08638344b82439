//! I/O ports: who may use which. User space never executes `in` and `out`: each access is an invocation.
use core::cell::Cell;

/// A capability to ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ports {
    /// The right to hand ports out.
    Control,
    /// The ports of a range.
    Range {
        /// First port.
        first: u16,
        /// Last port.
        last: u16,
    },
}

/// An access to a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reads so many bytes.
    In {
        /// First port.
        port: u16,
        /// 1, 2 or 4.
        bytes: u8,
    },
    /// Writes so many bytes.
    Out {
        /// First port.
        port: u16,
        /// 1, 2 or 4.
        bytes: u8,
        /// What is written.
        data: u32,
    },
}

impl Ports {
    const CONTROL: u64 = 1 << 32;

    /// The capability in a packed one's word.
    #[inline(always)]
    pub const fn unpack(word: u64) -> Option<Ports> {
        Some(match word & Self::CONTROL {
            0 => Ports::Range { first: word as u16, last: (word >> 16) as u16 },
            _ => Ports::Control,
        })
    }

    /// The word that it is packed into.
    #[inline(always)]
    pub const fn word(self) -> u64 {
        match self {
            Ports::Control => Self::CONTROL,
            Ports::Range { first, last } => (last as u64) << 16 | first as u64,
        }
    }

    /// Whether `other` could have been derived from it.
    pub const fn gives(self, other: Ports) -> bool {
        match (self, other) {
            (Ports::Control, _) => true,
            (Ports::Range { .. }, Ports::Control) => false,
            (Ports::Range { first, last }, Ports::Range { first: a, last: b }) => first == a && last == b,
        }
    }
}

/// Which ports are handed out: each to one range at most.
pub struct Handed([Cell<u64>; 1024]);

impl Handed {
    /// None.
    pub const fn new() -> Handed {
        Handed([const { Cell::new(0) }; 1024])
    }

    /// The words of a range, with the range's bits in each.
    fn words(&self, first: u16, last: u16) -> impl Iterator<Item = (&Cell<u64>, u64)> {
        let (from, to) = (first as usize, last as usize);
        (from / 64..=to / 64).map(move |i| {
            let low = if i == from / 64 { u64::MAX << (from % 64) } else { u64::MAX };
            let high = if i == to / 64 { u64::MAX >> (63 - to % 64) } else { u64::MAX };
            (&self.0[i], low & high)
        })
    }

    /// Whether nobody has any port of a range.
    pub fn are_free(&self, first: u16, last: u16) -> bool {
        self.words(first, last).all(|(word, bits)| word.get() & bits == 0)
    }

    /// Hands a range out.
    pub fn hand_out(&self, first: u16, last: u16) {
        self.words(first, last).for_each(|(word, bits)| word.set(word.get() | bits));
    }

    /// The last capability to these ports goes.
    pub fn give_back(&self, ports: Ports) {
        if let Ports::Range { first, last } = ports {
            self.words(first, last).for_each(|(word, bits)| word.set(word.get() & !bits));
        }
    }
}

impl Default for Handed {
    #[inline]
    fn default() -> Self {
        Self::new()
    }
}
