//! The bits of a server's bound notification, in classes: hardware (interrupts, then timers), what the server gives away itself,
//! signals of other servers, and the restart of a peer. Each class has a range of its own, so no two sources can share a bit; compose
//! checks that what a manifest asks for fits, init and servers hand bits out of the ranges with [`Bits`].

use core::ops::Range;

/// Set in every signal's badge, in no client's.
pub const NOTIFIED: u64 = 1 << 63;
/// A peer was restarted.
pub const PEER_RESTARTED: u64 = 1 << 62;
/// Interrupts and timers.
pub const HARDWARE: Range<u8> = 0..32;
/// What a server gives away itself: edges of lines, interrupts that another server distributes.
pub const OWN: Range<u8> = 32..48;
/// Signals of other servers, one bit each.
pub const SIGNALS: Range<u8> = 48..62;
/// Interrupts of one device that init looks for, and pins of one bridge.
pub const INTERRUPTS_PER_DEVICE: u8 = 4;

const _: () = assert!(HARDWARE.end <= OWN.start && OWN.end <= SIGNALS.start && SIGNALS.end <= 62);

/// Bits of a class, handed out once each.
#[derive(Clone, Debug)]
pub struct Bits {
    left: Range<u8>,
}

impl Bits {
    /// All of a class.
    pub const fn of(class: Range<u8>) -> Bits {
        Bits { left: class }
    }

    /// The next one; `None` when the class is used up.
    pub fn take(&mut self) -> Option<u8> {
        self.left.next()
    }

    /// The one that is handed out after so many others.
    pub fn nth(mut self, before: usize) -> Option<u8> {
        self.left.nth(before)
    }
}

/// Bits of [`HARDWARE`] that a server may need: of so many devices with interrupts, so many bridges among them, so many timers.
pub const fn hardware(devices: usize, bridges: usize, timers: usize) -> usize {
    (devices + bridges) * INTERRUPTS_PER_DEVICE as usize + timers
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn no_bit_is_handed_out_twice_and_a_class_ends() {
        let mut seen: Vec<u8> = Vec::new();
        for class in [HARDWARE, OWN, SIGNALS] {
            let mut bits = Bits::of(class.clone());
            seen.extend(core::iter::from_fn(|| bits.take()));
            assert_eq!(bits.take(), None);
        }
        seen.extend([62, 63]);
        assert_eq!(seen, (0..64).collect::<Vec<u8>>());
        assert_eq!((PEER_RESTARTED, NOTIFIED), (1 << 62, 1 << 63));
    }

    #[test]
    fn thirty_two_timers_leave_no_room_for_an_interrupt() {
        assert!(hardware(0, 0, 32) <= HARDWARE.len());
        assert!(hardware(1, 0, 32) > HARDWARE.len());
        assert!(hardware(2, 1, 20) <= HARDWARE.len());
    }
}
