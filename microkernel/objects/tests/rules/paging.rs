//! Translation tables: each descriptor bit by its number in the architecture's manual, each level, each size.
use axiom_objects::PhysAddr;
use axiom_objects::arch::paging::{self, Entry, UserAttributes};
use axiom_objects::cap::FrameSize;
use axiom_objects::fake::FakeWorld;
use axiom_objects::space;

const FRAME: u64 = 0x0000_8123_4560_0000;

#[test]
fn a_descriptors_low_bits_and_level_say_what_it_is() {
    for level in 0..4 {
        // Attributes above and below the address do not matter.
        for noise in [0, 0xffff << 48 | 0xffc] {
            let of = |low: u64| paging::decode(FRAME | noise | low, level);
            assert!(of(0) == Entry::Invalid && of(2) == Entry::Invalid, "level {level}");
            let table = of(3);
            assert!(
                table
                    == if level == 3 { Entry::Leaf(PhysAddr(FRAME)) } else { Entry::Table(PhysAddr(FRAME)) }
            );
            let block = of(1);
            assert!(
                block == if level == 1 || level == 2 { Entry::Leaf(PhysAddr(FRAME)) } else { Entry::Invalid }
            );
        }
    }
}

#[test]
fn every_combination_of_attributes_has_its_bits() {
    for bits in 0..32u32 {
        let on = |n: u32| bits >> n & 1 != 0;
        let (read, write, execute, cacheable, device) = (on(0), on(1), on(2), on(3), on(4));
        for level in 1..4 {
            let attributes = UserAttributes { read, write, execute, cacheable, device };
            let entry = paging::user_entry(PhysAddr(FRAME), level, attributes);
            let mut expected = FRAME + 1 + (1 << 10) + (1 << 11) + (1 << 53);
            let mut add = |condition: bool, bit: u32| expected += u64::from(condition) << bit;
            add(level == 3, 1);
            add(cacheable, 2);
            add(read || write, 6);
            add(!write, 7);
            add(cacheable, 8);
            add(cacheable, 9);
            add(!execute, 54);
            add(device, 55);
            assert_eq!(entry, expected, "{bits:05b} at level {level}");
            assert_eq!(paging::user_writes(entry), write, "{bits:05b}");
            assert!(paging::decode(entry, level) == Entry::Leaf(PhysAddr(FRAME)));
        }
    }
    // Not the user's at all, whatever may be written there.
    assert!(!paging::user_writes(FRAME | 3) && !paging::user_writes(FRAME | 3 | 1 << 7));
}

#[test]
fn sizes_and_levels() {
    assert_eq!([0, 1, 2, 3].map(paging::shift), [39, 30, 21, 12]);
    let sizes = [FrameSize::Huge, FrameSize::Large, FrameSize::Small];
    assert_eq!(sizes.map(paging::frame_level), [1, 2, 3]);
    assert_eq!(sizes.map(FrameSize::bits), [30, 21, 12]);
    assert_eq!(paging::table_entry(PhysAddr(0x5000)), 0x5003);
    assert_eq!(paging::space(PhysAddr(0x1_2345_6000), 0xabcd), 0xabcd_0001_2345_6000);
    assert_eq!(paging::USER_TOP, (1 << 47) - 1);
}

/// A root with a table at each of two levels, and a page at the end of the last.
fn tables(world: &FakeWorld) -> [PhysAddr; 4] {
    core::array::from_fn(|_| world.allocate(12))
}

#[test]
fn a_walk_takes_nine_bits_a_level_and_ends_where_there_is_no_table() {
    let world = FakeWorld::with_memory(18);
    let all = tables(&world);
    // A different index at each level, none of them in another's place.
    let indices = [0x0aa, 0x155, 0x1fe, 0x001];
    let vaddr = (indices[0] << 39) | (indices[1] << 30) | (indices[2] << 21) | (indices[3] << 12) | 0xfff;
    for level in 0..4usize {
        for limit in 0..4u32 {
            let (entry, found) = space::walk(all[0], vaddr, limit);
            let expected = level.min(limit as usize);
            assert_eq!(found as usize, expected, "with {level} tables, at most to {limit}");
            assert_eq!(entry.addr(), all[expected].kernel() + 8 * indices[expected] as usize);
        }
        if level < 3 {
            let (entry, _) = space::walk(all[0], vaddr, 3);
            entry.set(paging::table_entry(all[level + 1]));
        }
    }
    // A block ends the walk above.
    let (entry, _) = space::walk(all[0], vaddr, 1);
    entry.set(FRAME & !((1 << 30) - 1) | 1);
    assert_eq!(space::walk(all[0], vaddr, 3).1, 1);
}

#[test]
fn boot_finds_and_fills_what_is_missing() {
    let world = FakeWorld::with_memory(18);
    let all = tables(&world);
    let vaddr = 0x7f_fedc_ba98_7000;
    let covered = [1u64 << 39, 1 << 30, 1 << 21].map(|size| vaddr / size * size);
    let attributes =
        UserAttributes { read: true, write: true, execute: false, cacheable: true, device: false };
    for (table, from) in all[1..].iter().zip(covered) {
        assert!(!space::boot_has_table(all[0], vaddr));
        assert!(!space::boot_map(all[0], vaddr, PhysAddr(FRAME), attributes), "no table, no page");
        assert_eq!(space::boot_map_table(all[0], vaddr, *table).0, from);
    }
    assert!(space::boot_has_table(all[0], vaddr));
    assert!(space::boot_map(all[0], vaddr, PhysAddr(FRAME), attributes));
    let (entry, level) = space::walk(all[0], vaddr, 3);
    assert_eq!((entry.get(), level), (paging::user_entry(PhysAddr(FRAME), 3, attributes), 3));
}
