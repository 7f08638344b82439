//! The bus's timing in clocks of the controller.
//!
//! By the DesignWare databook, SCL is high for HCNT + SPKLEN + 7 clocks and low for LCNT + 1; falling and rising take some time in
//! addition. I2C says how long each phase must last at least (UM10204, table 10); the rest of the period goes to the high phase.

/// How fast.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Speed {
    /// 100 kHz.
    Standard,
    /// 400 kHz.
    Fast,
    /// 1 MHz.
    FastPlus,
}

impl Speed {
    /// The fastest that is not above `hz`.
    pub fn at_most(hz: u64) -> Option<Speed> {
        match hz {
            1_000_000.. => Some(Speed::FastPlus),
            400_000.. => Some(Speed::Fast),
            100_000.. => Some(Speed::Standard),
            _ => None,
        }
    }

    /// Period, least low time, least high time, hold time of data; nanoseconds.
    const fn nanoseconds(self) -> (u32, u32, u32, u32) {
        match self {
            Speed::Standard => (10_000, 4700, 4000, 300),
            Speed::Fast => (2500, 1300, 600, 300),
            Speed::FastPlus => (1000, 500, 260, 120),
        }
    }
}

/// Rise and fall of the lines, nanoseconds: what RP1's device tree says of the board's.
const RISE_NS: u32 = 65;
const FALL_NS: u32 = 100;
/// Spikes that are suppressed (fast mode's limit).
const SPIKE_NS: u32 = 50;

/// Values for the controller's registers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timing {
    /// HCNT.
    pub high: u32,
    /// LCNT.
    pub low: u32,
    /// SPKLEN.
    pub spike: u32,
    /// SDA_HOLD when sending.
    pub hold: u32,
}

impl Timing {
    /// For a controller with this clock.
    pub fn new(clock_hz: u32, speed: Speed) -> Timing {
        let clocks = |ns: u32| (u64::from(ns) * u64::from(clock_hz)).div_ceil(1_000_000_000) as u32;
        let (period, low, high, hold) = speed.nanoseconds();
        let spike = clocks(SPIKE_NS).max(1);
        // The line is seen low only after it fell, and is low until it begins to rise.
        let low = clocks(low + FALL_NS);
        let high = clocks(high + RISE_NS).max(clocks(period).saturating_sub(low));
        Timing {
            high: high.saturating_sub(spike + 7).clamp(6, 0xffff),
            low: (low - 1).clamp(8, 0xffff),
            spike,
            hold: clocks(hold).min(low - 2),
        }
    }

    /// The bus's frequency with lines that change in no time.
    pub fn hz(&self, clock_hz: u32) -> u32 {
        clock_hz / (self.high + self.spike + 7 + self.low + 1)
    }
}
