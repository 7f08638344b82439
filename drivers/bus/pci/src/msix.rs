//! MSI-X: interrupts that a function raises by writing to memory. Whoever writes the table decides where, so that is never the driver.

use crate::{Bar, Config, ConfigMut, MSIX, capabilities, field};

const ENABLE: u32 = 1 << 31;
const MASK_ALL: u32 = 1 << 30;

/// An entry of the table, as the function reads it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Where it writes.
    pub address: u64,
    /// What.
    pub data: u32,
}

impl Entry {
    /// Bytes of an entry.
    pub const BYTES: u64 = 16;

    /// The words of the table's entry, unmasked.
    pub fn words(self) -> [u32; 4] {
        [self.address as u32, (self.address >> 32) as u32, self.data, 0]
    }

    /// An entry that raises nothing.
    pub const MASKED: [u32; 4] = [0, 0, 0, 1];
}

/// A function's MSI-X capability.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MsiX {
    /// Its place in configuration space.
    at: u16,
    /// The BAR of the table.
    pub bar: u8,
    /// The table's place there.
    pub offset: u64,
    /// Entries.
    pub entries: u16,
}

impl MsiX {
    /// The capability, if the function has one whose table lies in one of these BARs, each entry in one page.
    pub fn of(config: &impl Config, bars: &[Option<Bar>]) -> Option<MsiX> {
        let at = capabilities(config).find(|c| c.0 == MSIX)?.1;
        let entries = (field(config, at, 0) >> 16 & 0x7ff) as u16 + 1;
        let table = field(config, at, 4);
        let (bar, offset) = ((table & 7) as u8, u64::from(table & !7));
        let room = bars.iter().flatten().find(|b| b.index == bar)?.size;
        let fits = offset + u64::from(entries) * Entry::BYTES <= room;
        // The register can say multiples of 8; an entry of such a table could lie in two pages.
        let fits = fits && offset.is_multiple_of(Entry::BYTES);
        fits.then_some(MsiX { at, bar, offset, entries })
    }

    /// The pages of the BAR that hold the table: the first's offset, and that after the last.
    pub fn pages(&self) -> (u64, u64) {
        let end = self.offset + u64::from(self.entries) * Entry::BYTES;
        (self.offset & !4095, end.next_multiple_of(4096))
    }

    /// Switches messages on, and with them the function's pin off; or both the other way.
    pub fn enable(&self, config: &mut impl ConfigMut, on: bool) {
        let control = config.read(self.at) & !(ENABLE | MASK_ALL);
        config.write(self.at, if on { control | ENABLE } else { control });
    }
}
