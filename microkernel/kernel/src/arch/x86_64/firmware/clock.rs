//! Measures the counter, and the local APIC's timer, against a clock whose frequency is known: the HPET, or else the ACPI power
//! management timer.
//!
//! A sample is the reference between two readings of the counter; of several the tightest counts. Two samples at least
//! [`LEAST_MS`] apart give the frequency; how wide they were, and one step of the reference, is the error.
use super::super::cpu;
use super::super::irq;
use super::super::paging;
use super::super::port::inl;
use super::super::timer::{self, Second};
use crate::node::node;
use axiom_boot::pc::Bad;
use axiom_boot::pc::acpi::{PmTimer, Tables};
use sel4_sys::ext::HpetInfo;

/// How long is measured at least.
const LEAST_MS: u64 = 10;
const SAMPLES: usize = 8;
const FEMTO: u128 = 1_000_000_000_000_000;
/// Periods that an HPET can have (IA-PC HPET 1.0a, 2.3.4: at most 100 ns); less than a nanosecond is a mistake.
const PERIODS: core::ops::RangeInclusive<u64> = 1_000_000..=100_000_000;
/// The power management timer's frequency, Hz.
const PM_FREQUENCY: u128 = 3_579_545;

/// What is measured against.
#[derive(Clone, Copy)]
enum Reference {
    /// The HPET's registers, and its period in femtoseconds.
    Hpet(usize, u64),
    Pm(PmTimer),
}

const CAPABILITIES: usize = 0x00;
const CONFIGURATION: usize = 0x10;
const TIMERS: usize = 0x100;
const TIMER_SIZE: usize = 0x20;
const MAIN_COUNTER: usize = 0xf0;
const ENABLE: u32 = 1;
const LEGACY: u32 = 1 << 1;
/// Of a timer: that it interrupts, and that it does so by a store to memory.
const INTERRUPTS: u32 = 1 << 2 | 1 << 14;

fn hpet_register(base: usize, offset: usize) -> u32 {
    // SAFETY: the block is mapped as a device's; its registers are read 32 bits at a time, which has no effect.
    unsafe { ((base + offset) as *const u32).read_volatile() }
}

impl Reference {
    fn read(self) -> u32 {
        match self {
            Reference::Hpet(base, _) => hpet_register(base, MAIN_COUNTER),
            Reference::Pm(timer) => inl(timer.port),
        }
    }

    /// Steps from one reading to another; both kinds go round after seconds at the earliest.
    fn steps(self, from: u32, to: u32) -> u64 {
        let wide = to.wrapping_sub(from);
        match self {
            Reference::Pm(PmTimer { is_32_bits: false, .. }) => (wide & 0xff_ffff).into(),
            _ => wide.into(),
        }
    }

    /// How many steps are one second, and how many femtoseconds are one step; one of the two is exact.
    fn ticks(self, counter: u64, steps: u64) -> u64 {
        match self {
            Reference::Hpet(_, period) => {
                (u128::from(counter) * FEMTO / (u128::from(steps) * u128::from(period))) as u64
            }
            Reference::Pm(_) => (u128::from(counter) * PM_FREQUENCY / u128::from(steps)) as u64,
        }
    }

    fn steps_in_ms(self, ms: u64) -> u64 {
        match self {
            Reference::Hpet(_, period) => ms * 1_000_000_000_000 / period,
            Reference::Pm(_) => ms * PM_FREQUENCY as u64 / 1000,
        }
    }

    /// Its name.
    fn name(self) -> &'static str {
        match self {
            Reference::Hpet(..) => "HPET",
            Reference::Pm(_) => "ACPI timer",
        }
    }
}

#[derive(Clone, Copy)]
struct Sample {
    counter: u64,
    reference: u32,
    width: u64,
}

/// The reference, between two readings of the counter as close to each other as can be had.
fn sample(reference: Reference) -> Sample {
    let mut best = Sample { counter: 0, reference: 0, width: u64::MAX };
    for _ in 0..SAMPLES {
        let before = cpu::counter();
        let value = reference.read();
        let width = cpu::counter().wrapping_sub(before);
        if width < best.width {
            best = Sample { counter: before + width / 2, reference: value, width };
        }
    }
    best
}

/// A measurement that has begun.
#[derive(Clone, Copy)]
pub struct Measurement {
    reference: Reference,
    first: Sample,
    /// The counter when the local APIC's timer began to count down.
    local_since: Option<u64>,
}

/// What was measured.
#[derive(Clone, Copy)]
pub struct Clock {
    /// The counter's frequency, Hz.
    pub frequency: u64,
    /// Steps of the local APIC's timer in a tick, times 2^32.
    pub ratio: u64,
    /// Against what.
    pub reference: &'static str,
    /// For how long, microseconds.
    pub microseconds: u64,
    /// How far off the frequency may be, parts per million.
    pub error_ppm: u64,
}

