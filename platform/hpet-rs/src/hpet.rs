//! The block as a whole: what it is, its counter, and its switches.

use crate::error::{
    EnableError, NoLegacyReplacement, NoSuchTimer, NotHalted, ProbeError, SHORTEST_FEMTOSECONDS,
};
use crate::regs::{ENABLE_CNF, GCAP_ID, GEN_CONF, GINTR_STA, LEG_RT_CNF, MAIN_CNT};
use crate::{Capabilities, Extender, Period, Quirks, Registers, Timer};
use core::time::Duration;

/// How often the counter is read before it is said to stand still. 10,000 reads take 200 µs at the very least; a tick, 100 ns at most.
const READS_UNTIL_STUCK: u32 = 10_000;

/// One HPET.
#[derive(Debug)]
pub struct Hpet<R> {
    pub(crate) registers: R,
    capabilities: Capabilities,
    period: Period,
    pub(crate) quirks: Quirks,
    /// The count of a counter with 32 bits.
    extender: Extender,
    /// The lower half of each timer's deadline that was written last, in ticks.
    pub(crate) written: [u32; 32],
}

impl<R: Registers> Hpet<R> {
    /// Looks at the registers, and writes none: whatever the firmware set up goes on.
    pub fn new(registers: R, quirks: Quirks) -> Result<Hpet<R>, ProbeError> {
        // In halves: nothing of it changes.
        let (low, high) = (registers.read32(GCAP_ID), registers.read32(GCAP_ID + 4));
        if quirks.contains(Quirks::ABSENT) || low | high == 0 || low & high == u32::MAX {
            return Err(ProbeError::Absent);
        }
        let capabilities = Capabilities(u64::from(low) | u64::from(high) << 32);
        if capabilities.rev_id() == 0 {
            return Err(ProbeError::Revision);
        }
        let factor = if quirks.contains(Quirks::PERIOD_IN_PICOSECONDS) { 1000 } else { 1 };
        let read = capabilities.counter_clk_period().saturating_mul(factor);
        let period = Period::from_femtoseconds(read).map_err(ProbeError::Period)?;
        if read < SHORTEST_FEMTOSECONDS {
            return Err(ProbeError::PeriodTooShort { femtoseconds: read });
        }
        let first = registers.read32(MAIN_CNT);
        Ok(Hpet {
            registers,
            capabilities,
            period,
            quirks,
            extender: Extender::new(first.into()),
            written: [0; 32],
        })
    }

    /// `GCAP_ID`.
    pub fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    /// The length of a tick, quirks applied.
    pub fn period(&self) -> Period {
        self.period
    }

    /// How many timers the block has, 1 ..= 32.
    pub fn timers(&self) -> u8 {
        self.capabilities.timers()
    }

    /// Whether the counter stops while the package sleeps deeply: then it is no clock across such a sleep.
    pub fn stops_in_deep_sleep(&self) -> bool {
        self.quirks.contains(Quirks::STOPS_IN_DEEP_SLEEP)
    }

    /// The registers, back.
    pub fn into_registers(self) -> R {
        self.registers
    }

    fn configure(&mut self, clear: u32, set: u32) -> u32 {
        // Bits that are not ours stay.
        let value = self.registers.read32(GEN_CONF) & !clear | set;
        self.registers.write32(GEN_CONF, value);
        self.registers.read32(GEN_CONF)
    }

    /// Lets the counter run, and makes sure that it does.
    pub fn enable(&mut self) -> Result<(), EnableError> {
        if self.configure(0, ENABLE_CNF) & ENABLE_CNF == 0 {
            return Err(EnableError::Ignored);
        }
        let start = self.registers.read32(MAIN_CNT);
        for _ in 0..READS_UNTIL_STUCK {
            if self.registers.read32(MAIN_CNT) != start {
                return Ok(());
            }
        }
        Err(EnableError::Stuck { count: self.main_counter() })
    }

    /// Halts the counter; no timer interrupts meanwhile.
    pub fn halt(&mut self) {
        self.configure(ENABLE_CNF, 0);
    }

    /// Whether the counter runs.
    pub fn is_enabled(&self) -> bool {
        self.registers.read32(GEN_CONF) & ENABLE_CNF != 0
    }

    /// Timer 0 in the place of the PIT (IRQ 0, usually input 2 of the I/O APIC) and timer 1 in that of the RTC (IRQ 8), or not. While it
    /// is on, PIT and RTC interrupt nobody.
    pub fn set_legacy_replacement(&mut self, on: bool) -> Result<(), NoLegacyReplacement> {
        if !self.capabilities.leg_rt_cap() {
            return if on { Err(NoLegacyReplacement) } else { Ok(()) };
        }
        self.configure(LEG_RT_CNF, if on { LEG_RT_CNF } else { 0 });
        Ok(())
    }

    /// Whether legacy replacement is on.
    pub fn legacy_replacement(&self) -> bool {
        self.registers.read32(GEN_CONF) & LEG_RT_CNF != 0
    }

    /// The main counter, in ticks; it never goes back but by [`set_main_counter`](Hpet::set_main_counter).
    ///
    /// A counter of 32 bits is extended to 64: call this at least once per half wrap ([`Extender`]). One of 64 bits by accesses of 32
    /// is read until its upper half stands still around the lower: again only where 2³² ticks end in between.
    pub fn main_counter(&mut self) -> u64 {
        if !self.capabilities.count_size_cap() {
            return self.extender.extend(self.registers.read32(MAIN_CNT).into());
        }
        if R::WIDE {
            return self.registers.read64(MAIN_CNT);
        }
        let mut high = self.registers.read32(MAIN_CNT + 4);
        loop {
            let low = self.registers.read32(MAIN_CNT);
            let again = self.registers.read32(MAIN_CNT + 4);
            if again == high {
                return u64::from(low) | u64::from(high) << 32;
            }
            high = again;
        }
    }

    /// Sets the main counter, in ticks. Where it has 32 bits, the others are counted here.
    pub fn set_main_counter(&mut self, ticks: u64) -> Result<(), NotHalted> {
        if self.is_enabled() {
            return Err(NotHalted);
        }
        if self.capabilities.count_size_cap() {
            self.registers.write64(MAIN_CNT, ticks);
        } else {
            self.registers.write32(MAIN_CNT, ticks as u32);
        }
        self.extender = Extender::new(ticks);
        Ok(())
    }

    /// The time since the counter was 0, in nanoseconds: less than 1 ns below the counter's.
    pub fn nanoseconds(&mut self) -> u64 {
        let ticks = self.main_counter();
        self.period.nanoseconds(ticks)
    }

    /// The time since the counter was 0.
    pub fn now(&mut self) -> Duration {
        let ticks = self.main_counter();
        self.period.duration(ticks)
    }

    /// `GINTR_STA`: bit n is set while level-triggered timer n asks for attention.
    pub fn interrupt_status(&self) -> u32 {
        self.registers.read32(GINTR_STA)
    }

    /// One of the timers, from 0.
    pub fn timer(&mut self, number: u8) -> Result<Timer<'_, R>, NoSuchTimer> {
        let timers = self.timers();
        if number < timers { Ok(Timer::new(self, number)) } else { Err(NoSuchTimer { number, timers }) }
    }
}
