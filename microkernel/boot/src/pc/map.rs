//! The memory map: entries in any order, overlapping, empty, or rubbish.
//!
//! Whatever any entry does not call RAM is none, even if another entry does.
use super::Bad;
use crate::ranges::{Ranges, TooManyPieces};

/// Most entries.
pub const MAX_ENTRIES: usize = 128;
/// The type of RAM.
pub const RAM: u32 = 1;

/// An entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// First byte.
    pub start: u64,
    /// Bytes.
    pub size: u64,
    /// Type, as the BIOS counts them.
    pub kind: u32,
}

/// All entries, as they came.
#[derive(Clone, Debug)]
pub struct Map {
    entries: [Entry; MAX_ENTRIES],
    count: usize,
}

impl Default for Map {
    fn default() -> Self {
        Self::new()
    }
}

impl Map {
    /// No entries.
    pub const fn new() -> Map {
        Map { entries: [Entry { start: 0, size: 0, kind: 0 }; MAX_ENTRIES], count: 0 }
    }

    /// Adds an entry. One without a byte counts for nothing.
    pub fn push(&mut self, entry: Entry) -> Result<(), Bad> {
        if entry.size == 0 {
            return Ok(());
        }
        let place = self.entries.get_mut(self.count).ok_or(Bad::Entries(MAX_ENTRIES))?;
        *place = entry;
        self.count += 1;
        Ok(())
    }

    /// The entries.
    pub fn entries(&self) -> &[Entry] {
        &self.entries[..self.count]
    }

    /// The pages of RAM. What is reserved anywhere is taken out; a reservation that is too large for an address goes to the end.
    pub fn ram(&self) -> Result<Result<Ranges, TooManyPieces>, Bad> {
        let mut ram = Ranges::new();
        for e in self.entries().iter().filter(|e| e.kind == RAM) {
            let end = e.start.checked_add(e.size).ok_or(Bad::Wraps(e.start, e.size))?;
            if ram.add(e.start, end).is_err() {
                return Ok(Err(TooManyPieces));
            }
        }
        for e in self.entries().iter().filter(|e| e.kind != RAM) {
            // The last page of all has no end that a range could have; it is no RAM.
            if ram.remove(e.start, e.start.saturating_add(e.size).min(!4095)).is_err() {
                return Ok(Err(TooManyPieces));
            }
        }
        if ram.as_slice().is_empty() {
            return Err(Bad::NoRam(self.count));
        }
        Ok(Ok(ram))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(entries: &[(u64, u64, u32)]) -> Map {
        let mut map = Map::new();
        for &(start, size, kind) in entries {
            map.push(Entry { start, size, kind }).unwrap();
        }
        map
    }

    fn ram(entries: &[(u64, u64, u32)]) -> Ranges {
        map(entries).ram().unwrap().unwrap()
    }

    #[test]
    fn order_and_overlaps_do_not_matter() {
        let entries = [
            (0x10_0000, 0x3fe0_0000, RAM),
            (0, 0x9_fc00, RAM),
            (0x9_fc00, 0x400, 2),
            (0, 0, 0),
            (0xf_0000, 0x1_0000, 2),
            (0x1000_0000, 0x1000, 4),
            (0xb000_0000, 0x1000_0000, 2),
        ];
        let expected = [(0, 0x9_f000), (0x10_0000, 0x1000_0000), (0x1000_1000, 0x3ff0_0000)];
        for turn in 0..entries.len() {
            let mut turned = entries;
            turned.rotate_left(turn);
            assert_eq!(ram(&turned).as_slice(), expected);
        }
    }

    #[test]
    fn a_reservation_beats_ram_wherever_it_stands() {
        assert_eq!(ram(&[(0x1000, 0x1000, 2), (0, 0x4000, RAM)]).as_slice(), [(0, 0x1000), (0x2000, 0x4000)]);
        assert_eq!(ram(&[(0, 0x4000, RAM), (0x2001, u64::MAX, 20)]).as_slice(), [(0, 0x2000)]);
    }

    #[test]
    fn rubbish_is_refused_in_a_sentence() {
        assert_eq!(map(&[(u64::MAX - 5, 100, RAM)]).ram().unwrap_err(), Bad::Wraps(u64::MAX - 5, 100));
        assert_eq!(map(&[(0, 4096, 2)]).ram().unwrap_err(), Bad::NoRam(1));
        let mut full = Map::new();
        for i in 0..MAX_ENTRIES as u64 {
            full.push(Entry { start: i << 16, size: 0x1000, kind: RAM }).unwrap();
        }
        assert_eq!(full.push(Entry { start: 0, size: 1, kind: 2 }), Err(Bad::Entries(MAX_ENTRIES)));
        assert_eq!(full.push(Entry::default()), Ok(()), "an empty entry needs no room");
        assert!(full.ram().unwrap().is_err(), "too many pieces");
    }
}
