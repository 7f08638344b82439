//! Who speaks to init: a client that asks, a server that died, a server that is ready, or init's own timer. Each has badges that no other
//! can have.

use crate::bits::SIGNALLED;
use serde::{Deserialize, Serialize};

/// Servers of a system: each has a bit of init's notification for its readiness.
pub const MAX_SERVERS: usize = 62;

/// Set in badges of faults.
const FAULT: u64 = 1 << 32;
/// The bit of init's notification that its own timer sets.
const TIMER: u64 = 1 << MAX_SERVERS;

const _: () = assert!(TIMER < SIGNALLED);

/// Which client of a server asks: the badge that its capability to the server has. A number that a message says is never one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[repr(transparent)]
pub struct ClientBadge(u64);

impl ClientBadge {
    /// What no client has: the badge of a capability that has none.
    pub const NOBODY: ClientBadge = ClientBadge(0);

    /// From the kernel's word of a message that was received.
    pub const fn new(word: u64) -> ClientBadge {
        ClientBadge(word)
    }

    /// As the kernel keeps it.
    pub const fn word(self) -> u64 {
        self.0
    }
}

/// Bits of init's notification that were set when it woke.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Woken(u64);

impl Woken {
    /// Servers that say that they are ready, by number.
    pub fn ready(self) -> impl Iterator<Item = u16> {
        (0..MAX_SERVERS as u16).filter(move |n| self.0 >> n & 1 != 0)
    }

    /// init's timer has expired.
    pub const fn timer(self) -> bool {
        self.0 & TIMER != 0
    }
}

/// A badge of init's endpoint or notification. Servers' endpoints have those of clients only.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Badge {
    /// A request of server number n.
    Client(u16),
    /// A fault of server number n.
    Fault(u16),
    /// A signal.
    Signal(Woken),
}

impl Badge {
    /// The badge with which server number n says that it is ready.
    pub const fn ready(server: u16) -> Badge {
        Badge::Signal(Woken((1 << server) & (TIMER - 1)))
    }

    /// The badge of init's timer.
    pub const TIMER: Badge = Badge::Signal(Woken(TIMER));

    /// As the kernel keeps it.
    pub const fn word(self) -> u64 {
        match self {
            Badge::Client(n) => n as u64 + 1,
            Badge::Fault(n) => FAULT | n as u64,
            Badge::Signal(Woken(bits)) => SIGNALLED | bits,
        }
    }

    /// What the client that server number n is has at the servers that it calls.
    pub const fn client(server: u16) -> ClientBadge {
        ClientBadge(Badge::Client(server).word())
    }

    /// From the kernel's word; nothing that [`Badge::word`] cannot make is taken for a badge.
    pub const fn from_word(word: u64) -> Option<Badge> {
        if word & SIGNALLED != 0 {
            return Some(Badge::Signal(Woken(word & !SIGNALLED)));
        }
        if word & FAULT != 0 {
            let n = word & !FAULT;
            return if n < MAX_SERVERS as u64 { Some(Badge::Fault(n as u16)) } else { None };
        }
        if word >= 1 && word <= MAX_SERVERS as u64 { Some(Badge::Client(word as u16 - 1)) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::vec::Vec;

    #[test]
    fn every_badge_is_itself_again_and_no_two_share_a_word() {
        let servers = 0..MAX_SERVERS as u16;
        let all: Vec<Badge> = servers
            .flat_map(|n| [Badge::Client(n), Badge::Fault(n), Badge::ready(n)])
            .chain([Badge::TIMER])
            .collect();
        let mut seen = BTreeMap::new();
        for badge in all {
            assert_eq!(Badge::from_word(badge.word()), Some(badge));
            assert_eq!(seen.insert(badge.word(), badge), None, "{badge:?}");
        }
    }

    #[test]
    fn signals_that_came_together_are_told_apart() {
        for a in 0..MAX_SERVERS as u16 {
            for b in 0..MAX_SERVERS as u16 {
                // The kernel ors badges of signals.
                let both = Badge::ready(a).word() | Badge::ready(b).word() | Badge::TIMER.word();
                let Some(Badge::Signal(woken)) = Badge::from_word(both) else { panic!("{both:#x}") };
                let mut wanted = std::vec![a.min(b), a.max(b)];
                wanted.dedup();
                assert_eq!(woken.ready().collect::<Vec<_>>(), wanted);
                assert!(woken.timer());
                let Badge::Signal(alone) = Badge::ready(a) else { panic!("{a}") };
                assert!(alone.ready().eq([a]) && !alone.timer());
            }
        }
    }

    #[test]
    fn a_client_has_the_same_badge_at_init_and_at_every_server() {
        for n in 0..MAX_SERVERS as u16 {
            assert_eq!(Badge::from_word(Badge::client(n).word()), Some(Badge::Client(n)));
            assert_eq!(ClientBadge::new(Badge::client(n).word()), Badge::client(n));
        }
    }

    #[test]
    fn what_nobody_has_is_nobody() {
        for word in [0, MAX_SERVERS as u64 + 1, FAULT | MAX_SERVERS as u64, FAULT << 1, u64::MAX >> 1] {
            assert_eq!(Badge::from_word(word), None, "{word:#x}");
        }
    }
}
