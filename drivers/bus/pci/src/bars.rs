//! Where a function's registers are.

use crate::{Config, ConfigMut, MASTER, MEMORY, PORTS, at};

/// A function's BARs.
pub const BARS: usize = 6;
/// What a BAR takes at least where it is given an address: so that no two functions share a page.
const PAGE: u64 = 4096;
/// In a BAR's low bits: it is for ports; its kind; it has 64 bits.
const IS_PORTS: u32 = 1;
const KIND: u32 = 3 << 1;
const WIDE: u32 = 2 << 1;

/// Registers of a function in memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bar {
    /// Its number.
    pub index: u8,
    /// Its address; 0: nobody has given it one.
    pub base: u64,
    /// Bytes, a power of two.
    pub size: u64,
    /// Its address may have 64 bits.
    pub wide: bool,
}

impl Bar {
    /// The byte after its last.
    pub fn end(&self) -> u64 {
        self.base.saturating_add(self.size)
    }

    /// The address that it has in configuration space.
    pub(crate) fn held(&self, config: &impl Config) -> u64 {
        let register = at::BARS + 4 * u16::from(self.index);
        let high = if self.wide { config.read(register + 4) } else { 0 };
        u64::from(high) << 32 | u64::from(config.read(register) & !0xf)
    }
}

/// The BARs in memory of a function with a header of layout 0, with their sizes. The function answers to nothing meanwhile, and afterwards:
/// it is switched off.
pub fn bars(config: &mut impl ConfigMut) -> [Option<Bar>; BARS] {
    let command = config.read(at::COMMAND) & 0xffff;
    config.write(at::COMMAND, command & !(PORTS | MEMORY | MASTER));
    let mut bars = [None; BARS];
    let mut index = 0;
    while index < BARS {
        let (bar, width) = bar(config, index);
        bars[index] = bar;
        index += width;
    }
    bars
}

/// The addresses of a function's BARs in memory, as they are, without those that have none. Nothing is written.
pub fn bases<C: Config>(config: &C, layout: u8) -> impl Iterator<Item = u64> + '_ {
    let count = match layout {
        0 => BARS,
        1 => 2,
        _ => 0,
    };
    let mut index = 0;
    core::iter::from_fn(move || {
        while index < count {
            let register = at::BARS + 4 * index as u16;
            let low = config.read(register);
            let wide = low & KIND == WIDE && low & IS_PORTS == 0 && index + 1 < count;
            let high = if wide { config.read(register + 4) } else { 0 };
            index += if wide { 2 } else { 1 };
            let base = u64::from(high) << 32 | u64::from(low & !0xf);
            if low & IS_PORTS == 0 && base != 0 {
                return Some(base);
            }
        }
        None
    })
}

/// What a register's bits keep of a value.
fn probe(config: &mut impl ConfigMut, register: u16) -> (u32, u32) {
    let kept = config.read(register);
    config.write(register, u32::MAX);
    let size = config.read(register);
    config.write(register, kept);
    (kept, size)
}

/// A BAR, and how many registers it takes.
fn bar(config: &mut impl ConfigMut, index: usize) -> (Option<Bar>, usize) {
    let register = at::BARS + 4 * index as u16;
    let (low, low_size) = probe(config, register);
    if low & IS_PORTS != 0 || low_size == 0 {
        return (None, 1);
    }
    let wide = low & KIND == WIDE && index + 1 < BARS;
    let (high, high_size) = if wide { probe(config, register + 4) } else { (0, u32::MAX) };
    let mask = u64::from(high_size) << 32 | u64::from(low_size & !0xf);
    // The bits that are kept are those above the size.
    let size = mask.wrapping_neg();
    let base = (u64::from(high) << 32 | u64::from(low & !0xf)) & mask;
    let there = size.is_power_of_two() && size >= 16;
    (there.then_some(Bar { index: index as u8, base, size, wide }), if wide { 2 } else { 1 })
}

/// Gives a BAR an address. The function must be off.
pub fn assign(config: &mut impl ConfigMut, bar: &mut Bar, base: u64) {
    let register = at::BARS + 4 * u16::from(bar.index);
    config.write(register, base as u32);
    if bar.wide {
        config.write(register + 4, (base >> 32) as u32);
    }
    bar.base = base;
}

/// Addresses that functions get where firmware gave none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Window {
    /// The next address.
    pub next: u64,
    /// The byte after the last.
    pub end: u64,
}

impl Window {
    /// An address for so many bytes, aligned to them, that meets none of `others`; no two of those that are handed out share a page.
    /// A BAR of 32 bits gets none above them.
    pub fn place(&mut self, size: u64, wide: bool, others: &[(u64, u64)]) -> Option<u64> {
        const BELOW: u64 = 1 << 32;
        let last = if wide { self.end } else { self.end.min(BELOW) };
        let alignment = size.max(PAGE);
        let mut at = self.next.checked_next_multiple_of(alignment)?;
        while let Some(other) =
            others.iter().find(|(start, end)| *start < at.saturating_add(alignment) && at < *end)
        {
            at = other.1.checked_next_multiple_of(alignment)?;
        }
        let end = at.checked_add(alignment).filter(|end| *end <= last)?;
        self.next = end;
        Some(at)
    }
}
