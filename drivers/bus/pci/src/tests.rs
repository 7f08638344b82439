//! Configuration space of a small machine, as numbers.

use super::*;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::vec;
use std::vec::Vec;

/// A function: its registers, and which bits of each can be written.
#[derive(Default)]
struct Model {
    words: BTreeMap<u16, u32>,
    writable: BTreeMap<u16, u32>,
    writes: Vec<(u16, u32)>,
}

#[derive(Clone, Default)]
struct Function(Rc<RefCell<Model>>);

impl Config for Function {
    fn read(&self, offset: u16) -> u32 {
        assert!(offset.is_multiple_of(4));
        self.0.borrow().words.get(&offset).copied().unwrap_or(0)
    }
}

impl ConfigMut for Function {
    fn write(&mut self, offset: u16, value: u32) {
        let m = &mut *self.0.borrow_mut();
        m.writes.push((offset, value));
        let writable = m.writable.get(&offset).copied().unwrap_or(0);
        let word = m.words.entry(offset).or_default();
        *word = *word & !writable | value & writable;
    }
}

fn function(words: &[(u16, u32)]) -> Function {
    let f = Function::default();
    f.0.borrow_mut().words.extend(words.iter().copied());
    f.0.borrow_mut().writable.insert(at::COMMAND, 0x547);
    f
}

impl Function {
    /// A BAR of so many bytes, a power of two.
    fn with_bar(self, index: u16, low: u32, high: Option<u32>, size: u64) -> Function {
        let register = at::BARS + 4 * index;
        let mask = size.wrapping_neg();
        {
            let mut m = self.0.borrow_mut();
            m.words.insert(register, low);
            m.writable.insert(register, mask as u32 & !0xf);
            if let Some(high) = high {
                m.words.insert(register + 4, high);
                m.writable.insert(register + 4, (mask >> 32) as u32);
            }
        }
        self
    }
}

/// QEMU's virtio-i2c as SeaBIOS leaves it: BAR 1 with the table of messages, BAR 4 of 64 bits.
fn virtio() -> Function {
    function(&[
        (at::ID, 0x1062_1af4),
        (at::COMMAND, 0x0010_0003),
        (at::CLASS, 0x0780_0001),
        (at::CAPABILITIES, 0x98),
        (0x98, 0x0000_8411),
        (0x9c, 0x0000_0001),
        (0xa0, 0x0000_0801),
        (0x84, 0x0514_0009),
    ])
    .with_bar(1, 0xfe60_0000, None, 4096)
    .with_bar(4, 0xfea0_000c, Some(0), 16384)
}

#[test]
fn a_function_is_known_by_its_name_and_nobody_by_none() {
    let id = Identity::of(&virtio()).unwrap();
    assert_eq!(
        (id.vendor, id.device, id.class, id.layout, id.several),
        (0x1af4, 0x1062, 0x07_8000, 0, false)
    );
    assert!(id.is_compatible("pci1af4,1062") && !id.is_compatible("pci1af4,1069"));
    assert_eq!(Identity::of(&function(&[(at::ID, u32::MAX)])), None);
    assert_eq!(parse("pci8086,2"), Some((0x8086, 2)));
    for name in [
        "pci1AF4,1062",
        "pci1af4",
        "pci,1062",
        "pci1af4,",
        "pci1af4,10620",
        "virtio,mmio",
        "pci+af4,1",
        "pci1af4,1062,1",
        "pci1af4,0062",
    ] {
        assert_eq!(parse(name), None, "{name}");
    }
}

#[test]
fn bars_are_measured_with_the_function_off_and_keep_their_addresses() {
    let mut f = virtio();
    let before = f.0.borrow().words.clone();
    let found = bars(&mut f);
    assert_eq!(found[1], Some(Bar { index: 1, base: 0xfe60_0000, size: 4096, wide: false }));
    assert_eq!(found[4], Some(Bar { index: 4, base: 0xfea0_0000, size: 16384, wide: true }));
    assert!([0, 2, 3, 5].iter().all(|i| found[*i].is_none()));
    let m = f.0.borrow();
    // Off before the first address was touched; the status, whose bits ones clear, was written with zeroes.
    assert_eq!(m.writes[0], (at::COMMAND, 0));
    let others = |words: &BTreeMap<u16, u32>| {
        words.iter().filter(|w| *w.0 != at::COMMAND && *w.1 != 0).map(|w| (*w.0, *w.1)).collect::<Vec<_>>()
    };
    assert_eq!(others(&m.words), others(&before));
}

