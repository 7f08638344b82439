//! The bits of a server's bound notification. [`Bits`] hands them out, each once, from the range of what sets it ([`Class`]). Only
//! interrupts and timers share a range; compose checks for every server that both together fit. What was signalled comes back as
//! [`Signals`], which answers for a [`Bit`]. Nobody outside this module shifts a bit or knows a bit's number.

use core::ops::Range;
use serde::{Deserialize, Serialize};

/// Set in every signal's badge, in no client's: a message and a signal cannot be taken for each other.
pub(crate) const SIGNALLED: u64 = 1 << 63;
/// Interrupts of one device that init looks for, and pins of one bridge.
pub const INTERRUPTS_PER_DEVICE: u8 = 4;

/// What sets a bit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// An interrupt of one of the server's devices.
    Interrupt,
    /// One of its timers. They share their bits with interrupts.
    Timer,
    /// Somebody to whom the server gave the right to: a doorbell for edges, or for interrupts that another server distributes.
    Doorbell,
    /// A server that may signal this one.
    Peer,
    /// init, when a server was restarted.
    Restart,
}

impl Class {
    /// All classes.
    pub const ALL: [Class; 5] =
        [Class::Interrupt, Class::Timer, Class::Doorbell, Class::Peer, Class::Restart];

    const fn range(self) -> Range<u8> {
        match self {
            Class::Interrupt | Class::Timer => 0..32,
            Class::Doorbell => 32..48,
            Class::Peer => 48..62,
            Class::Restart => 62..63,
        }
    }

    /// How many bits there are.
    pub const fn room(self) -> usize {
        (self.range().end - self.range().start) as usize
    }

    /// The bit of this class that is handed out after so many others of it.
    pub fn nth(self, before: usize) -> Option<Bit> {
        self.range().nth(before).map(Bit)
    }
}

/// A bit of a server's notification.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Bit(u8);

impl Bit {
    /// Set when a server was restarted.
    pub const RESTARTED: Bit = Bit(Class::Restart.range().start);

    /// The badge that a capability of the notification has which sets this bit.
    pub const fn badge(self) -> u64 {
        SIGNALLED | self.mask()
    }

    const fn mask(self) -> u64 {
        1 << self.0
    }
}

impl TryFrom<u8> for Bit {
    type Error = &'static str;
    fn try_from(number: u8) -> Result<Bit, &'static str> {
        if number < Class::Restart.range().end { Ok(Bit(number)) } else { Err("no bit has this number") }
    }
}

impl From<Bit> for u8 {
    fn from(bit: Bit) -> u8 {
        bit.0
    }
}

/// Bits that were set when a server woke.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Signals(u64);

impl Signals {
    /// None at all.
    pub const NONE: Signals = Signals(0);

    /// From the badge of what was received; `None` for a message.
    #[inline]
    pub const fn from_badge(badge: u64) -> Option<Signals> {
        if badge & SIGNALLED != 0 { Some(Signals(badge & !SIGNALLED)) } else { None }
    }

    /// Whether a bit is set.
    #[inline]
    pub const fn has(self, bit: Bit) -> bool {
        self.0 & bit.mask() != 0
    }

    /// Whether any bit of a class is set.
    #[inline]
    pub const fn any(self, class: Class) -> bool {
        let Range { start, end } = class.range();
        self.0 & ((1 << end) - (1 << start)) != 0
    }

    /// Whether nothing is set.
    #[inline]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// These and those.
    #[inline]
    #[must_use]
    pub const fn and(self, others: Signals) -> Signals {
        Signals(self.0 | others.0)
    }

    /// All but one.
    #[inline]
    #[must_use]
    pub const fn without(self, bit: Bit) -> Signals {
        Signals(self.0 & !bit.mask())
    }
}

/// A server's bits, handed out once each.
#[derive(Clone, Debug, Default)]
pub struct Bits {
    taken: u64,
}

impl Bits {
    /// None is taken.
    pub const fn new() -> Bits {
        Bits { taken: 0 }
    }

