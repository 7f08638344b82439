extern crate std;
use super::*;
use crate::writer::Builder;
use proptest::prelude::*;
use std::string::{String, ToString};
use std::vec::Vec;

mod model;

fn gic(id: u32, edge: bool) -> Interrupt {
    Interrupt { id, edge }
}

#[test]
fn what_lies_behind_a_bridge_is_found() {
    let blob = Builder::default()
        .begin("")
        .cells("#address-cells", &[2])
        .cells("#size-cells", &[2])
        .begin("axi")
        .cells("#address-cells", &[2])
        .cells("#size-cells", &[2])
        .cells("ranges", &[0x1c, 0, 0x1c, 0, 4, 0])
        .begin("pcie")
        .cells("#address-cells", &[3])
        .cells("#size-cells", &[2])
        .cells("ranges", &[0x0200_0000, 0, 0, 0x1f, 0, 0, 0xffff_fffc, 0x4300_0000, 4, 0, 0x1c, 0, 3, 0])
        .cells("msi-ranges", &[7, 0, 128, 1, 64])
        .cells("interrupt-map", &[0, 0, 0, 1, 7, 0, 229, 4, 0, 0, 0, 2, 7, 0, 230, 1])
        .end()
        .end()
        .end()
        .blob();
    let fdt = Fdt::new(&blob).unwrap();
    let pcie = fdt.at_path("/axi/pcie").unwrap();
    assert_eq!(pcie.window(0), Some((0x1f_0000_0000, 0xffff_fffc)));
    assert_eq!(pcie.window(1), Some((0x1c_0000_0000, 0x3_0000_0000)));
    assert_eq!(pcie.window(2), None);
    assert_eq!(pcie.pin_interrupt(0), Some(gic(32 + 229, false)));
    assert_eq!(pcie.pin_interrupt(1), Some(gic(32 + 230, true)));
    assert_eq!(pcie.pin_interrupt(2), None);
    assert_eq!(pcie.message_interrupts(), Some(Messages { first: gic(32 + 128, true), count: 64 }));
    assert_eq!(fdt.at_path("/axi").unwrap().message_interrupts(), None);
    assert_eq!(fdt.at_path("/axi").unwrap().pin_interrupt(0), None);
}

fn sample() -> Vec<u8> {
    Builder::default()
        .begin("")
        .cells("#address-cells", &[2])
        .cells("#size-cells", &[1])
        .begin("aliases")
        .prop("serial10", b"/soc/serial@7d001000\0")
        .end()
        .begin("soc")
        .cells("#address-cells", &[1])
        .cells("#size-cells", &[1])
        .cells("ranges", &[0x7c00_0000, 0x10, 0x7c00_0000, 0x0400_0000])
        .begin("serial@7d001000")
        .prop("compatible", b"arm,pl011\0arm,primecell\0")
        .cells("reg", &[0x7d00_1000, 0x200])
        .cells("interrupts", &[0, 121, 4])
        .end()
        .begin("off@1")
        .prop("compatible", b"arm,pl011\0")
        .prop("status", b"disabled\0")
        .end()
        .end()
        .end()
        .blob()
}

#[test]
fn addresses_are_translated_through_the_bus() {
    let blob = sample();
    let fdt = Fdt::new(&blob).unwrap();
    let uart = fdt.at_path("serial10").unwrap();
    assert_eq!(uart.reg(0), Some((0x10_7d00_1000, 0x200)));
    assert_eq!(uart.gic_interrupt(0), Some(gic(153, false)));
    assert_eq!(fdt.compatible(&["arm,pl011"]).unwrap().name, "serial@7d001000");
    assert!(fdt.at_path("/soc/nothing").is_none() && fdt.at_path("nothing").is_none());
}

fn one(b: impl FnOnce(Builder) -> Builder) -> Vec<u8> {
    b(Builder::default().begin("").cells("#address-cells", &[1]).cells("#size-cells", &[1])).end().blob()
}