#[test]
fn every_size_of_a_bar_is_found_and_ports_are_none() {
    for bits in 4..63u32 {
        let wide = bits >= 32 || bits % 2 == 0;
        let low = if wide { 0xc } else { 0 };
        let mut f = function(&[]).with_bar(0, low, wide.then_some(0), 1 << bits).with_bar(2, 1, None, 256);
        let mut bar = bars(&mut f)[0].unwrap();
        assert_eq!((bar.base, bar.size, bar.wide), (0, 1 << bits, wide));
        assign(&mut f, &mut bar, 1 << bits);
        let again = bars(&mut f);
        assert_eq!((again[0], again[2]), (Some(bar), None), "{bits}");
        assert_eq!(bases(&f, 0).collect::<Vec<_>>(), [1 << bits]);
    }
    // The last register cannot be the lower half of anything; a mask with holes is no size.
    let mut f = function(&[]).with_bar(5, 4, None, 4096);
    assert_eq!(bars(&mut f)[5].map(|b| (b.size, b.wide)), Some((4096, false)));
    let mut f = function(&[]).with_bar(0, 0, None, 4096);
    f.0.borrow_mut().writable.insert(at::BARS, 0xff00_f000);
    assert_eq!(bars(&mut f)[0], None);
    // A bridge has two.
    let f = function(&[]).with_bar(1, 0x1000, None, 4096).with_bar(2, 0x0002_0100, None, 4096);
    assert_eq!(bases(&f, 1).collect::<Vec<_>>(), [0x1000]);
    assert_eq!(bases(&f, 2).count(), 0);
}

#[test]
fn power_is_switched_bit_by_bit() {
    let mut f = virtio();
    enable_memory(&mut f);
    assert_eq!(f.read(at::COMMAND) & 7, MEMORY);
    assert!(!is_master(&f));
    set_master(&mut f, true);
    assert_eq!(f.read(at::COMMAND) & 7, MEMORY | MASTER);
    set_master(&mut f, false);
    assert_eq!(f.read(at::COMMAND) & 7, MEMORY);
    enable_bridge(&mut f);
    assert!(is_master(&f));
    assert!(f.0.borrow().writes.iter().all(|w| w.1 >> 16 == 0), "status bits are cleared by ones");
}

#[test]
fn lists_of_capabilities_end() {
    assert_eq!(capabilities(&virtio()).collect::<Vec<_>>(), [(MSIX, 0x98), (VENDOR, 0x84)]);
    // In a circle, and into the header.
    let circle =
        function(&[(at::COMMAND, 0x0010_0000), (at::CAPABILITIES, 0x40), (0x40, 0x4409), (0x44, 0x4009)]);
    assert_eq!(capabilities(&circle).count(), MOST_CAPABILITIES);
    let header =
        function(&[(at::COMMAND, 0x0010_0000), (at::CAPABILITIES, 0x41), (0x40, 0x3c09), (0x3c, 0x4009)]);
    assert_eq!(capabilities(&header).collect::<Vec<_>>(), [(VENDOR, 0x40)]);
    let none = function(&[(at::CAPABILITIES, 0x40), (0x40, 0x0009)]);
    assert_eq!(capabilities(&none).count(), 0, "the status says that there is no list");
    assert_eq!(field(&none, 0xfc, 4), 0, "beyond the first 256 bytes");
}

