//! What is done after a transaction ran out of time: the controller gives it up, and frees a data line that a chip holds low.

use crate::{DwI2c, I2cError, PATIENCE, Wait};
use bcm2712_pac::Io;
use bcm2712_pac::rp1::i2c::{self, Enable, Intr};

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
