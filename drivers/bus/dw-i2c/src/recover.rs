//! Giving up, and freeing a bus that a chip holds.

use crate::{DwI2c, I2cError, PATIENCE, Wait};
use bcm2712_pac::Io;
use bcm2712_pac::rp1::i2c::{self, Enable, Intr};
use embedded_hal::delay::DelayNs;
use embedded_hal::digital::{ErrorType, InputPin, OutputPin};

impl<I: Io, W: Wait> DwI2c<I, W> {
    /// Ends a transaction whose time is over, with a stop if the bus allows one.
    pub(crate) fn give_up(&mut self) {
        self.given_up += 1;
        let r = &self.registers;
        r.write(i2c::ENABLE, Enable(0).with_enable(true).with_abort(true));
        let _ended = (0..PATIENCE).any(|_| !r.read(i2c::ENABLE).abort());
        r.write(i2c::INTR_MASK, Intr(0));
        r.read(i2c::CLR_INTR);
        self.wait.handled();
        // A controller that cannot even be turned off waits for a line that somebody holds.
        self.stuck = self.disable().is_err();
    }

    /// Lets the controller clock the data line free, where it can. Whether that helped, the next transaction shows: not every
    /// instance has this feature, and one that has not may keep the bits all the same.
    pub(crate) fn recover(&mut self) -> Result<(), I2cError> {
        self.stuck = false;
        self.disable()?;
        let r = &self.registers;
        r.write(i2c::CON, self.con.with_bus_clear(true));
        if r.read(i2c::CON).bus_clear() {
            r.write(i2c::ENABLE, Enable(0).with_enable(true).with_sda_recovery(true));
            let _done = (0..PATIENCE).any(|_| !r.read(i2c::ENABLE).sda_recovery());
            r.read(i2c::CLR_INTR);
        }
        self.disable()
    }
}

/// Frees a data line that a chip holds low, by hand: nine clocks at most, then a stop. For boards where both lines can be switched
/// to GPIO (open drain: high means released). Returns whether the data line is free.
pub fn clock_free<C: OutputPin, D: ErrorType<Error = C::Error> + InputPin + OutputPin>(
    clock: &mut C,
    data: &mut D,
    delay: &mut impl DelayNs,
) -> Result<bool, C::Error> {
    /// Half a clock at 100 kHz.
    const HALF_US: u32 = 5;
    data.set_high()?;
    for _ in 0..9 {
        if data.is_high()? {
            break;
        }
        clock.set_low()?;
        delay.delay_us(HALF_US);
        clock.set_high()?;
        delay.delay_us(HALF_US);
    }
    // A stop: data rises while the clock is high.
    clock.set_low()?;
    data.set_low()?;
    delay.delay_us(HALF_US);
    clock.set_high()?;
    delay.delay_us(HALF_US);
    data.set_high()?;
    delay.delay_us(HALF_US);
    data.is_high()
}
