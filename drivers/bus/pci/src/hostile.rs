//! Functions that say anything: lists that lead in circles or into the header, lengths and places that wrap, sizes that are none. Whatever a
//! function says, walks end, and what comes out of them lies where it may.

use super::*;
use proptest::prelude::*;
use std::cell::Cell;
use std::vec::Vec;

/// A function whose words are what it likes, some of which keep what is written.
#[derive(Debug)]
struct Liar {
    words: Vec<u32>,
    writable: Vec<u32>,
    reads: Cell<u32>,
    writes: Vec<u16>,
}

/// More reads than any walk needs: one that does not end is noticed.
const MOST_READS: u32 = 2000;

impl Config for Liar {
    fn read(&self, offset: u16) -> u32 {
        assert!(offset.is_multiple_of(4) && offset < 0x100, "{offset:#x} is beyond the first 256 bytes");
        self.reads.set(self.reads.get() + 1);
        assert!(self.reads.get() < MOST_READS, "a walk without an end");
        self.words[usize::from(offset / 4)]
    }
}

impl ConfigMut for Liar {
    fn write(&mut self, offset: u16, value: u32) {
        assert!(offset.is_multiple_of(4) && offset < 0x100, "{offset:#x}");
        self.writes.push(offset);
        let (word, mask) = (&mut self.words[usize::from(offset / 4)], self.writable[usize::from(offset / 4)]);
        *word = *word & !mask | value & mask;
    }
}

/// Places of capabilities: everywhere, with the edges often.
fn place() -> impl Strategy<Value = u8> {
    prop_oneof![Just(0x40), Just(0x44), Just(0xf8), Just(0xfc), Just(0xff), Just(0), Just(0x3c), any::<u8>()]
}

prop_compose! {
    fn liar()(
        mut words in prop::collection::vec(prop_oneof![any::<u32>(), Just(0), Just(u32::MAX)], 64),
        writable in prop::collection::vec(prop_oneof![Just(0), Just(u32::MAX), Just(0xffff_f000), any::<u32>()], 64),
        first in place(),
        list in prop::collection::vec((place(), prop_oneof![Just(MSIX), Just(VENDOR), Just(1u8), Just(0x10), Just(0x13), any::<u8>()], place(), any::<u16>()), 0..12),
        has_list in prop::bool::weighted(0.9),
    ) -> Liar {
        words[1] = if has_list { words[1] | HAS_CAPABILITIES } else { words[1] };
        words[13] = first.into();
        for (at, number, next, rest) in list {
            words[usize::from(at / 4)] = u32::from(rest) << 16 | u32::from(next) << 8 | u32::from(number);
        }
        Liar { words, writable, reads: Cell::new(0), writes: Vec::new() }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn walks_end_and_stay_behind_the_header(liar in liar()) {
        let found: Vec<_> = capabilities(&liar).collect();
        prop_assert!(found.len() <= MOST_CAPABILITIES);
        prop_assert!(found.iter().all(|(_, at)| (0x40..0x100).contains(at) && at.is_multiple_of(4)));
    }

    /// Every entry of a table lies in its BAR, and its pages hold all of them and nothing of others' pages in front.
    #[test]
    fn a_table_of_messages_never_lies_outside(mut liar in liar(), table in any::<u32>(), size in 4u32..40) {
        let place = capabilities(&liar).find(|c| c.0 == MSIX).filter(|c| c.1 < 0xfc);
        if let Some((_, at)) = place {
            liar.words[usize::from(at / 4) + 1] = table;
        }
        let measured = bars(&mut liar);
        let mine = core::array::from_fn::<_, BARS, _>(|i| {
            measured[i].or((i % 2 == 0).then_some(Bar { index: i as u8, base: 0x1000_0000, size: 1 << size, wide: false }))
        });
        if let Some(msix) = MsiX::of(&liar, &mine) {
            let bar = mine.iter().flatten().find(|bar| bar.index == msix.bar).unwrap();
            let last = msix.offset + u64::from(msix.entries) * Entry::BYTES;
            prop_assert!(msix.offset.is_multiple_of(16), "an entry lies in one page");
            prop_assert!((1..=2048).contains(&msix.entries) && last <= bar.size);
            let (from, to) = msix.pages();
            prop_assert!(from <= msix.offset && last <= to && from.is_multiple_of(4096) && to.is_multiple_of(4096));
            prop_assert!(msix.offset - from < 4096 && to - last < 4096);
        }
    }

    #[test]
    fn sizes_of_bars_are_powers_of_two_and_addresses_multiples_of_them(mut liar in liar()) {
        let found = bars(&mut liar);
        prop_assert!(liar.writes[0] == at::COMMAND, "the function is off before its addresses move");
        for (number, bar) in found.iter().enumerate() {
            let Some(bar) = bar else { continue };
            prop_assert!(usize::from(bar.index) == number && bar.size.is_power_of_two() && bar.size >= 16);
            prop_assert!(bar.base & (bar.size - 1) == 0);
            prop_assert!(!bar.wide || found.get(number + 1).is_some_and(Option::is_none), "its upper half is no BAR");
        }
        let most = bases(&liar, (liar.words[3] >> 16) as u8 & 0x7f).count();
        prop_assert!(most <= BARS);
    }

    /// A reset is asked for at the words of the capability that it is of, and nowhere in the header: no BAR, no command.
    #[test]
    fn a_reset_touches_its_capability_only(mut liar in liar()) {
        let Some(way) = Reset::of(&liar) else { return Ok(()) };
        let (Reset::Express(at) | Reset::Features(at) | Reset::Power(at)) = way;
        prop_assert!(capabilities(&liar).any(|c| c.1 == at));
        way.is_pending(&liar);
        prop_assert!(way.begin(&mut liar) + way.end(&mut liar) <= 200_000);
        prop_assert!(!liar.writes.is_empty() && liar.writes.iter().all(|w| (at + 4..at + 12).contains(w)));
    }
}
