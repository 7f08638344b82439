//! Devices that say anything: capabilities in circles, regions that wrap or lie outside, multipliers and queue sizes of every kind. What the
//! driver touches lies inside what it was given, and everything ends.

use crate::pci::{Pci, Space, Width, status_register};
use crate::tests::queue_of;
use crate::{Transport, negotiate, start};
use axiom_pci::{BARS, Config};
use proptest::prelude::*;
use std::cell::{Cell, RefCell};
use std::vec::Vec;

/// Configuration space as words.
#[derive(Debug)]
struct Words(Vec<u32>);

impl Config for Words {
    fn read(&self, offset: u16) -> u32 {
        assert!(offset.is_multiple_of(4));
        self.0.get(usize::from(offset / 4)).copied().unwrap_or(u32::MAX)
    }
}

/// BARs of which every access is looked at: it lies inside. What is read is the device's next whim.
struct Whims {
    sizes: [u64; BARS],
    values: RefCell<Vec<u32>>,
    accesses: Cell<u32>,
    /// It takes the message that it is given, so that what comes after that is reached.
    polite: bool,
    notified: RefCell<Vec<(u8, u64)>>,
}

impl Whims {
    fn check(&self, bar: u8, offset: u64, width: Width) {
        let room = self.sizes.get(usize::from(bar)).copied().unwrap_or(0);
        assert!(
            offset.checked_add(width as u64).is_some_and(|end| end <= room),
            "bar {bar}: {offset:#x} of {room:#x}"
        );
        self.accesses.set(self.accesses.get() + 1);
        assert!(self.accesses.get() < 300_000, "no end");
    }
}

impl Space for &Whims {
    fn bytes(&self, bar: u8) -> u64 {
        self.sizes.get(usize::from(bar)).copied().unwrap_or(0)
    }
    fn read(&self, bar: u8, offset: u64, width: Width) -> u32 {
        self.check(bar, offset, width);
        if self.polite && (bar, offset, width) == (4, 0x1a, Width::Half) {
            return 0;
        }
        let mut values = self.values.borrow_mut();
        let value = if values.len() > 1 { values.remove(0) } else { values[0] };
        match width {
            Width::Word => value,
            _ => value & ((1 << (8 * width as u32)) - 1),
        }
    }
    fn write(&mut self, bar: u8, offset: u64, width: Width, _: u32) {
        self.check(bar, offset, width);
        self.notified.borrow_mut().push((bar, offset));
    }
}

fn size() -> impl Strategy<Value = u64> {
    prop_oneof![
        Just(0),
        Just(16),
        Just(0x38),
        Just(4096),
        Just(0x4000),
        Just(1 << 32),
        Just(i64::MAX as u64 + 1),
        (4u32..40).prop_map(|b| 1 << b)
    ]
}

fn number() -> impl Strategy<Value = u32> {
    prop_oneof![
        Just(0),
        Just(1),
        Just(4),
        Just(0x38),
        Just(0x3000),
        Just(0xffff_fff0),
        Just(u32::MAX),
        0u32..0x5000,
        any::<u32>()
    ]
}

prop_compose! {
    /// Length, kind, BAR, offset, bytes, multiplier, and where the next one is.
    fn capability()(
        at in 0x10u8..0x3c, next in prop_oneof![8 => 0x10u8..0x3c, 1 => Just(0u8), 1 => any::<u8>()],
        length in prop_oneof![6 => Just(20u32), 1 => Just(16), 1 => Just(0), 1 => 0u32..256],
        kind in 0u32..6, bar in prop_oneof![8 => 0u32..6, 1 => any::<u32>()], offset in number(), bytes in number(), multiplier in number(),
    ) -> (u8, [u32; 5]) {
        (at, [0x09 | u32::from(next & 0x3f) << 10 | (length & 0xff) << 16 | kind << 24, bar, offset, bytes, multiplier])
    }
}

prop_compose! {
    fn device()(
        raw in prop::collection::vec(any::<u32>(), 64), list in prop::collection::vec(capability(), 0..10),
        is_raw in prop::bool::weighted(0.1), good in prop::bool::weighted(0.5), good_offset in number(), multiplier in number(),
        sizes in prop::array::uniform6(size()),
        mut values in prop::collection::vec(prop_oneof![Just(0u32), Just(1), Just(4), Just(5), Just(15), Just(0xfff), Just(0x1000), Just(0xffff), Just(u32::MAX), any::<u32>()], 1..40),
        last in prop_oneof![Just(0u32), Just(u32::MAX), any::<u32>()],
    ) -> (Words, [u64; BARS], Vec<u32>) {
        let mut words = if is_raw { raw } else { std::vec![0; 64] };
        words[0] = 0x1062_1af4;
        words[1] |= 0x0010_0000;
        words[13] = 0x40;
        if good {
            // Registers where they may be, so that what comes after them is reached.
            words[16..20].copy_from_slice(&[0x0110_0009 | 0xa0 << 8, 4, 0, 0x38]);
            words[40..45].copy_from_slice(&[0x0214_0009 | 0xc0 << 8, 4, good_offset, 0x1000, multiplier]);
        }
        for (at, capability) in list.into_iter().skip(usize::from(good)) {
            let at = usize::from(at).max(if good { 48 } else { 16 });
            if at + 5 <= 64 {
                words[at..at + 5].copy_from_slice(&capability);
            }
        }
        values.push(last);
        let mut sizes = sizes;
        if good {
            sizes[4] = sizes[4].max(0x4000);
        }
        (Words(words), sizes, values)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2048, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_a_device_says_its_driver_stays_inside((config, sizes, values) in device(), polite in any::<bool>()) {
        let bytes = |bar: u8| sizes.get(usize::from(bar)).copied().unwrap_or(0);
        let whims =
            Whims { sizes, values: RefCell::new(values), accesses: Cell::new(0), polite, notified: RefCell::new(Vec::new()) };
        let status = status_register(&config, bytes);
        if let Some((bar, offset)) = status {
            prop_assert!(offset < bytes(bar), "init writes it");
        }
        let Some(mut transport) = Pci::new(&config, &whims) else {
            return Ok(());
        };
        prop_assert!(status.is_some(), "what a driver can use can be reset");
        // A status that never becomes 0 is given up; the other answers of the device are not believed either.
        let _ = negotiate(&mut transport, 34, u32::MAX);
        for number in [0u16, 1, 3, 4, u16::MAX] {
            let (mut queue, _) = queue_of(number, 16);
            if queue.set_up(&mut transport, 1).is_ok() {
                let entries = queue.entries();
                prop_assert!(entries.is_power_of_two() && entries <= 16);
                whims.notified.borrow_mut().clear();
                queue.describe(15, 0, 8, 0);
                queue.offer(15);
                queue.publish();
                start(&mut transport);
                transport.notify(number);
                prop_assert!(number < 4, "a queue that has no place for its notifications");
            }
        }
        for offset in [0, 3, 0xfff, u16::MAX] {
            transport.config(offset);
        }
    }
}