#[test]
fn a_table_of_messages_lies_in_its_bar_or_is_none() {
    let mut f = virtio();
    let all = bars(&mut f);
    let msix = MsiX::of(&f, &all).unwrap();
    assert_eq!((msix.bar, msix.offset, msix.entries, msix.pages()), (1, 0, 1, (0, 4096)));
    f.0.borrow_mut().writable.insert(0x98, 0xc000_0000);
    msix.enable(&mut f, true);
    assert_eq!(f.read(0x98) >> 30, 2);
    msix.enable(&mut f, false);
    assert_eq!(f.read(0x98) >> 30, 0);
    // 2048 entries take 32 KiB; the BAR has 4.
    f.0.borrow_mut().words.insert(0x98, 0x07ff_8411);
    assert_eq!(MsiX::of(&f, &all), None);
    // 256 fill it, 257 do not fit, nor does one at its end.
    f.0.borrow_mut().words.insert(0x98, 0x00ff_8411);
    assert_eq!(MsiX::of(&f, &all).unwrap().entries, 256);
    f.0.borrow_mut().words.insert(0x98, 0x0100_8411);
    assert_eq!(MsiX::of(&f, &all), None);
    f.0.borrow_mut().words.extend([(0x98, 0x0000_8411), (0x9c, 0x0000_0ff9)]);
    assert_eq!(MsiX::of(&f, &all), None);
    f.0.borrow_mut().words.insert(0x9c, 0x0000_0ff1);
    assert_eq!(MsiX::of(&f, &all).unwrap().pages(), (0, 4096));
    // An entry in two pages, where the BAR has both.
    let two = [Some(Bar { index: 1, base: 0x1000_0000, size: 8192, wide: false })];
    assert_eq!(MsiX::of(&f, &two).unwrap().pages(), (0, 4096));
    f.0.borrow_mut().words.insert(0x9c, 0x0000_0ff9);
    assert_eq!(MsiX::of(&f, &two), None);
    // In a BAR that is not there.
    f.0.borrow_mut().words.insert(0x9c, 0x0000_0003);
    assert_eq!(MsiX::of(&f, &all), None);
    assert_eq!(Entry { address: 0x1_fee0_0000, data: 0x9b }.words(), [0xfee0_0000, 1, 0x9b, 0]);
    assert_eq!(Entry::MASKED[3], 1);
}

#[test]
fn addresses_of_the_window_meet_nobodys() {
    // All small worlds: a window of 8 pages, two BARs of others in it, three of ours.
    let page = 4096u64;
    for first in 0..8 {
        for second in 0..8 {
            for sizes in [[16, 4096, 8192], [8192, 16, 4096], [16384, 16, 16], [4096, 16384, 16]] {
                let others = [(first * page, (first + 1) * page), (second * page, (second + 2) * page)];
                let mut window = Window { next: 0, end: 8 * page };
                let mut mine: Vec<(u64, u64)> = vec![];
                for size in sizes {
                    let Some(at) = window.place(size, false, &others) else { continue };
                    assert!(at.is_multiple_of(size) && at.is_multiple_of(page) && at + size <= 8 * page);
                    let whole = (at, at + size.max(page));
                    assert!(
                        others.iter().chain(&mine).all(|o| o.0 >= whole.1 || o.1 <= whole.0),
                        "{whole:x?} {others:x?} {mine:x?}"
                    );
                    mine.push(whole);
                }
                assert!(!mine.is_empty(), "{others:?}");
            }
        }
    }
    // What 32 bits cannot say is for no BAR that has no more.
    for (next, wide, at) in [
        (1 << 32, false, None),
        (1 << 32, true, Some(1 << 32)),
        ((1 << 32) - 4096, false, Some((1 << 32) - 4096)),
    ] {
        assert_eq!(Window { next, end: u64::MAX }.place(16, wide, &[]), at);
    }
    assert_eq!(Window { next: (1 << 32) - 4096, end: u64::MAX }.place(8192, false, &[]), None);
    assert_eq!(Window::default().place(16, true, &[]), None);
    assert_eq!(Window { next: u64::MAX - 10, end: u64::MAX }.place(4096, true, &[]), None);
    assert_eq!(Window { next: 0, end: u64::MAX }.place(4096, true, &[(0, u64::MAX)]), None);
}

/// A machine: functions by place.
fn machine(functions: &[(Place, Function)]) -> Vec<Found> {
    let mut all = vec![];
    let mut open = |place: Place| functions.iter().find(|f| f.0 == place).map(|f| f.1.clone());
    walk(&mut open, &mut |config: &Function, found| {
        assert_eq!(Identity::of(config), Some(found.identity));
        all.push(found);
    });
    all
}

fn place(bus: u8, device: u8, function: u8) -> Place {
    Place { bus, device, function }
}

