//! A PWM block of RP1: four channels with one period for all.
//!
//! A channel starts with the first duty that it is given; duty 0 holds its output low. New settings take effect when the update bit of
//! [`GLOBAL_CTRL`] is set, which every change does. The block's clock comes from the device tree (50 MHz there); this driver does not set it.
#![no_std]
#[cfg(test)]
extern crate std;

use axiom_gpio::{FULL_DUTY, PwmChip};
use bcm2712_pac::rp1::pwm::{
    CHANNELS, Control, GLOBAL_CTRL, GlobalControl, MODE_TRAILING_EDGE, Pwm, control, duty, phase, range,
};
use bcm2712_pac::{Block, Io};

/// The clock that the device tree gives the blocks, Hz.
pub const CLOCK_HZ: u32 = 50_000_000;

/// The block.
pub struct Rp1Pwm<I> {
    block: Block<Pwm, I>,
    period: u32,
}

impl<I: Io> Rp1Pwm<I> {
    /// Takes the block over: all channels off, periods of so many Hz of the clock. `None` for a frequency that leaves no steps
    /// for the duty.
    pub fn new(block: Block<Pwm, I>, clock_hz: u32, hz: u32) -> Option<Rp1Pwm<I>> {
        let period = clock_hz.checked_div(hz).filter(|p| *p >= 2)?;
        for channel in 0..CHANNELS {
            block.write(control(channel), Control(0).with_fifo_pop_mask(true));
            block.write(range(channel), period);
            block.write(phase(channel), 0);
            block.write(duty(channel), 0);
        }
        block.write(GLOBAL_CTRL, GlobalControl(0).with_update(true));
        Some(Rp1Pwm { block, period })
    }
}

impl<I: Io> PwmChip for Rp1Pwm<I> {
    fn channels(&self) -> u8 {
        CHANNELS
    }

    fn set_duty(&mut self, channel: u8, share: u16) {
        let on = u64::from(self.period) * u64::from(share) / u64::from(FULL_DUTY);
        let mode = Control(0).with_mode(MODE_TRAILING_EDGE).with_fifo_pop_mask(true);
        self.block.write(control(channel), mode);
        self.block.write(duty(channel), on as u32);
        self.block.modify(GLOBAL_CTRL, |g| g.with_enable(g.enable() | 1 << channel).with_update(true));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::cell::RefCell;
    use std::collections::BTreeMap;

    /// Registers keep what is written, but for the update bit, which takes duties over.
    #[derive(Default)]
    struct Model(RefCell<(BTreeMap<usize, u32>, [u32; 4])>);

    impl Io for &Model {
        fn read(&self, offset: usize) -> u32 {
            self.0.borrow().0.get(&offset).copied().unwrap_or(0)
        }
        fn write(&self, offset: usize, value: u32) {
            let mut m = self.0.borrow_mut();
            if offset == 0 && value >> 31 != 0 {
                let now = [0x20, 0x30, 0x40, 0x50].map(|o| m.0.get(&o).copied().unwrap_or(0));
                m.1 = core::array::from_fn(|c| if value >> c & 1 != 0 { now[c] } else { 0 });
            }
            m.0.insert(offset, if offset == 0 { value & !(1 << 31) } else { value });
        }
    }

    #[test]
    fn a_duty_is_a_share_of_the_period_and_takes_effect() {
        let model = Model::default();
        let mut pwm = Rp1Pwm::new(Block::new(&model), CLOCK_HZ, 20_000).unwrap();
        let get = |o| (&model).read(o);
        assert_eq!((get(0), get(0x38), get(0x40)), (0, 2500, 0));
        pwm.set_duty(2, FULL_DUTY / 4);
        assert_eq!((get(0), get(0x34) & 7, model.0.borrow().1), (4, 1, [0, 0, 624, 0]));
        pwm.set_duty(0, FULL_DUTY);
        pwm.set_duty(2, 0);
        assert_eq!((get(0), model.0.borrow().1), (5, [2500, 0, 0, 0]));
        assert!(Rp1Pwm::new(Block::new(&model), CLOCK_HZ, 50_000_000).is_none());
        assert!(Rp1Pwm::new(Block::new(&model), CLOCK_HZ, 0).is_none());
    }
}
