//! One timer: where its interrupt goes, and when it comes.
//!
//! What the hardware does with a deadline decides the order of the writes here. A match is an *equality* of counter and comparator: a
//! deadline that has passed is met again only after a whole wrap. A comparator may take effect some ticks after it was written. Where a
//! comparator of 64 bits is written in halves, it holds a mixed value in between, which may match: so a timer may interrupt only when all
//! of it is written, and whether the deadline was still ahead is asked *afterwards*. An old deadline that is about to come is waited for
//! before (a few microseconds, rarely), because it is in effect until the new one is. In periodic mode `VAL_SET_CNF` is used up by the first
//! half (QEMU) or the upper half must not be touched (some boards), so a periodic timer compares 32 bits.

use crate::error::{ArmError, RouteError};
use crate::regs::*;
use crate::{Hpet, Quirks};

/// How far ahead a deadline must be when everything is written, in ticks. Comparators of real hardware take effect some ticks late; Linux
/// uses the same number. 1.28 µs at 100 MHz, 8.9 µs at 14.318 MHz; four times as much with [`Quirks::SLOW_COMPARATOR`].
pub const MIN_DISTANCE: u64 = 128;

/// The longest distance of a deadline of 32 bits, in ticks: below a whole wrap by more than the writes take.
const REACH_32: u64 = 0xffff_0000;
/// The longest interval, in ticks: QEMU drops the bit above.
const MAX_INTERVAL: u64 = 0x7fff_ffff;

/// How often a periodic timer is set up anew when its first deadline passed meanwhile.
const TRIES: u32 = 4;

/// More reads than a microsecond has room for.
const READS_IN_A_MICROSECOND: u32 = 10_000;

/// More reads than an old deadline needs to pass: it is at most 2048 ticks ahead.
const READS_UNTIL_PASSED: u32 = 100_000;

/// How an interrupt line is driven.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trigger {
    /// A pulse: nothing to acknowledge here.
    Edge,
    /// Until [`Timer::acknowledge`].
    Level,
}

/// A periodic timer as it was armed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Periodic {
    /// The first deadline, in ticks.
    pub first: u64,
    /// How many deadlines of the wanted series had passed before it.
    pub skipped: u64,
}

/// One timer of a block, for as long as something is done with it.
#[derive(Debug)]
pub struct Timer<'a, R> {
    hpet: &'a mut Hpet<R>,
    number: u8,
}

