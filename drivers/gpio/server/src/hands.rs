//! How programs drive lines and channels: the board, shared between the server and the helpers that programs call.

use axiom_bpf_host::Actuators;
use axiom_gpio::{Board, Channel, Grants, Line, Refusal};
use axiom_runtime::{ClientBadge, time};
use heapless::Vec;

/// Duties that programs decide on in a window of so many nanoseconds at most, of all channels together; whoever asks for more is
/// refused.
pub const DUTIES: u32 = 20;
/// That window.
pub const WINDOW_NS: u64 = 10_000_000;

const EPERM: i64 = -1;
const ENXIO: i64 = -6;
const EBUSY: i64 = -16;
/// The emergency stop holds this output.
const ECANCELED: i64 = -125;

/// The board, and whether programs that decide on a duty run now.
pub struct Hands {
    /// All outputs.
    pub board: Board,
    /// Programs on a channel run: they may switch off, but not ask for another duty, which would have to be decided too.
    pub deciding: bool,
    /// How many duties may still be asked for.
    pub allowance: Allowance,
}

/// Who asks for a duty.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Asker {
    /// A client, by its badge.
    Client(ClientBadge),
    /// The programs, together.
    Programs,
}

/// Half of a window's duties are shares, one of each who may ask, which nobody else can use up; the others are for whoever comes first.
const SHARES: u32 = DUTIES / 2;

/// Duties that programs may still be asked about before a time.
pub struct Allowance {
    /// Those who have a share, and what is left of it.
    shares: Vec<(Asker, u32), { SHARES as usize }>,
    /// What is left for all.
    common: u32,
    /// A window's length, and when this one ends, ticks.
    window: u64,
    ends: u64,
}

impl Allowance {
    /// In windows of so many ticks, with a share for each of these; if they are more than there are shares, whoever comes first has all.
    pub fn new(window: u64, askers: impl IntoIterator<Item = Asker>) -> Allowance {
        let mut shares = Vec::new();
        let room = askers.into_iter().all(|asker| shares.push((asker, 0)).is_ok());
        if !room {
            shares.clear();
        }
        Allowance { shares, common: 0, window, ends: 0 }
    }

    /// Takes one for somebody, at a time in ticks.
    fn take(&mut self, asker: Asker, now: u64) -> bool {
        if now >= self.ends {
            let share = SHARES.checked_div(self.shares.len() as u32).unwrap_or(0);
            self.shares.iter_mut().for_each(|(_, left)| *left = share);
            self.common = DUTIES - share * self.shares.len() as u32;
            self.ends = now + self.window;
        }
        let own = self.shares.iter_mut().find(|(who, left)| *who == asker && *left > 0);
        let left = own.map_or(&mut self.common, |(_, left)| left);
        let some = *left > 0;
        *left -= u32::from(some);
        some
    }
}

impl Hands {
    /// Asks for a duty. One that programs may have to decide on takes a place of the window's; switching off needs none.
    pub fn request_duty(
        &mut self,
        asker: Asker,
        by: &Grants,
        channel: Channel,
        duty: u16,
    ) -> Result<(), Refusal> {
        if duty != 0 && by.may_drive(channel) && !self.allowance.take(asker, time::ticks()) {
            return Err(Refusal::Busy);
        }
        self.board.request_duty(by, channel, duty)
    }
}

fn errno(result: Result<(), Refusal>) -> i64 {
    match result {
        Ok(()) => 0,
        Err(Refusal::NotGranted) => EPERM,
        Err(Refusal::Stopped) => ECANCELED,
        Err(Refusal::Taken | Refusal::Busy) => EBUSY,
        Err(Refusal::NoSuchLine | Refusal::NoCapability) => ENXIO,
    }
}

impl Actuators for Hands {
    fn gpio_get(&mut self, by: &Grants, line: Line) -> i64 {
        match self.board.level(by, line) {
            Ok(level) => level.into(),
            Err(why) => errno(Err(why)),
        }
    }
    fn gpio_set(&mut self, by: &Grants, line: Line, level: bool) -> i64 {
        errno(self.board.set(by, line, level))
    }
    fn pwm_set(&mut self, by: &Grants, channel: Channel, duty: u16) -> i64 {
        if self.deciding && duty != 0 {
            return EBUSY;
        }
        errno(self.request_duty(Asker::Programs, by, channel, duty))
    }
    fn motor_emergency_stop(&mut self, by: &Grants) -> i64 {
        errno(self.board.emergency_stop(by))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_uses_up_anothers_share_of_duties() {
        let client = |n| Asker::Client(ClientBadge::new(n));
        let take =
            |allowance: &mut Allowance, asker, now| (0..100).filter(|_| allowance.take(asker, now)).count();
        let mut a = Allowance::new(10, [client(1), client(2), Asker::Programs]);
        for window in 1..4 {
            let now = window << 40;
            // The first takes its own three and what is for all; the others have theirs.
            assert_eq!(take(&mut a, client(1), now), 14);
            assert_eq!([client(2), Asker::Programs].map(|asker| take(&mut a, asker, now)), [3, 3]);
            assert_eq!(take(&mut a, client(3), now), 0);
        }
        // However many there are, a window has no more.
        for askers in 0..=64u64 {
            let mut a = Allowance::new(10, (0..askers).map(client));
            let most = DUTIES as usize;
            let all: usize = (0..askers.max(1)).map(|n| take(&mut a, client(n), 1)).sum();
            assert_eq!(all, most, "{askers}");
            let last = Allowance::new(10, (0..askers).map(client)).take(client(askers), 1);
            assert!(last, "{askers}: something is for whoever comes");
        }
        // Ten have a share of one each; of eleven nobody has.
        for (askers, left) in [(10, true), (11, false)] {
            let mut a = Allowance::new(10, (0..askers).map(client));
            take(&mut a, client(0), 1);
            assert_eq!(a.take(client(1), 1), left);
        }
    }
}