    /// A bit of a class that nobody has; `None` when all are taken.
    pub fn take(&mut self, class: Class) -> Option<Bit> {
        let bit = class.range().map(Bit).find(|bit| self.taken & bit.mask() == 0)?;
        self.taken |= bit.mask();
        Some(bit)
    }
}

/// Bits for hardware that a server may need: of so many devices with interrupts, so many bridges among them, so many timers.
pub const fn hardware(devices: usize, bridges: usize, timers: usize) -> usize {
    (devices + bridges) * INTERRUPTS_PER_DEVICE as usize + timers
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    /// All bits, as one server's allocator hands them out.
    fn all() -> Vec<(Class, Bit)> {
        let mut bits = Bits::new();
        Class::ALL
            .into_iter()
            .flat_map(|class| {
                core::iter::from_fn(|| bits.take(class)).map(|bit| (class, bit)).collect::<Vec<_>>()
            })
            .collect()
    }

    #[test]
    fn no_bit_is_handed_out_twice_and_every_class_ends() {
        let numbers: Vec<u8> = all().iter().map(|(_, bit)| u8::from(*bit)).collect();
        assert_eq!(numbers, (0..63).collect::<Vec<u8>>());
        // Bit 63 marks signals.
        assert_eq!(SIGNALLED, 1 << 63);
        for class in [Class::Doorbell, Class::Peer, Class::Restart] {
            assert_eq!(all().iter().filter(|(of, _)| *of == class).count(), class.room());
        }
    }

    #[test]
    fn interrupts_and_timers_share_their_bits() {
        let mut bits = Bits::new();
        let room = Class::Timer.room();
        assert_eq!((room, Class::Interrupt.room()), (32, 32));
        let taken = (0..room).filter_map(|i| {
            bits.take(if i % 2 == 0 { Class::Interrupt } else { Class::Timer }).map(u8::from)
        });
        assert_eq!(taken.collect::<Vec<u8>>(), (0..32).collect::<Vec<u8>>());
        assert_eq!((bits.take(Class::Interrupt), bits.take(Class::Timer)), (None, None));
    }

    #[test]
    fn signals_answer_for_their_bits_and_classes_alone() {
        for (class, bit) in all() {
            let signals = Signals::from_badge(bit.badge()).unwrap();
            assert!(!signals.is_empty() && signals.without(bit).is_empty());
            for (other, others) in all() {
                assert_eq!(signals.has(others), bit == others);
                let both = signals.and(Signals::from_badge(others.badge()).unwrap());
                assert!(both.has(bit) && both.has(others) && both.any(class) && both.any(other));
            }
            for other in Class::ALL {
                assert_eq!(signals.any(other), other.range() == class.range());
            }
        }
    }

    #[test]
    fn what_is_no_signal_sets_no_bit() {
        assert_eq!(Signals::from_badge(1), None);
        assert_eq!(Signals::from_badge(u64::MAX >> 1), None);
        assert_eq!(Signals::from_badge(SIGNALLED), Some(Signals::NONE));
    }

    #[test]
    fn the_nth_bit_is_the_one_handed_out_after_so_many() {
        for class in [Class::Timer, Class::Doorbell, Class::Peer, Class::Restart] {
            let mut bits = Bits::new();
            for before in 0..=class.room() {
                assert_eq!(class.nth(before), bits.take(class));
            }
        }
        assert_eq!(Class::Restart.nth(0), Some(Bit::RESTARTED));
    }

    #[test]
    fn a_number_that_no_bit_has_is_refused() {
        assert!((0..63).all(|n| Bit::try_from(n).map(u8::from) == Ok(n)));
        assert!((63..=u8::MAX).all(|n| Bit::try_from(n).is_err()));
    }

    #[test]
    fn thirty_two_timers_leave_no_room_for_an_interrupt() {
        let room = Class::Timer.room();
        assert!(hardware(0, 0, 32) <= room);
        assert!(hardware(1, 0, 32) > room);
        assert!(hardware(2, 1, 20) <= room);
    }
}
