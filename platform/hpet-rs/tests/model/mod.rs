//! A model of the device by the specification, with what hardware and emulators add: time that passes at each access, comparators that take
//! effect late, 64-bit accesses that are two, matches by equality only.
#![allow(dead_code)]

use hpet::Registers;
use hpet::regs::*;
use std::cell::RefCell;
use std::rc::Rc;

/// What QEMU 7.2's q35 has: 10 ns, 64 bits, 3 timers, legacy replacement, Intel.
pub const QEMU: u64 = 0x0098_9680_8086_a201;
/// QEMU's `Tn_CONF`: inputs 2, 8, 16..23; periodic, 64 bits.
pub const QEMU_TIMER: u64 = 0x00ff_0104_0000_0030;
/// A PC's, 14.318180 MHz, with a counter of 32 bits.
pub const PC32: u64 = 69_841_279 << 32 | 0x8086_8201;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// Timer, and the counter at that moment.
    Interrupt(u8, u64),
    /// Address and value.
    Store(u32, u32, u64),
}

#[derive(Clone, Default)]
pub struct Comparator {
    pub config: u64,
    pub value: u64,
    pub period: u64,
    pub fsb: u64,
    /// Written, and in effect from then.
    late: Option<(u64, u64)>,
    last_write: u64,
}

#[derive(Clone)]
pub struct Device {
    pub capabilities: u64,
    pub config: u32,
    pub status: u32,
    pub counter: u64,
    pub timers: Vec<Comparator>,
    /// Ticks that pass at each access.
    pub per_access: u64,
    /// Ticks until a comparator takes effect.
    pub latency: u64,
    /// A second write of a periodic comparator within so many ticks is lost.
    pub gap: u64,
    pub events: Vec<Event>,
    pub writes: Vec<(usize, u32)>,
    /// The counter does not move, or `ENABLE_CNF` cannot be set.
    pub stuck: bool,
    pub locked: bool,
}

impl Device {
    pub fn new(capabilities: u64, timer: u64) -> Device {
        let n = (capabilities >> 8 & 31) as usize + 1;
        let reset = Comparator { config: timer, value: u64::MAX, ..Default::default() };
        Device {
            capabilities,
            config: 0,
            status: 0,
            counter: 0,
            timers: vec![reset; n],
            per_access: 1,
            latency: 0,
            gap: 0,
            events: Vec::new(),
            writes: Vec::new(),
            stuck: false,
            locked: false,
        }
    }

    fn counter_mask(&self) -> u64 {
        if self.capabilities & 1 << 13 != 0 { u64::MAX } else { 0xffff_ffff }
    }

    fn mask(&self, n: usize) -> u64 {
        let narrow = self.timers[n].config & (1 << 8) != 0 || self.timers[n].config & (1 << 5) == 0;
        if narrow { 0xffff_ffff } else { self.counter_mask() }
    }

    fn fire(&mut self, n: usize) {
        let config = self.timers[n].config as u32;
        let enabled = config & INT_ENB_CNF != 0;
        if config & INT_TYPE_CNF != 0 {
            self.status |= 1 << n;
        }
        if enabled && config & FSB_EN_CNF != 0 {
            let route = self.timers[n].fsb;
            self.events.push(Event::Store((route >> 32) as u32, route as u32, self.counter));
        } else if enabled {
            self.events.push(Event::Interrupt(n as u8, self.counter));
        }
    }

    /// Lets time pass. The true counter has 64 bits here, whatever the program sees.
    pub fn advance(&mut self, ticks: u64) {
        if self.config & ENABLE_CNF == 0 || self.stuck {
            return;
        }
        let end = self.counter.wrapping_add(ticks);
        while self.counter != end {
            for t in &mut self.timers {
                if let Some((value, from)) = t.late
                    && self.counter >= from
                {
                    (t.value, t.late) = (value, None);
                }
            }
            // To the next match, the next comparator that takes effect, or the end.
            let left = end.wrapping_sub(self.counter);
            let mut step = left;
            for n in 0..self.timers.len() {
                let mask = self.mask(n);
                let d = self.timers[n].value.wrapping_sub(self.counter) & mask;
                step = step.min(if d == 0 { mask.saturating_add(1) } else { d });
                if let Some((_, from)) = self.timers[n].late {
                    step = step.min(from - self.counter);
                }
            }
            self.counter = self.counter.wrapping_add(step);
            for n in 0..self.timers.len() {
                let mask = self.mask(n);
                if (self.timers[n].value ^ self.counter) & mask == 0 {
                    self.fire(n);
                    let t = &mut self.timers[n];
                    if t.config as u32 & TYPE_CNF != 0 {
                        t.value = t.value.wrapping_add(t.period);
                    }
                }
            }
        }
    }

