//! Slots that were taken for somebody, in their order: most of them come in rows, and a row takes as much of the heap as one slot would.
use alloc::vec::Vec;
use sel4_sys::CPtr;

/// Slots in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Row {
    first: u64,
    count: u64,
}

/// Slots in the order in which they were taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlotRows(Vec<Row>);

impl SlotRows {
    /// None.
    pub const fn new() -> SlotRows {
        SlotRows(Vec::new())
    }

    /// So many more, from one on.
    pub fn add(&mut self, first: CPtr, count: u64) {
        match self.0.last_mut() {
            Some(last) if last.first + last.count == first.0 => last.count += count,
            _ if count > 0 => self.0.push(Row { first: first.0, count }),
            _ => {}
        }
    }

    /// The slot in a place, from 0.
    pub fn get(&self, mut place: u64) -> Option<CPtr> {
        for row in &self.0 {
            if place < row.count {
                return Some(CPtr(row.first + place));
            }
            place -= row.count;
        }
        None
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = CPtr> + '_ {
        self.0.iter().flat_map(|row| row.first..row.first + row.count).map(CPtr)
    }

    /// How many.
    pub fn count(&self) -> u64 {
        self.0.iter().map(|row| row.count).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_found_in_their_order_and_rows_that_touch_are_one() {
        let mut rows = SlotRows::new();
        assert_eq!((rows.count(), rows.get(0)), (0, None));
        for (first, count) in [(10, 2), (12, 3), (5, 1), (6, 0), (20, 0), (6, 1), (15, 1)] {
            rows.add(CPtr(first), count);
        }
        assert_eq!(rows.0.len(), 3, "{rows:?}");
        let all = [10, 11, 12, 13, 14, 5, 6, 15];
        assert_eq!(rows.iter().map(|slot| slot.0).collect::<Vec<_>>(), all);
        assert_eq!(rows.count(), 8);
        for (place, slot) in (0..).zip(all) {
            assert_eq!(rows.get(place), Some(CPtr(slot)));
        }
        assert_eq!((rows.get(8), rows.get(u64::MAX)), (None, None));
    }
}