fn bridge(secondary: u8) -> Function {
    function(&[(at::ID, 0x000c_1b36), (at::HEADER, 0x0001_0000), (at::BUSES, u32::from(secondary) << 8)])
}

#[test]
fn the_walk_goes_through_bridges_and_comes_back() {
    let several = function(&[(at::ID, 0x1), (at::HEADER, 0x0080_0000)]);
    let found = machine(&[
        (place(0, 3, 0), several),
        (place(0, 3, 7), virtio()),
        (place(0, 4, 0), bridge(1)),
        (place(0, 4, 1), virtio()),
        (place(0, 5, 0), virtio()),
        (place(1, 0, 0), bridge(2)),
        (place(2, 31, 0), virtio()),
    ]);
    let places: Vec<_> = found.iter().map(|f| (f.place.bus, f.place.device, f.place.function)).collect();
    // Function 1 of a device with one function is an echo of function 0, or nothing.
    assert_eq!(places, [(0, 3, 0), (0, 3, 7), (0, 4, 0), (1, 0, 0), (2, 31, 0), (0, 5, 0)]);
    let behind = found[4].bridges.iter().flatten().copied().collect::<Vec<_>>();
    assert_eq!(behind, [place(0, 4, 0), place(1, 0, 0)]);
    assert!(found[5].bridges.iter().all(Option::is_none));
    assert_eq!((place(2, 31, 7).page(), std::format!("{}", place(2, 31, 7))), (0x2f_f000, "02:1f.7".into()));
}

#[test]
fn bridges_that_lead_to_each_other_or_to_themselves_end_the_walk() {
    let found = machine(&[
        (place(0, 1, 0), bridge(0)),
        (place(0, 2, 0), bridge(1)),
        (place(0, 3, 0), bridge(1)),
        (place(1, 0, 0), bridge(0)),
        (place(1, 1, 0), virtio()),
    ]);
    assert_eq!(found.len(), 5, "each function once");
    // A chain that is deeper than is kept.
    let chain: Vec<_> = (0..9).map(|n| (place(n, 0, 0), bridge(n + 1))).collect();
    assert_eq!(machine(&chain).len(), MOST_DEPTH + 1);
}

/// A function with these capabilities, each with its words from its own place on.
fn with_capabilities(list: &[(u8, u16, [u32; 3])]) -> Function {
    let f = virtio();
    {
        let mut m = f.0.borrow_mut();
        let next = |i: usize| list.get(i).map_or(0, |c| u32::from(c.1));
        m.words.insert(at::CAPABILITIES, next(0));
        for (i, &(number, place, words)) in list.iter().enumerate() {
            m.words.insert(place, words[0] & !0xffff | next(i + 1) << 8 | u32::from(number));
            m.words.insert(place + 4, words[1]);
            m.words.insert(place + 8, words[2]);
            m.writable.insert(place + 4, u32::MAX);
            m.writable.insert(place + 8, u32::MAX);
        }
    }
    f
}

#[test]
fn the_best_way_to_reset_is_one_that_the_function_has() {
    let power = |no_reset: u32| (1, 0x40, [0, no_reset << 3, 0]);
    let express = |can: u32| (0x10, 0x60, [0, can << 28, 0]);
    let features = |can: u32| (0x13, 0x80, [can << 25, 0, 0]);
    // All small worlds: each capability absent, unable, able; in both orders.
    for world in 0..27 {
        let [p, e, a] = [world % 3, world / 3 % 3, world / 9];
        let mut list = vec![];
        if p > 0 {
            list.push(power(u32::from(p == 1)));
        }
        if e > 0 {
            list.push(express(u32::from(e == 2)));
        }
        if a > 0 {
            list.push(features(u32::from(a == 2)));
        }
        let expected = match (e, a, p) {
            (2, ..) => Some(Reset::Express(0x60)),
            (_, 2, _) => Some(Reset::Features(0x80)),
            (.., 2) => Some(Reset::Power(0x40)),
            _ => None,
        };
        assert_eq!(Reset::of(&with_capabilities(&list)), expected, "{world}");
        list.reverse();
        assert_eq!(Reset::of(&with_capabilities(&list)), expected, "{world}, the other way round");
    }
    // At the end of the first 256 bytes its words are not the function's to have.
    assert_eq!(Reset::of(&with_capabilities(&[(0x10, 0xf8, [0, 1 << 28, 0])])), None);
    assert_eq!(Reset::of(&with_capabilities(&[(0x01, 0xfc, [0, 0, 0])])), None);
}

