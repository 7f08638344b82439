//! The board as the helpers of programs reach it.

use axiom_bpf_host::Actuators;
use axiom_gpio::{Board, Channel, Grants, Line, Refusal};

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
}

fn errno(result: Result<(), Refusal>) -> i64 {
    match result {
        Ok(()) => 0,
        Err(Refusal::NotGranted) => EPERM,
        Err(Refusal::Stopped) => ECANCELED,
        Err(Refusal::Taken) => EBUSY,
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
        errno(self.board.request_duty(by, channel, duty))
    }
    fn motor_emergency_stop(&mut self, by: &Grants) -> i64 {
        errno(self.board.emergency_stop(by))
    }
}
