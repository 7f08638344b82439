//! embedded-hal's traits for one line or channel of a chip.

use crate::{Chip, FULL_DUTY, PwmChip};
use core::cell::RefCell;
use core::convert::Infallible;
use embedded_hal::digital::{ErrorType, InputPin, OutputPin, StatefulOutputPin};
use embedded_hal::pwm::{self, SetDutyCycle};

/// One line of a chip that several drivers share.
pub struct Pin<'a, C: ?Sized> {
    chip: &'a RefCell<C>,
    line: u8,
    driven: bool,
}

impl<'a, C: Chip + ?Sized> Pin<'a, C> {
    /// An input, if the chip has that line.
    pub fn input(chip: &'a RefCell<C>, line: u8) -> Option<Self> {
        let mut c = chip.borrow_mut();
        if line >= c.lines() {
            return None;
        }
        c.release(line);
        Some(Pin { chip, line, driven: false })
    }

    /// An output at a level, if the chip has that line.
    pub fn output(chip: &'a RefCell<C>, line: u8, level: bool) -> Option<Self> {
        let mut c = chip.borrow_mut();
        if line >= c.lines() {
            return None;
        }
        c.drive(line, level);
        Some(Pin { chip, line, driven: level })
    }
}

impl<C: ?Sized> ErrorType for Pin<'_, C> {
    type Error = Infallible;
}

impl<C: Chip + ?Sized> InputPin for Pin<'_, C> {
    fn is_high(&mut self) -> Result<bool, Infallible> {
        Ok(self.chip.borrow().level(self.line))
    }
    fn is_low(&mut self) -> Result<bool, Infallible> {
        self.is_high().map(|high| !high)
    }
}

impl<C: Chip + ?Sized> OutputPin for Pin<'_, C> {
    fn set_high(&mut self) -> Result<(), Infallible> {
        self.driven = true;
        self.chip.borrow_mut().drive(self.line, true);
        Ok(())
    }
    fn set_low(&mut self) -> Result<(), Infallible> {
        self.driven = false;
        self.chip.borrow_mut().drive(self.line, false);
        Ok(())
    }
}

impl<C: Chip + ?Sized> StatefulOutputPin for Pin<'_, C> {
    fn is_set_high(&mut self) -> Result<bool, Infallible> {
        Ok(self.driven)
    }
    fn is_set_low(&mut self) -> Result<bool, Infallible> {
        Ok(!self.driven)
    }
}

/// One channel of a PWM chip that several drivers share.
pub struct Duty<'a, C: ?Sized> {
    chip: &'a RefCell<C>,
    channel: u8,
}

impl<'a, C: PwmChip + ?Sized> Duty<'a, C> {
    /// A channel, if the chip has it.
    pub fn new(chip: &'a RefCell<C>, channel: u8) -> Option<Self> {
        (channel < chip.borrow().channels()).then_some(Duty { chip, channel })
    }
}

impl<C: ?Sized> pwm::ErrorType for Duty<'_, C> {
    type Error = Infallible;
}

impl<C: PwmChip + ?Sized> SetDutyCycle for Duty<'_, C> {
    fn max_duty_cycle(&self) -> u16 {
        FULL_DUTY
    }
    fn set_duty_cycle(&mut self, duty: u16) -> Result<(), Infallible> {
        self.chip.borrow_mut().set_duty(self.channel, duty);
        Ok(())
    }
}