#[test]
fn a_reset_writes_its_bit_and_clears_no_status() {
    let mut f = with_capabilities(&[(0x10, 0x60, [0, 1 << 28, 0x003f_2810])]);
    let way = Reset::of(&f).unwrap();
    assert!(way.is_pending(&f) && way.is_function_level());
    f.0.borrow_mut().writes.clear();
    assert_eq!((way.begin(&mut f), way.end(&mut f)), (100_000, 0));
    assert_eq!(f.0.borrow().writes, [(0x68, 0xa810)]);
    assert!(!way.is_pending(&f), "the model keeps what is written, and that was no status");

    let mut f = with_capabilities(&[(0x13, 0x80, [0x0300_0000, 0, 0])]);
    let way = Reset::of(&f).unwrap();
    assert!(!way.is_pending(&f) && way.is_function_level());
    way.begin(&mut f);
    assert_eq!(f.0.borrow().writes, [(0x84, 1)]);

    let mut f = with_capabilities(&[(0x01, 0x40, [0, 0x8101, 0])]);
    let way = Reset::of(&f).unwrap();
    assert!(!way.is_pending(&f) && !way.is_function_level());
    assert_eq!((way.begin(&mut f), way.end(&mut f)), (10_000, 10_000));
    assert_eq!(
        f.0.borrow().writes,
        [(0x44, 0x0103), (0x44, 0x0100)],
        "to D3hot and back; the event's status stays"
    );
}

#[test]
fn addresses_come_back_after_a_reset() {
    let mut f = virtio();
    let found = bars(&mut f);
    let before = f.0.borrow().words.clone();
    for index in 0..6 {
        f.0.borrow_mut().words.entry(at::BARS + 4 * index).and_modify(|word| *word &= 0xf);
    }
    assert!(!holds(&f, &found));
    restore(&mut f, &found);
    assert!(holds(&f, &found));
    let meant = |words: &BTreeMap<u16, u32>| {
        words.iter().filter(|w| *w.1 != 0).map(|w| (*w.0, *w.1)).collect::<Vec<_>>()
    };
    assert_eq!(meant(&f.0.borrow().words), meant(&before));
}

#[test]
fn addresses_that_are_not_kept_are_noticed_in_either_half() {
    let mut f = function(&[]).with_bar(0, 0x4, Some(0), 4096).with_bar(2, 0, None, 4096);
    let mut found = bars(&mut f);
    for (bar, base) in found.iter_mut().flatten().zip([0x1_8000_0000, 0x4000_0000]) {
        assign(&mut f, bar, base);
    }
    assert!(holds(&f, &found));
    for register in [0u16, 4, 8] {
        let was = f.read(at::BARS + register);
        f.0.borrow_mut().words.insert(at::BARS + register, was ^ 0x8000_0000);
        assert!(!holds(&f, &found), "{register}");
        f.0.borrow_mut().words.insert(at::BARS + register, was);
    }
    assert!(holds(&f, &found));
}

#[test]
fn a_reset_is_over_when_the_function_shows_it() {
    let f = with_capabilities(&[(0x10, 0x60, [0, 1 << 28, 1 << 21])]);
    let way = Reset::of(&f).unwrap();
    assert!(way.is_pending(&f) && !way.is_over(&f));
    f.0.borrow_mut().words.insert(0x68, !(1 << 21));
    assert!(!way.is_pending(&f) && way.is_over(&f));
    let f = with_capabilities(&[(0x13, 0x80, [0x0300_0000, 1 << 8, 0])]);
    let way = Reset::of(&f).unwrap();
    assert!(way.is_pending(&f) && !way.is_over(&f));
    f.0.borrow_mut().words.insert(0x84, !(1 << 8));
    assert!(!way.is_pending(&f) && way.is_over(&f));
    for state in 0..4 {
        let f = with_capabilities(&[(0x01, 0x40, [0, state | 0x100, 0])]);
        let way = Reset::of(&f).unwrap();
        assert_eq!((way.is_pending(&f), way.is_over(&f)), (false, state == 0));
    }
}