impl Measurement {
    /// Begins.
    pub fn begin(tables: &Tables) -> Result<Measurement, Bad> {
        let reference = match (tables.hpet, tables.pm_timer) {
            (Some(at), _) => {
                const UNREACHABLE: Bad = Bad::Clock("the HPET's registers lie where no address reaches");
                let base = paging::map_device(at, 1024).ok_or(UNREACHABLE)?;
                let period = hpet_register(base, 4).into();
                if !PERIODS.contains(&period) {
                    return Err(Bad::Period(at, period));
                }
                start_hpet(base);
                Reference::Hpet(base, period)
            }
            (None, Some(timer)) => Reference::Pm(timer),
            (None, None) => {
                return Err(Bad::Clock(
                    "there is neither an HPET nor an ACPI power management timer; with QEMU, take -M q35 without hpet=off",
                ));
            }
        };
        let first = sample(reference);
        if let Reference::Hpet(base, period) = reference {
            let register = base + MAIN_COUNTER;
            timer::set_reference(Second { register, period, first: first.reference, start: first.counter });
            node().trace.set_reference(period, first.counter);
        }
        Ok(Measurement { reference, first, local_since: None })
    }

    /// From now on the local APIC's timer is measured, too.
    pub fn with_local_timer(&mut self) {
        if let Some(local) = irq::local() {
            local.count_down(u32::MAX);
            self.local_since = Some(cpu::counter());
        }
    }

    /// Waits until enough time has passed, and ends. A reference that stands still is a sentence, not a hang.
    pub fn end(self) -> Result<Clock, Bad> {
        /// More ticks of any counter than `LEAST_MS`.
        const PATIENCE: u64 = 10_000_000_000;
        let wanted = self.reference.steps_in_ms(LEAST_MS);
        let last = loop {
            let now = sample(self.reference);
            if self.reference.steps(self.first.reference, now.reference) >= wanted {
                break now;
            }
            if now.counter.wrapping_sub(self.first.counter) > PATIENCE {
                return Err(Bad::Clock("the HPET, or the ACPI timer, stands still"));
            }
            core::hint::spin_loop();
        };
        let local = irq::local().zip(self.local_since).map(|(local, since)| {
            let steps = u32::MAX - local.count();
            (steps, cpu::counter().wrapping_sub(since))
        });
        let steps = self.reference.steps(self.first.reference, last.reference);
        let counter = last.counter - self.first.counter;
        let frequency = self.reference.ticks(counter, steps);
        let ratio = match local {
            Some((steps @ 1.., ticks @ 1..)) => ((u128::from(steps) << 32) / u128::from(ticks)) as u64,
            _ => return Err(Bad::Clock("the local APIC's timer stands still")),
        };
        let step = counter / steps;
        let off = (self.first.width + last.width) / 2 + step;
        Ok(Clock {
            frequency,
            ratio,
            reference: self.reference.name(),
            microseconds: (u128::from(counter) * 1_000_000 / u128::from(frequency.max(1))) as u64,
            error_ppm: (u128::from(off) * 1_000_000 / u128::from(counter)) as u64 + 1,
        })
    }
}

/// Lets the HPET count, for good: boot is timed by it, too. Its timers interrupt nobody, whatever the firmware used them for; one that
/// stores to memory (FSB) would do so behind every capability's back.
fn start_hpet(base: usize) {
    let write = |offset: usize, value: u32| {
        // SAFETY: the block is mapped as a device's; these bits let its counter run, and keep its timers from interrupting.
        unsafe { ((base + offset) as *mut u32).write_volatile(value) };
    };
    let timers = (hpet_register(base, CAPABILITIES) >> 8 & 31) as usize + 1;
    for timer in (0..timers).map(|n| TIMERS + n * TIMER_SIZE) {
        write(timer, hpet_register(base, timer) & !INTERRUPTS);
    }
    write(CONFIGURATION, hpet_register(base, CONFIGURATION) & !LEGACY | ENABLE);
}

impl Measurement {
    /// What the HPET is, for whoever is going to use its timers; none if there is none.
    pub fn hpet(&self, address: u64) -> Option<HpetInfo> {
        let Reference::Hpet(base, _) = self.reference else { return None };
        let wide = |offset: usize| {
            u64::from(hpet_register(base, offset)) | u64::from(hpet_register(base, offset + 4)) << 32
        };
        Some(HpetInfo { address, capabilities: wide(CAPABILITIES), routes: wide(TIMERS) >> 32 })
    }
}
