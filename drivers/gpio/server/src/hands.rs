//! How programs drive lines and channels: the board, shared between the server and the helpers that programs call.

use axiom_bpf_host::Actuators;
use axiom_gpio::{Board, Channel, Grants, Line, Refusal};
use axiom_runtime::time;

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

/// Duties that programs may still be asked about before a time.
#[derive(Default)]
pub struct Allowance {
    left: u32,
    ends: u64,
}

impl Allowance {
    /// Takes one, at a time in ticks.
    fn take(&mut self, now: u64) -> bool {
        if now >= self.ends {
            *self = Allowance { left: DUTIES, ends: now + time::from_nanoseconds(WINDOW_NS) };
        }
        let some = self.left > 0;
        self.left -= u32::from(some);
        some
    }
}

impl Hands {
    /// Asks for a duty. One that programs may have to decide on takes a place of the window's; switching off needs none.
    pub fn request_duty(&mut self, by: &Grants, channel: Channel, duty: u16) -> Result<(), Refusal> {
        if duty != 0 && by.may_drive(channel) && !self.allowance.take(time::ticks()) {
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
        errno(self.request_duty(by, channel, duty))
    }
    fn motor_emergency_stop(&mut self, by: &Grants) -> i64 {
        errno(self.board.emergency_stop(by))
    }
}