/// What `ask` says of the node at a path.
fn ask<T>(blob: &[u8], path: &str, ask: impl FnOnce(&Node<'_>) -> T) -> T {
    ask(&Fdt::new(blob).unwrap().at_path(path).unwrap())
}

fn patched(blob: &[u8], at: usize, word: u32) -> Vec<u8> {
    let mut blob = blob.to_vec();
    blob[at..at + 4].copy_from_slice(&word.to_be_bytes());
    blob
}

#[test]
fn a_header_that_points_outside_is_refused() {
    let blob = sample();
    let length = blob.len() as u32;
    let new = |blob: &[u8]| Fdt::new(blob).map(|_| ());
    assert_eq!(new(&blob), Ok(()));
    assert_eq!(new(&patched(&blob, 0, MAGIC + 1)), Err(Bad::Magic));
    assert_eq!(new(&[]), Err(Bad::Magic));
    assert_eq!(new(&patched(&blob, 4, length + 1)), Err(Bad::Header));
    // Structure and strings: start, and length.
    let (structure, strings) = (be32(&blob, 8).unwrap(), be32(&blob, 12).unwrap());
    for (start_at, size_at, start) in [(8, 36, structure), (12, 32, strings)] {
        assert_eq!(new(&patched(&blob, size_at, length - start + 1)), Err(Bad::Header));
        assert_eq!(new(&patched(&blob, start_at, length)), Err(Bad::Header));
        assert_eq!(new(&patched(&blob, start_at, u32::MAX)), Err(Bad::Header));
        assert_eq!(new(&patched(&blob, size_at, u32::MAX)), Err(Bad::Header));
    }
    for at in [length, u32::MAX, length - 15] {
        assert_eq!(new(&patched(&blob, 16, at)), Err(Bad::Header));
    }
    assert_eq!(new(&patched(&blob, structure as usize, END_NODE)), Err(Bad::Structure));
    assert_eq!(new(&patched(&blob, structure as usize, NOP)), Err(Bad::Structure));
    for cut in 4..40 {
        assert!(new(&blob[..cut]).is_err());
    }
}

#[test]
fn a_blob_says_how_long_it_is_and_how_much_of_it_is_used() {
    let mut blob = sample();
    let used = blob.len();
    assert_eq!(
        (stated_size(&blob), stated_size(&blob[..8]), stated_size(&blob[..3])),
        (Some(used), Some(used), None)
    );
    assert_eq!(stated_size(&blob[..7]), Some(0));
    assert_eq!(stated_size(&patched(&blob, 0, 7)), None);
    let fdt = Fdt::new(&blob).unwrap();
    assert_eq!((fdt.size(), fdt.used(), fdt.bytes()), (used, used, &blob[..]));
    // Emulators pad theirs; what is behind the stated size is not the tree's at all.
    blob.resize(used + 100, 0);
    let blob = patched(&blob, 4, used as u32 + 60);
    let fdt = Fdt::new(&blob).unwrap();
    assert_eq!((fdt.size(), fdt.used(), fdt.bytes().len()), (used + 60, used, used + 60));
    // Each block may be the last.
    let mut last = sample();
    last.extend([7; 16]);
    last.extend([0; 16]);
    let end = last.len();
    let last = patched(&patched(&last, 16, used as u32), 4, end as u32);
    assert_eq!(Fdt::new(&last).unwrap().used(), end);
    let (structure, size) = (be32(&blob, 8).unwrap(), be32(&blob, 36).unwrap());
    let mut last = blob[..used].to_vec();
    last.extend_from_slice(&blob[structure as usize..(structure + size) as usize]);
    let end = last.len();
    let last = patched(&patched(&last, 8, used as u32), 4, end as u32);
    assert_eq!(Fdt::new(&last).unwrap().used(), end);
}

#[test]
fn the_reservation_block_is_read_to_its_end() {
    let entries =
        |b: Builder| Fdt::new(&b.begin("").end().blob()).unwrap().reservations().collect::<Vec<_>>();
    assert_eq!(entries(Builder::default()), []);
    let list: Vec<(u64, u64)> = (0..70).map(|i| (i << 33 | 5, i + 1)).chain([(0, 9), (9, 0)]).collect();
    assert_eq!(entries(list.iter().fold(Builder::default(), |b, e| b.reserve(e.0, e.1))), list);
    // An entry of zeroes ends it.
    assert_eq!(entries(Builder::default().reserve(1, 2).reserve(0, 0).reserve(3, 4)), [(1, 2)]);
}

#[test]
fn numbers_have_the_cells_that_they_have() {
    let blob = one(|b| {
        b.cells("one", &[7])
            .cells("two", &[1, 2])
            .cells("three", &[1, 2, 3])
            .prop("short", &[1, 2, 3])
            .prop("odd", &[0, 0, 0, 4, 5, 6])
    });
    let all =
        ask(&blob, "/", |n| ["one", "two", "three", "short", "odd", "none"].map(|p| (n.u32(p), n.u64(p))));
    let two = Some(0x1_0000_0002);
    assert_eq!(
        all,
        [(Some(7), Some(7)), (Some(1), two), (Some(1), two), (None, None), (Some(4), Some(4)), (None, None)]
    );
}

#[test]
fn texts_end_at_their_zero() {
    let blob = one(|b| {
        b.prop("a", b"first\0second\0")
            .prop("b", b"open")
            .prop("c", &[0xff, 0])
            .prop("d", b"")
            .prop("e", b"\0")
    });
    let all = ask(&blob, "/", |n| ["a", "b", "c", "d", "e", "f"].map(|p| n.text(p).map(ToString::to_string)));
    let text = |t: &str| Some(t.to_string());
    assert_eq!(all, [text("first"), text("open"), None, text(""), text(""), None]);
}

#[test]
fn only_these_words_enable_a_node() {
    let enabled = |status: Option<&str>| {
        let blob = one(|b| match status {
            Some(status) => b.begin("a").text("status", status).end(),
            None => b.begin("a").end(),
        });
        ask(&blob, "/a", |n| n.is_enabled())
    };
    let words = [None, Some("okay"), Some("ok"), Some("disabled"), Some("reserved"), Some("fail"), Some("")];
    assert_eq!(words.map(enabled), [true, true, true, false, false, false, false]);
}

#[test]
fn compatible_is_one_of_a_list_and_enabled() {
    let blob = sample();
    let fdt = Fdt::new(&blob).unwrap();
    let uart = fdt.at_path("/soc/serial@7d001000").unwrap();
    let yes = ["arm,pl011", "arm,primecell"].map(|name| uart.is_compatible(name));
    let no = ["arm,pl01", "arm,pl0111", "x"].map(|name| uart.is_compatible(name));
    assert_eq!((yes, no), ([true; 2], [false; 3]));
    assert!(!fdt.at_path("/soc").unwrap().is_compatible("arm,pl011"));
    assert_eq!(fdt.compatible(&["none", "arm,primecell"]).map(|n| n.name), Some("serial@7d001000"));
    assert!(fdt.compatible(&["none"]).is_none() && fdt.compatible(&[]).is_none());
}

#[test]
fn paths_are_whole_and_aliases_lead_to_paths() {
    let b = |b: Builder| {
        let b = b
            .begin("first")
            .text("good", "/first")
            .end()
            .begin("aliases")
            .text("good", "/a/b")
            .text("chain", "good")
            .text("gone", "/c")
            .end();
        let b = b.begin("a").begin("aliases").text("deep", "/a").end().begin("b").end().end();
        b.begin("b").end()
    };
    let blob = one(b);
    let fdt = Fdt::new(&blob).unwrap();
    let path = |asked: &str| {
        fdt.at_path(asked).map(|node| {
            let mut path = String::new();
            node.write_path(&mut path).unwrap();
            path
        })
    };
    let text = |t: &str| Some(t.to_string());
    assert_eq!(["/", "/a", "/a/b", "/b", "//a//b/"].map(path), ["/", "/a", "/a/b", "/b", "/a/b"].map(text));
    assert_eq!(["/a/b/c", "/c", "/a/c", "/bb"].map(path), [None, None, None, None]);
    assert_eq!(["good", "chain", "gone", "deep", "none"].map(path), [text("/a/b"), None, None, None, None]);
    let b = fdt.at_path("/a/b").unwrap();
    assert_eq!([0, 1, 2, 3, 99].map(|d| b.ancestor(d)), ["", "a", "b", "", ""]);
}

/// A device behind `ranges` of two cells to one: where the CPU sees an address.
fn translated(ranges: Option<&[u32]>, address: u32) -> Option<(u64, u64)> {
    let b = Builder::default().begin("").cells("#address-cells", &[2]).cells("#size-cells", &[1]);
    let b = b.begin("bus").cells("#address-cells", &[1]).cells("#size-cells", &[1]);
    let b = match ranges {
        Some(ranges) => b.cells("ranges", ranges),
        None => b,
    };
    let blob = b.begin("dev").cells("reg", &[address, 0x10]).end().end().end().blob();
    ask(&blob, "/bus/dev", |n| n.reg(0))
}

#[test]
fn a_bus_maps_what_its_ranges_say() {
    let two: &[u32] = &[0x100, 1, 0x1000, 0x10, 0x200, 2, 0x8000, 0x20];
    let through = |address| translated(Some(two), address);
    assert_eq!(through(0x100), Some((0x1_0000_1000, 0x10)));
    assert_eq!(through(0x10f), Some((0x1_0000_100f, 0x10)));
    assert_eq!(through(0x21f), Some((0x2_0000_801f, 0x10)));
    assert_eq!([0xff, 0x110, 0x1ff, 0x220].map(through), [None; 4]);
    // Empty: one to one. Absent: nothing gets through. An entry that is cut off, or that ends behind the last address: none.
    assert_eq!((translated(Some(&[]), 7), translated(None, 7)), (Some((7, 0x10)), None));
    assert_eq!(translated(Some(&[0x100, 1, 0x1000]), 0x100), None);
    assert_eq!(translated(Some(&[0, u32::MAX, u32::MAX, 9]), 1), None);
    assert_eq!(translated(Some(&[0, u32::MAX, u32::MAX, 9]), 0), Some((u64::MAX, 0x10)));
}

#[test]
fn buses_behind_buses_map_one_after_the_other() {
    let bus = |b: Builder, name: &str, ranges: &[u32]| {
        b.begin(name).cells("#address-cells", &[1]).cells("#size-cells", &[1]).cells("ranges", ranges)
    };
    let blob = one(|b| {
        let b = bus(b, "outer", &[0x1000, 0x9000, 0x1000]);
        bus(b, "inner", &[0, 0x1100, 0x100]).begin("dev").cells("reg", &[0x20, 4, 0x80, 8]).end().end().end()
    });
    let all = ask(&blob, "/outer/inner/dev", |n| [0, 1, 2, usize::MAX].map(|i| n.reg(i)));
    assert_eq!(all, [Some((0x9120, 4)), Some((0x9180, 8)), None, None]);
    // The root's own address is nobody's.
    let root = one(|b| b.cells("reg", &[1, 2]));
    assert_eq!(ask(&root, "/", |n| (n.reg(0), n.reg_count(), n.window(0))), (None, None, None));
}

#[test]
fn registers_are_counted_in_the_parents_cells() {
    let count = |address: u32, size: u32, reg: Option<&[u8]>| {
        let b = Builder::default()
            .begin("")
            .cells("#address-cells", &[address])
            .cells("#size-cells", &[size])
            .begin("dev");
        let b = match reg {
            Some(reg) => b.prop("reg", reg),
            None => b,
        };
        let blob = b.end().end().blob();
        ask(&blob, "/dev", |n| (n.reg_count(), n.reg(0)))
    };
    let bytes: Vec<u8> = (1..=24).collect();
    assert_eq!(count(2, 1, Some(&bytes)), (Some(2), Some((0x0102_0304_0506_0708, 0x090a_0b0c))));
    assert_eq!(count(1, 0, Some(&bytes)), (Some(6), Some((0x0102_0304, 0))));
    assert_eq!(count(3, 3, Some(&bytes)).0, Some(1));
    assert_eq!(count(3, 3, Some(&bytes)).1, Some((0x0506_0708_090a_0b0c, 0x1112_1314_1516_1718)));
    assert_eq!(count(2, 2, Some(&bytes)).0, None);
    assert_eq!(count(2, 1, Some(&bytes[..23])).0, None);
    assert_eq!(count(2, 1, Some(&[])), (Some(0), None));
    assert_eq!((count(2, 1, None).0, count(0, 0, Some(&bytes)).0), (Some(0), None));
    assert_eq!(count(0, 0, Some(&[])).0, None);
    // The default is two and one.
    let blob = Builder::default().begin("").begin("dev").prop("reg", &bytes).end().end().blob();
    assert_eq!(ask(&blob, "/dev", |n| n.reg_count()), Some(2));
}

#[test]
fn interrupts_of_a_gic_are_shared_or_private() {
    let blob = one(|b| {
        let list =
            [0, 0, 1, 0, 987, 2, 1, 0, 4, 1, 15, 8, 0, 988, 4, 1, 16, 4, 2, 5, 4, 0, u32::MAX, 4, 0, 1];
        b.begin("dev").cells("interrupts", &list).end()
    });
    let all = ask(&blob, "/dev", |n| [0, 1, 2, 3, 4, 5, 6, 7, 8, usize::MAX].map(|i| n.gic_interrupt(i)));
    let good = [gic(32, true), gic(1019, true), gic(16, false), gic(31, false)].map(Some);
    assert_eq!((&all[..4], &all[4..]), (&good[..], &[None; 6][..]));
}

#[test]
fn the_interrupt_parent_is_the_nearest() {
    let blob = one(|b| {
        let b = b
            .cells("interrupt-parent", &[1])
            .begin("a")
            .begin("b")
            .cells("interrupt-parent", &[2])
            .begin("c")
            .end()
            .end()
            .end();
        b.begin("d").end()
    });
    assert_eq!(
        ["/", "/a", "/a/b", "/a/b/c", "/d"].map(|p| ask(&blob, p, |n| n.interrupt_parent())),
        [Some(1), Some(1), Some(2), Some(2), Some(1)]
    );
    assert_eq!(ask(&sample(), "/soc", |n| n.interrupt_parent()), None);
}

#[test]
fn lists_of_a_bridge_that_are_cut_off_are_not_read() {
    let bridge = |ranges: &[u32], map: &[u32], messages: &[u32]| {
        one(|b| {
            let b = b
                .begin("pcie")
                .cells("#address-cells", &[3])
                .cells("#size-cells", &[2])
                .cells("ranges", ranges);
            b.cells("interrupt-map", map).cells("msi-ranges", messages).end()
        })
    };
    let of = |blob: &[u8]| {
        ask(blob, "/pcie", |n| {
            (n.window(0), n.window(usize::MAX), n.pin_interrupt(0), n.message_interrupts())
        })
    };
    let whole = bridge(&[1, 2, 3, 4, 5, 6], &[0, 0, 0, 1, 7, 0, 229, 4], &[7, 0, 128, 1, 64]);
    let messages = Messages { first: gic(160, true), count: 64 };
    assert_eq!(of(&whole), (Some((4, 0x5_0000_0006)), None, Some(gic(261, false)), Some(messages)));
    let two = bridge(&[1, 2, 3, 4, 5, 6, 1, 2, 3, 7, 8, 9], &[], &[]);
    assert_eq!(ask(&two, "/pcie", |n| [n.window(1), n.window(2)]), [Some((7, 0x8_0000_0009)), None]);
    let cut = bridge(&[1, 2, 3, 4, 5], &[0, 0, 0, 1, 7, 0, 229], &[7, 0, 128, 1]);
    assert_eq!(of(&cut), (None, None, None, None));
    let longer = bridge(&[1, 2, 3], &[0, 0, 0, 1, 7, 0, 229, 4, 0], &[7, 0, 128]);
    assert_eq!(of(&longer), (None, None, None, None));
    let none = one(|b| b.begin("pcie").end());
    assert_eq!(of(&none), (None, None, None, None));
}

#[test]
fn nesting_has_a_limit() {
    let nested = |depth: usize| {
        let b = (0..depth).fold(Builder::default(), |b, _| b.begin("n"));
        (0..depth).fold(b, |b, _| b.end()).blob()
    };
    let deepest = |blob: &[u8]| {
        let mut deepest = 0;
        Fdt::new(blob)
            .unwrap()
            .walk(|n| {
                deepest = deepest.max(n.depth);
                Walk::On
            })
            .map(|()| deepest)
    };
    assert_eq!(deepest(&nested(MAX_DEPTH)), Ok(MAX_DEPTH - 1));
    assert_eq!(deepest(&nested(MAX_DEPTH + 1)), Err(Bad::Structure));
}

#[test]
fn a_walk_stops_when_told_and_fails_at_damage() {
    let blob = one(|b| b.begin("a").end().begin("b").end().token(77));
    let fdt = Fdt::new(&blob).unwrap();
    let until = |name: &'static str| {
        let mut seen = Vec::new();
        let result = fdt.walk(|n| {
            seen.push(n.name.to_string());
            if n.name == name { Walk::Stop } else { Walk::On }
        });
        (seen.len(), result)
    };
    assert_eq!((until("a"), until("b"), until("c")), ((2, Ok(())), (3, Ok(())), (3, Err(Bad::Structure))));
    assert!(fdt.find(|n| n.name == "b").is_some() && fdt.find(|n| n.name == "c").is_none());
    // A property whose length reaches beyond the block, or a name without end, is damage.
    let cut = one(|b| b.begin("a").prop("p", &[1; 8]).end());
    let at = be32(&cut, 8).unwrap() as usize + be32(&cut, 36).unwrap() as usize;
    let mut long = cut.clone();
    let length = long[..at].windows(8).rposition(|w| w == [0, 0, 0, 3, 0, 0, 0, 8]).unwrap() + 4;
    long[length..length + 4].copy_from_slice(&64u32.to_be_bytes());
    assert_eq!(Fdt::new(&long).unwrap().walk(|_| Walk::On), Err(Bad::Structure));
    long[length..length + 4].copy_from_slice(&u32::MAX.to_be_bytes());
    assert_eq!(Fdt::new(&long).unwrap().walk(|_| Walk::On), Err(Bad::Structure));
}

