extern crate std;
use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::string::ToString;
use std::vec;
use std::vec::Vec;

const TOP: u64 = 1 << 40;

/// A program header, and a file around several.
#[derive(Clone, Copy, Debug)]
struct Ph {
    kind: u32,
    flags: u32,
    offset: u64,
    vaddr: u64,
    file_size: u64,
    mem_size: u64,
    align: u64,
}

const TEXT: Ph = Ph {
    kind: 1,
    flags: 5,
    offset: 0x1000,
    vaddr: 0x40_0000,
    file_size: 0x1800,
    mem_size: 0x1800,
    align: 4096,
};
const DATA: Ph = Ph {
    kind: 1,
    flags: 6,
    offset: 0x2800,
    vaddr: 0x40_2800,
    file_size: 0x100,
    mem_size: 0x2000,
    align: 4096,
};

/// A file of `length` bytes whose contents tell their offset.
fn file(entry: u64, headers: &[Ph], length: usize) -> Vec<u8> {
    let mut out: Vec<u8> = (0..length).map(|i| (i / 7 + i) as u8 | 1).collect();
    let mut put = |at: usize, bytes: &[u8]| {
        if let Some(place) = out.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    };
    put(0, b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    put(16, &2u16.to_le_bytes());
    put(18, &183u16.to_le_bytes());
    put(24, &entry.to_le_bytes());
    put(32, &64u64.to_le_bytes());
    put(54, &56u16.to_le_bytes());
    put(56, &(headers.len() as u16).to_le_bytes());
    for (i, h) in headers.iter().enumerate() {
        let at = 64 + 56 * i;
        put(at, &h.kind.to_le_bytes());
        put(at + 4, &h.flags.to_le_bytes());
        for (j, word) in [h.offset, h.vaddr, h.vaddr, h.file_size, h.mem_size, h.align].iter().enumerate() {
            put(at + 8 + 8 * j, &word.to_le_bytes());
        }
    }
    out
}

fn good() -> Vec<u8> {
    file(0x40_0000, &[TEXT, DATA], 0x3000)
}

fn refused(headers: &[Ph]) -> ElfError {
    Elf::new(&file(0x40_0000, headers, 0x3000), AARCH64, TOP).unwrap_err()
}

/// The image as a loader without pages would make it: each byte that a segment has.
fn model(file: &[u8], headers: &[Ph]) -> BTreeMap<u64, u8> {
    let mut image = BTreeMap::new();
    for h in headers.iter().filter(|h| h.kind == 1) {
        for i in 0..h.mem_size {
            image.insert(h.vaddr + i, if i < h.file_size { file[(h.offset + i) as usize] } else { 0 });
        }
    }
    image
}

/// The image as the kernel makes it.
fn loaded(file: &[u8], elf: &Elf<'_>, phase: u64) -> BTreeMap<u64, [u8; 4096]> {
    elf.pages()
        .map(|page| {
            let mut bytes = [0; 4096];
            match elf.page(page, phase).in_place {
                Some(offset) => {
                    assert_eq!((offset + phase) % 4096, 0);
                    bytes.copy_from_slice(&file[offset as usize..][..4096]);
                }
                None => {
                    for (at, part) in elf.parts(page) {
                        bytes[at..at + part.len()].copy_from_slice(part);
                    }
                }
            }
            (page, bytes)
        })
        .collect()
}

#[test]
fn an_ordinary_file_is_loaded() {
    let bytes = good();
    let elf = Elf::new(&bytes, AARCH64, TOP).unwrap();
    assert_eq!((elf.entry(), elf.bounds()), (0x40_0000, (0x40_0000, 0x40_5000)));
    assert_eq!(elf.pages().collect::<Vec<_>>(), [0x40_0000, 0x40_1000, 0x40_2000, 0x40_3000, 0x40_4000]);
    let text = Page { write: false, execute: true, empty: false, in_place: Some(0x1000) };
    assert_eq!(elf.page(0x40_0000, 0), text);
    // Where the file does not lie on pages, nothing can be used in place.
    assert_eq!(elf.page(0x40_0000, 8), Page { in_place: None, ..text });
    // The text's last page is not whole, the next one has two owners.
    assert_eq!(elf.page(0x40_1000, 0), Page { in_place: None, ..text });
    assert_eq!(elf.page(0x40_2000, 0), Page { write: true, execute: false, empty: false, in_place: None });
    assert_eq!(elf.parts(0x40_2000).collect::<Vec<_>>(), [(0x800, &bytes[0x2800..0x2900])]);
    assert_eq!(elf.parts(0x40_4000).count(), 0);
}

#[test]
fn each_whole_page_of_a_segment_has_its_place_in_the_file() {
    let text = Ph { file_size: 0x3000, mem_size: 0x3000, ..TEXT };
    let data = Ph { offset: 0x4000, vaddr: 0x40_3000, file_size: 0x1000, ..DATA };
    let far = Ph { vaddr: 0x80_0000, file_size: 0, ..DATA };
    let bytes = file(0x40_0000, &[text, data, far], 0x5000);
    let elf = Elf::new(&bytes, AARCH64, TOP).unwrap();
    assert_eq!(
        [0, 1, 2, 3].map(|i| elf.page(0x40_0000 + i * 0x1000, 0).in_place),
        [Some(0x1000), Some(0x2000), Some(0x3000), None]
    );
    // The segment's bytes end where its second page begins, and its memory with a page: nothing belongs behind either.
    assert_eq!([0x40_3000, 0x40_4000].map(|page| elf.parts(page).count()), [1, 0]);
    let pages: Vec<u64> = elf.pages().collect();
    assert_eq!(pages[3..], [0x40_3000, 0x40_4000, 0x80_0000, 0x80_1000]);
}

/// Issue 9: linkers leave any offset in a segment that only reserves memory.
#[test]
fn a_segment_without_bytes_may_have_any_offset() {
    for offset in [0x3001, 1 << 50, u64::MAX] {
        let bss = Ph { file_size: 0, offset, ..DATA };
        let bytes = file(0x40_0000, &[TEXT, bss], 0x3000);
        let elf = Elf::new(&bytes, AARCH64, TOP).unwrap();
        let pages = loaded(&bytes, &elf, 0);
        assert!(pages[&0x40_2000].iter().chain(&pages[&0x40_4000]).all(|b| *b == 0));
    }
}

#[test]
fn pages_with_two_owners_get_what_both_need() {
    // Text ends and data begins in the middle of one page, as linkers do it to save space.
    let text = Ph { file_size: 0x1400, mem_size: 0x1400, ..TEXT };
    let data = Ph { offset: 0x2400, vaddr: 0x40_1400, ..DATA };
    let bytes = file(0x40_0000, &[text, data], 0x3000);
    let elf = Elf::new(&bytes, AARCH64, TOP).unwrap();
    assert_eq!(elf.page(0x40_1000, 0), Page { write: true, execute: true, empty: false, in_place: None });
    assert_eq!(
        elf.parts(0x40_1000).collect::<Vec<_>>(),
        [(0, &bytes[0x2000..0x2400]), (0x400, &bytes[0x2400..0x2500])]
    );
    // Two read-only owners: neither's file page is the whole page.
    let constants = Ph { flags: 4, offset: 0x400, file_size: 0x1000, mem_size: 0x1000, align: 1, ..data };
    let bytes = file(0x40_0000, &[text, constants], 0x3000);
    let elf = Elf::new(&bytes, AARCH64, TOP).unwrap();
    assert_eq!(elf.page(0x40_1000, 0), Page { write: false, execute: true, empty: false, in_place: None });
}

#[test]
fn small_gaps_are_filled_and_large_ones_are_not() {
    let second = |vaddr| {
        let data = Ph { vaddr, offset: 0x2000, mem_size: 0x100, ..DATA };
        let bytes = file(0x40_0000, &[data, TEXT], 0x3000);
        let elf = Elf::new(&bytes, AARCH64, TOP).unwrap();
        let pages: Vec<u64> = elf.pages().collect();
        assert_eq!((pages[0], *pages.last().unwrap()), (0x40_0000, vaddr));
        assert!(pages.windows(2).all(|w| w[0] < w[1]));
        (pages.len(), elf.page(0x40_2000, 0).empty)
    };
    assert_eq!(second(0x40_2000), (3, false));
    assert_eq!(second(0x40_2000 + FILLED_GAP), (3 + 256, true));
    assert_eq!(second(0x40_2000 + FILLED_GAP + 4096), (3, true));
}

#[test]
fn what_is_no_such_file_is_told_as_what_it_is() {
    let damaged = |at: usize, bytes: &[u8]| {
        let mut file = good();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        Elf::new(&file, AARCH64, TOP).map(|_| ())
    };
    assert_eq!(Elf::new(b"neither", AARCH64, TOP).unwrap_err(), ElfError::Magic);
    assert_eq!(Elf::new(b"", AARCH64, TOP).unwrap_err(), ElfError::Magic);
    assert_eq!(Elf::new(&good()[..63], AARCH64, TOP).unwrap_err(), ElfError::Short(63));
    assert_eq!(damaged(4, &[1]), Err(ElfError::Class));
    assert_eq!(damaged(5, &[2]), Err(ElfError::Class));
    assert_eq!(damaged(18, &[62, 0]), Err(ElfError::Machine { file: 62, wanted: AARCH64 }));
    assert_eq!(damaged(16, &[3, 0]), Err(ElfError::Kind(3)));
    assert_eq!(damaged(54, &[32, 0]), Err(ElfError::HeaderSize(32)));
    assert_eq!(damaged(56, &[0, 0]), Err(ElfError::HeaderCount(0)));
    assert_eq!(damaged(56, &[65, 0]), Err(ElfError::HeaderCount(65)));
    // Issue 9: the place of a header was a sum that could wrap.
    for at in [u64::MAX, u64::MAX - 111, u64::MAX - 200, 0x3000 - 111] {
        assert_eq!(damaged(32, &at.to_le_bytes()), Err(ElfError::HeadersOutside(at, 0x3000)));
    }
    assert_eq!(damaged(32, &(0x3000u64 - 112).to_le_bytes()), Err(ElfError::NothingToLoad));
}

#[test]
fn a_wrong_segment_is_told_as_what_is_wrong() {
    assert_eq!(refused(&[Ph { kind: 6, ..TEXT }]), ElfError::NothingToLoad);
    assert_eq!(refused(&[Ph { mem_size: 0, file_size: 0, ..TEXT }]), ElfError::NothingToLoad);
    assert_eq!(refused(&[TEXT, Ph { kind: 3, ..TEXT }]), ElfError::Dynamic(1));
    let many = |count: u64| -> Vec<Ph> {
        let empty = Ph { file_size: 0, mem_size: 1, ..TEXT };
        [TEXT].into_iter().chain((1..count).map(|i| Ph { vaddr: 0x80_0000 + i, ..empty })).collect()
    };
    assert!(Elf::new(&file(0x40_0000, &many(16), 0x3000), AARCH64, TOP).is_ok());
    assert_eq!(refused(&many(17)), ElfError::TooManySegments);
    // What is not loaded does not count.
    let notes: Vec<Ph> = many(16).into_iter().chain([Ph { kind: 4, ..TEXT }; 48]).collect();
    assert!(Elf::new(&file(0x40_0000, &notes, 0x3000), AARCH64, TOP).is_ok());
    for (offset, file_size) in [(0x2f01, 0x100), (u64::MAX, 0x100), (u64::MAX - 0xff, 0x100)] {
        let bytes = ElfError::Bytes(1, offset, file_size, 0x3000);
        assert_eq!(refused(&[TEXT, Ph { offset, file_size, align: 1, ..DATA }]), bytes);
    }
    assert_eq!(refused(&[TEXT, Ph { file_size: 0x2001, ..DATA }]), ElfError::MoreFile(1, 0x2001, 0x2000));
    let large = MAX_SEGMENT + 1;
    assert_eq!(refused(&[TEXT, Ph { mem_size: large, ..DATA }]), ElfError::TooLarge(1, large));
    for vaddr in [TOP - 0x1fff, TOP, u64::MAX - 0x1000, u64::MAX] {
        assert_eq!(refused(&[TEXT, Ph { vaddr, ..DATA }]), ElfError::Memory(1, vaddr, 0x2000, TOP));
    }
    let last = [TEXT, Ph { vaddr: TOP - 0x2000, align: 1, ..DATA }];
    assert!(Elf::new(&file(0x40_0000, &last, 0x3000), AARCH64, TOP).is_ok());
    let largest = [TEXT, Ph { mem_size: MAX_SEGMENT, ..DATA }];
    assert!(Elf::new(&file(0x40_0000, &largest, 0x3000), AARCH64, TOP).is_ok());
    for (align, offset) in [(3, 0x2800), (0x1000, 0x2801), (0x2000, 0x1800), (u64::MAX, 0x2800)] {
        let wrong = ElfError::Alignment(1, align, 0x40_2800, offset);
        assert_eq!(refused(&[TEXT, Ph { align, offset, ..DATA }]), wrong);
    }
    for align in [0, 1, 8, 0x800, 0x2000] {
        assert!(Elf::new(&file(0x40_0000, &[TEXT, Ph { align, ..DATA }], 0x3000), AARCH64, TOP).is_ok());
    }
}

#[test]
fn no_byte_belongs_to_two_segments() {
    for (vaddr, mem_size, at) in [
        (0x40_17ff, 0x100, 0x40_17ff),
        (0x3f_fff0, 0x11, 0x40_0000),
        (0x40_0400, 1, 0x40_0400),
        (0x3f_0000, 0x10_0000, 0x40_0000),
        (0x40_0000, 0x1800, 0x40_0000),
    ] {
        let other = Ph { vaddr, mem_size, file_size: 0, ..DATA };
        assert_eq!(refused(&[TEXT, other]), ElfError::Overlap(0, 1, at), "{vaddr:#x}");
        assert_eq!(refused(&[other, TEXT]), ElfError::Overlap(0, 1, at), "{vaddr:#x}");
    }
    for (vaddr, mem_size) in [(0x40_1800, 1), (0x3f_ffff, 1)] {
        let other = Ph { vaddr, mem_size, file_size: 0, ..DATA };
        assert!(Elf::new(&file(0x40_0000, &[TEXT, other], 0x3000), AARCH64, TOP).is_ok());
    }
}

#[test]
fn the_first_instruction_is_one() {
    for entry in [0, 0x3f_fffc, 0x40_0002, 0x40_1800, 0x40_2800, u64::MAX] {
        let wrong = Elf::new(&file(entry, &[TEXT, DATA], 0x3000), AARCH64, TOP).unwrap_err();
        assert_eq!(wrong, ElfError::Entry(entry));
    }
    assert!(Elf::new(&file(0x40_17fc, &[TEXT, DATA], 0x3000), AARCH64, TOP).is_ok());
    // Where instructions have any length, they begin anywhere.
    let mut bytes = file(0x40_0003, &[TEXT, DATA], 0x3000);
    bytes[18] = 62;
    assert!(Elf::new(&bytes, X86_64, TOP).is_ok());
    assert_eq!(Elf::new(&bytes, AARCH64, TOP).unwrap_err(), ElfError::Machine { file: 62, wanted: AARCH64 });
}

#[test]
fn each_refusal_is_a_sentence() {
    let all = [
        (ElfError::Magic, "neither a bundle nor an ELF file"),
        (ElfError::Short(9), "cut short: it has 9 bytes"),
        (ElfError::Class, "not 64-bit little-endian"),
        (ElfError::Machine { file: 62, wanted: AARCH64 }, "is for machine 62; build it for aarch64 (183)"),
        (ElfError::Kind(3), "has type 3; a root task is an executable at fixed addresses"),
        (ElfError::HeaderSize(32), "program headers have 32 bytes instead of 56"),
        (ElfError::HeaderCount(0), "has no program headers"),
        (ElfError::HeaderCount(65), "has 65 program headers; the kernel reads up to 64"),
        (ElfError::HeadersOutside(1, 2), "its program headers at 0x1 reach beyond its end at 0x2"),
        (ElfError::TooManySegments, "has more than 16 loadable segments"),
        (ElfError::NothingToLoad, "no loadable segment"),
        (ElfError::Dynamic(1), "needs a dynamic loader (program header 1)"),
        (ElfError::Bytes(1, 2, 3, 4), "segment 1 has 0x3 bytes at 0x2, and the file ends at 0x4"),
        (ElfError::MoreFile(1, 2, 3), "segment 1 has 0x2 bytes in the file and only 0x3 in memory"),
        (ElfError::TooLarge(1, 2), "segment 1 of 0x2 bytes; a segment has up to 0x100000000"),
        (
            ElfError::Memory(1, 2, 3, 4),
            "segment 1 at 0x2 of 0x3 bytes, which ends outside of the user's addresses (below 0x4)",
        ),
        (
            ElfError::Alignment(1, 2, 3, 4),
            "segment 1 says alignment 0x2, but its address 0x3 and its offset 0x4",
        ),
        (ElfError::Overlap(1, 2, 3), "segments 1 and 2 that both have memory at 0x3"),
        (ElfError::Entry(2), "starts at 0x2, which is not an instruction's place"),
    ];
    for (error, text) in all {
        let said = error.to_string();
        assert!(said.contains(text), "{said}");
        assert_eq!(said.starts_with("the root task's ELF file "), error != ElfError::Magic, "{said}");
    }
}

/// Segments that do not overlap, from gaps and sizes: each behind the other, in a random order of headers.
fn segments() -> impl Strategy<Value = (Vec<Ph>, usize)> {
    let one = (0u64..0x3000, 1u64..0x1800, 0u64..0x1800, any::<bool>(), any::<bool>(), any::<bool>());
    (prop::collection::vec(one, 1..6), any::<u64>()).prop_map(|(list, order)| {
        let (mut at, mut offset) = (0x40_0000u64, 0x1000u64);
        let mut headers: Vec<Ph> = list
            .into_iter()
            .enumerate()
            .map(|(i, (gap, mem_size, file_size, write, execute, paged))| {
                let file_size = file_size.min(mem_size);
                // Half of them as linkers lay them out, half without order.
                at += if paged { gap & !4095 } else { gap };
                let vaddr = if i == 0 { (at + 3) & !3 } else { at };
                let align = if paged { 4096 } else { 1 };
                if paged {
                    offset = offset.next_multiple_of(4096) + vaddr % 4096;
                }
                let execute = execute || i == 0;
                let flags = 4 | u32::from(write) << 1 | u32::from(execute);
                let header = Ph { kind: 1, flags, offset, vaddr, file_size, mem_size, align };
                at = vaddr + mem_size;
                offset += file_size;
                header
            })
            .collect();
        let turn = order as usize % headers.len();
        headers.rotate_left(turn);
        (headers, offset as usize)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Pages hold what the segments say, byte by byte, and have the rights of their owners.
    #[test]
    fn the_image_is_the_models((headers, length) in segments(), phase in prop_oneof![Just(0u64), 0u64..4096]) {
        let entry = headers.iter().filter(|h| h.flags & 1 != 0).map(|h| (h.vaddr + 3) & !3)
            .find(|e| headers.iter().any(|h| h.flags & 1 != 0 && h.vaddr <= *e && *e < h.vaddr + h.mem_size)).unwrap();
        let bytes = file(entry, &headers, length);
        let elf = Elf::new(&bytes, AARCH64, TOP).unwrap();
        let expected = model(&bytes, &headers);
        let pages = loaded(&bytes, &elf, phase);
        for (at, byte) in &expected {
            let page = pages.get(&(at & !4095)).expect("each byte's page is there");
            prop_assert_eq!(page[(at & 4095) as usize], *byte, "at {:#x}", at);
        }
        let mut last = None;
        for page in elf.pages() {
            prop_assert!(last < Some(page));
            last = Some(page);
            let on = |flag: u32| headers.iter().any(|h| h.flags & flag != 0 && h.vaddr < page + 4096 && page < h.vaddr + h.mem_size);
            let kind = elf.page(page, phase);
            prop_assert_eq!((kind.write, kind.execute, kind.empty), (on(2), on(1), !on(4)));
            prop_assert!(kind.in_place.is_none() || !kind.write);
            // Bytes that no segment has are zero, unless the page is the file's own.
            if kind.in_place.is_none() {
                for i in (0..4096).filter(|i| !expected.contains_key(&(page + i))) {
                    prop_assert_eq!(pages[&page][i as usize], 0);
                }
            }
        }
    }

    /// Damage is refused, or what it leaves keeps the promises of `Elf`; it never panics, and the work has a bound.
    #[test]
    fn damage_is_survived(
        changes in prop::collection::vec((prop_oneof![0usize..200, 0usize..0x3000], any::<u8>()), 1..12),
        words in prop::collection::vec((0usize..22, prop_oneof![any::<u64>(), Just(u64::MAX), Just(0), 0u64..0x1_0000, (0u32..64).prop_map(|b| 1 << b)]), 0..3),
        length in prop_oneof![Just(0x3000usize), 0usize..0x3000],
    ) {
        let mut bytes = good();
        for (at, value) in changes { bytes[at] ^= value; }
        for (at, value) in words { bytes[at * 8..at * 8 + 8].copy_from_slice(&value.to_le_bytes()); }
        bytes.truncate(length);
        if let Ok(elf) = Elf::new(&bytes, AARCH64, TOP) {
            promises(&bytes, &elf)?;
        }
    }

    /// The same from a header of random numbers, of which most are near a border.
    #[test]
    fn random_headers_are_survived(
        list in prop::collection::vec((0u32..4, 0u32..8, border(), border(), border(), border(), border()), 1..5),
        entry in border(),
    ) {
        let headers: Vec<Ph> = list.into_iter()
            .map(|(kind, flags, offset, vaddr, file_size, mem_size, align)| Ph { kind, flags, offset, vaddr, file_size, mem_size, align })
            .collect();
        let bytes = file(entry, &headers, 0x2000);
        if let Ok(elf) = Elf::new(&bytes, AARCH64, TOP) {
            promises(&bytes, &elf)?;
        }
    }
}

fn border() -> impl Strategy<Value = u64> {
    let near = prop::sample::select(vec![0u64, 4096, 0x2000, 1 << 32, TOP, 1 << 63, u64::MAX, 0x40_0000]);
    (near, -9i64..9).prop_map(|(at, by)| at.wrapping_add_signed(by))
}

/// What holds of every file that is not refused.
fn promises(bytes: &[u8], elf: &Elf<'_>) -> Result<(), TestCaseError> {
    let segments: Vec<Segment> = elf.segments().copied().collect();
    prop_assert!(!segments.is_empty() && segments.len() <= MAX_SEGMENTS);
    for (i, s) in segments.iter().enumerate() {
        prop_assert!(s.mem_size > 0 && s.file_size <= s.mem_size && s.mem_size <= MAX_SEGMENT);
        prop_assert!(s.vaddr.checked_add(s.mem_size).is_some_and(|end| end <= TOP));
        prop_assert!(
            s.file_size == 0
                || s.offset.checked_add(s.file_size).is_some_and(|end| end <= bytes.len() as u64)
        );
        for other in &segments[i + 1..] {
            prop_assert!(s.end() <= other.vaddr || other.end() <= s.vaddr);
        }
    }
    let entry = elf.entry();
    prop_assert!(
        entry.is_multiple_of(4) && segments.iter().any(|s| s.execute && (s.vaddr..s.end()).contains(&entry))
    );
    let (first, last) = elf.bounds();
    // As many pages as one pays attention to: the kernel stops at the size of its CNode.
    for page in elf.pages().take(9000) {
        prop_assert!(page % 4096 == 0 && first <= page && page < last);
        let kind = elf.page(page, 0);
        if let Some(offset) = kind.in_place {
            prop_assert!(bytes.get(offset as usize..offset as usize + 4096).is_some());
        }
        for (at, part) in elf.parts(page) {
            prop_assert!(at + part.len() <= 4096 && !part.is_empty());
        }
    }
    Ok(())
}
