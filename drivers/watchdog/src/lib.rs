//! The BCM2712's watchdog: once started it resets the whole board unless it is fed in time. Pure logic over the registers of
//! [`bcm2712_pac::soc::pm`]; who feeds it, and when not, is the server's affair.
//!
//! Tried on a model of the board only, whose watchdog has no clock: starting it resets the model at once.
#![no_std]
#![forbid(unsafe_code)]
#[cfg(test)]
extern crate std;

use bcm2712_pac::soc::pm::{Pm, RSTC, RSTS, Rstc, WDOG, WDOG_HZ, WDOG_MAX, Wdog};
use bcm2712_pac::{Block, Io};
use core::fmt;
use core::time::Duration;

/// Bytes of registers that are used.
pub const REGISTER_BYTES: u64 = 0x28;
/// The longest time between two feedings.
pub const LONGEST: Duration = Duration::from_millis(WDOG_MAX as u64 * 1000 / WDOG_HZ as u64);

/// A time that the watchdog can measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeout(u32);

/// Why a time is not usable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadTimeout(Duration);

impl fmt::Display for BadTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the watchdog counts from 1 ms to {} ms, not {} ms",
            LONGEST.as_millis(),
            self.0.as_millis()
        )
    }
}

impl Timeout {
    /// From a time; rounded up to the watchdog's ticks.
    pub fn new(time: Duration) -> Result<Timeout, BadTimeout> {
        if time < Duration::from_millis(1) || time > LONGEST {
            return Err(BadTimeout(time));
        }
        let ticks = (time.as_micros() * u128::from(WDOG_HZ)).div_ceil(1_000_000);
        // Not above WDOG_MAX: the time is not above LONGEST, which is rounded down.
        Ok(Timeout((ticks as u32).min(WDOG_MAX)))
    }
}

/// The watchdog.
pub struct Watchdog<I> {
    registers: Block<Pm, I>,
    timeout: Timeout,
}

impl<I: Io> Watchdog<I> {
    /// Takes the registers; nothing starts yet.
    pub const fn new(registers: Block<Pm, I>, timeout: Timeout) -> Self {
        Watchdog { registers, timeout }
    }

    /// Whether the last reset was the watchdog's (or a reset that software asked of it).
    pub fn was_reset(&self) -> bool {
        self.registers.read(RSTS).full()
    }

    /// Starts it: from now on somebody must [`feed`](Self::feed) it.
    pub fn start(&mut self) {
        self.feed();
        self.registers.modify(RSTC, Rstc::armed);
    }

    /// Gives it its whole time again.
    pub fn feed(&mut self) {
        self.registers.write(WDOG, Wdog::from_ticks(self.timeout.0));
    }

    /// Stops it.
    pub fn stop(&mut self) {
        self.registers.modify(RSTC, Rstc::disarmed);
    }

    /// What is left.
    pub fn left(&self) -> Duration {
        let ticks = u64::from(self.registers.read(WDOG).ticks());
        Duration::from_micros(ticks * 1_000_000 / u64::from(WDOG_HZ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bcm2712_pac::soc::pm::PASSWORD;
    use std::cell::RefCell;
    use std::rc::Rc;
    use std::vec::Vec;

    /// Registers that ignore writes without the password, and keep what was written, in order.
    #[derive(Clone, Default)]
    struct Model(Rc<RefCell<Registers>>);

    #[derive(Default)]
    struct Registers {
        written: Vec<(usize, u32)>,
        words: [u32; 16],
    }

    impl Io for Model {
        fn read(&self, offset: usize) -> u32 {
            self.0.borrow().words[offset / 4]
        }
        fn write(&self, offset: usize, value: u32) {
            let mut model = self.0.borrow_mut();
            model.written.push((offset, value));
            if value & 0xff00_0000 == PASSWORD {
                model.words[offset / 4] = value & 0x00ff_ffff;
            }
        }
    }

    fn watchdog(model: &Model, ms: u64) -> Watchdog<Model> {
        Watchdog::new(Block::new(model.clone()), Timeout::new(Duration::from_millis(ms)).unwrap())
    }

    #[test]
    fn starting_sets_the_time_before_it_arms() {
        let model = Model::default();
        // Other bits of RSTC are kept.
        model.0.borrow_mut().words[RSTC.offset() / 4] = 0x102;
        watchdog(&model, 1000).start();
        assert_eq!(model.0.borrow().written, [(0x24, 0x5a01_0000), (0x1c, 0x5a00_0122)]);
    }

    #[test]
    fn feeding_gives_the_whole_time_again() {
        let model = Model::default();
        let mut dog = watchdog(&model, 500);
        dog.start();
        model.0.borrow_mut().words[WDOG.offset() / 4] = 7;
        assert_eq!(dog.left(), Duration::from_micros(106));
        dog.feed();
        assert_eq!(dog.left(), Duration::from_millis(500));
        dog.stop();
        assert_eq!(model.read(RSTC.offset()), 0);
    }

    #[test]
    fn the_last_reset_is_known() {
        let model = Model::default();
        assert!(!watchdog(&model, 1).was_reset());
        model.0.borrow_mut().words[RSTS.offset() / 4] = 1 << 5;
        assert!(watchdog(&model, 1).was_reset());
    }

    #[test]
    fn times_that_do_not_fit_are_refused() {
        assert_eq!(LONGEST.as_millis(), 15_999);
        assert!(Timeout::new(LONGEST).is_ok());
        assert_eq!(Timeout::new(Duration::from_millis(1)), Ok(Timeout(66)));
        for ms in [0, 16_000] {
            let refused = Timeout::new(Duration::from_millis(ms)).unwrap_err();
            assert!(std::format!("{refused}").starts_with("the watchdog counts from 1 ms to 15999 ms, not "));
        }
    }
}
