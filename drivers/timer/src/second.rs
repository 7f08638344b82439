//! The second time base: the HPET. One comparator serves all rates `timer/<n>hz/hpet`: it is armed for the earliest deadline, and again after
//! each.

use axiom_runtime::sel4::CPtr;
use axiom_runtime::{Bit, IrqHandler, Runtime, info, warn};
use core::fmt;
use hpet::{
    ArmError, EnableError, Hpet, Mmio32, NoSuchTimer, Period, ProbeError, Quirks, RouteError, Trigger,
};

/// The comparator that is used.
const COMPARATOR: u8 = 0;
/// How far away, in nanoseconds, the comparator is armed at first where every deadline has passed.
const SOON: u64 = 100_000;

/// The HPET, and the interrupt of its comparator.
pub struct Second {
    hpet: Hpet<Mmio32>,
    handler: IrqHandler,
    /// The bit of its signal.
    pub bit: Bit,
}

impl Second {
    /// The HPET that the manifest gives, if the machine has it; it says why not.
    pub fn open(rt: &Runtime) -> Option<Second> {
        let env = rt.env();
        let device = env.devices.iter().find(|d| d.name == "hpet")?;
        if device.registers.len == 0 {
            info!("this machine has no HPET: there are no rates timer/<n>hz/hpet");
            return None;
        }
        let Some(interrupt) = env.interrupts_of(&device, false).next() else {
            warn!(
                "the HPET can interrupt by no input of the I/O APIC that is free: there are no rates timer/<n>hz/hpet"
            );
            return None;
        };
        // SAFETY: init mapped the block's registers here, for this server alone and for its life, as device memory.
        let registers = unsafe { Mmio32::new(device.registers.start as *mut u32) };
        let input = interrupt.number as u8;
        match start(registers, input) {
            Ok(hpet) => {
                let (c, hz) = (hpet.capabilities(), hpet.period().frequency_hz());
                let bits = if c.count_size_cap() { 64 } else { 32 };
                info!(
                    "HPET: {hz} Hz, {bits} bits, {} comparators; the first interrupts by input {input}",
                    hpet.timers()
                );
                let handler = IrqHandler(CPtr(interrupt.slot));
                Some(Second { hpet, handler, bit: interrupt.bit })
            }
            Err(why) => {
                warn!("{why}: there are no rates timer/<n>hz/hpet");
                None
            }
        }
    }

    /// Its clock now, in steps.
    pub fn now(&mut self) -> u64 {
        self.hpet.main_counter()
    }

    /// The length of a step.
    pub fn period(&self) -> Period {
        self.hpet.period()
    }

    /// Its interrupt may come again.
    pub fn acknowledge(&self) {
        if self.handler.ack().is_err() {
            warn!("the HPET's interrupt could not be acknowledged");
        }
    }

    /// Interrupts at a deadline, or at none; false if it has passed. One that is closer than the comparator can be armed for is waited for: some
    /// microseconds.
    pub fn arm(&mut self, deadline: Option<u64>) -> bool {
        let Some(deadline) = deadline else {
            self.on_comparator(|timer| timer.disarm());
            return true;
        };
        let armed = self.on_comparator(|timer| match timer.arm_oneshot(deadline) {
            // An interrupt on the way there: nothing will be due, and it is armed again.
            Err(ArmError::TooFar { at_most }) => timer.arm_oneshot(at_most),
            other => other,
        });
        match armed {
            Some(Err(ArmError::Past { .. })) => false,
            Some(Err(ArmError::TooClose { .. })) => {
                while self.now() < deadline {
                    core::hint::spin_loop();
                }
                false
            }
            Some(Ok(())) => true,
            Some(Err(error)) => {
                warn!("HPET: {error}");
                true
            }
            None => true,
        }
    }

    /// Interrupts in a while, where deadlines pass faster than they are served.
    pub fn arm_soon(&mut self) {
        let mut distance = SOON;
        loop {
            let steps = self.period().ticks_ceil(distance).unwrap_or(u64::MAX);
            let at = self.now().saturating_add(steps);
            if self.arm(Some(at)) {
                return;
            }
            distance *= 2;
        }
    }

    fn on_comparator<T>(&mut self, mut act: impl FnMut(&mut hpet::Timer<'_, Mmio32>) -> T) -> Option<T> {
        // Every HPET has a first comparator.
        self.hpet.timer(COMPARATOR).ok().map(|mut timer| act(&mut timer))
    }
}

/// Why the HPET is not used.
enum Unusable {
    Probe(ProbeError),
    Enable(EnableError),
    Comparator(NoSuchTimer),
    Route(RouteError),
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unusable::Probe(error) => error.fmt(f),
            Unusable::Enable(error) => error.fmt(f),
            Unusable::Comparator(error) => error.fmt(f),
            Unusable::Route(error) => error.fmt(f),
        }
    }
}

fn start(registers: Mmio32, input: u8) -> Result<Hpet<Mmio32>, Unusable> {
    let mut hpet = Hpet::new(registers, Quirks::default()).map_err(Unusable::Probe)?;
    hpet.enable().map_err(Unusable::Enable)?;
    let mut comparator = hpet.timer(COMPARATOR).map_err(Unusable::Comparator)?;
    comparator.route(input, Trigger::Edge).map_err(Unusable::Route)?;
    Ok(hpet)
}
