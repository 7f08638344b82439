//! A function's reset, as a state that its server is in before it is built: each step is short, and says how long to leave the function
//! alone before the next. init serves everybody else meanwhile.
//!
//! From the first step on until its server is there, a function makes no access of its own. After the reset, init looks at the function
//! again. If it is not the same one, does not hold its addresses, or goes on with accesses, its server is not started.
use super::{Function, Hardware, Pci};
use axiom_pci::{Config, Identity, Reset};
use core::fmt;
use sel4_sys::Error;

/// Looks at whether the accesses of a function have ended before its reset, one a millisecond: those that have not are cut off.
const LOOKS_BEFORE: u32 = 100;
/// Looks at whether it is reset by virtio's status register, one a millisecond.
const LOOKS_STATUS: u32 = 100;
/// Looks at whether it is there again once the time is over that the specification gives it, one in ten milliseconds.
const LOOKS_AFTER: u32 = 100;
const MILLISECOND_US: u64 = 1000;
const AFTER_US: u64 = 10_000;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    /// Nothing is done yet.
    First,
    /// Accesses of the function end.
    Ends(Reset),
    /// The reset has begun.
    Begun(Reset),
    /// It is over, by the time; the function has to show it.
    Over(Reset),
    /// The driver's own register was told to reset, at this offset of this BAR.
    Status(u8, u64),
    /// There is nothing more to do.
    Ended(Outcome),
}

/// A reset under way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Resetting {
    step: Step,
    /// Looks that are left in this step.
    looks: u32,
}

/// What became of a reset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The function has forgotten what it was told, and may access memory.
    Forgot,
    /// It has no way to be reset: it may not.
    Cannot,
    /// It did not come out of it.
    Lost(Lost),
}

/// How a function did not come out of its reset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lost {
    /// Its configuration space says nothing, or that it is another one.
    Gone,
    /// It does not stop.
    Busy,
    /// It does not keep its addresses, or makes accesses of its own.
    Changed,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Lost::Gone => "it does not answer afterwards, or as another one",
            Lost::Busy => "it does not end",
            Lost::Changed => "afterwards it does not keep its addresses, or accesses memory unasked",
        })
    }
}

/// What is next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// The next step, after so many microseconds, in which nobody touches the function.
    After(u64),
    /// Nothing.
    Ended(Outcome),
}

impl Resetting {
    /// Nothing is done yet.
    pub const FIRST: Resetting = Resetting { step: Step::First, looks: 0 };

    /// What became of it, when it has ended.
    pub fn outcome(&self) -> Option<Outcome> {
        match self.step {
            Step::Ended(outcome) => Some(outcome),
            _ => None,
        }
    }

    fn go(&mut self, step: Step, looks: u32) {
        *self = Resetting { step, looks };
    }

    /// One look less; whether there was one.
    fn looked(&mut self) -> bool {
        let left = self.looks > 0;
        self.looks = self.looks.saturating_sub(1);
        left
    }
}

impl Pci {
    /// Goes on with a reset until there is something to wait for.
    pub fn step<H: Hardware>(
        &self,
        hardware: &mut H,
        function: &Function,
        reset: &mut Resetting,
    ) -> Result<Next, Error> {
        let page = self.page(function.place())?;
        loop {
            match reset.step {
                Step::First => {
                    self.set_master(hardware, function, false)?;
                    let (way, status) = hardware.config(page, |config| {
                        let bytes = |index| function.bar(index).map_or(0, |bar| bar.size);
                        (Reset::of(&*config), axiom_virtio::pci::status_register(&*config, bytes))
                    })?;
                    match (way, status) {
                        (Some(way), status) if way.is_function_level() || status.is_none() => {
                            reset.go(Step::Ends(way), LOOKS_BEFORE);
                        }
                        (_, Some((bar, offset))) => {
                            let at = function.address(bar, offset)?;
                            hardware.registers(at, |status| super::Registers::write_byte(status, 0, 0))?;
                            reset.go(Step::Status(bar, offset), LOOKS_STATUS);
                        }
                        _ => reset.go(Step::Ended(Outcome::Cannot), 0),
                    }
                }
                Step::Ends(way) => {
                    let pending = hardware.config(page, |config| way.is_pending(&*config))?;
                    if pending && reset.looked() {
                        return Ok(Next::After(MILLISECOND_US));
                    }
                    let us = hardware.config(page, |config| way.begin(config))?;
                    reset.go(Step::Begun(way), 0);
                    return Ok(Next::After(us));
                }
                Step::Begun(way) => {
                    let us = hardware.config(page, |config| way.end(config))?;
                    reset.go(Step::Over(way), LOOKS_AFTER);
                    if us > 0 {
                        return Ok(Next::After(us));
                    }
                }
                Step::Over(way) => {
                    let lost = hardware.config(page, |config| state(config, function, way))?;
                    match lost {
                        Some(_) if reset.looked() => return Ok(Next::After(AFTER_US)),
                        Some(lost) => reset.go(Step::Ended(Outcome::Lost(lost)), 0),
                        None => {
                            let outcome = self.restore(hardware, page, function)?;
                            reset.go(Step::Ended(outcome), 0);
                        }
                    }
                }
                Step::Status(bar, offset) => {
                    let at = function.address(bar, offset)?;
                    if hardware.registers(at, |status| super::Registers::read_byte(status, 0))? == 0 {
                        reset.go(Step::Ended(Outcome::Forgot), 0);
                    } else if reset.looked() {
                        return Ok(Next::After(MILLISECOND_US));
                    } else {
                        reset.go(Step::Ended(Outcome::Lost(Lost::Busy)), 0);
                    }
                }
                Step::Ended(outcome) => return Ok(Next::Ended(outcome)),
            }
        }
    }

    /// Gives a function its addresses and messages back, and looks at whether it has them.
    fn restore<H: Hardware>(
        &self,
        hardware: &mut H,
        page: u64,
        function: &Function,
    ) -> Result<Outcome, Error> {
        let kept = hardware.config(page, |config| {
            axiom_pci::restore(config, function.bars());
            let kept = axiom_pci::holds(&*config, function.bars()) && !axiom_pci::is_master(&*config);
            if kept {
                axiom_pci::enable_memory(config);
            }
            kept
        })?;
        if !kept {
            return Ok(Outcome::Lost(Lost::Changed));
        }
        self.mask(hardware, function)?;
        function.write_messages(hardware)?;
        Ok(Outcome::Forgot)
    }
}

/// What speaks against a function's having come out of its reset.
fn state(config: &impl Config, function: &Function, way: Reset) -> Option<Lost> {
    if Identity::of(config) != Some(function.identity()) {
        return Some(Lost::Gone);
    }
    (!way.is_over(config)).then_some(Lost::Busy)
}
