//! The registers: where they are, and what their bits mean. Names and offsets are the specification's (section 2.3).
//!
//! The block is 1 KiB. Accesses are 32 or 64 bits wide and aligned; narrower ones are undefined.

/// `GCAP_ID`, general capabilities and identification: read-only, 64 bits.
pub const GCAP_ID: usize = 0x000;
/// `GEN_CONF`, general configuration: bit 0 `ENABLE_CNF`, bit 1 `LEG_RT_CNF`.
pub const GEN_CONF: usize = 0x010;
/// `GINTR_STA`, general interrupt status: bit n is `Tn_INT_STS` of a level-triggered timer; writing 1 clears it.
pub const GINTR_STA: usize = 0x020;
/// `MAIN_CNT`, the main counter, in ticks; may be written only while the counter is halted.
pub const MAIN_CNT: usize = 0x0f0;
/// Bytes of the block.
pub const BLOCK_BYTES: usize = 0x400;

/// `GEN_CONF.ENABLE_CNF`: the counter runs and timers interrupt.
pub const ENABLE_CNF: u32 = 1 << 0;
/// `GEN_CONF.LEG_RT_CNF`: timer 0 takes the place of the PIT (IRQ 0), timer 1 that of the RTC (IRQ 8).
pub const LEG_RT_CNF: u32 = 1 << 1;

/// `Tn_CONF.INT_TYPE_CNF`: 1 level-triggered, 0 edge-triggered.
pub const INT_TYPE_CNF: u32 = 1 << 1;
/// `Tn_CONF.INT_ENB_CNF`: the timer may interrupt.
pub const INT_ENB_CNF: u32 = 1 << 2;
/// `Tn_CONF.TYPE_CNF`: 1 periodic, 0 one-shot.
pub const TYPE_CNF: u32 = 1 << 3;
/// `Tn_CONF.VAL_SET_CNF`: the next write of the comparator of a periodic timer sets its next match, not its period.
pub const VAL_SET_CNF: u32 = 1 << 6;
/// `Tn_CONF.32MODE_CNF`: a 64-bit timer compares 32 bits.
pub const MODE32_CNF: u32 = 1 << 8;
/// `Tn_CONF.INT_ROUTE_CNF`, bits 13:9: the I/O APIC's input.
pub const INT_ROUTE_SHIFT: u32 = 9;
/// The mask of `INT_ROUTE_CNF`.
pub const INT_ROUTE_MASK: u32 = 0x1f << INT_ROUTE_SHIFT;
/// `Tn_CONF.FSB_EN_CNF`: interrupts are stores to the address of `Tn_FSB_ROUTE`.
pub const FSB_EN_CNF: u32 = 1 << 14;

/// `Tn_CONF` of timer `n`, configuration and capabilities, 64 bits.
pub const fn tn_conf(n: u8) -> usize {
    0x100 + 0x20 * n as usize
}
/// `Tn_COMP` of timer `n`, the comparator, in ticks.
pub const fn tn_comp(n: u8) -> usize {
    0x108 + 0x20 * n as usize
}
/// `Tn_FSB_ROUTE` of timer `n`: bits 31:0 the value, 63:32 the address of the store that is its interrupt.
pub const fn tn_fsb_route(n: u8) -> usize {
    0x110 + 0x20 * n as usize
}

/// Access to one block's registers; offsets are the constants of this module, in bytes.
///
/// Reads and writes must reach the device in program order, once each.
pub trait Registers {
    /// Whether [`read64`](Registers::read64) and [`write64`](Registers::write64) are one access of the device each. Where they are not (a
    /// 32-bit machine, a bus or an emulator that splits them: QEMU up to 7.2 does), leave it false: halves are then handled with care.
    const WIDE: bool = false;

    /// Reads 32 bits.
    fn read32(&self, offset: usize) -> u32;
    /// Writes 32 bits.
    fn write32(&mut self, offset: usize, value: u32);

    /// Reads 64 bits; without [`WIDE`](Registers::WIDE) the lower half first, so that a moving counter may come out torn.
    fn read64(&self, offset: usize) -> u64 {
        let low = self.read32(offset);
        u64::from(low) | u64::from(self.read32(offset + 4)) << 32
    }
    /// Writes 64 bits; without [`WIDE`](Registers::WIDE) the upper half first.
    fn write64(&mut self, offset: usize, value: u64) {
        self.write32(offset + 4, (value >> 32) as u32);
        self.write32(offset, value as u32);
    }
}

/// The value of `GCAP_ID`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Capabilities(pub u64);

impl Capabilities {
    /// `COUNTER_CLK_PERIOD` as it is read: femtoseconds per tick (but see [`crate::Quirks::PERIOD_IN_PICOSECONDS`]).
    pub const fn counter_clk_period(self) -> u32 {
        (self.0 >> 32) as u32
    }
    /// `VENDOR_ID`, as on PCI (8086h Intel, 1022h AMD).
    pub const fn vendor_id(self) -> u16 {
        (self.0 >> 16) as u16
    }
    /// `LEG_RT_CAP`: timers 0 and 1 can take the places of PIT and RTC.
    pub const fn leg_rt_cap(self) -> bool {
        self.0 & 1 << 15 != 0
    }
    /// `COUNT_SIZE_CAP`: the main counter has 64 bits, not 32.
    pub const fn count_size_cap(self) -> bool {
        self.0 & 1 << 13 != 0
    }
    /// How many timers there are: `NUM_TIM_CAP` (which is the number of the *last* one) plus 1; 1 ..= 32.
    pub const fn timers(self) -> u8 {
        (self.0 >> 8 & 0x1f) as u8 + 1
    }
    /// `REV_ID`, never 0.
    pub const fn rev_id(self) -> u8 {
        self.0 as u8
    }
}

/// The value of a `Tn_CONF`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TimerConfig(pub u64);

impl TimerConfig {
    /// `INT_ROUTE_CAP`: bit n says that input n of the I/O APIC can be this timer's.
    pub const fn int_route_cap(self) -> u32 {
        (self.0 >> 32) as u32
    }
    /// `PER_INT_CAP`: periodic mode exists.
    pub const fn per_int_cap(self) -> bool {
        self.0 & 1 << 4 != 0
    }
    /// `SIZE_CAP`: the comparator has 64 bits, not 32.
    pub const fn size_cap(self) -> bool {
        self.0 & 1 << 5 != 0
    }
    /// `FSB_INT_DEL_CAP`: interrupts can be stores to memory.
    pub const fn fsb_int_del_cap(self) -> bool {
        self.0 & 1 << 15 != 0
    }
    /// `INT_ENB_CNF`: the timer may interrupt.
    pub const fn interrupt_enabled(self) -> bool {
        self.0 as u32 & INT_ENB_CNF != 0
    }
    /// `TYPE_CNF`: periodic.
    pub const fn periodic(self) -> bool {
        self.0 as u32 & TYPE_CNF != 0
    }
    /// `INT_TYPE_CNF`: level-triggered.
    pub const fn level(self) -> bool {
        self.0 as u32 & INT_TYPE_CNF != 0
    }
    /// `INT_ROUTE_CNF`: the I/O APIC's input, unless legacy replacement or FSB delivery is on.
    pub const fn route(self) -> u8 {
        ((self.0 as u32 & INT_ROUTE_MASK) >> INT_ROUTE_SHIFT) as u8
    }
    /// `FSB_EN_CNF`: interrupts are stores to memory.
    pub const fn fsb_enabled(self) -> bool {
        self.0 as u32 & FSB_EN_CNF != 0
    }
}