#[test]
fn every_truncation_is_survived() {
    let blob = sample();
    for length in 0..blob.len() {
        // The header says more than there is.
        assert!(Fdt::new(&blob[..length]).is_err());
        // The header says the truth, and blocks lie outside.
        let short = patched(&blob, 4, length as u32);
        assert!(Fdt::new(&short).is_err());
        // The structure itself is cut: what is there is read, then the walk fails.
        let structure = be32(&blob, 36).unwrap();
        let short = patched(&blob, 36, (length as u32).min(structure - 8));
        if let Ok(fdt) = Fdt::new(&short) {
            assert_eq!(fdt.walk(|_| Walk::On), Err(Bad::Structure));
        }
    }
}

proptest! {
    #[test]
    fn damage_is_survived(changes in prop::collection::vec((0usize..500, any::<u8>()), 1..20)) {
        let mut blob = sample();
        let length = blob.len();
        for (at, value) in changes { blob[at % length] = value; }
        if let Ok(fdt) = Fdt::new(&blob) {
            let mut nodes = 0;
            let _ = fdt.walk(|n| {
                nodes += 1;
                let _ = (n.reg(0), n.gic_interrupt(0), n.text("compatible"), n.u64("reg"), n.reg_count());
                let _ = (n.window(0), n.pin_interrupt(0), n.message_interrupts());
                Walk::On
            });
            prop_assert!(nodes <= length / 4 && fdt.used() <= length && fdt.reservations().count() <= length / 16);
        }
    }
}