impl<'a, R: Registers> Timer<'a, R> {
    pub(crate) fn new(hpet: &'a mut Hpet<R>, number: u8) -> Timer<'a, R> {
        Timer { hpet, number }
    }

    /// `Tn_CONF`.
    pub fn config(&self) -> TimerConfig {
        let at = tn_conf(self.number);
        let registers = &self.hpet.registers;
        TimerConfig(u64::from(registers.read32(at)) | u64::from(registers.read32(at + 4)) << 32)
    }

    fn write_config(&mut self, low: u32) {
        self.hpet.registers.write32(tn_conf(self.number), low);
    }

    /// Sends the interrupt to an input of the I/O APIC, with this trigger. Disarms the timer and ends delivery by stores.
    pub fn route(&mut self, input: u8, trigger: Trigger) -> Result<(), RouteError> {
        let config = self.config();
        let possible = config.int_route_cap();
        if self.number < 2 && self.hpet.legacy_replacement() {
            return Err(RouteError::Legacy);
        }
        if input > 31 || possible >> input & 1 == 0 {
            return Err(RouteError::Input { input, possible });
        }
        let level = if trigger == Trigger::Level { INT_TYPE_CNF } else { 0 };
        let kept = config.0 as u32 & !(INT_ENB_CNF | INT_ROUTE_MASK | INT_TYPE_CNF | FSB_EN_CNF);
        self.write_config(kept | u32::from(input) << INT_ROUTE_SHIFT | level);
        let kept = self.config().route();
        if kept != input {
            return Err(RouteError::Ignored { kept });
        }
        self.acknowledge();
        Ok(())
    }

    /// Makes the interrupt a store of `value` to `address`, past the I/O APIC (a message-signalled interrupt): edge-triggered. Disarms the
    /// timer.
    ///
    /// # Safety
    /// From now on the chipset writes `value` to this *physical* address at each match, wherever that is: it must be one where such a
    /// store does no harm, as a local APIC's interrupt address with a vector that has a handler.
    pub unsafe fn route_fsb(&mut self, address: u32, value: u32) -> Result<(), RouteError> {
        let config = self.config();
        if !config.fsb_int_del_cap() {
            return Err(RouteError::NoFsb);
        }
        let kept = config.0 as u32 & !(INT_ENB_CNF | INT_TYPE_CNF | FSB_EN_CNF);
        self.write_config(kept);
        let at = tn_fsb_route(self.number);
        self.hpet.registers.write64(at, u64::from(address) << 32 | u64::from(value));
        self.write_config(kept | FSB_EN_CNF);
        Ok(())
    }

    /// Whether the interrupt of a level-triggered timer is pending.
    pub fn pending(&self) -> bool {
        self.hpet.interrupt_status() >> self.number & 1 != 0
    }

    /// Ends the interrupt of a level-triggered timer; harmless for others.
    pub fn acknowledge(&mut self) {
        self.hpet.registers.write32(GINTR_STA, 1 << self.number);
    }

    /// The timer interrupts no more.
    pub fn disarm(&mut self) {
        let low = self.config().0 as u32 & !(INT_ENB_CNF | TYPE_CNF | VAL_SET_CNF);
        self.undo(low);
    }

    /// Lets an old deadline pass that is about to come, while the timer is disarmed: what is written next may take effect only after it.
    /// Old deadlines are what the comparator reads and what was written last, which it may not show yet.
    fn settle(&mut self) {
        let window = 4 * self.min_distance() as u32;
        let old = [self.hpet.registers.read32(tn_comp(self.number)), self.hpet.written[self.number as usize]];
        for _ in 0..READS_UNTIL_PASSED {
            let now = self.hpet.main_counter() as u32;
            let near = |old: u32| (1..=window).contains(&old.wrapping_sub(now));
            if !old.into_iter().any(near) || !self.hpet.is_enabled() {
                break;
            }
        }
    }

    /// Writes the lower half of the comparator.
    fn write_comparator(&mut self, ticks: u32) {
        self.hpet.written[self.number as usize] = ticks;
        self.hpet.registers.write32(tn_comp(self.number), ticks);
    }

    /// Disarms at once, by one write of what `Tn_CONF` was without `INT_ENB_CNF`.
    fn undo(&mut self, low: u32) {
        self.write_config(low);
        self.acknowledge();
    }

    fn min_distance(&self) -> u64 {
        if self.hpet.quirks.contains(Quirks::SLOW_COMPARATOR) { 4 * MIN_DISTANCE } else { MIN_DISTANCE }
    }

    /// How far ahead a deadline is now, if that is far enough.
    fn ahead(&mut self, deadline: u64) -> Result<u64, ArmError> {
        let now = self.hpet.main_counter();
        if deadline <= now {
            return Err(ArmError::Past { ago: now - deadline });
        }
        let left = deadline - now;
        if left < self.min_distance() { Err(ArmError::TooClose { left }) } else { Ok(left) }
    }

    /// How many bits a deadline is compared with, 32 or 64.
    pub fn comparator_bits(&self) -> u32 {
        if self.config().size_cap() && self.hpet.capabilities().count_size_cap() { 64 } else { 32 }
    }

    /// An interrupt at `deadline`, in ticks of [`Hpet::main_counter`]: not before, and by the hardware's own latency after.
    ///
    /// A comparator of 32 bits ([`comparator_bits`](Timer::comparator_bits)) matches again 2³² ticks later (43 s at 100 MHz): arm the timer
    /// anew or [`disarm`](Timer::disarm) it when its interrupt has come.
    pub fn arm_oneshot(&mut self, deadline: u64) -> Result<(), ArmError> {
        let config = self.config();
        let full = self.comparator_bits() == 64;
        let low = config.0 as u32 & !(INT_ENB_CNF | TYPE_CNF | VAL_SET_CNF | MODE32_CNF);
        self.write_config(low);
        self.settle();
        let left = self.ahead(deadline).inspect_err(|_| self.acknowledge())?;
        if !full && left > REACH_32 {
            self.acknowledge();
            return Err(ArmError::TooFar { at_most: deadline - left + REACH_32 });
        }
        if full {
            self.hpet.written[self.number as usize] = deadline as u32;
            self.hpet.registers.write64(tn_comp(self.number), deadline);
        } else {
            self.write_comparator(deadline as u32);
        }
        // What a mixed value matched meanwhile.
        self.acknowledge();
        self.write_config(low | INT_ENB_CNF);
        self.ahead(deadline).map(|_| ()).inspect_err(|_| self.undo(low))
    }

    /// Interrupts at `first` and every `interval` ticks from there, without drift. Deadlines that have passed are left out: the series
    /// then begins at a later one ([`Periodic`]).
    pub fn arm_periodic(&mut self, first: u64, interval: u64) -> Result<Periodic, ArmError> {
        self.disarm();
        let config = self.config();
        if !config.per_int_cap() {
            return Err(ArmError::NotPeriodic);
        }
        let at_least = self.min_distance();
        if !(at_least..=MAX_INTERVAL).contains(&interval) {
            return Err(ArmError::BadInterval { at_least, at_most: MAX_INTERVAL });
        }
        let slow = self.hpet.quirks.contains(Quirks::PERIODIC_DOUBLE_WRITE);
        if slow && !self.hpet.is_enabled() {
            return Err(ArmError::Halted);
        }
        self.settle();
        let mode = if config.size_cap() { MODE32_CNF } else { 0 };
        let low = config.0 as u32 & !(INT_ENB_CNF | VAL_SET_CNF | MODE32_CNF) | TYPE_CNF | mode;
        let mut armed = Periodic { first, skipped: 0 };
        let mut reserve = 2 * at_least;
        for _ in 0..TRIES {
            self.write_config(low | VAL_SET_CNF);
            let now = self.hpet.main_counter();
            // The first deadline of the series that can still be met.
            let earliest = now.saturating_add(reserve);
            let late = earliest.saturating_sub(armed.first).div_ceil(interval);
            armed.first = armed.first.saturating_add(late.saturating_mul(interval));
            armed.skipped += late;
            if armed.first - now > REACH_32 {
                self.disarm();
                return Err(ArmError::TooFar { at_most: now + REACH_32 });
            }
            self.write_comparator(armed.first as u32);
            if slow {
                self.hpet.wait_a_microsecond();
            }
            self.hpet.registers.write32(tn_comp(self.number), interval as u32);
            self.acknowledge();
            self.write_config(low | INT_ENB_CNF);
            if self.ahead(armed.first).is_ok() {
                return Ok(armed);
            }
            self.undo(low);
            reserve *= 8;
        }
        let now = self.hpet.main_counter();
        Err(ArmError::Past { ago: now.saturating_sub(armed.first) })
    }
}

impl<R: Registers> Hpet<R> {
    /// At least 1 µs by a running counter.
    fn wait_a_microsecond(&mut self) {
        // The tick in which it begins does not count.
        let ticks = self.period().ticks_ceil(1000).map_or(1, |t| t + 1);
        let start = self.main_counter();
        // A counter that has stopped does not hold the caller for ever.
        for _ in 0..READS_IN_A_MICROSECOND {
            if self.main_counter().wrapping_sub(start) >= ticks {
                break;
            }
        }
    }
}