    fn read(&mut self, offset: usize) -> u32 {
        self.advance(self.per_access);
        let (register, high) = (offset & !7, offset & 4 != 0);
        let value = match register {
            GCAP_ID => self.capabilities,
            GEN_CONF => self.config.into(),
            GINTR_STA => self.status.into(),
            MAIN_CNT => self.counter & self.counter_mask(),
            0x100.. => {
                let t = &self.timers[(register - 0x100) / 0x20];
                match register & 0x1f {
                    0 => t.config,
                    8 => t.value,
                    _ => t.fsb,
                }
            }
            _ => panic!("read of {offset:#x}"),
        };
        (if high { value >> 32 } else { value }) as u32
    }

    fn write(&mut self, offset: usize, value: u32) {
        self.advance(self.per_access);
        self.writes.push((offset, value));
        let (register, high) = (offset & !7, offset & 4 != 0);
        let put = |old: u64| {
            if high {
                old & 0xffff_ffff | u64::from(value) << 32
            } else {
                old & !0xffff_ffff | u64::from(value)
            }
        };
        match register {
            GEN_CONF if !self.locked => self.config = value,
            GEN_CONF => {}
            GINTR_STA => self.status &= !value,
            MAIN_CNT => {
                assert_eq!(self.config & ENABLE_CNF, 0, "the counter is written while it runs");
                self.counter = put(self.counter);
            }
            0x100.. => {
                let n = (register - 0x100) / 0x20;
                let narrow = self.mask(n) != u64::MAX;
                let t = &mut self.timers[n];
                match register & 0x1f {
                    0 => {
                        assert!(!high, "capabilities are written");
                        let writable = INT_TYPE_CNF
                            | INT_ENB_CNF
                            | if t.config & 16 != 0 { TYPE_CNF | VAL_SET_CNF } else { 0 }
                            | if t.config & 32 != 0 { MODE32_CNF } else { 0 }
                            | if t.config & 1 << 15 != 0 { FSB_EN_CNF } else { 0 }
                            | if t.config >> (32 + (value >> INT_ROUTE_SHIFT & 31)) & 1 != 0 {
                                INT_ROUTE_MASK
                            } else {
                                0
                            };
                        let before = t.config as u32;
                        t.config = t.config & !u64::from(writable) | u64::from(value & writable);
                        // A status that was there already asks for attention now.
                        let rising = !before & t.config as u32 & INT_ENB_CNF != 0;
                        if rising && self.status >> n & 1 != 0 {
                            self.events.push(Event::Interrupt(n as u8, self.counter));
                        }
                    }
                    8 => {
                        assert!(!(high && narrow), "the upper half of a comparator of 32 bits is touched");
                        let periodic = t.config as u32 & TYPE_CNF != 0;
                        if periodic && t.config as u32 & VAL_SET_CNF == 0 {
                            if self.counter - t.last_write >= self.gap {
                                t.period = put(t.period);
                            }
                        } else {
                            let now = t.late.map_or(t.value, |l| l.0);
                            if self.latency == 0 {
                                t.value = put(now);
                            } else {
                                t.late = Some((put(now), self.counter + self.latency));
                            }
                        }
                        t.config &= !u64::from(VAL_SET_CNF);
                        t.last_write = self.counter;
                    }
                    _ => t.fsb = put(t.fsb),
                }
            }
            _ => panic!("write of {offset:#x}"),
        }
    }
}

/// The device on a bus whose accesses of 64 bits are one (`WIDE`) or two.
#[derive(Clone)]
pub struct Bus<const WIDE: bool>(pub Rc<RefCell<Device>>);

impl<const WIDE: bool> Bus<WIDE> {
    pub fn new(device: Device) -> Bus<WIDE> {
        Bus(Rc::new(RefCell::new(device)))
    }
    pub fn advance(&self, ticks: u64) {
        self.0.borrow_mut().advance(ticks);
    }
    pub fn counter(&self) -> u64 {
        self.0.borrow().counter
    }
    pub fn events(&self) -> Vec<Event> {
        self.0.borrow().events.clone()
    }
}

impl<const W: bool> Registers for Bus<W> {
    const WIDE: bool = W;

    fn read32(&self, offset: usize) -> u32 {
        assert!(offset.is_multiple_of(4) && offset < BLOCK_BYTES);
        self.0.borrow_mut().read(offset)
    }
    fn write32(&mut self, offset: usize, value: u32) {
        assert!(offset.is_multiple_of(4) && offset < BLOCK_BYTES);
        self.0.borrow_mut().write(offset, value);
    }
    fn read64(&self, offset: usize) -> u64 {
        let mut d = self.0.borrow_mut();
        let low = d.read(offset);
        let step = d.per_access;
        d.per_access = if W { 0 } else { step };
        let high = d.read(offset + 4);
        d.per_access = step;
        u64::from(low) | u64::from(high) << 32
    }
    fn write64(&mut self, offset: usize, value: u64) {
        let mut d = self.0.borrow_mut();
        d.write(offset + 4, (value >> 32) as u32);
        let step = d.per_access;
        d.per_access = if W { 0 } else { step };
        d.write(offset, value as u32);
        d.per_access = step;
    }
}
